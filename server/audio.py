"""Sound of a source: one second of it on the source's time line, written by one thread and read by any number.

    AudioIn ── any format and rate to 48 kHz stereo ──▶ AudioFeed ──▶ AudioReader, each at its own place

Samples have two addresses: an index, which counts samples of 48 kHz and never goes back, and a capture time, which is
the index on the server's monotonic clock. The index is what RTP calls a timestamp.
"""

import logging
import threading
from dataclasses import dataclass

import av
import numpy as np
from numpy.typing import NDArray

log = logging.getLogger(__name__)

SAMPLE_RATE, CHANNELS = 48_000, 2
"""What Opus carries and every feed holds: 48 kHz, interleaved stereo, int16."""
FRAME_SAMPLES = 960
"""20 ms, the frame of RFC 7587 that costs the least for the delay it adds."""
CAPACITY_SAMPLES = SAMPLE_RATE
"""One second: a reader that is further behind has lost what came before."""

_US_PER_SAMPLE = 1e6 / SAMPLE_RATE
_JITTER_US = 30_000
"""Blocks whose capture times are off by less follow each other without a gap: what clocks of sound cards, rounded file
times and the network of a publisher do."""
_FOLLOW = 1 / 64
"""Share of that difference by which the time line moves at each block, so that it follows a sound card whose crystal
is not ours: 100 ppm lag 0.1 ms behind with blocks of 20 ms."""
_FILL_SAMPLES = SAMPLE_RATE // 10
"""A gap of up to 0.1 s is filled with silence. A longer one is skipped: readers would have to catch up with it."""
_RATES = range(4_000, 768_001)
"""Sampling rates that are converted, Hz. FFmpeg would make hundreds of megabytes of a frame that claims one sample a
second."""
_NEW_LINE_BACK_US, _NEW_LINE_AHEAD_US = 1_000_000, 3_600_000_000
"""A block this much earlier or later than due says that the clock was set: the time line starts over. An hour is far
below the 12 h at which RTP timestamps become ambiguous."""


@dataclass(frozen=True, slots=True)
class AudioBlock:
    """Consecutive samples of a feed."""

    index: int
    """Of the first sample."""
    captured_us: int
    """When the first sample was captured, monotonic clock."""
    samples: NDArray[np.int16]
    """(n, 2), the reader's own."""


@dataclass(frozen=True, slots=True)
class AudioFeedStatistics:
    """Samples so far."""

    put: int
    """Written."""
    silence: int
    """Put in gaps of up to 0.1 s."""
    skipped: int
    """Length of longer gaps."""
    overlapping: int
    """Left out: they were due before samples that had been written already."""
    lost: int
    """Not read by a reader, summed over readers: it came later than a second."""


class AudioFeed:
    """Thread-safe. Bounded: a second, the oldest goes."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._ring = np.zeros((CAPACITY_SAMPLES, CHANNELS), np.int16)
        self._end = self._start = 0
        self._origin_us: float | None = None
        """Capture time of index 0."""
        self._closed = False
        self._put = self._silence = self._skipped = self._overlapping = self._lost = 0

    def put(self, samples: NDArray[np.int16], captured_us: int) -> None:
        """Append int16 (n, 2) samples of 48 kHz, the first captured at `captured_us`, monotonic clock. Never blocks.

        Raises ValueError for an array of another kind.
        """
        if samples.ndim != 2 or samples.shape[1] != CHANNELS or samples.dtype != np.int16:
            raise ValueError(f"got {samples.dtype} {samples.shape} samples, expected int16 (n, {CHANNELS})")
        with self._changed:
            samples = self._place(samples, captured_us)
            self._put += len(samples)
            # Of more than a second at once, the last second is kept.
            self._end += max(0, len(samples) - CAPACITY_SAMPLES)
            self._append(samples[-CAPACITY_SAMPLES:])
            self._changed.notify_all()

    def reader(self) -> "AudioReader":
        """A reader that begins with what comes next."""
        return AudioReader(self)

    def close(self) -> None:
        """There will be no more: readers that wait return. Later samples are still taken."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def statistics(self) -> AudioFeedStatistics:
        with self._changed:
            return AudioFeedStatistics(self._put, self._silence, self._skipped, self._overlapping, self._lost)

    def _place(self, samples: NDArray[np.int16], captured_us: int) -> NDArray[np.int16]:
        """Bring the end of the line to where the block belongs; returns what of the block is to be appended."""
        due_us = captured_us if self._origin_us is None else self._origin_us + self._end * _US_PER_SAMPLE
        late_us = captured_us - due_us
        if self._origin_us is None or not -_NEW_LINE_BACK_US < late_us < _NEW_LINE_AHEAD_US:
            self._origin_us = captured_us - self._end * _US_PER_SAMPLE
            self._start = self._end
        elif abs(late_us) <= _JITTER_US:
            self._origin_us += late_us * _FOLLOW
        elif late_us > 0:
            gap = round(late_us / _US_PER_SAMPLE)
            if gap <= _FILL_SAMPLES:
                self._silence += gap
                self._append(np.zeros((gap, CHANNELS), np.int16))
            else:
                self._skipped += gap
                self._end += gap
                self._start = self._end
        else:
            early = min(len(samples), round(-late_us / _US_PER_SAMPLE))
            self._overlapping += early
            return samples[early:]
        return samples

    def _append(self, samples: NDArray[np.int16]) -> None:
        place = self._end % CAPACITY_SAMPLES
        first = min(len(samples), CAPACITY_SAMPLES - place)
        self._ring[place : place + first] = samples[:first]
        self._ring[: len(samples) - first] = samples[first:]
        self._end += len(samples)
        self._start = max(self._start, self._end - CAPACITY_SAMPLES)


