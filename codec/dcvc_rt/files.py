"""Whole files in the paper's format: video -> file -> video, with what it cost and how good it is (sections 8 to 10).

The format says nothing of frame rate, colours, weights and skip threshold, nor with which arithmetic it was made; who
decodes has to know (`Models`, `fps`, `threads`). On a CPU both directions compute what the golden vectors were made
with, so a file is, byte for byte, what the paper's program writes there.
"""

from collections.abc import Iterable, Iterator
from contextlib import ExitStack, suppress
from fractions import Fraction
from itertools import islice
from pathlib import Path

from codec.dcvc_rt.models import Models, cpu_threads
from codec.dcvc_rt.pictures import DEFAULT_FPS, Source, SourcePicture, open_output
from codec.dcvc_rt.planes import Picture, psnr
from codec.dcvc_rt.sequence import Schedule, SequenceDecoder, SequenceEncoder, SequencePicture
from codec.dcvc_rt.units import PictureUnit, UnitReader
from codec.files import Progress, Summary, finished, kept_sentence
from codec.layout import FileLayout
from codec.raw_video import Chroma
from latentcast.errors import BitstreamError, UserError


class _Quality:
    """Mean PSNR over pictures."""

    def __init__(self) -> None:
        self._values: list[tuple[float, float]] = []

    def add(self, source: SourcePicture, picture: Picture) -> None:
        self._values.append(psnr(source.planes, picture, subsampled=source.subsampled))

    def means(self) -> tuple[float | None, float | None]:
        """Y, and (6Y + U + V) / 8."""
        if not self._values:
            return None, None
        y, yuv = (sum(values) / len(values) for values in zip(*self._values, strict=True))
        return y, yuv


def encode_file(
    source: Path,
    target: Path,
    *,
    models: Models,
    schedule: Schedule,
    size: tuple[int, int] | None = None,
    frames: int | None = None,
    two_streams: bool | None = None,
    threads: int = 1,
    verify: bool = True,
    progress: Progress,
) -> Summary:
    """Code a video (what `codec.dcvc_rt.pictures` reads). two_streams: None as the size asks for.

    verify: decode the file again before it gets its name, which gives the PSNR and proves it. Raises UserError.
    """
    part = target.with_name(target.name + ".part")
    with cpu_threads(threads):
        try:
            with Source(source, size=size) as video:
                layout = FileLayout(video.width, video.height)
                encoder = SequenceEncoder(models.encoder(), models.tables, layout, schedule, two_streams=two_streams)
                checks = _encode(video, encoder, part, frames=frames, progress=progress)
                fps = video.fps
            quality = _Quality()
            if verify:
                with Source(source, size=size) as video:
                    _verify(video, part, models, checks, quality, progress)
            written = part.stat().st_size
            part.replace(target)
        except OSError as error:
            raise UserError(
                f"{target} cannot be written ({error.strerror}); check the folder and the space left."
            ) from error
        finally:
            with suppress(OSError):
                part.unlink(missing_ok=True)
    return Summary(len(checks), layout.width, layout.height, fps, written, *quality.means())


def _encode(
    video: Source, encoder: SequenceEncoder, part: Path, *, frames: int | None, progress: Progress
) -> list[int]:
    """Write the file; the check of every picture's symbols."""
    total = video.count if frames is None else min(frames, video.count or frames)
    checks = []
    with part.open("wb") as file:
        for picture in progress(islice(video.pictures(), frames), total=total):
            file.write(encoder.encode(picture.planes))
            checks.append(encoder.check)
    if not checks:
        raise UserError("the video holds no picture; expected at least one.")
    return checks


def _verify(
    video: Source, part: Path, models: Models, checks: list[int], quality: _Quality, progress: Progress
) -> None:
    with part.open("rb") as file:
        decoder = SequenceDecoder(models.decoder(), models.tables)
        decoded = progress(decoder.pictures(UnitReader(file)), total=len(checks))
        number = 0
        try:
            for picture, original, check in zip(decoded, video.pictures(), checks, strict=False):
                if picture.check != check:
                    raise BitstreamError(f"picture {number}: its symbols are read as others than were written")
                quality.add(original, picture.picture)
                number += 1
            if number != len(checks):
                raise BitstreamError(f"{number} of {len(checks)} pictures are read")
        except BitstreamError as error:
            raise UserError(
                f"the file does not decode on this machine, whose arithmetic is not the same twice ({error}); encode "
                f"on the CPU with --threads 1."
            ) from error


