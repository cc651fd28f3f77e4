"""One measurement: a server and a viewer with a window as two processes, and the grabber beside them."""

import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.latency.display import Display
from bench.latency.frames import Frame, after_warm_up, read_frames
from bench.latency.grab import GrabTask
from bench.latency.grab_process import GrabProcess, Watched
from latentcast.demo_link import read_link, relayed
from latentcast.errors import LatentcastError
from latentcast.report import Report, read_report
from latentcast.server_process import ServerProcess

STREAM = "latency"

SHARED_SCREEN = "screen"
"""The source that is a desktop; under Xvfb it shows the test pattern."""

WARM_UP_S = 5.0
"""Left out after the first picture: for four seconds the window says which keys it has, over the bar code; the rate
controller climbs; caches are cold."""

GRABS_A_FRAME = 8
"""Eight looks at each picture put its appearance within an eighth of a frame interval."""
MIN_GRAB_INTERVAL_S = 0.002
"""A strip takes about half a millisecond to copy and read; more often would slow down what is measured."""

SLACK_S = 45.0
"""Beyond the seconds asked for: start-up of the viewer, and writing its report."""
LAST_WORDS_S = 15.0


@dataclass(frozen=True, slots=True)
class Setup:
    """What is streamed, and how."""

    source: str
    size: tuple[int, int]
    fps: float
    seconds: float
    """Measured, after the warm-up."""
    max_bitrate: int
    """bit/s."""
    link: str | None = None
    """As `demo --link` takes it."""
    codec: tuple[str, ...] = ()
    """Flags that both programs get, such as `--profile nano`."""
    warm_up_s: float = WARM_UP_S


@dataclass(frozen=True, slots=True)
class Measured:
    """What the viewer reported, and what the grabber saw."""

    report: Report
    frames: tuple[Frame, ...]
    """Those after the warm-up."""
    watched: Watched | None
    """None when nobody looked at the screen."""


def measure(setup: Setup, *, display: Display, grab: bool, environment: Mapping[str, str] | None = None) -> Measured:
    """Stream and watch. grab: look at the screen too. environment: the server's, when it is not ours.

    Raises UserError when source, size or link cannot be used, LatentcastError when a process fails.
    """
    plan = None if setup.link is None else read_link(setup.link)
    flags = ["--port", "0", "--stream", STREAM, "--source", setup.source, "--max-bitrate", str(setup.max_bitrate)]
    flags += ["--size", f"{setup.size[0]}x{setup.size[1]}", "--fps", f"{setup.fps:g}", *setup.codec]
    with tempfile.TemporaryDirectory(prefix="latentcast-") as name:
        folder = Path(name)
        with ServerProcess(flags, environment=environment) as server, relayed(server.url(), plan) as ways:
            watched = _watch(ways[0].url, setup, folder=folder, display=display, grab=grab)
        try:
            report = read_report(folder / "report.json")
            frames = after_warm_up(read_frames(folder / "frames.csv"), setup.warm_up_s)
        except OSError as error:
            raise LatentcastError("the viewer ended without a report; what it said is above.") from error
    if report.presenter != "window":
        raise LatentcastError(f"the viewer opened no window on the display {display.name}; what it said is above.")
    if not frames:
        raise LatentcastError(
            f"no frame was presented after the warm-up of {setup.warm_up_s:g} s; measure for longer with --seconds."
        )
    return Measured(report, tuple(frames), watched)


def _watch(url: str, setup: Setup, *, folder: Path, display: Display, grab: bool) -> Watched | None:
    seconds = setup.warm_up_s + setup.seconds
    flags = [url, "--stream", STREAM, "--seconds", f"{seconds:g}", "--report", str(folder), *setup.codec]
    viewer = subprocess.Popen(
        [sys.executable, "-P", "-m", "latentcast", "view", *flags],
        stdout=subprocess.DEVNULL,
        env=display.environment(),
        start_new_session=True,
    )
    try:
        if not grab:
            _wait(viewer, seconds + SLACK_S)
            return None
        task = GrabTask(
            display=display.name,
            pid=viewer.pid,
            width=setup.size[0],
            height=setup.size[1],
            interval_s=max(MIN_GRAB_INTERVAL_S, 1 / (GRABS_A_FRAME * setup.fps)),
        )
        with GrabProcess(task) as grabber:
            _wait(viewer, seconds + SLACK_S)
            return grabber.finish()
    finally:
        if viewer.poll() is None:
            viewer.kill()
            viewer.wait()


def _wait(viewer: "subprocess.Popen[bytes]", timeout_s: float) -> None:
    """Until the viewer has written its report. Raises LatentcastError, SystemExit(2) when it has said why itself."""
    try:
        code = viewer.wait(timeout_s)
    except subprocess.TimeoutExpired:
        viewer.send_signal(signal.SIGINT)
        try:
            code = viewer.wait(LAST_WORDS_S)
        except subprocess.TimeoutExpired as error:
            raise LatentcastError("the viewer did not end when it was told to, so there is no report.") from error
    if code == 2:
        raise SystemExit(2)
    if code != 0:
        raise LatentcastError(f"the viewer failed (exit code {code}).")


def codec_flags(settings: Mapping[str, object]) -> tuple[str, ...]:
    """Settings of the codec as flags of both programs; those that are None are left out."""
    given: Sequence[tuple[str, object]] = [(name, value) for name, value in settings.items() if value is not None]
    return tuple(part for name, value in given for part in (f"--{name.replace('_', '-')}", str(value)))
