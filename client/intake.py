"""Bitrate and loss over about the last second, from counts that only grow."""

from collections import deque
from typing import Protocol

WINDOW_S = 1.0


class Counted(Protocol):
    """What came in: `client.receiver.Counts`."""

    packets: int
    bytes: int


class Session(Protocol):
    """The session whose media is counted: `client.receiver.Receiver`."""

    @property
    def counts(self) -> Counted: ...

    @property
    def packets_expected(self) -> int: ...


class Intake:
    """Asked at least twice a second, it remembers what it was told then."""

    def __init__(self) -> None:
        self._samples: deque[tuple[float, int, int, int]] = deque(maxlen=30)
        """(time, packets, bytes, packets expected) at each of the last few questions."""

    def rate(self, session: Session | None, now: float) -> tuple[float, float]:
        """Bit/s, and the share of packets lost, 0 to 1. None: there is no session, which begins anew."""
        if session is None:
            self._samples.clear()
            return 0.0, 0.0
        counts, samples = session.counts, self._samples
        samples.append((now, counts.packets, counts.bytes, session.packets_expected))
        while len(samples) > 2 and samples[1][0] < now - WINDOW_S:
            samples.popleft()
        then, packets, size, expected = samples[0]
        elapsed = now - then
        if elapsed <= 0:
            return 0.0, 0.0
        lost = 1 - (counts.packets - packets) / max(1, session.packets_expected - expected)
        return 8 * (counts.bytes - size) / elapsed, max(0.0, lost)
