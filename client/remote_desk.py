"""The viewer's own machine, through SDL: its clipboard, and the pointer's shape over the window."""

import base64
import binascii
import io
import logging
import os

os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")
import pygame

from latentcast.control import Cursor

log = logging.getLogger(__name__)

_MAX_SIDE = 256
"""A cursor of more pixels in width or height is not shown: no desktop has such."""


class SdlDesk:
    """Implements `client.remote.Desk`. Main thread, while a window is open."""

    def copied(self) -> str | None:
        """See `Desk.copied`."""
        try:
            return pygame.scrap.get_text() or None
        except pygame.error as error:
            log.debug("the clipboard cannot be read: %s", error)
            return None

    def copy(self, text: str) -> None:
        """See `Desk.copy`."""
        try:
            pygame.scrap.put_text(text)
        except pygame.error as error:
            log.debug("the clipboard cannot be written: %s", error)

    def show_cursor(self, cursor: Cursor | None) -> None:
        """See `Desk.show_cursor`."""
        pygame.mouse.set_visible(cursor is None or cursor.visible)
        picture = None if cursor is None else _picture(cursor)
        try:
            if cursor is None or picture is None:
                pygame.mouse.set_cursor(pygame.SYSTEM_CURSOR_ARROW)
            else:
                hot = min(cursor.hot_x, picture.get_width() - 1), min(cursor.hot_y, picture.get_height() - 1)
                pygame.mouse.set_cursor(hot, picture)
        except pygame.error as error:
            log.debug("the cursor cannot be shown: %s", error)


def _picture(cursor: Cursor) -> pygame.Surface | None:
    """The cursor's pixels; None for the ordinary arrow, and for what is no picture."""
    if not cursor.png:
        return None
    try:
        data = base64.b64decode(cursor.png, validate=True)
        # A PNG says its size in bytes 16 to 23; one that unpacks to gigabytes must not be unpacked.
        width, height = (int.from_bytes(data[at : at + 4], "big") for at in (16, 20))
        if not (data.startswith(b"\x89PNG\r\n\x1a\n") and 0 < width <= _MAX_SIDE and 0 < height <= _MAX_SIDE):
            raise ValueError(f"it is {width}x{height}")
        return pygame.image.load(io.BytesIO(data), "cursor.png")
    except (binascii.Error, ValueError, pygame.error) as error:
        log.debug("the server's cursor is no picture: %s", error)
        return None
