"""What the tests of the bfloat16 kernels share: kernels of every instruction set, and the same arithmetic in numpy."""

from functools import cache

import numpy as np
import pytest
from llvmlite import binding
from numpy.typing import NDArray

from codec.nano.simd.isa import choose, features, missing
from codec.nano.simd.jit import Kernels
from codec.nano.simd.tensors import from_bfloat16, to_bfloat16

ISA_NAMES = ("AVX512_BF16", "AVX-512", "AVX2")
Floats = NDArray[np.float32]


@cache
def _kernels(name: str) -> Kernels | str:
    found = features()
    reason = missing(found)
    if reason is not None:
        return reason
    if name == "AVX2":
        return Kernels(choose({"avx2": True, "fma": True}, cpu="haswell"))
    isa = choose(found if name == "AVX512_BF16" else found | {"avx512bf16": False}, cpu=binding.get_host_cpu_name())
    return Kernels(isa) if isa.name == name else f"this processor has {isa.name}, not {name}"


def kernels_for(name: str) -> Kernels:
    """Compiled for one of ISA_NAMES; skips the test where this processor cannot run it."""
    found = _kernels(name)
    if isinstance(found, str):
        pytest.skip(found)
    return found


def best_kernels() -> Kernels:
    """The kernels of this processor."""
    for name in ISA_NAMES:
        found = _kernels(name)
        if not isinstance(found, str):
            return found
    pytest.skip(str(found))


def rounded(values: Floats) -> Floats:
    """To bfloat16 and back."""
    return from_bfloat16(to_bfloat16(values))


def product(a: Floats, weights: Floats, bias: Floats) -> Floats:
    """a (..., inputs) times weights (inputs, outputs) in the kernels' order: second of a pair first, one rounding each.

    Both must be bfloat16 values: their products are exact in float32.
    """
    sums = np.broadcast_to(bias, (*a.shape[:-1], len(bias))).copy()
    for k in range(0, a.shape[-1], 2):
        for i in (k + 1, k):
            sums += a[..., i : i + 1] * weights[i]
    return sums


def convolution(x: Floats, weight: Floats, bias: Floats, stride: int) -> Floats:
    """x (rows, columns, inputs), weight (outputs, inputs, side, side) as in a weights file; no padding."""
    side = weight.shape[2]
    rows, columns = (x.shape[0] - side) // stride + 1, (x.shape[1] - side) // stride + 1
    taps = [
        x[dy : dy + stride * rows : stride, dx : dx + stride * columns : stride]
        for dy in range(side)
        for dx in range(side)
    ]
    taps = [tap[:rows, :columns] for tap in taps]
    matrix = weight.transpose(2, 3, 1, 0).reshape(-1, len(bias))
    return product(np.concatenate(taps, axis=-1), rounded(matrix), bias)


def depthwise(x: Floats, weight: Floats, bias: Floats) -> Floats:
    """3x3, zero padding, fused multiply-adds down the columns of the kernel. weight (channels, 1, 3, 3)."""
    rows, columns, _ = x.shape
    padded = np.pad(x, ((1, 1), (1, 1), (0, 0)))
    sums = np.broadcast_to(bias, x.shape).astype(np.float32)
    for dx in range(3):
        for dy in range(3):
            # The product is exact in float64; that its sum rounds twice shows in one value of half a billion.
            exact = padded[dy : dy + rows, dx : dx + columns].astype(np.float64) * weight[:, 0, dy, dx]
            sums = (exact + sums).astype(np.float32)
    return sums


def block(entries: dict[str, Floats], name: str, x: Floats, *, shortcut: bool = False) -> Floats:
    """A LiteBlock behind its adaptor."""

    def layer(part: str, inputs: Floats) -> Floats:
        return convolution(rounded(inputs), entries[f"{name}.{part}.weight"], entries[f"{name}.{part}.bias"], 1)

    entered = np.maximum(layer("dc.0", x), np.float32(0))
    mixed = depthwise(entered, entries[f"{name}.dc.2.weight"], entries[f"{name}.dc.2.bias"])
    a = layer("dc.3", mixed) + x
    b = layer("ffn.2", np.maximum(layer("ffn.0", a), np.float32(0))) + a
    return b + x if shortcut else b
