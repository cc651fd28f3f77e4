"""A grey window over the whole screen, in whose middle a patch turns black or white at every key press.

Runs as a process of its own, `python -m bench.latency.remote.flipper`: it says `{"ready": true}`, then, for each key
press, one line with when the key came and when the X server had drawn the new colour. It ends with its input.
"""

import json
import select
import sys
import time
from typing import Any, Final

from server.x11 import open_display

_BLACK: Final = 0x101010
_WHITE: Final = 0xEBEBEB
"""Luma 16 and 235: as far apart as the bar code's cells, and no further than limited range keeps."""
_GREY: Final = 0x808080
_PATCH_SHARE: Final = 4
"""The patch is so small a part of the screen's width and height: as much as a menu that opens, not a scene change."""
_KEY_PRESS: Final = 2
_EXPOSE: Final = 12
_MASK: Final = 1 << 0 | 1 << 15
"""KeyPressMask and ExposureMask of the X protocol."""


def flip(display_name: str) -> None:
    """Until standard input ends. Raises UserError when the display cannot be opened."""
    display = open_display(display_name)
    screen = display.screen()
    width, height = screen.width_in_pixels, screen.height_in_pixels
    window = screen.root.create_window(
        0, 0, width, height, 0, screen.root_depth, background_pixel=_GREY, override_redirect=True, event_mask=_MASK
    )
    pen = window.create_gc(foreground=_BLACK)
    window.map()
    display.sync()
    # No window manager hands out the focus here, and XTEST's keys go to whoever has it.
    window.set_input_focus(1, 0)
    display.sync()
    _say(ready=True)
    white = False
    while True:
        if not display.pending_events():
            ready, _, _ = select.select([sys.stdin, display.fileno()], [], [])
            if sys.stdin in ready and not sys.stdin.readline():
                break
        while display.pending_events():
            event: Any = display.next_event()
            if event.type == _KEY_PRESS:
                key_us = time.monotonic_ns() // 1000
                white = not white
                _paint(display, window, pen, white=white, size=(width, height))
                _say(key_us=key_us, drawn_us=time.monotonic_ns() // 1000, white=white)
            elif event.type == _EXPOSE:
                _paint(display, window, pen, white=white, size=(width, height))
    display.close()


def _paint(display: Any, window: Any, pen: Any, *, white: bool, size: tuple[int, int]) -> None:
    pen.change(foreground=_WHITE if white else _BLACK)
    width, height = size[0] // _PATCH_SHARE, size[1] // _PATCH_SHARE
    window.fill_rectangle(pen, (size[0] - width) // 2, (size[1] - height) // 2, width, height)
    display.sync()


def _say(**message: object) -> None:
    print(json.dumps(message), flush=True)


if __name__ == "__main__":
    flip(sys.argv[1])
