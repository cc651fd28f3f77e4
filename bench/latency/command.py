"""`latentcast latency`: measure, compare, write the report."""

import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import typer
from rich.console import Console
from rich.table import Table

from bench.latency.camera.images import CameraImages
from bench.latency.camera.loop import as_result, read_loop
from bench.latency.camera.screen import Screenshots, screen_for
from bench.latency.display import SCREEN_PIXELS, Display, x_display
from bench.latency.document import FILES, NO_CAMERA, NO_INPUT, make_document, prepare_folder, write_all
from bench.latency.schema import Agreement, Camera, InputDelay, LatencyDocument, NotRun, Pixels, Sweep
from bench.latency.session import SHARED_SCREEN, WARM_UP_S, Measured, Setup, codec_flags, measure
from latentcast import barcode
from latentcast.errors import UserError

SCREEN = "screen"
"""As a camera: screenshots of an Xvfb with both windows."""


def run(
    *,
    source: str,
    size: tuple[int, int] | None,
    fps: float,
    seconds: float,
    max_bitrate: int,
    link: str | None,
    out: Path,
    virtual: bool,
    sweep: bool,
    camera: str | None,
    input_delay: bool,
    codec: Mapping[str, object],
) -> LatencyDocument:
    """Measure for `seconds` and write everything into the folder `out`. codec: settings of both ends.

    Raises UserError when display, source, size or folder cannot be used, LatentcastError when a process fails.
    """
    # A closed terminal or a `kill` ends everything as Control-C does; a shell starts background jobs with that ignored.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)
    prepare_folder(out)
    setup = Setup(
        source=source,
        size=size or (640, 360),
        fps=fps,
        seconds=seconds,
        max_bitrate=max_bitrate,
        link=link,
        codec=codec_flags(codec),
    )
    if camera is not None and source != "pattern":
        raise UserError(f"the camera loop shows the test pattern, not {source}; leave out --source or --camera.")
    console = Console()
    room = screen_for(setup.size) if camera == SCREEN else SCREEN_PIXELS
    with x_display(virtual=virtual or camera == SCREEN, size=room) as display:
        typer.echo(
            f"Streaming {source} at {setup.size[0]}x{setup.size[1]} to a window on "
            f"{'an Xvfb' if display.virtual else display.name} for {WARM_UP_S:g} + {seconds:g} s"
        )
        photographed: Camera | NotRun = NO_CAMERA
        no_pixels = _why_no_pixels(setup, display)
        if camera is None:
            measured = _measure(setup, display, grab=no_pixels is None)
        else:
            measured, photographed = _with_camera(setup, camera, display=display, grab=no_pixels is None)
        swept: tuple[Sweep, ...] = ()
        if sweep:
            from bench.latency.sweeps import run_sweeps

            run = partial(_measure, grab=False)
            swept = run_sweeps(setup, display=display, say=typer.echo, run=run)
    pressed: InputDelay | NotRun = NO_INPUT
    if input_delay:
        from bench.latency.remote.command import measure_input

        pressed = measure_input(size=setup.size, fps=fps, codec=setup.codec, say=typer.echo)
    document, pairs = make_document(
        measured,
        setup=setup,
        display=display,
        command=shlex.join(["latentcast", *sys.argv[1:]]),
        no_pixels=no_pixels,
        camera=photographed,
        input_delay=pressed,
        sweeps=swept,
    )
    write_all(out, document, pairs)
    console.print(summary(document))
    console.print(f"In {out}/: {', '.join(FILES)}", highlight=False)
    return document


def _why_no_pixels(setup: Setup, display: Display) -> NotRun | None:
    """Why method 2 cannot be run, or None."""
    if setup.source != "pattern" and not (setup.source == SHARED_SCREEN and display.virtual):
        return NotRun(
            why=f"the source {setup.source} draws no bar code with its capture time",
            how="Measure with --source pattern, or point a camera at source and viewer (docs/latency.md).",
        )
    width, height = setup.size
    if not barcode.strip_height(width=width, height=height):
        return NotRun(why=f"a bar code does not fit into {width}x{height}", how="Choose a --size of 128x72 or more.")
    return None


@contextmanager
def _showing_source(setup: Setup, display: Display, *, flags: Sequence[str] = ()) -> Iterator[int]:
    """The test pattern in a window or, by default, on the whole screen; the process id of the program that shows it."""
    size = f"{setup.size[0]}x{setup.size[1]}"
    show = ["latency", "show-source", "--size", size, "--fps", f"{setup.fps:g}", *flags]
    shown = subprocess.Popen(
        [sys.executable, "-P", "-m", "latentcast", *show], env=display.environment(), start_new_session=True
    )
    try:
        yield shown.pid
    finally:
        shown.terminate()
        shown.wait()


