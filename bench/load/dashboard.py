"""`latentcast bench dashboard`: what an open dashboard costs the server while viewers watch.

    off, on, off, on ... : the same viewers all the time, the page closed and open in turn

The figure is the server process's own processor time, from its /metrics; encoder and browser are other processes. Each
stretch with the page is held against the one before it, so that what drifts slowly cancels out.
"""

import asyncio
import json as jsonlib
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import aiohttp
from rich.console import Console

from bench.load.browser import find_browser, running
from bench.load.command import SETTLE_S, served, use_addresses_for
from bench.load.probe import Probe
from bench.load.viewer import LoadViewer, load_hello, start_all, stop_all
from client.measurement import describe_machine
from latentcast.errors import PeerError, UserError
from latentcast.statistics import percentile

STREAM = "live"
LIMIT_BPS = 1_000_000
SERVE = ("--source", "pattern", "--size", "320x180", "--fps", "30", "--max-bitrate", str(LIMIT_BPS), "--stream", STREAM)
"""As many packets as a larger picture would have, and an encoder that leaves a core to the browser."""
OPEN_TIMEOUT_S = 20.0
QUIET_S = 1.5
"""After the page was opened or closed: what that costs is not what it costs to have it open."""
PICTURE_S = 122.0
"""The charts show two minutes."""
LOW_LIMIT_S, LOW_LIMIT_BPS = (35.0, 75.0), 300_000
PICTURE_SIZE = (1440, 1230)

Look = Callable[[], AbstractAsyncContextManager[None]]


@dataclass(frozen=True, slots=True)
class Cost:
    """Shares of one core."""

    reader: str
    viewers: int
    without: tuple[float, ...]
    with_it: tuple[float, ...]
    snapshots: tuple[float, ...]
    """Of the stretches with it, what making the snapshots took by the server's own clock."""
    fps_without: float
    """What the slowest viewer got: less of it with the page than without means that cores were short."""
    fps_with_it: float

    @property
    def differences(self) -> tuple[float, ...]:
        """Of each stretch with the page, less the one before it."""
        return tuple(on - off for off, on in zip(self.without, self.with_it, strict=True))

    @property
    def median(self) -> float:
        """Of the differences: halfway between the two in the middle."""
        ordered = sorted(self.differences)
        return (percentile(ordered, 0.5) + percentile(ordered, 0.5001)) / 2


async def measure(url: str, *, look: Look, reader: str, viewers: int, seconds: float, rounds: int) -> Cost:
    """Watch with so many; in each round once without the dashboard, then with it, `seconds` each."""
    hello = await asyncio.to_thread(load_hello)
    crowd = [LoadViewer(url, STREAM, hello) for _ in range(viewers)]
    without, with_it = [], []
    fps_without, fps_with_it = [], []
    async with Probe(url) as probe:
        try:
            await start_all(crowd)
            await asyncio.sleep(SETTLE_S)
            for _ in range(rounds):
                await _dashboards(probe, 0)
                without.append(await _shares(probe, seconds, crowd))
                fps_without.append(_slowest(crowd))
                async with look():
                    await _dashboards(probe, 1)
                    with_it.append(await _shares(probe, seconds, crowd))
                    fps_with_it.append(_slowest(crowd))
            failed = next((viewer.failure for viewer in crowd if viewer.failure is not None), None)
            if failed is not None:
                raise PeerError(f"a viewer was lost in mid-measurement: {failed}")
        finally:
            await stop_all(crowd)
    return Cost(
        reader,
        viewers,
        without=tuple(total for total, _ in without),
        with_it=tuple(total for total, _ in with_it),
        snapshots=tuple(snapshots for _, snapshots in with_it),
        fps_without=percentile(sorted(fps_without), 0.5),
        fps_with_it=percentile(sorted(fps_with_it), 0.5),
    )


async def _dashboards(probe: Probe, count: int) -> None:
    """Wait until so many look, and for a moment more."""
    try:
        async with asyncio.timeout(OPEN_TIMEOUT_S):
            while (await probe.vitals()).dashboards != count:  # noqa: ASYNC110  # the server is another process
                await asyncio.sleep(0.1)
    except TimeoutError as error:
        raise PeerError(f"the server does not see {count} open dashboards, as there should be") from error
    await asyncio.sleep(QUIET_S)


def _slowest(crowd: Sequence[LoadViewer]) -> float:
    return min((viewer.figures().fps for viewer in crowd), default=0.0)


async def _shares(probe: Probe, seconds: float, crowd: Sequence[LoadViewer]) -> tuple[float, float]:
    """Of one core: the server process, and of that the snapshots."""
    for viewer in crowd:
        viewer.restart()
    before, started = await probe.vitals(), time.monotonic()
    await asyncio.sleep(seconds)
    after = await probe.vitals()
    elapsed = time.monotonic() - started
    return (after.cpu_s - before.cpu_s) / elapsed, (after.snapshots_cpu_s - before.snapshots_cpu_s) / elapsed


