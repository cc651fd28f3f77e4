"""Time against picture size as a PNG: both axes logarithmic, a line for each engine and side."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.rd.canvas import GREY, GRID, INK, Canvas, Colour
from bench.rd.plots import rate_ticks
from bench.speed.growth import GrowthPoint

SIZE = (1200, 760)
"""Width and height of the picture in pixels."""

FRAME_MS = 1000 / 30

_COLOURS: tuple[Colour, ...] = ((204, 51, 17), (0, 119, 187), (0, 153, 136), (120, 94, 60))
_LEFT, _RIGHT, _BOTTOM = 84, 40, 84
_TITLE_PX, _TEXT_PX = 32, 22
_LEGEND_TOP, _LEGEND_LINE_PX = 100, 28
_MARK_PX, _LINE_PX = 5.5, 2.4
_DASH = (9.0, 6.0)
_ROOM = 1.15


@dataclass(frozen=True, slots=True)
class Curve:
    """One engine."""

    name: str
    points: Sequence[GrowthPoint]


@dataclass(frozen=True, slots=True)
class _Axis:
    """Logarithmic map of values to pixels."""

    low: float
    high: float
    start_px: float
    end_px: float

    def px(self, value: float) -> float:
        share = math.log(value / self.low) / math.log(self.high / self.low)
        return self.start_px + share * (self.end_px - self.start_px)


def plot_growth(path: Path, curves: Sequence[Curve], *, title: str, subtitle: str) -> None:
    """Write the picture, `SIZE` pixels. Encoding is a full line, decoding dashed. Raises UserError."""
    canvas = Canvas(*SIZE)
    canvas.text(title, "topleft", (_LEFT, 22), size_px=_TITLE_PX, colour=INK)
    canvas.text(subtitle, "topleft", (_LEFT, 56), size_px=_TEXT_PX)
    curves = [curve for curve in curves if curve.points]
    top = _draw_legend(canvas, curves) + 50
    if curves:
        sizes = [point.megapixels for curve in curves for point in curve.points]
        times = [ms for curve in curves for point in curve.points for ms in (point.encode_ms, point.decode_ms)]
        across = _Axis(min(sizes) / _ROOM, max(sizes) * _ROOM, _LEFT, SIZE[0] - _RIGHT)
        up = _Axis(min(*times, FRAME_MS) / _ROOM, max(*times, FRAME_MS) * _ROOM, SIZE[1] - _BOTTOM, top)
        _draw_axes(canvas, across, up, curves)
        # The first engine last: it is never hidden below the others.
        for number, curve in reversed(list(enumerate(curves))):
            _draw_curve(canvas, across, up, curve, _COLOURS[number % len(_COLOURS)])
    else:
        canvas.text("nothing was measured", "center", (SIZE[0] / 2, SIZE[1] / 2), size_px=_TEXT_PX)
    canvas.write(path)


def _draw_legend(canvas: Canvas, curves: Sequence[Curve]) -> float:
    """A line of names, then what the lines mean; returns where it ends."""
    x, y = float(_LEFT), float(_LEGEND_TOP)
    for number, curve in enumerate(curves):
        width = 26 + canvas.text_width(curve.name, _TEXT_PX)
        if x > _LEFT and x + width > SIZE[0] - _RIGHT:
            x, y = float(_LEFT), y + _LEGEND_LINE_PX
        canvas.disc((x + 8, y), 8, _COLOURS[number % len(_COLOURS)])
        canvas.text(curve.name, "midleft", (x + 24, y + 1), size_px=_TEXT_PX, colour=INK)
        x += width + 26
    y += _LEGEND_LINE_PX
    x = float(_LEFT)
    for name, kind, dash in (("encode", "circle", None), ("decode", "square", _DASH)):
        canvas.path([(x, y), (x + 46, y)], GREY, width=_LINE_PX, dash=dash)
        canvas.marker(kind, (x + 23, y), _MARK_PX, GREY)
        canvas.text(name, "midleft", (x + 56, y + 1), size_px=_TEXT_PX, colour=INK)
        x += 56 + canvas.text_width(name, _TEXT_PX) + 34
    return y


def _draw_axes(canvas: Canvas, across: _Axis, up: _Axis, curves: Sequence[Curve]) -> None:
    left, right, top, bottom = across.start_px, across.end_px, up.end_px, up.start_px
    for ms in rate_ticks(up.low, up.high):
        canvas.line((left, up.px(ms)), (right, up.px(ms)), GRID)
        canvas.text(f"{ms:g}", "midright", (left - 9, up.px(ms)), size_px=_TEXT_PX)
    for width, height in sorted({(point.width, point.height) for curve in curves for point in curve.points}):
        x = across.px(width * height / 1e6)
        canvas.line((x, top), (x, bottom), GRID)
        canvas.line((x, bottom), (x, bottom + 5), GREY)
        canvas.text(f"{width}x{height}", "midtop", (x, bottom + 9), size_px=_TEXT_PX)
        canvas.text(f"{width * height / 1e6:.2g}", "midtop", (x, bottom + 31), size_px=_TEXT_PX)
    canvas.text("ms a frame", "bottomleft", (left, top - 8), size_px=_TEXT_PX)
    canvas.text("picture, megapixels", "topright", (right, bottom + 55), size_px=_TEXT_PX)
    canvas.path([(left, up.px(FRAME_MS)), (right, up.px(FRAME_MS))], INK, width=1.4, dash=(3.0, 4.0))
    canvas.text("33 ms: 30 fps", "bottomleft", (left + 8, up.px(FRAME_MS) - 3), size_px=_TEXT_PX, colour=INK)
    canvas.line((left, bottom), (right, bottom), GREY)
    canvas.line((left, top), (left, bottom), GREY)


def _draw_curve(canvas: Canvas, across: _Axis, up: _Axis, curve: Curve, colour: Colour) -> None:
    for kind, dash in (("square", _DASH), ("circle", None)):
        at = [
            (across.px(point.megapixels), up.px(point.decode_ms if dash else point.encode_ms))
            for point in sorted(curve.points, key=lambda point: point.megapixels)
        ]
        canvas.path(at, colour, width=_LINE_PX, dash=dash)
        for centre in at:
            canvas.marker(kind, centre, _MARK_PX, colour)
