"""The paper's file syntax (section 9): a plain run of units, parameter sets and pictures, written and read lazily.

    UnitWriter().picture(...)   bytes of one picture, with its parameter set in front where that is new
    UnitReader(file)            iterates over `PictureUnit`s and holds one at a time

The format has no count, no start codes and no limits. The reader sets limits of its own, so that nothing a file claims
is allocated before the file has the bytes to back it, and every error names the byte at which it was seen.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from codec.dcvc_rt import HYPER_CHANNELS, IMAGE_STEPS, STEP_CHANNELS, VIDEO_STEPS
from codec.layout import INTER_QP_ROWS, INTRA_QP_ROWS, FileLayout
from codec.rans import STATE_BYTES, WORST_CASE_BITS_PER_SYMBOL
from latentcast.errors import BitstreamError, UserError

PARAMETER_SET, INTRA, INTER = 0, 1, 2
"""Unit types, the high 4 bits of a unit's first byte; 3 and up are reserved."""
MAX_PARAMETER_SETS = 16
"""An id has 4 bits."""
MAX_VARLEN = (1 << 30) - 1

_USE_ADA_I, _TWO_STREAMS = 1 << 0, 1 << 2
_SHORT, _MIDDLE = 1 << 7, 1 << 14


@dataclass(frozen=True, slots=True)
class ParameterSet:
    """What a picture refers to by an id. width, height: pixels, unpadded. use_ada_i: section 8. two_streams: 7.5."""

    width: int
    height: int
    use_ada_i: bool
    two_streams: bool

    @property
    def layout(self) -> FileLayout:
        return FileLayout(self.width, self.height)


@dataclass(frozen=True, slots=True)
class PictureUnit:
    """One picture of a file.

    qp: row of the tables, 0..63 intra, 0..71 inter. offset, payload_offset: bytes from the start of the file to the
    unit and to its payload.
    """

    intra: bool
    set_id: int
    parameters: ParameterSet
    qp: int
    payload: bytes
    offset: int
    payload_offset: int


def write_varlen(value: int) -> bytes:
    """An unsigned number in 1, 2 or 4 bytes, big-endian; the top bits 0, 10 or 11 say in how many."""
    if not 0 <= value <= MAX_VARLEN:
        raise ValueError(f"{value} does not fit a number of the file format: 0..{MAX_VARLEN} do")
    if value < _SHORT:
        return value.to_bytes(1, "big")
    if value < _MIDDLE:
        return (value | 0x8000).to_bytes(2, "big")
    return (value | 0xC0000000).to_bytes(4, "big")


def largest_payload(layout: FileLayout, *, intra: bool, two_streams: bool) -> int:
    """Bytes that no payload of such a picture exceeds: every symbol at its longest code."""
    z_rows, z_columns = layout.hyper_shape
    steps = IMAGE_STEPS if intra else VIDEO_STEPS
    symbols = HYPER_CHANNELS * z_rows * z_columns + steps * STEP_CHANNELS * layout.positions
    return symbols * WORST_CASE_BITS_PER_SYMBOL // 8 + STATE_BYTES * (2 if two_streams else 1)


class UnitWriter:
    """Remembers which parameter sets are written. The bytes it returns follow each other in the file."""

    def __init__(self) -> None:
        self._ids: dict[ParameterSet, int] = {}

    def picture(self, parameters: ParameterSet, *, intra: bool, qp: int, payload: bytes) -> bytes:
        """qp: as in `PictureUnit`. Raises UserError where a 17th combination of parameters is needed."""
        parts = []
        if parameters not in self._ids:
            if len(self._ids) == MAX_PARAMETER_SETS:
                raise UserError(
                    f"a file has room for {MAX_PARAMETER_SETS} combinations of size and flags, and this picture of "
                    f"{parameters.width}x{parameters.height} needs another; start a new file."
                )
            number = len(self._ids)
            self._ids[parameters] = number
            flags = _USE_ADA_I * parameters.use_ada_i | _TWO_STREAMS * parameters.two_streams
            parts += [bytes([PARAMETER_SET << 4 | number]), write_varlen(parameters.height)]
            parts += [write_varlen(parameters.width), bytes([flags])]
        kind = INTRA if intra else INTER
        parts += [bytes([kind << 4 | self._ids[parameters], qp]), write_varlen(len(payload)), payload]
        return b"".join(parts)


