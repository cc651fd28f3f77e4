"""What the codec tests share: golden clips, the shipped weights and engines, and pictures that move.

Engines have dynamic shapes and hold no state, so one of each serves every test of a run.
"""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from codec.layout import Layout
from codec.nano.onnx_engine import OnnxDecoder, OnnxEncoder
from codec.nano.weights import Weights, load_weights

VECTORS_PATH = Path(__file__).parents[1] / "vectors"
GOLDEN_NAMES = ("signing_150x90", "flower_256x128", "water_320x192")

Planes = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class GoldenFrame:
    """source: uint8 (3, H, W). z, symbols, index: what it codes to. picture: float32 (3, H, W), 0..1, from float16.

    bits: ideal code length of z and symbols under the shipped tables.
    """

    source: Planes
    qp: int
    z: NDArray[np.int8]
    symbols: NDArray[np.int8]
    index: NDArray[np.uint8]
    picture: NDArray[np.float32]
    bits: float


@cache
def golden(name: str) -> tuple[GoldenFrame, ...]:
    """One intra frame, then inter frames, each from the one before it."""
    with np.load(VECTORS_PATH / "nano" / f"{name}.npz") as arrays:
        frames, qps = arrays["frames"], arrays["qps"]
        assert list(arrays["from_picture"]) == [int(t == 1) for t in range(len(frames))]
        return tuple(
            GoldenFrame(
                frames[t],
                int(qps[t]),
                arrays[f"z_{t}"],
                arrays[f"symbols_{t}"],
                arrays[f"index_{t}"],
                arrays[f"rec_{t}"].astype(np.float32),
                float(arrays[f"bits_{t}"]),
            )
            for t in range(len(frames))
        )


@cache
def weights() -> Weights:
    return load_weights()


@cache
def encoder_engine() -> OnnxEncoder:
    return OnnxEncoder(weights_sha256=weights().sha256)


@cache
def decoder_engine() -> OnnxDecoder:
    return OnnxDecoder(weights_sha256=weights().sha256)


def pad(planes: Planes) -> Planes:
    """Replicated to multiples of 16, as the networks take it."""
    _, height, width = planes.shape
    layout = Layout(width, height)
    margins = ((0, 0), (0, layout.padded_height - height), (0, layout.padded_width - width))
    padded: Planes = np.pad(planes, margins, mode="edge")
    return padded


def moving_picture(width: int, height: int, t: int) -> Planes:
    """uint8 (3, height, width): a texture of several scales that pans, and a bright disc that moves against it."""
    y, x = np.mgrid[0:height, 0:width].astype(np.float64)
    u, v = x + 3 * t, y - 2 * t
    texture = 22 * np.sin(u / 5.1) * np.cos(v / 7.3) + 30 * np.sin((u + 2 * v) / 31) + 9 * np.sin(u / 1.9 + v / 2.3)
    disc = 70 * ((x - (40 + 4 * t) % width) ** 2 + (y - height / 2) ** 2 < (height / 6) ** 2)
    luma = 110 + texture + disc
    planes = np.stack((luma, 128 + texture / 2, 128 - 0.4 * texture - disc / 4))
    picture: Planes = np.clip(planes, 0, 255).astype(np.uint8)
    return picture


def psnr_db(a: NDArray[np.number], b: NDArray[np.number], *, peak: float) -> float:
    mse = float(np.mean((a.astype(np.float64) - b.astype(np.float64)) ** 2))
    return float("inf") if mse == 0 else 10 * float(np.log10(peak**2 / mse))
