"""When each sample of sound is to be heard: at the same time as the picture that was captured with it.

    packets ── on_sound ──▶ SoundBuffer ◀── pull: the next piece for the sound device
    audio_clock, clock offset: which sample was captured when, on the viewer's clock
    pictures ── on_picture(latency) ──▶ the delay that sound gets

Sound is given the delay that pictures have (their median over the last second or two), unless its own way takes longer:
pictures never wait for sound. Small errors are made up by playing 0.5 % faster or slower at most, which nobody hears;
large ones at once, by a jump with a cross-fade. Time is an argument; nothing here knows a device or a network.
"""

import math
from collections import deque
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from client.sound_buffer import CAPACITY, CHANNELS, SAMPLE_RATE, SoundBuffer
from latentcast.statistics import percentile

IN_SYNC_EARLY_MS, IN_SYNC_LATE_MS = 45.0, 125.0
"""ITU-R BT.1359-1: viewers begin to notice sound that comes 45 ms before, or 125 ms after its picture."""
_MAX_LATE_S = 0.08
"""Sound that cannot be there in time is given so much more delay than pictures: with an error of 40 ms on top, not yet
corrected, it still goes unnoticed."""

MAX_STRETCH = 0.005
"""0.5 %, a twelfth of a semitone."""
_PULL_IN_S = 4.0
"""An error shrinks to a third in this time, stretch permitting."""
_SETTLED_S, _UNSETTLED_S = 0.001, 0.004
"""Stretching ends below the one and begins above the other: most of the time samples pass untouched."""
_JUMP_S = 0.04
"""Errors above are not stretched away (which would take 8 s and more) but jumped over. Less than what is noticed."""
_ERROR_GAIN = 1 / 8
"""Sound devices ask for their pieces irregularly; the error is smoothed over about 0.1 s of pieces of 16 ms."""
_CROSS_FADE = 480
"""Samples, 10 ms."""

_TRANSITS = 500
"""Packets, 10 s of them, whose transit times say what delay sound needs."""
_TRANSIT_SHARE = 0.998
"""All of them but one: a packet in a hundred that comes late would be a hole every two seconds."""
_MARGIN_S = 0.005
"""Above that percentile: the time a piece takes from here to the device."""
_PICTURES = 60
"""Pictures, two seconds of them, of whose latencies the median counts."""
_MAX_DELAY_S = CAPACITY / SAMPLE_RATE - 1.0
"""What the buffer holds, with a second to spare for what is under way."""
_FIRST_PACKETS = 5
"""Of which the transit times are known before anything is played: 0.1 s."""
_SILENCES = 16
"""Pauses of the source that are remembered, so that they do not count as holes."""
_SYNC_SAMPLES = 112_500
"""Half an hour of pieces of 16 ms for the report."""


@dataclass(frozen=True, slots=True)
class PlayoutStatistics:
    """Since the start."""

    packets: int
    late: int
    """Packets that came after their time; not heard."""
    underruns: int
    """Holes in what was played, counted when sound is back. Pauses of the source are none."""
    concealed_ms: float
    """How long they were together."""
    jumps: int
    """Errors too large to be stretched away, after the first."""
    delay_ms: float | None
    """Capture to loudspeaker, now."""
    sync_ms: tuple[float, ...]
    """How much later than its picture sound was heard, for every piece played; negative: earlier."""

    def plus(self, later: "PlayoutStatistics") -> "PlayoutStatistics":
        """Of this session and a later one together."""
        return PlayoutStatistics(
            packets=self.packets + later.packets,
            late=self.late + later.late,
            underruns=self.underruns + later.underruns,
            concealed_ms=self.concealed_ms + later.concealed_ms,
            jumps=self.jumps + later.jumps,
            delay_ms=later.delay_ms,
            sync_ms=(*self.sync_ms, *later.sync_ms)[-_SYNC_SAMPLES:],
        )


NOTHING_PLAYED = PlayoutStatistics(0, 0, 0, 0.0, 0, None, ())


