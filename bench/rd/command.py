"""`latentcast bench rd`: rate and distortion of our profiles beside conventional and external codecs, on any clips."""

import shlex
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from rich.console import Console

from bench.rd.clips import Clip, open_clip, raw_geometry
from bench.rd.coding import RateDistortionCodec
from bench.rd.conventional import ENCODERS
from bench.rd.document import Report, write_json, write_markdown, write_plots
from bench.rd.evaluate import evaluate_clip
from bench.rd.results import ClipResult
from bench.rd.selection import Checkpoints, choose_anchor, choose_codecs
from codec.profiles import Device
from latentcast.demo import CLIPS_FOLDER
from latentcast.errors import UserError
from latentcast.summary import ProgressBar

DEFAULT_FRAMES = 96
"""Twelve quality cycles. All of the demo clips and codecs then take a few minutes on two cores."""

_FILE_COLUMNS = 120
"""Where the output is no terminal: the tables need about 90."""

DEMO_CLIPS = tuple(CLIPS_FOLDER / name for name in ("flower.mp4", "signing.mkv", "water.mp4"))

DEMO_SIZE = (480, 270)

DEMO_NOTE = (
    f"demo clips, shrunk to fit {DEMO_SIZE[0]}x{DEMO_SIZE[1]}: the weights of nano were trained on them, among others, "
    "so they show it and do not measure it; and they are H.264 already, which at their own size would favour x264"
)


def run(
    *,
    clips: Sequence[Path] = (),
    profiles: Sequence[str] = (),
    codecs: Sequence[str] = (),
    externals: Sequence[Path] = (),
    frames: int = DEFAULT_FRAMES,
    size: tuple[int, int] | None = None,
    points: tuple[int, ...] | None = None,
    anchor: str | None = None,
    device: Device = "cpu",
    weights_image: Path | None = None,
    weights_video: Path | None = None,
    json: Path | None = None,
    markdown: Path | None = None,
    plots: Path | None = None,
) -> None:
    """Measure, print the tables, and write the files asked for.

    clips: videos or raw `.yuv` files; none means the demo clips. profiles: names, by default nano. codecs:
    `NAME[:PRESET][@POINTS]`, by default one preset of each. externals: TOML files. frames: how many of each clip, 0 for
    all. size: shrink larger clips to fit. points: base QPs of the profiles. anchor: what others are compared with.
    device, weights_image, weights_video: for the profile dcvc-rt.

    Raises UserError, for a codec that failed on a clip too, but then after everything else was measured and written.
    """
    notes = []
    if not clips:
        clips = DEMO_CLIPS
        if size is None:
            size = DEMO_SIZE
            notes.append(DEMO_NOTE)
    names = _clip_names(clips)
    chosen, missing = choose_codecs(
        profiles=profiles or ("nano",),
        codecs=codecs or tuple(ENCODERS),
        externals=externals,
        points=points,
        checkpoints=Checkpoints(weights_image, weights_video, device),
    )
    notes += missing
    reference = choose_anchor(chosen, anchor)
    results = _measure(dict(zip(names, clips, strict=True)), chosen, frames=frames or None, size=size)
    report = Report(shlex.join(["latentcast", *sys.argv[1:]]), reference, chosen, notes, results)
    _show(report)
    pictures = [] if plots is None else write_plots(report, plots)
    if markdown is not None:
        write_markdown(report, markdown, plots=pictures)
    if json is not None:
        write_json(report, json)
    if failures := [failure for clip in results for failure in clip.failures]:
        more = f" ({len(failures)} curves are missing in all)" if len(failures) > 1 else ""
        raise UserError(f"{failures[0]}{more}")


def _show(report: Report) -> None:
    console = Console(highlight=False, markup=False)
    if not console.is_terminal:
        console.width = _FILE_COLUMNS
    for line in (*report.notes, *report.conditions()):
        console.print(f"* {line}")
    for table in report.tables():
        console.print(table.rich())
        for note in table.notes:
            console.print(f"* {note}")
        console.print()


def _clip_names(clips: Sequence[Path]) -> list[str]:
    """A name for each, from its file's. Raises UserError for a clip that is not there."""
    names: list[str] = []
    for path in clips:
        if not path.is_file() and "%" not in path.name:
            raise UserError(f"there is no file {path}: check the name.")
        if path.suffix.lower() == ".yuv":
            raw_geometry(path)
        stem = path.stem.replace("%", "")
        count = sum(name == stem or name.startswith(f"{stem}~") for name in names)
        names.append(f"{stem}~{count + 1}" if count else stem)
    return names


def _measure(
    clips: dict[str, Path], codecs: Sequence[RateDistortionCodec], *, frames: int | None, size: tuple[int, int] | None
) -> list[ClipResult]:
    total = len(clips) * sum(len(codec.points) for codec in codecs)
    steps: Iterator[int] = iter(ProgressBar("measuring")(range(total), total=total))

    def step() -> None:
        next(steps, None)

    results = []
    with TemporaryDirectory(prefix="latentcast-rd-") as name:
        for clip_name, path in clips.items():
            with TemporaryDirectory(dir=name) as folder:
                clip: Clip = open_clip(path, Path(folder), name=clip_name, frames=frames, size=size)
                results.append(evaluate_clip(clip, codecs, folder=Path(folder), done=step))
    step()
    return results
