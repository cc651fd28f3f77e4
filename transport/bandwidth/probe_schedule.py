"""When to ask the path for more, and how much more."""

from transport.bandwidth.probing import ProbeResult

_FACTOR = 2.0
"""A cluster asks for twice the target, so that a path of any width is found by doublings."""
_ABOVE_MAX = 1.15
"""Times the highest target: a cluster that passes with this has proven all that may be used."""
_INTERVAL_S = 2.0
"""Between clusters that found nothing new. A cluster of 15 ms at twice the target costs 1.5 % of it at this pace."""
_AT_MAX_INTERVAL_S = 5.0
"""The same where the target is the highest allowed: only a path that becomes narrower is of interest (libwebrtc probes
as often while the application is the limit)."""
_AGAIN_S = 0.5
"""After a cluster of too few packets to measure anything: it has cost little, and nothing is known yet."""
_AFTER_DECREASE_S = 1.0
"""A queue that has just been found is left to drain, and the rate that came of it to prove itself."""


class ProbeSchedule:
    """Asked for a rate again and again; told what came of it."""

    def __init__(self) -> None:
        self._next_s = float("-inf")
        self._at_max = False

    def wanted_bps(self, *, target_bps: float, max_bps: float, now: float) -> float | None:
        """The rate of the cluster to send now. None: not now."""
        if now < self._next_s:
            return None
        self._at_max = target_bps >= max_bps
        self._next_s = now + (_AT_MAX_INTERVAL_S if self._at_max else _INTERVAL_S)
        return min(_FACTOR * target_bps, _ABOVE_MAX * max_bps)

    def on_result(self, result: ProbeResult, now: float) -> None:
        """A cluster that passed is followed by a faster one at once, if a faster one would be of use."""
        if result.passed and not self._at_max:
            self._next_s = now

    def on_too_few(self, now: float) -> None:
        """A cluster has ended that could measure nothing."""
        self._next_s = min(self._next_s, now + _AGAIN_S)

    def on_decrease(self, now: float) -> None:
        """The target has come down."""
        self._next_s = max(self._next_s, now + _AFTER_DECREASE_S)
