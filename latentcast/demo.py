"""`latentcast demo`: a server and a viewer as two processes on loopback, and the summary of what was measured.

The demo owns both processes. Whatever happens, also Control-C, it lets the viewer write its report, prints the summary,
and ends the server.
"""

import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

import typer

from latentcast.demo_link import others, read_link, relayed
from latentcast.errors import LatentcastError, UserError
from latentcast.report import read_report
from latentcast.server_process import ServerProcess
from latentcast.summary import print_summary

CLIPS = ("signing.mkv", "flower.mp4", "water.mp4")
CLIPS_FOLDER = Path(__file__).resolve().parent.parent / "assets"
# What two cores encode and decode at 30 fps with room to spare.
DEFAULT_SIZE = (640, 360)
REPORT_TIMEOUT_S = 15.0
# Beyond the seconds asked for: start-up of the viewer, and writing the report.
SLACK_S = 45.0
DEFAULT_SECONDS = 20.0


def run_demo(
    *,
    sources: tuple[str, ...],
    size: tuple[int, int] | None,
    fps: float | None,
    seconds: float | None,
    max_bitrate: int,
    headless: bool,
    psnr: bool,
    report: Path,
    link: str | None = None,
    codec: Mapping[str, object] | None = None,
) -> None:
    """Stream for `seconds` and report into the folder `report`. codec: settings that both ends get, None left out.

    link: what lies between the two (`latentcast.demo_link`). seconds: None, 20 or what the scenario says.

    Raises UserError when source, size, link or report folder cannot be used, LatentcastError when a process fails.
    """
    plan = None if link is None else read_link(link)
    seconds = seconds or (plan.seconds if plan is not None else None) or DEFAULT_SECONDS
    # A closed terminal or a `kill` ends the demo as Control-C does, with both processes and a summary. Control-C itself
    # too: a shell starts background jobs with it ignored, which the viewer would inherit and never hear the demo.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)
    shared = [
        part
        for name, value in (codec or {}).items()
        if value is not None
        for part in (f"--{name.replace('_', '-')}", str(value))
    ]
    chosen = sources or tuple(str(CLIPS_FOLDER / name) for name in CLIPS)
    size = size or DEFAULT_SIZE
    try:
        report.mkdir(parents=True, exist_ok=True)
        # An old report must never pass for this run's.
        (report / "report.json").unlink(missing_ok=True)
    except OSError as error:
        raise UserError(
            f"the report folder {report} cannot be written ({error.strerror}); choose one with --report."
        ) from error
    with tempfile.TemporaryDirectory(prefix="latentcast-") as folder:
        ring = Path(folder) / "captured.ring"
        flags = ["--port", "0", "--stream", "demo", "--max-bitrate", str(max_bitrate), "--capture-ring", str(ring)]
        flags += ["--size", f"{size[0]}x{size[1]}"]
        flags += [] if fps is None else ["--fps", str(fps)]
        flags += shared
        for source in chosen:
            flags += ["--source", source]
        with ServerProcess(flags) as server:
            url = server.url()
            typer.echo(f"Streaming {', '.join(Path(name).name for name in chosen)} for {seconds:g} s")
            with relayed(url, plan) as ways:
                for way in ways[1:]:
                    typer.echo(f"Viewer {way.name} watches from {way.join_s:g} s on")
                with others(ways[1:], seconds=seconds, report=report, codec=shared):
                    first = ways[0].url
                    _watch(first, *shared, ring=ring, seconds=seconds, headless=headless, psnr=psnr, report=report)
    result = report / "report.json"
    if not result.exists():
        raise LatentcastError("the viewer ended without a report; run again with --verbose to see why.")
    print_summary(read_report(result), folder=report)


def _watch(url: str, *codec: str, ring: Path, seconds: float, headless: bool, psnr: bool, report: Path) -> None:
    flags = [
        url,
        *codec,
        "--stream",
        "demo",
        "--seconds",
        str(seconds),
        "--report",
        str(report),
        "--compare",
        str(ring),
    ]
    flags += ["--headless"] if headless else []
    flags += ["--psnr"] if psnr else []

    viewer = subprocess.Popen([sys.executable, "-P", "-m", "latentcast", "view", *flags], stdout=subprocess.DEVNULL)
    interrupted = False
    try:
        code = viewer.wait(seconds + SLACK_S)
    except KeyboardInterrupt:
        # The viewer got the same signal and is writing its report.
        interrupted = True
        viewer.send_signal(signal.SIGINT)
        code = _last_words(viewer)
    except subprocess.TimeoutExpired:
        viewer.send_signal(signal.SIGINT)
        code = _last_words(viewer)
    finally:
        if viewer.poll() is None:
            viewer.kill()
            viewer.wait()
    if interrupted and code != 0:
        typer.echo("Stopped before the first picture: there is nothing to report.", err=True)
        raise SystemExit(130)
    if code == 2:
        raise SystemExit(2)
    if code != 0:
        raise LatentcastError(f"the viewer failed (exit code {code}).")


def _last_words(viewer: subprocess.Popen[bytes]) -> int:
    """Exit code of a viewer that was told to end: it writes its report first."""
    try:
        return viewer.wait(REPORT_TIMEOUT_S)
    except subprocess.TimeoutExpired as error:
        raise LatentcastError("the viewer did not end when it was told to, so there is no report.") from error
