"""Line icons for states and badges: small drawings on a grid of 24 by 24, painted at any size.

A drawing is a tuple of strokes; nothing here opens a display.

    line     points x, y, x, y, ...        closed    the same, back to its start
    circle   x, y, radius                  dot       x, y, radius, filled
    box      x, y, width, height, radius of the corners
    fill     points, filled                slash     struck through, with a gap along the stroke
"""

import os
from itertools import pairwise
from typing import Literal

os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")
import pygame

Colour = tuple[int, int, int]
Icon = Literal[
    "camera",
    "screen",
    "film",
    "link",
    "broadcast",
    "unplugged",
    "lock",
    "search",
    "chip",
    "shards",
    "clock",
    "stop",
    "warning",
    "pause",
    "record",
    "sound",
    "muted",
    "pin",
    "pointer",
]
_Stroke = tuple[str, tuple[float, ...]]

GRID = 24
_STROKE = 1.7
"""Width of a line, in units of the grid."""
_OVERSAMPLING = 4
_GAP = 2.2
"""Width of what a slash clears on either side."""

_SPEAKER: tuple[_Stroke, ...] = (("closed", (3, 9.5, 7, 9.5, 12, 5.5, 12, 18.5, 7, 14.5, 3, 14.5)),)

_DRAWINGS: dict[Icon, tuple[_Stroke, ...]] = {
    "camera": (
        ("box", (2, 6.5, 13.5, 11, 2.5)),
        ("closed", (15.5, 10.7, 21.5, 7.5, 21.5, 16.5, 15.5, 13.3)),
        ("slash", (3, 3, 21, 21)),
    ),
    "screen": (
        ("box", (2.5, 4, 19, 12.5, 2)),
        ("line", (12, 16.5, 12, 20)),
        ("line", (8, 20, 16, 20)),
        ("slash", (4, 2, 20, 19)),
    ),
    "film": (
        ("box", (3, 4, 18, 16, 2)),
        ("line", (7.5, 4, 7.5, 20)),
        ("line", (16.5, 4, 16.5, 20)),
        ("line", (3, 12, 21, 12)),
        ("line", (3, 8, 7.5, 8)),
        ("line", (3, 16, 7.5, 16)),
        ("line", (16.5, 8, 21, 8)),
        ("line", (16.5, 16, 21, 16)),
    ),
    "link": (
        ("arc", (5, 19, 3, 0, 360)),
        ("arc", (5, 19, 8, 0, 90)),
        ("arc", (5, 19, 14, 0, 90)),
        ("slash", (4, 4, 20, 20)),
    ),
    "broadcast": (
        ("dot", (12, 12, 2)),
        ("arc", (12, 12, 5.2, -45, 45)),
        ("arc", (12, 12, 5.2, 135, 225)),
        ("arc", (12, 12, 9.2, -45, 45)),
        ("arc", (12, 12, 9.2, 135, 225)),
    ),
    "unplugged": (
        ("box", (2.5, 5, 19, 5.5, 1.5)),
        ("box", (2.5, 13.5, 19, 5.5, 1.5)),
        ("dot", (6, 7.75, 1)),
        ("dot", (6, 16.25, 1)),
        ("slash", (4, 2.5, 20, 21.5)),
    ),
    "lock": (
        ("box", (4.5, 10.5, 15, 10, 2)),
        ("arc", (12, 8, 4.2, 0, 180)),
        ("line", (7.8, 8, 7.8, 10.5)),
        ("line", (16.2, 8, 16.2, 10.5)),
        ("dot", (12, 15, 1.5)),
        ("line", (12, 15, 12, 17.3)),
    ),
    "search": (("circle", (10.5, 10.5, 6.5)), ("line", (15.4, 15.4, 20.5, 20.5))),
    "chip": (
        ("box", (6, 6, 12, 12, 2)),
        ("box", (9.7, 9.7, 4.6, 4.6, 0.5)),
        *(("line", (x, 2.5, x, 6)) for x in (9, 12, 15)),
        *(("line", (x, 18, x, 21.5)) for x in (9, 12, 15)),
        *(("line", (2.5, y, 6, y)) for y in (9, 12, 15)),
        *(("line", (18, y, 21.5, y)) for y in (9, 12, 15)),
    ),
    "shards": (
        ("line", (9, 20, 3, 20, 3, 4, 11, 4, 8, 10, 12, 13, 9, 20)),
        ("line", (15, 4, 21, 4, 21, 20, 13, 20, 16, 13, 12, 10, 15, 4)),
    ),
    "clock": (("circle", (12, 12, 9)), ("line", (12, 6.5, 12, 12, 15.8, 14.2))),
    "stop": (("box", (5, 5, 14, 14, 2)),),
    "warning": (("closed", (12, 3.5, 22, 20.5, 2, 20.5)), ("line", (12, 10, 12, 14.5)), ("dot", (12, 17.5, 1.1))),
    "pause": (("fill", (6.5, 5, 10, 5, 10, 19, 6.5, 19)), ("fill", (14, 5, 17.5, 5, 17.5, 19, 14, 19))),
    "record": (("dot", (12, 12, 7)),),
    "sound": (*_SPEAKER, ("arc", (12.5, 12, 4, -50, 50)), ("arc", (12.5, 12, 7.8, -50, 50))),
    "muted": (*_SPEAKER, ("line", (15.5, 9.2, 21, 14.8)), ("line", (21, 9.2, 15.5, 14.8))),
    "pin": (
        ("line", (9, 3.5, 15, 3.5)),
        ("closed", (10, 3.5, 14, 3.5, 14.6, 10, 17.5, 14, 6.5, 14, 9.4, 10)),
        ("line", (12, 14, 12, 21)),
    ),
    "pointer": (("closed", (6, 3, 18.5, 12.5, 12.5, 13.3, 9.3, 19)),),
}


