"""Rate-distortion curves of one clip, or of the mean, as a PNG: PSNR on the left, MS-SSIM on the right.

title, subtitle, legend
quality in dB over rate, rate logarithmic: equal distances are equal shares of bits, as in the Bjøntegaard figures
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.rd.canvas import GREY, GRID, INK, MARKERS, Canvas, Colour
from bench.rd.ms_ssim import decibels
from bench.rd.results import CodecCurve, Point

SIZE = (1400, 700)
"""Width and height of the picture in pixels."""

_COLOURS: tuple[Colour, ...] = (
    (204, 51, 17),
    (0, 119, 187),
    (0, 153, 136),
    (238, 119, 51),
    (238, 51, 119),
    (51, 187, 238),
    (120, 94, 60),
)
"""Paul Tol's "vibrant" scheme (Colour Schemes, SRON/EPS/TN/09-002) with a brown for its grey: lines that everybody can
tell apart, together with the shapes of the marks."""

_MARGIN, _LEFT, _BETWEEN, _BOTTOM = 28, 76, 84, 62
_TITLE_PX, _TEXT_PX = 32, 22
_MARK_PX, _LINE_PX = 5.0, 2.4
_LEGEND_LINE_PX = 28
_RATE_ROOM = 1.12
_QUALITY_ROOM = 0.06
_TICKS = 8


@dataclass(frozen=True, slots=True)
class _Box:
    """A rectangle of the page, in pixels."""

    left: float
    top: float
    width: float
    height: float

    @property
    def right(self) -> float:
        return self.left + self.width

    @property
    def bottom(self) -> float:
        return self.top + self.height

    @property
    def centre(self) -> tuple[float, float]:
        return self.left + self.width / 2, self.top + self.height / 2


@dataclass(frozen=True, slots=True)
class _Panel:
    """A plot's place on the page and what its sides stand for: log10 of kbit/s across, dB up."""

    box: _Box
    rates: tuple[float, float]
    qualities: tuple[float, float]

    def at(self, kbps: float, quality_db: float) -> tuple[float, float]:
        low, high = (math.log10(rate) for rate in self.rates)
        x = self.box.left + (math.log10(kbps) - low) / (high - low) * self.box.width
        bottom, top = self.qualities
        return x, self.box.bottom - (quality_db - bottom) / (top - bottom) * self.box.height


def plot_curves(path: Path, curves: Sequence[CodecCurve], *, title: str, subtitle: str) -> None:
    """Write the picture, `SIZE` pixels. Published curves are dashed. Raises UserError when it cannot be written."""
    canvas = Canvas(*SIZE)
    canvas.text(title, "topleft", (_MARGIN, 22), size_px=_TITLE_PX, colour=INK)
    canvas.text(subtitle, "topleft", (_MARGIN, 56), size_px=_TEXT_PX)
    top = _draw_legend(canvas, curves) + 48
    width = (SIZE[0] - _LEFT - _MARGIN - _BETWEEN) // 2
    height = SIZE[1] - _BOTTOM - top
    boxes = [_Box(left, top, width, height) for left in (_LEFT, _LEFT + width + _BETWEEN)]
    _draw_panel(canvas, boxes[0], curves, "PSNR (6Y + U + V) / 8, dB", lambda point: point.psnr_611)
    _draw_panel(canvas, boxes[1], curves, "MS-SSIM of Y, dB: -10 log10(1 - MS-SSIM)", _similarity_db)
    canvas.write(path)


def _similarity_db(point: Point) -> float | None:
    return None if point.ms_ssim is None else decibels(point.ms_ssim)


def _style(index: int) -> tuple[Colour, str]:
    return _COLOURS[index % len(_COLOURS)], MARKERS[index % len(MARKERS)]


