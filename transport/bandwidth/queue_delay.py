"""How long packets wait in queues on the path: one-way delay less the smallest one seen lately.

The clocks' offset is in both and cancels. The smallest of the last `BASE_WINDOW_S` stands for the empty path (as in
LEDBAT, RFC 6817 section 3.4.2); it is forgotten in time, because clocks drift (50 ppm over 30 s are 1.5 ms) and routes
change.
"""

BASE_WINDOW_S = 30.0
_GAIN = 0.2
"""Weight of a new report: smooths over five reports, 0.2 s at the usual interval."""


class QueueDelay:
    """Feed each report's smallest one-way delay."""

    def __init__(self) -> None:
        # Two halves of the window: when the newer one has lasted long enough, the older one is forgotten.
        self._older_s: float | None = None
        self._newer_s: float | None = None
        self._newer_began = 0.0
        self._smoothed_s = 0.0

    @property
    def seconds(self) -> float:
        """Smoothed estimate, >= 0."""
        return self._smoothed_s

    def on_report(self, *, one_way_delay_s: float, now: float) -> float:
        """Takes the smallest one-way delay of one report, with any constant offset; returns the new estimate.

        The smallest, because the later packets of a frame queue behind the earlier ones: that is no standing queue.
        """
        if self._newer_s is None or now - self._newer_began > BASE_WINDOW_S / 2:
            self._older_s, self._newer_s, self._newer_began = self._newer_s, one_way_delay_s, now
        self._newer_s = min(self._newer_s, one_way_delay_s)
        base_s = self._newer_s if self._older_s is None else min(self._older_s, self._newer_s)
        self._smoothed_s += _GAIN * (one_way_delay_s - base_s - self._smoothed_s)
        return self._smoothed_s