class UnitReader:
    """Pictures of a file in order, each read when it is asked for.

    file: open for reading bytes, seekable. Raises BitstreamError, with `offset` from the start of the file, for
    anything the format does not allow, sizes beyond `FileLayout`, an inter picture without an intra one or of another
    size than the picture before it, and a payload that goes past the end of the file or is longer than its symbols
    can be.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._size = file.seek(0, 2)
        self._at = file.seek(0)
        self._sets: dict[int, ParameterSet] = {}
        self._reference: ParameterSet | None = None

    def __iter__(self) -> Iterator[PictureUnit]:
        pending = False
        while self._at < self._size:
            offset = self._at
            kind, number = divmod(self._byte("the type of a unit"), 16)
            if kind == PARAMETER_SET:
                self._sets[number] = self._parameter_set()
                pending = True
            elif kind in (INTRA, INTER):
                yield self._picture(offset, number, intra=kind == INTRA)
                pending = False
            else:
                raise BitstreamError(f"a unit of the reserved type {kind}", offset=offset)
        if pending or self._reference is None:
            what = "ends after a parameter set" if pending else "holds no picture"
            raise BitstreamError(f"the file {what}; a picture was expected", offset=self._at)

    def count(self) -> int:
        """Pictures in the file, found by skipping from length to length; of a damaged file, those before the damage."""
        at, number = self._at, 0
        try:
            while self._at < self._size:
                kind = self._byte("a unit") >> 4
                if kind == PARAMETER_SET:
                    self._parameter_set()
                    continue
                if kind not in (INTRA, INTER):
                    break
                self._byte("a QP")
                length = self._varlen("a length")
                if length > self._size - self._at:
                    break
                self._seek(self._at + length)
                number += 1
        except BitstreamError:
            pass
        self._seek(at)
        return number

    def _parameter_set(self) -> ParameterSet:
        start = self._at
        height = self._varlen("a height")
        width = self._varlen("a width")
        if not FileLayout.allows(width, height):
            widest, highest = FileLayout.largest
            raise BitstreamError(
                f"pictures of {width}x{height}; sizes up to {widest}x{highest} can be decoded", offset=start
            )
        offset = self._at
        flags = self._byte("the flags of a parameter set")
        if flags & ~(_USE_ADA_I | _TWO_STREAMS):
            raise BitstreamError(f"a parameter set with the unknown flags {flags:#04x}", offset=offset)
        return ParameterSet(width, height, bool(flags & _USE_ADA_I), bool(flags & _TWO_STREAMS))

    def _picture(self, offset: int, number: int, *, intra: bool) -> PictureUnit:
        parameters = self._sets.get(number)
        if parameters is None:
            raise BitstreamError(f"a picture of parameter set {number}, which was not sent", offset=offset)
        reference = self._reference
        if not intra:
            if reference is None:
                raise BitstreamError("an inter picture before any intra picture", offset=offset)
            if (reference.width, reference.height) != (parameters.width, parameters.height):
                raise BitstreamError(
                    f"an inter picture of {parameters.width}x{parameters.height} on a reference of "
                    f"{reference.width}x{reference.height}",
                    offset=offset,
                )
        qp = self._byte("a QP")
        rows = INTRA_QP_ROWS if intra else INTER_QP_ROWS
        if qp >= rows:
            kind = "intra" if intra else "inter"
            raise BitstreamError(f"an {kind} picture of QP {qp}; 0..{rows - 1} exist", offset=offset + 1)
        at = self._at
        length = self._varlen("a payload length")
        left = self._size - self._at
        if length > left:
            raise BitstreamError(f"a payload of {length} bytes where the file has {left} left", offset=at)
        longest = largest_payload(parameters.layout, intra=intra, two_streams=parameters.two_streams)
        if length > longest:
            raise BitstreamError(
                f"a payload of {length} bytes; a picture of {parameters.width}x{parameters.height} takes at most "
                f"{longest}",
                offset=at,
            )
        payload_offset = self._at
        payload = self._take(length, "a payload")
        self._reference = parameters
        return PictureUnit(intra, number, parameters, qp, payload, offset, payload_offset)

    def _byte(self, what: str) -> int:
        return self._take(1, what)[0]

    def _varlen(self, what: str) -> int:
        first = self._byte(what)
        if first < 0x80:
            return first
        if first < 0xC0:
            return (first & 0x3F) << 8 | self._byte(what)
        return (first & 0x3F) << 24 | int.from_bytes(self._take(3, what), "big")

    def _take(self, count: int, what: str) -> bytes:
        data = self._file.read(count)
        self._at += len(data)
        if len(data) != count:
            raise BitstreamError(f"the file ends inside {what}", offset=self._at)
        return data

    def _seek(self, position: int) -> None:
        self._at = self._file.seek(position)
