"""Plots on a page over the loss rate: a column for each repair, PSNR-Y above, the share of pictures in time below."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.loss.results import Curve, Point
from bench.loss.series import KINDS, Kind
from bench.loss.simulation import REPAIRS, Repair
from bench.rd.canvas import GREY, GRID, INK, MARKERS, Canvas, Colour
from bench.rd.plots import quality_ticks

SIZE = (1500, 1000)
"""Width and height of the picture in pixels."""

_COLOURS: tuple[Colour, ...] = ((204, 51, 17), (0, 119, 187), (0, 153, 136))
"""The first three of bench.rd.plots: the same codec has the same colour in both."""
LABELS: dict[Kind, str] = {
    "nano": "nano",
    "x264": "x264, damage concealed",
    "x264 held": "x264, picture held while damaged",
}

_LEFT, _RIGHT, _BOTTOM = 76, 36, 70
_BETWEEN, _ABOVE = 62, 74
"""Between the columns, and between the rows."""
_TITLE_PX, _TEXT_PX = 32, 22
_LEGEND_TOP = 100
_MARK_PX, _LINE_PX = 5.5, 2.6

_REPAIR_LABELS: dict[Repair, str] = {
    "parity and NACK": "parity and NACK",
    "parity only": "parity only",
    "none": "no repair",
}


@dataclass(frozen=True, slots=True)
class _Panel:
    """A plot's place in pixels, and its ranges: loss in % across, a figure up."""

    left: float
    top: float
    right: float
    bottom: float
    losses: tuple[float, float]
    values: tuple[float, float]

    def at(self, loss: float, value: float) -> tuple[float, float]:
        across = (loss - self.losses[0]) / (self.losses[1] - self.losses[0])
        up = (value - self.values[0]) / (self.values[1] - self.values[0])
        return self.left + across * (self.right - self.left), self.bottom - up * (self.bottom - self.top)


@dataclass(frozen=True, slots=True)
class _Figure:
    """A row: what is drawn, and its range if that does not follow from the points."""

    caption: str
    of: Callable[[Point], float]
    fixed: tuple[float, float] | None = None

    def range(self, curves: Sequence[Curve]) -> tuple[float, float]:
        """The same for every column, so that they can be compared."""
        if self.fixed is not None:
            return self.fixed
        values = [self.of(point) for curve in curves for point in curve.points]
        room = max(0.5, 0.06 * (max(values) - min(values)))
        return min(values) - room, max(values) + room


_FIGURES = (
    _Figure("PSNR-Y of what is on the screen, dB", lambda point: point.psnr_y),
    _Figure("pictures shown in time, %", lambda point: 100 * point.in_time, (0.0, 104.0)),
)


def plot_curves(path: Path, curves: Sequence[Curve], *, title: str, subtitle: str) -> None:
    """Write the picture, `SIZE` pixels. Raises UserError when it cannot be written."""
    canvas = Canvas(*SIZE)
    canvas.text(title, "topleft", (_LEFT, 22), size_px=_TITLE_PX, colour=INK)
    canvas.text(subtitle, "topleft", (_LEFT, 56), size_px=_TEXT_PX)
    top = _draw_legend(canvas, curves) + 84
    repairs = [repair for repair in REPAIRS if any(curve.series.repair == repair for curve in curves)]
    if not repairs:
        canvas.text("nothing was measured", "center", (SIZE[0] / 2, SIZE[1] / 2), size_px=_TEXT_PX)
    most = max([1.0, *(100 * point.loss for curve in curves for point in curve.points)])
    width = (SIZE[0] - _LEFT - _RIGHT - _BETWEEN * (len(repairs) - 1)) / max(1, len(repairs))
    height = (SIZE[1] - top - _BOTTOM - _ABOVE * (len(_FIGURES) - 1)) / len(_FIGURES)
    for column, repair in enumerate(repairs):
        left = _LEFT + column * (width + _BETWEEN)
        canvas.text(_REPAIR_LABELS[repair], "bottomleft", (left, top - 40), size_px=_TEXT_PX, colour=INK)
        for row, figure in enumerate(_FIGURES):
            above = top + row * (height + _ABOVE)
            losses = (-0.03 * most, 1.03 * most)
            panel = _Panel(left, above, left + width, above + height, losses, figure.range(curves))
            if column == 0:
                canvas.text(figure.caption, "bottomleft", (left, above - 10), size_px=_TEXT_PX)
            _draw_axes(canvas, panel, most)
            # The first codec last: ours is never hidden below the others.
            for curve in reversed([curve for curve in curves if curve.series.repair == repair]):
                _draw_curve(canvas, panel, curve, figure.of)
    canvas.text("packets lost, each way, %", "topright", (SIZE[0] - _RIGHT, SIZE[1] - 36), size_px=_TEXT_PX)
    canvas.write(path)


def _style(kind: Kind) -> tuple[Colour, str]:
    return _COLOURS[KINDS.index(kind)], MARKERS[KINDS.index(kind)]


def _draw_legend(canvas: Canvas, curves: Sequence[Curve]) -> float:
    """A line of codecs; returns where it ends."""
    x, y = float(_LEFT), float(_LEGEND_TOP)
    for kind in dict.fromkeys(curve.series.kind for curve in curves):
        colour, mark = _style(kind)
        canvas.path([(x, y), (x + 40, y)], colour, width=_LINE_PX)
        canvas.marker(mark, (x + 20, y), _MARK_PX, colour)
        canvas.text(LABELS[kind], "midleft", (x + 50, y + 1), size_px=_TEXT_PX, colour=INK)
        x += 84 + canvas.text_width(LABELS[kind], _TEXT_PX)
    return y


def _draw_axes(canvas: Canvas, panel: _Panel, most: float) -> None:
    for loss in quality_ticks(0, most):
        x, _ = panel.at(loss, panel.values[0])
        canvas.line((x, panel.top), (x, panel.bottom), GRID)
        canvas.line((x, panel.bottom), (x, panel.bottom + 5), GREY)
        canvas.text(f"{loss:g}", "midtop", (x, panel.bottom + 9), size_px=_TEXT_PX)
    for value in quality_ticks(*panel.values):
        _, y = panel.at(panel.losses[0], value)
        canvas.line((panel.left, y), (panel.right, y), GRID)
        canvas.text(f"{value:g}", "midright", (panel.left - 9, y), size_px=_TEXT_PX)
    canvas.line((panel.left, panel.bottom), (panel.right, panel.bottom), GREY)
    canvas.line((panel.left, panel.top), (panel.left, panel.bottom), GREY)


def _draw_curve(canvas: Canvas, panel: _Panel, curve: Curve, figure: Callable[[Point], float]) -> None:
    colour, mark = _style(curve.series.kind)
    at = [panel.at(100 * point.loss, figure(point)) for point in curve.points]
    canvas.path(at, colour, width=_LINE_PX)
    for centre in at:
        canvas.marker(mark, centre, _MARK_PX, colour)
