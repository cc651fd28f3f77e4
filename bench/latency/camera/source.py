"""A window that shows the test pattern with its bar code: what the camera sees as the source.

Also what a shared screen shows when `--source screen` is measured, or a webcam looks at.
"""

import os
import time
from typing import Final

import numpy as np

from client.fit import letterbox, shrunk_to_fit
from client.still import picture_surface
from latentcast import barcode
from latentcast.errors import UserError
from server.sources.pattern import PatternSource

os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")
import pygame

_BACKGROUND: Final = (0, 0, 0)
_DESKTOP_SHARE: Final = 0.9


def show_source(*, size: tuple[int, int], fps: float, full_screen: bool, seconds: float | None) -> int:
    """Show it until Esc, q or the end of `seconds`; returns how many pictures were shown.

    Raises UserError when no window can be opened, or the bar code does not fit.
    """
    if not barcode.strip_height(width=size[0], height=size[1]):
        raise UserError(f"a bar code does not fit into {size[0]}x{size[1]}; choose a --size of 128x72 or more.")
    source = PatternSource(size=size, fps=fps)
    try:
        pygame.display.init()
        desktop = pygame.display.get_desktop_sizes()[0]
        room = round(desktop[0] * _DESKTOP_SHARE), round(desktop[1] * _DESKTOP_SHARE)
        flags = pygame.FULLSCREEN if full_screen else pygame.RESIZABLE
        window = pygame.display.set_mode(desktop if full_screen else shrunk_to_fit(size, room), flags)
    except pygame.error as error:
        pygame.display.quit()
        raise UserError(f"no window can be opened ({error}); set DISPLAY to a screen.") from error
    pygame.display.set_caption("Latentcast: source")
    if full_screen:
        pygame.mouse.set_visible(False)
    planes = np.empty((3, size[1], size[0]), np.uint8)
    end = None if seconds is None else time.monotonic() + seconds
    shown = 0
    try:
        while end is None or time.monotonic() < end:
            if _wants_to_leave():
                break
            source.read(planes, frame_id=shown)
            picture = picture_surface(planes)
            box = letterbox(size, window.get_size())
            if (box.width, box.height) != size:
                # Whole cells matter, not smooth ones: the nearest pixel keeps edges where they are.
                picture = pygame.transform.scale(picture, (box.width, box.height))
            window.fill(_BACKGROUND)
            window.blit(picture, (box.left, box.top))
            pygame.display.flip()
            shown += 1
    finally:
        pygame.display.quit()
        source.close()
    return shown


def _wants_to_leave() -> bool:
    leave = False
    for event in pygame.event.get():
        leave |= event.type == pygame.QUIT
        leave |= event.type == pygame.KEYDOWN and event.key in (pygame.K_ESCAPE, pygame.K_q)
    return leave
