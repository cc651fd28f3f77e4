"""The tables of a run, for a terminal and as Markdown. No times are in them, so that they repeat exactly."""

from collections.abc import Sequence
from dataclasses import dataclass

from rich.box import SIMPLE_HEAD
from rich.table import Table as RichTable

from bench.rd.bjontegaard import Delta
from bench.rd.results import ClipResult, CodecCurve, Comparison, MeanComparison

ABSENT = "-"


@dataclass(frozen=True, slots=True)
class Table:
    """title; columns, the first `words` of them text, the rest numbers; rows; notes below it."""

    title: str
    columns: tuple[str, ...]
    words: int
    rows: list[tuple[str, ...]]
    notes: tuple[str, ...] = ()

    def rich(self) -> RichTable:
        """For the terminal. A row that repeats the first word of the one before leaves it out."""
        table = RichTable(
            title=self.title, title_justify="left", box=SIMPLE_HEAD, pad_edge=False, collapse_padding=True
        )
        for number, column in enumerate(self.columns):
            table.add_column(column, justify="left" if number < self.words else "right", no_wrap=True)
        previous = ""
        for row in self.rows:
            table.add_row("" if row[0] == previous else row[0], *row[1:])
            previous = row[0]
        return table

    def markdown(self) -> str:
        """As a GitHub table under a heading."""
        rule = ["---" if number < self.words else "---:" for number in range(len(self.columns))]
        lines = [[*self.columns], rule, *([_escaped(cell) for cell in row] for row in self.rows)]
        table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
        notes = "".join(f"\n* {note}" for note in self.notes)
        return f"## {self.title}\n\n{table}\n" + (f"{notes}\n" if notes else "")


def points_table(title: str, curves: Sequence[CodecCurve], notes: Sequence[str] = ()) -> Table:
    """Rate and quality of every point."""
    rows = []
    for curve in curves:
        for point in curve.points:
            similarity = ABSENT if point.ms_ssim is None else f"{point.ms_ssim:.4f}"
            fade = ABSENT if point.fade_db is None else f"{point.fade_db:+.1f}"
            quality = (point.psnr_y, point.psnr_u, point.psnr_v, point.psnr_611)
            rows.append(
                (
                    curve.codec,
                    f"{curve.point_name} {point.point}",
                    f"{point.kbps:.1f}",
                    f"{point.bits_per_pixel:.4f}",
                    *(f"{value:.2f}" for value in quality),
                    similarity,
                    fade,
                )
            )
    columns = ("codec", "point", "kbit/s", "bpp", "PSNR Y", "U", "V", "6:1:1", "MS-SSIM", "fade")
    return Table(title, columns, 2, rows, tuple(notes))


def clip_table(clip: ClipResult) -> Table:
    """The points of one clip."""
    title = f"{clip.name}: {clip.width}x{clip.height}, {float(clip.fps):.5g} fps, {clip.frames} frames"
    return points_table(title, clip.curves, [*clip.notes, *(f"left out: {failure}" for failure in clip.failures)])


def comparison_table(
    anchor: str, clips: Sequence[tuple[str, Sequence[Comparison]]], means: Sequence[MeanComparison]
) -> Table:
    """Every codec against the anchor, clip by clip, then the means."""
    rows: list[tuple[str, ...]] = []
    reasons: list[str] = []
    for name, comparisons in clips:
        for row in comparisons:
            deltas = (row.rate_psnr_y, row.rate_psnr_611, row.rate_ms_ssim, row.psnr_611)
            reasons += [f"{row.codec} on {name}: {delta.reason}" for delta in deltas if delta.reason]
            figures = (_percent(row.rate_psnr_y.value), _percent(row.rate_psnr_611.value))
            similarity = _percent(row.rate_ms_ssim.value)
            rows.append((name, row.codec, *figures, similarity, _db(row.psnr_611.value), _overlap(row.rate_psnr_611)))
    for mean in means if len(clips) > 1 else ():
        figures = (_percent(mean.rate_psnr_y), _percent(mean.rate_psnr_611))
        rows.append(("mean", mean.codec, *figures, _percent(mean.rate_ms_ssim), _db(mean.psnr_611), ""))
    if reasons and len(clips) > 1:
        reasons.append("means are over the clips that have the figure")
    columns = ("clip", "codec", "rate Y, %", "6:1:1, %", "MS-SSIM, %", "6:1:1, dB", "over, dB")
    title = f"Bjøntegaard, against {anchor}"
    return Table(title, columns, 2, rows, tuple(dict.fromkeys(reasons)))


def _percent(value: float | None) -> str:
    return ABSENT if value is None else f"{value:+.1f}"


def _db(value: float | None) -> str:
    return ABSENT if value is None else f"{value:+.2f}"


def _overlap(delta: Delta) -> str:
    """Qualities that both curves reach."""
    return ABSENT if delta.overlap is None else f"{delta.overlap[0]:.1f} to {delta.overlap[1]:.1f}"


def _escaped(cell: str) -> str:
    return cell.replace("|", "\\|")
