"""What one frame costs, stage by stage: network, entropy coding, and the rest (padding, assembly, cropping).

Everything from YCbCr planes to bytes and back is included. One thread each, encoder and decoder in turn, so that they
do not compete. Medians, since machines are noisy.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import cycle, islice

import numpy as np
from numpy.typing import NDArray

from bench.speed.entropy import scale_path_ms
from codec.arithmetic import Precision
from codec.encoder import Timing
from codec.engine import FrameDecoder, FrameEncoder
from codec.files import pictures
from codec.profiles import Profile, open_codec
from codec.quality_cycle import inter_row
from codec.state import State
from codec.video_io import VideoReader
from latentcast.demo import CLIPS_FOLDER
from latentcast.statistics import percentiles

CLIP = CLIPS_FOLDER / "water.mp4"
CLIP_FRAMES = 24
"""Pictures that engines are compared on, over and over: enough for motion, few enough to keep in memory at 720p."""

WARM_UP = 10
"""Frames not counted: caches, allocators and the processor's clock settle."""

INTRA_FRAMES = 5


@dataclass(frozen=True, slots=True)
class Side:
    """Milliseconds of one P frame, medians, and the 95th percentile of the total."""

    network: float
    entropy: float
    rest: float
    total: float
    total_p95: float


@dataclass(frozen=True, slots=True)
class Speed:
    """The result of `measure`. precision: of the network. scale_path_ms is a part of `entropy`."""

    precision: Precision
    width: int
    height: int
    qp: int
    frames: int
    bits_per_pixel: float
    encode: Side
    decode: Side
    scale_path_ms: float
    symbols: int


@dataclass(frozen=True, slots=True)
class Stages:
    """P frames of one engine. intra_encode_ms, intra_decode_ms: the whole of an intra frame, median of a few."""

    width: int
    height: int
    frames: int
    bits_per_pixel: float
    encode: Side
    decode: Side
    intra_encode_ms: float
    intra_decode_ms: float


Clip = Sequence[NDArray[np.uint8]]
"""Pictures of one size, uint8 (3, height, width)."""


def read_clip(width: int, height: int, count: int) -> Clip:
    """The first `count` pictures of a demo clip, fitted into the size; all of it where it is shorter."""
    with VideoReader(CLIP) as reader:
        return tuple(islice(pictures(reader, width, height), count))


@cache
def clip(width: int, height: int) -> Clip:
    """The first `CLIP_FRAMES` pictures."""
    return read_clip(width, height, CLIP_FRAMES)


def measure(*, size: tuple[int, int], frames: int, qp: int) -> Speed:
    """Code `frames` P frames with `nano` as it runs here by default, at base QP `qp` in the quality cycle."""
    width, height = size
    codec = open_codec(Profile())
    encoder = codec.encoder(width=width, height=height)
    coded = _Coded()
    source = read_clip(width, height, frames + WARM_UP + 1)
    coded.encode(encoder, source, qp=qp, frames=frames + WARM_UP)
    coded.decode(codec.decoder(width=width, height=height))
    stages = coded.stages(warm_up=WARM_UP)
    return Speed(
        precision=codec.arithmetic().precision,
        width=width,
        height=height,
        qp=qp,
        frames=stages.frames,
        bits_per_pixel=stages.bits_per_pixel,
        encode=stages.encode,
        decode=stages.decode,
        scale_path_ms=scale_path_ms(coded.data[WARM_UP + 1]),
        symbols=encoder.layout.positions * 64,
    )


def measure_stages(
    encoder: FrameEncoder,
    decoder: FrameDecoder,
    *,
    qp: int,
    frames: int,
    warm_up: int = WARM_UP,
    intra_frames: int = INTRA_FRAMES,
) -> Stages:
    """Code `frames` P frames after `warm_up` others, then intra frames, of which one is needed."""
    coded = _Coded()
    source = clip(encoder.layout.width, encoder.layout.height)
    coded.encode(encoder, source, qp=qp, frames=frames + warm_up, intra_frames=intra_frames)
    coded.decode(decoder)
    return coded.stages(warm_up=warm_up)


class _Coded:
    """A stretch of the clip, coded: one intra frame, P frames, then intra frames."""

    def __init__(self) -> None:
        self.data: list[bytes] = []
        self._encode: list[Timing] = []
        self._decode: list[Timing] = []
        self._layout = (0, 0)
        self._first_intra = 0

    def encode(self, encoder: FrameEncoder, source: Clip, *, qp: int, frames: int, intra_frames: int = 1) -> None:
        """`frames` counts P frames; a source that is shorter begins again."""
        self._layout = encoder.layout.width, encoder.layout.height
        self._first_intra = 1 + frames
        state: State | None = None
        for number, planes in enumerate(islice(cycle(source), self._first_intra + intra_frames)):
            reference = None if number >= self._first_intra else state
            row = qp if reference is None else inter_row(qp, number)
            state, frame = encoder.encode(reference, planes, qp=row, frame_id=number)
            self.data.append(frame.data)
            self._encode.append(encoder.timing)

    def decode(self, decoder: FrameDecoder) -> None:
        state: State | None = None
        for number, data in enumerate(self.data):
            state, _ = decoder.decode(None if number >= self._first_intra else state, data, frame_id=number)
            self._decode.append(decoder.timing)

    def stages(self, *, warm_up: int) -> Stages:
        width, height = self._layout
        kept = slice(warm_up + 1, self._first_intra)
        data = self.data[kept]
        return Stages(
            width=width,
            height=height,
            frames=len(data),
            bits_per_pixel=8 * sum(map(len, data)) / (len(data) * width * height),
            encode=_side(self._encode[kept]),
            decode=_side(self._decode[kept]),
            intra_encode_ms=_median_ms([timing.total_s for timing in self._encode[self._first_intra :]]),
            intra_decode_ms=_median_ms([timing.total_s for timing in self._decode[self._first_intra :]]),
        )


def _median_ms(seconds: list[float]) -> float:
    return round(percentiles([1e3 * value for value in seconds]).p50, 2)


def _side(timings: list[Timing]) -> Side:
    totals = percentiles([1e3 * timing.total_s for timing in timings])
    return Side(
        network=_median_ms([timing.network_s for timing in timings]),
        entropy=_median_ms([timing.entropy_s for timing in timings]),
        rest=_median_ms([timing.total_s - timing.network_s - timing.entropy_s for timing in timings]),
        total=round(totals.p50, 2),
        total_p95=round(totals.p95, 2),
    )
