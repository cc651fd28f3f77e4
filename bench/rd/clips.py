"""Clips as 8-bit 4:2:0 planes, the one form in which every codec gets them and is measured.

Code values are taken as they are, limited range too: every codec then loses the same thing. A clip is spooled to a raw
planar file, so that a long one needs no memory and an external encoder can read it.

    clip = open_clip(source, folder, frames=96, size=None)
    for y, u, v in clip: ...
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import BinaryIO, TypeAlias

import av
import numpy as np
from av.video.reformatter import ColorRange, Colorspace, Interpolation, VideoReformatter
from numpy.typing import NDArray

from codec.colour import fit_rectangle
from codec.video_io import VideoReader
from latentcast.errors import UserError

FramePlanes: TypeAlias = tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.uint8]]
"""Y (height, width), Cb and Cr (height / 2, width / 2)."""

_RAW_NAME = re.compile(
    r"_(\d{2,5})x(\d{2,5})(?:_(?!4(?:00|20|22|44)(?:_|$))(\d+(?:\.\d+)?)(?:fps|hz)?(?=_|$))?", re.IGNORECASE
)
"""`Beauty_1920x1080_120fps_420_8bit_YUV`, `BQMall_832x480_60`: size and rate of the standard test sequences."""

_NOT_420_8BIT = re.compile(r"_(4(?:22|44|00)|1[0246]bits?|10le)(?=_|$)", re.IGNORECASE)

_PLANAR_420_8BIT = ("yuv420p", "yuvj420p")


@dataclass(frozen=True, slots=True)
class Clip:
    """name: unique in a run. path: the raw planar frames, Y, Cb, Cr of each in turn. notes: what was done to it."""

    name: str
    source: Path
    path: Path
    width: int
    height: int
    fps: Fraction
    frames: int
    notes: tuple[str, ...] = ()

    def __iter__(self) -> Iterator[FramePlanes]:
        """Every frame in order; the arrays are views of the file."""
        data = np.memmap(self.path, np.uint8, "r", shape=(self.frames, frame_bytes(self.width, self.height)))
        for frame in data:
            yield split_planes(frame, self.width, self.height)

    @property
    def seconds(self) -> Fraction:
        return self.frames / self.fps


def frame_bytes(width: int, height: int) -> int:
    """Bytes of one 8-bit 4:2:0 frame of even size."""
    return width * height * 3 // 2


def split_planes(frame: NDArray[np.uint8], width: int, height: int) -> FramePlanes:
    """Views of the three planes of one raw frame, a flat array of `frame_bytes`."""
    luma, chroma = width * height, width * height // 4
    half = (height // 2, width // 2)
    return (
        frame[:luma].reshape(height, width),
        frame[luma : luma + chroma].reshape(half),
        frame[luma + chroma :].reshape(half),
    )


def raw_geometry(path: Path) -> tuple[int, int, Fraction | None]:
    """Width, height and rate that the name of a raw file gives. Raises UserError where it gives no size."""
    found = _RAW_NAME.search(path.stem)
    if found is None:
        raise UserError(
            f"the name {path.name} gives no size; raw 4:2:0 files need one, and a rate, as BQMall_832x480_60.yuv has."
        )
    if other := _NOT_420_8BIT.search(path.stem):
        raise UserError(f"{path.name} says {other.group(1)}; raw files have to be 8-bit 4:2:0: convert it to y4m.")
    width, height = int(found.group(1)), int(found.group(2))
    rate = Fraction(found.group(3)).limit_denominator(1001) if found.group(3) else None
    if width % 2 or height % 2 or min(width, height) < 16 or (rate is not None and rate <= 0):
        raise UserError(f"{path.name} says {found.group()[1:]}; expected even sizes of 16 or more and a rate above 0.")
    return width, height, rate


def open_clip(
    source: Path, folder: Path, *, name: str, frames: int | None = None, size: tuple[int, int] | None = None
) -> Clip:
    """The first `frames` frames (None: all) of a video or raw file, spooled into `folder`.

    size: the largest width and height; a larger clip is shrunk with its shape kept, none is enlarged. Odd sizes lose
    their last column or row. Raises UserError.
    """
    if source.suffix.lower() == ".yuv":
        return _open_raw(source, folder, name=name, frames=frames, size=size)
    with VideoReader(source) as reader:
        pictures = (frame for _, frame in reader.frames())
        return _spool(pictures, source, folder, name=name, fps=reader.fps, frames=frames, size=size, notes=[])


def _open_raw(source: Path, folder: Path, *, name: str, frames: int | None, size: tuple[int, int] | None) -> Clip:
    width, height, rate = raw_geometry(source)
    notes = [] if rate else ["its name gives no frame rate: 30 was assumed"]
    rate = rate or Fraction(30)
    try:
        length = source.stat().st_size
    except OSError as error:
        raise UserError(f"{source} cannot be read ({error.strerror}): check the name.") from error
    number, rest = divmod(length, frame_bytes(width, height))
    if number == 0 or rest:
        raise UserError(
            f"{source} has {length} bytes, which are no whole frames of {width}x{height} (8-bit 4:2:0, "
            f"{frame_bytes(width, height)} bytes each): is the size in its name right?"
        )
    whole = Clip(name, source, source, width, height, rate, number, tuple(notes))
    if size is None and frames in (None, number):
        return whole
    pictures = (to_frame(planes) for planes in whole)
    return _spool(pictures, source, folder, name=name, fps=rate, frames=frames, size=size, notes=notes)


def _spool(
    pictures: Iterator[av.VideoFrame],
    source: Path,
    folder: Path,
    *,
    name: str,
    fps: Fraction,
    frames: int | None,
    size: tuple[int, int] | None,
    notes: list[str],
) -> Clip:
    path = folder / f"{name}.yuv"
    converter = _Converter(size)
    try:
        with path.open("wb") as file:
            count = sum(converter.write(frame, file) for frame in islice(pictures, frames))
    except OSError as error:
        raise UserError(f"{path} cannot be written ({error.strerror}): is there room for the raw frames?") from error
    if frames is not None and count < frames:
        notes = [*notes, f"has {count} frames, fewer than the {frames} asked for"]
    notes = [*notes, *converter.notes]
    return Clip(name, source, path, converter.width, converter.height, fps, count, tuple(notes))


class _Converter:
    """Frames of any format to planes of one size: that of the first, made to fit and even."""

    def __init__(self, size: tuple[int, int] | None) -> None:
        self._limit = size
        self._scaler = VideoReformatter()
        self.width = self.height = 0
        self.notes: list[str] = []

    def write(self, frame: av.VideoFrame, file: BinaryIO) -> int:
        """Append one frame; returns 1, to be counted."""
        if not self.width:
            self._settle(frame)
        if frame.format.name in _PLANAR_420_8BIT and self._even(frame) == (self.width, self.height):
            planar = frame
        else:
            planar = self._convert(frame)
        for number, plane in enumerate(planar.planes):
            half = 1 if number == 0 else 2
            rows = np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)
            file.write(np.ascontiguousarray(rows[: self.height // half, : self.width // half]).data)
        return 1

    @staticmethod
    def _even(frame: av.VideoFrame) -> tuple[int, int]:
        return frame.width & ~1, frame.height & ~1

    def _settle(self, frame: av.VideoFrame) -> None:
        own = self._even(frame)
        self.width, self.height = own
        if self._limit and (own[0] > self._limit[0] or own[1] > self._limit[1]):
            _, _, self.width, self.height = fit_rectangle(*own, *self._limit)
            self.notes.append(f"shrunk from {frame.width}x{frame.height}")
        elif own != (frame.width, frame.height):
            self.notes.append(f"cropped from {frame.width}x{frame.height} to even sizes")
        if min(self.width, self.height) < 16:
            raise UserError(f"pictures of {self.width}x{self.height} are too small to measure: expected 16x16 or more.")
        if frame.format.name not in _PLANAR_420_8BIT:
            self.notes.append(f"converted from {frame.format.name} to 8-bit 4:2:0")

    def _convert(self, frame: av.VideoFrame) -> av.VideoFrame:
        # The same labels on both sides leave the code values of YUV alone; RGB becomes full-range BT.709 by them.
        same = self._even(frame) == (self.width, self.height)
        shrinks = 2 * self.width <= frame.width and 2 * self.height <= frame.height
        return self._scaler.reformat(
            frame,
            width=self.width,
            height=self.height,
            format="yuv420p",
            src_colorspace=Colorspace.ITU709,
            dst_colorspace=Colorspace.ITU709,
            src_color_range=ColorRange.JPEG,
            dst_color_range=ColorRange.JPEG,
            interpolation=Interpolation.AREA if same or shrinks else Interpolation.BICUBIC,
            threads=1,
        )


def to_frame(planes: FramePlanes) -> av.VideoFrame:
    """A yuv420p frame that holds a copy of the planes."""
    height, width = planes[0].shape
    frame = av.VideoFrame(width, height, "yuv420p")
    for plane, values in zip(frame.planes, planes, strict=True):
        target = np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)
        target[: values.shape[0], : values.shape[1]] = values
    return frame
