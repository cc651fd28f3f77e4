"""The thread between a stream and one sink: a bounded queue, counts, and what went wrong in words.

    waiting ─first picture─▶ running ─┬─ close ──────────────▶ done
                                      ├─ the reader left ────▶ done
                                      └─ disk full, no camera ▶ failed    (the stream goes on)

Drop rule: of more pictures than the sink's capacity the oldest waiting one goes, and is counted; of sound, what is
older than two seconds.
"""

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from client.sinks.base import Sink, SinkEnded, SoundSink, VideoFormat
from client.sinks.fitting import Fitter
from latentcast.errors import UserError

State = Literal["waiting", "running", "done", "failed"]

QUEUE_BYTES = 64 << 20
"""Pictures waiting for one sink take no more: 93 of 640x360, 10 of 1920x1080."""
SOUND_PIECES = 100
"""Of 20 ms."""
WAIT_S = 0.25
"""Longest silence after which a sink is asked whether the time alone wants something."""
CLOSE_TIMEOUT_S = 10.0
"""What waits is still written, then the file is finished; a reader that never reads again is not waited for."""


@dataclass(frozen=True, slots=True)
class SinkStatus:
    """One sink at one moment."""

    place: str
    state: State
    written: int
    """Pictures taken by the sink."""
    dropped: int
    """Pictures that the sink was too slow for."""
    seconds: float
    """From the first picture to now, or to the end."""
    size_bytes: int | None
    problem: str | None
    """Why it failed, for the user."""


class SinkRunner:
    """Owns a sink and its thread. `put`, `status` and `close` may be called from any thread."""

    def __init__(
        self,
        sink: Sink,
        *,
        on_end: Callable[[SinkStatus], None] = lambda status: None,
        clock_us: Callable[[], int] = lambda: time.monotonic_ns() // 1000,
    ) -> None:
        """on_end(status) is called in the sink's thread when it ends by itself. `clock_us`: that of `put`'s times."""
        self._sink = sink
        self._on_end = on_end
        self._clock_us = clock_us
        self._changed = threading.Condition()
        self._queue: deque[tuple[NDArray[np.uint8], int, VideoFormat]] = deque()
        self._sound: deque[tuple[NDArray[np.int16], int]] = deque(maxlen=SOUND_PIECES)
        self._closing = False
        self._state: State = "waiting"
        self._problem: str | None = None
        self._written = self._dropped = 0
        self._first_us: int | None = None
        self._end_us: int | None = None
        # A daemon: a pipe that nobody reads from must not keep the program from ending.
        self._thread = threading.Thread(target=self._run, name=f"sink {sink.place}", daemon=True)
        self._thread.start()

    def put(self, planes: NDArray[np.uint8], at_us: int, *, fps: float, sound: bool = False) -> None:
        """Hand over a working picture that nobody writes to any more, seen since `at_us`. Never blocks.

        fps, sound: of the stream; what they are with the first picture counts.
        """
        with self._changed:
            if self._closing or self._state in ("done", "failed"):
                return
            capacity = max(1, min(self._sink.capacity, QUEUE_BYTES // planes.nbytes))
            while len(self._queue) >= capacity:
                self._queue.popleft()
                self._dropped += 1
            self._queue.append((planes, at_us, VideoFormat(planes.shape[2], planes.shape[1], fps, sound)))
            self._changed.notify()

    def put_sound(self, samples: NDArray[np.int16], at_us: int) -> None:
        """Hand over `(count, 2)` samples of 48 kHz, heard from `at_us` on. Never blocks."""
        if not isinstance(self._sink, SoundSink):
            return
        with self._changed:
            if self._state == "running" and not self._closing:
                self._sound.append((samples, at_us))
                self._changed.notify()

    def status(self) -> SinkStatus:
        """How it stands."""
        with self._changed:
            end_us = self._end_us or self._clock_us()
            return SinkStatus(
                place=self._sink.place,
                state=self._state,
                written=self._written,
                dropped=self._dropped,
                seconds=0.0 if self._first_us is None else max(0, end_us - self._first_us) / 1e6,
                size_bytes=self._sink.size_bytes,
                problem=self._problem,
            )

    def close(self) -> SinkStatus:
        """Write what waits, finish, and say how it went. Blocks for 10 s at most; closing twice is fine."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._thread.join(CLOSE_TIMEOUT_S)
        return self.status()

    # -- the sink's thread

    def _run(self) -> None:
        by_itself = False
        try:
            self._work()
        except SinkEnded:
            by_itself = True
        except UserError as error:
            by_itself = True
            self._problem = str(error)
        except Exception as error:  # a library that fails in its own way must not pass for a finished recording
            by_itself = True
            self._problem = f"{self._sink.place} failed ({type(error).__name__}: {error})."
        try:
            self._sink.close(self._clock_us())
        except Exception as error:
            self._problem = self._problem or str(error)
        with self._changed:
            self._state = "done" if self._problem is None else "failed"
            self._end_us = self._clock_us()
            self._queue.clear()
        if by_itself:
            self._on_end(self.status())

    def _work(self) -> None:
        fit: Fitter | None = None
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._queue or self._sound or self._closing, WAIT_S)
                item = self._queue.popleft() if self._queue else None
                sound, self._sound = self._sound, deque(maxlen=SOUND_PIECES)
                if item is None and not sound and self._closing:
                    return
            if isinstance(self._sink, SoundSink):
                for samples, at_us in sound:
                    self._sink.write_sound(samples, at_us)
            if item is None:
                if fit is not None and not sound:
                    self._sink.wait(self._clock_us())
                continue
            planes, at_us, video = item
            if fit is None:
                self._sink.open(video)
                fit = Fitter(width=video.width, height=video.height)
                with self._changed:
                    self._state, self._first_us = "running", at_us
            self._sink.write(fit(planes), at_us)
            with self._changed:
                self._written += 1
