"""Multi-scale structural similarity of two luma planes (Wang, Simoncelli, Bovik, Asilomar 2003).

    MS-SSIM = l_M^w_M  prod_j cs_j^w_j       j = 1..M, M = 5 scales, each the 2x2 mean of the one before

cs_j (contrast and structure) and l_M (luminance) are means over all places where the 11x11 Gaussian window (sigma 1.5)
lies inside the plane; K1 = 0.01, K2 = 0.03, peak 255. A negative mean of cs counts as 0. Planes too small for five
scales use fewer, with the weights of those scales brought to a sum of 1: `scales_for`.
"""

import math
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
"""Of the scales, finest first: table 1 of the paper."""

WINDOW = 11
_SIGMA = 1.5
_C1, _C2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2

MIN_SIDE = WINDOW
"""Smallest side with one scale; five need 16 times that, 176."""


def scales_for(width: int, height: int) -> int:
    """Scales whose planes still hold the window: 1 to 5. Raises ValueError below 11x11."""
    if min(width, height) < MIN_SIDE:
        raise ValueError(f"{width}x{height} is smaller than the window of {WINDOW}x{WINDOW}")
    return min(len(WEIGHTS), int(math.log2(min(width, height) // WINDOW)) + 1)


def ms_ssim(a: NDArray[Any], b: NDArray[Any]) -> float:
    """MS-SSIM of two planes (height, width) of code values 0..255, any type: 1.0 for equal planes, 0 at worst."""
    if a.shape != b.shape or a.ndim != 2:
        raise ValueError(f"cannot compare planes of {a.shape} and {b.shape}")
    scales = scales_for(a.shape[1], a.shape[0])
    weights = np.array(WEIGHTS[:scales]) / sum(WEIGHTS[:scales])
    x, y = np.ascontiguousarray(a, np.float64), np.ascontiguousarray(b, np.float64)
    product = 1.0
    for scale, weight in enumerate(weights):
        structure, similarity = _means(x, y, _TAPS)
        product *= max(0.0, similarity if scale == scales - 1 else structure) ** weight
        if scale < scales - 1:
            x, y = _halved(x), _halved(y)
    return float(product)


def decibels(value: float) -> float:
    """-10 log10(1 - MS-SSIM), which spreads the values near 1; capped at 100."""
    return min(100.0, -10 * math.log10(max(1e-10, 1 - value)))


def _taps() -> NDArray[np.float64]:
    offsets = np.arange(WINDOW) - WINDOW // 2
    taps = np.exp(-(offsets**2) / (2 * _SIGMA**2))
    return np.asarray(taps / taps.sum(), np.float64)


_TAPS = _taps()


def _halved(plane: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean of each 2x2 block; an odd last row or column is left out."""
    height, width = plane.shape[0] // 2 * 2, plane.shape[1] // 2 * 2
    even = plane[:height, :width]
    return (even[::2, ::2] + even[::2, 1::2] + even[1::2, ::2] + even[1::2, 1::2]) / 4


@njit("UniTuple(float64,2)(float64[:,::1],float64[:,::1],float64[::1])", cache=True, nogil=True)
def _means(a: Any, b: Any, taps: Any) -> Any:
    """Mean of cs and mean of l * cs over all places of the window.

    Compiled, and row by row: whole planes of the five moments would not stay in a cache.
    """
    height, width = a.shape
    count = taps.size
    across = width - count + 1
    vertical = np.empty((5, width))
    moments = np.empty((5, across))
    structure = 0.0
    similarity = 0.0
    for row in range(height - count + 1):
        vertical[:] = 0.0
        for tap in range(count):
            weight = taps[tap]
            for x in range(width):
                p = a[row + tap, x]
                q = b[row + tap, x]
                vertical[0, x] += weight * p
                vertical[1, x] += weight * q
                vertical[2, x] += weight * p * p
                vertical[3, x] += weight * q * q
                vertical[4, x] += weight * p * q
        moments[:] = 0.0
        for moment in range(5):
            for tap in range(count):
                weight = taps[tap]
                for x in range(across):
                    moments[moment, x] += weight * vertical[moment, x + tap]
        for x in range(across):
            mean_a = moments[0, x]
            mean_b = moments[1, x]
            product = mean_a * mean_b
            squares = mean_a * mean_a + mean_b * mean_b
            contrast = (2 * (moments[4, x] - product) + _C2) / (moments[2, x] + moments[3, x] - squares + _C2)
            structure += contrast
            similarity += contrast * (2 * product + _C1) / (squares + _C1)
    places = (height - count + 1) * across
    return structure / places, similarity / places
