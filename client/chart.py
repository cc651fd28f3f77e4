"""The latency chart of a report: where every frame's time went, and how the totals are spread.

    title, subtitle, legend (median of each stage)
    stacked area: the stages of every frame over time, with p50, p95, p99 of the total
    histogram of the totals

The page is drawn at three times its size and averaged down, which smooths edges and lets letters keep their distances.
Nothing here opens a display.
"""

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from client.fit import spread
from client.overlay import Lettering, text_font, wrap_text
from client.still import write_png

os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")
import pygame

_Colour = tuple[int, int, int]
_Point = tuple[float, float]

_SIZE = (1200, 700)
_OVERSAMPLING = 3
_LEFT, _RIGHT = 72, 1076
_HISTOGRAM = pygame.Rect(_LEFT, 556, _RIGHT - _LEFT, 88)
_PAPER = (252, 252, 250)
_INK = (32, 36, 44)
_GREY = (104, 110, 120)
_GRID = (228, 229, 231)
_BARS = (136, 152, 176)
_CLIPPED = (194, 48, 48)
_STAGE_COLOURS = (
    (119, 170, 221),
    (238, 136, 102),
    (238, 221, 136),
    (153, 221, 255),
    (255, 170, 187),
    (68, 187, 153),
    (187, 204, 51),
    (170, 170, 0),
    (200, 200, 200),
)
"""Paul Tol's "light" scheme (Colour Schemes, SRON/EPS/TN/09-002): made for filled areas, distinct to all eyes."""
_PERCENTILES = ((50, None), (95, (9, 5)), (99, (2, 4)))
"""Percentile, and its dash pattern in pixels: drawn, gap."""
_FREEZE_S = 0.5
"""Viewers call a picture that stands this long frozen: there the area is interrupted."""
_FREEZE_FRAMES = 6
"""The same for a stream so slow, or so long, that half a second is no interruption: median intervals."""
_HOLD_S = 1 / 30
"""How long the last frame counts as shown where no interval can be measured."""
_CLIP_PERCENTILE = 99.5
_CLIP_HEADROOM = 1.2
_HEADROOM = 1.05
_MIN_BARS, _MAX_BARS = 16, 90
_MIN_BAR_MS = 0.25
"""Finer than this, bars would show the resolution of the clocks."""
_TITLE_PX, _TEXT_PX, _SMALL_PX = 32, 22, 20


@dataclass(frozen=True, slots=True)
class FrameStages:
    """Where the time of one presented frame went."""

    presented_s: float
    """When it was presented, in seconds of any clock."""
    stages_ms: Mapping[str, float]
    """Duration of each stage in order, first stage first. They add up to the frame's latency."""


@dataclass(frozen=True, slots=True)
class _Axis:
    """Linear map of values to pixels."""

    low: float
    high: float
    start_px: float
    end_px: float

    def px(self, value: float) -> float:
        """Where `value` is drawn."""
        return self.start_px + (value - self.low) / (self.high - self.low) * (self.end_px - self.start_px)

    def ticks(self, most: int) -> list[float]:
        """Round values on the axis, `most` intervals or fewer."""
        step = _round_step((self.high - self.low) / most)
        return [step * count for count in range(math.ceil(self.low / step), math.floor(self.high / step) + 1)]


class _Canvas:
    """A page drawn large and averaged down; coordinates and sizes in final pixels."""

    def __init__(self) -> None:
        self._page = pygame.Surface((_SIZE[0] * _OVERSAMPLING, _SIZE[1] * _OVERSAMPLING), 0, 24)
        self._page.fill(_PAPER)

    def clip(self, box: pygame.Rect | None) -> None:
        """Keep what follows inside `box`; None lifts that."""
        self._page.set_clip(box and pygame.Rect([side * _OVERSAMPLING for side in box]))

    def polygon(self, points: Sequence[_Point], colour: _Colour) -> None:
        """Fill a polygon of three points or more."""
        pygame.draw.polygon(self._page, colour, [(x * _OVERSAMPLING, y * _OVERSAMPLING) for x, y in points])

    def box(self, left: float, top: float, right: float, bottom: float, colour: _Colour) -> None:
        """Fill an upright rectangle."""
        self.polygon([(left, top), (right, top), (right, bottom), (left, bottom)], colour)

    def line(self, start: _Point, end: _Point, colour: _Colour, *, dash: tuple[int, int] | None = None) -> None:
        """Draw a line one pixel wide, `dash` as in `_PERCENTILES`."""
        length = math.dist(start, end)
        drawn, gap = dash or (length, 1)
        at = 0.0
        while at < length:
            ends = [
                [_OVERSAMPLING * (s + (e - s) * part / length) for s, e in zip(start, end, strict=True)]
                for part in (at, min(at + drawn, length))
            ]
            pygame.draw.line(self._page, colour, ends[0], ends[1], _OVERSAMPLING)
            at += drawn + gap

    def text(self, text: str, anchor: str, at: _Point, *, size_px: int = _TEXT_PX, colour: _Colour = _GREY) -> None:
        """Set one line whose `anchor` (a corner or middle, in pygame's words) is at `at`."""
        surface = text_font(size_px * _OVERSAMPLING).render(text, True, colour)
        place = surface.get_rect(**{anchor: (round(at[0] * _OVERSAMPLING), round(at[1] * _OVERSAMPLING))})
        self._page.blit(surface, place)

    def finish(self) -> pygame.Surface:
        """The page."""
        return pygame.transform.smoothscale(self._page, _SIZE)


