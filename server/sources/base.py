"""What a source of frames is, and the clock it keeps time by.

A source is driven by one thread: `read` blocks until its next frame is due and fills the picture it is given. Nothing
is queued here; whoever reads decides what to do with a picture that nobody has taken yet.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from latentcast.errors import LatentcastError, UserError
from server.audio import AudioFeed

MIN_SIDE, MAX_WIDTH, MAX_HEIGHT = 64, 1920, 1088
"""Pictures the project handles, in pixels."""

MIN_FPS, MAX_FPS = 1, 240
"""Frames per second: below one there is nothing to pace, above 240 no display."""


class SourceClosed(LatentcastError):
    """`read` was interrupted, or called after `interrupt`: there will be no more frames."""


class SourceLost(LatentcastError):
    """No frame can be had now; the message says why. The next `read` waits, tries again, and may succeed."""


@dataclass(frozen=True, slots=True)
class SourceStatus:
    """What a stream's source is doing."""

    kind: str
    state: Literal["waiting", "live", "ended"]
    reason: str | None = None
    """Why there is no picture, for the user."""


class Source(Protocol):
    """Where frames come from. Driven by one thread; `interrupt` may be called from any other."""

    @property
    def kind(self) -> str:
        """`pattern`, `file`, `webcam`, `screen`, `url` or `whip`."""
        ...

    @property
    def audio(self) -> AudioFeed | None:
        """Where its sound comes out; None if it has none."""
        ...

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) of the planes it fills."""
        ...

    @property
    def fps(self) -> float:
        """Nominal frames per second."""
        ...

    def read(self, planes: NDArray[np.uint8], *, frame_id: int) -> int:
        """Block until the next frame is due, fill `planes` and return its capture time.

        `planes` is uint8 (3, height, width), the full-range BT.709 working picture; all of it is written. The time is
        in microseconds of the monotonic clock. Raises SourceClosed after `interrupt`, SourceLost when there is no
        frame now but there may be later, and any other LatentcastError when there will be none any more.
        """
        ...

    def interrupt(self) -> None:
        """Make a blocked `read`, and every later one, raise SourceClosed at once."""
        ...

    def close(self) -> None:
        """Release files and devices. Called once no thread is in `read`."""
        ...


def monotonic_us() -> int:
    """The clock of capture times: microseconds, never set back."""
    return time.monotonic_ns() // 1000


class Waiter:
    """Sleep that can be interrupted, on a clock that tests replace.

    `clock` returns microseconds. `wait` blocks for that many seconds and may return early; by default it returns when
    `interrupt` is called.
    """

    def __init__(
        self, *, clock: Callable[[], int] = monotonic_us, wait: Callable[[float], object] | None = None
    ) -> None:
        self._interrupted = threading.Event()
        self._wait = wait or self._interrupted.wait
        self.clock = clock

    def until(self, due_us: float) -> int:
        """Block until the clock shows `due_us` or later and return what it shows. Raises SourceClosed."""
        while True:
            if self._interrupted.is_set():
                raise SourceClosed("the source was closed")
            now_us = self.clock()
            if now_us >= due_us:
                return now_us
            self._wait((due_us - now_us) / 1e6)

    def interrupt(self) -> None:
        """End the current wait and refuse later ones."""
        self._interrupted.set()


def check_picture(*, size: tuple[int, int] | None, fps: float | None) -> None:
    """Raise UserError for a size or frame rate outside what the project handles; None is left to the source."""
    if size is not None and not (MIN_SIDE <= size[0] <= MAX_WIDTH and MIN_SIDE <= size[1] <= MAX_HEIGHT):
        raise UserError(
            f"the size is {size[0]}x{size[1]}, expected {MIN_SIDE}x{MIN_SIDE} to {MAX_WIDTH}x{MAX_HEIGHT}: "
            "choose one in between"
        )
    if fps is not None and not MIN_FPS <= fps <= MAX_FPS:
        raise UserError(f"the frame rate is {fps:g}, expected {MIN_FPS} to {MAX_FPS}: choose one in between")


def picture_size(width: int, height: int) -> tuple[int, int]:
    """The nearest even size of the same shape that the project handles."""
    scale = min(1.0, MAX_WIDTH / width, MAX_HEIGHT / height)
    scale = max(scale, min(MIN_SIDE / min(width, height), MAX_WIDTH / width, MAX_HEIGHT / height))
    even_w, even_h = int(width * scale + 1e-6) & ~1, int(height * scale + 1e-6) & ~1
    return max(even_w, MIN_SIDE), max(even_h, MIN_SIDE)


def check_planes(planes: NDArray[np.uint8], size: tuple[int, int]) -> None:
    """Raise ValueError unless `planes` is the picture a source of `size` (width, height) fills."""
    expected = (3, size[1], size[0])
    if planes.shape != expected or planes.dtype != np.uint8:
        raise ValueError(f"got a {planes.dtype} {planes.shape} picture to fill, expected uint8 {expected}")
