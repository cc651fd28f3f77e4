"""Weights in the order in which the kernels read them, in bfloat16; biases and depthwise layers stay float32."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file

from codec.nano.simd.isa import Isa
from codec.nano.simd.tensors import aligned_copy, from_bfloat16, to_bfloat16
from codec.nano.weights import WEIGHTS_PATH

Packed = NDArray[np.uint8]
LANES = 16


def pack(matrix: NDArray[np.float32], vectors: int, *, dot_product: bool) -> Packed:
    """(inputs, outputs), rounded to bfloat16, in blocks of 16 * `vectors` outputs.

    With `dot_product` as [block][inputs / 2][vectors][16][2] bfloat16; without, as
    [block][inputs / 2][second and first of the pair][vectors][16] float32.
    """
    inputs, outputs = matrix.shape
    rounded = to_bfloat16(matrix).reshape(inputs // 2, 2, outputs // (LANES * vectors), vectors, LANES)
    if dot_product:
        return aligned_copy(rounded.transpose(2, 0, 3, 4, 1))
    return aligned_copy(from_bfloat16(rounded[:, ::-1].transpose(2, 0, 1, 3, 4)))


@dataclass(frozen=True, slots=True)
class Layer:
    """A convolution. kernel: its side; inputs, outputs: channels; vectors: how it was packed."""

    weights: Packed
    bias: Packed
    inputs: int
    outputs: int
    kernel: int
    vectors: int


@dataclass(frozen=True, slots=True)
class Block:
    """A LiteBlock: its adaptor, if it has one, and the four layers around the depthwise one."""

    adaptor: Layer | None
    dc0: Layer
    depthwise: Packed
    depthwise_bias: Packed
    dc3: Layer
    ffn0: Layer
    ffn2: Layer
    channels: int
    vectors: int


class Parameters:
    """The floating-point entries of a weights file, packed on demand for one instruction set."""

    def __init__(self, entries: Mapping[str, NDArray[Any]], isa: Isa) -> None:
        self._entries = entries
        self._isa = isa

    def _get(self, name: str) -> NDArray[np.float32]:
        return self._entries[name].astype(np.float32)

    def layer(self, name: str, *, vectors: int | None = None, of_code_values: bool = False) -> Layer:
        """A convolution of any kernel. of_code_values: its input is 0..255 where the network's is 0..1."""
        return self._layer(self._get(f"{name}.weight"), self._get(f"{name}.bias"), vectors, of_code_values)

    def _layer(
        self, weight: NDArray[np.float32], bias: NDArray[np.float32], vectors: int | None, of_code_values: bool
    ) -> Layer:
        outputs, inputs, kernel, _ = weight.shape
        vectors = self._isa.vectors_for(outputs) if vectors is None else vectors
        if of_code_values:
            weight = weight / np.float32(255)
        matrix = weight.transpose(2, 3, 1, 0).reshape(kernel * kernel * inputs, outputs)
        return Layer(
            pack(matrix, vectors, dot_product=self._isa.dot_product),
            aligned_copy(bias),
            inputs,
            outputs,
            kernel,
            vectors,
        )

    def head(self, name: str) -> Layer:
        """The last layer before the picture, which has a kernel of its own."""
        return self.layer(name, vectors=self._isa.vectors[0])

    def upsampling(self, name: str) -> list[Layer]:
        """conv1x1 and pixel shuffle by 2 as four layers: phases (0, 0), (0, 1), (1, 0), (1, 1)."""
        weight, bias = self._get(f"{name}.weight"), self._get(f"{name}.bias")
        return [self._layer(weight[phase::4], bias[phase::4], None, False) for phase in range(4)]

    def block(self, name: str, *, of_code_values: bool = False) -> Block:
        """A LiteBlock. of_code_values: as in `layer`, of its adaptor."""
        depthwise = self._get(f"{name}.dc.2.weight")
        channels = len(depthwise)
        vectors = self._isa.vectors_for(channels)
        has_adaptor = f"{name}.adaptor.weight" in self._entries
        # Down the columns: tap 3 * dx + dy.
        taps = depthwise.reshape(channels, 3, 3).transpose(2, 1, 0).reshape(9, channels)
        return Block(
            adaptor=self.layer(f"{name}.adaptor", of_code_values=of_code_values) if has_adaptor else None,
            dc0=self.layer(f"{name}.dc.0", vectors=vectors),
            depthwise=aligned_copy(taps),
            depthwise_bias=aligned_copy(self._get(f"{name}.dc.2.bias")),
            dc3=self.layer(f"{name}.dc.3", vectors=vectors),
            ffn0=self.layer(f"{name}.ffn.0", vectors=vectors),
            ffn2=self.layer(f"{name}.ffn.2", vectors=vectors),
            channels=channels,
            vectors=vectors,
        )

    def table(self, name: str) -> NDArray[np.float32]:
        """Factors by QP row, (rows, channels)."""
        values = self._get(name)
        return np.ascontiguousarray(values.reshape(len(values), -1))


@cache
def shipped_entries() -> Mapping[str, NDArray[Any]]:
    """The weights file, read once a process."""
    return load_file(WEIGHTS_PATH)