def _draw_legend(canvas: Canvas, curves: Sequence[CodecCurve]) -> float:
    """Names beside their line and mark, in as many rows as it takes; returns where the last one ends."""
    x, y = float(_MARGIN), 100.0
    for index, curve in enumerate(curves):
        width = 50 + canvas.text_width(curve.codec, _TEXT_PX)
        if x > _MARGIN and x + width > SIZE[0] - _MARGIN:
            x, y = float(_MARGIN), y + _LEGEND_LINE_PX
        colour, kind = _style(index)
        canvas.path([(x, y), (x + 40, y)], colour, width=_LINE_PX, dash=_dash(curve))
        canvas.marker(kind, (x + 20, y), _MARK_PX, colour)
        canvas.text(curve.codec, "midleft", (x + 50, y + 1), size_px=_TEXT_PX, colour=INK)
        x += width + 34
    return y + 8


def _dash(curve: CodecCurve) -> tuple[float, float] | None:
    return (8.0, 6.0) if curve.published else None


def _draw_panel(
    canvas: Canvas,
    box: _Box,
    curves: Sequence[CodecCurve],
    caption: str,
    quality: Callable[[Point], float | None],
) -> None:
    lines: list[tuple[int, list[tuple[float, float]]]] = []
    for index, curve in enumerate(curves):
        found = [(point.kbps, value) for point in curve.points if (value := quality(point)) is not None]
        if found:
            lines.append((index, sorted(found)))
    canvas.text(caption, "bottomleft", (box.left, box.top - 12), size_px=_TEXT_PX)
    if not lines:
        canvas.text("nothing was measured", "center", box.centre, size_px=_TEXT_PX)
        return
    panel = _fitted(box, [point for _, line in lines for point in line])
    _draw_axes(canvas, panel)
    # The first codec last: ours is never hidden below the others.
    for index, line in reversed(lines):
        colour, kind = _style(index)
        at = [panel.at(*point) for point in line]
        canvas.path(at, colour, width=_LINE_PX, dash=_dash(curves[index]))
        for centre in at:
            canvas.marker(kind, centre, _MARK_PX, colour)


def _fitted(box: _Box, points: Sequence[tuple[float, float]]) -> _Panel:
    """Axes that hold all points with some room around them."""
    rates, qualities = zip(*points, strict=True)
    room = max(0.5, _QUALITY_ROOM * (max(qualities) - min(qualities)))
    return _Panel(
        box,
        (min(rates) / _RATE_ROOM, max(rates) * _RATE_ROOM),
        (min(qualities) - room, max(qualities) + room),
    )


def _draw_axes(canvas: Canvas, panel: _Panel) -> None:
    box = panel.box
    for rate in rate_ticks(*panel.rates):
        x, _ = panel.at(rate, panel.qualities[0])
        canvas.line((x, box.top), (x, box.bottom), GRID)
        canvas.line((x, box.bottom), (x, box.bottom + 5), GREY)
        canvas.text(f"{rate:g}", "midtop", (x, box.bottom + 9), size_px=_TEXT_PX)
    for level in quality_ticks(*panel.qualities):
        _, y = panel.at(panel.rates[0], level)
        canvas.line((box.left, y), (box.right, y), GRID)
        canvas.text(f"{level:g}", "midright", (box.left - 9, y), size_px=_TEXT_PX)
    canvas.line((box.left, box.bottom), (box.right, box.bottom), GREY)
    canvas.line((box.left, box.top), (box.left, box.bottom), GREY)
    canvas.text("kbit/s", "topright", (box.right, box.bottom + 32), size_px=_TEXT_PX)


def rate_ticks(low: float, high: float) -> list[float]:
    """Round rates from `low` to `high`: 1, 2, 5 of each power of ten, or fewer where that is too many for an axis."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for factors in ((1, 1.5, 2, 3, 5, 7), (1, 2, 5), (1,)):
        ticks = [factor * 10.0**power for power in powers for factor in factors if low <= factor * 10.0**power <= high]
        if len(ticks) <= _TICKS + 2:
            break
    return ticks


def quality_ticks(low: float, high: float) -> list[float]:
    """Round levels from `low` to `high`, `_TICKS` steps or fewer."""
    least = (high - low) / _TICKS
    power = 10.0 ** math.floor(math.log10(least))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= least * (1 - 1e-9))
    return [step * count for count in range(math.ceil(low / step), math.floor(high / step) + 1)]
