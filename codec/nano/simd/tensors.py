"""Tensors as the kernels see them: position by position, all channels of each, with room between positions if need be.

Two of a layer's inputs that the network concatenates are two views into one tensor, so that nothing is copied.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

# A vector register, and a cache line.
ALIGNMENT = 64
NARROW_BYTES = 2
WIDE_BYTES = 4


def aligned_bytes(size: int) -> NDArray[np.uint8]:
    """Zeros that start at a multiple of ALIGNMENT."""
    raw = np.zeros(size + ALIGNMENT, np.uint8)
    start = -raw.ctypes.data % ALIGNMENT
    return raw[start : start + size]


def aligned_copy(values: NDArray[np.generic]) -> NDArray[np.uint8]:
    """The bytes of an array, at a multiple of ALIGNMENT."""
    content = np.ascontiguousarray(values)
    memory = aligned_bytes(content.nbytes)
    memory[:] = content.view(np.uint8).reshape(-1)
    return memory


def to_bfloat16(values: NDArray[np.float32]) -> NDArray[np.uint16]:
    """The bits of the nearest bfloat16, ties to even. Finite values only."""
    bits = np.ascontiguousarray(values, np.float32).view(np.uint32)
    rounded: NDArray[np.uint16] = ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16)
    return rounded


def from_bfloat16(bits: NDArray[np.uint16]) -> NDArray[np.float32]:
    """Exact."""
    return (bits.astype(np.uint32) << 16).view(np.float32)


@dataclass(frozen=True, slots=True)
class Tensor:
    """A view of memory: rows x columns positions of `channels` values of `size` bytes each.

    row, step: bytes from one row or position to the next. memory keeps what `address` points into alive; it is None
    where the address is filled in frame by frame.
    """

    memory: NDArray[np.uint8] | None
    address: int
    rows: int
    columns: int
    channels: int
    size: int
    row: int
    step: int

    @classmethod
    def make(cls, rows: int, columns: int, channels: int, size: int) -> "Tensor":
        """Zeros."""
        step = channels * size
        memory = aligned_bytes(rows * columns * step)
        return cls(memory, memory.ctypes.data, rows, columns, channels, size, columns * step, step)

    @classmethod
    def outside(cls, rows: int, columns: int, channels: int, size: int) -> "Tensor":
        """Packed memory of someone else, whose address comes with every frame."""
        step = channels * size
        return cls(None, 0, rows, columns, channels, size, columns * step, step)

    def values(self) -> NDArray[Any]:
        """The memory itself, (rows, columns, channels): float32, or the bits of bfloat16. For whole tensors only."""
        assert self.memory is not None
        kind = np.float32 if self.size == WIDE_BYTES else np.uint16
        return self.memory.view(kind).reshape(self.rows, self.columns, self.channels)

    def channel_range(self, first: int, channels: int) -> "Tensor":
        """Some channels of every position."""
        return replace(self, address=self.address + first * self.size, channels=channels)

    def crop(self, rows: int, columns: int) -> "Tensor":
        """The top left corner."""
        return replace(self, rows=rows, columns=columns)

    def inner(self) -> "Tensor":
        """Without the first row and column."""
        address = self.address + self.row + self.step
        return replace(self, address=address, rows=self.rows - 1, columns=self.columns - 1)

    def phase(self, dy: int, dx: int) -> "Tensor":
        """Every second row and column: one of the four that a pixel shuffle by 2 interleaves."""
        return replace(
            self,
            address=self.address + dy * self.row + dx * self.step,
            rows=self.rows // 2,
            columns=self.columns // 2,
            row=2 * self.row,
            step=2 * self.step,
        )


def narrow_tensor(rows: int, columns: int, channels: int) -> Tensor:
    """bfloat16."""
    return Tensor.make(rows, columns, channels, NARROW_BYTES)


def wide_tensor(rows: int, columns: int, channels: int) -> Tensor:
    """float32."""
    return Tensor.make(rows, columns, channels, WIDE_BYTES)


@dataclass(frozen=True, slots=True)
class Pair:
    """The same values twice: float32 for residuals, bfloat16 for products."""

    wide: Tensor
    narrow: Tensor

    @classmethod
    def make(cls, rows: int, columns: int, channels: int) -> "Pair":
        return cls(wide_tensor(rows, columns, channels), narrow_tensor(rows, columns, channels))
