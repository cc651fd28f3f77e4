"""Bjøntegaard's deltas: the mean distance between two rate-distortion curves.

Each curve is log10(rate) as a function of quality, through its points by piecewise cubic Hermite interpolation
(PCHIP, Fritsch and Carlson 1980, slopes of Fritsch and Butland 1984), as in the common test conditions of JVET and in
VCEG-M33's later form. Both are integrated over the qualities that both reach.

    BD-rate = 10^(mean over quality of (log10 rate_test - log10 rate_anchor)) - 1
    BD-PSNR =     mean over log10 rate of (quality_test - quality_anchor)
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

MIN_POINTS = 4
"""Bjøntegaard's own number: fewer points leave the shape of a curve open."""


MIN_SHARE = 0.25
"""Of the shorter curve's extent, that both have to reach: where the curves barely touch, a mean over the touch says
little about either and runs into thousands of percent."""


@dataclass(frozen=True, slots=True)
class Curve:
    """Rates (any unit, above 0) and qualities (dB) of the same points, in any order."""

    rates: Sequence[float]
    qualities: Sequence[float]


@dataclass(frozen=True, slots=True)
class Delta:
    """value: percent for a rate, dB for a quality; None with the `reason`.

    overlap: the interval integrated over, in dB for a rate, in log10 of the rate for a quality. share: of the
    shorter curve's extent, 0..1.
    """

    value: float | None
    reason: str = ""
    overlap: tuple[float, float] | None = None
    share: float = 0.0


def bd_rate(anchor: Curve, test: Curve) -> Delta:
    """How much more rate `test` takes for the same quality, in percent; negative is better."""
    prepared = _prepare(anchor, test)
    if isinstance(prepared, str):
        return Delta(None, prepared)
    (log_anchor, q_anchor), (log_test, q_test) = prepared
    delta = _mean_difference(q_anchor, log_anchor, q_test, log_test, what="quality")
    if delta.value is None:
        return delta
    return Delta(100 * (10**delta.value - 1), "", delta.overlap, delta.share)


def bd_quality(anchor: Curve, test: Curve) -> Delta:
    """How much better `test` is at the same rate, in dB; positive is better."""
    prepared = _prepare(anchor, test)
    if isinstance(prepared, str):
        return Delta(None, prepared)
    (log_anchor, q_anchor), (log_test, q_test) = prepared
    return _mean_difference(log_anchor, q_anchor, log_test, q_test, what="rate")


def _prepare(
    anchor: Curve, test: Curve
) -> tuple[tuple[NDArray[np.float64], NDArray[np.float64]], tuple[NDArray[np.float64], NDArray[np.float64]]] | str:
    """Both curves as rising (log10 rate, quality), or why not."""
    out = []
    for whose, curve in (("the anchor", anchor), ("the codec", test)):
        rates, qualities = np.array(curve.rates, np.float64), np.array(curve.qualities, np.float64)
        if rates.shape != qualities.shape:
            raise ValueError(f"{rates.size} rates and {qualities.size} qualities")
        if len(rates) < MIN_POINTS:
            return f"{whose} has {len(rates)} points, {MIN_POINTS} are needed"
        order = np.argsort(rates, kind="stable")
        rates, qualities = rates[order], qualities[order]
        if rates[0] <= 0 or not np.isfinite(rates).all() or not np.isfinite(qualities).all():
            return f"{whose} has a point without a rate or quality"
        if (np.diff(rates) <= 0).any() or (np.diff(qualities) <= 0).any():
            return f"{whose} does not get better with every step in rate"
        out.append((np.log10(rates), qualities))
    return out[0], out[1]


def _mean_difference(
    x_anchor: NDArray[np.float64],
    y_anchor: NDArray[np.float64],
    x_test: NDArray[np.float64],
    y_test: NDArray[np.float64],
    *,
    what: str,
) -> Delta:
    low, high = max(x_anchor[0], x_test[0]), min(x_anchor[-1], x_test[-1])
    if high <= low:
        return Delta(None, f"the curves have no {what} in common")
    share = (high - low) / min(x_test[-1] - x_test[0], x_anchor[-1] - x_anchor[0])
    if share < MIN_SHARE:
        return Delta(None, f"the curves share {100 * share:.0f} % of their {what}, too little to compare")
    difference = pchip_integral(x_test, y_test, low, high) - pchip_integral(x_anchor, y_anchor, low, high)
    return Delta(float(difference / (high - low)), "", (float(low), float(high)), float(share))


def pchip_slopes(x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
    """Slopes of the monotone interpolant at every point; x strictly rising, at least two points."""
    h = np.diff(x)
    secant = np.diff(y) / h
    if len(x) == 2:
        return np.repeat(secant, 2)
    slopes = np.zeros_like(y)
    for k in range(1, len(x) - 1):
        before, after = secant[k - 1], secant[k]
        if before * after > 0:
            w1, w2 = 2 * h[k] + h[k - 1], h[k] + 2 * h[k - 1]
            slopes[k] = (w1 + w2) / (w1 / before + w2 / after)
    slopes[0] = _end_slope(h[0], h[1], secant[0], secant[1])
    slopes[-1] = _end_slope(h[-1], h[-2], secant[-1], secant[-2])
    return slopes


def _end_slope(h: float, h_next: float, secant: float, secant_next: float) -> float:
    """Three-point formula, held back where it would overshoot."""
    slope = ((2 * h + h_next) * secant - h * secant_next) / (h + h_next)
    if slope * secant <= 0:
        return 0.0
    if secant * secant_next <= 0 and abs(slope) > 3 * abs(secant):
        return 3 * secant
    return slope


def pchip_integral(x: NDArray[np.float64], y: NDArray[np.float64], low: float, high: float) -> float:
    """Exact integral of the interpolant from `low` to `high`, both within x."""
    slopes = pchip_slopes(x, y)
    total = 0.0
    for k in range(len(x) - 1):
        start, end = max(low, x[k]), min(high, x[k + 1])
        if end <= start:
            continue
        h = x[k + 1] - x[k]
        secant = (y[k + 1] - y[k]) / h
        quadratic = (3 * secant - 2 * slopes[k] - slopes[k + 1]) / h
        cubic = (slopes[k] + slopes[k + 1] - 2 * secant) / h**2
        a, b = start - x[k], end - x[k]
        total += sum(
            coefficient * (b**power - a**power) / power
            for power, coefficient in enumerate((y[k], slopes[k], quadratic, cubic), start=1)
        )
    return float(total)
