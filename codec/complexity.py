"""What a network costs: parameters, and multiply-accumulates of its convolutions, module by module.

Nothing is computed: models and pictures are on torch's `meta` device, which has shapes and no values, so 1080p takes a
moment and no memory.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from codec.dcvc_rt import FEATURE_CHANNELS, HYPER_CHANNELS, STEP_CHANNELS
from codec.dcvc_rt.checkpoint import new_model
from codec.dcvc_rt.image import ImageModel
from codec.dcvc_rt.video import VideoModel
from codec.layout import FileLayout

Macs = dict[str, int]
"""Multiply-accumulates by module, dotted names cut to the depth asked for."""


@dataclass(frozen=True, slots=True)
class DcvcRtMacs:
    """Multiply-accumulates of one picture, by module (section 10.6).

    intra_encode, inter_encode: symbols and the state for the next picture; of an inter picture the state is made from
    the feature. reset_extra: what making it from the picture adds. intra_decode, inter_decode: pictures and, for inter,
    the state too.
    """

    intra_encode: Macs
    intra_decode: Macs
    inter_encode: Macs
    inter_decode: Macs
    reset_extra: int


def parameters(model: nn.Module) -> dict[str, int]:
    """Parameters by top-level module."""
    counts: dict[str, int] = {}
    for key, value in model.state_dict().items():
        name = key.partition(".")[0]
        counts[name] = counts.get(name, 0) + value.numel()
    return counts


@contextmanager
def counting(model: nn.Module, *, depth: int = 1) -> Iterator[Macs]:
    """Count the convolutions that run inside, under the first `depth` parts of their names."""
    counts: Macs = {}

    def counter(name: str, module: nn.Conv2d) -> Callable[[nn.Module, tuple[Tensor, ...], Tensor], None]:
        rows, columns = module.kernel_size
        per_value = module.in_channels // module.groups * rows * columns

        def count(_: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
            counts[name] = counts.get(name, 0) + output.numel() * per_value

        return count

    hooks = [
        module.register_forward_hook(counter(".".join(name.split(".")[:depth]), module))
        for name, module in model.named_modules()
        if isinstance(module, nn.Conv2d)
    ]
    try:
        yield counts
    finally:
        for hook in hooks:
            hook.remove()


def dcvc_rt_macs(width: int, height: int, *, depth: int = 1) -> DcvcRtMacs:
    """Of pictures of this size after padding to multiples of 16."""
    image, video = new_model("image", skip_threshold=None), new_model("video", skip_threshold=None)
    assert isinstance(image, ImageModel)
    assert isinstance(video, VideoModel)
    layout = FileLayout(width, height)
    with torch.inference_mode(), torch.device("meta"):
        qp = torch.zeros(1, dtype=torch.int64)
        picture = torch.zeros(1, 3, layout.padded_height, layout.padded_width)
        z = torch.zeros(1, HYPER_CHANNELS, *layout.hyper_shape)
        symbols = torch.zeros(STEP_CHANNELS, *layout.latent_shape)
        state = torch.zeros(1, FEATURE_CHANNELS, *layout.state_size)
        with counting(image, depth=depth) as intra_encode:
            *_, y_hat = image.encode(picture, qp)
            image.reconstruct(y_hat, qp)
        with counting(image, depth=depth) as intra_decode:
            _, means, acc, common, params = image.begin(z, *layout.latent_shape)
            for step in (1, 2, 3):
                _, means, acc = image.advance(step, symbols, means, acc, common)
            image.reconstruct(image.latents(symbols, means, acc, params), qp)
        with counting(video, depth=depth) as inter_encode:
            *_, y_hat, context = video.encode(picture, state, qp)
            feature = video.feature(y_hat, context, qp)
            plain_state = sum(_counted(video, lambda: video.state_of_feature(feature)).values())
        with counting(video, depth=depth) as inter_decode:
            c1, temporal = video.extract(state, qp)
            context = video.context(c1)
            _, params = video.begin(z, temporal)
            _, means, part = video.advance(symbols, params)
            feature = video.feature(video.latents(symbols, means, part, params), context, qp)
            video.reconstruct(feature, qp)
            video.state_of_feature(feature)
        reset = sum(_counted(video, lambda: video.state_of_picture(picture)).values())
    return DcvcRtMacs(intra_encode, intra_decode, inter_encode, inter_decode, reset - plain_state)


def _counted(model: nn.Module, run: Callable[[], object]) -> Macs:
    with counting(model) as counts:
        run()
    return counts
