"""Where a picture goes in a window of another shape, and labels that want the same place: pure geometry, in pixels."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple


class Box(NamedTuple):
    """A rectangle of whole pixels; the origin is the top left corner."""

    left: int
    top: int
    width: int
    height: int


def letterbox(content: tuple[int, int], bounds: tuple[int, int]) -> Box:
    """Largest box of the shape of `content` that fits `bounds`, centred.

    Both are width and height in pixels, at least 1 each; ValueError otherwise. The box touches the bounds on at least
    two opposite sides, differs from the exact shape by less than half a pixel and is never thinner than one pixel.
    """
    if min(*content, *bounds) < 1:
        raise ValueError(f"a size of {content} in {bounds} has no pixels; every side must be 1 or more")
    (width, height), (bounds_width, bounds_height) = content, bounds
    # Cross-multiplied integers decide which side is the tight one: a quotient would round.
    if bounds_width * height <= bounds_height * width:
        fitted = bounds_width, max(1, _rounded(bounds_width * height, width))
    else:
        fitted = max(1, _rounded(bounds_height * width, height)), bounds_height
    return Box((bounds_width - fitted[0]) // 2, (bounds_height - fitted[1]) // 2, *fitted)


@dataclass(frozen=True, slots=True)
class PictureArea:
    """Where a picture lies in a window, for pointers: from the window's coordinates to the picture's."""

    box: Box
    """In pixels of the drawing; may reach beyond the window when the picture is shown larger than it."""
    scale: float = 1.0
    """Pixels of the drawing in one unit of the window's coordinates, in which pointer events come."""

    def locate(self, x: float, y: float) -> tuple[float, float]:
        """A point of the window as a share of the picture's width and height; outside it below 0 or above 1."""
        return (
            (x * self.scale - self.box.left) / self.box.width,
            (y * self.scale - self.box.top) / self.box.height,
        )


def actual_size(content: tuple[int, int], bounds: Box, look: tuple[float, float] = (0.5, 0.5)) -> Box:
    """A box of the size of `content` in `bounds`: centred where it fits; where not, the part at `look` is to be seen.

    `look`: share of the way from left to right and from top to bottom, 0 to 1.
    """
    lefttop = []
    for side in (0, 1):
        spare = bounds[2 + side] - content[side]
        share = 0.5 if spare >= 0 else min(1.0, max(0.0, look[side]))
        lefttop.append(bounds[side] + round(spare * share))
    return Box(lefttop[0], lefttop[1], *content)


def visible_part(box: Box, bounds: Box) -> tuple[Box, Box] | None:
    """What of `box` is inside `bounds`: from the box's own corner, and in place; None when nothing is."""
    left, top = max(box.left, bounds.left), max(box.top, bounds.top)
    right = min(box.left + box.width, bounds.left + bounds.width)
    bottom = min(box.top + box.height, bounds.top + bounds.height)
    if right <= left or bottom <= top:
        return None
    inside = Box(left, top, right - left, bottom - top)
    return Box(left - box.left, top - box.top, inside.width, inside.height), inside


def grid_cells(count: int, bounds: Box, *, gap: int, aspect: float = 16 / 9) -> list[Box]:
    """`count` equal cells in rows, as many columns as make pictures of that aspect largest; row by row."""
    best: tuple[float, int] | None = None
    for columns in range(1, count + 1):
        rows = -(-count // columns)
        width = (bounds.width - gap * (columns - 1)) / columns
        height = (bounds.height - gap * (rows - 1)) / rows
        shown = min(width, height * aspect)
        if best is None or shown > best[0] + 1e-9:
            best = shown, columns
    assert best is not None
    columns = best[1]
    rows = -(-count // columns)
    lefts = [bounds.left + (bounds.width + gap) * column // columns for column in range(columns + 1)]
    tops = [bounds.top + (bounds.height + gap) * row // rows for row in range(rows + 1)]
    return [
        Box(
            lefts[index % columns],
            tops[index // columns],
            max(1, lefts[index % columns + 1] - lefts[index % columns] - gap),
            max(1, tops[index // columns + 1] - tops[index // columns] - gap),
        )
        for index in range(count)
    ]


def shrunk_to_fit(content: tuple[int, int], bounds: tuple[int, int]) -> tuple[int, int]:
    """`content` itself when it fits `bounds`, otherwise the largest size of its shape that does; pixels, as above."""
    if content[0] <= bounds[0] and content[1] <= bounds[1]:
        return content
    box = letterbox(content, bounds)
    return box.width, box.height


def spread(wanted: Sequence[float], *, distance: float, low: float, high: float) -> list[float]:
    """Positions near `wanted`, in the same order, `distance` apart and between `low` and `high`.

    Neighbours that come too close are pushed apart evenly around their common middle, as one block.
    """
    order = sorted(range(len(wanted)), key=lambda index: wanted[index])
    blocks: list[list[int]] = []
    starts: list[float] = []
    for index in order:
        block = [index]
        while True:
            extent = distance * (len(block) - 1)
            middle = sum(wanted[member] for member in block) / len(block)
            start = min(max(middle - extent / 2, low), high - extent)
            if not blocks or starts[-1] + distance * len(blocks[-1]) <= start:
                break
            block = blocks.pop() + block
            starts.pop()
        blocks.append(block)
        starts.append(start)
    placed = list(wanted)
    for block, start in zip(blocks, starts, strict=True):
        for position, index in enumerate(block):
            placed[index] = start + distance * position
    return placed


def _rounded(numerator: int, denominator: int) -> int:
    """Quotient of two positive integers rounded half up, exactly."""
    return (2 * numerator + denominator) // (2 * denominator)
