"""The scale of every latent, from z alone, in exact integers (`docs/nano.md`, "Latents").

Both ends must agree on every scale index to the last bit, on any device. So this path is integer arithmetic: all
intermediates stay below 2^53, hence integers inside float64 are exact whatever the order of summation, and the
compiler may vectorise and fuse as it likes. Weights carry 12 fraction bits, activations 8, z none.

Activations are laid out (row, column, channel): the inner loops run over output channels, and the result comes out in
the order in which slices are coded (position by position, all channels of each).
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from codec.nano import LATENT_CHANNELS

WEIGHT_BITS = 12
ACTIVATION_BITS = 8
ACTIVATION_MAX = 16.0 * 2**ACTIVATION_BITS
# index = floor((u * M + B) / 65536): the position of ln sigma between ln 0.11 and ln 16, in 127 steps.
INDEX_MULTIPLIER = 6529.0
INDEX_BIAS = 3721887.0
INDEX_MAX = 127.0

_F3 = "float64[:,:,::1]"
_F2 = "float64[:,::1]"


@njit(f"void({_F3},{_F2},float64[::1],float64,float64,float64,{_F3})", cache=True, nogil=True, fastmath={"contract"})
def _pointwise(x: Any, weight: Any, bias: Any, scale: Any, low: Any, high: Any, out: Any) -> None:
    """conv1x1, rounded right shift (`scale` = 2^-k) and clamp. weight is (inputs, outputs), inputs a multiple of 4.

    Four positions and four inputs at a time: every weight that is loaded serves four times, every sum as well.
    """
    positions = x.shape[0] * x.shape[1]
    inputs, outputs = weight.shape
    source = x.reshape(positions, inputs)
    target = out.reshape(positions, outputs)
    sums = np.empty((4, outputs))
    for p in range(0, positions, 4):
        # Beyond the last position the last one is computed again, and thrown away.
        p1, p2, p3 = min(p + 1, positions - 1), min(p + 2, positions - 1), min(p + 3, positions - 1)
        for o in range(outputs):
            sums[0, o] = bias[o]
            sums[1, o] = bias[o]
            sums[2, o] = bias[o]
            sums[3, o] = bias[o]
        for k in range(0, inputs, 4):
            a0, a1, a2, a3 = source[p, k], source[p, k + 1], source[p, k + 2], source[p, k + 3]
            b0, b1, b2, b3 = source[p1, k], source[p1, k + 1], source[p1, k + 2], source[p1, k + 3]
            c0, c1, c2, c3 = source[p2, k], source[p2, k + 1], source[p2, k + 2], source[p2, k + 3]
            d0, d1, d2, d3 = source[p3, k], source[p3, k + 1], source[p3, k + 2], source[p3, k + 3]
            for o in range(outputs):
                w0, w1, w2, w3 = weight[k, o], weight[k + 1, o], weight[k + 2, o], weight[k + 3, o]
                sums[0, o] = sums[0, o] + a0 * w0 + a1 * w1 + a2 * w2 + a3 * w3
                sums[1, o] = sums[1, o] + b0 * w0 + b1 * w1 + b2 * w2 + b3 * w3
                sums[2, o] = sums[2, o] + c0 * w0 + c1 * w1 + c2 * w2 + c3 * w3
                sums[3, o] = sums[3, o] + d0 * w0 + d1 * w1 + d2 * w2 + d3 * w3
        for i in range(min(4, positions - p)):
            for o in range(outputs):
                target[p + i, o] = min(max(np.floor(sums[i, o] * scale + 0.5), low), high)


@njit(f"void({_F3},{_F2},float64[::1],float64,{_F3})", cache=True, nogil=True, fastmath={"contract"})
def _depthwise(x: Any, weight: Any, bias: Any, scale: Any, out: Any) -> None:
    """Depthwise 3x3 with zero padding and rounded right shift. weight is (9, channels)."""
    height, width, channels = x.shape
    nothing = np.zeros(channels)
    for i in range(height):
        up, down = i > 0, i + 1 < height
        for j in range(width):
            left, right = j > 0, j + 1 < width
            x0 = x[i - 1, j - 1] if up and left else nothing
            x1 = x[i - 1, j] if up else nothing
            x2 = x[i - 1, j + 1] if up and right else nothing
            x3 = x[i, j - 1] if left else nothing
            x4 = x[i, j]
            x5 = x[i, j + 1] if right else nothing
            x6 = x[i + 1, j - 1] if down and left else nothing
            x7 = x[i + 1, j] if down else nothing
            x8 = x[i + 1, j + 1] if down and right else nothing
            for c in range(channels):
                above = x0[c] * weight[0, c] + x1[c] * weight[1, c] + x2[c] * weight[2, c]
                beside = x3[c] * weight[3, c] + x4[c] * weight[4, c] + x5[c] * weight[5, c]
                below = x6[c] * weight[6, c] + x7[c] * weight[7, c] + x8[c] * weight[8, c]
                out[i, j, c] = np.floor((bias[c] + above + beside + below) * scale + 0.5)


@njit(f"void({_F3},uint16[::1])", cache=True, nogil=True)
def _to_index(u: Any, out: Any) -> None:
    """floor((u * M + B) / 65536), clamped; one pass instead of five over temporaries."""
    flat = u.reshape(u.size)
    for i in range(flat.size):
        out[i] = np.uint16(min(max(np.floor((flat[i] * INDEX_MULTIPLIER + INDEX_BIAS) * 2.0**-16), 0.0), INDEX_MAX))


def _shuffle(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Pixel shuffle by 2: (h, w, 4c) to (2h, 2w, c)."""
    height, width, channels = x.shape
    y = x.reshape(height, width, channels // 4, 2, 2).transpose(0, 3, 1, 4, 2)
    return np.ascontiguousarray(y).reshape(2 * height, 2 * width, channels // 4)


class ScalePath:
    """The integer scale decoder of one network.

    `weights` is the weights file; `prefix` is "intra" or "inter". Raises KeyError for a file without the entries.
    """

    def __init__(self, weights: Mapping[str, NDArray[Any]], prefix: str) -> None:
        def entry(name: str) -> NDArray[np.float64]:
            return weights[f"{prefix}.scale_decoder_int.{name}"].astype(np.float64)

        def pointwise(name: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
            return np.ascontiguousarray(entry(f"{name}.weight")[:, :, 0, 0].T), entry(f"{name}.bias")

        def depthwise(name: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
            weight = entry(f"{name}.weight")
            return np.ascontiguousarray(weight.reshape(len(weight), 9).T), entry(f"{name}.bias")

        self._up1, self._up2 = pointwise("up1"), pointwise("up2")
        self._dw1, self._dw2 = depthwise("dw1"), depthwise("dw2")
        self._mix, self._out = pointwise("mix"), pointwise("out")

    def indexes(self, z_hat: NDArray[np.int8], height: int, width: int) -> NDArray[np.uint16]:
        """Table numbers of all latents.

        z_hat: int8 (32, ceil(height/4), ceil(width/4)). Returns uint16 (height * width * 64,), 0..127, positions in
        raster order and all channels of each.
        """
        x = np.ascontiguousarray(z_hat.transpose(1, 2, 0), dtype=np.float64)
        # 12 + 0 - 8 fraction bits to drop after the first layer, 12 + 8 - 8 after the others.
        x = _shuffle(self._apply(_pointwise, x, self._up1, 2.0**-4, 0.0, ACTIVATION_MAX))
        x = self._apply(_depthwise, x, self._dw1, 2.0**-12)
        x = _shuffle(self._apply(_pointwise, x, self._up2, 2.0**-12, 0.0, ACTIVATION_MAX))
        x = self._apply(_depthwise, x, self._dw2, 2.0**-12)
        # The last two layers look at one position only, so the crop may come before them.
        x = np.ascontiguousarray(x[:height, :width])
        x = self._apply(_pointwise, x, self._mix, 2.0**-12, 0.0, ACTIVATION_MAX)
        u = self._apply(_pointwise, x, self._out, 2.0**-12, -np.inf, np.inf)
        assert u.shape == (height, width, LATENT_CHANNELS)
        index = np.empty(u.size, np.uint16)
        _to_index(u, index)
        return index

    @staticmethod
    def _apply(
        layer: Any,
        x: NDArray[np.float64],
        parameters: tuple[NDArray[np.float64], NDArray[np.float64]],
        *arguments: float,
    ) -> NDArray[np.float64]:
        weight, bias = parameters
        out = np.empty((*x.shape[:2], len(bias)))
        layer(x, weight, bias, *arguments, out)
        return out
