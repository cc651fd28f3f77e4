"""The tables of a run. Nothing in them depends on how fast the machine is."""

from collections.abc import Callable, Sequence

from bench.loss.results import Curve, Point
from bench.rd.tables import ABSENT, Table

_NOTE = (
    "worst tenth: 10th percentile over pictures, dB; delay: capture to decoded, of pictures in time, ms; kbit/s: all "
    "that is sent; intra/min: intra frames a minute after the first"
)


def all_tables(curves: Sequence[Curve]) -> list[Table]:
    """Quality, pictures in time, longest freeze; then everything about each point."""
    return [
        _matrix("PSNR-Y of what is on the screen, dB", curves, lambda point: f"{point.psnr_y:.2f}"),
        _matrix("Pictures shown in time, %", curves, lambda point: f"{100 * point.in_time:.1f}"),
        _matrix("Longest freeze, ms", curves, lambda point: f"{point.longest_freeze_ms:.0f}"),
        _details(curves),
    ]


def _matrix(title: str, curves: Sequence[Curve], cell: Callable[[Point], str]) -> Table:
    losses = [point.loss for point in curves[0].points] if curves else []
    columns = ("loss", *(_percent(loss) for loss in losses))
    rows = [(curve.series.name, *(cell(point) for point in curve.points)) for curve in curves]
    return Table(title, columns, 1, rows)


def _details(curves: Sequence[Curve]) -> Table:
    columns = (
        "series",
        "loss",
        "PSNR-Y",
        "worst tenth",
        "delay p95, ms",
        "kbit/s",
        "parity, %",
        "resent, %",
        "intra/min",
    )
    rows: list[tuple[str, ...]] = [
        (
            curve.series.name,
            _percent(point.loss),
            f"{point.psnr_y:.2f}",
            f"{point.psnr_y_worst:.2f}",
            ABSENT if point.delay_p95_ms is None else f"{point.delay_p95_ms:.0f}",
            f"{point.kbps:.0f}",
            f"{100 * point.parity:.1f}",
            f"{100 * point.resent:.1f}",
            f"{point.intra_frames:.1f}",
        )
        for curve in curves
        for point in curve.points
    ]
    return Table("Each point", columns, 2, rows, (_NOTE,))


def _percent(share: float) -> str:
    return f"{100 * share:g} %"
