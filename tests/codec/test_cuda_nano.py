"""`nano` in torch behind the engine interface: golden clips, the shipped graphs, and every runtime alike."""

import numpy as np
import pytest

pytest.importorskip("torch", reason="torch is not installed: pip install torch")

import torch

from codec.cuda.eager import LayerByLayer
from codec.cuda.runtime import CudaRuntime
from codec.drift import arithmetic_fingerprint
from codec.layout import Layout
from codec.nano.torch_engine import TorchDecoder, TorchEncoder
from codec.torch_runtime import EagerRuntime, Runtime
from tests.codec.samples import GOLDEN_NAMES, decoder_engine, encoder_engine, golden, moving_picture, pad, psnr_db
from tests.codec.simulated_cuda import SimulatedDriver

LAYOUT = Layout(90, 70)


def simulated(seed: int, eagerness: float = 0.5) -> CudaRuntime:
    return CudaRuntime(dtype=torch.float32, driver=SimulatedDriver(seed, eagerness=eagerness))


@pytest.mark.parametrize("name", GOLDEN_NAMES)
def test_golden_clips_there_and_back(name: str) -> None:
    """Encode the golden frames, decode the golden symbols."""
    encoder, decoder = TorchEncoder(EagerRuntime()), TorchDecoder(EagerRuntime())
    _, height, width = golden(name)[0].source.shape
    encoder.prepare(Layout(width, height))
    decoder.prepare(Layout(width, height))
    state = decoded_state = None
    for frame in golden(name):
        picture = pad(frame.source)
        if state is None or decoded_state is None:
            z, symbols, state = encoder.intra(picture, frame.qp)
            found, decoded_state = decoder.intra(frame.z, frame.symbols, frame.qp)
        else:
            z, symbols, state = encoder.inter(picture, state, frame.qp)
            found, decoded_state = decoder.inter(frame.z, frame.symbols, decoded_state, frame.qp)
        assert (z == frame.z).mean() >= 0.995
        assert (symbols == frame.symbols).mean() >= 0.995
        # The golden pictures are not rounded to 8 bits, these are: 58.9 dB.
        assert psnr_db(found[:, :height, :width], frame.picture * 255, peak=255) >= 58


def test_equal_to_the_shipped_graphs() -> None:
    encoder, decoder = TorchEncoder(EagerRuntime()), TorchDecoder(EagerRuntime())
    encoder.prepare(LAYOUT)
    decoder.prepare(LAYOUT)
    first, second = (moving_picture(LAYOUT.padded_width, LAYOUT.padded_height, t) for t in (0, 1))
    z, symbols, state = encoder_engine().intra(first, 40)
    ours = encoder.intra(first, 40)
    assert (ours[0] == z).mean() >= 0.995
    assert (ours[1] == symbols).mean() >= 0.995
    picture, graph_state = decoder_engine().intra(z, symbols, 40)
    found, our_state = decoder.intra(z, symbols, 40)
    assert np.abs(found.astype(int) - picture).max() <= 1
    z, symbols, _ = encoder_engine().inter(second, state, 71)
    picture, graph_state = decoder_engine().inter(z, symbols, graph_state, 71)
    found, our_state = decoder.inter(z, symbols, our_state, 71)
    assert np.abs(found.astype(int) - picture).max() <= 1
    np.testing.assert_allclose(our_state.numpy(), graph_state, rtol=0, atol=1e-3)


def layers() -> LayerByLayer:
    return LayerByLayer(torch.device("cpu"), torch.float32)


def coded(runtime: Runtime, decoding: Runtime) -> list[tuple[bytes, ...]]:
    """Everything that comes out of both sides, over frames of both types, a jump back to an older state included."""
    encoder, decoder = TorchEncoder(runtime), TorchDecoder(decoding)
    encoder.prepare(LAYOUT)
    decoder.prepare(LAYOUT)
    states: list[torch.Tensor | None] = [None]
    decoded: list[torch.Tensor | None] = [None]
    out: list[tuple[bytes, ...]] = []
    for t, reference in enumerate((0, 1, 2, 1, 0, 5)):
        picture = moving_picture(LAYOUT.padded_width, LAYOUT.padded_height, t)
        state, known = states[reference], decoded[reference]
        if state is None or known is None:
            z, symbols, state = encoder.intra(picture, 30 + t)
            shown, known = decoder.intra(z, symbols, 30 + t)
        else:
            z, symbols, state = encoder.inter(picture, state, 30 + t)
            shown, known = decoder.inter(z, symbols, known, 30 + t)
        states.append(state)
        decoded.append(known)
        out.append((z.tobytes(), symbols.tobytes(), shown.tobytes()))
    for engine_runtime in (runtime, decoding):
        engine_runtime.synchronize()
    out.extend(
        (a.numpy().tobytes(), b.numpy().tobytes())
        for a, b in zip(states, decoded, strict=True)
        if a is not None and b is not None
    )
    return out


@pytest.mark.parametrize("eagerness", [0.0, 0.7])
def test_graphs_on_a_device_that_is_late(eagerness: float) -> None:
    wanted = coded(layers(), layers())
    assert coded(simulated(1, eagerness), simulated(2, eagerness)) == wanted
    assert [out[0] == out[1] for out in wanted[6:]] == [True] * 6


def test_a_fingerprint_of_tensors_on_a_late_device() -> None:
    """The hash is taken of a state that nobody downloads: it must be complete by then."""
    wanted = arithmetic_fingerprint(TorchDecoder(layers()))
    for seed in range(4):
        assert arithmetic_fingerprint(TorchDecoder(simulated(seed, 0.0))) == wanted
    assert wanted != arithmetic_fingerprint(decoder_engine())
