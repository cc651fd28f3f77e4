"""The paper's residual block (section 2). The parts that change the size are those of `codec.blocks`."""

import torch
from torch import Tensor, nn


def wsilu(x: Tensor) -> Tensor:
    """x * sigmoid(4 x), the only activation."""
    return x * torch.sigmoid(4.0 * x)


class WSiLU(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return wsilu(x)


class HalvesWSiLU(nn.Module):
    """WSiLU, then the two halves of the channels added: what stands between the convolutions of `ffn`."""

    def forward(self, x: Tensor) -> Tensor:
        first, second = wsilu(x).chunk(2, dim=1)
        return first + second


class DepthConvBlock(nn.Module):
    """A depthwise stage and a feed-forward stage, both residual: 8 C^2 multiply-adds a position.

    adapt: give the block an adaptor although inputs equal outputs.
    """

    def __init__(self, inputs: int, outputs: int, *, shortcut: bool = False, adapt: bool = False) -> None:
        super().__init__()
        c = outputs
        self.adaptor = nn.Conv2d(inputs, c, 1) if adapt or inputs != c else nn.Identity()
        self.dc = nn.Sequential(
            nn.Conv2d(c, c, 1), WSiLU(), nn.Conv2d(c, c, 3, padding=1, groups=c), nn.Conv2d(c, c, 1)
        )
        self.ffn = nn.Sequential(nn.Conv2d(c, 4 * c, 1), HalvesWSiLU(), nn.Conv2d(2 * c, c, 1))
        self.shortcut = shortcut

    def forward(self, x: Tensor) -> Tensor:
        x0 = self.adaptor(x)
        a = self.dc(x0) + x0
        b: Tensor = self.ffn(a) + a
        return b + x0 if self.shortcut else b


def block(inputs: int, outputs: int, shortcut: bool) -> DepthConvBlock:
    """As a `codec.blocks.BlockFactory`."""
    return DepthConvBlock(inputs, outputs, shortcut=shortcut)


def blocks(channels: int, count: int) -> list[DepthConvBlock]:
    return [DepthConvBlock(channels, channels) for _ in range(count)]
