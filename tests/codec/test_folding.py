"""The folded networks compute what the unfolded ones compute, but for the last bits."""

import copy
import json
from functools import cache

import numpy as np
import pytest

pytest.importorskip("torch", reason="torch is not installed: pip install torch")

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from codec.cuda.eager import channels_last
from codec.cuda.folding import FoldedBlock, fold_image, fold_video
from codec.dcvc_rt.blocks import DepthConvBlock
from codec.dcvc_rt.checkpoint import new_model
from codec.dcvc_rt.coder import PictureDecoder, PictureEncoder
from codec.dcvc_rt.engine import DecoderEngine, EncoderEngine
from codec.dcvc_rt.image import ImageModel
from codec.dcvc_rt.video import VideoModel
from codec.layout import Layout
from codec.torch_runtime import EagerRuntime
from tests.codec.cuda_samples import image_model, model_tables, video_model
from tests.codec.samples import VECTORS_PATH

VECTOR = VECTORS_PATH / "dcvc-rt" / "golden_160x96_qp42.npz"
# Of the largest value of a tensor: a few roundings of float32.
TOLERANCE = 1e-5


@cache
def folded() -> tuple[ImageModel, VideoModel]:
    return fold_image(image_model()), fold_video(video_model())


@cache
def golden_pictures() -> tuple[Tensor, ...]:
    with np.load(VECTOR) as arrays:
        chroma = arrays["in_uv"].repeat(2, 2).repeat(2, 3)
        planes = np.concatenate((arrays["in_y"][:, None], chroma), axis=1)
    return tuple(torch.from_numpy(picture)[None].float() / 255 for picture in planes)


def close(found: Tensor, wanted: Tensor) -> None:
    assert found.shape == wanted.shape
    error = (found - wanted).abs().max() / wanted.abs().max()
    assert float(error) <= TOLERANCE


@pytest.mark.parametrize(
    ("inputs", "outputs", "shortcut", "adapt"),
    [
        (24, 24, False, False),
        (24, 24, True, False),
        (16, 24, False, False),
        (40, 24, False, False),
        (24, 24, False, True),
    ],
)
def test_a_folded_block_in_float64(inputs: int, outputs: int, shortcut: bool, adapt: bool) -> None:
    """So exact that a bias in the wrong place, even a small one, shows; edges included."""
    torch.manual_seed(inputs + outputs)
    block = DepthConvBlock(inputs, outputs, shortcut=shortcut, adapt=adapt).double().requires_grad_(False)
    x = torch.randn(1, inputs, 7, 5, dtype=torch.float64)
    torch.testing.assert_close(FoldedBlock(block)(x), block(x), rtol=1e-12, atol=1e-12)


@torch.inference_mode()
def test_parts_of_the_image_model_on_golden_pictures() -> None:
    one, two = image_model(), folded()[0]
    qp = torch.tensor([42])
    picture = golden_pictures()[0]
    y = one.enc(picture, one.q_scale_enc[qp])
    close(two.enc(picture, two.q_scale_enc[qp]), y)
    z_hat = one.hyper_enc(y[:, :, :4, :8]).round()
    close(two.hyper_enc(y[:, :, :4, :8]), one.hyper_enc(y[:, :, :4, :8]))
    params, common = one.params(z_hat, 4, 8)
    close(two.params(z_hat, 4, 8)[0], params)
    for step in (1, 2, 3):
        for found, wanted in zip(two.spatial(step, common, common), one.spatial(step, common, common), strict=True):
            close(found, wanted)
    y_hat = y.round()
    close(two.dec.dec_1(y_hat), one.dec.dec_1(y_hat))
    close(two.reconstruct(y_hat, qp), one.reconstruct(y_hat, qp))


