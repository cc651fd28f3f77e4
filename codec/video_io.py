"""Video files in and out: whatever FFmpeg opens to frames with times, the working picture to y4m, mp4 or PNG.

    VideoReader(path)    .width .height .fps .frame_count    frames() -> (seconds from the first frame, av.VideoFrame)
    create_video(path)   VideoWriter: write(planes) ... close() or discard()

A writer of one file writes `name.part` and gives it its name in `close`: a file with the name asked for is whole.
"""

import os
import re
from abc import ABC, abstractmethod
from collections.abc import Generator, Iterator
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Protocol, Self

import av
import numpy as np
from numpy.typing import NDArray

from codec.colour import ycbcr_to_rgb
from codec.h264 import H264Track
from latentcast.errors import UserError

_FALLBACK_FPS = Fraction(30)
"""For files that name no usable rate (still pictures, some MJPEG): the rate most cameras and screens record at."""

_FPS_RANGE = (Fraction(1, 10), Fraction(480))
"""A rate outside this range is a mistake in the file: time bases of 1/1000 and 1/90000 show up as rates."""

_MAX_BAD_PACKETS = 50
"""Undecodable packets in a row before a file counts as unreadable: about two seconds, and one or two are normal."""

_DECODE_THREADS = 2
"""Enough for 1080p60 H.264, and leaves the other cores to the network."""

_MP4_CRF = "12"
"""libx264 constant rate factor: below about 14 its loss is invisible beside that of the codec being recorded."""

_Y4M_MATRIX = "XCOLORMATRIX=BT709"
"""y4m has no field for the matrix, and readers would take a small picture for BT.601. An X field is a comment to
everybody else; `VideoReader` honours it."""

_AVCOL_BT709 = 1
"""BT.709 as matrix, primaries and transfer function: ITU-T H.273 tables 2 to 4 give it the same number."""


