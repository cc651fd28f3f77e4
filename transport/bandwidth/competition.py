"""Is the queue somebody else's? A flow that fills every queue until it loses (TCP) starves one that backs off first.

    alone, delay decides -- two back-offs that drained nothing --> competing, loss decides
                         <-- the queue runs empty ---------------

The test is what a back-off does. On a path of our own, a rate below the one that is received drains the queue; if it
stays, somebody else fills it. One such finding may be a path that has become narrower meanwhile; two in a row are
taken for company, and one is enough soon after company was seen. A queue that has stood for seconds against all
back-offs needs no test.

The way back: a flow that fills queues never lets them run empty for long, so an empty one ends it. Because our own
window would keep the queue filled too, every few seconds the rate is halved for as long as it takes to empty the queue
if we are alone; with company, only our share of it drains meanwhile. A queue that stands still where it was lowest at
the end of each such check is no queue but a longer route. Nimbus (Goyal et al., "Elasticity detection",
SIGCOMM 2022) and Copa (Arun and Balakrishnan, NSDI 2018, section 2.2) switch in the same way, by other tests.
"""

from dataclasses import dataclass

STANDING_S, _STANDS_S = 0.06, 3.0
"""A queue never below this for so long is not ours, whatever the tests found."""
EMPTY_S = 0.015
"""A queue below this has run empty."""
CHECK_SHARE = 0.5
"""Of the received rate, while checking whether the queue would run empty."""
_QUEUE_S = 0.04
"""A queue that stays above this through a back-off is not ours: more than one frame interval at 30 fps."""
_KEPT_SHARE = 0.7
"""Of the queue when the back-off took effect. Alone, half a second at 0.92 of the received rate drains 40 ms."""
_WATCH_S = 0.5
_EFFECT_S = 0.05
"""After a response time a back-off shows, at the latest one report later."""
_DRAINING = 1.25
"""More received than sent: what drains is our own queue, however long it is."""
_AFTER_LOSS_S = 1.0
"""After a loss somebody else may be backing off too."""
_FINDINGS = 2
_FAR_DOWN = 0.5
"""A back-off below this share of the rate that leaves the queue as it was is as good as two."""
_MEMORY_S, _LASTED_S = 20.0, 3.0
"""For so long after company was seen, for so long at least, one finding is enough."""
_STALE_S = 6.0
"""Findings further apart than this are two stories."""
_FLAT_S = 0.004
"""A queue that moves by no more than this stands still."""
_STILL_CHECKS = 3
"""Such checks in a row; one or two happen by chance in a minute beside a TCP flow."""
_CHECK_INTERVAL_S, _FIRST_CHECK_S = 4.0, 2.0
_CHECK_LATE_S = 0.15
"""The end of a check."""
_CHECK_MARGIN = 1.25
"""The time a lone queue needs to run empty, times this: with a half of the path to somebody else, a third is left."""
_CHECK_MAX_S = 0.8


@dataclass(slots=True)
class _Test:
    began: float
    effect_at: float
    rate_bps: float
    """Received before the back-off."""
    queue_s: float = 0.0
    """Queue when the back-off took effect."""
    least_s: float = float("inf")


