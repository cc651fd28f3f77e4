"""Sources that deliver frames by themselves: cameras, screens, network streams, browsers.

    reader thread or event loop ── put ──▶ NewestFrame (one frame, the newest wins) ── read ──▶ LiveSource ──▶ planes

Whoever produces frames is never held up and never queues: a frame that was not taken is replaced and counted. Frames
are converted by `read` alone, after the choice of which to take, so that a camera at 120 fps costs no more than one at
the stream's rate.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import av
import numpy as np
from numpy.typing import NDArray

from codec.colour import Rectangle, ToPlanes, fit_rectangle, paint_border
from latentcast.errors import UserError
from server.audio import AudioFeed
from server.sources.base import SourceClosed, SourceLost, check_picture, check_planes, monotonic_us

STALL_S = 2.0
"""Without a frame for so long a source counts as lost: two key frame intervals of an ordinary camera."""

_EARLY = 0.25
"""Share of a frame interval by which a frame may come early and still be taken: cameras' clocks jitter."""

_BACK_INTERVALS = 2.0
"""A frame earlier than this many intervals before it is due was not early: its clock is another one than before."""


@dataclass(frozen=True, slots=True)
class TimedFrame:
    """frame: as the producer made it. captured_us: monotonic clock. sample_aspect: width of a pixel over its height."""

    frame: av.VideoFrame
    captured_us: int
    sample_aspect: float


class NewestFrame:
    """One slot between a producer and `LiveSource.read`. Thread-safe."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._frame: TimedFrame | None = None
        self._problem: str | None = None
        self._closed = False
        self.received = 0
        """Frames that came."""
        self.dropped = 0
        """Frames that a newer one replaced before they were taken."""

    def put(self, frame: av.VideoFrame, captured_us: int | None = None, *, sample_aspect: float = 1.0) -> None:
        """A new frame; by default it was captured now. Never blocks."""
        timed = TimedFrame(frame, monotonic_us() if captured_us is None else captured_us, sample_aspect)
        with self._changed:
            self.received += 1
            self.dropped += self._frame is not None
            self._frame = timed
            self._problem = None
            self._changed.notify_all()

    def fail(self, reason: str) -> None:
        """There are no frames now: one sentence for the user. The next `put` takes it back."""
        with self._changed:
            self._problem = reason
            self._changed.notify_all()

    def close(self) -> None:
        """Whoever waits gets SourceClosed, now and later."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def take(self, timeout_s: float) -> TimedFrame | None:
        """The newest frame, once; None when none came in time. Raises SourceClosed, or SourceLost after `fail`."""
        with self._changed:
            self._changed.wait_for(
                lambda: self._closed or self._frame is not None or self._problem is not None, timeout_s
            )
            if self._closed:
                raise SourceClosed("the source was closed")
            frame, self._frame = self._frame, None
            if frame is None and self._problem is not None:
                problem, self._problem = self._problem, None
                raise SourceLost(problem)
            return frame


class Producer(Protocol):
    """What fills a `NewestFrame`; it looks after its own reconnects."""

    def start(self) -> None:
        """Begin; called from the first `read`."""
        ...

    def stop(self) -> None:
        """End and release everything. Blocks for a moment at most. Any thread, also without `start`."""
        ...


class LiveSource:
    """Frames of a producer as a stream of one size; implements `Source`.

    size: (width, height); frames keep their shape, centred on black. fps: nominal rate; frames that come faster are
    left out before they cost anything. stalled(seconds) says in words what it means that no frame came for so long.
    """

    def __init__(
        self,
        *,
        kind: str,
        size: tuple[int, int],
        fps: float,
        frames: NewestFrame,
        producer: Producer,
        audio: AudioFeed | None = None,
        stalled: Callable[[float], str] = lambda seconds: f"no picture for {seconds:.0f} s; waiting for the next",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Raises UserError for a size or rate out of range."""
        check_picture(size=size, fps=fps)
        self._kind, self._size, self._fps = kind, size, fps
        self._frames = frames
        self._producer = producer
        self._audio = audio
        self._stalled = stalled
        self._clock = clock
        self._to_planes = ToPlanes()
        self._started = False
        self._last_frame = clock()
        self._next_due_us = 0.0
        self.skipped = 0
        """Frames left out because they came faster than `fps`."""

    @property
    def kind(self) -> str:
        """See `Source.kind`."""
        return self._kind

    @property
    def audio(self) -> AudioFeed | None:
        """See `Source.audio`."""
        return self._audio

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) of the picture."""
        return self._size

    @property
    def fps(self) -> float:
        """Frames per second, at most."""
        return self._fps

    def read(self, planes: NDArray[np.uint8], *, frame_id: int) -> int:
        """See `Source.read`. Raises SourceLost again every `STALL_S` for as long as nothing comes."""
        check_planes(planes, self._size)
        if not self._started:
            self._started = True
            self._last_frame = self._clock()
            self._producer.start()
        while True:
            timed = self._frames.take(STALL_S)
            if timed is None:
                raise SourceLost(self._stalled(self._clock() - self._last_frame))
            self._last_frame = self._clock()
            if self._is_due(timed.captured_us):
                break
            self.skipped += 1
        x, y, w, h = rectangle = _rectangle(timed, self._size)
        paint_border(planes, rectangle)
        try:
            self._to_planes(timed.frame, width=w, height=h, out=planes[:, y : y + h, x : x + w])
        except UserError as error:
            # Of a sender that may send something else next time.
            raise SourceLost(str(error)) from error
        return timed.captured_us

    def interrupt(self) -> None:
        """See `Source.interrupt`."""
        self._frames.close()

    def close(self) -> None:
        """End the producer."""
        self._producer.stop()

    def _is_due(self, captured_us: int) -> bool:
        """Whether a frame of that time is one to show, at `fps` on average."""
        interval_us = 1e6 / self._fps
        if captured_us < self._next_due_us - _BACK_INTERVALS * interval_us:
            # The producer's clock was set back: there is nothing to wait for.
            self._next_due_us = captured_us
        if captured_us < self._next_due_us - _EARLY * interval_us:
            return False
        # Behind by more than one frame: the clock starts anew instead of letting a burst through.
        behind = captured_us - self._next_due_us > interval_us
        self._next_due_us = (captured_us if behind else self._next_due_us) + interval_us
        return True


def _rectangle(timed: TimedFrame, size: tuple[int, int]) -> Rectangle:
    """Where the frame lies in the picture. Raises SourceLost for one that is too small to be shown."""
    width, height = timed.frame.width, timed.frame.height
    aspect = timed.sample_aspect if timed.sample_aspect > 0 else 1.0
    if round(timed.frame.rotation / 90) % 2:
        width, height, aspect = height, width, 1 / aspect
    if min(width, height) < 2:
        raise SourceLost(f"the source sends pictures of {width}x{height} pixels; waiting for larger ones")
    return fit_rectangle(width, height, *size, aspect)
