"""The thread behind a camera or a network stream: receives for as long as it can, says why it cannot, tries again.

    receive()  -- pictures, one after the other -->  Reader  -- the newest one -->  NewestFrame
       ^                                                |
       '--- 0.5, 1, 2, 4, 5, 5 ... s after a loss ------'

The thread belongs to the reader alone and never waits for whoever takes the pictures: what is sent is always drained.
Reading blocks inside FFmpeg, which cannot be called off; it comes back by its own timeouts. So `stop` waits for a
moment and leaves a thread that is stuck to end by itself: it releases what it holds and delivers nothing any more.
"""

import logging
import threading
from collections.abc import Callable, Generator
from contextlib import closing
from dataclasses import dataclass
from typing import TypeAlias

import av

from server.sources.base import SourceLost
from server.sources.live import NewestFrame

log = logging.getLogger(__name__)

FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.5, 5.0
"""Before trying again: doubled with each failure in a row."""
STOP_TIMEOUT_S = 1.0


@dataclass(frozen=True, slots=True)
class Received:
    """A decoded frame. captured_us: monotonic clock. sample_aspect: width of a pixel over its height."""

    frame: av.VideoFrame
    captured_us: int
    sample_aspect: float = 1.0


@dataclass(frozen=True, slots=True)
class Shape:
    """Size of the first picture in pixels, as it is to be shown."""

    width: int
    height: int


Receive: TypeAlias = Callable[[threading.Event], Generator[Received, None, None]]
"""Opens, yields pictures, and releases what it opened when it is closed. Raises SourceLost with a sentence for the
user; when it just ends, there is nothing more for now. The event is set when it should come to its end."""


class Reader:
    """Implements `Producer` over a `Receive`.

    `waiting` says what is waited for before the first picture or failure, `ended` what it means that `receive` came to
    its end. `wait(seconds)` pauses until `stop`; tests replace it.
    """

    def __init__(
        self,
        frames: NewestFrame,
        receive: Receive,
        *,
        name: str,
        waiting: str,
        ended: str,
        wait: Callable[[float], object] | None = None,
    ) -> None:
        self._frames = frames
        self._receive = receive
        self._ended = ended
        self._stopping = threading.Event()
        self._wait = wait or self._stopping.wait
        self._seen = threading.Event()
        self._lock = threading.Lock()
        self._reason: str | None = waiting
        self._shape: Shape | None = None
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._started = False
        self.losses = 0
        """Times that receiving failed or ended."""

    def start(self) -> None:
        """Begin; further calls do nothing."""
        with self._lock:
            if not self._started and not self._stopping.is_set():
                self._started = True
                self._thread.start()

    def stop(self) -> None:
        """See `Producer.stop`."""
        self._stopping.set()
        self._seen.set()
        with self._lock:
            started = self._started
        if started and self._thread is not threading.current_thread():
            self._thread.join(STOP_TIMEOUT_S)

    def first_shape(self, timeout_s: float) -> Shape | None:
        """Start, and wait for the first picture or the first failure; None if there was no picture by then."""
        self.start()
        self._seen.wait(timeout_s)
        return self._shape

    def why(self, seconds: float) -> str:
        """Why no picture came for `seconds`: the last failure, or that the pictures just stopped."""
        return self._reason or f"no picture for {seconds:.0f} s; waiting for the next"

    def _run(self) -> None:
        pause_s = FIRST_PAUSE_S
        while not self._stopping.is_set():
            reason = self._ended
            try:
                with closing(self._receive(self._stopping)) as pictures:
                    for picture in pictures:
                        if self._stopping.is_set():
                            return
                        pause_s = FIRST_PAUSE_S
                        self._deliver(picture)
            except SourceLost as lost:
                reason = str(lost)
            except Exception as error:
                log.exception("the reader failed")
                reason = f"reading failed in a way that was not foreseen ({type(error).__name__}); trying again"
            if self._stopping.is_set():
                return
            self.losses += 1
            self._reason = reason
            self._frames.fail(reason)
            self._seen.set()
            self._wait(pause_s)
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)

    def _deliver(self, picture: Received) -> None:
        if self._shape is None:
            frame = picture.frame
            width, height = round(frame.width * picture.sample_aspect), frame.height
            if round(frame.rotation / 90) % 2:
                width, height = height, width
            self._shape = Shape(width, height)
        self._reason = None
        self._frames.put(picture.frame, picture.captured_us, sample_aspect=picture.sample_aspect)
        self._seen.set()
