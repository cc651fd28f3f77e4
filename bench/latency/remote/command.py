"""`latentcast latency input`: a desktop under Xvfb, a server that streams it, a viewer that presses keys."""

import asyncio
import json
import secrets
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import typer

from bench.latency.camera.command import add_to_report
from bench.latency.display import x_display
from bench.latency.remote.probe import PARTS, KeySeen, Press, Probe
from bench.latency.schema import InputDelay, NotRun
from bench.latency.spread import median_interval
from latentcast.errors import LatentcastError, UserError
from latentcast.server_process import ServerProcess
from latentcast.statistics import percentiles

STREAM: Final = "desktop"
TARGET_MS: Final = 150.0
"""p50 from key to pixel at 640x360 and 30 frames a second: below it typing feels direct enough for most."""
DEFAULT_PRESSES: Final = 50
MAX_KEYS: Final = 1000
"""Key events of the desktop that wait to be paired; more come only from somebody who leans on a keyboard."""


def run(
    *, size: tuple[int, int] | None, fps: float, presses: int, codec: Sequence[str], into: Path | None, out: Path | None
) -> InputDelay:
    """Measure and say it. into: folder of a report it is put into. out: JSON file.

    Raises UserError when Xvfb is missing, LatentcastError when nothing answers.
    """
    found = measure_input(size=size or (640, 360), fps=fps, codec=codec, say=typer.echo, presses=presses)
    if isinstance(found, NotRun):
        raise LatentcastError(f"{found.why}. {found.how}")
    typer.echo(
        f"Key to pixel: p50 {found.decoded.p50:.1f}, p95 {found.decoded.p95:.1f} ms over {found.presses} presses"
        f" ({found.lost} without an answer); target for p50: {found.target:g} ms"
    )
    typer.echo("  p50 of its parts: " + ", ".join(f"{name} {part.p50:.1f}" for name, part in found.parts.items()))
    try:
        if out is not None:
            out.write_text(found.model_dump_json(indent=1) + "\n", "utf-8")
    except OSError as error:
        raise UserError(f"{out} cannot be written ({error.strerror}); choose another place.") from error
    if into is not None:
        add_to_report(into, input=found)
        typer.echo(f"Put into {into / 'latency.html'}")
    return found


def measure_input(
    *,
    size: tuple[int, int],
    fps: float,
    codec: Sequence[str],
    say: Callable[[str], object],
    presses: int = DEFAULT_PRESSES,
) -> InputDelay | NotRun:
    """Under an Xvfb of that size, so that keys never reach the user's own desktop. Raises as `run` does."""
    token = secrets.token_urlsafe(16)
    flags = ["--port", "0", "--stream", STREAM, "--source", "screen", "--size", f"{size[0]}x{size[1]}"]
    flags += ["--fps", f"{fps:g}", *codec]
    with x_display(virtual=True, size=size) as display, _flipper(display.name) as keys:
        environment = display.environment() | {"LATENTCAST_SERVE__INPUT_TOKEN": token}
        with ServerProcess(flags, environment=environment) as server:
            say(f"Pressing {presses} keys on a desktop of {size[0]}x{size[1]} at {fps:g} fps")
            url = server.url()
            answered, lost = asyncio.run(_probe(url, token=token, presses=presses, keys=keys))
    if not answered:
        return NotRun(
            why=f"{lost} key presses changed nothing in the picture",
            how="Run `latentcast doctor`, and see whether the server's log says why keys do not reach the desktop.",
        )
    return as_result(answered, lost=lost)


def as_result(presses: Sequence[Press], *, lost: int) -> InputDelay:
    """The figures of the document."""
    totals = [press.total_ms for press in presses]
    low, high = median_interval(totals, block=1)
    return InputDelay(
        presses=len(presses),
        lost=lost,
        decoded=percentiles(totals),
        p50_interval=(round(low, 3), round(high, 3)),
        parts={name: percentiles([press.parts_ms[i] for press in presses]) for i, name in enumerate(PARTS)},
        target=TARGET_MS,
        samples=tuple(tuple(round(part, 3) for part in press.parts_ms) for press in presses),
    )


async def _probe(url: str, *, token: str, presses: int, keys: "subprocess.Popen[str]") -> tuple[list[Press], int]:
    seen: asyncio.Queue[KeySeen] = asyncio.Queue(MAX_KEYS)
    probe = Probe(url, stream=STREAM, token=token, say=lambda text: typer.echo(text, err=True))
    reading = asyncio.create_task(_read_keys(keys, seen), name="keys")
    try:
        return await probe.run(presses, seen)
    finally:
        reading.cancel()
        await asyncio.wait([reading])


async def _read_keys(flipper: "subprocess.Popen[str]", seen: asyncio.Queue[KeySeen]) -> None:
    """Lines of the flipper into the queue; the newest are dropped when nobody takes them."""
    assert flipper.stdout is not None
    reader = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    transport, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), flipper.stdout)
    try:
        while line := await reader.readline():
            key = KeySeen(**json.loads(line))
            if not seen.full():
                seen.put_nowait(key)
    finally:
        transport.close()


@contextmanager
def _flipper(display: str) -> "Iterator[subprocess.Popen[str]]":
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "bench.latency.remote.flipper", display],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        bufsize=1,
        start_new_session=True,
    )
    try:
        assert process.stdout is not None
        if "ready" not in process.stdout.readline():
            raise LatentcastError("the window that keys are pressed in did not open; what it said is above.")
        yield process
    finally:
        assert process.stdin is not None
        process.stdin.close()
        try:
            process.wait(5.0)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if process.stdout is not None and not process.stdout.closed:
            process.stdout.close()
