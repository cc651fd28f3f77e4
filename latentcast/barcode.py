"""Frame number and capture time as black and white cells at the bottom of the picture.

They survive lossy coding and rescaling, so that the latency of the pixels themselves can be read from what arrives on
the screen, independently of every timestamp on the way. Square cells at the bottom edge, in one of two layouts, both
in proportion to the width of the picture:

    wide    80 columns, 2 rows, cells in columns 11..68    pictures 640 wide or more
    narrow  32 columns, 4 rows, cells in columns 1..30     smaller ones, down to 128 wide

so that a cell is 8x8 pixels at 640x360 and at 256x144 alike, and lies on multiples of 8 where the picture is a whole
multiple of these. Each row begins with a white and ends with a black cell (swapped in every other row); the columns
beside it stay black. In between, row by row: frame number (32 bits), capture time (48 bits, microseconds), CRC-32 of
both, most significant bit first, exclusive-or a constant that keeps black and white in balance. Chroma is neutral.
"""

import zlib
from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

FRAME_NUMBER_BITS: Final = 32
CAPTURED_BITS: Final = 48
"""Microseconds of a monotonic clock: enough for nearly nine years of uptime."""

_CRC_BITS: Final = 32
_PAYLOAD_BITS: Final = FRAME_NUMBER_BITS + CAPTURED_BITS
_BITS: Final = _PAYLOAD_BITS + _CRC_BITS

_WHITENING: Final = int.from_bytes(bytes.fromhex("5a3c96e1d2784bb41e87c569f00f"))
"""Arbitrary, half ones, no long runs: small numbers and times would otherwise draw a black strip."""

_CRC_SEED: Final = 0x4C61
"""Start value of the CRC, so that somebody else's CRC-32 over ten bytes is not taken for ours."""

_BLACK: Final = 16
_WHITE: Final = 235
"""Luma of the cells: inside the range that limited-range displays and cameras keep, so that nothing is clipped."""

_MIN_CONTRAST: Final = 24
"""Least distance of black and white, in code values, that counts as a bar code: noise alone reaches about 10."""

_GUESSES: Final = 6
"""How many of the least certain cells may be tried both ways when the CRC fails: 64 tries against a 32-bit CRC."""


@dataclass(frozen=True, slots=True)
class BarCode:
    """What a picture says about itself."""

    frame_number: int
    """0 to 2^32 - 1."""
    captured_us: int
    """Microseconds on the clock of whoever drew it, 0 to 2^48 - 1."""


@dataclass(frozen=True, slots=True)
class Layout:
    """How the cells are arranged."""

    columns: int
    """Cells that fit across the picture."""
    rows: int

    @property
    def cells(self) -> int:
        """Cells in a row, the two fixed ones included."""
        return _BITS // self.rows + 2

    @property
    def first(self) -> int:
        """Column of a row's first cell; the columns before it, and as many after the last, stay black."""
        return (self.columns - self.cells) // 2


WIDE: Final = Layout(columns=80, rows=2)
NARROW: Final = Layout(columns=32, rows=4)
_CELL_PIXELS: Final = 8
"""The wide layout is for pictures where its cells are no smaller than the 8x8 structure of the codec."""
_MIN_CELL_PIXELS: Final = 4
"""Smallest cells that are drawn at all."""


def strip_height(*, width: int, height: int) -> int:
    """Pixel rows at the bottom that `draw` covers, 0 where a bar code does not fit (pictures less than 128 wide)."""
    layout = _layout(width, height)
    return _edge(layout, layout.rows, width) if layout else 0


def draw(planes: "NDArray[np.uint8]", *, frame_number: int, captured_us: int) -> None:
    """Draw the bar code into the working picture (uint8, (3, H, W), full-range BT.709), in place.

    Raises ValueError for a picture that `strip_height` gives 0 for, and for numbers out of their ranges.
    """
    _, height, width = planes.shape
    layout = _layout(width, height)
    if layout is None:
        raise ValueError(f"a bar code does not fit into {width}x{height}: it needs 128 columns and more")
    if not 0 <= frame_number < 1 << FRAME_NUMBER_BITS or not 0 <= captured_us < 1 << CAPTURED_BITS:
        raise ValueError(f"frame number {frame_number} or time {captured_us} us is out of range (32 and 48 bits)")
    payload = frame_number << CAPTURED_BITS | captured_us
    bits = f"{(payload << _CRC_BITS | _crc(payload)) ^ _WHITENING:0{_BITS}b}"

    edges = [_edge(layout, column, width) for column in range(layout.columns + 1)]
    first, data = layout.first, layout.cells - 2
    planes[1:, height - edges[layout.rows] :] = 128
    for row in range(layout.rows):
        cells = "01"[row % 2 == 0] + bits[row * data : (row + 1) * data] + "01"[row % 2]
        line = bytearray((_BLACK,)) * width
        for column, bit in enumerate(cells, first):
            if bit == "1":
                left, right = edges[column], edges[column + 1]
                line[left:right] = bytes((_WHITE,)) * (right - left)
        from_bottom = layout.rows - row
        planes[0, height - edges[from_bottom] : height - edges[from_bottom - 1]] = memoryview(line)


