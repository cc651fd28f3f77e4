"""The bar of tabs above the picture: one for each stream, with its name and its state as a coloured dot."""

import os
from collections.abc import Sequence
from dataclasses import dataclass

os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")
import pygame

from client.badges import RED
from client.icons import Colour
from client.overlay import LABEL_COLOUR, VALUE_COLOUR, Lettering, text_size_px

LIVE: Colour = (68, 187, 153)
_BAR_COLOUR = (22, 25, 31)
_ACTIVE_COLOUR = (44, 50, 60)
_MAX_WIDTH_TEXTS = 14
"""Widest tab in text sizes: a name of 20 letters and the state beside it."""


@dataclass(frozen=True, slots=True)
class Tab:
    """What one tab says."""

    name: str
    word: str
    """The state, shown where there is room."""
    colour: Colour
    recording: bool = False


def bar_height(window: tuple[int, int], scale: float = 1.0) -> int:
    """Height of the bar in a window of `width, height` pixels."""
    return round(1.9 * text_size_px(window, scale))


def tab_at(x: int, count: int, window: tuple[int, int], scale: float = 1.0) -> int | None:
    """Which of `count` tabs is at pixel `x` of the bar; None beside the last."""
    index = x // _tab_width(count, window, scale)
    return index if 0 <= index < count else None


def _tab_width(count: int, window: tuple[int, int], scale: float) -> int:
    return max(1, min(window[0] // count, _MAX_WIDTH_TEXTS * text_size_px(window, scale)))


def paint_tabs(tabs: Sequence[Tab], active: int, window: tuple[int, int], scale: float = 1.0) -> pygame.Surface:
    """The bar, as wide as the window."""
    size_px = text_size_px(window, scale)
    lettering, small = Lettering(size_px), Lettering(max(11, round(0.8 * size_px)))
    width, height = _tab_width(len(tabs), window, scale), bar_height(window, scale)
    bar = pygame.Surface((window[0], height), 0, 24)
    bar.fill(_BAR_COLOUR)
    for index, tab in enumerate(tabs):
        box = pygame.Rect(index * width, 0, width, height)
        if index == active:
            bar.fill(_ACTIVE_COLOUR, box)
            bar.fill(tab.colour, (box.left, height - max(2, size_px // 8), box.width, max(2, size_px // 8)))
        elif index + 1 < len(tabs) and index + 1 != active:
            bar.fill(_ACTIVE_COLOUR, (box.right - 1, height // 4, 1, height // 2))
        _paint_tab(bar, tab, box, lettering, small, active=index == active)
    return bar


def _paint_tab(
    bar: pygame.Surface, tab: Tab, box: pygame.Rect, lettering: Lettering, small: Lettering, *, active: bool
) -> None:
    radius = max(3, lettering.line_px // 5)
    x = box.left + 2 * radius
    bar.blit(_disc(radius, RED if tab.recording else tab.colour), (x - radius // 2, box.centery - radius))
    x += 2 * radius + radius // 2
    room = box.right - 2 * radius - x
    name = lettering.render(_shortened(tab.name, lettering, room), VALUE_COLOUR if active else LABEL_COLOUR)
    bar.blit(name, name.get_rect(midleft=(x, box.centery)))
    room -= name.get_width() + radius
    if tab.word != "live" and small.width(tab.word) <= room:
        word = small.render(tab.word, LABEL_COLOUR)
        bar.blit(word, word.get_rect(midright=(box.right - 2 * radius, box.centery)))


def paint_caption(tab: Tab, number: int, cell: tuple[int, int], scale: float = 1.0) -> pygame.Surface:
    """Name and state for the corner of a cell of the grid."""
    size_px = text_size_px(cell, scale)
    lettering = Lettering(size_px)
    text = f"{number} {tab.name}" + ("" if tab.word == "live" else f" · {tab.word}")
    room = max(1, cell[0] - 4 * size_px)
    line = lettering.render(_shortened(text, lettering, room), VALUE_COLOUR)
    radius = max(3, lettering.line_px // 5)
    caption = pygame.Surface((line.get_width() + 6 * radius, lettering.line_px + size_px // 3), pygame.SRCALPHA, 32)
    pygame.draw.rect(caption, (12, 14, 18, 184), caption.get_rect(), border_radius=size_px // 3)
    caption.blit(
        _disc(radius, RED if tab.recording else tab.colour), (radius + radius // 2, caption.get_height() // 2 - radius)
    )
    caption.blit(line, line.get_rect(midleft=(4 * radius + radius // 2, caption.get_height() // 2)))
    return caption


def _disc(radius: int, colour: Colour) -> pygame.Surface:
    """A smooth dot."""
    large = pygame.Surface((8 * radius, 8 * radius), pygame.SRCALPHA, 32)
    pygame.draw.circle(large, colour, (4 * radius, 4 * radius), 4 * radius)
    return pygame.transform.smoothscale(large, (2 * radius, 2 * radius))


def _shortened(text: str, lettering: Lettering, room: int) -> str:
    """`text`, or its beginning and an ellipsis."""
    if lettering.width(text) <= room:
        return text
    while text and lettering.width(text + "…") > room:
        text = text[:-1]
    return text + "…"
