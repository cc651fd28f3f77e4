"""The loss rule: what the delay cannot show (a queue too short to measure, a policer) still shows as loss.

draft-ietf-rmcat-gcc-02 section 6: above 10 % loss the rate falls by half the loss, below 2 % it may grow; in between it
stays, because little loss is usual on radio links and says nothing about congestion. Three changes.

A packet sent before the last decrease says nothing about the rate since, so it does not count towards the next one.

In between, a bound made earlier grows slowly instead of staying: on a path that always loses 5 %, one unlucky second
would bind for ever.

Loss that a lower rate does not lower is the path's own, not congestion. A full path loses the excess: at the rate that
got through it loses next to nothing. A radio link loses the same share of whatever is sent. So a decrease goes down to
the rate that got through, by a fifth at least, and is a trial: if the loss stays, it is taken back, and from then on
only the loss above the path's own counts.
"""

from collections import deque

HIGH_LOSS, LOW_LOSS = 0.10, 0.02
WINDOW_S = 1.0
"""The draft's interval of receiver reports."""
MIN_PACKETS = 100
"""Fewer make no share: at 5 % random loss, 100 packets show more than 10 % once in 100 times, 40 once in 20."""
_FEW_PACKETS = 30
DECREASE = 0.8
"""A smaller step would not show in the loss of so few packets."""
_VERDICT_PACKETS = 100
"""Packets sent after a decrease that decide whether it has helped: at 20 % loss, 20 lost, plus or minus 4."""
_HELPED = 0.6
"""Less than this share of the loss before: between the little that is left on a full path and all that is left on a
radio link."""
_OWN_LOSS_FALLS_PER_S = 0.05
"""A path's own loss is believed for some twenty seconds after it was last seen."""
_MAX_OWN_LOSS = 0.5
"""Whatever the path: a rate of which half is lost is too high."""
_GROWTH_INTERVAL_S = 0.2
_GROWTH, _SLOW_GROWTH = 1.05, 1.02
"""For each such interval: 28 % a second below `LOW_LOSS`, 10 % a second between the two."""
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
        self._own_loss = 0.0
        self._trial: tuple[float, float | None] | None = None
        """Loss before the last decrease, and the bound then: until it is known whether it has helped."""
        self._decreased_at = float("-inf")
        self._grown_at = float("-inf")
        self._last_s: float | None = None

    @property
    def loss(self) -> float:
        """0..1 over the last second. 0 while nothing was reported."""
        return self._all.share

    @property
    def fresh_loss(self) -> float:
        """The same, of packets sent since the last decrease. 0 while there are only a few."""
        return self._fresh.share if self._fresh.total >= _FEW_PACKETS else 0.0

    @property
    def own_loss(self) -> float:
        """Share that the path loses at whatever rate, 0..1, as far as is known."""
        return self._own_loss

    @property
    def bound_bps(self) -> float | None:
        """The rate must not be above this. None: no bound."""
        return self._bound_bps

    def on_decrease(self, now: float) -> None:
        """Another rule has taken the rate down, or feedback is back: only packets sent from now on count."""
        self._trial = None
        self._start_afresh(now)

    def on_report(self, *, delivered: list[float], lost: list[float], rate_bps: float, now: float) -> None:
        """Takes when the packets that one report settled were sent. `rate_bps`: the present target."""
        self._all.add(len(delivered), len(lost), now)
        since = self._decreased_at
        self._fresh.add(sum(sent_s >= since for sent_s in delivered), sum(sent_s >= since for sent_s in lost), now)
        self._let_own_loss_fall(now)
        if self._trial is not None:
            self._judge(now)
        elif self._fresh.share - self._own_loss > HIGH_LOSS:
            if self._fresh.total >= MIN_PACKETS:
                self._trial = (self._fresh.share, self._bound_bps)
                self._bound_bps = rate_bps * min(DECREASE, 1 - (self._fresh.share - self._own_loss))
                self._grown_at = now
                self._start_afresh(now)
        elif self._bound_bps is not None and now - self._grown_at >= _GROWTH_INTERVAL_S:
            self._bound_bps *= _GROWTH if self._fresh.share - self._own_loss < LOW_LOSS else _SLOW_GROWTH
            self._grown_at = now
            if self._bound_bps > _FORGET_ABOVE * rate_bps:
                self._bound_bps = None

    def _start_afresh(self, now: float) -> None:
        self._decreased_at = now
        self._fresh = _Share(min_packets=MIN_PACKETS)

    def _judge(self, now: float) -> None:
        """Has the last decrease helped?"""
        if self._trial is None or self._fresh.total < _VERDICT_PACKETS:
            return
        loss_before, bound_before_bps = self._trial
        self._trial = None
        left = min(self._fresh.share, _MAX_OWN_LOSS)
        if self._fresh.share > _HELPED * loss_before:
            self._own_loss = left
            self._bound_bps = bound_before_bps
            self._grown_at = now
        else:
            # What is left at a lower rate hints at the path's own loss all the same.
            self._own_loss = (self._own_loss + left) / 2

    def _let_own_loss_fall(self, now: float) -> None:
        step_s = 0.0 if self._last_s is None else min(now - self._last_s, 1.0)
        self._last_s = now
        if self._fresh.total >= MIN_PACKETS and self._fresh.share < self._own_loss:
            self._own_loss += (self._fresh.share - self._own_loss) * _OWN_LOSS_FALLS_PER_S * step_s
