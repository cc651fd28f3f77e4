"""The loss rule: what the delay cannot show (a queue too short to measure, a policer) still shows as loss.

draft-ietf-rmcat-gcc-02 section 6: above 10 % loss the rate falls by half the loss, below 2 % it may grow; in between it
stays, because little loss is usual on radio links and says nothing about congestion. Two changes. A packet sent before
the last decrease says nothing about the rate since, so it does not count towards the next one. And in between, a bound
made earlier grows slowly instead of staying: on a path that always loses 5 %, one unlucky second would bind for ever.
"""

from collections import deque

HIGH_LOSS, LOW_LOSS = 0.10, 0.02
WINDOW_S = 1.0
"""The draft's interval of receiver reports."""
MIN_PACKETS = 40
"""Fewer make no share: at 5 % random loss, 40 packets show more than 10 % once in twenty times, 20 once in thirteen."""
_GROWTH_INTERVAL_S = 0.2
_GROWTH, _SLOW_GROWTH = 1.05, 1.01
"""For each such interval: 28 % a second below `LOW_LOSS`, 5 % a second between the two."""
_FORGET_ABOVE = 2.0
"""A bound this far above the rate in use says nothing any more."""


class _Share:
    """Lost packets of all that were settled in the last `WINDOW_S`, or in longer if those are too few."""

    def __init__(self, *, min_packets: int = 0) -> None:
        self._min_packets = min_packets
        self._counts: deque[tuple[float, int, int]] = deque()
        self.delivered = self.lost = 0

    def add(self, delivered: int, lost: int, now: float) -> None:
        self._counts.append((now, delivered, lost))
        self.delivered += delivered
        self.lost += lost
        while self._counts[0][0] <= now - WINDOW_S:
            _, old_delivered, old_lost = self._counts[0]
            if self.total - old_delivered - old_lost < self._min_packets:
                break
            self._counts.popleft()
            self.delivered -= old_delivered
            self.lost -= old_lost

    @property
    def total(self) -> int:
        return self.delivered + self.lost

    @property
    def share(self) -> float:
        return self.lost / self.total if self.total else 0.0


class LossRule:
    """Share of packets lost in the last second, and an upper bound on the rate made from it."""

    def __init__(self) -> None:
        self._all = _Share()
        self._fresh = _Share(min_packets=MIN_PACKETS)
        self._bound_bps: float | None = None
        self._decreased_at = float("-inf")
        self._grown_at = float("-inf")

    @property
    def loss(self) -> float:
        """0..1 over the last second. 0 while nothing was reported."""
        return self._all.share

    @property
    def bound_bps(self) -> float | None:
        """The rate must not be above this. None: no bound."""
        return self._bound_bps

    def on_decrease(self, now: float) -> None:
        """Some rule has taken the rate down, or feedback is back: only packets sent from now on count for the bound."""
        self._decreased_at = now
        self._fresh = _Share(min_packets=MIN_PACKETS)

    def on_report(self, *, delivered: list[float], lost: list[float], rate_bps: float, now: float) -> None:
        """Takes when the packets that one report settled were sent. `rate_bps`: the present target."""
        self._all.add(len(delivered), len(lost), now)
        since = self._decreased_at
        self._fresh.add(sum(sent_s >= since for sent_s in delivered), sum(sent_s >= since for sent_s in lost), now)
        if self._fresh.share > HIGH_LOSS:
            if self._fresh.total >= MIN_PACKETS:
                self._bound_bps = rate_bps * (1 - 0.5 * self._fresh.share)
                self._grown_at = now
                self.on_decrease(now)
        elif self._bound_bps is not None and now - self._grown_at >= _GROWTH_INTERVAL_S:
            self._bound_bps *= _GROWTH if self._fresh.share < LOW_LOSS else _SLOW_GROWTH
            self._grown_at = now
            if self._bound_bps > _FORGET_ABOVE * rate_bps:
                self._bound_bps = None