def read(luma: "NDArray[np.uint8]") -> BarCode | None:
    """Read the bar code of a picture: (H, W) luma or any grey, 8-bit, at any size it was rescaled to in its shape.

    None unless there is contrast, the fixed cells are right and the CRC holds.
    """
    height, width = luma.shape
    for layout in (WIDE, NARROW):
        if width >= 2 * layout.columns and height * layout.columns >= layout.rows * width:
            found = _read(luma, layout)
            if found:
                return found
    return None


def _read(luma: "NDArray[np.uint8]", layout: Layout) -> BarCode | None:
    height, width = luma.shape
    rows = [_cell_means(luma, layout, row, height, width) for row in range(layout.rows)]
    whites = [means[0 if row % 2 == 0 else -1] for row, means in enumerate(rows)]
    blacks = [means[-1 if row % 2 == 0 else 0] for row, means in enumerate(rows)]
    if min(whites) - max(blacks) < _MIN_CONTRAST:
        return None
    values = [value for means in rows for value in means[1:-1]]
    # The fixed cells give the first threshold, the two groups it makes the second: glare or loss of
    # contrast that spares the ends of the strip moves it where it belongs.
    threshold = (sum(whites) + sum(blacks)) / (2 * layout.rows)
    high = [v for v in values if v > threshold]
    low = [v for v in values if v <= threshold]
    if not high or not low:
        return None
    threshold = (sum(high) / len(high) + sum(low) / len(low)) / 2

    word = 0
    for value in values:
        word = word << 1 | (value > threshold)
    uncertain = sorted(range(_BITS), key=lambda i: abs(values[i] - threshold))[:_GUESSES]
    flips = [0]
    for i in uncertain:
        flips += [flip | 1 << (_BITS - 1 - i) for flip in flips]
    for flip in flips:
        payload, crc = divmod(word ^ flip ^ _WHITENING, 1 << _CRC_BITS)
        if _crc(payload) == crc:
            return BarCode(payload >> CAPTURED_BITS, payload & (1 << CAPTURED_BITS) - 1)
    return None


def _cell_means(luma: "NDArray[np.uint8]", layout: Layout, row: int, height: int, width: int) -> list[float]:
    """Mean of the inner half of every cell of a row, both ways: the edges belong to blur and rounding."""
    cell = width / layout.columns
    middle = height - (layout.rows - row - 0.5) * cell
    top = max(0, round(middle - cell / 4))
    bottom = max(top + 1, round(middle + cell / 4))
    sums = list(accumulate(luma[top:bottom].sum(axis=0, dtype="uint32").tolist(), initial=0))
    means = []
    for column in range(layout.first, layout.first + layout.cells):
        left = round((column + 0.25) * cell)
        right = max(left + 1, round((column + 0.75) * cell))
        means.append((sums[right] - sums[left]) / ((right - left) * (bottom - top)))
    return means


def _layout(width: int, height: int) -> Layout | None:
    if width >= _CELL_PIXELS * WIDE.columns:
        return WIDE
    if width >= _MIN_CELL_PIXELS * NARROW.columns and 3 * width <= 8 * height:  # at most a third of the picture
        return NARROW
    return WIDE if width >= _MIN_CELL_PIXELS * WIDE.columns else None


def _edge(layout: Layout, cells: int, width: int) -> int:
    """Pixels that so many cells take, from the left or from the bottom."""
    return round(cells * width / layout.columns)


def _crc(payload: int) -> int:
    return zlib.crc32(payload.to_bytes(_PAYLOAD_BITS // 8), _CRC_SEED)