def latency_chart(path: Path, *, frames: Sequence[FrameStages], title: str, subtitle: str) -> None:
    """Write the chart as a PNG of 1200 by 700 pixels.

    Time starts at the first frame. Where there are more frames than pixel columns, each column shows the frame of
    median latency among its own, so that the stages drawn still add up. The axis ends at the largest total, or at 1.2
    times its 99.5th percentile, with a mark at every frame beyond. Negative stages (the two clocks are aligned only so
    well) count in the totals and are drawn as nothing. Frames with a number that is not finite are left out.
    UserError when the file cannot be written.
    """
    canvas = _Canvas()
    canvas.text(_shortened(title, _TITLE_PX), "topleft", (_LEFT, 22), size_px=_TITLE_PX, colour=_INK)
    canvas.text(_shortened(subtitle, _TEXT_PX), "topleft", (_LEFT, 56))
    names = list(dict.fromkeys(name for frame in frames for name in frame.stages_ms))
    times_s, stages_ms = _table(frames, names)
    if not len(times_s):
        canvas.text("no frames were presented", "center", (_SIZE[0] / 2, _SIZE[1] / 2), size_px=_TITLE_PX)
    else:
        totals_ms = stages_ms.sum(axis=1)
        clipped_ms = _CLIP_HEADROOM * float(np.percentile(totals_ms, _CLIP_PERCENTILE))
        limit_ms = max(min(_HEADROOM * float(totals_ms.max()), clipped_ms), 1.0)
        top = _draw_legend(canvas, names, stages_ms) + 44
        plot = pygame.Rect(_LEFT, top, _RIGHT - _LEFT, _HISTOGRAM.top - 88 - top)
        _draw_stages(canvas, plot, times_s, stages_ms, limit_ms)
        _draw_histogram(canvas, totals_ms, limit_ms)
    write_png(path, canvas.finish())