def paint_line_icon(icon: Icon, size_px: int, colour: Colour) -> pygame.Surface:
    """The icon, `size_px` square, on a transparent ground."""
    pen = _Pen(size_px)
    for kind, numbers in _DRAWINGS[icon]:
        pen.draw(kind, numbers, colour)
    return pen.finish()


def paint_spinner(size_px: int, colour: Colour) -> pygame.Surface:
    """Eight dots on a ring of diameter `size_px`, fading; turned by 45 degrees at a time it runs clockwise."""
    surface = pygame.Surface((size_px * _OVERSAMPLING,) * 2, pygame.SRCALPHA, 32)
    centre = pygame.Vector2(surface.get_width() / 2)
    for index in range(8):
        arm = pygame.Vector2(0, -0.44 * surface.get_width()).rotate(45 * index)
        alpha = round(255 * ((index + 1) / 8) ** 2)
        pygame.draw.circle(surface, (*colour, alpha), centre + arm, 0.035 * surface.get_width())
    return pygame.transform.smoothscale(surface, (size_px, size_px))


class _Pen:
    """Draws large; `finish` averages down."""

    def __init__(self, size_px: int) -> None:
        self._size_px = size_px
        self._unit = size_px * _OVERSAMPLING / GRID
        self._surface = pygame.Surface((size_px * _OVERSAMPLING,) * 2, pygame.SRCALPHA, 32)

    def draw(self, kind: str, numbers: tuple[float, ...], colour: Colour) -> None:
        """One stroke, as the head of this file has them."""
        if kind in ("line", "closed", "fill", "slash"):
            points = [(x, y) for x, y in zip(numbers[::2], numbers[1::2], strict=True)]
            if kind == "fill":
                pygame.draw.polygon(self._surface, colour, [self._at(*point) for point in points])
                return
            if kind == "slash":
                self._path(points, (0, 0, 0, 0), width=_STROKE + 2 * _GAP)
            self._path([*points, points[0]] if kind == "closed" else points, colour, width=_STROKE)
        elif kind == "dot":
            x, y, radius = numbers
            pygame.draw.circle(self._surface, colour, self._at(x, y), radius * self._unit)
        elif kind == "circle":
            self._arc((*numbers, 0, 360), colour)
        elif kind == "arc":
            self._arc(numbers, colour)
        else:
            x, y, width, height, radius = numbers
            rect = pygame.Rect(0, 0, round((width + _STROKE) * self._unit), round((height + _STROKE) * self._unit))
            rect.topleft = (round((x - _STROKE / 2) * self._unit), round((y - _STROKE / 2) * self._unit))
            pygame.draw.rect(
                self._surface,
                colour,
                rect,
                width=max(1, round(_STROKE * self._unit)),
                border_radius=round((radius + _STROKE / 2) * self._unit),
            )

    def finish(self) -> pygame.Surface:
        """The icon at its size."""
        return pygame.transform.smoothscale(self._surface, (self._size_px, self._size_px))

    def _at(self, x: float, y: float) -> tuple[float, float]:
        return x * self._unit, y * self._unit

    def _path(self, points: list[tuple[float, float]], colour: tuple[int, ...], *, width: float) -> None:
        """A line with round ends and corners."""
        radius = width / 2 * self._unit
        places = [pygame.Vector2(self._at(*point)) for point in points]
        for start, end in pairwise(places):
            across = (end - start).rotate(90)
            if across.length():
                across.scale_to_length(radius)
                corners = [start + across, end + across, end - across, start - across]
                pygame.draw.polygon(self._surface, colour, corners)
        for place in places:
            pygame.draw.circle(self._surface, colour, place, radius)

    def _arc(self, numbers: tuple[float, ...], colour: Colour) -> None:
        """Part of a circle, degrees counterclockwise from the right."""
        x, y, radius, start, end = numbers
        steps = max(4, round(abs(end - start) / 6))
        arm = pygame.Vector2(radius, 0)
        points = [
            tuple(pygame.Vector2(x, y) + arm.rotate(-(start + (end - start) * step / steps)))
            for step in range(steps + 1)
        ]
        self._path([(px, py) for px, py in points], colour, width=_STROKE)
