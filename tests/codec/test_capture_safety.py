"""Every stretch of both profiles can be captured: checked on fake CUDA tensors, under a mode that fails on the rest."""

import copy
from collections.abc import Callable
from functools import cache

import numpy as np
import pytest

pytest.importorskip("torch", reason="torch is not installed: pip install torch")

import torch
from torch import Tensor

from codec.cuda.folding import fold_image, fold_video
from codec.dcvc_rt.checkpoint import new_model
from codec.dcvc_rt.engine import DecoderEngine, EncoderEngine
from codec.dcvc_rt.image import ImageModel
from codec.dcvc_rt.latents import step_masks
from codec.dcvc_rt.video import VideoModel
from codec.layout import Layout
from codec.nano.networks import Nano
from codec.nano.torch_engine import TorchDecoder, TorchEncoder
from tests.codec.capture_safety import CUDA, CaptureSafety, FakeRuntime, UnsafeInCaptureError

# The largest, latents of odd sizes, and the smallest.
SIZES = [(1920, 1080), (200, 136), (72, 66), (64, 64)]


@cache
def networks(*, folded: bool) -> tuple[ImageModel, VideoModel]:
    image, video = (new_model(name, skip_threshold=0.12) for name in ("image", "video"))
    assert isinstance(image, ImageModel)
    assert isinstance(video, VideoModel)
    return (fold_image(image), fold_video(video)) if folded else (image, video)


def placed(runtime: FakeRuntime, *, folded: bool) -> tuple[ImageModel, VideoModel]:
    image, video = networks(folded=folded)
    return runtime.place(copy.deepcopy(image)), runtime.place(copy.deepcopy(video))


def check(runtime: FakeRuntime, wanted: dict[str, tuple[torch.dtype, tuple[int, ...]]]) -> None:
    """What every stretch hands out stays on the GPU in the network's precision, or is bytes that go down whole."""
    assert {key for key, _ in runtime.downloads} == set(wanted)
    for key, tensor in runtime.downloads:
        dtype, shape = wanted[key]
        assert tensor.dtype == dtype
        assert tuple(tensor.shape)[-len(shape) :] == shape
        assert tensor.is_contiguous(), key
    for call in runtime.calls:
        for output in call.outputs:
            assert output.device == CUDA
            assert output.dtype in (torch.float16, torch.int8, torch.uint8), call.name


@pytest.mark.parametrize(("size", "folded"), [*((size, True) for size in SIZES), (SIZES[1], False)])
def test_stretches_of_dcvc_rt(size: tuple[int, int], folded: bool) -> None:
    layout = Layout(*size)
    rows, columns = layout.latent_shape
    state_shape = (1, 256, *layout.state_size)
    runtime = FakeRuntime()
    encoder = EncoderEngine(*placed(runtime, folded=folded), runtime)
    with runtime:
        encoder.prepare(layout)
        assert [call.name for call in runtime.calls] == [
            "_image_symbols",
            "_state_of_image",
            *("_video_symbols", "_state_of_video") * 2,
        ]
        check(
            runtime,
            {
                "z": (torch.int8, (128, *layout.hyper_shape)),
                "symbols": (torch.int8, (64, rows, columns)),
                "indexes": (torch.uint8, (64, rows, columns)),
            },
        )
        picture = np.zeros((3, layout.padded_height, layout.padded_width), np.uint8)
        assert tuple(encoder.intra(picture, 0).state.shape) == state_shape
    runtime = FakeRuntime()
    decoder = DecoderEngine(*placed(runtime, folded=folded), runtime)
    with runtime:
        decoder.prepare(layout)
        inter = ["extract", "_begin_video", "_context", "_advance_video", "_finish_video"]
        assert [call.name for call in runtime.calls] == [
            "_begin_image",
            *["_advance_image"] * 3,
            "_finish_image",
            *inter * 2,
        ]
        check(
            runtime,
            {
                "indexes": (torch.uint8, (64, rows, columns)),
                "code_values": (torch.uint8, (3, layout.padded_height, layout.padded_width)),
            },
        )
        assert all(tuple(call.outputs[-1].shape) == state_shape for call in runtime.calls if "finish" in call.name)


@pytest.mark.parametrize("size", SIZES)
def test_stretches_of_nano(size: tuple[int, int]) -> None:
    layout = Layout(*size)
    rows, columns = layout.latent_shape
    picture = (3, layout.padded_height, layout.padded_width)
    runtime = FakeRuntime()
    with torch.device("meta"):
        nano = Nano()
    encoder, decoder = TorchEncoder(runtime, nano), TorchDecoder(runtime, nano)
    with runtime:
        encoder.prepare(layout)
        decoder.prepare(layout)
    assert len(runtime.calls) == 6
    check(
        runtime,
        {
            "z": (torch.int8, (32, *layout.hyper_shape)),
            "symbols": (torch.int8, (64, rows, columns)),
            "code_values": (torch.uint8, picture),
        },
    )


# What must not be in a stretch, and what is said of it.
UNSAFE: list[tuple[str, Callable[[Tensor], object], str]] = [
    ("item", lambda x: x.sum().item(), "look at a value"),
    ("a condition", lambda x: x if x.sum() > 0 else -x, "look at a value"),
    ("equal", lambda x: torch.equal(x, x), "look at a value"),
    ("nonzero", lambda x: torch.ops.aten.nonzero(x), "look at a value"),
    ("a mask as index", lambda x: x[x > 0], "follows from a mask"),
    ("masked_select", lambda x: x.masked_select(x > 0), "look at a value"),
    ("unique", lambda x: torch.ops.aten._unique2(x), "follows from values"),
    ("to the host", lambda x: x.to("cpu"), "asks for cpu"),
    ("cpu", lambda x: x.cpu(), "asks for cpu"),
    ("a tensor on the host", lambda x: x + torch.ones(4), "asks for cpu|on cpu"),
    ("a scalar on the host", lambda x: x * torch.tensor(2.0), "on cpu"),
    ("pinned memory", lambda x: torch.empty(4, pin_memory=True), "host memory|on cpu"),
    ("random numbers", lambda x: torch.rand_like(x), "random"),
]


@pytest.mark.parametrize(("function", "reason"), [pytest.param(f, r, id=name) for name, f, r in UNSAFE])
def test_what_a_capture_cannot_hold_is_seen(function: Callable[[Tensor], object], reason: str) -> None:
    with FakeRuntime() as runtime:
        stretch = runtime.stretch(lambda x: (function(x),))  # type: ignore[arg-type, return-value]
        with pytest.raises(UnsafeInCaptureError, match=reason):
            stretch(runtime.tensor((4,)))


def test_masks_are_not_made_inside_stretches() -> None:
    """They are the same for every picture of a size; no stretch makes a table of positions again."""
    layout = Layout(72, 66)
    runtime = FakeRuntime()
    image, _ = placed(runtime, folded=False)
    with runtime:
        masks = step_masks(*layout.latent_shape, steps=4, like=runtime.tensor((1,)))
        picture, qp = runtime.tensor((1, 3, 80, 80)), runtime.tensor((1,), torch.int64)
        with torch.inference_mode(), CaptureSafety(CUDA) as ready:
            image.encode(picture, qp, masks)
        with torch.inference_mode(), CaptureSafety(CUDA) as made:
            image.encode(picture, qp)
    assert "aten::arange" in made.operators
    assert "aten::arange" not in ready.operators
