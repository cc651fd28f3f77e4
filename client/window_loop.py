"""The loop that windows live in: sleep until there is a picture or a key, hand out events, let every window draw."""

import os
import threading
from collections.abc import Sequence

os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")
import pygame

from client.window import Window

_WAIT_S = 0.02
"""Longest sleep between two looks at the keyboard: one 50 Hz tick, below what a key press is felt at."""
_DRIVING_WAIT_S = 0.004
"""The same while a desktop is driven, whose delay adds to this one."""


def run_windows(windows: Sequence[Window], stop: threading.Event, bell: threading.Event) -> None:
    """Show pictures until the user quits, has closed every window, or `stop` is set; then close them. Main thread.

    `bell`: rung by the mailboxes when there is something to take.
    """
    try:
        while not stop.is_set():
            bell.wait(_DRIVING_WAIT_S if any(window.driving for window in windows) else _WAIT_S)
            bell.clear()
            for event in pygame.event.get():
                if event.type == pygame.QUIT:
                    return
                of = _window_of(event)
                for window in windows:
                    if of is None or of == window.id:
                        window.handle(event)
            if any(window.quit for window in windows):
                return
            for window in windows:
                window.step()
            if all(window.closed for window in windows):
                return
    finally:
        for window in windows:
            window.close()
        pygame.display.quit()


def _window_of(event: pygame.event.Event) -> int | None:
    """SDL's number of the window that keys and pointers belong to; None: everybody's, as a restarted driver is."""
    try:
        return getattr(event.dict.get("window"), "id", None)
    except pygame.error:  # closed since
        return -1