@torch.inference_mode()
def test_parts_of_the_video_model_on_golden_pictures() -> None:
    one, two = video_model(), folded()[1]
    qp = torch.tensor([42])
    before, picture = golden_pictures()[:2]
    state = one.state_of_picture(before)
    close(two.state_of_picture(before), state)
    c1, temporal = one.extract(state, qp)
    for found, wanted in zip(two.extract(state, qp), (c1, temporal), strict=True):
        close(found, wanted)
    context = one.context(c1)
    close(two.context(c1), context)
    y = one.encoder(picture, context, one.q_encoder[qp])
    close(two.encoder(picture, context, two.q_encoder[qp]), y)
    padded = y[:, :, :4, :8]
    close(two.hyper_encoder(padded), one.hyper_encoder(padded))
    z_hat = one.hyper_encoder(padded).round()
    params = one.params(z_hat, temporal[:, :, :4, :8])
    close(two.params(z_hat, temporal[:, :, :4, :8]), params)
    half = params[:, :128]
    for found, wanted in zip(two.spatial(half, params), one.spatial(half, params), strict=True):
        close(found, wanted)
    feature = one.feature(y.round(), context, qp)
    close(two.feature(y.round(), context, qp), feature)
    close(two.reconstruct(feature, qp), one.reconstruct(feature, qp))
    close(two.state_of_feature(feature), one.state_of_feature(feature))


def test_a_folded_stream_decodes_to_its_own_states_and_to_the_unfolded_pictures() -> None:
    """Golden pictures through the whole codec, in the memory format of the GPU, where strides are least regular."""
    image, video = copy.deepcopy(folded())
    channels_last(image)
    channels_last(video)
    with np.load(VECTOR) as arrays:
        qps, pictures = arrays["frame_qp"], arrays["rec"]
        assert json.loads(str(arrays["meta"]))["force_zero_thres"] == image.skip_threshold
    layout = Layout(160, 96)
    encoder = PictureEncoder(EncoderEngine(image, video, EagerRuntime()), model_tables(), layout, warm=False)
    decoder = PictureDecoder(DecoderEngine(image, video, EagerRuntime()), model_tables(), layout, warm=False)
    state = decoded_state = None
    for t, picture in enumerate(golden_pictures()[:3]):
        planes = (picture[0] * 255).round().to(torch.uint8).numpy()
        reset = t == 1
        coded = encoder.encode(state, planes, qp=int(qps[t]), reset=reset, two_streams=False)
        decoded, check = decoder.decode(decoded_state, coded.payload, qp=int(qps[t]), reset=reset, two_streams=False)
        state, decoded_state = coded.state, decoded.state
        assert check == coded.check
        assert torch.equal(state, decoded_state)
        if t < 2:
            # The golden stream has no reset there. A rounding tie may fall the other way, so not to the last bit.
            assert np.abs(decoded.picture[0].numpy() - pictures[t]).mean() < 1e-3


def multiply_adds(image: nn.Module, video: nn.Module) -> dict[str, float]:
    """Of 1920x1088, by what is run: shapes without numbers."""
    assert isinstance(image, ImageModel)
    assert isinstance(video, VideoModel)
    qp = torch.zeros(1, dtype=torch.int64, device="meta")
    picture = torch.zeros(1, 3, 1088, 1920, device="meta")
    state = torch.zeros(1, 256, 136, 240, device="meta")
    counts = {}
    with FlopCounterMode(display=False) as counter:
        image.encode(picture, qp)
    counts["I front"] = counter.get_total_flops() / 2e9
    with FlopCounterMode(display=False) as counter:
        _, _, _, y_hat, context = video.encode(picture, state, qp)
    counts["P front"] = counter.get_total_flops() / 2e9
    with FlopCounterMode(display=False) as counter:
        video.reconstruct(video.feature(y_hat, context, qp), qp)
    counts["P back and picture"] = counter.get_total_flops() / 2e9
    return counts


def test_what_folding_costs_and_saves() -> None:
    """In multiply-adds little: what it saves is launches and memory. `docs/gpu.md` quotes these."""
    plain = [new_model("image", skip_threshold=None), new_model("video", skip_threshold=None)]
    image, video = plain
    assert isinstance(image, ImageModel)
    assert isinstance(video, VideoModel)
    fewer = [fold_image(image), fold_video(video)]
    before, after = multiply_adds(*plain), multiply_adds(*fewer)
    assert {key: round(after[key] - before[key], 1) for key in before} == {
        "I front": -3.3,
        "P front": -0.1,
        "P back and picture": 1.5,
    }
    layers = [sum(isinstance(m, nn.Conv2d) for model in models for m in model.modules()) for models in (plain, fewer)]
    assert layers == [360, 346]
