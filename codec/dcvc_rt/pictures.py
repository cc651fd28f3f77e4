"""Video files to the planes that are coded, and decoded pictures to video files, as section 10.1 wants both.

In: 4:2:0 video of 8 bits goes through untouched, whatever its matrix and range, which is what makes coded files equal
to those of the paper's program. Other YUV keeps its matrix and range too and is only brought to 8 bits and, where it
has more chroma than 4:2:0, coded at 4:4:4. RGB becomes full-range BT.709.

Out: .y4m and .yuv hold the code values as they are. .mp4 and PNG need to know what they mean, and the format does not
say: .mp4 takes them for limited range (as video is), PNG for full-range BT.709 (as the paper's program does), unless
told.
"""

import re
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Protocol

import av
import numpy as np
from av.video.reformatter import ColorRange, Colorspace, Interpolation, VideoReformatter

from codec.colour import ToPlanes, fit_rectangle, planes_to_frame, ycbcr_to_rgb
from codec.dcvc_rt.planes import Picture, Planes, picture_to_rgb, repeat_chroma, rgb_to_planes, to_420, to_444
from codec.raw_video import Chroma, PlanarWriter, read_yuv420
from codec.video_io import VideoReader, create_video
from latentcast.errors import UserError

DEFAULT_FPS = Fraction(30)
"""Of files that name no rate: the paper's format and .yuv."""

_UNSPECIFIED_MATRIX = 2  # ITU-T H.273 table 4


@dataclass(frozen=True, slots=True)
class SourcePicture:
    """planes: uint8 (3, height, width). subsampled: chroma came as 4:2:0 and is repeated."""

    planes: Planes
    subsampled: bool


