"""The slope of the queue: a line through the accumulated, smoothed delay gradients of the last groups.

libwebrtc replaced the Kalman filter of draft-ietf-rmcat-gcc-02 section 5.3 by this least-squares line
(trendline_estimator); the constants are its defaults. The output is in the unit its thresholds are in: the slope
(ms of delay per ms) times gain times the number of groups seen, up to 60.
"""

from collections import deque

WINDOW_GROUPS = 20
SMOOTHING = 0.9
"""Weight of the past in the exponential smoothing of the accumulated delay."""
GAIN = 4.0
MAX_GROUPS = 60
"""Groups after which the output is no longer scaled up: a slope from few groups is worth less."""


class Trendline:
    """Feed the gradient of each group; `trend` is positive while a queue grows."""

    def __init__(self) -> None:
        self._points: deque[tuple[float, float]] = deque(maxlen=WINDOW_GROUPS)
        self._accumulated_ms = 0.0
        self._smoothed_ms = 0.0
        self._groups = 0
        self._first_arrival_s: float | None = None
        self._trend = 0.0

    @property
    def trend(self) -> float:
        """Scaled slope; 0 until the window has filled for the first time."""
        return self._trend

    @property
    def groups(self) -> int:
        """Groups seen, up to `MAX_GROUPS`."""
        return self._groups

    def on_group(self, *, delay_gradient_s: float, arrival_s: float) -> float:
        """Takes one group, returns the new `trend`."""
        if self._first_arrival_s is None:
            self._first_arrival_s = arrival_s
        self._groups = min(self._groups + 1, MAX_GROUPS)
        self._accumulated_ms += delay_gradient_s * 1e3
        self._smoothed_ms = SMOOTHING * self._smoothed_ms + (1 - SMOOTHING) * self._accumulated_ms
        self._points.append(((arrival_s - self._first_arrival_s) * 1e3, self._smoothed_ms))
        if len(self._points) == WINDOW_GROUPS:
            slope = _slope(self._points)
            if slope is not None:
                self._trend = slope * self._groups * GAIN
        return self._trend


def _slope(points: deque[tuple[float, float]]) -> float | None:
    """Least-squares slope of y over x; None where all x are the same."""
    xs, ys = zip(*points, strict=True)
    mean_x, mean_y = sum(xs) / len(xs), sum(ys) / len(ys)
    spread = sum([(x - mean_x) ** 2 for x in xs])
    if spread <= 0:
        return None
    return float(sum([(x - mean_x) * (y - mean_y) for x, y in points]) / spread)
