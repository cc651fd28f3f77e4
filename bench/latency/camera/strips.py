"""Where in a photograph a strip of black and white cells may lie: rough places, many of them wrong.

What is special about a strip: along its length black and white change every few cells, over a height of several rows.
So the range of grey in a lying window (five cells wide, one pixel high) is large there, and stays large when the
smallest of it over a cell's height is taken, which removes single horizontal edges. That is done for several cell
sizes, and for several slants, by shearing the picture.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

Grey = NDArray[np.float32]

SLANTS: Final = (0.0, -0.17, 0.17, -0.34, 0.34)
"""Rise over run: about 0, 10 and 19 degrees; each reaches half way to its neighbours."""
CELL_PIXELS: Final = (4.0, 6.0)
"""Cell sizes looked for at every level of the pyramid, which halves from one to the next: 4, 6, 8, 12, 16, 24."""
LEVELS: Final = 3
_SPAN_CELLS: Final = 5
"""Runs of one colour longer than that are rare: the data is whitened."""
_SHARES: Final = (0.6, 0.4, 0.25)
"""Of the picture's largest range: glare and vignetting leave one strip with less of it than the other."""
_MIN_RATIO: Final = 3.5
"""Least width to height: 30 cells by 4 rows, with what the windows add to both."""
_MIN_CELLS: Final = 24


@dataclass(frozen=True, slots=True)
class Place:
    """Ends of the middle line of a possible strip, in pixels of the photograph, and its height."""

    left: tuple[float, float]
    right: tuple[float, float]
    height: float
    slant: float

    @property
    def length(self) -> float:
        """Pixels."""
        return float(np.hypot(self.right[0] - self.left[0], self.right[1] - self.left[1]))


def possible_strips(grey: Grey) -> Iterator[Place]:
    """Places in a photograph, (H, W), 0..255. The likeliest kinds come first; the same strip may come several times."""
    levels = [grey]
    while len(levels) < LEVELS and min(levels[-1].shape) >= 128:
        levels.append(_halved(levels[-1]))
    for slant in SLANTS:
        for level, picture in enumerate(levels):
            sheared, lift = _sheared(picture, slant)
            for cell in CELL_PIXELS:
                for place in _at_scale(sheared, cell):
                    yield _unsheared(place, slant, lift, float(2**level))


def _at_scale(picture: Grey, cell: float) -> Iterator[tuple[float, float, float, float, float]]:
    """(x of left end, x of right end, y at left, y at right, height) in pixels of that picture."""
    span, tall = round(_SPAN_CELLS * cell), max(2, round(1.1 * cell))
    if picture.shape[1] <= 2 * span or picture.shape[0] <= 2 * tall:
        return
    contrast = _extreme(picture, span, axis=1, pick=np.maximum) - _extreme(picture, span, axis=1, pick=np.minimum)
    steady = _extreme(contrast, tall, axis=0, pick=np.minimum)
    largest = float(np.percentile(steady, 99.5))
    if largest < 16:
        return
    # Components do not need every pixel.
    step = max(1, round(cell / 2))
    for share in _SHARES:
        for rows, left, right in _components(steady[::step, ::step] > share * largest):
            width, height = (right - left) * step, rows[0] * step + tall
            # The window sees the first white cell half its width before it is there.
            low, high = left * step + span / 2, right * step - span / 2
            if high - low < _MIN_CELLS * cell or width < _MIN_RATIO * height:
                continue
            middle_left, middle_right = rows[1] * step, rows[2] * step
            yield low, high, middle_left, middle_right, height