class VideoReader:
    """One video stream of a file, decoded in order.

    Opens the file and decodes the first frame at once, so that an unusable file is known here. Every property is
    read then: PyAV streams must not be touched after their container is closed. Raises UserError for a missing,
    unreadable or pictureless file. FFmpeg's own log stays silent.
    """

    width: int
    """Pixels across when shown: square pixels, after the rotation recorded in the file (which `ToPlanes` applies)."""
    height: int
    """Pixels down when shown."""
    fps: Fraction
    """Nominal frame rate; 30 when the file names none that makes sense."""
    start_s: float
    """Time of the first frame in the file, on which its sound is timed as well."""
    has_audio: bool
    """Whether there is sound beside the pictures."""
    frame_count: int | None
    """Number of frames by the file's own account, None when it does not say."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        if self.path.is_dir():
            raise UserError(f"{path} is a folder, expected a video file: name pictures as {path}/%05d.png")
        if "%" not in self.path.name and not self.path.exists():
            raise UserError(f"there is no file {path}: check the name")
        try:
            self._container = av.open(os.fspath(self.path))
        except (av.FFmpegError, OSError) as error:
            raise UserError(f"{path} cannot be opened as video ({_reason(error)}): is it a video file?") from None
        try:
            self._open_stream()
        except BaseException:
            self._container.close()
            raise

    def _open_stream(self) -> None:
        stream = self._container.streams.best("video")
        if not isinstance(stream, av.VideoStream):
            raise UserError(f"{self.path} has no video stream: expected a file with pictures")
        stream.thread_type = "AUTO"
        stream.codec_context.thread_count = _DECODE_THREADS
        rate = stream.guessed_rate or stream.average_rate
        self.fps = Fraction(rate) if rate and _FPS_RANGE[0] <= rate <= _FPS_RANGE[1] else _FALLBACK_FPS
        self.frame_count = stream.frames or None
        self.has_audio = bool(self._container.streams.audio)
        self._bt709 = _y4m_says_bt709(self.path)
        self._decoded = self._decode(stream)
        try:
            self._first: av.VideoFrame | None = next(self._decoded)
        except StopIteration:
            raise UserError(f"{self.path} holds no frame that can be decoded: is it complete?") from None
        self.start_s = 0.0 if self._first.pts is None else self._first.time
        aspect = stream.sample_aspect_ratio or Fraction(1)
        self.width, self.height = max(1, round(self._first.width * aspect)), self._first.height
        if round(self._first.rotation / 90) % 2:
            self.width, self.height = self.height, self.width

    def frames(self) -> Iterator[tuple[float, av.VideoFrame]]:
        """Yield (seconds since the first frame, frame), times strictly rising, once through the file.

        A frame without a usable time follows the one before by 1 / fps. Single undecodable packets are skipped;
        raises UserError when the file stops being readable.
        """
        interval = float(1 / self.fps)
        frame, self._first = self._first, None
        if frame is None:
            return
        seconds = 0.0
        yield seconds, frame
        for frame in self._decoded:
            since_start = seconds if frame.pts is None else frame.time - self.start_s
            seconds = since_start if since_start > seconds else seconds + interval
            yield seconds, frame

    def close(self) -> None:
        """Close the file. Frames already taken stay valid."""
        self._decoded.close()
        self._first = None
        self._container.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _decode(self, stream: av.VideoStream) -> Generator[av.VideoFrame, None, None]:
        bad = 0
        packets = self._container.demux(stream)
        while True:
            try:
                packet = next(packets)
            except StopIteration:
                return
            except (av.FFmpegError, OSError) as error:
                raise UserError(f"{self.path} stopped being readable ({_reason(error)}): is it complete?") from None
            try:
                frames = packet.decode()
            except av.FFmpegError as error:
                bad += 1
                if bad > _MAX_BAD_PACKETS:
                    raise UserError(f"{self.path} cannot be decoded ({_reason(error)}): is it damaged?") from None
                continue
            for frame in frames:
                bad = 0
                if self._bt709:
                    frame.colorspace = _AVCOL_BT709
                yield frame


class VideoWriter(Protocol):
    """Takes the frames of one video. Writing and closing raise UserError when the disk or the encoder refuses."""

    def write(self, planes: NDArray[np.uint8]) -> None:
        """Append one working picture, uint8 (3, H, W), of the size the writer was made for."""
        ...

    def close(self) -> None:
        """Finish the file and give it its name. Without a frame, or after a failed write, no file is left."""
        ...

    def discard(self) -> None:
        """Leave no file; of numbered pictures, those already whole stay. After `close` nothing happens."""
        ...


def create_video(path: str | Path, *, width: int, height: int, fps: Fraction) -> VideoWriter:
    """Open a video for writing; what is written follows from the name.

    * `name.y4m`: 4:4:4, full range, every code value as it is;
    * `name.mp4`: H.264 4:2:0, limited-range BT.709, labelled, constant quality (visually lossless); an odd last column
      or row is doubled, since 4:2:0 has even sizes;
    * `name_%05d.png`, or a folder: RGB pictures, numbered from 0.

    Raises UserError for another suffix or a place that cannot be written to.
    """
    path = Path(path)
    if min(width, height) < 1 or fps <= 0:
        raise ValueError(f"cannot write {width}x{height} at {fps} fps: all have to be positive")
    suffix = path.suffix.lower()
    try:
        if suffix == ".y4m":
            return _Y4mWriter(path, width=width, height=height, fps=fps)
        if suffix == ".mp4":
            return _Mp4Writer(path, width=width, height=height, fps=fps)
        if suffix == ".png" and re.fullmatch(r"[^%]*%0?\d*d[^%]*", path.name):
            return _PngWriter(path, width=width, height=height)
        if path.is_dir() or not suffix:
            path.mkdir(parents=True, exist_ok=True)
            return _PngWriter(path / "%05d.png", width=width, height=height)
    except (av.FFmpegError, OSError, ValueError) as error:
        raise _write_error(path, error) from None
    raise UserError(f"cannot tell what to write from the name {path}: expected .y4m, .mp4, name_%05d.png or a folder")


class _Writer(ABC):
    """The life of an output: open, broken after the first failure, closed."""

    def __init__(self, path: Path, *, width: int, height: int) -> None:
        self._path = path
        self._shape = (3, height, width)
        self._frames = 0
        self._open = True

    def write(self, planes: NDArray[np.uint8]) -> None:
        if planes.shape != self._shape or planes.dtype != np.uint8:
            raise ValueError(f"got a {planes.dtype} {planes.shape} picture, expected uint8 {self._shape}")
        if not self._open:
            raise UserError(f"{self._path} is closed or failed earlier: nothing more can be written to it")
        try:
            self._write(planes)
        except (av.FFmpegError, OSError) as error:
            self._open = False
            self._discard()
            raise _write_error(self._path, error) from None
        self._frames += 1

    def close(self) -> None:
        if not self._open:
            return
        self._open = False
        try:
            if self._frames:
                self._finish()
        except (av.FFmpegError, OSError) as error:
            self._discard()
            raise _write_error(self._path, error) from None
        if not self._frames:
            self._discard()

    def discard(self) -> None:
        self._open = False
        self._discard()

    @abstractmethod
    def _write(self, planes: NDArray[np.uint8]) -> None: ...

    @abstractmethod
    def _finish(self) -> None: ...

    @abstractmethod
    def _discard(self) -> None: ...


class _Y4mWriter(_Writer):
    """YUV4MPEG2: one header line, then FRAME and the planes, as mjpegtools' yuv4mpeg(5) has it."""

    def __init__(self, path: Path, *, width: int, height: int, fps: Fraction) -> None:
        super().__init__(path, width=width, height=height)
        self._part = _part(path)
        self._file: BinaryIO = open(self._part, "wb")  # noqa: SIM115 - closed in _finish or _discard
        rate = f"F{fps.numerator}:{fps.denominator}"
        self._header = f"YUV4MPEG2 W{width} H{height} {rate} Ip A1:1 C444 XCOLORRANGE=FULL {_Y4M_MATRIX}\n".encode()

    def _write(self, planes: NDArray[np.uint8]) -> None:
        if not self._frames:
            self._file.write(self._header)
        self._file.write(b"FRAME\n")
        self._file.write(np.ascontiguousarray(planes).data)

    def _finish(self) -> None:
        self._file.close()
        self._part.replace(self._path)

    def _discard(self) -> None:
        with suppress(OSError):
            self._file.close()
        self._part.unlink(missing_ok=True)


