"""`latentcast bench load`: many viewers at one server, and what they got and cost."""

import asyncio
import ipaddress
import json as jsonlib
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from urllib.parse import urlsplit

from rich.console import Console
from rich.table import Table

from bench.load.probe import Probe
from bench.load.viewer import Figures, LoadViewer, load_hello, start_all, stop_all
from client.measurement import describe_machine
from latentcast.errors import PeerError, UserError
from latentcast.net import addresses_for
from latentcast.server_process import ServerProcess
from latentcast.statistics import percentile
from transport.webrtc import use_host_addresses

SETTLE_S = 4.0
"""Viewers join, and the bandwidth estimate climbs: not counted."""
DEFAULT_SERVE = ("--source", "pattern", "--size", "640x360", "--fps", "30", "--max-bitrate", "1000000")


@dataclass(frozen=True, slots=True)
class Load:
    """What was measured."""

    viewers: tuple[Figures, ...]
    seconds: float
    server_cpu: float
    """Share of one core, the server process alone."""
    memory_mb: float
    """Server and encoders, at the end."""


@contextmanager
def served(url: str | None, serve: Sequence[str]) -> Iterator[str]:
    """The address of a server: the one given, or one started here with the flags `serve` and ended afterwards."""
    if url is not None:
        yield url
        return
    with ServerProcess(["--port", "0", "--max-viewers", "1000", *serve]) as process:
        yield process.url()


def use_addresses_for(url: str) -> None:
    """Loopback stays on loopback; another host is reached from whichever interface leads there."""
    addresses = addresses_for(urlsplit(url).hostname or "")
    loopback = addresses is not None and ipaddress.ip_address(addresses[0]).is_loopback
    use_host_addresses(addresses if loopback else None)


async def measure(url: str, *, stream: str, viewers: int, seconds: float, token: str | None) -> Load:
    """Watch with so many for so long. Raises PeerError or UserError."""
    hello = await asyncio.to_thread(load_hello)
    use_addresses_for(url)
    crowd = [LoadViewer(url, stream, hello, token=token) for _ in range(viewers)]
    async with Probe(url) as probe:
        await probe.ready()
        try:
            await start_all(crowd)
            await asyncio.sleep(SETTLE_S)
            before, started = await probe.vitals(), time.monotonic()
            for viewer in crowd:
                viewer.restart()
            await asyncio.sleep(seconds)
            figures = tuple(viewer.figures() for viewer in crowd)
            after, elapsed = await probe.vitals(), time.monotonic() - started
            failed = [viewer.failure for viewer in crowd if viewer.failure is not None]
            if failed:
                raise PeerError(f"{len(failed)} of {viewers} viewers were lost; the first says: {failed[0]}")
        finally:
            await stop_all(crowd)
    return Load(figures, elapsed, (after.cpu_s - before.cpu_s) / elapsed, after.memory_mb)


def run(
    *,
    url: str | None,
    stream: str,
    viewers: int,
    seconds: float,
    token: str | None = None,
    serve: Sequence[str] = DEFAULT_SERVE,
    json: Path | None = None,
) -> None:
    """Measure, print a line a viewer, and write the file asked for. Raises UserError, PeerError, LatentcastError."""
    with served(url, [*serve, "--stream", stream]) as address:
        load = asyncio.run(measure(address, stream=stream, viewers=viewers, seconds=seconds, token=token))
    console = Console()
    console.print(table(load))
    console.print(summary(load), highlight=False)
    if json is not None:
        write_json(
            json, {"machine": describe_machine().model_dump(), "url": url, "serve": None if url else list(serve)}, load
        )


def table(load: Load) -> Table:
    """A line a viewer."""
    rows = Table("viewer", "rendition", "fps", "kbit/s", "loss %", "frames lost", "p50 ms", "p95 ms")
    for column in rows.columns[1:]:
        column.justify = "right"
    for number, viewer in enumerate(load.viewers, 1):
        rows.add_row(
            str(number),
            str(viewer.rendition),
            f"{viewer.fps:.1f}",
            f"{viewer.bps / 1e3:.0f}",
            f"{100 * viewer.loss:.2f}",
            str(viewer.lost_frames),
            f"{viewer.latency_p50_ms:.1f}",
            f"{viewer.latency_p95_ms:.1f}",
        )
    return rows


def summary(load: Load) -> str:
    """The load in one sentence."""
    fps = percentile(sorted(viewer.fps for viewer in load.viewers), 0.0)
    return (
        f"{len(load.viewers)} viewers for {load.seconds:.0f} s, the slowest at {fps:.1f} fps; the server process took "
        f"{100 * load.server_cpu:.1f} % of a core, with its encoders {load.memory_mb:.0f} MB."
    )


def write_json(path: Path, about: dict[str, object], load: Load) -> None:
    """Everything that was measured. Raises UserError when the file cannot be written."""
    try:
        path.write_text(jsonlib.dumps(about | asdict(load), indent=2) + "\n")
    except OSError as error:
        raise UserError(f"{path} cannot be written ({error.strerror}); choose another place.") from error
