"""The coded-file container, `.lcv` (`docs/bitstream.md`, "File"): a header, then frames with their lengths.

    0   magic          "LCVF"
    4   version        u8    1
    5   profile        u8    nano, computed in: 1 = float32, 2 = bfloat16, 3 = float16
    6   width          u16   pixels
    8   height         u16
    10  fps            u32 numerator, u32 denominator
    18  weights        32 bytes, SHA-256 of the weights file
    50  frames, each:  u32 number of bytes, then the coded frame (codec.bitstream)

The first frame is intra; every inter frame builds on the frame before it. All fields big-endian. States drift apart
between precisions, so a file is decoded in the one it was coded in.
"""

import struct
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

from codec.arithmetic import Precision
from codec.layout import MAX_HEIGHT, MAX_WIDTH, MIN_HEIGHT, MIN_WIDTH, Layout
from latentcast.errors import BitstreamError, UserError

MAGIC = b"LCVF"
VERSION = 1
PROFILES: dict[int, Precision] = {1: "float32", 2: "bfloat16", 3: "float16"}
_HEADER = struct.Struct(">4sBBHHII32s")
_LENGTH = struct.Struct(">I")
# Far more than the largest picture can take: a longer frame is damage.
MAX_FRAME_BYTES = 32 << 20


@dataclass(frozen=True, slots=True)
class FileHeader:
    """What a file says about all of its frames."""

    layout: Layout
    fps: Fraction
    weights_sha256: str
    precision: Precision = "float32"


class FileWriter:
    """Writes a file beside its final name and moves it there on `close`: an aborted run leaves no half file.

    As a context manager it closes on success and discards on an exception. Raises UserError when it cannot write.
    """

    def __init__(self, path: Path, header: FileHeader) -> None:
        self._path = path
        self._part = path.with_name(path.name + ".part")
        try:
            self._file: BinaryIO = self._part.open("wb")
        except OSError as error:
            raise self._refused(error) from error
        self._write(
            _HEADER.pack(
                MAGIC,
                VERSION,
                next(code for code, precision in PROFILES.items() if precision == header.precision),
                header.layout.width,
                header.layout.height,
                header.fps.numerator,
                header.fps.denominator,
                bytes.fromhex(header.weights_sha256),
            )
        )

    def write(self, data: bytes) -> None:
        """One coded frame."""
        self._write(_LENGTH.pack(len(data)) + data)

    def close(self) -> None:
        try:
            self._file.close()
            self._part.replace(self._path)
        except OSError as error:
            self.discard()
            raise self._refused(error) from error

    def discard(self) -> None:
        """No file is left."""
        with suppress(OSError):
            self._file.close()
        self._part.unlink(missing_ok=True)

    def _write(self, data: bytes) -> None:
        try:
            self._file.write(data)
        except OSError as error:
            raise self._refused(error) from error

    def _refused(self, error: OSError) -> UserError:
        return UserError(f"{self._path} cannot be written ({error.strerror}); check the folder and the space left.")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()
        else:
            self.discard()


class FileReader:
    """Reads a file. Raises UserError from the constructor when it is none of ours."""

    offset: int
    """Where the frame that `frames` came to last begins: the byte after its length, from the start of the file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._file: BinaryIO = path.open("rb")
        except OSError as error:
            raise UserError(
                f"{path} cannot be read ({error.strerror}); give a file made by latentcast encode."
            ) from error
        data = self._file.read(_HEADER.size)
        try:
            if len(data) < _HEADER.size or data[:4] != MAGIC:
                raise UserError(f"{path} is not a coded file; expected one made by latentcast encode.")
            _, version, profile, width, height, numerator, denominator, weights = _HEADER.unpack(data)
            if version != VERSION or profile not in PROFILES:
                raise UserError(
                    f"{path} has file version {version} and profile {profile}; this program reads version {VERSION}, "
                    f"profiles 1 to {len(PROFILES)} (nano)."
                )
            if numerator == 0 or denominator == 0:
                raise UserError(f"{path} claims a frame rate of {numerator}/{denominator}; its header is damaged.")
            if not (MIN_WIDTH <= width <= MAX_WIDTH and MIN_HEIGHT <= height <= MAX_HEIGHT):
                raise UserError(f"{path} claims pictures of {width}x{height}; its header is damaged.")
            self.header = FileHeader(
                Layout(width, height), Fraction(numerator, denominator), weights.hex(), PROFILES[profile]
            )
        except BaseException:
            self._file.close()
            raise

    def frames(self) -> Iterator[bytes]:
        """Coded frames in order. Raises BitstreamError, with the offset, for an impossible length or a cut frame."""
        number, at = 0, _HEADER.size
        while prefix := self._file.read(_LENGTH.size):
            size = _LENGTH.unpack(prefix)[0] if len(prefix) == _LENGTH.size else None
            if size is not None and not 0 < size <= MAX_FRAME_BYTES:
                raise BitstreamError(
                    f"frame {number} has a length of {size}; expected 1 to {MAX_FRAME_BYTES} bytes", offset=at
                )
            data = b"" if size is None else self._file.read(size)
            if len(data) != size:
                raise BitstreamError(f"the file ends inside frame {number}", offset=at + len(prefix) + len(data))
            self.offset = at + _LENGTH.size
            yield data
            number, at = number + 1, self.offset + size

    def count(self) -> int:
        """Whole frames before the end or the first impossible length, found by skipping from length to length."""
        at = self._file.tell()
        end = self._file.seek(0, 2)
        position, number = _HEADER.size, 0
        while position + _LENGTH.size <= end:
            self._file.seek(position)
            size = _LENGTH.unpack(self._file.read(_LENGTH.size))[0]
            if not 0 < size <= MAX_FRAME_BYTES:
                break
            position += _LENGTH.size + size
            number += position <= end
        self._file.seek(at)
        return number

    def close(self) -> None:
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
