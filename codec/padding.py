"""Padding of pictures to the multiple of 16 that the networks work on: the last column and row, repeated."""

import numpy as np
from numpy.typing import NDArray


def pad(planes: NDArray[np.uint8], padded: NDArray[np.uint8]) -> None:
    """Fill `padded` (3, H', W') from `planes` (3, H, W), H' >= H and W' >= W."""
    height, width = planes.shape[1:]
    padded[:, :height, :width] = planes
    padded[:, :height, width:] = planes[:, :, -1:]
    padded[:, height:, :] = padded[:, height - 1 : height, :]
