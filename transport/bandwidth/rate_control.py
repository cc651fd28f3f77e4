"""Additive increase, multiplicative decrease: from the verdict on the queue to a target rate.

draft-ietf-rmcat-gcc-02 section 5.5, with one change: growth far from the last congestion doubles the rate in a second
(the draft: 8 % a second) as long as the queue is flat, because a viewer should not watch a 10 Mbit/s path being
discovered for half a minute. The brake is the same, and it is asked with every report, 25 times in that second. Probe
clusters shorten it further; beside a flow that fills every queue `competition` and `fair_window` take over.
"""

from dataclasses import dataclass
from enum import Enum
from math import exp, log

from transport.bandwidth.capacity import LinkCapacity
from transport.bandwidth.competition import CHECK_SHARE, STANDING_S, Competition
from transport.bandwidth.fair_window import FairWindow
from transport.bandwidth.overuse import Usage
from transport.bandwidth.probing import ProbeResult

BACK_OFF = 0.92
"""Share of the received rate to go on with after overuse (draft: 0.85). Under overuse the received rate is what the
path carries, and the queue is short when it is found: 8 % drain 20 ms in a quarter of a second."""
_DRAIN_S, _MIN_SHARE = 0.25, 0.5
"""A long queue needs more than that: a share of 1 - queue / 250 ms empties it in about a quarter of a second, at the
cost of at most half the rate for that long. `BACK_OFF` alone takes 2.5 s for 200 ms."""
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
_DRAIN_INTERVAL_S = 1.0
"""Between two attempts: `competition` watches what each has done, and takes over when it was nothing."""
_HINT = 1.25
"""Times the received rate of the last two frames: a packet more or less changes that by so much."""
_ALL_RECEIVED = 0.93
"""While a back-off is being watched, a received rate above this share of the target shows that the path takes what we
send, whoever's the queue is: backing off again and again would give the path away before the verdict."""
_RETURN = 3.0
"""Times the received rate: where to compete from at most."""
_ABLE = 1.3
"""Times the minimum: from less a back-off is too small to drain anything."""
_OVERUSE_QUEUE_S = 0.015
"""A trend without a queue of half a frame interval is noise."""
_FULL_LOSS = 0.04
"""With a standing queue this much loss is a queue that overflows; without one, `loss` decides."""
_COLLAPSE_QUEUE_S = 0.06
_COLLAPSE_SHARE = 0.7
"""A queue of two frame intervals, growing, and so little of the target received: no need to wait for 20 groups."""
_RESPONSE_MIN_S, _RESPONSE_MAX_S = 0.05, 0.5
_PROBED_SHARE = 0.9
"""Of the rate that a probe cluster was served with: what is left is for the unevenness of frames."""
_UNUSED = 0.7
"""The target is not used when less than this share of it is received."""
_MAX_STEP_S = 0.25
"""Longest time that growth is reckoned over at once."""


class RateState(Enum):
    """What the target is doing."""

    INCREASE = "increase"
    HOLD = "hold"
    """Letting a queue drain."""
    DECREASE = "decrease"
    COMPETE = "compete"
    """Somebody else fills the queue."""


@dataclass(frozen=True, slots=True)
class Observed:
    """The path as of one report."""

    usage: Usage
    acked_bps: float | None
    """Received rate over half a second; None while unknown."""
    short_acked_bps: float | None
    """Received rate over a few frames."""
    newest_acked_bps: float | None
    """Received rate over the last two frames."""
    served_bps: float | None
    """Where packets are missing among those of a few frames: the rate at which the others were served, else None."""
    newest_served_bps: float | None
    """The same of the last two frames."""
    queue_delay_s: float
    """Standing queue, smoothed."""
    latest_queue_s: float
    """Standing queue as of the last report alone."""
    response_s: float
    """From sending a packet to reading its report."""
    lost_sent_s: float | None
    """When the newest packet that the report settled as lost was sent. None: nothing was lost."""
    loss: float
    """Share of packets lost over the last second, of those sent since the last decrease."""
    now: float


