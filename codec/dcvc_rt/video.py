"""The video (inter) network, "DMC" (section 4). Attribute names are the keys of the checkpoint.

Shapes as in `codec.dcvc_rt.image`, but y has 128 channels, 2 steps, and a QP is the shifted one, 0..71. A *state* is
the adapted reference, (1, 256, H/8, W/8): `state_of_picture` or `state_of_feature` of the picture or feature F that a
frame leaves behind. The adaptor runs at the end of the frame that makes the state, not at the start of the one that
uses it; the arithmetic is the same. masks: as there.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from codec.blocks import Down2, Named, PixelUp2, Up2, pad_to_multiple_of_4, quantise_z, table
from codec.dcvc_rt import FEATURE_CHANNELS, HYPER_CHANNELS, PATCH_CHANNELS, VIDEO_STEPS
from codec.dcvc_rt.blocks import DepthConvBlock, block, blocks
from codec.dcvc_rt.latents import dequantise_step, folded_scales, quantise_step, scale_indexes, step_masks
from codec.dcvc_rt.tables import FactorizedPrior
from codec.layout import INTER_QP_ROWS

LATENT_CHANNELS = 128
PRIOR_CHANNELS = 384
PICTURE_CHANNELS = 320
MIN_STEP = 0.5


class Extractor(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Sequential(*blocks(FEATURE_CHANNELS, 2))
        self.conv2 = nn.Sequential(*blocks(FEATURE_CHANNELS, 4))


class VideoEncoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        c = FEATURE_CHANNELS
        self.conv1 = nn.Conv2d(PATCH_CHANNELS, c, 1)
        self.conv2 = nn.Sequential(DepthConvBlock(2 * c, c), DepthConvBlock(c, c))
        self.conv3 = DepthConvBlock(c, c)
        self.down = nn.Conv2d(c, LATENT_CHANNELS, 3, stride=2, padding=1)

    def forward(self, picture: Tensor, context: Tensor, scale: Tensor) -> Tensor:
        x = torch.cat((self.conv1(F.pixel_unshuffle(picture, 8)), context), dim=1)
        y: Tensor = self.down(self.conv3(self.conv2(x)) * scale)
        return y


class VideoDecoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        c = FEATURE_CHANNELS
        self.up = PixelUp2(LATENT_CHANNELS, c, kernel=3)
        self.conv1 = nn.Sequential(DepthConvBlock(2 * c, c), *blocks(c, 2))
        self.conv2 = nn.Conv2d(c, c, 1)

    def forward(self, y_hat: Tensor, context: Tensor, scale: Tensor) -> Tensor:
        feature: Tensor = self.conv2(self.conv1(torch.cat((self.up(y_hat), context), dim=1))) * scale
        return feature


class Reconstruction(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        c = PICTURE_CHANNELS
        self.conv = nn.Sequential(DepthConvBlock(FEATURE_CHANNELS, c), *blocks(c, 3))
        self.head = nn.Conv2d(c, PATCH_CHANNELS, 1)

    def forward(self, feature: Tensor, scale: Tensor) -> Tensor:
        return F.pixel_shuffle(self.head(self.conv(feature) * scale), 8).clamp(0, 1)


class VideoModel(nn.Module):
    """skip_threshold: elements whose scale does not exceed it are not coded (6.5); None codes all."""

    def __init__(self, *, skip_threshold: float | None) -> None:
        super().__init__()
        self.skip_threshold = skip_threshold
        c, z, y, p = FEATURE_CHANNELS, HYPER_CHANNELS, LATENT_CHANNELS, PRIOR_CHANNELS
        self.q_encoder = table(INTER_QP_ROWS, c)
        self.q_decoder = table(INTER_QP_ROWS, c)
        self.q_feature = table(INTER_QP_ROWS, c)
        self.q_recon = table(INTER_QP_ROWS, PICTURE_CHANNELS)
        self.bit_estimator_z = FactorizedPrior(INTER_QP_ROWS)
        self.feature_adaptor_i = DepthConvBlock(PATCH_CHANNELS, c)
        self.feature_adaptor_p = nn.Conv2d(c, c, 1)
        self.feature_extractor = Extractor()
        self.encoder = VideoEncoder()
        self.hyper_encoder = Named(nn.Sequential(DepthConvBlock(y, z), Down2(z, z, block), Down2(z, z, block)))
        self.hyper_decoder = Named(nn.Sequential(Up2(z, z, block), Up2(z, z, block), DepthConvBlock(z, y)))
        self.temporal_prior_encoder = Down2(c, c, block)
        self.y_prior_fusion = Named(nn.Sequential(*blocks(p, 3), nn.Conv2d(p, p, 1)))
        self.y_spatial_prior = Named(
            nn.Sequential(DepthConvBlock(p + y, p), DepthConvBlock(p, p), nn.Conv2d(p, 2 * y, 1))
        )
        self.decoder = VideoDecoder()
        self.recon_generation_net = Reconstruction()

    def state_of_picture(self, picture: Tensor) -> Tensor:
        state: Tensor = self.feature_adaptor_i(F.pixel_unshuffle(picture, 8))
        return state

    def state_of_feature(self, feature: Tensor) -> Tensor:
        state: Tensor = self.feature_adaptor_p(feature)
        return state

    def extract(self, state: Tensor, qp: Tensor) -> tuple[Tensor, Tensor]:
        """c1 and the temporal prior, which sees c1 scaled: all that the scales need of the reference."""
        c1 = self.feature_extractor.conv1(state)
        return c1, self.temporal_prior_encoder(c1 * self.q_feature[qp])

    def context(self, c1: Tensor) -> Tensor:
        """The context that encoder and decoder see."""
        context: Tensor = self.feature_extractor.conv2(c1)
        return context

    def params(self, z_hat: Tensor, temporal: Tensor) -> Tensor:
        """What z and the reference say of y: quantiser step, scales, means, (1, 384, rows, columns)."""
        hyper = self.hyper_decoder(z_hat)[:, :, : temporal.shape[2], : temporal.shape[3]]
        params: Tensor = self.y_prior_fusion(torch.cat((hyper, temporal), dim=1))
        return params

    def spatial(self, y_hat_0: Tensor, params: Tensor) -> tuple[Tensor, Tensor]:
        """Scales and means of step 1."""
        scales, means = self.y_spatial_prior(torch.cat((y_hat_0, params), dim=1)).chunk(2, dim=1)
        return scales, means

    def encode(
        self, picture: Tensor, state: Tensor, qp: Tensor, masks: Sequence[Tensor] | None = None
    ) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        """z_hat, symbols (2, 64, h, w), table numbers (2, 64, h, w), y_hat and the context."""
        c1, temporal = self.extract(state, qp)
        context = self.context(c1)
        y = self.encoder(picture, context, self.q_encoder[qp])
        z_hat = quantise_z(self.hyper_encoder(pad_to_multiple_of_4(y)))
        params = self.params(z_hat, temporal)
        raw_step, scales, means = params.chunk(3, dim=1)
        step = raw_step.clamp(min=MIN_STEP)
        y = y * torch.reciprocal(step)
        masks = masks or step_masks(*y.shape[2:], steps=VIDEO_STEPS, like=y)
        q_0, s_0, part_0 = quantise_step(y, scales, means, masks[0], skip_threshold=self.skip_threshold)
        scales, means = self.spatial(part_0, params)
        q_1, s_1, part_1 = quantise_step(y, scales, means, masks[1], skip_threshold=self.skip_threshold)
        indexes = [scale_indexes(s, skip_threshold=self.skip_threshold) for s in (s_0, s_1)]
        return z_hat, torch.stack((q_0, q_1)), torch.stack(indexes), (part_0 + part_1) * step, context

    def begin(self, z_hat: Tensor, temporal: Tensor, masks: Sequence[Tensor] | None = None) -> tuple[Tensor, Tensor]:
        """Before any symbol of y: table numbers of step 0, params."""
        params = self.params(z_hat, temporal)
        return self._indexes(0, params.chunk(3, dim=1)[1], masks), params

    def advance(
        self, symbols: Tensor, params: Tensor, masks: Sequence[Tensor] | None = None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Take the symbols of step 0; table numbers and means of step 1, and step 0's part of y_hat."""
        means = params.chunk(3, dim=1)[2]
        part_0 = dequantise_step(symbols, means, self._mask(0, means, masks))
        scales, means = self.spatial(part_0, params)
        return self._indexes(1, scales, masks), means, part_0

    def latents(
        self, symbols: Tensor, means: Tensor, part_0: Tensor, params: Tensor, masks: Sequence[Tensor] | None = None
    ) -> Tensor:
        """Take the symbols of step 1; y_hat."""
        part_1 = dequantise_step(symbols, means, self._mask(1, means, masks))
        return (part_0 + part_1) * params.chunk(3, dim=1)[0].clamp(min=MIN_STEP)

    def feature(self, y_hat: Tensor, context: Tensor, qp: Tensor) -> Tensor:
        """The new feature F: what the picture and the next state are made of."""
        feature: Tensor = self.decoder(y_hat, context, self.q_decoder[qp])
        return feature

    def reconstruct(self, feature: Tensor, qp: Tensor) -> Tensor:
        """The picture."""
        picture: Tensor = self.recon_generation_net(feature, self.q_recon[qp])
        return picture

    def _mask(self, step: int, like: Tensor, masks: Sequence[Tensor] | None) -> Tensor:
        return (masks or step_masks(*like.shape[2:], steps=VIDEO_STEPS, like=like))[step]

    def _indexes(self, step: int, scales: Tensor, masks: Sequence[Tensor] | None) -> Tensor:
        folded = folded_scales(scales, self._mask(step, scales, masks))
        return scale_indexes(folded, skip_threshold=self.skip_threshold)
