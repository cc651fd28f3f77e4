"""What different arithmetic on the two sides does over many frames (`docs/nano.md`, "Drift").

Symbols are exact on any device; features are not, and their difference feeds back through the state. These weights
saw three P frames in a row when they were trained and amplify it by about a fifth a frame, until an intra frame ends
it. Measured at 96x64, QP 30, decoder float32 (the shipped graphs), PSNR against the encoder's own pictures:

* encoder bfloat16 (8 bits, the coarsest any engine will use), intra every 16th frame: never below 43.4 dB in 1,000
  frames, mean 50.1 dB; without intra 40 dB after 20 frames, 27 dB after 40, 11 dB after 100;
* encoder float32 of another library: no difference beyond the rounding to 8 bits (58.9 dB) for 60 frames, then the same
  slope;
* the shipped encoder and decoder on one machine: equal to the last bit.
"""

from collections.abc import Iterator
from functools import cache
from itertools import count

import numpy as np
import pytest
from numpy.typing import NDArray

from codec.colour import ToPlanes
from codec.drift import FLOAT32_INTRA_FRAMES, HALF_INTRA_FRAMES, arithmetic_fingerprint
from codec.nano.onnx_engine import OnnxDecoder
from codec.nano.weights import WEIGHTS_PATH, load_weights
from codec.quality_cycle import inter_row
from codec.video_io import VideoReader
from tests.codec.samples import VECTORS_PATH, Planes, decoder_engine, encoder_engine, psnr_db

pytest.importorskip("torch", reason="torch is not installed: pip install torch")

import torch
from safetensors.torch import load_file

from codec.nano.networks import Nano

CLIP_PATH = VECTORS_PATH.parents[1] / "assets" / "water.mp4"
WIDTH, HEIGHT = 96, 64
BASE_QP = 30
BFLOAT16_BOUND_DB = 42.0
FLOAT32_BOUND_DB = 57.0


class LastBitOff:
    """An engine whose states after an intra frame differ in the last bit of one value."""

    def __init__(self, engine: OnnxDecoder) -> None:
        self._engine = engine
        self.prepare = engine.prepare
        self.inter = engine.inter

    def intra(self, z: NDArray[np.int8], symbols: NDArray[np.int8], qp: int) -> tuple[Planes, NDArray[np.float32]]:
        picture, state = self._engine.intra(z, symbols, qp)
        off = state.copy()
        off.flat[7] = np.nextafter(off.flat[7], np.float32(np.inf))
        return picture, off


@cache
def clip() -> list[Planes]:
    """A clip with water and people moving, shrunk."""
    convert = ToPlanes()
    with VideoReader(CLIP_PATH) as reader:
        return [convert(frame, width=WIDTH, height=HEIGHT) for _, frame in reader.frames()]


def back_and_forth() -> Iterator[Planes]:
    frames = clip()
    while True:
        yield from frames
        yield from frames[-2:0:-1]


def agreement(dtype: torch.dtype, *, intra_every: int | None) -> Iterator[float]:
    """PSNR in dB between the float32 decoder's picture and the encoder's own, frame by frame.

    The encoder is the torch network with weights, arithmetic and state in `dtype`.
    """
    torch.set_grad_enabled(False)
    # Layers this small lose more by being shared out than they gain.
    torch.set_num_threads(1)
    nano = Nano().load(load_file(WEIGHTS_PATH)).to(dtype)
    coded = decoded = None
    for t, planes in zip(count(), back_and_forth(), strict=False):
        picture = (torch.from_numpy(planes)[None].float() / 255).to(dtype)
        intra = t == 0 or (intra_every is not None and t % intra_every == 0)
        qp = BASE_QP if intra else inter_row(BASE_QP, t)
        row = torch.tensor([qp])
        if coded is None or intra:
            z, symbols, own = nano.intra.encode(picture, row)
            coded = nano.inter.state_of_picture(own)
        else:
            z, symbols, coded, feature = nano.inter.encode(picture, coded, row)
            own = nano.inter.picture(feature, row)
        z_sent, symbols_sent = (part[0].to(torch.int8).numpy() for part in (z, symbols))
        if decoded is None or intra:
            found, decoded = decoder_engine().intra(z_sent, symbols_sent, qp)
        else:
            found, decoded = decoder_engine().inter(z_sent, symbols_sent, decoded, qp)
        yield psnr_db(found, own[0].float().numpy() * 255, peak=255)


def frames_above(bound_db: float, values: Iterator[float], *, frames: int) -> int:
    """How many of the first `frames` frames come before one below the bound."""
    for t, value in zip(range(frames), values, strict=False):
        if value < bound_db:
            return t
    return frames


@pytest.mark.slow
def test_bfloat16_encoder_for_1000_frames_with_intra_frames() -> None:
    values = agreement(torch.bfloat16, intra_every=HALF_INTRA_FRAMES)
    assert frames_above(BFLOAT16_BOUND_DB, values, frames=1000) == 1000


@pytest.mark.xfail(reason="the first weights amplify differences of state: docs/nano.md, Drift", strict=True)
def test_bfloat16_encoder_for_1000_frames_in_one_chain() -> None:
    assert frames_above(BFLOAT16_BOUND_DB, agreement(torch.bfloat16, intra_every=None), frames=1000) == 1000


def test_float32_of_another_library_for_a_second_and_a_half() -> None:
    values = agreement(torch.float32, intra_every=None)
    assert frames_above(FLOAT32_BOUND_DB, values, frames=FLOAT32_INTRA_FRAMES) == FLOAT32_INTRA_FRAMES


def test_the_fingerprint_names_the_arithmetic_and_nothing_else() -> None:
    """Equal for every engine of this machine, whatever its threads; another for one bit of difference in a state."""
    weights = load_weights()
    one, two = (OnnxDecoder(weights_sha256=weights.sha256, threads=threads) for threads in (1, 2))
    assert arithmetic_fingerprint(one) == arithmetic_fingerprint(two)
    assert arithmetic_fingerprint(LastBitOff(one)) != arithmetic_fingerprint(one)


def test_the_shipped_graphs_agree_bit_for_bit() -> None:
    """On one machine. A state that differed in one bit would be visible after two seconds."""
    coded = decoded = None
    for t, planes in zip(range(30), back_and_forth(), strict=False):
        if coded is None or decoded is None:
            z, symbols, coded = encoder_engine().intra(planes, BASE_QP)
            _, decoded = decoder_engine().intra(z, symbols, BASE_QP)
        else:
            qp = inter_row(BASE_QP, t)
            z, symbols, coded = encoder_engine().inter(planes, coded, qp)
            _, decoded = decoder_engine().inter(z, symbols, decoded, qp)
        np.testing.assert_array_equal(coded, decoded)
