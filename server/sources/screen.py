"""An X11 screen, or a part of it, as a live source.

    wait until due ── where is it now? ── open x11grab again if that has changed ── grab ── convert, fitted into black

The picture keeps the size it began with: a window that is resized, or a screen that is, is fitted into it. What cannot
be seen for a while (window closed or minimised, monitor unplugged) is `SourceLost` with the reason, and is looked for
every 0.5 s; so is an X server that has gone, which is tried again ever more rarely, every 5 s in the end.
"""

import logging
import os
import threading
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from codec.colour import Rectangle, ToPlanes, paint_border
from latentcast.errors import UserError
from server.audio import AudioFeed
from server.sources.base import (
    SourceLost,
    Waiter,
    check_picture,
    check_planes,
    monotonic_us,
    picture_size,
)
from server.sources.screen_geometry import ScreenGeometry
from server.sources.screen_target import OutOfSight, parse_target
from server.sources.x11_grab import GrabFailed, X11Grab
from server.x11 import XDisplay, connection_lost, open_display

log = logging.getLogger(__name__)

_FPS = 30.0
"""Frames a second when nothing else is asked for."""

_FIRST_RETRY_s, _MAX_RETRY_s = 0.5, 5.0

_MAX_LATE_s = 0.5
"""Later than this, the schedule starts anew instead of counting the frames that were missed."""


class ScreenSource:
    """Implements `Source`. `spec` is one of `screen_target`'s; size and rate default to the screen's own and 30.

    `geometry`, `display_name` and `set_cursor` may be used from any thread.
    """

    def __init__(
        self,
        spec: str,
        *,
        size: tuple[int, int] | None = None,
        fps: float | None = None,
        clock: Callable[[], int] = monotonic_us,
        wait: Callable[[float], object] | None = None,
    ) -> None:
        """Raises UserError when the display cannot be reached, or does not show what `spec` names."""
        check_picture(size=size, fps=fps)
        self._target = parse_target(spec)
        self._fps = _FPS if fps is None else fps
        self._waiter = Waiter(clock=clock, wait=wait)
        self._to_planes = ToPlanes()
        self.display_name = os.environ.get("DISPLAY", "")
        """The X display that is captured; a viewer's input goes there."""
        self._display: XDisplay | None = open_display()
        self._grab: X11Grab | None = None
        self._cursor = threading.Event()
        self._cursor.set()
        try:
            region = self._target.locate(self._display)
        except OutOfSight as error:
            self.close()
            raise UserError(f"{error}.") from error
        except connection_lost() as error:
            self.close()
            raise UserError(f"the X display {self.display_name} went away while it was asked ({error}).") from error
        self._size = size or picture_size(*region[2:])
        self._geometry = ScreenGeometry(self._size, region)
        self._retry_s = _FIRST_RETRY_s
        self._next_us: float | None = None

    @property
    def kind(self) -> str:
        """See `Source.kind`."""
        return "screen"

    @property
    def audio(self) -> AudioFeed | None:
        """A screen has no sound of its own."""
        return None

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) of the picture."""
        return self._size

    @property
    def fps(self) -> float:
        """Frames per second."""
        return self._fps

    @property
    def geometry(self) -> ScreenGeometry:
        """Which part of the screen the newest picture shows, and where in it."""
        return self._geometry

    def set_cursor(self, drawn: bool) -> None:
        """Whether the pointer is drawn into the pictures from now on. It is at first."""
        if drawn:
            self._cursor.set()
        else:
            self._cursor.clear()

    def read(self, planes: NDArray[np.uint8], *, frame_id: int) -> int:
        """See `Source.read`. Capture time is the instant before the screen is read."""
        check_planes(planes, self._size)
        self._waiter.until(self._due_us())
        try:
            region = self._locate()
            try:
                frame, captured_us = self._opened(region).grab()
            except GrabFailed:
                # The screen may have changed size between the question and the grab: once more, with fresh eyes.
                self._close_grab()
                region = self._locate()
                frame, captured_us = self._opened(region).grab()
        except OutOfSight as error:
            # The connection stays: by it a window is known that has another title when it comes back.
            self._close_grab()
            self._next_us = self._waiter.clock() + _FIRST_RETRY_s * 1e6
            raise SourceLost(str(error).rstrip(".")) from error
        except (GrabFailed, UserError) as error:
            raise self._cut_off(str(error).rstrip(".")) from error
        except connection_lost() as error:
            raise self._cut_off(f"the X display {self.display_name} has gone ({_first_line(error)})") from error
        self._retry_s = _FIRST_RETRY_s
        geometry = ScreenGeometry(self._size, region)
        x, y, w, h = geometry.rectangle
        paint_border(planes, geometry.rectangle)
        self._to_planes(frame, width=w, height=h, out=planes[:, y : y + h, x : x + w])
        self._geometry = geometry
        return captured_us

    def interrupt(self) -> None:
        """See `Source.interrupt`."""
        self._waiter.interrupt()

    def close(self) -> None:
        """Close both connections to the X server."""
        self._close_grab()
        display, self._display = self._display, None
        if display is not None:
            try:
                display.close()
            except connection_lost():
                pass

    def _due_us(self) -> float:
        """When the next picture is to be taken; one that is late does not shift those after it, unless by much."""
        now_us = self._waiter.clock()
        if self._next_us is None or now_us - self._next_us > _MAX_LATE_s * 1e6:
            self._next_us = float(now_us)
        due_us = self._next_us
        interval_us = 1e6 / self._fps
        # Ticks that have passed are left out: two pictures in a row would show the same screen.
        self._next_us += interval_us * max(1, (now_us - due_us) // interval_us)
        return due_us

    def _locate(self) -> Rectangle:
        """What to capture now."""
        display = self._display
        if display is None:
            display = self._display = open_display(self.display_name)
        return self._target.locate(display)

    def _opened(self, region: Rectangle) -> X11Grab:
        cursor = self._cursor.is_set()
        if self._grab is None or self._grab.region != region or self._grab.cursor != cursor:
            self._close_grab()
            self._grab = X11Grab(self.display_name, region, cursor=cursor)
        return self._grab

    def _close_grab(self) -> None:
        grab, self._grab = self._grab, None
        if grab is not None:
            grab.close()

    def _cut_off(self, reason: str) -> SourceLost:
        """Everything is opened anew when the next `read` has waited, longer each time."""
        self.close()
        self._next_us = self._waiter.clock() + self._retry_s * 1e6
        self._retry_s = min(_MAX_RETRY_s, 2 * self._retry_s)
        return SourceLost(reason)


def _first_line(error: BaseException) -> str:
    return (str(error) or type(error).__name__).splitlines()[0].rstrip(".")
