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


class AckedRate:
    """Feed delivered packets."""

    def __init__(self) -> None:
        self._packets: deque[tuple[float, int]] = deque()
        self._newest_s: float | None = None
        self._first_s: float | None = None

    def on_packet(self, *, arrival_s: float, size_bytes: int) -> None:
        """Takes one delivered packet, client clock with any constant offset; small reordering is fine."""
        if self._first_s is None or self._newest_s is None:
            self._first_s = self._newest_s = arrival_s
        self._newest_s = max(self._newest_s, arrival_s)
        self._packets.append((arrival_s, size_bytes))
        while self._packets[0][0] <= self._newest_s - WINDOW_S:
            self._packets.popleft()

    @property
    def bps(self) -> float | None:
        """Over `WINDOW_S`. None until packets have arrived for `SHORT_WINDOW_S`."""
        return self._over(WINDOW_S)

    @property
    def short_bps(self) -> float | None:
        """Over `SHORT_WINDOW_S`."""
        return self._over(SHORT_WINDOW_S)

    def _over(self, window_s: float) -> float | None:
        if self._newest_s is None or self._first_s is None or self._newest_s - self._first_s < SHORT_WINDOW_S:
            return None
        # While the first window fills, it begins with the first packet.
        window_s = min(window_s, self._newest_s - self._first_s)
        return sum(size for arrival_s, size in self._packets if arrival_s > self._newest_s - window_s) * 8 / window_s
