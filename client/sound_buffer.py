"""Decoded sound by sample number, where holes are heard as little as possible.

    put(start, samples) ──▶ ring of 4 s ──▶ get(first, count): what is there, and something plausible where nothing is

A hole begins with the sound before it, played backwards and faded out in 20 ms: that joins without a click and does not
buzz as a repeated piece would. After that it is silent, and what follows is faded in.
"""

import numpy as np
from numpy.typing import NDArray

SAMPLE_RATE, CHANNELS = 48_000, 2
CAPACITY = 4 * SAMPLE_RATE
"""Samples kept, some of them behind the place where it plays: far more than the delay of any picture worth watching."""
FADE_OUT = 960
"""20 ms: within it speech hardly changes; RFC 6716's own concealment fades over a similar time."""
FADE_IN = 240
"""5 ms."""

_NEVER = -(2**62)


class SoundBuffer:
    """Numbers of samples may be any integers; those 4 s behind the newest are forgotten."""

    def __init__(self) -> None:
        self._samples = np.zeros((CAPACITY, CHANNELS), np.float32)
        self._numbers = np.full(CAPACITY, _NEVER, np.int64)
        """Which sample each place holds."""
        self._hole_start = self._hole_end = _NEVER
        """Of the hole that was played last."""
        self.newest = _NEVER
        """One past the highest sample that was put."""

    def put(self, start: int, samples: NDArray[np.int16]) -> None:
        """Samples int16 (n, 2), n at most `CAPACITY`, the first of them number `start`."""
        numbers = np.arange(start, start + len(samples))
        places = numbers % CAPACITY
        self._samples[places] = samples
        self._numbers[places] = numbers
        self.newest = max(self.newest, start + len(samples))

    def get(self, first: int, count: int) -> tuple[NDArray[np.float32], int]:
        """Samples float32 (count, 2) from number `first` on, and how many of them are made up."""
        numbers = np.arange(first, first + count)
        places = numbers % CAPACITY
        there = self._numbers[places] == numbers
        out = self._samples[places]
        if there.all() and first - self._hole_end >= FADE_IN:
            return out, 0
        for start, end in _runs(~there):
            # A hole that reaches back into what was played before began there.
            if start > 0 or not self._hole_start <= first <= self._hole_end:
                self._hole_start = first + start
            self._hole_end = first + end
            after = min(count, end + FADE_IN)
            self._conceal(out, numbers, start, end, after)
        if self._hole_end <= first:
            self._conceal(out, numbers, 0, 0, min(count, self._hole_end + FADE_IN - first))
        return out, int(count - there.sum())

    def _conceal(self, out: NDArray[np.float32], numbers: NDArray[np.int64], start: int, end: int, after: int) -> None:
        """Fill out[start:end], and fade in[end:after], which is there."""
        fresh = np.clip((numbers[start:after] - self._hole_end + 1) / FADE_IN, 0, 1).astype(np.float32)[:, None]
        into = numbers[start:after] - self._hole_start
        fade = np.clip(1 - into / FADE_OUT, 0, 1).astype(np.float32)[:, None]
        mirrored = self._hole_start - 1 - into
        places = mirrored % CAPACITY
        known = (self._numbers[places] == mirrored)[:, None]
        made_up = np.where(known, self._samples[places], 0) * fade
        out[start:after] = out[start:after] * fresh + made_up * (1 - fresh)


def _runs(mask: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """(start, end) of every run of True."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], mask, [False]])))
    return list(zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True))