class Competition:
    """Feed every back-off and every report; `active` says whether to compete."""

    def __init__(self) -> None:
        self._active = False
        self._test: _Test | None = None
        self._findings = 0
        self._found_at = self._left_at = self._checked_at = float("-inf")
        self._check_until = self._started_at = float("-inf")
        self._late_s: list[float] = []
        self._lowest_s = float("inf")
        self._still = 0
        self._first_bps = 0.0
        self._stands_since: float | None = None
        self._stands_from_bps = 0.0

    @property
    def active(self) -> bool:
        """Whether the queue is somebody else's."""
        return self._active

    @property
    def testing(self) -> bool:
        """Whether a back-off is being watched: what it has done is to be seen before the next."""
        return self._test is not None

    @property
    def rate_before_bps(self) -> float:
        """Received before the back-offs that drained nothing: where to go on from."""
        return self._first_bps

    def checking(self, now: float) -> bool:
        """Whether to send `CHECK_SHARE` of the received rate for now, to see if the queue runs empty."""
        return self._active and now < self._check_until

    def on_back_off(self, *, received_bps: float, able: bool, response_s: float, now: float) -> None:
        """The target comes down because of a queue. `able`: by enough to prove something."""
        if able and self._test is None and not self._active:
            self._test = _Test(now, now + response_s + _EFFECT_S, received_bps)

    def on_report(
        self, *, queue_s: float, target_bps: float, acked_bps: float, lost_at: float, response_s: float, now: float
    ) -> bool:
        """Takes one report: queue, target, received rate, and when the rate last fell for a loss.

        True: what was taken for a queue is a longer route.
        """
        if self._active:
            return self._watch_for_the_end(queue_s, lost_at, response_s, now)
        if queue_s < STANDING_S:
            self._stands_since = None
        elif self._stands_since is None:
            self._stands_since, self._stands_from_bps = now, min(target_bps, acked_bps)
        elif now - self._stands_since > _STANDS_S:
            self._start(self._stands_from_bps, now)
            return False
        test = self._test
        if test is None:
            return False
        if queue_s < EMPTY_S:
            self._test, self._findings = None, 0
        elif now < test.effect_at:
            test.queue_s = queue_s
        else:
            test.least_s = min(test.least_s, queue_s)
            ours = acked_bps > _DRAINING * target_bps
            if now >= test.effect_at + _WATCH_S and not ours:
                self._conclude(test, target_bps, now)
            elif now >= test.effect_at + 2 * _WATCH_S:
                self._test = None
        return False

    def _start(self, rate_bps: float, now: float) -> None:
        self._active, self._test, self._findings, self._first_bps = True, None, 0, rate_bps
        self._started_at, self._lowest_s, self._still = now, float("inf"), 0
        self._checked_at = now + _FIRST_CHECK_S - _CHECK_INTERVAL_S
        self._check_until = float("-inf")

    def _watch_for_the_end(self, queue_s: float, lost_at: float, response_s: float, now: float) -> bool:
        self._lowest_s = min(self._lowest_s, queue_s)
        if queue_s < EMPTY_S:
            self._leave(now)
        elif self._check_until > float("-inf"):
            if now > self._check_until - _CHECK_LATE_S:
                self._late_s.append(queue_s)
            if now >= self._check_until:
                self._check_until = float("-inf")
                if self._stands_still():
                    self._leave(now)
                    return True
        elif now - self._checked_at > _CHECK_INTERVAL_S and now - lost_at > _AFTER_LOSS_S:
            self._checked_at = now
            self._late_s = []
            seconds = _CHECK_MARGIN * queue_s / (1 - CHECK_SHARE)
            self._check_until = now + min(response_s + seconds, _CHECK_MAX_S)
        return False

    def _stands_still(self) -> bool:
        """At the end of a check: whether the queue stands still where it was lowest, for the third time."""
        late_s = self._late_s
        still = len(late_s) > 2 and max(late_s) - self._lowest_s < _FLAT_S
        self._still = self._still + 1 if still else 0
        return self._still >= _STILL_CHECKS

    def _leave(self, now: float) -> None:
        self._active, self._stands_since = False, None
        if now - self._started_at > _LASTED_S:
            self._left_at = now

    def _conclude(self, test: _Test, target_bps: float, now: float) -> None:
        self._test = None
        if test.least_s < max(_QUEUE_S, _KEPT_SHARE * test.queue_s):
            self._findings = 0
            return
        if now - self._found_at > _STALE_S or not self._findings:
            self._findings, self._first_bps = 0, test.rate_bps
        self._found_at = now
        self._findings += 2 if target_bps < _FAR_DOWN * test.rate_bps else 1
        if self._findings >= _FINDINGS or now - self._left_at < _MEMORY_S:
            self._start(self._first_bps, now)
