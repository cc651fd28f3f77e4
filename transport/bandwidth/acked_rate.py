"""The rate at which packets arrive: what the path has proven to carry.

A sliding window on the *arrival* clock, so that late or bunched reports do not bend it (draft-ietf-rmcat-gcc-02 section
5.5: R_hat, "0.5 to 1 s").
"""

from collections import deque

WINDOW_S = 0.5
"""The draft's shorter choice: fifteen frames at 30 fps, so that one frame more or less moves it by 7 % at most."""
SHORT_WINDOW_S = 0.15
"""For backing off, when the path's rate has just dropped: under overuse packets leave the bottleneck without pause,
so a few frames suffice."""
_SLOT_S = 0.01
"""Packets are counted in slots of so long: a packet moves the rate by 2 % of itself at most, and the count is bounded
by the window, not by what a peer claims to have received."""
_SLOTS = round(WINDOW_S / _SLOT_S)
NEWEST_WINDOW_S = 0.06
"""For a collapse, when even a few frames ago the path was another: two packets at 0.3 Mbit/s, so only a hint."""
_NEWEST_SLOTS = round(NEWEST_WINDOW_S / _SLOT_S)
_SHORT_SLOTS = round(SHORT_WINDOW_S / _SLOT_S)


class AckedRate:
    """Feed delivered packets."""

    def __init__(self) -> None:
        self._slots: deque[int] = deque(maxlen=_SLOTS)
        self._newest = 0
        self._filled = 0

    def on_packet(self, *, arrival_s: float, size_bytes: int) -> None:
        """Takes one delivered packet, client clock with any constant offset; small reordering is fine."""
        slot = int(arrival_s // _SLOT_S)
        if not self._slots:
            self._newest = slot
            self._slots.append(0)
        ahead = slot - self._newest
        if ahead > 0:
            self._slots.extend([0] * min(ahead, _SLOTS))
            self._newest = slot
            self._filled = min(self._filled + ahead, _SLOTS)
        elif ahead <= -len(self._slots):
            return
        self._slots[min(ahead, 0) - 1] += size_bytes

    def forget(self) -> None:
        """The clock of the arrivals has jumped."""
        self._slots.clear()
        self._filled = 0

    @property
    def bps(self) -> float | None:
        """Over `WINDOW_S`. None until packets have arrived for `SHORT_WINDOW_S`."""
        return self._over(_SLOTS)

    @property
    def short_bps(self) -> float | None:
        """Over `SHORT_WINDOW_S`."""
        return self._over(_SHORT_SLOTS)

    @property
    def newest_bps(self) -> float | None:
        """Over `NEWEST_WINDOW_S`."""
        return self._over(_NEWEST_SLOTS)

    def _over(self, slots: int) -> float | None:
        if self._filled < _SHORT_SLOTS:
            return None
        # While the first window fills, it begins with the first packet. The newest slot is not over yet: it counts
        # half its length.
        counted = list(self._slots)[-slots:]
        return sum(counted) * 8 / ((min(len(counted), self._filled) - 0.5) * _SLOT_S)
