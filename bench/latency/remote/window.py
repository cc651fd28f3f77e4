"""The whole way: a key pressed at the viewer's keyboard, to the pixel that changes in the viewer's window.

    XTEST on the viewer's display ─▶ SDL ─▶ control channel ─▶ XTEST on the desktop ─▶ its window draws
    grab of the viewer's window  ◀─ SDL ◀─ decoder ◀─ network ◀─ encoder ◀─ capture ◀──┘

Nothing inside the programs is asked: the press and the grab happen outside of them, on one clock.
"""

import queue
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

from bench.latency.display import Display
from bench.latency.grab import Strip
from bench.latency.remote.desktop import Flipper, KeySeen
from bench.latency.remote.probe import ANSWER_S, PAUSE_S, SETTLE_S, START_S, pauses
from bench.latency.x_window import Place, WindowFinder
from latentcast.errors import LatentcastError
from server.sources.x11_grab import GrabFailed
from server.x11 import open_display

BEGIN_KEY: Final = "F10"
"""With it the viewer's window begins to drive."""
PRESSED_KEY: Final = "l"
_LOOK: Final = 16
"""Pixels of the patch's middle that are looked at, both ways."""
_GRAB_INTERVAL_S: Final = 0.002
_WHITE_ABOVE: Final = 126
_KEY_PRESS, _KEY_RELEASE = 2, 3
_MAX_KEYS: Final = 100
"""Key events that wait to be paired; more are dropped."""
_HEARD_S: Final = 0.5
"""A key takes a few milliseconds to the desktop."""
_STOP_TIMEOUT_S: Final = 5.0


@dataclass(frozen=True, slots=True)
class WindowPress:
    """One press, in microseconds."""

    pressed_us: int
    """Handed to the viewer's X server."""
    key_us: int
    """Key event in the window on the desktop."""
    after_us: int
    """Not yet changed then: start of the last grab with the old colour."""
    before_us: int
    """Changed by then: end of the first grab with the new one."""

    @property
    def total_ms(self) -> float:
        """Key to pixel: to the middle of the interval."""
        return (self.after_us + self.before_us) / 2e3 - self.pressed_us / 1e3

    @property
    def bound_ms(self) -> float:
        """What `total_ms` may be wrong by."""
        return (self.before_us - self.after_us) / 2e3

    @property
    def to_desktop_ms(self) -> float:
        """Until the desktop had the key."""
        return (self.key_us - self.pressed_us) / 1e3


def press_in_window(
    url: str, *, stream: str, token: str, display: Display, flipper: Flipper, presses: int
) -> tuple[list[WindowPress], int]:
    """Open a viewer on `display` (an Xvfb) and press keys in its window: those answered, and how many were not.

    Raises LatentcastError when the window does not appear or does not drive.
    """
    keys: queue.Queue[KeySeen] = queue.Queue(_MAX_KEYS)
    with _viewer(url, stream=stream, token=token, display=display) as pid, _Keyboard(display.name) as keyboard:
        finder = WindowFinder(display.name)
        try:
            place = _wait_for_window(finder, pid)
            finder.focus(pid)
        finally:
            finder.close()
        flipper.listen(lambda key: None if keys.full() else keys.put_nowait(key))
        time.sleep(SETTLE_S)  # to connect; the window says so when it is asked to drive before
        _begin(keyboard, keys)
        time.sleep(SETTLE_S)
        middle = Place(place.left + (place.width - _LOOK) // 2, place.top + (place.height - _LOOK) // 2, _LOOK, _LOOK)
        try:
            strip = Strip(display.name, middle)
        except GrabFailed as error:
            raise LatentcastError(f"the viewer's window cannot be grabbed: {error}.") from error
        try:
            return _press_all(keyboard, strip, keys, presses)
        finally:
            strip.close()


def _begin(keyboard: "_Keyboard", keys: "queue.Queue[KeySeen]") -> None:
    """Until keys reach the desktop: a viewer that is not connected yet, or knows no rights yet, does not drive."""
    end = time.monotonic() + START_S
    while time.monotonic() < end:
        keyboard.press(BEGIN_KEY)
        keyboard.press(PRESSED_KEY)
        try:
            keys.get(timeout=_HEARD_S)
        except queue.Empty:
            continue
        return
    raise LatentcastError(f"keys pressed in the viewer's window did not reach the desktop within {START_S:g} s.")


def _press_all(
    keyboard: "_Keyboard", strip: Strip, keys: "queue.Queue[KeySeen]", presses: int
) -> tuple[list[WindowPress], int]:
    answered: list[WindowPress] = []
    lost = 0
    for pause_s in pauses(presses):
        time.sleep(PAUSE_S + pause_s)
        press = _press(keyboard, strip, keys)
        if press is None:
            lost += 1
        else:
            answered.append(press)
        if lost >= 3 and not answered:
            break  # nobody listens
    return answered, lost


def _press(keyboard: "_Keyboard", strip: Strip, keys: "queue.Queue[KeySeen]") -> WindowPress | None:
    while not keys.empty():
        keys.get_nowait()
    was_white = float(strip.grab().mean()) > _WHITE_ABOVE
    after_us = pressed_us = time.monotonic_ns() // 1000
    keyboard.press(PRESSED_KEY)
    end = time.monotonic() + ANSWER_S
    while time.monotonic() < end:
        start_us = time.monotonic_ns() // 1000
        white = float(strip.grab().mean()) > _WHITE_ABOVE
        before_us = time.monotonic_ns() // 1000
        if white != was_white:
            try:
                return WindowPress(pressed_us, keys.get(timeout=0.1).key_us, after_us, before_us)
            except queue.Empty:
                return None  # it changed for another reason
        after_us = start_us
        time.sleep(_GRAB_INTERVAL_S)
    return None


def _wait_for_window(finder: WindowFinder, pid: int) -> Place:
    end = time.monotonic() + START_S
    while time.monotonic() < end:
        place = finder.find(pid)
        if place is not None:
            return place
        time.sleep(0.1)
    raise LatentcastError(f"the viewer opened no window within {START_S:g} s; what it said is above.")


@contextmanager
def _viewer(url: str, *, stream: str, token: str, display: Display) -> Iterator[int]:
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "latentcast", "view", url, "--stream", stream],
        stdout=subprocess.DEVNULL,
        # Not among the arguments, where everybody on this machine could read it.
        env=display.environment() | {"LATENTCAST_VIEW__TOKEN": token},
        start_new_session=True,
    )
    try:
        yield process.pid
    finally:
        process.terminate()
        try:
            process.wait(_STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


class _Keyboard:
    """Presses keys of an X display through XTEST; they reach whoever has its focus."""

    def __init__(self, display: str) -> None:
        self._display: Any = open_display(display)

    def press(self, name: str) -> None:
        """Press and release. The server has got the press when this returns."""
        from Xlib import XK
        from Xlib.ext import xtest

        code = self._display.keysym_to_keycode(XK.string_to_keysym(name))
        for kind in (_KEY_PRESS, _KEY_RELEASE):
            xtest.fake_input(self._display, kind, code)
        self._display.sync()

    def __enter__(self) -> "_Keyboard":
        return self

    def __exit__(self, *_: object) -> None:
        self._display.close()
