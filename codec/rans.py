"""Byte-wise rANS: 32-bit state, lower bound 2^23, 16-bit probabilities (`docs/bitstream.md`, "Entropy coder").

One coder serves every profile. It codes flat arrays: `symbols[i]` with the table `rows[i]` of a `SymbolTables`. A
stream starts with the 4 bytes of the final encoder state and ends where the decoder's state is back at 2^23 with every
byte used, which is a free integrity check: `decode` raises BitstreamError when it does not hold.

The loops are compiled by numba without the GIL and with explicit signatures, so that they exist before the first
frame (`python -m codec.warm` fills the on-disk cache). They never read or write out of bounds, whatever the bytes say.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from latentcast.errors import BitstreamError

PROBABILITY_BITS = 16
TOTAL = 1 << PROBABILITY_BITS
LOWER_BOUND = 1 << 23
UPPER_BOUND = 1 << 31
STATE_BYTES = 4
# Longest code of one symbol: 16 bits for the escape, then at most 3 digits of length and 5 of value, 2 bits each.
WORST_CASE_BITS_PER_SYMBOL = 16 + 2 * (3 + 5)
# Slots of the first-guess table: the top 8 bits of the 16-bit slot pick where the linear search begins.
GUESS_BITS = 8

_TABLES = "int32[:,::1],int32[::1],int32[::1]"


@dataclass(frozen=True, slots=True)
class SymbolTables:
    """Cumulative frequency tables, one a row.

    cdf: int32 (rows, width), each row ascending from 0 to 65536 over its `length` valid entries; the last symbol is
    the escape. offset: the symbol value of entry 0. guess: uint8 (rows, 256), the symbol that holds slot `k << 8`.
    """

    cdf: NDArray[np.int32]
    length: NDArray[np.int32]
    offset: NDArray[np.int32]
    guess: NDArray[np.uint8]

    @classmethod
    def build(cls, cdf: NDArray[Any], length: NDArray[Any], offset: NDArray[Any]) -> "SymbolTables":
        """Check and take over the tables of a weights file. Raises BitstreamError when they are not tables."""
        cdf = np.ascontiguousarray(cdf, dtype=np.int32)
        length = np.ascontiguousarray(length, dtype=np.int32)
        offset = np.ascontiguousarray(offset, dtype=np.int32)
        if cdf.ndim != 2 or not cdf.shape[:1] == length.shape == offset.shape != (0,):
            raise BitstreamError(
                f"probability tables of shapes {cdf.shape}, {length.shape}, {offset.shape} do not match"
            )
        rows, width = cdf.shape
        if length.min() < 3 or length.max() > min(width, 256):
            raise BitstreamError("a probability table has fewer than 2 symbols or more than 255")
        valid = np.arange(width)[None, :] < length[:, None]
        # In 64 bits: a difference that wraps around could look like a rise.
        steps = np.diff(cdf.astype(np.int64), axis=1)
        last = cdf[np.arange(rows), length - 1]
        if cdf[:, 0].any() or (last != TOTAL).any() or (steps[valid[:, 1:]] <= 0).any():
            raise BitstreamError("a probability table does not ascend from 0 to 65536")
        # Further out, an escape could take more digits than WORST_CASE_BITS_PER_SYMBOL allows for.
        if offset.min() < -128 or offset.max() > 127:
            raise BitstreamError("a probability table begins outside the signed 8-bit symbols")
        slots = np.arange(1 << GUESS_BITS, dtype=np.int64) << (PROBABILITY_BITS - GUESS_BITS)
        # Entries past a row's length must not look like symbols that begin early.
        padded = np.where(valid, cdf, TOTAL).astype(np.int64)
        flat = (padded + (np.arange(rows, dtype=np.int64) * (TOTAL + 1))[:, None]).ravel()
        wanted = (slots[None, :] + (np.arange(rows, dtype=np.int64) * (TOTAL + 1))[:, None]).ravel()
        found = np.searchsorted(flat, wanted, side="right").reshape(rows, -1) - 1
        guess = (found - np.arange(rows)[:, None] * width).astype(np.uint8)
        return cls(cdf, length, offset, np.ascontiguousarray(guess))

    def costs(self) -> NDArray[np.uint16]:
        """Ideal code length of every signed 8-bit symbol, uint16 (rows, 256) in 1/256 bit; column = symbol + 128."""
        symbols = np.arange(-128, 128)
        out = np.empty((len(self.length), 256), np.uint16)
        for row in range(len(self.length)):
            count = self.length[row] - 2
            frequency = np.diff(self.cdf[row, : self.length[row]])
            bits = PROBABILITY_BITS - np.log2(frequency)
            v = symbols - self.offset[row]
            inside = (v >= 0) & (v < count)
            raw = np.where(v < 0, -2 * v - 1, 2 * (v - count))
            digits = np.where(raw > 0, np.floor(np.log2(np.maximum(raw, 1)) / 2) + 1, 0)
            escape = bits[count] + 2 * (digits + digits // 3 + 1)
            out[row] = np.ceil(256 * np.where(inside, bits[np.clip(v, 0, count)], escape))
        return out


@njit("uint32(uint32,uint32,uint32,uint8[::1],int64[::1])", cache=True, nogil=True, inline="always")
def _put(x: Any, start: Any, frequency: Any, out: Any, at: Any) -> Any:
    """Code one interval; bytes go towards lower addresses of `out`."""
    limit = np.uint64(frequency) << np.uint64(15)
    while np.uint64(x) >= limit:
        at[0] -= 1
        out[at[0]] = np.uint8(x & np.uint32(255))
        x = np.uint32(x >> np.uint32(8))
    return np.uint32(((x // frequency) << np.uint32(16)) + (x % frequency) + start)


@njit(f"int64(int8[::1],uint16[::1],int64,int64,{_TABLES},uint8[::1],int64)", cache=True, nogil=True)
def _encode(
    symbols: Any, rows: Any, first: Any, last: Any, cdf: Any, length: Any, offset: Any, out: Any, end: Any
) -> Any:
    """Code symbols[first:last] backwards into out[:end]; returns where the stream begins, or -1 if it cannot fit."""
    at = np.empty(1, np.int64)
    at[0] = end
    x = np.uint32(LOWER_BOUND)
    digits = np.empty(16, np.uint32)
    for i in range(last - 1, first - 1, -1):
        # A symbol takes at most 4 bytes; stop while the state still fits too.
        if at[0] < 8:
            return -1
        row = rows[i]
        count = length[row] - 2
        v = np.int64(symbols[i]) - offset[row]
        if v < 0 or v >= count:
            raw = -2 * v - 1 if v < 0 else 2 * (v - count)
            n = 0
            rest = raw
            while rest > 0:
                n += 1
                rest >>= 2
            # Decoding order: n in unary base 4, then the digits; so the coder, which runs backwards, takes the reverse.
            k = 0
            run = n
            while run >= 3:
                digits[k] = np.uint32(3)
                k += 1
                run -= 3
            digits[k] = np.uint32(run)
            k += 1
            rest = raw
            for _ in range(n):
                digits[k] = np.uint32(rest & 3)
                k += 1
                rest >>= 2
            for j in range(k - 1, -1, -1):
                while x >= np.uint32(1 << 29):
                    at[0] -= 1
                    out[at[0]] = np.uint8(x & np.uint32(255))
                    x = np.uint32(x >> np.uint32(8))
                x = np.uint32((x << np.uint32(2)) + digits[j])
            v = np.int64(count)
        start = np.uint32(cdf[row, v])
        x = _put(x, start, np.uint32(cdf[row, v + 1]) - start, out, at)
    if at[0] < 4:
        return -1
    at[0] -= 4
    for k in range(4):
        out[at[0] + k] = np.uint8((x >> np.uint32(8 * k)) & np.uint32(255))
    return at[0]


@njit("int64(uint8[::1],int64,int64,int64[::1])", cache=True, nogil=True)
def _start(data: Any, begin: Any, end: Any, cursor: Any) -> Any:
    """Read the first state of data[begin:end]. cursor: (state, next byte)."""
    cursor[0], cursor[1] = 0, begin
    if end - begin < 4:
        return -1
    for k in range(4):
        cursor[0] |= np.int64(data[begin + k]) << (8 * k)
    cursor[1] = begin + 4
    # An encoder leaves no other state.
    return 0 if LOWER_BOUND <= cursor[0] < UPPER_BOUND else -1


@njit(
    f"int64(uint8[::1],int64,int64[::1],uint16[::1],int64,int64,{_TABLES},uint8[:,::1],int8[::1])",
    cache=True,
    nogil=True,
)
def _resume(
    data: Any,
    end: Any,
    cursor: Any,
    rows: Any,
    first: Any,
    last: Any,
    cdf: Any,
    length: Any,
    offset: Any,
    guess: Any,
    symbols: Any,
) -> Any:
    """Decode symbols[first:last] from where `cursor` stands in data[:end]; 0, or -1 where the stream is damaged.

    The cursor is moved on success only.
    """
    x = np.uint32(cursor[0])
    at = cursor[1]
    lower = np.uint32(LOWER_BOUND)
    for i in range(first, last):
        row = rows[i]
        slot = np.int32(x & np.uint32(65535))
        s = np.int64(guess[row, slot >> 8])
        while cdf[row, s + 1] <= slot:
            s += 1
        start = cdf[row, s]
        frequency = np.uint32(cdf[row, s + 1] - start)
        x = np.uint32(frequency * (x >> np.uint32(16)) + np.uint32(slot - start))
        while x < lower:
            if at >= end:
                return -1
            x = np.uint32((x << np.uint32(8)) | np.uint32(data[at]))
            at += 1
        count = length[row] - 2
        v: Any = s
        if s == count:
            n: Any = 0
            while True:
                digit = np.int64(x & np.uint32(3))
                x = np.uint32(x >> np.uint32(2))
                if x < lower:
                    if at >= end:
                        return -1
                    x = np.uint32((x << np.uint32(8)) | np.uint32(data[at]))
                    at += 1
                n += digit
                if digit < 3:
                    break
                # The widest symbol needs 5 digits; a longer run can only be damage.
                if n > 8:
                    return -1
            if n > 8:
                return -1
            raw: Any = np.int64(0)
            for k in range(n):
                raw |= np.int64(x & np.uint32(3)) << (2 * k)
                x = np.uint32(x >> np.uint32(2))
                if x < lower:
                    if at >= end:
                        return -1
                    x = np.uint32((x << np.uint32(8)) | np.uint32(data[at]))
                    at += 1
            # No encoder writes a leading zero: it would be a second way to say the same.
            if n > 0 and raw >> (2 * (n - 1)) == 0:
                return -1
            v = -(raw >> 1) - 1 if raw & 1 else count + (raw >> 1)
        value = v + offset[row]
        if value < -128 or value > 127:
            return -1
        symbols[i] = np.int8(value)
    cursor[0], cursor[1] = np.int64(x), at
    return 0


@njit(f"int64(uint8[::1],int64,int64,uint16[::1],int64,int64,{_TABLES},uint8[:,::1],int8[::1])", cache=True, nogil=True)
def _decode(
    data: Any,
    begin: Any,
    end: Any,
    rows: Any,
    first: Any,
    last: Any,
    cdf: Any,
    length: Any,
    offset: Any,
    guess: Any,
    symbols: Any,
) -> Any:
    """Decode symbols[first:last] from data[begin:end]; 0 when the integrity check holds, else -1."""
    cursor = np.empty(2, np.int64)
    if _start(data, begin, end, cursor) != 0:
        return -1
    if _resume(data, end, cursor, rows, first, last, cdf, length, offset, guess, symbols) != 0:
        return -1
    return 0 if cursor[0] == LOWER_BOUND and cursor[1] == end else -1


def _check_rows(rows: NDArray[np.uint16], count: int, tables: SymbolTables) -> None:
    """The compiled loops trust table numbers."""
    if len(rows) != count or (count and rows.max() >= len(tables.length)):
        raise ValueError(f"{count} symbols with {len(rows)} table numbers, of which one or more are not there")


def encode(symbols: NDArray[np.int8], rows: NDArray[np.uint16], tables: SymbolTables) -> bytes:
    """Code `symbols` (flat) with table `rows[i]` each. Any signed 8-bit value can be coded."""
    _check_rows(rows, len(symbols), tables)
    out = np.empty(len(symbols) * WORST_CASE_BITS_PER_SYMBOL // 8 + 16, np.uint8)
    begin = _encode(symbols, rows, 0, len(symbols), tables.cdf, tables.length, tables.offset, out, len(out))
    return out[begin:].tobytes()


def decode(data: bytes, rows: NDArray[np.uint16], tables: SymbolTables) -> NDArray[np.int8]:
    """The `len(rows)` symbols of a stream, int8.

    Raises BitstreamError when the stream is truncated, has surplus bytes, or does not end in the starting state.
    """
    _check_rows(rows, len(rows), tables)
    symbols = np.empty(len(rows), np.int8)
    status = _decode(
        np.frombuffer(bytearray(data), np.uint8),
        0,
        len(data),
        rows,
        0,
        len(rows),
        tables.cdf,
        tables.length,
        tables.offset,
        tables.guess,
        symbols,
    )
    if status != 0:
        raise BitstreamError(f"an entropy-coded stream of {len(data)} bytes is damaged: its final state does not check")
    return symbols


class StreamDecoder:
    """One stream whose symbols are asked for piece by piece, where later tables depend on earlier symbols.

    Raises BitstreamError, with the byte at which it stood, when the stream is damaged: from the constructor, from
    `decode`, and from `check` after the last symbol.
    """

    def __init__(self, data: NDArray[np.uint8], tables: SymbolTables) -> None:
        self._data = data
        self._tables = tables
        self._cursor = np.zeros(2, np.int64)
        if _start(data, 0, len(data), self._cursor) != 0:
            raise BitstreamError("an entropy-coded stream does not begin with a state", offset=0)

    def decode(self, rows: NDArray[np.uint16]) -> NDArray[np.int8]:
        """The next `len(rows)` symbols."""
        t = self._tables
        _check_rows(rows, len(rows), t)
        symbols = np.empty(len(rows), np.int8)
        if (
            _resume(
                self._data,
                len(self._data),
                self._cursor,
                rows,
                0,
                len(rows),
                t.cdf,
                t.length,
                t.offset,
                t.guess,
                symbols,
            )
            != 0
        ):
            raise BitstreamError("an entropy-coded stream is damaged or ends too early", offset=self.used)
        return symbols

    @property
    def used(self) -> int:
        """Bytes read so far."""
        return int(self._cursor[1])

    def check(self) -> None:
        """After the last symbol the state must be back where the encoder started."""
        if self._cursor[0] != LOWER_BOUND:
            raise BitstreamError("an entropy-coded stream does not end in its starting state", offset=self.used)
