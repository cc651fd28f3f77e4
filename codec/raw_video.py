"""Uncompressed planar video as it is stored: .yuv in, .yuv and .y4m out, 4:2:0 or 4:4:4, no colour conversion.

A .yuv file is nothing but planes; its size has to be known. A writer writes `name.part` and gives it its name in
`close`: a file with the name asked for is whole.
"""

from collections.abc import Iterator
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Literal, Self

import numpy as np
from numpy.typing import NDArray

from latentcast.errors import UserError

Chroma = Literal["420", "444"]


def read_yuv420(path: Path, *, width: int, height: int) -> Iterator[tuple[NDArray[np.uint8], NDArray[np.uint8]]]:
    """Luma (height, width) and chroma (2, half, half) of every picture of an 8-bit 4:2:0 .yuv file, halves rounded up.

    Raises UserError when the file cannot be read or ends inside a picture.
    """
    half_height, half_width = (height + 1) // 2, (width + 1) // 2
    luma, chroma = width * height, 2 * half_width * half_height
    try:
        with path.open("rb") as file:
            number = 0
            while data := file.read(luma + chroma):
                if len(data) != luma + chroma:
                    raise UserError(
                        f"{path} ends inside picture {number}: it is no whole number of {width}x{height} pictures "
                        f"in 8-bit 4:2:0; give its size with --size."
                    )
                values = np.frombuffer(data, np.uint8)
                yield values[:luma].reshape(height, width), values[luma:].reshape(2, half_height, half_width)
                number += 1
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}); give an existing file.") from error


class PlanarWriter:
    """Writes the pictures of one size. As a context manager it closes on success and discards on an exception.

    path: .y4m or .yuv. full_range: what the header of a .y4m says; None says nothing. Raises UserError when the file
    cannot be written.
    """

    def __init__(
        self,
        path: Path,
        *,
        width: int,
        height: int,
        fps: Fraction,
        chroma: Chroma = "420",
        full_range: bool | None = None,
    ) -> None:
        self._path = path
        self._part = path.with_name(path.name + ".part")
        self._y4m = path.suffix.lower() == ".y4m"
        half = (2, (height + 1) // 2, (width + 1) // 2)
        self._shapes = ((height, width), half if chroma == "420" else (2, height, width))
        self._frames = 0
        self._open = True
        # The siting of chroma is unknown to the codec; 420jpeg is what "nothing known" is written as.
        tag = "C420jpeg" if chroma == "420" else "C444"
        colours = "" if full_range is None else f" XCOLORRANGE={'FULL' if full_range else 'LIMITED'}"
        rate = f"F{fps.numerator}:{fps.denominator}"
        self._header = f"YUV4MPEG2 W{width} H{height} {rate} Ip A1:1 {tag}{colours}\n".encode()
        try:
            self._file: BinaryIO = self._part.open("wb")
        except OSError as error:
            raise self._refused(error) from error

    def write(self, luma: NDArray[np.uint8], chroma: NDArray[np.uint8]) -> None:
        """luma: (height, width). chroma: (2, rows, columns), Cb and Cr."""
        if (luma.shape, chroma.shape) != self._shapes:
            raise ValueError(f"got planes of {luma.shape} and {chroma.shape}, expected {self._shapes}")
        if not self._open:
            raise UserError(f"{self._path} is closed or failed earlier; nothing more can be written to it.")
        try:
            if self._y4m:
                self._file.write(b"FRAME\n" if self._frames else self._header + b"FRAME\n")
            self._file.write(np.ascontiguousarray(luma).data)
            self._file.write(np.ascontiguousarray(chroma).data)
        except OSError as error:
            self.discard()
            raise self._refused(error) from error
        self._frames += 1

    def close(self) -> None:
        """Give the file its name. Without a picture, or after a failed write, no file is left."""
        if not self._open:
            return
        if not self._frames:
            self.discard()
            return
        try:
            self._file.close()
            self._part.replace(self._path)
            self._open = False
        except OSError as error:
            self.discard()
            raise self._refused(error) from error

    def discard(self) -> None:
        """Leave no file. After `close` nothing happens."""
        self._open = False
        with suppress(OSError):
            self._file.close()
        self._part.unlink(missing_ok=True)

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
