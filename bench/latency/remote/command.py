"""`latentcast latency input`: a desktop under Xvfb, a server that streams it, a viewer that presses keys."""

import asyncio
import secrets
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import typer

from bench.latency.camera.command import add_to_report
from bench.latency.display import x_display
from bench.latency.remote.desktop import Flipper, KeySeen
from bench.latency.remote.probe import PARTS, Press, Probe
from bench.latency.remote.window import WindowPress, press_in_window
from bench.latency.schema import InputDelay, NotRun, WindowInput
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
    if isinstance(found.window, WindowInput):
        whole = found.window
        typer.echo(
            f"Keyboard to window: p50 {whole.total.p50:.1f}, p95 {whole.total.p95:.1f} ms over {whole.presses} presses"
            f" ({whole.lost} without an answer), bound of a grab {whole.bound.p50:.1f} ms"
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
    with x_display(virtual=True, size=size) as display, Flipper(display.name) as flipper:
        environment = display.environment() | {"LATENTCAST_SERVE__INPUT_TOKEN": token}
        with ServerProcess(flags, environment=environment) as server:
            say(f"Pressing {presses} keys on a desktop of {size[0]}x{size[1]} at {fps:g} fps")
            url = server.url()
            answered, lost = asyncio.run(_probe(url, token=token, presses=presses, flipper=flipper))
            if answered:
                say("The same in a window, from the viewer's keyboard to its pixels")
                with x_display(virtual=True) as screen:
                    whole = press_in_window(
                        url, stream=STREAM, token=token, display=screen, flipper=flipper, presses=presses
                    )
    if not answered:
        return NotRun(
            why=f"{lost} key presses changed nothing in the picture",
            how="Run `latentcast doctor`, and see whether the server's log says why keys do not reach the desktop.",
        )
    return as_result(answered, lost=lost, window=in_window(*whole))


def in_window(answered: Sequence[WindowPress], lost: int) -> WindowInput | NotRun:
    """The figures of the whole way."""
    if not answered:
        return NotRun(
            why=f"{lost} keys pressed in the viewer's window changed nothing in it",
            how="Try `latentcast view` on a desktop of your own, F10 begins driving.",
        )
    totals = [press.total_ms for press in answered]
    low, high = median_interval(totals, block=1)
    return WindowInput(
        presses=len(answered),
        lost=lost,
        total=percentiles(totals),
        p50_interval=(round(low, 3), round(high, 3)),
        bound=percentiles([press.bound_ms for press in answered]),
        to_desktop=percentiles([press.to_desktop_ms for press in answered]),
    )


def as_result(presses: Sequence[Press], *, lost: int, window: WindowInput | NotRun) -> InputDelay:
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
        window=window,
        samples=tuple(tuple(round(part, 3) for part in press.parts_ms) for press in presses),
    )


async def _probe(url: str, *, token: str, presses: int, flipper: Flipper) -> tuple[list[Press], int]:
    loop = asyncio.get_running_loop()
    seen: asyncio.Queue[KeySeen] = asyncio.Queue(MAX_KEYS)

    def on_key(key: KeySeen) -> None:
        if not seen.full():
            seen.put_nowait(key)

    flipper.listen(lambda key: loop.call_soon_threadsafe(on_key, key))
    try:
        probe = Probe(url, stream=STREAM, token=token, say=lambda text: typer.echo(text, err=True))
        return await probe.run(presses, seen)
    finally:
        flipper.listen(lambda _: None)
