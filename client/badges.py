"""Small signs in the corner of the picture: paused, recording with its time and size, muted, on top."""

import os
from collections.abc import Sequence
from dataclasses import dataclass

os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")
import pygame

from client.icons import Colour, Icon, paint_line_icon
from client.overlay import VALUE_COLOUR, Lettering, text_size_px, translucent

RED: Colour = (240, 84, 84)
AMBER: Colour = (238, 221, 136)


@dataclass(frozen=True, slots=True)
class Badge:
    """An icon and a word or two."""

    icon: Icon
    text: str = ""
    colour: Colour = VALUE_COLOUR


def paint_badges(badges: Sequence[Badge], window: tuple[int, int], scale: float = 1.0) -> pygame.Surface:
    """The signs in a row, for a window of `width, height` pixels; texts go where the row would not fit half of it."""
    row = _paint_row(badges, text_size_px(window, scale))
    if row.get_width() > 0.5 * window[0]:
        row = _paint_row([Badge(badge.icon, "", badge.colour) for badge in badges], text_size_px(window, scale))
    return row


def _paint_row(badges: Sequence[Badge], size_px: int) -> pygame.Surface:
    lettering = Lettering(size_px)
    pad, gap, icon_px = size_px // 2, size_px // 3, lettering.line_px
    texts = [lettering.render(badge.text, VALUE_COLOUR) if badge.text else None for badge in badges]
    widths = [2 * pad + icon_px + (gap + text.get_width() if text else 0) for text in texts]
    height = lettering.line_px + pad
    row = pygame.Surface((max(1, sum(widths) + gap * (len(badges) - 1)), height), pygame.SRCALPHA, 32)
    x = 0
    for badge, text, width in zip(badges, texts, widths, strict=True):
        row.blit(translucent((width, height), radius=height // 2), (x, 0))
        icon = paint_line_icon(badge.icon, icon_px, badge.colour)
        row.blit(icon, icon.get_rect(midleft=(x + pad, height // 2)))
        if text:
            row.blit(text, text.get_rect(midleft=(x + pad + icon_px + gap, height // 2)))
        x += width + gap
    return row