@asynccontextmanager
async def _stream_reader(url: str) -> AsyncIterator[None]:
    """The feed alone, read and thrown away."""

    async def read(response: aiohttp.ClientResponse) -> None:
        async for _ in response.content:
            pass

    async with (
        aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=None)) as http,
        http.get(f"{url}/v1/dashboard") as response,
    ):
        reading = asyncio.create_task(read(response), name="dashboard reader")
        try:
            yield
        finally:
            reading.cancel()
            await asyncio.wait([reading])


async def _run(
    url: str, *, executable: str | None, viewers: int, seconds: float, rounds: int, screenshot: Path | None
) -> Cost:
    async with Probe(url) as probe:
        await probe.ready()
    use_addresses_for(url)
    if executable is None:
        look: Look = lambda: _stream_reader(url)  # noqa: E731  # a def would have to be told apart from the other one
        return await measure(url, look=look, reader="stream", viewers=viewers, seconds=seconds, rounds=rounds)
    width, height = PICTURE_SIZE
    async with running(executable) as browser:

        @asynccontextmanager
        async def page() -> AsyncIterator[None]:
            opened = await browser.new_page(viewport={"width": width, "height": height})
            await opened.goto(url)
            try:
                yield
            finally:
                await opened.close()

        cost = await measure(url, look=page, reader="browser", viewers=viewers, seconds=seconds, rounds=rounds)
        if screenshot is not None:
            opened = await browser.new_page(viewport={"width": width, "height": height}, color_scheme="light")
            await opened.goto(url)
            async with _watched_by(url, viewers):
                await _something_to_see(url)
                await opened.screenshot(path=screenshot, full_page=True)
        return cost


async def _something_to_see(url: str) -> None:
    """Two minutes in which the rate limit is low for a while, and an intra frame is forced shortly before the end."""
    path = f"{url}/v1/streams/{STREAM}"
    low_from_s, low_until_s, forced_s = LOW_LIMIT_S[0], LOW_LIMIT_S[1], PICTURE_S - 2.5
    async with aiohttp.ClientSession(raise_for_status=True) as http:
        await asyncio.sleep(low_from_s)
        await http.patch(path, json={"max_bitrate": LOW_LIMIT_BPS})
        await asyncio.sleep(low_until_s - low_from_s)
        await http.patch(path, json={"max_bitrate": LIMIT_BPS})
        await asyncio.sleep(forced_s - low_until_s)
        await http.post(f"{path}/intra")
        await asyncio.sleep(PICTURE_S - forced_s)


@asynccontextmanager
async def _watched_by(url: str, viewers: int) -> AsyncIterator[None]:
    """One viewer that really decodes, the others without."""
    hello = await asyncio.to_thread(load_hello)
    crowd = [LoadViewer(url, STREAM, hello) for _ in range(max(0, viewers - 1))]
    command = [sys.executable, "-P", "-m", "latentcast", "view", url, "--stream", STREAM, "--headless"]
    real = await asyncio.create_subprocess_exec(*command, stdout=subprocess.DEVNULL)
    try:
        await start_all(crowd)
        yield
        if real.returncode is not None:
            raise PeerError(f"the viewer that decodes has ended (exit code {real.returncode})")
    finally:
        if real.returncode is None:
            real.terminate()
            await real.wait()
        await stop_all(crowd)


def run(
    *,
    viewers: int,
    seconds: float,
    rounds: int,
    reader: str = "auto",
    json: Path | None = None,
    screenshot: Path | None = None,
) -> None:
    """Measure, print, and write the files asked for. Raises UserError, PeerError, LatentcastError."""
    if reader not in ("auto", "browser", "stream"):
        raise UserError(f"the reader is {reader!r}; expected auto, browser or stream.")
    executable = None if reader == "stream" else find_browser()
    if executable is None and (reader == "browser" or screenshot is not None):
        raise UserError(
            "no Chromium that playwright could drive is here; install both, or leave it to --reader stream."
        )
    with served(None, SERVE) as url:
        cost = asyncio.run(
            _run(
                url,
                executable=executable,
                viewers=viewers,
                seconds=seconds,
                rounds=rounds,
                screenshot=screenshot,
            )
        )
    Console().print(summary(cost), highlight=False)
    if json is not None:
        about: dict[str, object] = {"machine": describe_machine().model_dump(), "serve": list(SERVE)}
        figures = asdict(cost) | {"differences": cost.differences, "median": cost.median}
        try:
            json.write_text(jsonlib.dumps(about | figures, indent=2) + "\n")
        except OSError as error:
            raise UserError(f"{json} cannot be written ({error.strerror}); choose another place.") from error


def summary(cost: Cost) -> str:
    """The figure with its spread."""
    differences = cost.differences
    off, on = (100 * percentile(sorted(shares), 0.5) for shares in (cost.without, cost.with_it))
    return (
        f"an open dashboard ({cost.reader}) with {cost.viewers} viewers costs the server process "
        f"{100 * cost.median:.2f} % of a core (median of {len(differences)} pairs, "
        f"{100 * min(differences):.2f} to {100 * max(differences):.2f}); without it {off:.1f} %, with it {on:.1f} %; "
        f"making its snapshots takes {100 * percentile(sorted(cost.snapshots), 0.5):.2f} %. The slowest viewer got "
        f"{cost.fps_without:.1f} fps without it, {cost.fps_with_it:.1f} with it."
    )