class Playout:
    """One session's sound. Not thread-safe: whoever uses it from several threads locks."""

    def __init__(self) -> None:
        self._buffer = SoundBuffer()
        self._base: int | None = None
        """The newest RTP time, unwrapped."""
        self._clock: tuple[int, int] | None = None
        """A sample and its capture time, us on the server's clock."""
        self._place: float | None = None
        """The next sample to play."""
        self._error_s = 0.0
        self._stretch = 0.0
        self._transits: deque[float] = deque(maxlen=_TRANSITS)
        self._needed_s: float | None = None
        self._pictures: deque[float] = deque(maxlen=_PICTURES)
        self._hole: tuple[float, int] | None = (-math.inf, 0)
        """Where the hole that is being played began, and how many samples of it were played. The silence before the
        first sound is one that is not counted."""
        self._sequence: int | None = None
        """Of the newest packet, and one past its last sample."""
        self._end = 0
        self._silences: deque[tuple[int, int]] = deque(maxlen=_SILENCES)
        self._sync: deque[float] = deque(maxlen=_SYNC_SAMPLES)
        self._delay_s: float | None = None
        self._packets = self._late = self._underruns = self._concealed = self._jumps = 0

    # -- what comes in

    def on_clock(self, rtp: int, captured_us: int) -> None:
        """The server says when the sample of that RTP time was captured."""
        self._clock = (self._unwrap(rtp), captured_us)

    def on_sound(
        self, sequence: int, rtp: int, samples: NDArray[np.int16], *, now_s: float, offset_us: int | None
    ) -> None:
        """A decoded packet, int16 (n, 2), of that RTP sequence number and time.

        offset_us: server clock minus ours, None while unknown.
        """
        start = self._unwrap(rtp)
        self._packets += 1
        # Time that passes between two packets in sequence: the source was silent, nothing was lost.
        if self._sequence is not None and sequence == (self._sequence + 1) % 2**16 and start > self._end:
            self._silences.append((self._end, start))
        if self._base is None or start >= self._base:
            self._base, self._sequence, self._end = start, sequence, start + len(samples)
        if self._place is not None and start + len(samples) <= self._place:
            self._late += 1
        self._buffer.put(start, samples[-CAPACITY:])
        captured_s = self._captured_s(start, offset_us)
        if captured_s is not None:
            self._transits.append(now_s - captured_s)
            self._needed_s = None

    def on_picture(self, latency_s: float) -> None:
        """A picture was presented so long after its capture."""
        self._pictures.append(latency_s)

    # -- what goes out

    def pull(self, count: int, *, now_s: float, offset_us: int | None, device_s: float) -> NDArray[np.float32]:
        """The next `count` samples, float32 (count, 2) of int16 range; the first is heard `device_s` from now."""
        # The last sample of the piece has to be here now, though it is heard after the first.
        wanted = self._wanted(now_s + device_s, offset_us, device_s + count / SAMPLE_RATE)
        if wanted is None or count <= 0 or len(self._transits) < _FIRST_PACKETS:
            return np.zeros((max(0, count), CHANNELS), np.float32)
        jumped_from: float | None = None
        if self._place is None:
            self._place, self._error_s = wanted, 0.0
        else:
            error_s = (self._place - wanted) / SAMPLE_RATE
            self._error_s += _ERROR_GAIN * (error_s - self._error_s)
            # A jump of the source, of the clock or of the delay is no jitter: it need not be smoothed away first.
            if abs(self._error_s) > _JUMP_S or abs(error_s) > 10 * _JUMP_S:
                self._jumps += 1
                jumped_from, self._place, self._error_s = self._place, wanted, 0.0
        self._choose_stretch()
        self._note_sync(now_s + device_s, offset_us)
        old = None if jumped_from is None else self._render(jumped_from, 1.0, min(count, _CROSS_FADE))[0]
        out, made_up = self._render(self._place, 1.0 + self._stretch, count)
        if old is not None:
            fade = np.linspace(0, 1, len(old), dtype=np.float32)[:, None]
            out[: len(old)] = old * (1 - fade) + out[: len(old)] * fade
        self._count_holes(self._place, count, made_up)
        self._place += count * (1.0 + self._stretch)
        return out

    @property
    def delay_s(self) -> float | None:
        """Capture to loudspeaker of what was played last; None before."""
        return self._delay_s

    def statistics(self) -> PlayoutStatistics:
        return PlayoutStatistics(
            packets=self._packets,
            late=self._late,
            underruns=self._underruns,
            concealed_ms=self._concealed * 1e3 / SAMPLE_RATE,
            jumps=self._jumps,
            delay_ms=None if self._delay_s is None else self._delay_s * 1e3,
            sync_ms=tuple(self._sync),
        )

    # -- time

    def _unwrap(self, rtp: int) -> int:
        """An RTP time as a number that does not wrap, nearest to the newest."""
        if self._base is None:
            self._base = rtp
        return self._base + (rtp - self._base + 2**31) % 2**32 - 2**31

    def _captured_s(self, place: float, offset_us: int | None) -> float | None:
        """When a sample was captured, on our clock."""
        if self._clock is None or offset_us is None:
            return None
        sample, captured_us = self._clock
        return (captured_us - offset_us) / 1e6 + (place - sample) / SAMPLE_RATE

    def _wanted(self, heard_s: float, offset_us: int | None, ahead_s: float) -> float | None:
        """The sample that should be heard at `heard_s`."""
        if self._clock is None or offset_us is None:
            return None
        sample, captured_us = self._clock
        captured_s = heard_s - self._delay_to_have(ahead_s)
        return sample + (captured_s - (captured_us - offset_us) / 1e6) * SAMPLE_RATE

    def _delay_to_have(self, ahead_s: float) -> float:
        """Capture to loudspeaker: as pictures have it, or as sound needs it, which has to be here `ahead_s` before."""
        if self._needed_s is None:
            self._needed_s = percentile(sorted(self._transits), _TRANSIT_SHARE) if self._transits else 0.0
        needed_s = self._needed_s + _MARGIN_S + ahead_s
        if self._pictures:
            pictures_s = percentile(sorted(self._pictures), 0.5)
            # Rather with holes than so late that everybody notices.
            needed_s = max(pictures_s, min(needed_s, pictures_s + _MAX_LATE_S))
        return min(needed_s, _MAX_DELAY_S)

    def _choose_stretch(self) -> None:
        error_s = self._error_s
        if abs(error_s) < (_SETTLED_S if self._stretch else _UNSETTLED_S):
            # Playing at pitch from between two samples would only cost treble.
            self._place = float(round(self._place)) if self._place is not None else None
            self._stretch = 0.0
        else:
            self._stretch = float(np.clip(-error_s / _PULL_IN_S, -MAX_STRETCH, MAX_STRETCH))

    def _note_sync(self, heard_s: float, offset_us: int | None) -> None:
        assert self._place is not None
        captured_s = self._captured_s(self._place, offset_us)
        self._delay_s = None if captured_s is None else heard_s - captured_s
        # Silence is in sync with everything.
        if self._delay_s is not None and self._pictures and self._hole is None:
            self._sync.append((self._delay_s - percentile(sorted(self._pictures), 0.5)) * 1e3)

    # -- samples

    def _render(self, place: float, rate: float, count: int) -> tuple[NDArray[np.float32], int]:
        """`count` samples from `place` on, at `rate`; and how many were made up."""
        first = math.floor(place)
        if rate == 1.0:
            return self._buffer.get(first, count)
        places = place - first + rate * np.arange(count)
        whole = places.astype(np.int64)
        t = (places - whole).astype(np.float32)[:, None]
        # One sample before and two after: cubic (Catmull-Rom) interpolation.
        samples, made_up = self._buffer.get(first - 1, int(whole[-1]) + 4)
        p0, p1, p2, p3 = (samples[whole + i] for i in range(4))
        out = p1 + 0.5 * t * (p2 - p0 + t * (2 * p0 - 5 * p1 + 4 * p2 - p3 + t * (3 * (p1 - p2) + p3 - p0)))
        return out.astype(np.float32, copy=False), min(made_up, count)

    def _count_holes(self, place: float, count: int, made_up: int) -> None:
        if made_up:
            start, length = self._hole or (place, 0)
            self._hole = (start, length + made_up)
            return
        if self._hole is not None:
            start, length = self._hole
            silent = any(a < start + count and start < b for a, b in self._silences)
            if start > -math.inf and not silent:
                self._underruns += 1
                self._concealed += length
            self._hole = None
