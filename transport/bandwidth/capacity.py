"""Where the path was last found full: mean and spread of the received rate at the moments of overuse.

draft-ietf-rmcat-gcc-02 section 5.5: near this rate the target grows by steps, far from it by a factor. Averages and
limits of the spread as in libwebrtc's link_capacity_estimator.
"""

from math import sqrt

_GAIN = 0.05
_SIGMAS = 3.0
_WIDER = 1.15
"""Times the mean. Just above the band the mean may have been found a little low; growth beyond it is slow and shows."""
_MIN_VARIANCE_KBPS, _MAX_VARIANCE_KBPS = 0.4, 2.5
"""Of the normalised variance (error squared over mean, kbit/s): at 2 Mbit/s a band of 4 to 11 % either side."""


class LinkCapacity:
    """Feed the received rate at each overuse. Nothing is known before the first."""

    def __init__(self) -> None:
        self._mean_kbps: float | None = None
        self._variance_kbps = _MIN_VARIANCE_KBPS

    @property
    def mean_bps(self) -> float | None:
        """Average rate at overuse."""
        return None if self._mean_kbps is None else self._mean_kbps * 1e3

    @property
    def low_bps(self) -> float | None:
        """Below this the path is probably not full."""
        return None if self._mean_kbps is None else max(0.0, self._mean_kbps - self._band_kbps()) * 1e3

    @property
    def high_bps(self) -> float | None:
        """A received rate above this shows that the path has become wider."""
        return None if self._mean_kbps is None else (self._mean_kbps + self._band_kbps()) * 1e3

    def on_overuse(self, received_bps: float) -> None:
        """Takes one finding. One below the band starts afresh: the path has become narrower."""
        kbps = max(received_bps / 1e3, 1.0)
        if self._mean_kbps is None or kbps < self._mean_kbps - self._band_kbps():
            self._mean_kbps, self._variance_kbps = kbps, _MIN_VARIANCE_KBPS
            return
        error_kbps = kbps - self._mean_kbps
        self._mean_kbps += _GAIN * error_kbps
        variance = (1 - _GAIN) * self._variance_kbps + _GAIN * error_kbps**2 / self._mean_kbps
        self._variance_kbps = min(max(variance, _MIN_VARIANCE_KBPS), _MAX_VARIANCE_KBPS)

    def on_probe(self, bps: float, *, passed: bool) -> None:
        """Takes what a cluster was served with: what the path carries, unless it `passed`, which is the least it does.

        Above the band it starts afresh: the path has become wider.
        """
        high_bps = self.high_bps
        if high_bps is not None and bps > high_bps:
            self._mean_kbps = None
        if not passed:
            self.on_overuse(bps)

    def on_received(self, bps: float) -> None:
        """Takes a received rate without overuse. Far above the mean it forgets it: the path has become wider."""
        if self._mean_kbps is not None and bps > _WIDER * self._mean_kbps * 1e3:
            self._mean_kbps = None

    def _band_kbps(self) -> float:
        return _SIGMAS * sqrt(self._variance_kbps * (self._mean_kbps or 0.0))
