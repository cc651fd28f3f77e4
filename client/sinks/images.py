"""Numbered PNG files: every picture that is decoded, as it is."""

import re
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from client.sinks.base import VideoFormat, need_folder, write_error
from codec.colour import ycbcr_to_rgb

_NUMBER = re.compile(r"%0?(\d*)d")


def is_numbered(name: str) -> bool:
    """Whether a file name has exactly one place for a number, such as `frame_%05d.png`."""
    return name.count("%") == 1 and _NUMBER.search(name) is not None


class ImageSink:
    """Writes `name_%05d.png`, from the first number on that no file of that name has."""

    capacity = 30

    def __init__(self, path: Path) -> None:
        """`path`: with a place for the number in its last part. UserError when the folder cannot be written to."""
        need_folder(path.parent, str(path))
        self._path = path
        self._next = _first_free(path)
        self._encoder: av.VideoCodecContext | None = None
        self._bytes = 0

    @property
    def place(self) -> str:
        """The pattern of the names."""
        return str(self._path)

    @property
    def size_bytes(self) -> int | None:
        """Bytes written."""
        return self._bytes

    def open(self, video: VideoFormat) -> None:
        """Get the coder ready."""
        encoder = av.CodecContext.create("png", "w")
        assert isinstance(encoder, av.VideoCodecContext)
        encoder.width, encoder.height, encoder.pix_fmt = video.width, video.height, "rgb24"
        encoder.time_base = Fraction(1, 25)  # asked for by every encoder; PNG has no time
        self._encoder = encoder

    def write(self, planes: NDArray[np.uint8], at_us: int) -> None:
        """One more file, whole or absent."""
        assert self._encoder is not None
        frame = av.VideoFrame.from_ndarray(ycbcr_to_rgb(planes), format="rgb24")
        data = b"".join(bytes(packet) for packet in self._encoder.encode(frame))
        path = self._path.with_name(self._path.name % self._next)
        part = path.with_name(path.name + ".part")
        try:
            part.write_bytes(data)
            part.replace(path)
        except OSError as error:
            part.unlink(missing_ok=True)
            raise write_error(str(path), error) from None
        self._next += 1
        self._bytes += len(data)

    def wait(self, now_us: int) -> None:
        """A sequence has no times: nothing to do."""

    def close(self, now_us: int) -> None:
        """Every picture is on disk already."""


def _first_free(path: Path) -> int:
    """One more than the largest number of a file with such a name; 0 where there is none."""
    before, after = _NUMBER.split(path.name)[0], _NUMBER.split(path.name)[2]
    pattern = re.compile(re.escape(before) + r"(\d+)" + re.escape(after))
    taken = [int(found[1]) for file in path.parent.iterdir() if (found := pattern.fullmatch(file.name))]
    return max(taken, default=-1) + 1
