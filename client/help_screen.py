"""The list of keys over the picture: caps and their meanings, in as many columns as the window has room for."""

import os
from collections.abc import Sequence

os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")
import pygame

from client.overlay import QUIET_COLOUR, VALUE_COLOUR, Lettering, text_size_px

_GROUND = (12, 14, 18, 238)
"""Less to be seen through than other cards: small letters on it are read, not glanced at."""
_CAP_COLOUR = (52, 58, 68)
_CAP_EDGE = (92, 100, 112)
_SMALLEST_PX = 11
"""Smaller letters would be a blur; a window that is too small even for these shows the first keys only."""
_SHARE = 0.94
"""Of the window, at most."""


def paint_help(keys: Sequence[tuple[str, str]], window: tuple[int, int], scale: float = 1.0) -> pygame.Surface:
    """The card for a window of `width, height` pixels, never larger than it. `scale` as in `text_size_px`."""
    bounds = round(_SHARE * window[0]), round(_SHARE * window[1])
    wanted_px = text_size_px(window, scale)
    for size_px in range(wanted_px, _SMALLEST_PX - 1, -1):
        for columns in (1, 2, 3):
            table = _Table(keys, size_px, columns)
            if table.size[0] <= bounds[0] and table.size[1] <= bounds[1]:
                return table.paint()
    rows = max(1, (bounds[1] - 2 * _SMALLEST_PX) // _Table(keys, _SMALLEST_PX, 1).row_px)
    surface = _Table(keys[:rows], _SMALLEST_PX, 1).paint()
    return surface.subsurface(surface.get_rect().clip((0, 0, *window)))


class _Table:
    """Keys set in one size and number of columns."""

    def __init__(self, keys: Sequence[tuple[str, str]], size_px: int, columns: int) -> None:
        self._keys = keys
        self._text = Lettering(size_px)
        self._pad = size_px
        self._rows = -(-len(keys) // columns)
        self._caps_px = max(self._text.width(cap) for cap, _ in keys) + self._pad
        self._column_px = self._caps_px + self._pad // 2 + max(self._text.width(meaning) for _, meaning in keys)
        self.row_px = self._text.line_px + round(0.55 * size_px)
        self.size = (
            columns * self._column_px + (columns - 1) * 2 * self._pad + 2 * self._pad,
            self._rows * self.row_px + 2 * self._pad,
        )

    def paint(self) -> pygame.Surface:
        surface = pygame.Surface(self.size, pygame.SRCALPHA, 32)
        pygame.draw.rect(surface, _GROUND, surface.get_rect(), border_radius=self._pad)
        for index, (cap, meaning) in enumerate(self._keys):
            column, row = divmod(index, self._rows)
            x = self._pad + column * (self._column_px + 2 * self._pad)
            y = self._pad + row * self.row_px
            label = self._text.render(cap, VALUE_COLOUR)
            box = pygame.Rect(x, y, label.get_width() + round(0.8 * self._pad), self.row_px - self._pad // 5)
            box.right = x + self._caps_px
            radius = max(2, self._pad // 4)
            pygame.draw.rect(surface, _CAP_COLOUR, box, border_radius=radius)
            pygame.draw.rect(surface, _CAP_EDGE, box, width=max(1, self._pad // 16), border_radius=radius)
            surface.blit(label, label.get_rect(center=box.center))
            text = self._text.render(meaning, QUIET_COLOUR)
            surface.blit(text, text.get_rect(midleft=(box.right + self._pad // 2, box.centery)))
        return surface
