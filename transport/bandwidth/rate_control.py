"""Additive increase, multiplicative decrease: from the verdict on the queue to a target rate.

draft-ietf-rmcat-gcc-02 section 5.5, with one change: growth far from the last congestion doubles the rate in a second
(the draft: 8 % a second) as long as the queue is flat, because a viewer should not watch a 10 Mbit/s path being
discovered for half a minute. The brake is the same, and it is asked with every report, 25 times in that second.
"""

from dataclasses import dataclass
from enum import Enum
from math import exp, log

from transport.bandwidth.capacity import LinkCapacity
from transport.bandwidth.overuse import Usage

BACK_OFF = 0.85
"""Share of the received rate to go on with after overuse (draft: beta)."""
_DRAIN_S, _MIN_SHARE = 1.0, 0.5
"""A long queue needs more than that: a share of 1 - queue / 1 s empties it in about a second, at the cost of at most
half the rate for that long. `BACK_OFF` alone takes 4 s for 600 ms."""
_FAST_GROWTH_PER_S = log(2)
"""Twice the rate in a second."""
_SLOW_GROWTH_PER_S = log(1.08)
"""The draft's 8 % a second: where the path was full before, or the queue is not flat."""
_FAST_UP_TO = 0.8
"""Share of the last congestion rate up to which growth is fast: below what `BACK_OFF` leaves, so that a return after an
outage is fast and the return after an overuse is not."""
_STEP_BYTES = 600
"""Half a packet for each response time when near congestion (draft, section 5.5)."""
_FLAT_S = 0.03
"""A queue below this is flat: one frame interval at 30 fps, less than which the pacing of one frame causes itself."""
_ACKED_MULTIPLE = 1.5
"""The target grows no further than this above the received rate (draft): what is not used proves nothing."""
_STANDING_S = 0.1
"""A queue that stands this high without growing is drained once."""
_DRAIN_INTERVAL_S = 10.0
"""After a drain: if the queue has not gone, it is not ours (a TCP flow's, or a longer route), and backing off again
would only starve us."""
_RESPONSE_MIN_S, _RESPONSE_MAX_S = 0.05, 0.5
_MAX_STEP_S = 0.25
"""Longest time that growth is reckoned over at once."""


class RateState(Enum):
    """What the target is doing."""

    INCREASE = "increase"
    HOLD = "hold"
    """Letting a queue drain."""
    DECREASE = "decrease"


@dataclass(frozen=True, slots=True)
class Observed:
    """The path as of one report."""

    usage: Usage
    acked_bps: float | None
    """Received rate over half a second; None while unknown."""
    short_acked_bps: float | None
    """Received rate over a few frames."""
    queue_delay_s: float
    """Standing queue."""
    response_s: float
    """From sending a packet to reading its report."""
    now: float


class RateControl:
    """Feed what each report shows."""

    def __init__(self, *, initial_bps: float, min_bps: float, max_bps: float) -> None:
        self._target_bps = initial_bps
        self._min_bps = min_bps
        self._max_bps = max_bps
        self._state = RateState.HOLD
        self._capacity = LinkCapacity()
        self._last_update: float | None = None
        self._before_silence_bps = 0.0
        self._decreased_at = float("-inf")
        self._drained_at = float("-inf")

    @property
    def target_bps(self) -> float:
        """Present target, within its limits."""
        return self._target_bps

    @property
    def state(self) -> RateState:
        """What the last report made it do."""
        return self._state

    @property
    def decreased_at(self) -> float:
        """When a queue last took the target down. -inf: never."""
        return self._decreased_at

    def on_report(self, observed: Observed) -> float:
        """Takes what one report shows, returns the new target."""
        now = observed.now
        step_s = 0.0 if self._last_update is None else min(now - self._last_update, _MAX_STEP_S)
        self._last_update = now
        standing = observed.queue_delay_s > _STANDING_S and now - self._drained_at > _DRAIN_INTERVAL_S
        if observed.usage is Usage.OVERUSE or standing:
            if standing:
                self._drained_at = now
            self._state = RateState.DECREASE
            self._decrease(observed)
        elif observed.usage is Usage.UNDERUSE or self._state is RateState.DECREASE:
            self._state = RateState.HOLD
        else:
            self._state = RateState.INCREASE
            self._increase(observed, step_s)
        return self._target_bps

    def limit(self, bound_bps: float) -> None:
        """Takes the target down to `bound_bps` if it is above: another rule has found a lower one."""
        if bound_bps < self._target_bps:
            self._set(bound_bps)
            self._before_silence_bps = 0.0

    def halve(self) -> None:
        """Feedback stays away. When it returns, growth up to the rate of before needs no proof by received packets."""
        self._before_silence_bps = max(self._before_silence_bps, self._target_bps)
        self._set(self._target_bps / 2)

    def _decrease(self, observed: Observed) -> None:
        # The received rate lags behind a path that has just become narrower; over a few frames it lags less.
        known = [bps for bps in (observed.acked_bps, observed.short_acked_bps) if bps is not None]
        received_bps = min(known) if known else self._target_bps / 2
        # Before the last decrease has had its effect only a much narrower path is news.
        response_s = min(max(observed.response_s, _RESPONSE_MIN_S), _RESPONSE_MAX_S)
        if observed.now - self._decreased_at < response_s and received_bps > 0.5 * self._target_bps:
            return
        self._decreased_at = observed.now
        self._before_silence_bps = 0.0
        self._capacity.on_overuse(received_bps)
        share = min(max(1 - observed.queue_delay_s / _DRAIN_S, _MIN_SHARE), BACK_OFF)
        self._set(min(self._target_bps, share * received_bps))

    def _increase(self, observed: Observed, step_s: float) -> None:
        acked_bps, capacity = observed.acked_bps, self._capacity
        if acked_bps is None:
            return
        if capacity.high_bps is not None and acked_bps > capacity.high_bps:
            capacity.forget()
        if capacity.low_bps is not None and self._target_bps > capacity.low_bps:
            response_s = min(max(observed.response_s, _RESPONSE_MIN_S), _RESPONSE_MAX_S)
            grown_bps = self._target_bps + _STEP_BYTES * 8 * step_s / response_s
        else:
            grown_bps = self._target_bps * exp(self._growth_per_s(observed.queue_delay_s) * step_s)
        # The limit stops growth and nothing else: what the path has carried before it need not carry all the time.
        ceiling_bps = max(self._target_bps, self._before_silence_bps, _ACKED_MULTIPLE * acked_bps)
        self._set(min(grown_bps, ceiling_bps))

    def _growth_per_s(self, queue_delay_s: float) -> float:
        mean_bps = self._capacity.mean_bps
        near = mean_bps is not None and self._target_bps > _FAST_UP_TO * mean_bps
        return _SLOW_GROWTH_PER_S if near or queue_delay_s > _FLAT_S else _FAST_GROWTH_PER_S

    def _set(self, target_bps: float) -> None:
        self._target_bps = min(max(target_bps, self._min_bps), self._max_bps)
