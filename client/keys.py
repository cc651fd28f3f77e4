"""What the keys and the mouse of a viewing window mean: pygame's events to commands, and the list that users read.

The window asks its `EventHook` first where there is one (driving a remote desktop): what the hook takes never becomes
a command.
"""

import os
from dataclasses import dataclass
from enum import Enum, auto
from typing import Protocol

os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")
import pygame

from client.fit import PictureArea

DOUBLE_CLICK_US = 400_000
"""Two presses within this time and distance are one double click; desktops use 400 or 500 ms."""
DOUBLE_CLICK_PX = 6


class Action(Enum):
    """What a user can ask of a window."""

    NUMBERS = auto()
    HELP = auto()
    FULL_SCREEN = auto()
    LEAVE = auto()
    """Close the help, or leave the full screen."""
    PAUSE = auto()
    SNAPSHOT = auto()
    RECORD = auto()
    MUTE = auto()
    LOUDER = auto()
    QUIETER = auto()
    ZOOM = auto()
    ON_TOP = auto()
    NEXT = auto()
    PREVIOUS = auto()
    SELECT = auto()
    GRID = auto()
    QUIT = auto()


@dataclass(frozen=True, slots=True)
class Command:
    """One wish of the user."""

    action: Action
    index: int = 0
    """Of SELECT: which stream, from 0."""


KEYS: tuple[tuple[str, str], ...] = (
    ("h, F1", "this help"),
    ("i", "numbers"),
    ("f, F11", "full screen"),
    ("Esc", "leave full screen"),
    ("Space", "pause the picture"),
    ("s", "save the picture"),
    ("r", "record, and stop"),
    ("m", "mute"),
    ("+ -", "volume"),
    ("z", "real pixels, or fit"),
    ("t", "always on top"),
    ("q", "quit"),
)
"""Key and meaning, in the order of the help."""
SEVERAL_KEYS: tuple[tuple[str, str], ...] = (
    ("Tab", "next stream"),
    ("1 ... 9", "stream by number"),
    ("g", "grid, or tabs"),
)
"""Further keys where several streams share a window."""
REMOTE_KEYS: tuple[tuple[str, str], ...] = (
    ("F10", "drive the desktop"),
    ("Right Ctrl", "give it back"),
)
"""Of a stream that shows a screen which this viewer may drive (`client.remote`)."""

_SHORTCUT_MODIFIERS = pygame.KMOD_CTRL | pygame.KMOD_ALT | pygame.KMOD_META
"""A key held together with one of these belongs to the desktop; Ctrl+Tab is the exception that everybody knows."""

_ACTIONS = {
    pygame.K_i: Action.NUMBERS,
    pygame.K_h: Action.HELP,
    pygame.K_F1: Action.HELP,
    pygame.K_f: Action.FULL_SCREEN,
    pygame.K_F11: Action.FULL_SCREEN,
    pygame.K_ESCAPE: Action.LEAVE,
    pygame.K_SPACE: Action.PAUSE,
    pygame.K_s: Action.SNAPSHOT,
    pygame.K_r: Action.RECORD,
    pygame.K_m: Action.MUTE,
    pygame.K_PLUS: Action.LOUDER,
    # On most keyboards + is Shift and this key.
    pygame.K_EQUALS: Action.LOUDER,
    pygame.K_KP_PLUS: Action.LOUDER,
    pygame.K_MINUS: Action.QUIETER,
    pygame.K_KP_MINUS: Action.QUIETER,
    pygame.K_z: Action.ZOOM,
    pygame.K_t: Action.ON_TOP,
    pygame.K_g: Action.GRID,
    pygame.K_q: Action.QUIT,
}


class EventHook(Protocol):
    """Sees every event of a window before its own keys do."""

    def __call__(self, event: pygame.event.Event, area: PictureArea | None) -> bool:
        """True when the event is taken. `area`: where the picture is, for the pointer; None while there is none."""
        ...


def command_of(event: pygame.event.Event) -> Command | None:
    """What a key press asks for; None for every other event, and for keys that mean nothing here."""
    if event.type != pygame.KEYDOWN:
        return None
    key, modifiers = event.dict.get("key"), event.dict.get("mod", 0)
    if key == pygame.K_TAB and not modifiers & (pygame.KMOD_ALT | pygame.KMOD_META):
        return Command(Action.PREVIOUS if modifiers & pygame.KMOD_SHIFT else Action.NEXT)
    if modifiers & _SHORTCUT_MODIFIERS or not isinstance(key, int):
        return None
    if pygame.K_1 <= key <= pygame.K_9:
        return Command(Action.SELECT, key - pygame.K_1)
    action = _ACTIONS.get(key)
    return None if action is None else Command(action)


class Clicks:
    """Tells double clicks from two clicks: SDL counts them, pygame does not pass that on."""

    def __init__(self) -> None:
        self._last: tuple[int, tuple[int, int]] | None = None

    def press(self, position: tuple[int, int], now_us: int) -> bool:
        """Whether this press of the left button makes a double click."""
        last, self._last = self._last, (now_us, position)
        if last is None or now_us - last[0] > DOUBLE_CLICK_US:
            return False
        if max(abs(position[0] - last[1][0]), abs(position[1] - last[1][1])) > DOUBLE_CLICK_PX:
            return False
        # A third press begins anew.
        self._last = None
        return True
