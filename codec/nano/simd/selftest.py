"""Do the compiled kernels compute on this processor what they should, to the last bit?

A small network of made-up weights that uses every operation, on made-up pixels, against the hash of its result. The
hash is independent of the shipped weights; a test holds the kernels against numpy.
"""

import hashlib
import logging
from collections.abc import Iterator
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from codec.nano.simd.isa import features, missing
from codec.nano.simd.jit import Kernels, kernels
from codec.nano.simd.packing import Parameters
from codec.nano.simd.program import PATCH_CHANNELS, Outputs, Program
from codec.nano.simd.tensors import Pair, Tensor, narrow_tensor, wide_tensor

EXPECTED = "bf718e26b1e5c5c55e185214fd151182"

# An odd width leaves remainders of every tile.
ROWS, COLUMNS = 4, 14

_log = logging.getLogger(__name__)


class MadeUpWeights(dict[str, NDArray[Any]]):
    """Entries of a weights file by the names that `block` and `layer` ask for. Multiples of 1/128, the same always."""

    def __init__(self, seed: int) -> None:
        self._bits = np.random.PCG64(seed)

    def numbers(self, *shape: int, scale: float) -> NDArray[np.float32]:
        raw = self._bits.random_raw(shape) >> np.uint64(56)
        return ((raw.astype(np.float64) - 128) / 128 * scale).astype(np.float32)

    def layer(self, name: str, inputs: int, outputs: int, kernel: int = 1) -> None:
        # A power of two near 1 / sqrt(inputs), so that values neither grow nor vanish.
        scale = 2.0 ** -round(np.log2(inputs * kernel * kernel) / 2)
        self[f"{name}.weight"] = self.numbers(outputs, inputs, kernel, kernel, scale=scale)
        self[f"{name}.bias"] = self.numbers(outputs, scale=0.25)

    def block(self, name: str, inputs: int, outputs: int) -> None:
        if inputs != outputs:
            self.layer(f"{name}.adaptor", inputs, outputs)
        self.layer(f"{name}.dc.0", outputs, outputs)
        self[f"{name}.dc.2.weight"] = self.numbers(outputs, 1, 3, 3, scale=0.5)
        self[f"{name}.dc.2.bias"] = self.numbers(outputs, scale=0.25)
        self.layer(f"{name}.dc.3", outputs, outputs)
        self.layer(f"{name}.ffn.0", outputs, 2 * outputs)
        self.layer(f"{name}.ffn.2", 2 * outputs, outputs)


def result_hash(compiled: Kernels) -> str:
    """Hexadecimal digits that name what the kernels compute, to the last bit."""
    weights = MadeUpWeights(7)
    weights.block("wide", PATCH_CHANNELS, 64)
    weights.block("plain", 64, 64)
    weights.layer("down", 64, 96, 2)
    weights.block("middle", 96, 96)
    weights.layer("narrow", 96, 128)
    weights.layer("reduce", 64, 32)
    weights.block("small", 32, 32)
    weights.layer("up", 32, 4 * 64)
    weights.layer("head", 64, PATCH_CHANNELS)
    parameters = Parameters(weights, compiled.isa)
    factors = weights.numbers(2, 64, scale=1.0)
    picture = (weights.numbers(3, 8 * ROWS, 8 * COLUMNS, scale=128.0) + 128).astype(np.uint8)
    picture_out = np.zeros_like(picture)
    state = weights.numbers(ROWS // 2, COLUMNS // 2, 64, scale=1.0)
    symbols = np.zeros((ROWS // 2, COLUMNS // 2, 64), np.int8)

    p = Program(compiled)
    patches = narrow_tensor(ROWS, COLUMNS, PATCH_CHANNELS)
    pair = Pair.make(ROWS, COLUMNS, 64)
    scaled = Pair.make(ROWS, COLUMNS, 64)
    everything = Outputs(pair.wide, pair.narrow, scaled.narrow, scaled.wide, factors)
    p.patches(patches, picture="picture")
    p.adapted_block(parameters.block("wide", of_code_values=True), patches, pair, everything)
    p.block(parameters.block("plain"), scaled, everything, shortcut=True)
    half = Pair.make(ROWS // 2, COLUMNS // 2, 96)
    rows, columns = half.wide.rows, half.wide.columns
    down = parameters.layer("down")
    p.convolution(down, pair.narrow, Outputs(half.wide, half.narrow), rows=rows, columns=columns, stride=2)
    p.block(parameters.block("middle"), half, Outputs(narrow=half.narrow))
    params = wide_tensor(rows, columns, 128)
    p.convolution(parameters.layer("narrow"), half.narrow, Outputs(wide=params), rows=rows, columns=columns)
    first, latents = narrow_tensor(rows, columns, 64), narrow_tensor(rows, columns, 64)
    y = Tensor.outside(rows, columns, 64, 4)
    mean = params.channel_range(64, 64)
    p.quantise(0, y, params, mean, symbols="symbols", y_name="state")
    p.quantise(1, y, params, params, symbols="symbols", y_name="state")
    p.dequantise_first(params, first, symbols="symbols")
    p.dequantise(params, params, latents, symbols="symbols")
    z = Pair.make(rows, columns, 32)
    padded = narrow_tensor(rows, columns, 32)
    p.convolution(
        parameters.layer("reduce"), latents, Outputs(wide=z.wide, narrow=z.narrow), rows=rows, columns=columns
    )
    p.block(parameters.block("small"), z, Outputs(wide=z.wide, narrow=padded))
    p.round_z(z)
    p.pad(padded, rows - 1, columns - 2)
    p.upsampling(parameters.upsampling("up"), padded, pair.narrow)
    p.head(parameters.head("head"), pair.narrow, picture="picture_out", patches=patches)
    copied = narrow_tensor(rows, columns, 64)
    p.narrow(copied, source="state")
    p.run(
        1,
        picture=picture.ctypes.data,
        picture_out=picture_out.ctypes.data,
        state=state.ctypes.data,
        symbols=symbols.ctypes.data,
    )
    digest = hashlib.sha256()
    for array in (picture_out, symbols, *_contents(patches, pair, scaled, half, params, first, latents, z, copied)):
        digest.update(array.tobytes())
    return digest.hexdigest()[:32]


def _contents(*tensors: Tensor | Pair) -> Iterator[NDArray[np.uint8]]:
    for tensor in tensors:
        for part in (tensor.wide, tensor.narrow) if isinstance(tensor, Pair) else (tensor,):
            assert part.memory is not None
            yield part.memory


@cache
def unavailable() -> str | None:
    """Why the bfloat16 engine cannot be used in this process, in words, or None where it can.

    Compiles and checks the kernels the first time, a third of a second. A processor that has what they need and yet
    computes something else is worth a warning.
    """
    reason = missing(features())
    if reason is not None:
        return reason
    try:
        found = result_hash(kernels())
    except RuntimeError as error:
        _log.warning("the bfloat16 kernels do not compile on this machine: %s", error)
        return "the bfloat16 kernels do not compile on this machine"
    if found != EXPECTED:
        _log.warning("the bfloat16 kernels compute %s on this machine, expected %s", found, EXPECTED)
        return "the bfloat16 kernels fail their self-test on this machine"
    return None
