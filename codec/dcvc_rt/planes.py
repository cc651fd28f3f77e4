"""Code values in and out of the paper's codec (section 10.1), and its PSNR (section 10.5).

The network sees 8-bit code values / 255 in the order Y, Cb, Cr, whatever matrix and range they have; chroma of 4:2:0
is repeated. *Planes* are uint8 (3, height, width) at 4:4:4; a *picture* is what the network puts out, float32
(3, height, width), 0..1. Chroma is centred on 127.5 / 255 in the RGB formulas here, as the paper's program has it; the
rest of this project centres it on code value 128.
"""

import math

import numpy as np
from numpy.typing import NDArray

from codec.colour import KB_BT709, KR_BT709

Planes = NDArray[np.uint8]
Picture = NDArray[np.float32]

_KG_BT709 = 1 - KR_BT709 - KB_BT709
# What equal planes give, as in codec.colour: means over pictures stay finite.
_HIGHEST_PSNR_DB = 100.0


def repeat_chroma(luma: Planes, chroma: Planes) -> Planes:
    """4:2:0 to planes. luma: (height, width). chroma: (2, half, half), halves rounded up."""
    height, width = luma.shape
    repeated = chroma.repeat(2, axis=1).repeat(2, axis=2)[:, :height, :width]
    return np.concatenate((luma[None], repeated))


def mean_chroma(chroma: NDArray[np.floating]) -> Picture:
    """Mean of every 2x2 block, (2, h, w) to (2, ceil(h/2), ceil(w/2)); at an odd edge of what there is."""
    _, height, width = chroma.shape
    even = np.pad(chroma, ((0, 0), (0, height % 2), (0, width % 2)), mode="edge")
    blocks = even.reshape(2, (height + 1) // 2, 2, (width + 1) // 2, 2)
    mean: Picture = blocks.mean(axis=(2, 4), dtype=np.float32)
    return mean


def to_420(picture: Picture) -> tuple[Planes, Planes]:
    """4:2:0 as the paper's program writes it: luma rounded, chroma *truncated*. (height, width), (2, half, half)."""
    luma = np.rint(picture[0] * np.float32(255)).astype(np.uint8)
    return luma, (mean_chroma(picture[1:]) * np.float32(255)).astype(np.uint8)


def to_444(picture: Picture) -> Planes:
    """All three planes rounded."""
    planes: Planes = np.rint(picture * np.float32(255)).astype(np.uint8)
    return planes


def rgb_to_planes(rgb: Planes) -> Planes:
    """(height, width, 3) to full-range BT.709, rounded."""
    red, green, blue = np.moveaxis(rgb.astype(np.float64) / 255, 2, 0)
    y = KR_BT709 * red + _KG_BT709 * green + KB_BT709 * blue
    cb = 0.5 * (blue - y) / (1 - KB_BT709) + 0.5
    cr = 0.5 * (red - y) / (1 - KR_BT709) + 0.5
    planes: Planes = np.rint(np.clip(np.stack((y, cb, cr)), 0, 1) * 255).astype(np.uint8)
    return planes


def picture_to_rgb(picture: Picture) -> Planes:
    """The inverse, from the unrounded picture, to (height, width, 3)."""
    y, cb, cr = picture[0], picture[1] - 0.5, picture[2] - 0.5
    red = y + (2 - 2 * KR_BT709) * cr
    blue = y + (2 - 2 * KB_BT709) * cb
    green = (y - KR_BT709 * red - KB_BT709 * blue) / _KG_BT709
    rgb: Planes = np.rint(np.clip(np.stack((red, green, blue), axis=2), 0, 1) * 255).astype(np.uint8)
    return rgb


def psnr(planes: Planes, picture: Picture, *, subsampled: bool) -> tuple[float, float]:
    """PSNR of Y and (6Y + U + V) / 8 of the PSNRs of the planes, in dB, against the unrounded picture.

    subsampled: `planes` were 4:2:0, so chroma is compared there.
    """
    values = picture.astype(np.float64) * 255
    if subsampled:
        chroma = mean_chroma(values[1:]), planes[1:, ::2, ::2]
    else:
        chroma = values[1:].astype(np.float32), planes[1:]
    y, u, v = (_psnr(float(np.mean((a - b) ** 2))) for a, b in ((values[0], planes[0]), *zip(*chroma, strict=True)))
    return y, (6 * y + u + v) / 8


def _psnr(mean_square: float) -> float:
    if mean_square <= 0:
        return _HIGHEST_PSNR_DB
    return min(_HIGHEST_PSNR_DB, 10 * math.log10(255**2 / mean_square))