def decode_file(
    source: Path,
    target: Path,
    *,
    models: Models,
    fps: Fraction = DEFAULT_FPS,
    reference: Path | None = None,
    chroma: Chroma = "420",
    full_range: bool | None = None,
    threads: int = 1,
    progress: Progress,
) -> Summary:
    """Decode a file to what `codec.dcvc_rt.pictures` writes, holding one picture at a time.

    fps: the file has none. reference: the original, to measure PSNR against. Raises UserError; of a damaged file the
    pictures before the damage are written.
    """
    quality = _Quality()
    number = 0
    with cpu_threads(threads), ExitStack() as cleanup:
        try:
            file = cleanup.enter_context(source.open("rb"))
        except OSError as error:
            raise UserError(f"{source} cannot be read ({error.strerror}); give an existing file.") from error
        units = UnitReader(file)
        pictures = SequenceDecoder(models.decoder(), models.tables).pictures(_syntax_told_apart(units))
        try:
            first = next(pictures, None)
            assert first is not None, "the reader refuses a file without a picture"
            size = first.unit.parameters.width, first.unit.parameters.height
            originals = _originals(reference, size, cleanup)
            output = open_output(target, width=size[0], height=size[1], fps=fps, chroma=chroma, full_range=full_range)
            with finished(output):
                for decoded in progress(_chained(first, pictures), total=units.count()):
                    parameters = decoded.unit.parameters
                    if (parameters.width, parameters.height) != size:
                        raise _SizeChange(
                            f"picture {number}: its size changes from {size[0]}x{size[1]} to "
                            f"{parameters.width}x{parameters.height}, which one video cannot hold",
                            offset=decoded.unit.offset,
                        )
                    output.write(decoded.picture)
                    number += 1
                    original = next(originals, None)
                    if original is not None:
                        quality.add(original, decoded.picture)
        except BitstreamError as error:
            at = "" if error.offset is None else f" at byte {error.offset}"
            kept = kept_sentence(target, number, "picture") if number else ""
            raise UserError(f"{source} cannot be decoded{at}: {error}.{_hint(error, threads)}{kept}") from error
    return Summary(number, *size, fps, source.stat().st_size, *quality.means())


def _chained(first: SequencePicture, rest: Iterator[SequencePicture]) -> Iterator[SequencePicture]:
    yield first
    yield from rest


def _originals(reference: Path | None, size: tuple[int, int], cleanup: ExitStack) -> Iterator[SourcePicture]:
    if reference is None:
        return iter(())
    raw = reference.suffix.lower() == ".yuv"
    video = cleanup.enter_context(Source(reference, size=size if raw else None))
    if (video.width, video.height) != size:
        raise UserError(
            f"{reference} has pictures of {video.width}x{video.height}, the coded file of {size[0]}x{size[1]}; give "
            f"the video that was encoded."
        )
    return video.pictures()


class _SyntaxError(BitstreamError):
    """What lies around the payloads, which no arithmetic goes into, cannot be read."""


class _SizeChange(BitstreamError):
    """The file is whole, but more than one video."""


def _syntax_told_apart(units: Iterable[PictureUnit]) -> Iterator[PictureUnit]:
    try:
        yield from units
    except BitstreamError as error:
        raise _SyntaxError(str(error), offset=error.offset) from error


def _hint(error: BitstreamError, threads: int) -> str:
    """What may be the cause. Only a payload is also unreadable to who decodes otherwise than it was coded."""
    if isinstance(error, _SizeChange):
        return ""
    if isinstance(error, _SyntaxError):
        return " It is damaged or cut short."
    return (
        " It may be damaged, or made with other checkpoints, another --skip-threshold, another --device or another "
        f"number of --threads than {threads}."
    )
