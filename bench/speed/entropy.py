"""The entropy coder of `nano`, part by part, on a real frame: scale path, rANS forth and back."""

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from codec import rans
from codec.bitstream import FrameParts, read_frame
from codec.encoder import DEFAULT_SLICE_BYTES
from codec.nano import LATENT_CHANNELS
from codec.nano.weights import EntropyModel, load_weights
from codec.slices import SliceCoder

RUNS = 100


@dataclass(frozen=True, slots=True)
class EntropyPart:
    """symbols: numbers that go through it for one frame. ms: median of one frame's."""

    name: str
    symbols: int
    ms: float


def scale_path_ms(data: bytes) -> float:
    """Milliseconds from z to the table numbers of every latent of a coded frame, median."""
    parts, model = _opened(data)
    z = _z(parts, model)
    return round(_median_ms(lambda: model.scales.indexes(z, *parts.layout.latent_shape), 2 * RUNS), 3)


def measure_entropy(data: bytes) -> list[EntropyPart]:
    """Every part, for one coded frame of `nano`; what the bytes decode to is what is encoded again."""
    parts, model = _opened(data)
    z = _z(parts, model)
    latent_shape = parts.layout.latent_shape
    indexes = model.scales.indexes(z, *latent_shape)
    rows = model.z_rows(parts.qp, z[0].size)
    flat_z = np.ascontiguousarray(z).ravel()
    coder = SliceCoder(load_weights().gaussian, channels=LATENT_CHANNELS, max_bytes=DEFAULT_SLICE_BYTES)
    symbols, _ = coder.decode(parts.slices, indexes)
    timed: list[tuple[str, int, Callable[[], object]]] = [
        ("scale path, both sides", symbols.size, lambda: model.scales.indexes(z, *latent_shape)),
        ("rANS encode, z", z.size, lambda: rans.encode(flat_z, rows, model.z_tables)),
        ("rANS encode, y, cut into slices", symbols.size, lambda: coder.encode(symbols, indexes)),
        ("rANS decode, z", z.size, lambda: rans.decode(parts.z, rows, model.z_tables)),
        ("rANS decode, y", symbols.size, lambda: coder.decode(parts.slices, indexes)),
    ]
    return [EntropyPart(name, count, round(_median_ms(run, RUNS), 4)) for name, count, run in timed]


def _opened(data: bytes) -> tuple[FrameParts, EntropyModel]:
    parts = read_frame(data)
    weights = load_weights()
    return parts, weights.intra if parts.intra else weights.inter


def _z(parts: FrameParts, model: EntropyModel) -> np.ndarray[tuple[int, int, int], np.dtype[np.int8]]:
    hyper_rows, hyper_columns = parts.layout.hyper_shape
    z = rans.decode(parts.z, model.z_rows(parts.qp, hyper_rows * hyper_columns), model.z_tables)
    return z.reshape(-1, hyper_rows, hyper_columns)


def _median_ms(run: Callable[[], object], runs: int) -> float:
    times = []
    for _ in range(runs):
        started = time.perf_counter()
        run()
        times.append(time.perf_counter() - started)
    return float(np.median(times)) * 1e3