def _measure(setup: Setup, display: Display, *, grab: bool) -> Measured:
    """One run. A shared screen is another Xvfb, where there is one, on which the test pattern is shown: its bar code is
    drawn before the screen is captured."""
    if setup.source != SHARED_SCREEN or not display.virtual:
        return measure(setup, display=display, grab=grab)
    with x_display(virtual=True, size=setup.size) as desktop, _showing_source(setup, desktop):
        return measure(setup, display=display, grab=grab, environment=desktop.environment())


@contextmanager
def _looking(device: str, setup: Setup, display: Display, source_pid: int) -> Iterator[CameraImages | Screenshots]:
    if device == SCREEN:
        warm_up_s, seconds = setup.warm_up_s, setup.seconds
        with Screenshots(display.name, source_pid=source_pid, warm_up_s=warm_up_s, seconds=seconds) as shots:
            yield shots
        return
    with CameraImages(device, seconds=setup.seconds + setup.warm_up_s) as camera:
        typer.echo("Put the two windows side by side, and both into the camera's view")
        yield camera


def _with_camera(setup: Setup, device: str, *, display: Display, grab: bool) -> tuple[Measured, Camera | NotRun]:
    """Measure while a camera looks at the viewer's window and at one that shows the source."""
    if display.virtual and device != SCREEN:
        raise UserError("a camera cannot see an Xvfb; run this in an X session, with source and viewer on a monitor.")
    with _showing_source(setup, display, flags=["--window"]) as pid, _looking(device, setup, display, pid) as camera:
        measured = measure(setup, display=display, grab=grab)
        images = camera.finish()
    typer.echo(f"Looking for two bar codes in {len(images)} pictures")
    through = "screenshots of both windows" if device == SCREEN else device
    return measured, as_result(read_loop(images), fps=setup.fps, through=through)


def summary(document: LatencyDocument) -> Table:
    """The main figures for the terminal."""
    setup, one, two, both = document.setup, document.timestamps, document.pixels, document.agreement
    table = Table(title=f"Latency: {setup.source}, {setup.width}x{setup.height} at {setup.fps:g} fps, {setup.profile}")
    table.add_column("measured")
    table.add_column("value", justify="right")
    top = document.headline
    table.add_row("latency, p50", f"{top.ms:.1f} ms, between {top.low:.1f} and {top.high:.1f}")
    table.add_row(
        "1 timestamps, capture to drawn",
        f"p50 {one.total.p50:.1f}, p95 {one.total.p95:.1f}, p99 {one.total.p99:.1f} ms over {one.frames} frames",
    )
    table.add_row("  its stages, p50", ", ".join(f"{name} {part.p50:.1f}" for name, part in one.stages.items()) + " ms")
    table.add_row("  clock error at most", f"{one.clock_error_ms:.3f} ms")
    if isinstance(two, Pixels):
        table.add_row(
            "2 pixels, capture to screen",
            f"p50 {two.total.p50:.1f}, p95 {two.total.p95:.1f}, p99 {two.total.p99:.1f} ms over {two.frames} frames",
        )
        table.add_row("  bound of a grab, p50", f"{two.bound.p50:.1f} ms")
    else:
        table.add_row("2 pixels", f"not run: {two.why}")
    if isinstance(both, Agreement):
        word = "agree" if both.agree else "do NOT agree"
        table.add_row("1 and 2", f"{word}: p50 {both.p50_difference:+.1f} ms apart, limit {both.limit:g} ms")
    camera = document.camera
    if isinstance(camera, Camera):
        table.add_row("3 camera loop", f"p50 {camera.delay.p50:.0f} ms over {camera.pairs} photographs")
    else:
        table.add_row("3 camera loop", f"not run: {camera.why}")
    for sweep in document.sweeps:
        points = ", ".join(f"{point.value:g}: {point.p50:.0f}" for point in sweep.points)
        table.add_row(f"p50 by {sweep.parameter}, {sweep.unit}", f"{points} ms")
    pressed = document.input
    if isinstance(pressed, InputDelay):
        table.add_row("key to pixel", f"p50 {pressed.decoded.p50:.0f}, p95 {pressed.decoded.p95:.0f} ms")
    return table
