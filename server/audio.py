"""Sound of a source on its way to the viewers' audio tracks: a bounded feed between threads."""

import threading
from collections import deque
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

SAMPLE_RATE_HZ = 48_000
"""What Opus codes (RFC 7587)."""
MAX_CHUNKS = 100
"""Two seconds in pieces of 20 ms; the oldest go first."""


@dataclass(frozen=True, slots=True, eq=False)
class AudioChunk:
    """samples: int16 (n, 2), left and right, at 48 kHz. captured_us: when the first was heard, monotonic."""

    samples: NDArray[np.int16]
    captured_us: int


class AudioFeed:
    """Thread-safe. A source puts what it hears; whoever sends it takes what is new."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._chunks: deque[AudioChunk] = deque(maxlen=MAX_CHUNKS)
        self.dropped = 0
        """Chunks that nobody took in time."""

    def put(self, samples: NDArray[np.int16], captured_us: int) -> None:
        """Add sound: int16 (n, 2) at 48 kHz, whose first sample was heard at `captured_us`."""
        if samples.ndim != 2 or samples.shape[1] != 2 or samples.dtype != np.int16:
            raise ValueError(f"got {samples.dtype} {samples.shape} samples, expected int16 (n, 2)")
        with self._lock:
            self.dropped += len(self._chunks) == MAX_CHUNKS
            self._chunks.append(AudioChunk(samples, captured_us))

    def take(self) -> list[AudioChunk]:
        """Everything since the last call."""
        with self._lock:
            chunks = list(self._chunks)
            self._chunks.clear()
            return chunks
