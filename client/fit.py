"""Where a picture goes in a window of another shape, and labels that want the same place: pure geometry, in pixels."""

from collections.abc import Sequence
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
