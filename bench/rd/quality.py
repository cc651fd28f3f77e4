"""How far decoded pictures are from the clip: PSNR of each plane, their 6:1:1 mean, MS-SSIM of Y.

Every figure is the mean over frames of the frame's own figure, as in the published results of DCVC-RT. Beside the means
stands what they hide: how much worse the end of a clip looks than its beginning.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.rd.clips import Clip
from bench.rd.coding import Planes
from bench.rd.ms_ssim import ms_ssim
from latentcast.errors import UserError

MAX_PSNR_DB = 100.0
"""What equal planes count as, so that means stay finite."""

_FADE_FRAMES = 8
"""One quality cycle at each end."""


@dataclass(frozen=True, slots=True)
class Quality:
    """PSNR in dB, peak 255; ms_ssim 0..1.

    fade_db: 6:1:1 PSNR of the last 8 frames less that of the first 8; None for a clip of fewer than 16.
    """

    psnr_y: float
    psnr_u: float
    psnr_v: float
    ms_ssim: float
    fade_db: float | None = None

    @property
    def psnr_611(self) -> float:
        """The weights of the planes in the published results."""
        return _weighted(self.psnr_y, self.psnr_u, self.psnr_v)


def psnr(a: NDArray[Any], b: NDArray[Any]) -> float:
    """Peak signal-to-noise ratio of two planes of code values 0..255 in dB, at most `MAX_PSNR_DB`."""
    difference = a.astype(np.float64) - b.astype(np.float64)
    error = float(np.mean(difference * difference))
    return MAX_PSNR_DB if error == 0 else min(MAX_PSNR_DB, 10 * math.log10(255**2 / error))


def measure(clip: Clip, pictures: Iterator[Planes]) -> Quality:
    """Compare all of a clip. Raises UserError when the number or the size of the pictures differs."""
    rows = []
    for number, original in enumerate(clip):
        decoded = next(pictures, None)
        if decoded is None:
            raise UserError(f"the decoder returned {number} frames of {clip.name}, expected {clip.frames}.")
        if [plane.shape for plane in decoded] != [plane.shape for plane in original]:
            raise UserError(
                f"the decoder returned planes of {[plane.shape for plane in decoded]} for {clip.name}, expected "
                f"{clip.width}x{clip.height} in 4:2:0."
            )
        rows.append([*map(psnr, original, decoded), ms_ssim(original[0], decoded[0])])
    if next(pictures, None) is not None:
        raise UserError(f"the decoder returned more than the {clip.frames} frames of {clip.name}.")
    psnr_y, psnr_u, psnr_v, similarity = (float(value) for value in np.mean(rows, axis=0))
    fade = None
    if len(rows) >= 2 * _FADE_FRAMES:
        first, last = (np.mean(part, axis=0) for part in (rows[:_FADE_FRAMES], rows[-_FADE_FRAMES:]))
        fade = _weighted(*map(float, last[:3])) - _weighted(*map(float, first[:3]))
    return Quality(psnr_y, psnr_u, psnr_v, similarity, fade)


def _weighted(psnr_y: float, psnr_u: float, psnr_v: float) -> float:
    return (6 * psnr_y + psnr_u + psnr_v) / 8
