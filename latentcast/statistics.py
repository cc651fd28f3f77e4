"""Percentiles, the same way everywhere: nearest rank on the sorted values, so that every figure is a measured one."""

import math
from collections import deque
from collections.abc import Sequence

from latentcast.report import Percentiles


def percentile(ordered: Sequence[float], share: float) -> float:
    """Nearest-rank percentile of ascending values; 0.0 of none. share: 0..1."""
    if not ordered:
        return 0.0
    return ordered[max(0, math.ceil(share * len(ordered) - 1e-9) - 1)]


def percentiles(values: Sequence[float]) -> Percentiles:
    """p50, p95, p99 and max of any values."""
    ordered = sorted(values)
    return Percentiles(
        p50=round(percentile(ordered, 0.50), 3),
        p95=round(percentile(ordered, 0.95), 3),
        p99=round(percentile(ordered, 0.99), 3),
        max=round(ordered[-1], 3) if ordered else 0.0,
    )


class Window:
    """The newest `capacity` values; the oldest go first."""

    def __init__(self, capacity: int) -> None:
        self._values: deque[float] = deque(maxlen=capacity)

    def add(self, value: float) -> None:
        self._values.append(value)

    def percentiles(self) -> Percentiles:
        return percentiles(tuple(self._values))

    def __len__(self) -> int:
        return len(self._values)
