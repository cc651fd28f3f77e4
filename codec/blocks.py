"""What the networks of both profiles are built of, in torch. Attribute names are the keys of the weights files.

The profiles differ in the residual block at every scale (`nano`'s LiteBlock, the paper's DepthConvBlock), so the parts
that change the size take it as an argument.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

# (inputs, outputs, shortcut) -> block
BlockFactory = Callable[[int, int, bool], nn.Module]

Z_MIN, Z_MAX = -128, 127


class PixelUp2(nn.Module):
    """Twice the size: convolution to four times the channels, pixel shuffle (`up` in the weights files)."""

    def __init__(self, inputs: int, outputs: int, *, kernel: int = 1) -> None:
        super().__init__()
        self.conv = nn.Sequential(nn.Conv2d(inputs, 4 * outputs, kernel, padding=kernel // 2), nn.PixelShuffle(2))

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.conv(x)
        return y


class Down2(nn.Module):
    """Half the size in each direction: conv 2/2/0, then a block with a shortcut."""

    def __init__(self, inputs: int, outputs: int, block: BlockFactory) -> None:
        super().__init__()
        self.down = nn.Conv2d(inputs, outputs, 2, stride=2)
        self.conv = block(outputs, outputs, True)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.conv(self.down(x))
        return y


class Up2(nn.Module):
    """Twice the size in each direction, then a block with a shortcut."""

    def __init__(self, inputs: int, outputs: int, block: BlockFactory) -> None:
        super().__init__()
        self.up = PixelUp2(inputs, outputs)
        self.conv = block(outputs, outputs, True)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.conv(self.up(x))
        return y


class Named(nn.Module):
    """A sequence one level down, where the weights files have a `conv` in the key."""

    def __init__(self, conv: nn.Sequential) -> None:
        super().__init__()
        self.conv = conv

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.conv(x)
        return y


def table(rows: int, channels: int) -> nn.Parameter:
    """A vector of `channels` for every QP row."""
    return nn.Parameter(torch.ones(rows, channels, 1, 1))


def pad_to_multiple_of_4(y: Tensor) -> Tensor:
    """Replicate right and bottom: only the hyper encoder sees the padding."""
    height, width = y.shape[-2:]
    return F.pad(y, (0, -width % 4, 0, -height % 4), mode="replicate")


def quantise_z(z: Tensor) -> Tensor:
    return torch.clamp(torch.round(z), Z_MIN, Z_MAX)
