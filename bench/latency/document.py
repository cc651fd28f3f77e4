"""A measurement as files: latency.html, latency.json, frames.csv, trace.json."""

import csv
import os
from pathlib import Path

from bench.latency import findings
from bench.latency.display import Display
from bench.latency.page import page
from bench.latency.pairing import Pairs, pair, pair_by_time
from bench.latency.schema import Camera, FrameColumns, InputDelay, LatencyDocument, NotRun, SetupUsed, Sweep
from bench.latency.session import SHARED_SCREEN, Measured, Setup
from bench.latency.trace import write_trace
from latentcast import __version__
from latentcast.errors import UserError

FILES = ("latency.html", "latency.json", "frames.csv", "trace.json")

NO_CAMERA = NotRun(
    why="no camera looked at the two screens",
    how="Point a camera at the source and the viewer, then run `latentcast latency camera` (docs/latency.md).",
)
NO_INPUT = NotRun(
    why="it was not asked for",
    how="Add --input, which needs Xvfb, or run `latentcast latency input` alone.",
)


def make_document(
    measured: Measured,
    *,
    setup: Setup,
    display: Display,
    command: str,
    no_pixels: NotRun | None = None,
    camera: Camera | NotRun = NO_CAMERA,
    input_delay: InputDelay | NotRun = NO_INPUT,
    sweeps: tuple[Sweep, ...] = (),
) -> tuple[LatencyDocument, Pairs]:
    """The document, and the pairs of methods 1 and 2 for the trace. no_pixels: why nobody looked at the screen."""
    report, watched = measured.report, measured.watched
    together = pair_by_time if setup.source == SHARED_SCREEN else pair
    pairs = together(measured.frames, () if watched is None else watched.sightings)
    one = findings.timestamps(measured.frames, fps=setup.fps, clock_error_ms=report.clock_error_ms)
    two = no_pixels or (
        NotRun(why="nobody looked at the screen", how="")
        if watched is None
        else findings.pixels(pairs, watched, fps=setup.fps)
    )
    document = LatencyDocument(
        command=command,
        latentcast=__version__,
        started=report.started,
        machine=report.machine,
        setup=SetupUsed(
            source=setup.source,
            width=report.width,
            height=report.height,
            fps=report.fps,
            seconds=setup.seconds,
            warm_up_s=setup.warm_up_s,
            max_bitrate_bps=setup.max_bitrate,
            profile=report.profile,
            link=setup.link,
            presenter=report.presenter,
            same_clock=True,
            display="Xvfb" if display.virtual else display.name,
            x_server=None if watched is None else watched.x_server,
            screen=None if watched is None else watched.screen,
            window=None if watched is None else watched.window,
        ),
        headline=findings.headline(one, two),
        timestamps=one,
        pixels=two,
        agreement=findings.agreement(pairs, two if isinstance(two, NotRun) else None),
        camera=camera,
        input=input_delay,
        sweeps=sweeps,
        frames=findings.columns(measured.frames, pairs),
    )
    return document, pairs


def prepare_folder(folder: Path) -> None:
    """Make it, and take old results away: they must never pass for this run's. Raises UserError."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name in FILES:
            (folder / name).unlink(missing_ok=True)
    except OSError as error:
        raise UserError(f"the folder {folder} cannot be written ({error.strerror}); choose one with --out.") from error
    if not os.access(folder, os.W_OK):
        raise UserError(f"the folder {folder} cannot be written (no permission); choose one with --out.")


def write_all(folder: Path, document: LatencyDocument, pairs: Pairs) -> None:
    """All files. Raises UserError."""
    try:
        (folder / "latency.json").write_text(document.model_dump_json(indent=1) + "\n", "utf-8")
        (folder / "latency.html").write_text(page(document), "utf-8")
        _write_frames(folder / "frames.csv", document.frames)
        error_ms = document.timestamps.clock_error_ms
        write_trace(folder / "trace.json", document.frames, pairs, clock_error_ms=error_ms)
    except OSError as error:
        raise UserError(f"{folder} cannot be written ({error.strerror}); choose another with --out.") from error


def _write_frames(path: Path, frames: FrameColumns) -> None:
    columns: dict[str, list[object]] = {
        "frame": [*frames.number],
        "time_s": [*frames.time_s],
        "captured_us": [*frames.captured_us],
        "presented_us": [*frames.presented_us],
        "offset_us": [*frames.offset_us],
        **{f"{name}_ms": [*values] for name, values in frames.stages.items()},
        "total_ms": [*frames.total],
        "pixels_ms": [*frames.pixels],
        "pixels_bound_ms": [*frames.bound],
        "qp": [*frames.qp],
        "intra": [int(value) for value in frames.intra],
    }
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows(zip(*columns.values(), strict=True))
