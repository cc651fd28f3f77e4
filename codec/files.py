"""Whole files: video -> `.lcv` -> video, with what it cost and how good it is.

Files of the paper's format are in `codec.dcvc_rt.files`; `profile_of` tells one from the other.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from codec.colour import ToPlanes, fit_rectangle, paint_border, psnr_y
from codec.container import MAGIC, FileHeader, FileReader, FileWriter
from codec.engine import FrameDecoder
from codec.layout import MAX_HEIGHT, MAX_WIDTH, MIN_HEIGHT, MIN_WIDTH, Layout
from codec.nano.weights import WEIGHTS_PATH, file_sha256
from codec.profiles import PrecisionChoice, Profile, open_codec
from codec.quality_cycle import inter_row
from codec.state import State
from codec.video_io import VideoReader, create_video
from latentcast.errors import BitstreamError, LatentcastError, UserError

Progress = Callable[..., Iterator[Any]]
"""`progress(items, total=n)` yields the items and shows how far it is."""


class Output(Protocol):
    """A file that is being written under another name."""

    def close(self) -> None: ...

    def discard(self) -> None: ...


@contextmanager
def finished(output: Output) -> Iterator[None]:
    """Give the output its name at the end, and where the source turns out damaged: what was written until then counts.

    Anything else, Ctrl-C above all, discards it: half a video must not look like a whole one.
    """
    try:
        try:
            yield
        except LatentcastError:
            output.close()
            raise
        output.close()
    except LatentcastError:
        raise
    except BaseException:
        output.discard()
        raise


def kept_sentence(target: Path, number: int, noun: str) -> str:
    """What `finished` left of a damaged file. noun: what is counted, in the singular."""
    if not number:
        return f" It holds no whole {noun} before that."
    return f" {target} holds the {number} {noun}{'s' if number > 1 else ''} before it."


@dataclass(frozen=True, slots=True)
class Summary:
    """frames; size in bytes, headers of the file included; PSNR in dB, or None when there was nothing to compare.

    psnr_yuv_db: (6Y + U + V) / 8 of the planes, of `dcvc-rt` files.
    """

    frames: int
    width: int
    height: int
    fps: Fraction
    bytes: int
    psnr_y_db: float | None
    psnr_yuv_db: float | None = None

    @property
    def bits_per_pixel(self) -> float:
        return 8 * self.bytes / max(1, self.frames * self.width * self.height)

    @property
    def bitrate_bps(self) -> float:
        return float(8 * self.bytes * self.fps / max(1, self.frames))

    def __str__(self) -> str:
        quality = "" if self.psnr_y_db is None else f", PSNR-Y {self.psnr_y_db:.2f} dB"
        if self.psnr_yuv_db is not None:
            quality += f", (6Y+U+V)/8 {self.psnr_yuv_db:.2f} dB"
        return (
            f"{self.frames} frames of {self.width}x{self.height}, {self.bytes} bytes, {self.bits_per_pixel:.4f} bit a "
            f"pixel, {self.bitrate_bps / 1e3:.0f} kbit/s at {float(self.fps):g} fps{quality}"
        )


def profile_of(path: Path) -> Literal["nano", "dcvc-rt"]:
    """Which profile a coded file is of, by its first bytes. Raises UserError when it is no coded file.

    The paper's format has no magic number, but begins with a parameter set, whose first byte is below 16.
    """
    try:
        with path.open("rb") as file:
            start = file.read(len(MAGIC))
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}); give a coded file.") from error
    if start == MAGIC:
        return "nano"
    if start and start[0] < 16:
        return "dcvc-rt"
    raise UserError(f"{path} is not a coded file; expected one made by latentcast encode.")


def coded_size(width: int, height: int) -> tuple[int, int]:
    """The size at which a picture is coded when none is asked for: its own, shrunk with its shape where too large."""
    scale = min(1.0, MAX_WIDTH / width, MAX_HEIGHT / height)
    return max(MIN_WIDTH, round(width * scale)), max(MIN_HEIGHT, round(height * scale))


def pictures(reader: VideoReader, width: int, height: int) -> Iterator[NDArray[np.uint8]]:
    """Every picture of a video, fitted into width x height and centred on black. Each is a new array."""
    convert = ToPlanes()
    if (reader.width, reader.height) == (width, height):
        rectangle = (0, 0, width, height)
    else:
        rectangle = fit_rectangle(reader.width, reader.height, width, height)
    x, y, w, h = rectangle
    for _, frame in reader.frames():
        planes = np.empty((3, height, width), np.uint8)
        paint_border(planes, rectangle)
        convert(frame, width=w, height=h, out=planes[:, y : y + h, x : x + w])
        yield planes


def encode_file(
    source: Path,
    target: Path,
    *,
    qp: int,
    size: tuple[int, int] | None = None,
    frames: int | None = None,
    threads: int = 1,
    precision: PrecisionChoice = "auto",
    progress: Progress,
) -> Summary:
    """Code a video: one intra frame, then inter frames in the quality cycle around base QP `qp` (0..63).

    precision: what the network computes in; the file names it. Every frame is decoded again, which gives the PSNR and
    proves the file. Raises UserError.
    """
    with VideoReader(source) as reader:
        width, height = size or coded_size(reader.width, reader.height)
        layout = Layout(width, height)
        codec = open_codec(Profile(precision=precision), threads=threads)
        encoder = codec.encoder(width=width, height=height)
        decoder = codec.decoder(width=width, height=height)
        header = FileHeader(layout, reader.fps, file_sha256(WEIGHTS_PATH), codec.precision)
        total = reader.frame_count if frames is None else min(frames, reader.frame_count or frames)
        coded: State | None = None
        decoded: State | None = None
        qualities = []
        with FileWriter(target, header) as writer:
            for number, planes in enumerate(progress(islice(pictures(reader, width, height), frames), total=total)):
                row = qp if coded is None else inter_row(qp, number)
                coded, frame = encoder.encode(coded, planes, qp=row, frame_id=number)
                decoded, picture = decoder.decode(decoded, frame.data, frame_id=number)
                qualities.append(psnr_y(planes, picture.planes))
                writer.write(frame.data)
    return Summary(
        len(qualities), width, height, reader.fps, target.stat().st_size, sum(qualities) / max(1, len(qualities))
    )


def decode_file(
    source: Path, target: Path, *, reference: Path | None = None, threads: int = 1, progress: Progress
) -> Summary:
    """Decode a file to video; with `reference`, the original, also measure PSNR-Y against it.

    Raises UserError; of a damaged file the frames before the damage are written.
    """
    with ExitStack() as cleanup:
        reader = cleanup.enter_context(FileReader(source))
        header = reader.header
        ours = file_sha256(WEIGHTS_PATH)
        if header.weights_sha256 != ours:
            raise UserError(
                f"{source} was coded with weights {header.weights_sha256[:12]}, this installation has {ours[:12]}; "
                f"decode it with the version of latentcast that made it."
            )
        layout = header.layout
        if header.precision == "float16":
            raise UserError(f"{source} was coded on a GPU, in float16; decode it there.")
        try:
            codec = open_codec(Profile(precision=header.precision), threads=threads)
        except UserError as error:
            raise UserError(f"{source} was coded in {header.precision}. {error}") from error
        decoder = codec.decoder(width=layout.width, height=layout.height)
        original = None if reference is None else cleanup.enter_context(VideoReader(reference))
        originals = iter(()) if original is None else pictures(original, layout.width, layout.height)
        writer = create_video(target, width=layout.width, height=layout.height, fps=header.fps)
        qualities = []
        number = 0
        try:
            with finished(writer):
                for planes in _decoded(reader, decoder, progress):
                    writer.write(planes)
                    number += 1
                    original_planes = next(originals, None)
                    if original_planes is not None:
                        qualities.append(psnr_y(original_planes, planes))
        except BitstreamError as error:
            kept = kept_sentence(target, number, "frame")
            raise UserError(f"{source} cannot be decoded at byte {error.offset}: {error}.{kept}") from error
    quality = sum(qualities) / len(qualities) if qualities else None
    return Summary(number, layout.width, layout.height, header.fps, source.stat().st_size, quality)


def _decoded(reader: FileReader, decoder: FrameDecoder, progress: Progress) -> Iterable[NDArray[np.uint8]]:
    """Pictures in order. Raises BitstreamError with the offset in the file, of the frame where it lies in a frame."""
    state: State | None = None
    for number, data in enumerate(progress(reader.frames(), total=reader.count())):
        try:
            state, frame = decoder.decode(state, data, frame_id=number)
        except BitstreamError as error:
            raise BitstreamError(f"frame {number} is damaged ({error})", offset=reader.offset) from error
        if missing := frame.slices_missing:
            slices = f"{missing} slice{'s' if missing > 1 else ''}"
            raise BitstreamError(f"frame {number} is damaged ({slices} cannot be read)", offset=reader.offset)
        yield frame.planes