def _components(mask: NDArray[np.bool_]) -> Iterator[tuple[tuple[float, float, float], int, int]]:
    """Connected areas as ((mean height, middle at the left, middle at the right), left, right).

    Runs of each row are joined with those of the row above that they touch (union-find).
    """
    runs: list[tuple[int, int, int]] = []
    parent: list[int] = []

    def root(index: int) -> int:
        while parent[index] != index:
            parent[index] = parent[parent[index]]
            index = parent[index]
        return index

    above: list[int] = []
    padded = np.zeros((mask.shape[0], mask.shape[1] + 2), np.int8)
    padded[:, 1:-1] = mask
    rows, columns = np.nonzero(np.diff(padded, axis=1))
    starts, ends = columns[::2], columns[1::2]
    last_row = -2
    here: list[int] = []
    for row, start, end in zip(rows[::2].tolist(), starts.tolist(), ends.tolist(), strict=True):
        if row != last_row:
            above = here if row == last_row + 1 else []
            here, last_row = [], row
        index = len(runs)
        runs.append((row, start, end))
        parent.append(index)
        here.append(index)
        for other in above:
            if runs[other][1] < end and start < runs[other][2]:
                parent[root(other)] = root(index)
    members: dict[int, list[tuple[int, int, int]]] = {}
    for index, run in enumerate(runs):
        members.setdefault(root(index), []).append(run)
    for group in members.values():
        left, right = min(run[1] for run in group), max(run[2] for run in group)
        height = sum(run[2] - run[1] for run in group) / (right - left)
        if right - left < _MIN_RATIO * height:
            continue
        # A line through the middles of the runs, long ones counting more: the strip may still lie a little aslant.
        weight = np.array([run[2] - run[1] for run in group], float)
        x = np.array([(run[1] + run[2]) / 2 for run in group])
        y = np.array([run[0] for run in group], float)
        centre_x, centre_y = float(np.average(x, weights=weight)), float(np.average(y, weights=weight))
        spread = float(np.sum(weight * ((x - centre_x) ** 2 + weight**2 / 12)))
        slope = float(np.sum(weight * (x - centre_x) * (y - centre_y))) / spread if spread else 0.0
        yield (height, centre_y + slope * (left - centre_x), centre_y + slope * (right - centre_x)), left, right


def _extreme(picture: Grey, size: int, *, axis: int, pick: np.ufunc) -> Grey:
    """Largest or smallest value in a centred window of `size` along an axis; doubling, so log2(size) passes."""
    before = size // 2
    pad = [(0, 0), (0, 0)]
    pad[axis] = (before, size - 1 - before)
    wide = np.pad(picture, pad, mode="edge")
    reach = 1
    length = wide.shape[axis]
    while reach < size:
        step = min(reach, size - reach)
        length -= step
        near = wide[:length] if axis == 0 else wide[:, :length]
        far = wide[step : step + length] if axis == 0 else wide[:, step : step + length]
        wide = pick(near, far)
        reach += step
    return wide


def _halved(picture: Grey) -> Grey:
    height, width = picture.shape[0] // 2 * 2, picture.shape[1] // 2 * 2
    even = picture[:height, :width]
    mean: Grey = (even[::2, ::2] + even[1::2, ::2] + even[::2, 1::2] + even[1::2, 1::2]) * np.float32(0.25)
    return mean


def _sheared(picture: Grey, slant: float) -> tuple[Grey, int]:
    """Every column moved up by `slant` times its place, and how far down everything was moved to stay inside."""
    if slant == 0:
        return picture, 0
    height, width = picture.shape
    shift = np.round(slant * np.arange(width)).astype(int)
    lift = int(max(0, shift.max()))
    tall = height + int(shift.max() - shift.min())
    rows = np.clip(np.arange(tall)[:, None] + shift[None, :] - lift, 0, height - 1)
    return picture[rows, np.arange(width)[None, :]], lift


def _unsheared(place: tuple[float, float, float, float, float], slant: float, lift: int, factor: float) -> Place:
    low, high, y_low, y_high, height = place
    return Place(
        left=(low * factor, (y_low + slant * low - lift) * factor),
        right=(high * factor, (y_high + slant * high - lift) * factor),
        height=height * factor,
        slant=slant,
    )
