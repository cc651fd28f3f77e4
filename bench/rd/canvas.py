"""A page for line plots: drawn at three times its size and averaged down, which smooths edges and letters.

Coordinates and sizes are final pixels. Nothing here opens a display.
"""

import math
import os
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import TypeAlias

from client.overlay import text_font
from client.still import write_png

os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")
import pygame

Colour: TypeAlias = tuple[int, int, int]
At: TypeAlias = tuple[float, float]

PAPER: Colour = (252, 252, 250)
INK: Colour = (32, 36, 44)
GREY: Colour = (92, 98, 108)
GRID: Colour = (228, 229, 231)

MARKERS = ("circle", "square", "triangle", "diamond", "plus", "cross", "down")

_OVERSAMPLING = 3


class Canvas:
    """A page of width x height pixels."""

    def __init__(self, width: int, height: int) -> None:
        self._size = width, height
        self._page = pygame.Surface((width * _OVERSAMPLING, height * _OVERSAMPLING), 0, 24)
        self._page.fill(PAPER)

    def polygon(self, points: Sequence[At], colour: Colour) -> None:
        """Fill a polygon of three points or more."""
        pygame.draw.polygon(self._page, colour, [(x * _OVERSAMPLING, y * _OVERSAMPLING) for x, y in points])

    def disc(self, centre: At, radius: float, colour: Colour) -> None:
        """Fill a circle."""
        x, y = centre
        pygame.draw.circle(self._page, colour, (x * _OVERSAMPLING, y * _OVERSAMPLING), radius * _OVERSAMPLING)

    def line(self, start: At, end: At, colour: Colour, *, width: float = 1.0) -> None:
        """Draw a straight line with flat ends."""
        length = math.dist(start, end)
        if not length:
            return
        across = -(end[1] - start[1]) * width / 2 / length, (end[0] - start[0]) * width / 2 / length
        corners = [
            (at[0] + side * across[0], at[1] + side * across[1])
            for at, side in ((start, 1), (end, 1), (end, -1), (start, -1))
        ]
        self.polygon(corners, colour)

    def path(
        self, points: Sequence[At], colour: Colour, *, width: float, dash: tuple[float, float] | None = None
    ) -> None:
        """Draw a line through points; `dash` is the length drawn and left out in turn, running on round corners."""
        drawn, gap = dash or (math.inf, 0.0)
        left, on = drawn, True
        for start, end in pairwise(points):
            length, at = math.dist(start, end), 0.0
            while at < length:
                step = min(left, length - at)
                if on:
                    ends = [
                        (start[0] + (end[0] - start[0]) * part / length, start[1] + (end[1] - start[1]) * part / length)
                        for part in (at, at + step)
                    ]
                    self.line(ends[0], ends[1], colour, width=width)
                at, left = at + step, left - step
                if left <= 0:
                    on = not on
                    left = drawn if on else gap
            if dash is None:
                self.disc(end, width / 2, colour)

    def marker(self, kind: str, centre: At, radius: float, colour: Colour) -> None:
        """One of `MARKERS`, of about the same weight each, with a rim of paper that parts it from what is below."""
        self._shape(kind, centre, radius + 1.6, PAPER)
        self._shape(kind, centre, radius, colour)

    def _shape(self, kind: str, centre: At, radius: float, colour: Colour) -> None:
        x, y = centre
        if kind == "circle":
            self.disc(centre, radius, colour)
            return
        if kind in ("plus", "cross"):
            turn = math.pi / 4 if kind == "cross" else 0.0
            for angle in (turn, turn + math.pi / 2):
                reach = 1.15 * radius
                step = reach * math.cos(angle), reach * math.sin(angle)
                start, end = (x - step[0], y - step[1]), (x + step[0], y + step[1])
                self.line(start, end, colour, width=0.7 * radius)
            return
        corners, first, scale = {
            "square": (4, 45, 1.2),
            "diamond": (4, 0, 1.25),
            "triangle": (3, -90, 1.35),
            "down": (3, 90, 1.35),
        }[kind]
        angles = [math.radians(first + 360 * corner / corners) for corner in range(corners)]
        self.polygon([(x + scale * radius * math.cos(a), y + scale * radius * math.sin(a)) for a in angles], colour)

    def text(self, text: str, anchor: str, at: At, *, size_px: int, colour: Colour = GREY) -> None:
        """Set one line whose `anchor` (a corner or middle, in pygame's words) is at `at`."""
        surface = text_font(size_px * _OVERSAMPLING).render(text, True, colour)
        self._page.blit(
            surface, surface.get_rect(**{anchor: (round(at[0] * _OVERSAMPLING), round(at[1] * _OVERSAMPLING))})
        )

    @staticmethod
    def text_width(text: str, size_px: int) -> float:
        """Width of one line in pixels."""
        return text_font(size_px * _OVERSAMPLING).size(text)[0] / _OVERSAMPLING

    def write(self, path: Path) -> None:
        """Write the page as PNG. Raises UserError when the file cannot be written."""
        write_png(path, pygame.transform.smoothscale(self._page, self._size))
