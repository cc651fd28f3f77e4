"""The sound of a recording: pieces placed by their time, silence where there is none.

Pieces that follow each other are joined without looking at their times too closely: clocks jitter by milliseconds, and
a cut of a sample is heard. Only what is off by more than 40 ms is moved, by silence or by leaving out.
"""

import av
import numpy as np
from av.container import OutputContainer
from numpy.typing import NDArray

RATE = 48_000
CHANNELS = 2
_TOLERANCE = RATE * 40 // 1000
"""Samples. Less than what is noticed between picture and sound (ITU-R BT.1359-1: 45 ms)."""
LATE_US = 300_000
"""Sound that is not there so long after its picture is silence: the file must not wait for it."""
_BIT_RATE = 128_000
"""AAC, stereo: transparent for most ears."""
_PIECE = RATE // 10
"""Longest silence written in one go."""


class SoundTrack:
    """AAC in a container that is about to be written."""

    def __init__(self, container: OutputContainer) -> None:
        """Add the track. Raises av.FFmpegError."""
        self._container = container
        self._stream = container.add_stream("aac", rate=RATE, layout="stereo")
        self._stream.bit_rate = _BIT_RATE
        self._next = 0
        """Sample that is written next; the first belongs to the start of the recording."""

    def put(self, samples: NDArray[np.int16], at_us: int) -> None:
        """Append `(count, 2)` samples of 48 kHz heard from `at_us` after the start on. Raises av.FFmpegError."""
        place = _sample_at(at_us)
        if place > self._next + _TOLERANCE:
            self._silence(place)
        elif place < self._next - _TOLERANCE:
            samples = samples[self._next - place :]
        if len(samples):
            self._write(samples)

    def fill(self, now_us: int) -> None:
        """What was to be heard up to `LATE_US` before `now_us` is silence where nothing came. Raises av.FFmpegError."""
        self._silence(_sample_at(now_us - LATE_US))

    def finish(self, end_us: int) -> None:
        """The recording ends at `end_us`; write what is left. Raises av.FFmpegError."""
        self._silence(_sample_at(end_us))
        self._container.mux(self._stream.encode(None))

    def _silence(self, until: int) -> None:
        while self._next < until:
            self._write(np.zeros((min(_PIECE, until - self._next), CHANNELS), np.int16))

    def _write(self, samples: NDArray[np.int16]) -> None:
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples).reshape(1, -1), format="s16", layout="stereo")
        frame.sample_rate = RATE
        frame.pts = self._next
        self._next += len(samples)
        self._container.mux(self._stream.encode(frame))


def _sample_at(time_us: int) -> int:
    return round(time_us * RATE / 1_000_000)