class RateControl:
    """Feed what each report shows."""

    def __init__(self, *, initial_bps: float, min_bps: float, max_bps: float) -> None:
        self._target_bps = initial_bps
        self._min_bps = min_bps
        self._max_bps = max_bps
        self._state = RateState.HOLD
        self._capacity = LinkCapacity()
        self._competition = Competition()
        self._window = FairWindow()
        self._checked_bps: float | None = None
        self._route_changed = False
        self._last_update: float | None = None
        self._before_silence_bps = 0.0
        self._decreased_at = float("-inf")
        self._drained_at = float("-inf")

    def set_limits(self, *, min_bps: float, max_bps: float) -> None:
        """From now on the target stays within these."""
        self._min_bps, self._max_bps = min_bps, max_bps
        self._set(self._target_bps)

    @property
    def target_bps(self) -> float:
        """Present target, within its limits."""
        return self._target_bps

    @property
    def state(self) -> RateState:
        """What the last report made it do."""
        return self._state

    @property
    def route_changed(self) -> bool:
        """Whether the last report showed that the standing queue is none: the path has become longer."""
        return self._route_changed

    @property
    def decreased_at(self) -> float:
        """When a queue last took the target down. -inf: never."""
        return self._decreased_at

    def on_report(self, observed: Observed) -> float:
        """Takes what one report shows, returns the new target."""
        now = observed.now
        step_s = 0.0 if self._last_update is None else min(now - self._last_update, _MAX_STEP_S)
        self._last_update = now
        if self._compete(observed, step_s):
            return self._target_bps
        standing = observed.queue_delay_s > STANDING_S and now - self._drained_at > _DRAIN_INTERVAL_S
        overuse = observed.usage is Usage.OVERUSE and observed.latest_queue_s > _OVERUSE_QUEUE_S
        # A short queue that is full grows no further, so it has no trend: it loses.
        least_queue_s = min(observed.queue_delay_s, observed.latest_queue_s)
        full = least_queue_s > _OVERUSE_QUEUE_S and observed.loss > _FULL_LOSS
        collapsed = self._collapsed(observed)
        if overuse or standing or full or collapsed:
            if standing:
                self._drained_at = now
            self._state = RateState.DECREASE
            self._decrease(observed, collapsed=collapsed)
        elif observed.usage is Usage.UNDERUSE or self._state is RateState.DECREASE:
            self._state = RateState.HOLD
        else:
            self._state = RateState.INCREASE
            self._increase(observed, step_s)
        return self._target_bps

    def on_probe(self, result: ProbeResult, *, acked_bps: float, now: float) -> None:
        """Takes what a probe cluster has found."""
        self._capacity.on_probe(result.bps, passed=result.passed)
        if result.bps * _PROBED_SHARE > self._target_bps:
            self._set(result.bps * _PROBED_SHARE)
        elif not result.passed and acked_bps < _UNUSED * self._target_bps:
            # Nothing but probes would tell that a path that is hardly used has become narrower.
            self._decreased_at = now
            self._set(result.bps * _PROBED_SHARE)

    def limit(self, bound_bps: float) -> None:
        """Takes the target down to `bound_bps` if it is above: another rule has found a lower one."""
        if bound_bps < self._target_bps:
            self._set(bound_bps)
            self._before_silence_bps = 0.0

    def halve(self) -> None:
        """Feedback stays away. When it returns, growth up to the rate of before needs no proof by received packets."""
        self._before_silence_bps = max(self._before_silence_bps, self._target_bps)
        self._set(self._target_bps / 2)

    def _compete(self, observed: Observed, step_s: float) -> bool:
        """Whether somebody else fills the queue; if so, the rate is the fair one."""
        competition, before = self._competition, self._competition.active
        self._route_changed = competition.on_report(
            queue_s=observed.latest_queue_s,
            target_bps=self._target_bps,
            acked_bps=observed.short_acked_bps or 0.0,
            lost_at=self._window.cut_at,
            response_s=observed.response_s,
            now=observed.now,
        )
        if not competition.active:
            return False
        if not before:
            # All at once would be right if it was found in time, and far too much if the path has become narrower.
            received_bps = observed.short_acked_bps or self._target_bps
            rate_bps = max(min(competition.rate_before_bps, _RETURN * received_bps), self._target_bps)
            self._window.start(rate_bps=rate_bps, round_trip_s=observed.response_s, now=observed.now)
        self._state = RateState.COMPETE
        if competition.checking(observed.now):
            received_bps = min(observed.acked_bps or self._target_bps, self._window.bps(observed.response_s))
            self._set(CHECK_SHARE * received_bps if self._checked_bps is None else self._checked_bps)
            self._checked_bps = self._target_bps
            return True
        self._checked_bps = None
        used = (observed.acked_bps or 0.0) > _UNUSED * self._target_bps
        self._window.on_report(
            lost_sent_s=observed.lost_sent_s,
            queue_s=observed.latest_queue_s,
            round_trip_s=observed.response_s,
            step_s=step_s if used else 0.0,
            now=observed.now,
        )
        self._set(self._window.bps(observed.response_s))
        return True

    def _collapsed(self, observed: Observed) -> bool:
        """Whether the path is suddenly so much narrower that no trend is needed to see it."""
        received_bps = self._carried(observed.short_acked_bps, observed.served_bps)
        if received_bps is None or observed.latest_queue_s < _COLLAPSE_QUEUE_S:
            return False
        return received_bps < _COLLAPSE_SHARE * self._target_bps and observed.latest_queue_s > observed.queue_delay_s

    def _carried(self, received_bps: float | None, served_bps: float | None) -> float | None:
        """What the path carries: the received rate, but what is lost of the target is not for lack of room."""
        if received_bps is None or served_bps is None:
            return received_bps
        return max(received_bps, min(served_bps, self._target_bps))

    def _decrease(self, observed: Observed, *, collapsed: bool) -> None:
        # The received rate lags behind a path that has just become narrower; over a few frames it lags less.
        received_bps = self._carried(observed.short_acked_bps, observed.served_bps)
        if received_bps is None:
            received_bps = self._target_bps / 2
        newest_bps = self._carried(observed.newest_acked_bps, observed.newest_served_bps)
        if collapsed and newest_bps is not None:
            received_bps = min(received_bps, _HINT * newest_bps)
        if self._competition.testing and received_bps > _ALL_RECEIVED * self._target_bps:
            return
        # Before the last decrease has had its effect only a much narrower path is news.
        response_s = min(max(observed.response_s, _RESPONSE_MIN_S), _RESPONSE_MAX_S)
        if observed.now - self._decreased_at < response_s and received_bps > 0.5 * self._target_bps:
            return
        able = self._target_bps > _ABLE * self._min_bps
        self._competition.on_back_off(received_bps=received_bps, able=able, response_s=response_s, now=observed.now)
        self._decreased_at = observed.now
        self._before_silence_bps = 0.0
        self._capacity.on_overuse(received_bps)
        share = min(max(1 - observed.latest_queue_s / _DRAIN_S, _MIN_SHARE), BACK_OFF)
        self._set(min(self._target_bps, share * received_bps))

    def _increase(self, observed: Observed, step_s: float) -> None:
        acked_bps, capacity = observed.acked_bps, self._capacity
        if acked_bps is None:
            return
        capacity.on_received(acked_bps)
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
