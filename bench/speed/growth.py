"""Time of a P frame against the size of the picture."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from bench.speed.candidates import Opened, Size
from bench.speed.stages import measure_stages


@dataclass(frozen=True, slots=True)
class GrowthPoint:
    """Medians of the whole of a P frame, from planes to bytes and back."""

    width: int
    height: int
    encode_ms: float
    decode_ms: float

    @property
    def megapixels(self) -> float:
        return self.width * self.height / 1e6


def measure_growth(opened: Opened, sizes: Iterable[Size], *, qp: int, frames: int) -> list[GrowthPoint]:
    """One point for each size, (width, height)."""
    points = []
    for width, height in sizes:
        encoder, decoder = opened.encoder(width=width, height=height), opened.decoder(width=width, height=height)
        stages = measure_stages(encoder, decoder, qp=qp, frames=frames, warm_up=2, intra_frames=1)
        points.append(GrowthPoint(width, height, stages.encode.total, stages.decode.total))
    return points


def exponent(points: Sequence[tuple[float, float]]) -> float | None:
    """The e of ms = a * megapixels ** e that fits best, in the logarithms; 1 is proportional. None of one point."""
    if len({x for x, _ in points}) < 2:
        return None
    xs, ys = [math.log(x) for x, _ in points], [math.log(y) for _, y in points]
    x_mean, y_mean = sum(xs) / len(xs), sum(ys) / len(ys)
    rise = sum((x - x_mean) * (y - y_mean) for x, y in zip(xs, ys, strict=True))
    return rise / sum((x - x_mean) ** 2 for x in xs)
