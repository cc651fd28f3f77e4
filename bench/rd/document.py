"""A run as files: Markdown for readers, JSON for programs, plots."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from bench.rd import anchor as published
from bench.rd.coding import RateDistortionCodec
from bench.rd.conventional import library_versions
from bench.rd.plots import plot_curves
from bench.rd.results import (
    ClipResult,
    CodecCurve,
    Comparison,
    MeanComparison,
    compare,
    mean_comparisons,
    mean_curves,
)
from bench.rd.tables import Table, clip_table, comparison_table, points_table
from client.measurement import describe_machine
from latentcast import __version__
from latentcast.errors import UserError

FORMAT = 1
"""Version of the JSON: raised when a field changes its meaning."""


@dataclass(frozen=True, slots=True)
class Report:
    """One run, finished."""

    command: str
    anchor: str
    codecs: Sequence[RateDistortionCodec]
    notes: Sequence[str]
    clips: Sequence[ClipResult]

    def comparisons(self) -> list[list[Comparison]]:
        """Per clip, every codec against the anchor."""
        return [compare(clip, self.anchor) for clip in self.clips]

    def mean_comparisons(self) -> list[MeanComparison]:
        return mean_comparisons(self.comparisons())

    def mean_curves(self) -> list[CodecCurve]:
        """Means over the clips; none for a single clip."""
        return mean_curves(self.clips) if len(self.clips) > 1 else []

    def tables(self) -> list[Table]:
        """Clips, mean, comparison."""
        tables = [clip_table(clip) for clip in self.clips]
        if curves := self.mean_curves():
            tables.append(points_table(f"mean of {len(self.clips)} clips", curves))
        pairs = list(zip((clip.name for clip in self.clips), self.comparisons(), strict=True))
        if any(rows for _, rows in pairs):
            tables.append(comparison_table(self.anchor, pairs, self.mean_comparisons()))
        return tables

    def conditions(self) -> list[str]:
        """How each codec was run, in a line."""
        lines = [
            f"{codec.name}: {codec.point_name} {', '.join(map(str, codec.points))}; {codec.settings}"
            for codec in self.codecs
        ]
        if any(curve.published for clip in self.clips for curve in clip.curves):
            lines.append(f"{published.NAME}: {published.SETTINGS}")
        return lines


def write_plots(report: Report, folder: Path) -> list[Path]:
    """One PNG per clip, and `mean.png` for several. Raises UserError."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"cannot make the folder {folder} ({error.strerror}): choose another one.") from error
    pages = [
        (clip.name, clip.curves, f"{clip.name}, {clip.width}x{clip.height}, {float(clip.fps):.5g} fps", clip.frames)
        for clip in report.clips
    ]
    paths = []
    for name, curves, title, frames in pages:
        paths.append(folder / f"{name}.png")
        plot_curves(paths[-1], curves, title=title, subtitle=f"first {frames} frames, one intra frame, low delay")
    if mean := report.mean_curves():
        paths.append(folder / "mean.png")
        names = ", ".join(clip.name for clip in report.clips)
        plot_curves(paths[-1], mean, title=f"mean of {len(report.clips)} clips", subtitle=_shortened(names))
    return paths


def write_markdown(report: Report, path: Path, *, plots: Sequence[Path]) -> None:
    """Tables with the command that made them; nothing that changes from run to run. Raises UserError."""
    lines = ["# Rate and distortion", "", "```", report.command, "```", ""]
    lines += [f"* {line}" for line in (*report.notes, *report.conditions())]
    versions = ", ".join(f"{name} {version}" for name, version in library_versions().items())
    lines += [f"* latentcast {__version__}; {versions}", ""]
    lines += [table.markdown() for table in report.tables()]
    lines += [f"![{plot.stem}]({_relative(plot, path.parent)})\n" for plot in plots]
    _write(path, "\n".join(lines))


def write_json(report: Report, path: Path) -> None:
    """Everything, times and machine included. Raises UserError."""
    result = {
        "format": FORMAT,
        "latentcast": __version__,
        "command": report.command,
        "machine": describe_machine().model_dump(),
        "libraries": library_versions(),
        # Nothing is drawn by chance: kept so that a reader need not look for it.
        "seeds": [],
        "anchor": report.anchor,
        "notes": list(report.notes),
        "codecs": [
            {
                "name": codec.name,
                "settings": codec.settings,
                "point_name": codec.point_name,
                "points": list(codec.points),
            }
            for codec in report.codecs
        ],
        "clips": [asdict(clip) for clip in report.clips],
        "comparisons": {
            clip.name: [asdict(row) for row in rows]
            for clip, rows in zip(report.clips, report.comparisons(), strict=True)
        },
        "mean_curves": [asdict(curve) for curve in report.mean_curves()],
        "mean_comparisons": [asdict(row) for row in report.mean_comparisons()],
    }
    _write(path, json.dumps(result, indent=2, default=_plain, allow_nan=False) + "\n")


def _plain(value: Any) -> str:
    if isinstance(value, Fraction):
        return str(value)
    raise TypeError(f"{type(value)} has no form in JSON")


def _relative(path: Path, folder: Path) -> str:
    """`path` as a link from `folder`, whole where one does not lead to the other."""
    try:
        return path.resolve().relative_to(folder.resolve()).as_posix()
    except ValueError:
        return path.as_posix()


def _shortened(text: str) -> str:
    return text if len(text) <= 120 else f"{text[:117].rstrip()} …"


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, "utf-8")
    except OSError as error:
        raise UserError(f"{path} cannot be written ({error.strerror}); choose another place.") from error
