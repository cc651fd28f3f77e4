"""What lies over the pictures of a window: numbers, badges, bar of tabs, captions of the grid, help, short messages."""

import os
from collections.abc import Sequence
from dataclasses import dataclass

os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")
import pygame

from client.amounts import size_text, time_text
from client.badges import AMBER, RED, Badge, paint_badges
from client.canvas import Canvas
from client.fit import Box
from client.help_screen import paint_help
from client.keys import KEYS, REMOTE_KEYS, SEVERAL_KEYS
from client.overlay import paint_panel, paint_toast
from client.pane import Pane
from client.state_screen import state_colour
from client.tabs import LIVE, Tab, paint_caption, paint_tabs

TOAST_US = 4_000_000
_EDGE_COLOUR = (119, 170, 221)


@dataclass(frozen=True, slots=True)
class View:
    """What is to be drawn over."""

    panes: Sequence[Pane]
    places: Sequence[tuple[Pane, Box]]
    """The panes that can be seen."""
    cards: Sequence[pygame.Rect]
    """Where each of those says why there is no picture."""
    active: int
    bar_px: int
    """Height of the bar of tabs; 0: none."""
    grid: bool
    on_top: bool
    muted: bool
    scale: float
    """As in `text_size_px`."""


class Hud:
    """Belongs to the window's thread."""

    def __init__(self, canvas: Canvas, *, panel: bool) -> None:
        self.panel = panel
        """Whether the numbers are shown."""
        self.help = False
        self._canvas = canvas
        self._toast: tuple[str, int] | None = None
        """Text, and when it goes."""

    def say(self, text: str, now_us: int) -> None:
        """A message for the next few seconds."""
        self._toast = (text, now_us + TOAST_US)

    def draw(self, view: View, now_us: int) -> None:
        """Draw all of it."""
        pane = view.panes[view.active]
        whole = self._canvas.view
        if view.bar_px:
            tabs = tuple(_tab(each) for each in view.panes)
            label = self._canvas.label(
                "tabs",
                (tabs, view.active, whole.size, view.scale),
                lambda: paint_tabs(tabs, view.active, whole.size, view.scale),
            )
            label.draw(dstrect=label.get_rect(topleft=(0, 0)))
        if view.grid:
            self._draw_captions(view)
        index = next(at for at, (each, _) in enumerate(view.places) if each is pane)
        box, card = view.places[index][1], view.cards[index]
        size = (box.width, box.height)
        margin = max(6, box.height // 60)
        numbers = pygame.Rect(box.left, box.top, 0, 0)
        if self.panel and pane.picture is not None:
            status, scale = pane.status, view.scale
            label = self._canvas.label("panel", (status, size, scale), lambda: paint_panel(status, size, scale))
            place = label.get_rect(topleft=(box.left + margin, box.top + margin))
            # What explains the silence outranks the numbers where a small window has no room for both.
            if not place.colliderect(card):
                label.draw(dstrect=place)
                numbers = place
        self._draw_badges(view, pane, box, margin, beside=numbers)
        if self.help:
            keys = KEYS + (SEVERAL_KEYS if len(view.panes) > 1 else ())
            if pane.channel.drivable():
                keys += REMOTE_KEYS
            label = self._canvas.label(
                "help", (keys, whole.size, view.scale), lambda: paint_help(keys, whole.size, view.scale)
            )
            label.draw(dstrect=label.get_rect(center=whole.center))
        self._draw_toast(view, now_us)

    def _draw_captions(self, view: View) -> None:
        for index, (pane, box) in enumerate(view.places):
            tab, size = _tab(pane), (box.width, box.height)
            number = index + 1
            label = self._canvas.label(
                f"caption {pane.channel.name}",
                (tab, number, size, view.scale),
                lambda tab=tab, number=number, size=size: paint_caption(tab, number, size, view.scale),  # type: ignore[misc]
            )
            gap = max(4, box.height // 60)
            label.draw(dstrect=label.get_rect(bottomleft=(box.left + gap, box.top + box.height - gap)))
            if index == view.active:
                self._canvas.frame(box, _EDGE_COLOUR, max(2, round(2 * view.scale)))

    def _draw_badges(self, view: View, pane: Pane, box: Box, margin: int, *, beside: pygame.Rect) -> None:
        """In the upper right corner, or below the numbers where those take the width."""
        badges = tuple(_badges(pane, muted=view.muted, on_top=view.on_top))
        if not badges:
            return
        size = (box.width, box.height)
        label = self._canvas.label("badges", (badges, size, view.scale), lambda: paint_badges(badges, size, view.scale))
        place = label.get_rect(topright=(box.left + box.width - margin, box.top + margin))
        if place.colliderect(beside):
            place.top = beside.bottom + margin // 2
        label.draw(dstrect=place)

    def _draw_toast(self, view: View, now_us: int) -> None:
        if self._toast is None:
            return
        text, until_us = self._toast
        if now_us >= until_us:
            self._toast = None
            return
        whole = self._canvas.view
        label = self._canvas.label(
            "toast", (text, whole.size, view.scale), lambda: paint_toast(text, whole.size, view.scale)
        )
        margin = max(6, whole.height // 60)
        label.draw(dstrect=label.get_rect(midbottom=(whole.centerx, whole.height - margin)))


def _tab(pane: Pane) -> Tab:
    recorder = pane.channel.recorder
    reason = pane.status.reason
    return Tab(
        name=pane.channel.name,
        word="paused" if pane.paused else pane.status.word,
        colour=state_colour(pane.status.situation) if reason else LIVE,
        recording=recorder is not None and recorder.status() is not None,
    )


def _badges(pane: Pane, *, muted: bool, on_top: bool) -> list[Badge]:
    badges = []
    if on_top:
        badges.append(Badge("pin"))
    if muted:
        badges.append(Badge("muted"))
    if pane.channel.driving():
        badges.append(Badge("pointer", "Driving", AMBER))
    if pane.paused:
        badges.append(Badge("pause", "Paused", AMBER))
    recording = None if pane.channel.recorder is None else pane.channel.recorder.status()
    if recording is not None:
        text = f"{time_text(recording.seconds)}  {size_text(recording.size_bytes or 0)}"
        badges.append(Badge("record", text, RED))
    return badges
