"""Why there is no picture, drawn: an icon, what is the matter, and what is done about it or what to do.

    ╭──────────────────────────────╮
    │             icon             │   in a ring of dots that turns while something is being done
    │    The camera is unplugged   │
    │  The picture comes back by   │
    │  itself once it is there     │
    ╰──────────────────────────────╯

Small windows lose the detail first, then the icon. Nothing here opens a display.
"""

import os
from dataclasses import dataclass

os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")
import pygame

from client.icons import Colour, Icon, paint_line_icon
from client.overlay import QUIET_COLOUR, VALUE_COLOUR, Lettering, balance_text, text_size_px, translucent
from client.status import BUSY, Situation

_ICONS: dict[Situation, tuple[Icon, Colour]] = {
    "starting": ("chip", (119, 170, 221)),
    "connecting": ("broadcast", (119, 170, 221)),
    "gone": ("unplugged", (238, 136, 102)),
    "refused": ("lock", (238, 221, 136)),
    "missing": ("search", (238, 221, 136)),
    "source": ("film", (238, 221, 136)),
    "ended": ("stop", (168, 176, 188)),
    "lost": ("shards", (119, 170, 221)),
    "still": ("clock", (168, 176, 188)),
    "failed": ("warning", (238, 136, 102)),
}
"""Icon and colour, from the palette of the charts: blue works on it, yellow waits for something, orange is broken."""
_SOURCE_ICONS: dict[str, Icon] = {"webcam": "camera", "whip": "camera", "screen": "screen", "url": "link"}
"""By kind of source; others are films."""

_TITLE_SHARE = 1.35
"""Size of the title in that of the text."""
_ICON_SHARE, _SMALL_ICON_SHARE = 3.4, 2.2
"""Size of the icon in that of the text, and the smallest that still says something."""
_SPINNER_SHARE = 1.75
"""Diameter of the ring of dots in the icon's size."""
_WIDTH_SHARE, _HEIGHT_SHARE = 0.9, 0.94
"""Of the place, at most."""


@dataclass(frozen=True, slots=True)
class StateCard:
    """What is laid over the middle of the picture."""

    surface: pygame.Surface
    spinner: pygame.Rect | None
    """Where on the surface a ring of dots turns around the icon; None: nowhere."""
    colour: Colour


def state_colour(situation: Situation) -> Colour:
    """The colour of a situation, for dots in tabs."""
    return _ICONS[situation][1]


def state_icon(situation: Situation, source: str) -> Icon:
    """The icon of a situation; a waiting source shows what it is."""
    return _SOURCE_ICONS.get(source, "film") if situation == "source" else _ICONS[situation][0]


def paint_state(
    reason: str,
    *,
    place: tuple[int, int],
    detail: str | None = None,
    situation: Situation = "still",
    source: str = "",
    scale: float = 1.0,
) -> StateCard:
    """The card for a place of `width, height` pixels, never larger than it. `scale` as in `text_size_px`."""
    size_px = text_size_px(place, scale)
    pad = size_px
    room = max(1, round(_WIDTH_SHARE * place[0]) - 2 * pad)
    title, text = Lettering(round(_TITLE_SHARE * size_px)), Lettering(size_px)
    titles = balance_text(reason, title, room)
    details = balance_text(detail, text, room) if detail else []
    available = round(_HEIGHT_SHARE * place[1]) - 2 * pad
    height = len(titles) * title.line_px
    # What the matter is outranks a picture of it; what to do about it comes last.
    if details and height + len(details) * text.line_px + pad // 3 <= available:
        height += len(details) * text.line_px + pad // 3
    else:
        details = []
    share = _SPINNER_SHARE if situation in BUSY else 1.0
    icon_px = min(round(_ICON_SHARE * size_px), round((available - height - pad // 2) / share))
    ring_px = round(share * icon_px)
    with_icon = icon_px >= _SMALL_ICON_SHARE * size_px
    height += ring_px + pad // 2 if with_icon else 0
    width = max(
        ring_px if with_icon else 0, *(title.width(line) for line in titles), *(text.width(line) for line in details), 1
    )
    surface = translucent((width + 2 * pad, min(place[1], height + 2 * pad)), radius=pad)
    colour = _ICONS[situation][1]
    y, spinner = pad, None
    if with_icon:
        spinner = pygame.Rect((surface.get_width() - ring_px) // 2, y, ring_px, ring_px)
        drawing = paint_line_icon(state_icon(situation, source), icon_px, colour)
        surface.blit(drawing, drawing.get_rect(center=spinner.center))
        y += ring_px + pad // 2
    y = _set(surface, titles, title, y, VALUE_COLOUR)
    _set(surface, details, text, y + pad // 3, QUIET_COLOUR)
    return StateCard(surface, spinner if situation in BUSY else None, colour)


def _set(surface: pygame.Surface, lines: list[str], lettering: Lettering, y: int, colour: Colour) -> int:
    """Centred lines from `y` on; returns where the next would begin."""
    for line in lines:
        drawn = lettering.render(line, colour)
        surface.blit(drawn, drawn.get_rect(midtop=(surface.get_width() // 2, y)))
        y += lettering.line_px
    return y
