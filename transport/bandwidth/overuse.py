"""Is the path overused? The trend of the delay against a threshold that adapts to how noisy the path is.

draft-ietf-rmcat-gcc-02 section 5.4 and Carlucci et al., "Analysis and design of the Google congestion control for web
real-time communication", MMSys 2016, section 4.3: a fixed threshold is either deaf on a jittery path or starved by a
TCP flow. Constants as in libwebrtc's trendline_estimator, whose trend they are scaled to.
"""

from enum import Enum


class Usage(Enum):
    """What the delay says."""

    NORMAL = "normal"
    OVERUSE = "overuse"
    """A queue grows."""
    UNDERUSE = "underuse"
    """A queue drains."""


INITIAL_THRESHOLD = 12.5
MIN_THRESHOLD, MAX_THRESHOLD = 6.0, 600.0
K_UP, K_DOWN = 0.0087, 0.039
"""Gains per ms of the threshold's approach to |trend|, from below and from above it."""
MAX_ADAPT_OFFSET = 15.0
"""A trend this far above the threshold is a sudden change of the path, not its noise: do not adapt to it."""
_OVERUSE_S = 0.01
"""The trend must stay above the threshold for so long (draft, section 5.4: overuse_time_th)."""
_MAX_STEP_S = 0.1
"""Longest time between two groups that the threshold adapts over at once (draft: 100 ms)."""


class OveruseDetector:
    """Feed the trend after each group."""

    def __init__(self) -> None:
        self._threshold = INITIAL_THRESHOLD
        self._usage = Usage.NORMAL
        self._above_s: float | None = None
        self._above_groups = 0
        self._previous_trend = 0.0
        self._last_s: float | None = None

    @property
    def threshold(self) -> float:
        """Present threshold."""
        return self._threshold

    @property
    def usage(self) -> Usage:
        """Present verdict."""
        return self._usage

    def on_trend(self, trend: float, *, send_delta_s: float, arrival_s: float) -> Usage:
        """Takes the trend after a group sent `send_delta_s` after the one before; returns the new verdict."""
        if trend > self._threshold:
            # Counted from the middle of the first group above: nobody knows when in it the queue began to grow.
            self._above_s = send_delta_s / 2 if self._above_s is None else self._above_s + send_delta_s
            self._above_groups += 1
            if self._above_s > _OVERUSE_S and self._above_groups > 1 and trend >= self._previous_trend:
                self._above_s, self._above_groups = 0.0, 0
                self._usage = Usage.OVERUSE
        else:
            self._above_s, self._above_groups = None, 0
            self._usage = Usage.UNDERUSE if trend < -self._threshold else Usage.NORMAL
        self._previous_trend = trend
        self._adapt(trend, arrival_s)
        return self._usage

    def _adapt(self, trend: float, arrival_s: float) -> None:
        step_s = 0.0 if self._last_s is None else min(max(arrival_s - self._last_s, 0.0), _MAX_STEP_S)
        self._last_s = arrival_s
        if abs(trend) > self._threshold + MAX_ADAPT_OFFSET:
            return
        gain = K_DOWN if abs(trend) < self._threshold else K_UP
        adapted = self._threshold + gain * (abs(trend) - self._threshold) * step_s * 1e3
        self._threshold = min(max(adapted, MIN_THRESHOLD), MAX_THRESHOLD)
