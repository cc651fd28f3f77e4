"""How sure a median is: its confidence interval when neighbouring frames resemble each other.

Frames are no independent draws: a slow second makes thirty slow frames. So whole blocks of a second are drawn again
(moving block bootstrap, Künsch 1989), not single frames.
"""

from collections.abc import Sequence

import numpy as np

DRAWS = 1000
CONFIDENCE = 0.95
_SEED = 5
"""Fixed: the same frames give the same interval."""


def median_interval(values: Sequence[float], *, block: int) -> tuple[float, float]:
    """Low and high end of the 95 % interval of the median. block: neighbours that may depend on each other, frames."""
    series = np.asarray(values, np.float64)
    if not len(series):
        return 0.0, 0.0
    block = max(1, min(block, len(series) // 2))
    rng = np.random.default_rng(_SEED)
    starts = rng.integers(0, len(series) - block + 1, (DRAWS, -(-len(series) // block)))
    drawn = series[(starts[..., None] + np.arange(block)).reshape(DRAWS, -1)[:, : len(series)]]
    medians = np.median(drawn, axis=1)
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(medians, (tail, 1 - tail))
    return float(low), float(high)
