"""What a run found: points, curves, clips, their mean, and the comparison with the anchor. Plain data."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction

from bench.rd.bjontegaard import Curve, Delta, bd_quality, bd_rate
from bench.rd.ms_ssim import decibels


@dataclass(frozen=True, slots=True)
class Point:
    """One codec at one setting of its quality knob.

    kbps: kbit/s at the clip's frame rate. PSNR in dB. ms_ssim: 0..1; fade_db: `bench.rd.quality.Quality`; both None
    where they were not measured here, as are size and times. The times are wall clock on one thread and vary from run
    to run; everything else does not.
    """

    point: int
    kbps: float
    bits_per_pixel: float
    psnr_y: float
    psnr_u: float
    psnr_v: float
    psnr_611: float
    ms_ssim: float | None
    fade_db: float | None = None
    size_bytes: int | None = None
    intra_frames: int | None = None
    encode_s: float | None = None
    decode_s: float | None = None


@dataclass(frozen=True, slots=True)
class CodecCurve:
    """All points of one codec on one clip. published: taken from elsewhere, not measured here."""

    codec: str
    point_name: str
    points: tuple[Point, ...]
    published: bool = False


@dataclass(slots=True)
class ClipResult:
    """One clip. notes: what the reader has to know about it. failures: codecs left out, and why."""

    name: str
    source: str
    width: int
    height: int
    fps: Fraction
    frames: int
    scales: int
    notes: list[str] = field(default_factory=list)
    curves: list[CodecCurve] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    def curve(self, codec: str) -> CodecCurve | None:
        return next((curve for curve in self.curves if curve.codec == codec), None)


@dataclass(frozen=True, slots=True)
class Comparison:
    """One codec against the anchor, on one clip. Rates in percent, negative is better; PSNR in dB, positive is."""

    codec: str
    rate_psnr_y: Delta
    rate_psnr_611: Delta
    rate_ms_ssim: Delta
    psnr_611: Delta


@dataclass(frozen=True, slots=True)
class MeanComparison:
    """Means over the clips where the figure exists; None where it exists on none. clips: on how many, per figure."""

    codec: str
    rate_psnr_y: float | None
    rate_psnr_611: float | None
    rate_ms_ssim: float | None
    psnr_611: float | None
    clips: tuple[int, int, int, int]


def compare(clip: ClipResult, anchor: str) -> list[Comparison]:
    """Every other codec of a clip against `anchor`."""
    reference = clip.curve(anchor)
    out = []
    for curve in clip.curves:
        if curve.codec == anchor:
            continue
        out.append(
            Comparison(
                curve.codec,
                _delta(bd_rate, reference, curve, lambda point: point.psnr_y),
                _delta(bd_rate, reference, curve, lambda point: point.psnr_611),
                _delta(bd_rate, reference, curve, _ms_ssim_db),
                _delta(bd_quality, reference, curve, lambda point: point.psnr_611),
            )
        )
    return out


def mean_comparisons(comparisons: Iterable[Sequence[Comparison]]) -> list[MeanComparison]:
    """Over clips, codec by codec in order of first appearance."""
    by_codec: dict[str, list[Comparison]] = {}
    for rows in comparisons:
        for row in rows:
            by_codec.setdefault(row.codec, []).append(row)
    out = []
    for codec, rows in by_codec.items():
        columns = zip(
            *((row.rate_psnr_y, row.rate_psnr_611, row.rate_ms_ssim, row.psnr_611) for row in rows), strict=True
        )
        found = [[delta.value for delta in column if delta.value is not None] for column in columns]
        y, weighted, similarity, quality = (sum(values) / len(values) if values else None for values in found)
        counts = (len(found[0]), len(found[1]), len(found[2]), len(found[3]))
        out.append(MeanComparison(codec, y, weighted, similarity, quality, counts))
    return out


def mean_curves(clips: Sequence[ClipResult]) -> list[CodecCurve]:
    """Plain means over the clips, point by point, of every codec that has the same points on all of them."""
    out = []
    for first in clips[0].curves if clips else ():
        curves = [clip.curve(first.codec) for clip in clips]
        whole = [curve for curve in curves if curve is not None]
        knobs = {tuple(point.point for point in curve.points) for curve in whole}
        if len(whole) == len(clips) and len(knobs) == 1:
            columns = zip(*(curve.points for curve in whole), strict=True)
            points = tuple(_mean_point(column) for column in columns)
            out.append(CodecCurve(first.codec, first.point_name, points, first.published))
    return out


def _mean_point(points: Sequence[Point]) -> Point:
    def mean(of: Callable[[Point], float]) -> float:
        return sum(of(point) for point in points) / len(points)

    def mean_of_all(values: Sequence[float | None]) -> float | None:
        known = [value for value in values if value is not None]
        return sum(known) / len(known) if len(known) == len(points) else None

    return Point(
        points[0].point,
        mean(lambda point: point.kbps),
        mean(lambda point: point.bits_per_pixel),
        mean(lambda point: point.psnr_y),
        mean(lambda point: point.psnr_u),
        mean(lambda point: point.psnr_v),
        mean(lambda point: point.psnr_611),
        mean_of_all([point.ms_ssim for point in points]),
        mean_of_all([point.fade_db for point in points]),
    )


def _ms_ssim_db(point: Point) -> float | None:
    return None if point.ms_ssim is None else decibels(point.ms_ssim)


def _delta(
    measure: Callable[[Curve, Curve], Delta],
    anchor: CodecCurve | None,
    test: CodecCurve,
    quality: Callable[[Point], float | None],
) -> Delta:
    if anchor is None:
        return Delta(None, "the anchor has no curve here")
    curves = []
    for curve in (anchor, test):
        qualities = [value for point in curve.points if (value := quality(point)) is not None]
        if len(qualities) < len(curve.points):
            return Delta(None, f"{curve.codec} has no such figure")
        curves.append(Curve([point.kbps for point in curve.points], qualities))
    return measure(*curves)
