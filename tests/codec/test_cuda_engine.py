"""`dcvc-rt` as graphs on a simulated GPU: everything that comes out equals the eager engines' to the last bit."""

import numpy as np
import pytest

pytest.importorskip("torch", reason="torch is not installed: pip install torch")

import torch
from torch import Tensor

from codec.cuda.runtime import CudaRuntime
from codec.dcvc_rt.coder import PictureDecoder, PictureEncoder
from codec.dcvc_rt.engine import DecoderEngine, EncoderEngine
from codec.layout import Layout
from codec.torch_runtime import EagerRuntime, Runtime
from tests.codec.cuda_samples import image_model, model_tables, video_model
from tests.codec.samples import moving_picture
from tests.codec.simulated_cuda import SimulatedDriver

# Latents of 5x5: odd, so that masks and the padding of y are not even.
LAYOUT = Layout(72, 66)


def simulated(seed: int, eagerness: float) -> CudaRuntime:
    return CudaRuntime(dtype=torch.float32, driver=SimulatedDriver(seed, eagerness=eagerness))


def coded(runtime: Runtime, decoding: Runtime) -> list[tuple[bytes, ...]]:
    """Intra, ordinary and reset pictures, a jump back to an older state, and every state at the end."""
    encoder = PictureEncoder(EncoderEngine(image_model(), video_model(), runtime), model_tables(), LAYOUT)
    decoder = PictureDecoder(DecoderEngine(image_model(), video_model(), decoding), model_tables(), LAYOUT)
    states: list[tuple[Tensor, Tensor] | tuple[None, None]] = [(None, None)]
    out: list[tuple[bytes, ...]] = []
    for t, (reference, reset) in enumerate([(0, False), (1, False), (2, True), (3, False), (2, False), (0, False)]):
        ours, theirs = states[reference]
        planes = moving_picture(LAYOUT.width, LAYOUT.height, t)
        sent = encoder.encode(ours, planes, qp=20 + t, reset=reset, two_streams=bool(t % 2))
        decoded, check = decoder.decode(theirs, sent.payload, qp=20 + t, reset=reset, two_streams=bool(t % 2))
        assert check == sent.check
        out.append((sent.payload, decoded.code_values.tobytes()))
        states.append((sent.state, decoded.state))
    runtime.synchronize()
    decoding.synchronize()
    for ours, theirs in states[1:]:
        assert ours is not None
        assert theirs is not None
        assert np.array_equal(ours.numpy(), theirs.numpy())
        out.append((ours.numpy().tobytes(),))
    return out


def test_graphs_on_a_device_that_is_late() -> None:
    wanted = coded(EagerRuntime(), EagerRuntime())
    assert coded(simulated(1, 0.0), simulated(2, 0.0)) == wanted
    assert coded(simulated(3, 0.6), simulated(4, 0.6)) == wanted
