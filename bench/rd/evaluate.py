"""Code every clip with every codec at every point, decode again, and measure."""

import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.rd import anchor
from bench.rd.clips import Clip
from bench.rd.coding import Planes, RateDistortionCodec
from bench.rd.ms_ssim import WEIGHTS, scales_for
from bench.rd.quality import measure
from bench.rd.results import ClipResult, CodecCurve, Point
from latentcast.errors import UserError


def evaluate_clip(
    clip: Clip, codecs: Sequence[RateDistortionCodec], *, folder: Path, done: Callable[[], None]
) -> ClipResult:
    """All curves of one clip. A codec that fails is left out with its reason; `done` is called after every point.

    `folder` takes coded and decoded files, one point's at a time.
    """
    scales = scales_for(clip.width, clip.height)
    result = ClipResult(
        clip.name, clip.source.name, clip.width, clip.height, clip.fps, clip.frames, scales, [*clip.notes]
    )
    if scales < len(WEIGHTS):
        result.notes.append(f"MS-SSIM over {scales} of {len(WEIGHTS)} scales: the picture is too small for more")
    for codec in codecs:
        points = []
        for number, point in enumerate(codec.points):
            try:
                points.append(evaluate_point(clip, codec, point, folder=folder))
            except UserError as error:
                result.failures.append(f"{codec.name} on {clip.name}: {error}")
                for _ in codec.points[number:]:
                    done()
                break
            done()
        else:
            result.curves.append(CodecCurve(codec.name, codec.point_name, tuple(points)))
            extra = {point.intra_frames for point in points} - {1, None}
            if extra:
                result.notes.append(f"{codec.name} made {max(count or 0 for count in extra)} intra frames, not one")
    _add_published(clip, result)
    return result


def evaluate_point(clip: Clip, codec: RateDistortionCodec, point: int, *, folder: Path) -> Point:
    """Code, decode, measure. Raises UserError."""
    with TemporaryDirectory(dir=folder) as scratch:
        coded = codec.code(clip, point, folder=Path(scratch))
        watch = _Stopwatch(coded.pictures)
        quality = measure(clip, watch)
    bits = 8 * coded.size_bytes
    return Point(
        point=point,
        kbps=float(bits / clip.seconds) / 1000,
        bits_per_pixel=bits / (clip.frames * clip.width * clip.height),
        psnr_y=quality.psnr_y,
        psnr_u=quality.psnr_u,
        psnr_v=quality.psnr_v,
        psnr_611=quality.psnr_611,
        ms_ssim=quality.ms_ssim,
        fade_db=quality.fade_db,
        size_bytes=coded.size_bytes,
        intra_frames=coded.intra_frames,
        encode_s=coded.encode_s,
        decode_s=watch.seconds,
    )


class _Stopwatch:
    """Pictures as they come, and how long they took to make."""

    def __init__(self, pictures: Iterator[Planes]) -> None:
        self._pictures = pictures
        self.seconds = 0.0

    def __iter__(self) -> Iterator[Planes]:
        return self

    def __next__(self) -> Planes:
        started = time.perf_counter()
        try:
            return next(self._pictures)
        finally:
            self.seconds += time.perf_counter() - started


def _add_published(clip: Clip, result: ClipResult) -> None:
    sequence = anchor.find_sequence(clip)
    if sequence is None:
        return
    pixels_per_s = float(sequence.pixels_per_frame * clip.fps)
    points = tuple(
        Point(
            point.qp,
            point.bits_per_pixel * pixels_per_s / 1000,
            point.bits_per_pixel,
            point.psnr_y,
            point.psnr_u,
            point.psnr_v,
            point.psnr_611,
            None,
        )
        for point in sequence.points
    )
    result.curves.append(CodecCurve(anchor.NAME, "QP", points, published=True))
    if caveat := sequence.caveat(clip):
        result.notes.append(f"{anchor.NAME}: {caveat}")