def _table(frames: Sequence[FrameStages], names: Sequence[str]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Times `(frames,)` in seconds from the first, and durations `(frames, stages)` in ms, in order of time."""
    rows = [[frame.presented_s, *(frame.stages_ms.get(name, 0.0) for name in names)] for frame in frames]
    table = np.asarray(rows, dtype=np.float64).reshape(len(rows), 1 + len(names))
    table = table[np.isfinite(table).all(axis=1)]
    table = table[np.argsort(table[:, 0], kind="stable")]
    return table[:, 0] - table[:1, 0], table[:, 1:]


def _draw_legend(canvas: _Canvas, names: Sequence[str], stages_ms: NDArray[np.float64]) -> float:
    """Stage names with their medians in the order of the stack, in rows; return where the last row ends."""
    font = text_font(_SMALL_PX * _OVERSAMPLING)
    heading = "p50 of each stage"
    canvas.text(heading, "midleft", (_LEFT, 98), size_px=_SMALL_PX)
    x, y = _LEFT + font.size(heading)[0] / _OVERSAMPLING + 18, 98.0
    for index, name in enumerate(names):
        median = _milliseconds(float(np.median(stages_ms[:, index])))
        name_width, median_width = (font.size(text)[0] / _OVERSAMPLING for text in (name, median))
        if x + 23 + name_width + median_width > _SIZE[0] - 20:
            x, y = float(_LEFT), y + 19
        canvas.box(x, y - 6, x + 12, y + 6, _STAGE_COLOURS[index % len(_STAGE_COLOURS)])
        canvas.text(name, "midleft", (x + 18, y), size_px=_SMALL_PX, colour=_INK)
        canvas.text(median, "midleft", (x + 23 + name_width, y), size_px=_SMALL_PX)
        x += 39 + name_width + median_width
    return y + 7


def _draw_frame(
    canvas: _Canvas, plot: pygame.Rect, across: _Axis, up: _Axis, *, caption: str, levels: Sequence[float]
) -> None:
    """Grid at `levels`, ticks and numbers of a plot, and the caption of its level axis."""
    for tick in levels:
        canvas.line((plot.left, up.px(tick)), (plot.right, up.px(tick)), _GRID if tick else _GREY)
        canvas.text(f"{tick:g}", "midright", (plot.left - 8, up.px(tick)))
    for tick in across.ticks(12):
        canvas.line((across.px(tick), plot.bottom), (across.px(tick), plot.bottom + 5), _GREY)
        canvas.text(f"{tick:g}", "midtop", (across.px(tick), plot.bottom + 9))
    canvas.text(caption, "topright", (plot.right, plot.bottom + 28))


def _draw_stages(
    canvas: _Canvas, plot: pygame.Rect, times_s: NDArray[np.float64], stages_ms: NDArray[np.float64], limit_ms: float
) -> None:
    """The stacked area with its axes, the percentiles of the total and the marks of what is off the axis."""
    interval_s = _interval_s(times_s)
    across = _Axis(0.0, max(float(times_s[-1]) + interval_s, 1.0), plot.left, plot.right)
    up = _Axis(0.0, limit_ms, plot.bottom, plot.top)
    totals_ms = stages_ms.sum(axis=1)
    rows = _thinned(times_s, totals_ms, columns=plot.width, span_s=across.high)
    _draw_frame(canvas, plot, across, up, caption="time (s)", levels=up.ticks(6))
    what = "latency (ms)" if len(rows) == len(times_s) else "latency (ms), of the median frame in each pixel column"
    canvas.text(what, "bottomleft", (plot.left, plot.top - 12))
    freeze_s = max(_FREEZE_S, _FREEZE_FRAMES * _interval_s(times_s[rows]))
    canvas.clip(plot)
    for run in np.split(rows, np.flatnonzero(np.diff(times_s[rows]) > freeze_s) + 1):
        _draw_run(canvas, across, up, times_s[run], stages_ms[run], hold_s=interval_s)
    canvas.clip(None)
    _draw_percentiles(canvas, plot, up, totals_ms)
    beyond = totals_ms > limit_ms
    for x in {round(across.px(float(time_s))) for time_s in times_s[beyond]}:
        canvas.polygon([(x - 4, plot.top - 9), (x + 4, plot.top - 9), (x, plot.top - 1)][::-1], _CLIPPED)
    if beyond.any():
        what = f"{beyond.sum()} of {len(times_s)} frames above {limit_ms:.0f} ms, the slowest {totals_ms.max():.0f} ms"
        canvas.text(what, "bottomright", (plot.right, plot.top - 12), colour=_CLIPPED)


def _interval_s(times_s: NDArray[np.float64]) -> float:
    """Median time between neighbours."""
    return (float(np.median(np.diff(times_s))) if len(times_s) > 1 else 0.0) or _HOLD_S


def _thinned(
    times_s: NDArray[np.float64], totals_ms: NDArray[np.float64], *, columns: int, span_s: float
) -> NDArray[np.intp]:
    """Rows to draw: all, or of each pixel column the one whose total is the column's (lower) median."""
    if len(times_s) <= columns:
        return np.arange(len(times_s))
    column = (times_s / span_s * columns).astype(np.intp)
    by_total = np.lexsort((totals_ms, column)).astype(np.intp)
    _, starts, counts = np.unique(column[by_total], return_index=True, return_counts=True)
    return np.take(by_total, starts + (counts - 1) // 2)


def _draw_run(
    canvas: _Canvas,
    across: _Axis,
    up: _Axis,
    times_s: NDArray[np.float64],
    stages_ms: NDArray[np.float64],
    *,
    hold_s: float,
) -> None:
    """One uninterrupted stretch of the stack; its last frame stays for `hold_s`."""
    xs = [across.px(float(time_s)) for time_s in (*times_s, times_s[-1] + hold_s)]
    tops_ms = np.cumsum(np.maximum(stages_ms, 0.0), axis=1)
    tops_ms = np.vstack([tops_ms, tops_ms[-1:]])
    lower = [up.start_px] * len(xs)
    for index in range(tops_ms.shape[1]):
        upper = [up.px(float(top_ms)) for top_ms in tops_ms[:, index]]
        outline = [*zip(xs, upper, strict=True), *reversed(list(zip(xs, lower, strict=True)))]
        canvas.polygon(outline, _STAGE_COLOURS[index % len(_STAGE_COLOURS)])
        lower = upper


def _draw_percentiles(canvas: _Canvas, plot: pygame.Rect, up: _Axis, totals_ms: NDArray[np.float64]) -> None:
    """Lines of the total across the plot, labelled at the right; close labels are moved apart, tied to their line."""
    # From the highest down: where values are equal, the labels still stand in that order.
    rows = list(zip(_PERCENTILES, _percentiles(totals_ms), strict=True))[::-1]
    wanted = [up.px(min(max(value_ms, up.low), up.high)) for _, value_ms in rows]
    placed = spread(wanted, distance=18.0, low=plot.top + 6, high=plot.bottom - 6)
    for ((percentile, dash), value_ms), y, label_y in zip(rows, wanted, placed, strict=True):
        canvas.line((plot.left, y), (plot.right, y), _INK, dash=dash)
        canvas.line((plot.right + 2, y), (plot.right + 11, label_y), _INK)
        canvas.text(f"p{percentile}", "midleft", (plot.right + 15, label_y), colour=_INK)
        canvas.text(_milliseconds(value_ms), "midright", (_SIZE[0] - 20, label_y), colour=_INK)


def _draw_histogram(canvas: _Canvas, totals_ms: NDArray[np.float64], limit_ms: float) -> None:
    """How often each total occurred, from the fastest to the slowest frame; those off the axis above in one bar."""
    fastest_ms, slowest_ms = float(totals_ms.min()), min(float(totals_ms.max()), limit_ms)
    bar_ms = _round_step(max((slowest_ms - fastest_ms) / _MAX_BARS, _MIN_BAR_MS))
    first, last = math.floor(fastest_ms / bar_ms), math.floor(slowest_ms / bar_ms) + 1
    # One empty bar on either side, and never so few that a lone value looks like a block.
    edges_ms = bar_ms * np.arange(first - 1, max(last + 2, first + _MIN_BARS))
    counts, _ = np.histogram(totals_ms[totals_ms <= limit_ms], edges_ms)
    beyond = int((totals_ms > limit_ms).sum())
    across = _Axis(float(edges_ms[0]), float(edges_ms[-1]), _HISTOGRAM.left, _HISTOGRAM.right)
    up = _Axis(0.0, _HEADROOM * float(max(counts.max(), beyond)), _HISTOGRAM.bottom, _HISTOGRAM.top)
    caption = f"latency (ms) of the {len(totals_ms)} frames" if len(totals_ms) > 1 else "latency (ms) of the one frame"
    levels = [tick for tick in up.ticks(3) if tick.is_integer()]
    _draw_frame(canvas, _HISTOGRAM, across, up, caption=caption, levels=levels)
    for count, start_ms, end_ms in zip(counts, edges_ms, edges_ms[1:], strict=False):
        if count:
            canvas.box(across.px(start_ms) + 0.5, up.px(count), across.px(end_ms) - 0.5, up.start_px, _BARS)
    if beyond:
        left = _HISTOGRAM.right + 8
        canvas.box(left, min(up.px(beyond), up.start_px - 1), left + 10, up.start_px, _CLIPPED)
        canvas.text(f"{beyond} above", "midleft", (left + 14, up.start_px - 8), size_px=_SMALL_PX, colour=_CLIPPED)
    wanted = [across.px(min(max(value_ms, across.low), across.high)) for value_ms in _percentiles(totals_ms)]
    placed = spread(wanted, distance=34.0, low=_HISTOGRAM.left, high=_HISTOGRAM.right)
    for (percentile, dash), x, label_x in zip(_PERCENTILES, wanted, placed, strict=True):
        canvas.line((x, _HISTOGRAM.top - 2), (x, _HISTOGRAM.bottom), _INK, dash=dash)
        canvas.line((x, _HISTOGRAM.top - 2), (label_x, _HISTOGRAM.top - 9), _INK)
        canvas.text(f"p{percentile}", "midbottom", (label_x, _HISTOGRAM.top - 11), size_px=_SMALL_PX, colour=_INK)


def _percentiles(totals_ms: NDArray[np.float64]) -> list[float]:
    # Nearest rank, as in the report.
    return [float(np.percentile(totals_ms, p, method="inverted_cdf")) for p, _ in _PERCENTILES]


def _round_step(least: float) -> float:
    """Smallest of 1, 2, 2.5, 5 times a power of ten that is no smaller than `least` (above 0)."""
    power = 10.0 ** math.floor(math.log10(least))
    return next(factor * power for factor in (1.0, 2.0, 2.5, 5.0, 10.0) if factor * power >= least * (1 - 1e-9))


def _milliseconds(duration_ms: float) -> str:
    return f"{duration_ms:.0f} ms" if abs(duration_ms) >= 9.95 else f"{duration_ms:.1f} ms"


def _shortened(text: str, size_px: int) -> str:
    """`text`, or as much of it as fits the page's width, with an ellipsis."""
    lines = wrap_text(text, Lettering(size_px), _SIZE[0] - 2 * _LEFT)
    return text if len(lines) < 2 else f"{lines[0]} …"
