"""The torch networks: what the weights file fills, what the golden clips say, and what the shipped graphs compute."""

from functools import cache

import numpy as np
import pytest
from numpy.typing import NDArray
from safetensors.numpy import load_file

from codec.nano.weights import WEIGHTS_PATH
from tests.codec.samples import (
    GOLDEN_NAMES,
    decoder_engine,
    encoder_engine,
    golden,
    moving_picture,
    pad,
    psnr_db,
)

pytest.importorskip("torch", reason="torch is not installed: pip install torch")

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from codec.nano.networks import Nano

# Float32 sums in another order: states have values up to about 10, so this is a few units of their last place.
STATE_TOLERANCE = 1e-3


def weights_file() -> dict[str, Tensor]:
    return {key: torch.from_numpy(value) for key, value in load_file(WEIGHTS_PATH).items()}


@cache
def nano() -> Nano:
    torch.set_grad_enabled(False)
    torch.set_num_threads(1)
    return Nano().load(weights_file())


def batch(array: NDArray[np.generic]) -> Tensor:
    return torch.from_numpy(array)[None].float()


def row(qp: int) -> Tensor:
    return torch.tensor([qp])


def test_weights_are_loaded_strictly() -> None:
    lacking = weights_file()
    del lacking["inter.decoder.conv2.weight"]
    with pytest.raises(RuntimeError, match=r"inter\.decoder\.conv2\.weight"):
        Nano().load(lacking)
    with pytest.raises(RuntimeError, match=r"inter\.unknown"):
        Nano().load(weights_file() | {"inter.unknown": torch.zeros(1)})


@pytest.mark.parametrize("name", GOLDEN_NAMES)
def test_pictures_from_golden_symbols(name: str) -> None:
    state = None
    for frame in golden(name):
        z, symbols = batch(frame.z), batch(frame.symbols)
        if state is None:
            picture = nano().intra.decode(z, symbols, row(frame.qp))
            state = nano().inter.state_of_picture(picture)
        else:
            picture, state = nano().inter.decode(z, symbols, state, row(frame.qp))
        _, height, width = frame.picture.shape
        assert psnr_db(picture[0, :, :height, :width].numpy(), frame.picture, peak=1) >= 60


@pytest.mark.parametrize("name", GOLDEN_NAMES)
def test_symbols_from_golden_frames(name: str) -> None:
    state = None
    for frame in golden(name):
        picture = batch(pad(frame.source)) / 255
        if state is None:
            z, symbols, decoded = nano().intra.encode(picture, row(frame.qp))
            state = nano().inter.state_of_picture(decoded)
        else:
            z, symbols, state, _ = nano().inter.encode(picture, state, row(frame.qp))
        assert (z[0].numpy() == frame.z).mean() >= 0.995
        assert (symbols[0].numpy() == frame.symbols).mean() >= 0.995


@pytest.mark.parametrize("size", [(64, 64), (80, 96), (208, 112), (320, 192)])
def test_shipped_graphs_equal_the_networks(size: tuple[int, int]) -> None:
    width, height = size
    rng = np.random.default_rng(width)
    noise = rng.integers(0, 256, (3, height, width), dtype=np.uint8)
    scenes = [moving_picture(width, height, 0), moving_picture(width, height, 1), noise]
    # The graphs go first and both sides go on from the graphs' symbols and states, so that a rounding tie that falls
    # the other way is counted once and does not spread.
    z, symbols, state = encoder_engine().intra(scenes[0], 40)
    expected = nano().intra.encode(batch(scenes[0]) / 255, row(40))
    equal_symbols(z, symbols, expected[0], expected[1])
    picture, decoded_state = decoder_engine().intra(z, symbols, 40)
    reference = nano().intra.decode(batch(z), batch(symbols), row(40))
    equal_pictures(picture, reference)
    equal_states(decoded_state, nano().inter.state_of_picture(reference))
    equal_states(state, nano().inter.state_of_picture(reference))
    for scene, qp in zip(scenes[1:], (0, 71), strict=True):
        previous = torch.from_numpy(state)
        z, symbols, new_state = encoder_engine().inter(scene, state, qp)
        expected_z, expected_symbols, _, _ = nano().inter.encode(batch(scene) / 255, previous, row(qp))
        equal_symbols(z, symbols, expected_z, expected_symbols)
        picture, decoded_state = decoder_engine().inter(z, symbols, state, qp)
        reference, reference_state = nano().inter.decode(batch(z), batch(symbols), previous, row(qp))
        equal_pictures(picture, reference)
        equal_states(decoded_state, reference_state)
        equal_states(new_state, reference_state)
        state = new_state


def equal_symbols(z: NDArray[np.int8], symbols: NDArray[np.int8], expected_z: Tensor, expected: Tensor) -> None:
    assert (z == expected_z[0].numpy()).mean() >= 0.995
    assert (symbols == expected[0].numpy()).mean() >= 0.995


def equal_pictures(picture: NDArray[np.uint8], expected: Tensor) -> None:
    assert np.abs(picture - np.round(expected[0].numpy() * 255)).max() <= 1


def equal_states(state: NDArray[np.float32], expected: Tensor) -> None:
    np.testing.assert_allclose(state, expected.numpy(), rtol=0, atol=STATE_TOLERANCE)


def multiply_adds(counter: FlopCounterMode) -> float:
    return counter.get_total_flops() / 2


def test_cost_of_an_inter_frame_at_640x368() -> None:
    """Convolutions only; the integer scale path adds 7.5 M. On the meta device: shapes without numbers."""
    inter = Nano().to("meta").inter
    qp = torch.tensor([30], device="meta")
    shapes = {"picture": (3, 368, 640), "state": (64, 46, 80), "z": (32, 6, 10), "symbols": (64, 23, 40)}
    given = {name: torch.zeros(1, *shape, device="meta") for name, shape in shapes.items()}
    with FlopCounterMode(display=False) as encoding:
        inter.encode(given["picture"], given["state"], qp)
    with FlopCounterMode(display=False) as decoding:
        inter.decode(given["z"], given["symbols"], given["state"], qp)
    assert multiply_adds(encoding) == pytest.approx(1.07e9, rel=0.02)
    assert multiply_adds(decoding) == pytest.approx(0.99e9, rel=0.02)
