"""A coded frame as bytes (`docs/bitstream.md`).

All fields big-endian:

    0   version        u8    1
    1   type           u8    0 intra, 1 inter
    2   QP row         u8    0..63 intra, 0..71 inter
    3   reserved       u8    0
    4   width          u16   pixels, unpadded
    6   height         u16
    8   slice count    u16   n, at least 1
    10  z bytes        u24
    13  n times: positions u16, bytes u16
    ..  z stream, then the n slices

Header, table and z stream are the *head*: needed whole. Any slice may be missing.
"""

import struct
from dataclasses import dataclass, field

from codec.layout import INTER_QP_ROWS, INTRA_QP_ROWS, MAX_HEIGHT, MAX_WIDTH, MIN_HEIGHT, MIN_WIDTH, Layout
from codec.slices import Slice
from latentcast.errors import BitstreamError

VERSION = 1
_HEADER = struct.Struct(">BBBBHHH")
_ENTRY = struct.Struct(">HH")
_Z_BYTES = 3
# What the u16 of the slice table can say.
MAX_SLICE_BYTES = 0xFFFF
TABLE_OFFSET = _HEADER.size + _Z_BYTES

Hole = tuple[int, int]


@dataclass(frozen=True, slots=True)
class CodedFrame:
    """One coded picture, ready to be packetised or written to a file.

    data: the bytes above. slice_offsets: where each slice begins in `data`; everything before the first is the head.
    """

    data: bytes
    slice_offsets: tuple[int, ...]
    intra: bool
    qp: int


@dataclass(frozen=True, slots=True)
class FrameParts:
    """A parsed frame. Missing slices have `data` None."""

    intra: bool
    qp: int
    layout: Layout
    z: bytes
    slices: list[Slice] = field(default_factory=list)

    @property
    def missing(self) -> int:
        return sum(piece.data is None for piece in self.slices)


def write_frame(*, intra: bool, qp: int, layout: Layout, z: bytes, slices: list[Slice]) -> CodedFrame:
    """Assemble a frame. The slices must be complete and cover every position."""
    assert sum(piece.positions for piece in slices) == layout.positions
    out = bytearray(_HEADER.pack(VERSION, 0 if intra else 1, qp, 0, layout.width, layout.height, len(slices)))
    out += len(z).to_bytes(_Z_BYTES, "big")
    payload = [piece.data or b"" for piece in slices]
    for piece, data in zip(slices, payload, strict=True):
        out += _ENTRY.pack(piece.positions, len(data))
    out += z
    offsets = []
    for data in payload:
        offsets.append(len(out))
        out += data
    return CodedFrame(bytes(out), tuple(offsets), intra, qp)


def read_frame(data: bytes, holes: tuple[Hole, ...] = ()) -> FrameParts:
    """Parse a frame of which the byte ranges `holes` (half open) did not arrive; `data` may also end early.

    Raises BitstreamError when the head is malformed, does not fit a codable picture, or is touched by a hole.
    """
    if len(data) < TABLE_OFFSET:
        raise BitstreamError(f"a coded frame of {len(data)} bytes is shorter than its header of {TABLE_OFFSET}")
    version, kind, qp, reserved, width, height, count = _HEADER.unpack_from(data)
    if version != VERSION:
        raise BitstreamError(f"the frame has bitstream version {version}, this program reads version {VERSION}")
    if kind > 1 or reserved != 0:
        raise BitstreamError(f"unknown frame type {kind} or reserved byte {reserved}")
    if qp >= (INTER_QP_ROWS if kind else INTRA_QP_ROWS):
        raise BitstreamError(f"QP {qp} is out of range for frame type {kind}")
    if not (MIN_WIDTH <= width <= MAX_WIDTH and MIN_HEIGHT <= height <= MAX_HEIGHT):
        raise BitstreamError(f"the frame claims a size of {width}x{height}")
    layout = Layout(width, height)
    if not 1 <= count <= layout.positions:
        raise BitstreamError(f"{count} slices for {layout.positions} latent positions")
    z_bytes = int.from_bytes(data[_HEADER.size : TABLE_OFFSET], "big")
    z_at = TABLE_OFFSET + count * _ENTRY.size
    head_bytes = z_at + z_bytes
    if head_bytes > len(data) or any(begin < head_bytes and end > 0 for begin, end in holes):
        raise BitstreamError("the head of the frame is incomplete")
    slices = []
    at = head_bytes
    positions = 0
    for i in range(count):
        run, size = _ENTRY.unpack_from(data, TABLE_OFFSET + i * _ENTRY.size)
        positions += run
        if run == 0 or positions > layout.positions:
            raise BitstreamError("the slice table does not match the picture size")
        end = at + size
        lost = end > len(data) or any(begin < end and stop > at for begin, stop in holes)
        slices.append(Slice(run, None if lost else data[at:end]))
        at = end
    if positions != layout.positions:
        raise BitstreamError(f"the slices cover {positions} of {layout.positions} latent positions")
    if len(data) > at:
        raise BitstreamError(f"{len(data) - at} surplus bytes after the last slice")
    return FrameParts(kind == 0, qp, layout, data[z_at:head_bytes], slices)