class Source(AbstractContextManager["Source"]):
    """The pictures of a video file at the size at which they are coded: `width`, `height`, `fps`, `count` (or None).

    size: None for the stored size, pixels as they are, square or not. Another size scales, with the shape kept on
    black. A .yuv file (8-bit 4:2:0) needs it, and it is then the size of the file. Raises UserError.
    """

    def __init__(self, path: Path, *, size: tuple[int, int] | None = None) -> None:
        self._path = path
        self._reader: VideoReader | None = None
        if path.suffix.lower() == ".yuv":
            if size is None:
                raise UserError(f"{path} does not say how large its pictures are; give their size with --size.")
            self.width, self.height = size
            self.fps = DEFAULT_FPS
            try:
                picture_bytes = self.width * self.height + 2 * ((self.width + 1) // 2) * ((self.height + 1) // 2)
                self.count: int | None = path.stat().st_size // max(1, picture_bytes)
            except OSError as error:
                raise UserError(f"{path} cannot be read ({error.strerror}); give an existing file.") from error
            return
        self._reader = VideoReader(path)
        # Display size but for stretched pixels: the codec leaves pixels as they are.
        self._frames = self._reader.frames()
        _, self._first = next(self._frames)
        stored = self._first.width, self._first.height
        if round(self._first.rotation / 90) % 2:
            stored = stored[1], stored[0]
        self.width, self.height = size or stored
        self.fps, self.count = self._reader.fps, self._reader.frame_count

    def pictures(self) -> Iterator[SourcePicture]:
        """All pictures in order, once."""
        if self._reader is None:
            for luma, chroma in read_yuv420(self._path, width=self.width, height=self.height):
                yield SourcePicture(repeat_chroma(luma, chroma), subsampled=True)
            return
        convert = _ToCodeValues(self.width, self.height)
        yield convert(self._first)
        for _, frame in self._frames:
            yield convert(frame)

    def close(self) -> None:
        if self._reader is not None:
            self._reader.close()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class _ToCodeValues:
    """Frames to planes of one size. Keeps the scaler."""

    def __init__(self, width: int, height: int) -> None:
        self._width, self._height = width, height
        self._scaler = VideoReformatter()

    def __call__(self, frame: av.VideoFrame) -> SourcePicture:
        quarter_turns = round(frame.rotation / 90) % 4
        width, height = self._width, self._height
        if quarter_turns % 2:
            width, height = height, width
        picture = self._upright(frame, width, height)
        if not quarter_turns:
            return picture
        return SourcePicture(np.ascontiguousarray(np.rot90(picture.planes, quarter_turns, axes=(1, 2))), False)

    def _upright(self, frame: av.VideoFrame, width: int, height: int) -> SourcePicture:
        name = frame.format.name
        rgb = frame.format.is_rgb or frame.format.has_palette or name.startswith(("bayer", "mono"))
        # Grey has no chroma to speak of: it counts as 4:4:4, with neutral planes.
        subsampled = not rgb and frame.format.chroma_width(16) == frame.format.chroma_height(16) == 8
        black = 0 if rgb or _is_full_range(frame) else 16
        wanted = "rgb24" if rgb else "yuv420p" if subsampled else "yuv444p"
        if (frame.width, frame.height) == (width, height):
            x, y, w, h = 0, 0, width, height
        else:
            x, y, w, h = fit_rectangle(frame.width, frame.height, width, height)
        if (name.replace("yuvj", "yuv"), frame.width, frame.height) != (wanted, w, h):
            frame = self._scaler.reformat(
                frame,
                width=w,
                height=h,
                format=wanted,
                # The same on both sides, so that swscale leaves the colours alone.
                src_colorspace=Colorspace.ITU709,
                dst_colorspace=Colorspace.ITU709,
                src_color_range=ColorRange.JPEG,
                dst_color_range=ColorRange.JPEG,
                interpolation=Interpolation.BICUBIC,
                threads=1,
            )
        if rgb:
            planes = rgb_to_planes(frame.to_ndarray().astype(np.uint8, copy=False))
        else:
            luma, *chroma = _views(frame)
            planes = repeat_chroma(luma, np.stack(chroma)) if subsampled else np.stack((luma, *chroma))
        if (w, h) == (width, height):
            return SourcePicture(planes, subsampled)
        whole = np.empty((3, height, width), np.uint8)
        whole[0] = black
        whole[1:] = 128
        whole[:, y : y + h, x : x + w] = planes
        return SourcePicture(whole, subsampled)


class PictureOutput(Protocol):
    """Takes the decoded pictures of one video. Writing and closing raise UserError when disk or encoder refuse."""

    def write(self, picture: Picture) -> None:
        """One picture before rounding, float32 (3, height, width), 0..1."""

    def close(self) -> None:
        """Finish the file and give it its name. Without a picture no file is left."""

    def discard(self) -> None:
        """Leave no file; of numbered pictures, those already whole stay. After `close` nothing happens."""


def open_output(
    path: Path, *, width: int, height: int, fps: Fraction, chroma: Chroma = "420", full_range: bool | None = None
) -> PictureOutput:
    """What is written follows from the name: .y4m, .yuv, .mp4, name_%05d.png or a folder.

    chroma: of .y4m and .yuv. full_range: of the code values, where the output depends on it; None as the module says.
    Raises UserError for another suffix or a place that cannot be written to.
    """
    suffix = path.suffix.lower()
    if suffix in (".y4m", ".yuv"):
        writer = PlanarWriter(path, width=width, height=height, fps=fps, chroma=chroma, full_range=full_range)
        return _Planar(writer, chroma)
    if suffix == ".png" and re.fullmatch(r"[^%]*%0?\d*d[^%]*", path.name):
        return _Pngs(path, width=width, height=height, full_range=full_range is not False)
    if path.is_dir() or not suffix:
        try:
            path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UserError(f"{path} cannot be written ({error.strerror}); check the folder.") from error
        return _Pngs(path / "%05d.png", width=width, height=height, full_range=full_range is not False)
    if suffix == ".mp4":
        return _Mp4(path, width=width, height=height, fps=fps, full_range=full_range is True)
    raise UserError(
        f"cannot tell what to write from the name {path}: expected .y4m, .yuv, .mp4, name_%05d.png or a folder"
    )


class _Planar:
    def __init__(self, writer: PlanarWriter, chroma: Chroma) -> None:
        self._writer, self._chroma = writer, chroma

    def write(self, picture: Picture) -> None:
        if self._chroma == "420":
            self._writer.write(*to_420(picture))
        else:
            planes = to_444(picture)
            self._writer.write(planes[0], planes[1:])

    def close(self) -> None:
        self._writer.close()

    def discard(self) -> None:
        self._writer.discard()


class _Working:
    """Decoded pictures to the working picture of `codec.colour`, full-range BT.709."""

    def __init__(self, *, full_range: bool) -> None:
        self._full_range = full_range
        self._convert = ToPlanes()

    def __call__(self, picture: Picture) -> Planes:
        planes = to_444(picture)
        if self._full_range:
            return planes
        frame = planes_to_frame(planes)
        frame.color_range = ColorRange.MPEG
        # As players do where nothing is said: BT.601 for small pictures, else BT.709.
        frame.colorspace = _UNSPECIFIED_MATRIX
        return self._convert(frame, width=planes.shape[2], height=planes.shape[1])


class _Mp4:
    def __init__(self, path: Path, *, width: int, height: int, fps: Fraction, full_range: bool) -> None:
        self._writer = create_video(path, width=width, height=height, fps=fps)
        self._working = _Working(full_range=full_range)

    def write(self, picture: Picture) -> None:
        self._writer.write(self._working(picture))

    def close(self) -> None:
        self._writer.close()

    def discard(self) -> None:
        self._writer.discard()


class _Pngs:
    """Numbered RGB pictures, each whole or absent."""

    def __init__(self, pattern: Path, *, width: int, height: int, full_range: bool) -> None:
        self._pattern = pattern
        self._working = None if full_range else _Working(full_range=False)
        self._encoder = av.CodecContext.create("png", "w")
        self._encoder.width, self._encoder.height, self._encoder.pix_fmt = width, height, "rgb24"
        self._encoder.time_base = Fraction(1, 25)  # asked for by every encoder; PNG has no time
        self._number = 0

    def write(self, picture: Picture) -> None:
        rgb = picture_to_rgb(picture) if self._working is None else ycbcr_to_rgb(self._working(picture))
        frame = av.VideoFrame.from_ndarray(rgb, format="rgb24")
        path = Path(str(self._pattern) % self._number)
        part = path.with_name(path.name + ".part")
        try:
            part.write_bytes(b"".join(bytes(packet) for packet in self._encoder.encode(frame)))
            part.replace(path)
        except OSError as error:
            raise UserError(
                f"{path} cannot be written ({error.strerror}); check the folder and the space left."
            ) from error
        finally:
            part.unlink(missing_ok=True)
        self._number += 1

    def close(self) -> None:
        """Every picture is on disk already."""

    def discard(self) -> None:
        """Pictures already written are whole and stay."""


def _is_full_range(frame: av.VideoFrame) -> bool:
    return frame.format.name.startswith("yuvj") or frame.color_range == ColorRange.JPEG


def _views(frame: av.VideoFrame) -> list[Planes]:
    """Planes of a planar 8-bit frame without the padding at the end of each row."""
    return [
        np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)[: plane.height, : plane.width]
        for plane in frame.planes
    ]
