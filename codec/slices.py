"""Slices: runs of latent positions in raster order, each its own rANS stream that fits one packet.

Every symbol's table follows from z alone, so a slice decodes without its neighbours, and a lost slice costs its own
positions only. The cut is planned from the ideal code lengths and then checked against the bytes that came out.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from codec.rans import _TABLES, STATE_BYTES, WORST_CASE_BITS_PER_SYMBOL, SymbolTables, _decode, _encode


@dataclass(frozen=True, slots=True)
class Slice:
    """`positions` latent positions and the bytes that code them; `data` is None when the slice is missing."""

    positions: int
    data: bytes | None


@njit(
    f"int64(int8[::1],uint16[::1],int64,uint16[:,::1],{_TABLES},int64,uint8[::1],int64[:,::1])", cache=True, nogil=True
)
def _encode_slices(
    symbols: Any,
    rows: Any,
    channels: Any,
    costs: Any,
    cdf: Any,
    length: Any,
    offset: Any,
    max_bytes: Any,
    out: Any,
    cuts: Any,
) -> Any:
    """Fill `cuts` with (positions, first byte, past last byte) of each slice in `out`; returns the number of slices."""
    positions = len(symbols) // channels
    count = 0
    at = 0
    used = 0
    while at < positions:
        # 1/256 bit; the coder itself adds its state and, by its 7 spare bits of precision, under 1 %.
        budget = (max_bytes - 8) * 8 * 256 * 99 // 100
        stop = at
        spent = 0
        while stop < positions:
            cost = 0
            for i in range(stop * channels, (stop + 1) * channels):
                cost += costs[rows[i], np.int64(symbols[i]) + 128]
            if stop > at and spent + cost > budget:
                break
            spent += cost
            stop += 1
        while True:
            room = used + (stop - at) * channels * 4 + 16
            begin = _encode(
                symbols, rows, at * channels, stop * channels, cdf, length, offset, out[used:room], room - used
            )
            size = room - used - begin
            if size <= max_bytes or stop - at == 1:
                break
            # The plan was a little short: rare, and any smaller slice is right.
            stop -= max(1, (stop - at) // 16)
        for k in range(size):
            out[used + k] = out[used + begin + k]
        cuts[count, 0] = stop - at
        cuts[count, 1] = used
        cuts[count, 2] = used + size
        count += 1
        used += size
        at = stop
    return count


class SliceCoder:
    """Cuts symbols into slices and back. One instance per set of tables.

    Raises ValueError from the constructor when `max_bytes` cannot hold a single position.
    """

    def __init__(self, tables: SymbolTables, *, channels: int, max_bytes: int) -> None:
        worst = channels * WORST_CASE_BITS_PER_SYMBOL // 8 + STATE_BYTES
        if max_bytes < worst:
            raise ValueError(f"slices of {max_bytes} bytes cannot hold a position, which may take {worst}")
        self._tables = tables
        self._channels = channels
        self._max_bytes = max_bytes
        self._costs = tables.costs()
        self._out = np.empty(0, np.uint8)

    def encode(self, symbols: NDArray[np.int8], rows: NDArray[np.uint16]) -> list[Slice]:
        """symbols, rows: flat, position by position, all channels of each. Every slice is at most `max_bytes` long."""
        positions = len(symbols) // self._channels
        # The coder fills a slice from the back of a window of 4 bytes a symbol, so that is what the buffer must hold.
        if len(self._out) < 4 * len(symbols) + 16 * positions + 64:
            self._out = np.empty(4 * len(symbols) + 16 * positions + 64, np.uint8)
        cuts = np.empty((positions, 3), np.int64)
        t = self._tables
        count = _encode_slices(
            symbols, rows, self._channels, self._costs, t.cdf, t.length, t.offset, self._max_bytes, self._out, cuts
        )
        return [Slice(int(n), self._out[begin:end].tobytes()) for n, begin, end in cuts[:count]]

    def decode(self, slices: list[Slice], rows: NDArray[np.uint16]) -> tuple[NDArray[np.int8], tuple[int, ...]]:
        """Symbols (flat int8, 0 where a slice is missing or damaged) and the indexes of such slices, ascending."""
        symbols = np.zeros(len(rows), np.int8)
        t = self._tables
        at = 0
        bad = []
        for index, piece in enumerate(slices):
            first, last = at * self._channels, (at + piece.positions) * self._channels
            at += piece.positions
            status = -1
            if piece.data is not None:
                data = np.frombuffer(bytearray(piece.data), np.uint8)
                status = _decode(data, 0, len(data), rows, first, last, t.cdf, t.length, t.offset, t.guess, symbols)
            if status != 0:
                symbols[first:last] = 0
                bad.append(index)
        return symbols, tuple(bad)
