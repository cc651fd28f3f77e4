"""The image (intra) network, "DMCI" (section 3). Attribute names are the keys of the checkpoint.

A picture is (1, 3, H, W), full-range YCbCr 0..1, H and W multiples of 16; y and y_hat are (1, 256, H/16, W/16); z_hat
is (1, 128, ceil(H/64), ceil(W/64)); a QP is an int64 tensor of shape (1,), 0..63. Symbols and table numbers are
folded, (64, H/16, W/16) a step.

The encoder runs in one go. The decoder stops wherever the entropy coder must have its turn: `begin`, three times
`advance`, `reconstruct`; everything handed from one to the next is a tensor, so each can be a captured graph.

masks: `step_masks` of the size, where the caller has them ready; without, they are made on the spot.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from codec.blocks import Down2, Up2, pad_to_multiple_of_4, quantise_z, table
from codec.dcvc_rt import HYPER_CHANNELS, IMAGE_STEPS, PATCH_CHANNELS
from codec.dcvc_rt.blocks import DepthConvBlock, block, blocks
from codec.dcvc_rt.latents import dequantise_step, folded_scales, quantise_step, scale_indexes, step_masks
from codec.dcvc_rt.tables import FactorizedPrior
from codec.layout import INTRA_QP_ROWS

CHANNELS = 368
LATENT_CHANNELS = 256
PRIOR_CHANNELS = 512


class ImageEncoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        c = CHANNELS
        self.enc_1 = DepthConvBlock(PATCH_CHANNELS, c)
        self.enc_2 = nn.Sequential(*blocks(c, 6), nn.Conv2d(c, LATENT_CHANNELS, 3, stride=2, padding=1))

    def forward(self, picture: Tensor, scale: Tensor) -> Tensor:
        y: Tensor = self.enc_2(self.enc_1(F.pixel_unshuffle(picture, 8)) * scale)
        return y


class ImageDecoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        c = CHANNELS
        self.dec_1 = nn.Sequential(Up2(LATENT_CHANNELS, c, block), *blocks(c, 12))
        self.dec_2 = DepthConvBlock(c, PATCH_CHANNELS)

    def forward(self, y_hat: Tensor, scale: Tensor) -> Tensor:
        return F.pixel_shuffle(self.dec_2(self.dec_1(y_hat) * scale), 8).clamp(0, 1)


def step_size(raw: Tensor) -> Tensor:
    """One quantiser step a position, between 0.5 and 2."""
    return 0.5 + 1.5 * torch.sigmoid(raw)


class ImageModel(nn.Module):
    """skip_threshold: elements whose scale does not exceed it are not coded (6.5); None codes all."""

    def __init__(self, *, skip_threshold: float | None) -> None:
        super().__init__()
        self.skip_threshold = skip_threshold
        c, p, y = HYPER_CHANNELS, PRIOR_CHANNELS, LATENT_CHANNELS
        self.q_scale_enc = table(INTRA_QP_ROWS, CHANNELS)
        self.q_scale_dec = table(INTRA_QP_ROWS, CHANNELS)
        self.bit_estimator_z = FactorizedPrior(INTRA_QP_ROWS)
        self.enc = ImageEncoder()
        self.hyper_enc = nn.Sequential(DepthConvBlock(y, c), Down2(c, c, block), Down2(c, c, block))
        self.hyper_dec = nn.Sequential(Up2(c, c, block), Up2(c, c, block), DepthConvBlock(c, y))
        self.y_prior_fusion = nn.Sequential(DepthConvBlock(y, p), *blocks(p, 2), nn.Conv2d(p, 2 * y + 2, 1))
        self.y_spatial_prior_reduction = nn.Conv2d(2 * y + 2, y, 1)
        self.y_spatial_prior_adaptor_1 = DepthConvBlock(p, p, adapt=True)
        self.y_spatial_prior_adaptor_2 = DepthConvBlock(p, p, adapt=True)
        self.y_spatial_prior_adaptor_3 = DepthConvBlock(p, p, adapt=True)
        self.y_spatial_prior = nn.Sequential(*blocks(p, 3), nn.Conv2d(p, 2 * y, 1))
        self.dec = ImageDecoder()

    def params(self, z_hat: Tensor, rows: int, columns: int) -> tuple[Tensor, Tensor]:
        """What z says of y: params (1, 514, rows, columns) and the features common to all later steps."""
        params = self.y_prior_fusion(self.hyper_dec(z_hat))[:, :, :rows, :columns]
        return params, self.y_spatial_prior_reduction(params)

    def spatial(self, step: int, acc: Tensor, common: Tensor) -> tuple[Tensor, Tensor]:
        """Scales and means of step 1, 2 or 3 from the sum of the steps before."""
        adaptors = (self.y_spatial_prior_adaptor_1, self.y_spatial_prior_adaptor_2, self.y_spatial_prior_adaptor_3)
        scales, means = self.y_spatial_prior(adaptors[step - 1](torch.cat((acc, common), dim=1))).chunk(2, dim=1)
        return scales, means

    def encode(
        self, picture: Tensor, qp: Tensor, masks: Sequence[Tensor] | None = None
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """z_hat, symbols (4, 64, h, w), table numbers (4, 64, h, w) and y_hat."""
        y = self.enc(picture, self.q_scale_enc[qp])
        z_hat = quantise_z(self.hyper_enc(pad_to_multiple_of_4(y)))
        rows, columns = y.shape[2:]
        params, common = self.params(z_hat, rows, columns)
        y = y * step_size(params[:, :1])
        scales, means = params[:, 2:].chunk(2, dim=1)
        acc = torch.zeros_like(y)
        symbols, indexes = [], []
        for step, mask in enumerate(masks or step_masks(rows, columns, steps=IMAGE_STEPS, like=y)):
            if step > 0:
                scales, means = self.spatial(step, acc, common)
            q, s, part = quantise_step(y, scales, means, mask, skip_threshold=self.skip_threshold)
            symbols.append(q)
            indexes.append(scale_indexes(s, skip_threshold=self.skip_threshold))
            acc = acc + part
        return z_hat, torch.stack(symbols), torch.stack(indexes), acc * step_size(params[:, 1:2])

    def begin(
        self, z_hat: Tensor, rows: int, columns: int, masks: Sequence[Tensor] | None = None
    ) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        """Before any symbol of y: table numbers and means of step 0, y_hat so far (0), common features, params."""
        params, common = self.params(z_hat, rows, columns)
        scales, means = params[:, 2:].chunk(2, dim=1)
        return self._indexes(0, scales, masks), means, torch.zeros_like(means), common, params

    def advance(
        self,
        step: int,
        symbols: Tensor,
        means: Tensor,
        acc: Tensor,
        common: Tensor,
        masks: Sequence[Tensor] | None = None,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Take the symbols of step - 1; table numbers and means of `step` (1..3), and y_hat so far."""
        acc = acc + dequantise_step(symbols, means, self._mask(step - 1, means, masks))
        scales, means = self.spatial(step, acc, common)
        return self._indexes(step, scales, masks), means, acc

    def latents(
        self, symbols: Tensor, means: Tensor, acc: Tensor, params: Tensor, masks: Sequence[Tensor] | None = None
    ) -> Tensor:
        """Take the symbols of the last step; y_hat."""
        acc = acc + dequantise_step(symbols, means, self._mask(IMAGE_STEPS - 1, means, masks))
        return acc * step_size(params[:, 1:2])

    def reconstruct(self, y_hat: Tensor, qp: Tensor) -> Tensor:
        """The picture."""
        picture: Tensor = self.dec(y_hat, self.q_scale_dec[qp])
        return picture

    def _mask(self, step: int, like: Tensor, masks: Sequence[Tensor] | None) -> Tensor:
        return (masks or step_masks(*like.shape[2:], steps=IMAGE_STEPS, like=like))[step]

    def _indexes(self, step: int, scales: Tensor, masks: Sequence[Tensor] | None) -> Tensor:
        folded = folded_scales(scales, self._mask(step, scales, masks))
        return scale_indexes(folded, skip_threshold=self.skip_threshold)