class AudioReader:
    """One reader's place in a feed; used by one thread."""

    def __init__(self, feed: AudioFeed) -> None:
        self._feed = feed
        with feed._changed:
            self._next = feed._end

    def read(self, count: int = FRAME_SAMPLES, *, timeout_s: float) -> AudioBlock | None:
        """The next `count` samples, waiting for them. None when the time is up or the feed was closed.

        After a gap that was skipped, or when this reader was more than a second behind, the index jumps.
        """
        feed = self._feed
        with feed._changed:
            # Each wait ends with some samples at most; a closed feed ends all waiting.
            feed._changed.wait_for(lambda: self._waiting() >= count or feed._closed, timeout_s)
            if self._waiting() < count:
                return None
            places = np.arange(self._next, self._next + count) % CAPACITY_SAMPLES
            assert feed._origin_us is not None
            captured_us = round(feed._origin_us + self._next * _US_PER_SAMPLE)
            block = AudioBlock(self._next, captured_us, feed._ring[places])
            self._next += count
            return block

    def _waiting(self) -> int:
        """Samples that can be read now, after stepping over what is gone."""
        feed = self._feed
        if self._next < feed._start:
            feed._lost += feed._start - self._next if feed._start - self._next <= CAPACITY_SAMPLES else CAPACITY_SAMPLES
            self._next = feed._start
        return feed._end - self._next


class AudioIn:
    """Puts decoded frames of any sample format, layout and rate into a feed; used by one thread."""

    def __init__(self, feed: AudioFeed) -> None:
        self._feed = feed
        self._resampler: av.AudioResampler | None = None
        self._kind: tuple[str, str, int] | None = None
        self.refused = 0
        """Frames that could not be converted; dropped."""

    def put(self, frame: av.AudioFrame, captured_us: int) -> None:
        """Convert a frame whose first sample was captured at `captured_us`, and put it. Never raises."""
        try:
            if frame.sample_rate not in _RATES:
                raise ValueError(f"it claims {frame.sample_rate} samples a second")
            kind = (frame.format.name, frame.layout.name, frame.sample_rate)
            if self._resampler is None or kind != self._kind:
                # A publisher may change what it sends at any time.
                self._resampler = av.AudioResampler(format="s16", layout="stereo", rate=SAMPLE_RATE)
                self._kind = kind
            # Without times the resampler passes all samples on; they are timed here.
            frame.pts = None
            for converted in self._resampler.resample(frame):
                samples = converted.to_ndarray().reshape(-1, CHANNELS).astype(np.int16, copy=False)
                self._feed.put(samples, captured_us)
                captured_us += round(len(samples) * _US_PER_SAMPLE)
        except (av.FFmpegError, ValueError, ZeroDivisionError) as error:
            self.refused += 1
            if self.refused == 1:
                log.warning("sound that cannot be converted is left out: %s", error)
            self._resampler = None
