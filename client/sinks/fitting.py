"""Pictures of any size into the size that a sink was opened for: renditions come and go, a file keeps its size."""

import numpy as np
from numpy.typing import NDArray

from codec.colour import ToPlanes, fit_rectangle, paint_border, planes_to_frame


class Fitter:
    """Scales into one size with the shape kept, black around it. For one thread."""

    def __init__(self, *, width: int, height: int) -> None:
        """Pixels, 2 or more each."""
        self._shape = (3, height, width)
        self._convert = ToPlanes()

    def __call__(self, planes: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """`planes` itself where it has the size, otherwise a scaled copy; uint8 (3, H, W)."""
        if planes.shape == self._shape:
            return planes
        fitted = np.empty(self._shape, np.uint8)
        rectangle = x, y, width, height = fit_rectangle(
            planes.shape[2], planes.shape[1], self._shape[2], self._shape[1]
        )
        paint_border(fitted, rectangle)
        target = fitted[:, y : y + height, x : x + width]
        self._convert(planes_to_frame(planes), width=width, height=height, out=target)
        return fitted
