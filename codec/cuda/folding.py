"""Fewer and larger layers for the GPU, by algebra alone (section 10.3 of `docs/dcvc-rt.md`).

* A block's adaptor and its first 1x1 convolution are both linear in the block's input: one convolution to 2C channels
  makes both. Its biases are W0*b_a + b_0 and b_a.
* The bias of the depthwise convolution goes through the 1x1 convolution behind it: W3*b_dw + b_3. Exact, since what is
  padded with zeros is the activation in front.
* `encoder.conv1` meets `encoder.conv2.0` in nothing but the left half of its adaptor.

Sums are rounded in another order than in the unfolded network, so results differ in the last bits, and both ends of a
`dcvc-rt` stream must fold alike. Folding is for live streams on a GPU. Files, and conformance, run the unfolded network
in float32 on a CPU: that is the arithmetic of the published format's golden vectors.

Everything is computed in float64 and rounded once, to the type of the weights.
"""

import copy
from typing import TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from codec.dcvc_rt.blocks import DepthConvBlock
from codec.dcvc_rt.image import ImageModel
from codec.dcvc_rt.video import VideoEncoder, VideoModel

Model = TypeVar("Model", ImageModel, VideoModel)


def _matrix(conv: nn.Conv2d) -> Tensor:
    """Weights of a 1x1 convolution, float64 (outputs, inputs)."""
    return conv.weight.detach().double()[:, :, 0, 0]


def _bias(conv: nn.Conv2d) -> Tensor:
    assert conv.bias is not None
    return conv.bias.detach().double()


def _conv1x1(weight: Tensor, bias: Tensor, like: Tensor) -> nn.Conv2d:
    """weight: float64 (outputs, inputs). like: type and device."""
    with torch.device("meta"):
        conv = nn.Conv2d(weight.shape[1], weight.shape[0], 1)
    conv.weight = nn.Parameter(weight[:, :, None, None].to(like.dtype), requires_grad=False)
    conv.bias = nn.Parameter(bias.to(like.dtype), requires_grad=False)
    return conv


def _conv(module: nn.Module) -> nn.Conv2d:
    assert isinstance(module, nn.Conv2d)
    return module


class FoldedBlock(nn.Module):
    """A `DepthConvBlock` in three convolutions where it has four, and a depthwise one without bias.

    front: the activation's input, and behind it the residual's start where the block has an adaptor.
    """

    def __init__(self, original: DepthConvBlock, *, before: nn.Conv2d | None = None) -> None:
        """before: a 1x1 convolution that makes the first of the block's inputs; the folded block takes its input."""
        super().__init__()
        first, activation, depthwise, last = original.dc
        first, depthwise, last = _conv(first), _conv(depthwise), _conv(last)
        weight, bias = _matrix(first), _bias(first)
        self.adapts = isinstance(original.adaptor, nn.Conv2d)
        assert not (self.adapts and original.shortcut)
        if self.adapts:
            adaptor, offset = _matrix(_conv(original.adaptor)), _bias(_conv(original.adaptor))
            if before is not None:
                made = before.out_channels
                offset = offset + adaptor[:, :made] @ _bias(before)
                adaptor = torch.cat((adaptor[:, :made] @ _matrix(before), adaptor[:, made:]), dim=1)
            weight, bias = torch.cat((weight @ adaptor, adaptor)), torch.cat((weight @ offset + bias, offset))
        self.front = _conv1x1(weight, bias, first.weight)
        self.activation = activation
        with torch.device("meta"):
            c = depthwise.out_channels
            self.depthwise = nn.Conv2d(c, c, 3, padding=1, groups=c, bias=False)
        self.depthwise.weight = depthwise.weight
        self.last = _conv1x1(_matrix(last), _matrix(last) @ _bias(depthwise) + _bias(last), last.weight)
        self.ffn = original.ffn
        self.shortcut = original.shortcut

    def forward(self, x: Tensor) -> Tensor:
        t = self.front(x)
        if self.adapts:
            t, x = t.chunk(2, dim=1)
        a = self.last(self.depthwise(self.activation(t))) + x
        b: Tensor = self.ffn(a) + a
        return b + x if self.shortcut else b


class FoldedVideoEncoder(nn.Module):
    """`VideoEncoder` whose first convolution has gone into the block behind it."""

    def __init__(self, original: VideoEncoder) -> None:
        super().__init__()
        first, second = original.conv2
        assert isinstance(first, DepthConvBlock)
        assert isinstance(second, DepthConvBlock)
        self.conv2 = nn.Sequential(FoldedBlock(first, before=original.conv1), FoldedBlock(second))
        self.conv3 = FoldedBlock(original.conv3)
        self.down = original.down

    def forward(self, picture: Tensor, context: Tensor, scale: Tensor) -> Tensor:
        x = torch.cat((F.pixel_unshuffle(picture, 8), context), dim=1)
        y: Tensor = self.down(self.conv3(self.conv2(x)) * scale)
        return y


def fold_image(model: ImageModel) -> ImageModel:
    """A folded copy that every caller can use as it would `model`, but for the keys of its state dict."""
    return _folded(model)


def fold_video(model: VideoModel) -> VideoModel:
    """As `fold_image`."""
    return _folded(model)


def _folded(model: Model) -> Model:
    folded = copy.deepcopy(model)
    _fold_within(folded)
    return folded


def _fold_within(module: nn.Module) -> None:
    for name, child in module.named_children():
        if isinstance(child, DepthConvBlock):
            setattr(module, name, FoldedBlock(child))
        elif isinstance(child, VideoEncoder):
            setattr(module, name, FoldedVideoEncoder(child))
        else:
            _fold_within(child)
