"""The rate at which a path that loses packets served those that came in: over unbroken runs of sequence numbers.

What is received falls short of what the path carries when packets are lost after its queue, or in bursts while it is
not full. Between two packets that follow each other in sequence nothing was lost, so their spacing on arrival is what
the path took to serve the later one, however much was lost before and after. (The same spacing as in a packet train:
Dovrolis et al., INFOCOM 2001.)
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from transport.bandwidth.sent import Delivered

REACH_S = 0.5
"""Nothing older tells the present rate."""
_MIN_PAIRS = 4
"""Fewer neighbours make no rate; the window then reaches further back."""
_MAX_PAIRS = 1024
"""0.5 s at 18 Mbit/s."""


@dataclass(frozen=True, slots=True)
class _Arrival:
    arrival_s: float
    gap_s: float
    size_bytes: int
    follows: bool
    """Whether the packet sent just before it was the one that came in before it."""


class ServedRate:
    """Feed what each report settled as delivered."""

    def __init__(self) -> None:
        self._arrivals: deque[_Arrival] = deque(maxlen=_MAX_PAIRS)
        self._key: int | None = None
        self._arrival_s = 0.0

    def on_delivered(self, delivered: Sequence[Delivered]) -> None:
        """Takes packets in sequence order. One that comes after a later one was reported is passed over."""
        for packet in delivered:
            key = self._key
            if key is not None and packet.key <= key:
                continue
            if key is not None:
                gap_s = packet.arrival_s - self._arrival_s
                self._arrivals.append(_Arrival(packet.arrival_s, gap_s, packet.size_bytes, packet.key == key + 1))
            self._key, self._arrival_s = packet.key, packet.arrival_s
        while self._arrivals and self._arrivals[0].arrival_s < self._arrival_s - REACH_S:
            self._arrivals.popleft()

    def over(self, window_s: float) -> float | None:
        """Bits a second of the last `window_s`, of longer where that holds too few neighbours.

        None: nothing is missing in the window, so that the received rate says it better, or too little came in.
        """
        since_s = self._arrival_s - window_s
        broken, pairs, size, seconds = False, 0, 0, 0.0
        for arrival in reversed(self._arrivals):
            if arrival.arrival_s < since_s and pairs >= _MIN_PAIRS:
                break
            if arrival.follows:
                pairs += 1
                size += arrival.size_bytes
                seconds += arrival.gap_s
            elif arrival.arrival_s >= since_s:
                broken = True
        return size * 8 / seconds if broken and pairs >= _MIN_PAIRS and seconds > 0 else None

    def forget(self) -> None:
        """The clock of the arrivals has jumped."""
        self._arrivals.clear()
        self._key = None
