"""How long packets wait in queues on the path: one-way delay less the smallest one seen lately.

The clocks' offset is in both and cancels. The smallest of the last `BASE_WINDOW_S` stands for the empty path (as in
LEDBAT, RFC 6817 section 3.4.2); it is forgotten in time, because clocks drift (50 ppm over 30 s are 1.5 ms) and routes
change.
"""

from transport.bandwidth.lowest import Lowest

BASE_WINDOW_S = 30.0
_GAIN = 0.2
"""Weight of a new report: smooths over five reports, 0.2 s at the usual interval."""


class QueueDelay:
    """Feed each report's smallest one-way delay."""

    def __init__(self) -> None:
        self._base = Lowest(BASE_WINDOW_S)
        self._latest_s = self._smoothed_s = 0.0

    @property
    def seconds(self) -> float:
        """Smoothed estimate, >= 0."""
        return self._smoothed_s

    @property
    def latest_s(self) -> float:
        """As of the last report alone, >= 0."""
        return self._latest_s

    def on_report(self, *, one_way_delay_s: float, now: float, hold_base: bool = False) -> float:
        """Takes the smallest one-way delay of one report, with any constant offset; returns the new estimate.

        The smallest, because the later packets of a frame queue behind the earlier ones: that is no standing queue.
        `hold_base`: the queue is known not to run empty at present, so the empty path's delay is not to be forgotten.
        """
        self._latest_s = one_way_delay_s - self._base.add(one_way_delay_s, now, hold=hold_base)
        self._smoothed_s += _GAIN * (self._latest_s - self._smoothed_s)
        return self._smoothed_s

    def forget(self) -> None:
        """The clocks' offset has changed."""
        self._base.clear()
        self._latest_s = self._smoothed_s = 0.0
