"""`latentcast bench speed`: what one P frame costs on this machine, stage by stage.

Everything from YCbCr planes to bytes and back is included: padding, network, scale path, entropy coder, assembly,
cropping. One thread each, encoder and decoder in turn, so that they do not compete. Medians, since machines are noisy.
"""

import json as json_module
import time
from dataclasses import asdict, dataclass
from itertools import cycle, islice
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from client.measurement import describe_machine
from codec import rans
from codec.bitstream import read_frame
from codec.encoder import Timing
from codec.files import pictures
from codec.nano.weights import load_weights
from codec.profiles import open_decoder, open_encoder
from codec.quality_cycle import inter_row
from codec.state import State
from codec.video_io import VideoReader
from latentcast import __version__
from latentcast.demo import CLIPS_FOLDER
from latentcast.statistics import percentiles

CLIP = CLIPS_FOLDER / "water.mp4"
# Frames not counted: caches, allocators and the processor's clock settle.
WARM_UP = 10


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
    """The result. scale_path and the rANS times are parts of `entropy`."""

    width: int
    height: int
    qp: int
    frames: int
    bits_per_pixel: float
    encode: Side
    decode: Side
    scale_path_ms: float
    symbols: int


def measure(*, size: tuple[int, int], frames: int, qp: int) -> Speed:
    """Code `frames` P frames of a demo clip at base QP `qp` in the quality cycle."""
    width, height = size
    with VideoReader(CLIP) as reader:
        clip = list(pictures(reader, width, height))
    encoder = open_encoder(width=width, height=height)
    coded: list[bytes] = []
    encode_times: list[Timing] = []
    state: State | None = None
    for number, planes in enumerate(islice(cycle(clip), frames + WARM_UP + 1)):
        row = qp if state is None else inter_row(qp, number)
        state, frame = encoder.encode(state, planes, qp=row, frame_id=number)
        coded.append(frame.data)
        encode_times.append(encoder.timing)
    decoder = open_decoder(width=width, height=height)
    decode_times: list[Timing] = []
    state = None
    for number, data in enumerate(coded):
        state, _ = decoder.decode(state, data, frame_id=number)
        decode_times.append(decoder.timing)
    kept = coded[WARM_UP + 1 :]
    return Speed(
        width=width,
        height=height,
        qp=qp,
        frames=len(kept),
        bits_per_pixel=8 * sum(map(len, kept)) / (len(kept) * width * height),
        encode=_side(encode_times[WARM_UP + 1 :]),
        decode=_side(decode_times[WARM_UP + 1 :]),
        scale_path_ms=_scale_path_ms(kept[0]),
        symbols=encoder.layout.positions * 64,
    )


def _side(timings: list[Timing]) -> Side:
    def median(values: list[float]) -> float:
        return round(percentiles([1e3 * value for value in values]).p50, 2)

    totals = percentiles([1e3 * timing.total_s for timing in timings])
    return Side(
        network=median([timing.network_s for timing in timings]),
        entropy=median([timing.entropy_s for timing in timings]),
        rest=median([timing.total_s - timing.network_s - timing.entropy_s for timing in timings]),
        total=round(totals.p50, 2),
        total_p95=round(totals.p95, 2),
    )


def _scale_path_ms(data: bytes) -> float:
    parts = read_frame(data)
    model = load_weights().inter
    hyper_rows, hyper_columns = parts.layout.hyper_shape
    z = rans.decode(parts.z, model.z_rows(parts.qp, hyper_rows * hyper_columns), model.z_tables)
    z = z.reshape(-1, hyper_rows, hyper_columns)
    times = []
    for _ in range(200):
        started = time.perf_counter()
        model.scales.indexes(z, *parts.layout.latent_shape)
        times.append(time.perf_counter() - started)
    return round(float(np.median(times)) * 1e3, 3)


def run(*, size: tuple[int, int], frames: int, qp: int, json: Path | None) -> None:
    """Measure, print a table, and write JSON when asked."""
    speed = measure(size=size, frames=frames, qp=qp)
    machine = describe_machine()
    table = Table(
        title=(
            f"nano, P frames {speed.width}x{speed.height}, base QP {speed.qp}, "
            f"{speed.bits_per_pixel:.3f} bit a pixel, one thread"
        )
    )
    for column in ("ms, median", "network", "entropy coding", "rest", "total", "p95"):
        table.add_column(column, justify="right")
    for name, side in (("encode", speed.encode), ("decode", speed.decode)):
        row = (side.network, side.entropy, side.rest, side.total, side.total_p95)
        table.add_row(name, *(f"{value:.2f}" for value in row))
    console = Console()
    console.print(table)
    console.print(
        f"The scale path is {speed.scale_path_ms:.2f} ms of entropy coding; {speed.symbols} symbols a frame. "
        f"{machine.cpu}, {machine.cores} cores, ONNX Runtime {machine.onnxruntime}.",
        highlight=False,
    )
    if json is not None:
        result = {"latentcast": __version__, "machine": machine.model_dump(), "speed": asdict(speed)}
        json.write_text(json_module.dumps(result, indent=2) + "\n")
