"""An X server of the test's own, and a program with a window on it that notes what a user does to it."""

import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest

PATIENCE_S = 10.0
"""For what another process does; never waited for when all is well."""


@contextmanager
def xvfb(*, width: int = 640, height: int = 360, arguments: tuple[str, ...] = ()) -> Iterator[str]:
    """Name of a fresh X display; skips the test where there is no Xvfb."""
    if shutil.which("Xvfb") is None:
        pytest.skip("Xvfb is not installed")
    read_end, write_end = os.pipe()
    screen = f"{width}x{height}x24"
    command = ["Xvfb", "-displayfd", str(write_end), "-screen", "0", screen, "-nolisten", "tcp", "-noreset", *arguments]
    with (
        os.fdopen(read_end) as answer,
        subprocess.Popen(command, pass_fds=[write_end], stderr=subprocess.DEVNULL) as server,
    ):
        os.close(write_end)
        number = answer.readline().strip()
        try:
            if not number:
                pytest.skip("Xvfb does not start here")
            yield f":{number}"
        finally:
            server.kill()


@dataclass(frozen=True, slots=True)
class Seen:
    """Something that the window was told."""

    kind: str
    """`key`, `button` or `motion`."""
    detail: int = 0
    """Keycode or number of the button."""
    pressed: bool = False
    x: int = 0
    y: int = 0
    text: str = ""
    """The character that the key makes, as this program looks it up."""


class Program:
    """A window without a frame, for the test to look into. Closed by `close`."""

    def __init__(self, display_name: str, *, x: int, y: int, width: int, height: int, title: str = "") -> None:
        from Xlib import X, display

        self.display = display.Display(display_name)
        root = self.display.screen().root
        mask = X.KeyPressMask | X.KeyReleaseMask | X.ButtonPressMask | X.ButtonReleaseMask | X.PointerMotionMask
        self.window = root.create_window(
            x, y, width, height, 0, X.CopyFromParent, background_pixel=0xFFFFFF, event_mask=mask, override_redirect=1
        )
        if title:
            self.window.set_wm_name(title)
        self.window.map()
        self.display.sync()
        self.window.set_input_focus(X.RevertToParent, X.CurrentTime)
        self.display.sync()
        self.seen: list[Seen] = []

    def look(self) -> list[Seen]:
        """Everything so far."""
        self.display.sync()
        while self.display.pending_events():
            seen = self._understood(self.display.next_event())
            if seen is not None:
                self.seen.append(seen)
        return self.seen

    def typed(self) -> str:
        """Characters of all key presses so far."""
        return "".join(seen.text for seen in self.look() if seen.kind == "key" and seen.pressed)

    def held(self) -> set[tuple[str, int]]:
        """What the X server holds pressed, keys and buttons, according to the events."""
        down: set[tuple[str, int]] = set()
        for seen in self.look():
            if seen.kind != "motion":
                (down.add if seen.pressed else down.discard)((seen.kind, seen.detail))
        return down

    def close(self) -> None:
        self.display.close()

    def _understood(self, event: Any) -> Seen | None:
        from Xlib import X

        if event.type in (X.KeyPress, X.KeyRelease):
            text = self._character(event)
            return Seen("key", event.detail, event.type == X.KeyPress, event.root_x, event.root_y, text)
        if event.type in (X.ButtonPress, X.ButtonRelease):
            return Seen("button", event.detail, event.type == X.ButtonPress, event.root_x, event.root_y)
        if event.type == X.MotionNotify:
            return Seen("motion", x=event.root_x, y=event.root_y)
        if event.type == X.MappingNotify:
            self.display.refresh_keyboard_mapping(event)
        return None

    def _character(self, event: Any) -> str:
        from Xlib import X

        keysym = self.display.keycode_to_keysym(event.detail, 1 if event.state & X.ShiftMask else 0)
        if 0x20 <= keysym <= 0xFF:
            return chr(keysym)
        return chr(keysym - 0x01000000) if keysym > 0x01000000 else ""


def until(condition: Callable[[], bool]) -> None:
    """Look until something has come true."""
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, "it did not come true"
        time.sleep(0.005)
