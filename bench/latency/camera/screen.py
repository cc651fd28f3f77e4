"""Screenshots in place of photographs: both windows on one Xvfb, side by side, looked at as a camera would.

No clock is involved, as with a camera, and no display either: what is missing is glass.
"""

import threading
import time
from typing import Final

from bench.latency.camera.images import MAX_IMAGES, Grey
from bench.latency.display import SCREEN_PIXELS
from bench.latency.grab import Strip
from bench.latency.x_window import Place, WindowFinder
from latentcast.errors import LatentcastError
from server.sources.x11_grab import GrabFailed

_GAP: Final = 20
"""Pixels between the two windows, and around them."""
_VIEWER: Final = (960, 540)
"""The viewer's first window."""
_APPEAR_S: Final = 30.0


def screen_for(source: tuple[int, int]) -> tuple[int, int]:
    """Size of an Xvfb on which the viewer's window and one of the source's size lie side by side."""
    width = 3 * _GAP + _VIEWER[0] + source[0]
    # No narrower than usual: SDL makes the viewer's window smaller on a small desktop.
    return max(width, SCREEN_PIXELS[0]), max(SCREEN_PIXELS[1], source[1] + 2 * _GAP)


class Screenshots:
    """Puts windows side by side as they appear, and takes screenshots in a thread of its own. A context manager."""

    def __init__(self, display: str, *, source_pid: int, warm_up_s: float, seconds: float) -> None:
        """seconds: over which the screenshots are spread, `warm_up_s` after both windows are there."""
        self._display = display
        self._source_pid = source_pid
        self._warm_up_s = warm_up_s
        self._interval_s = seconds / MAX_IMAGES
        self._ended = threading.Event()
        self._images: list[Grey] = []
        self._problem: str | None = None
        self._thread = threading.Thread(target=self._run, name="screenshots", daemon=True)
        self._thread.start()

    def finish(self) -> list[Grey]:
        """Stop and hand out the screenshots. Raises LatentcastError when there are none."""
        self._ended.set()
        self._thread.join(5.0)
        if not self._images:
            raise LatentcastError(f"no screenshot was taken ({self._problem or 'both windows were never there'}).")
        return self._images

    def _run(self) -> None:
        finder = WindowFinder(self._display)
        try:
            width, height = finder.screen_size()
            if not self._arranged(finder, width) or self._ended.wait(self._warm_up_s):
                return
            screen = Strip(self._display, Place(0, 0, width, height))
            try:
                while not self._ended.wait(self._interval_s) and len(self._images) < MAX_IMAGES:
                    self._images.append(screen.grab().copy())
            finally:
                screen.close()
        except GrabFailed as error:
            self._problem = str(error)
        finally:
            finder.close()

    def _arranged(self, finder: WindowFinder, width: int) -> bool:
        """Wait for both windows, the source's to the left and the viewer's to the right."""
        deadline = time.monotonic() + _APPEAR_S
        while not self._ended.wait(0.2) and time.monotonic() < deadline:
            source = finder.find(self._source_pid)
            other = finder.find_other(self._source_pid)
            if source is not None and other is not None:
                finder.move(self._source_pid, _GAP, _GAP)
                finder.move(other, width - _VIEWER[0] - _GAP, _GAP)
                return True
        return False

    def __enter__(self) -> "Screenshots":
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join(5.0)