class _Mp4Writer(_Writer):
    """H.264 in MP4, with the preset that keeps up with a live picture."""

    def __init__(self, path: Path, *, width: int, height: int, fps: Fraction) -> None:
        super().__init__(path, width=width, height=height)
        av.Codec("libx264", "w")  # raises where FFmpeg was built without it, before a file is made
        self._part = _part(path)
        self._part.open("wb").close()  # FFmpeg opens it with the first frame: a bad place should be known now
        self._container = av.open(os.fspath(self._part), "w", format="mp4")
        options = {"crf": _MP4_CRF, "preset": "veryfast"}
        self._track = H264Track(
            self._container, width=width, height=height, rate=fps, time_base=1 / fps, options=options
        )

    def _write(self, planes: NDArray[np.uint8]) -> None:
        self._track.mux(self._track.frame(planes), self._frames)

    def _finish(self) -> None:
        self._track.mux(None)
        self._container.close()
        self._part.replace(self._path)

    def _discard(self) -> None:
        with suppress(av.FFmpegError, OSError):
            self._container.close()
        self._part.unlink(missing_ok=True)


class _PngWriter(_Writer):
    """Numbered RGB pictures, each whole or absent."""

    def __init__(self, path: Path, *, width: int, height: int) -> None:
        super().__init__(path, width=width, height=height)
        self._encoder = av.CodecContext.create("png", "w")
        self._encoder.width, self._encoder.height, self._encoder.pix_fmt = width, height, "rgb24"
        self._encoder.time_base = Fraction(1, 25)  # asked for by every encoder; PNG has no time

    def _write(self, planes: NDArray[np.uint8]) -> None:
        frame = av.VideoFrame.from_ndarray(ycbcr_to_rgb(planes), format="rgb24")
        path = Path(str(self._path) % self._frames)
        part = _part(path)
        try:
            part.write_bytes(b"".join(bytes(packet) for packet in self._encoder.encode(frame)))
            part.replace(path)
        except BaseException:
            part.unlink(missing_ok=True)
            raise

    def _finish(self) -> None:
        """Every picture is on disk already."""

    def _discard(self) -> None:
        """Pictures written before a failure are whole and stay."""


def _part(path: Path) -> Path:
    return path.with_name(path.name + ".part")


def _reason(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or error).lower()


def _write_error(path: Path, error: Exception) -> UserError:
    return UserError(f"cannot write {path} ({_reason(error)}): check the folder and the space left")


def _y4m_says_bt709(path: Path) -> bool:
    if path.suffix.lower() != ".y4m":
        return False
    with open(path, "rb") as file:
        return _Y4M_MATRIX.encode() in file.readline(1024).split()
