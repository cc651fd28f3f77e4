"""Where a captured part of the screen lies in the picture, and where a point of the picture lies on the screen.

    screen ── region ──▶ fitted into the picture, borders left and right or above and below ──▶ 0..1 on the wire

Pure geometry. Pointers come as shares of the *picture*, borders included, so that the viewer need not know the screen.
"""

import math
from dataclasses import dataclass

from codec.colour import Rectangle, fit_rectangle


@dataclass(frozen=True, slots=True)
class ScreenGeometry:
    """One moment's geometry; another is made when a window moves or a screen changes size."""

    size: tuple[int, int]
    """Width and height of the picture."""
    region: Rectangle
    """What of the screen is in it, in screen pixels: x, y, width, height, each side at least 2."""

    @property
    def rectangle(self) -> Rectangle:
        """Where the region lies in the picture: x, y, width, height in the picture's pixels."""
        return fit_rectangle(self.region[2], self.region[3], *self.size)

    def to_screen(self, x: float, y: float) -> tuple[int, int]:
        """The screen pixel under a point of the picture.

        `x` and `y` are shares of the picture's width and height, 0 its left or top edge and 1 its right or bottom one.
        Points in the border and outside the picture count as the nearest pixel of the region; what is no finite number
        raises ValueError.
        """
        if not (math.isfinite(x) and math.isfinite(y)):
            raise ValueError(f"the pointer is at {x}, {y}, which is no place")
        left, top, width, height = self.rectangle
        region_x, region_y, region_w, region_h = self.region
        across = (x * self.size[0] - left) / width
        down = (y * self.size[1] - top) / height
        return (
            region_x + min(max(math.floor(across * region_w), 0), region_w - 1),
            region_y + min(max(math.floor(down * region_h), 0), region_h - 1),
        )


def clip(region: Rectangle, bounds: tuple[int, int]) -> Rectangle | None:
    """The part of a region within a screen of width and height `bounds`, or None where less than 2x2 pixels are."""
    x, y, width, height = region
    left, top = max(x, 0), max(y, 0)
    right, bottom = min(x + width, bounds[0]), min(y + height, bounds[1])
    if right - left < 2 or bottom - top < 2:
        return None
    return left, top, right - left, bottom - top
