"""The `nano` networks in torch, written to read top to bottom like their specification (`docs/nano.md`).

This is the reference: the shipped ONNX graphs are exported from it (`codec.nano.export`), and tests hold the graphs
against it. Nothing on the base path imports this module, so a viewer or server on a CPU never loads torch.

Shapes: a picture is (1, 3, H, W) float, full-range BT.709 YCbCr, 0..1, H and W multiples of 16; a state is the
*adapted* reference, (1, 64, H/8, W/8); symbols are (1, 64, H/16, W/16); z is (1, 32, ceil(H/64), ceil(W/64)).
Module names are the keys of the weights file.
"""

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from codec.blocks import Down2, Named, PixelUp2, Up2, pad_to_multiple_of_4, quantise_z, table
from codec.layout import INTER_QP_ROWS, INTRA_QP_ROWS
from codec.nano import HYPER_CHANNELS, LATENT_CHANNELS, STATE_CHANNELS

FEATURE_CHANNELS = STATE_CHANNELS
PRIOR_CHANNELS = 96
INTRA_CHANNELS = 96
PATCH_CHANNELS = 3 * 8 * 8

SYMBOL_LIMIT = 127
MIN_STEP = 0.5


def patch_conv(conv: nn.Conv2d, picture: Tensor) -> Tensor:
    """conv1x1 on PU(8) of the picture, as the one 8x8 convolution with stride 8 that it is.

    The pixel unshuffle orders channels as c*64 + dy*8 + dx, so the weights only change shape. On a CPU this saves the
    transposes, a tenth of the encoder.
    """
    weight = conv.weight.view(conv.out_channels, 3, 8, 8)
    return F.conv2d(picture, weight, conv.bias, stride=8)


class DepthwiseStage(nn.Sequential):
    """conv1x1, ReLU, depthwise 3x3, conv1x1 (`dc` in the weights file)."""

    def __init__(self, channels: int) -> None:
        super().__init__(
            nn.Conv2d(channels, channels, 1),
            nn.ReLU(),
            nn.Conv2d(channels, channels, 3, padding=1, groups=channels),
            nn.Conv2d(channels, channels, 1),
        )


class LiteBlock(nn.Module):
    """Depthwise stage and a plain feed-forward stage, both residual: 6 C^2 multiply-adds a position."""

    def __init__(self, inputs: int, outputs: int, *, shortcut: bool = False) -> None:
        super().__init__()
        self.adaptor = nn.Conv2d(inputs, outputs, 1) if inputs != outputs else nn.Identity()
        self.dc = DepthwiseStage(outputs)
        self.ffn = nn.Sequential(nn.Conv2d(outputs, 2 * outputs, 1), nn.ReLU(), nn.Conv2d(2 * outputs, outputs, 1))
        self.shortcut = shortcut

    def forward(self, x: Tensor) -> Tensor:
        return self.body(self.adaptor(x))

    def of_picture(self, picture: Tensor) -> Tensor:
        """The block on PU(8) of a picture; its adaptor is what meets the patches."""
        assert isinstance(self.adaptor, nn.Conv2d)
        return self.body(patch_conv(self.adaptor, picture))

    def body(self, x: Tensor) -> Tensor:
        a = x + self.dc(x)
        b: Tensor = a + self.ffn(a)
        return b + x if self.shortcut else b


def block(inputs: int, outputs: int, shortcut: bool) -> LiteBlock:
    """As a `codec.blocks.BlockFactory`."""
    return LiteBlock(inputs, outputs, shortcut=shortcut)


def hyper_encoder() -> nn.Sequential:
    c = HYPER_CHANNELS
    return nn.Sequential(LiteBlock(LATENT_CHANNELS, c), Down2(c, c, block), Down2(c, c, block))


def hyper_decoder() -> nn.Sequential:
    c = HYPER_CHANNELS
    return nn.Sequential(Up2(c, c, block), Up2(c, c, block), LiteBlock(c, LATENT_CHANNELS))


def prior_fusion(inputs: int) -> nn.Sequential:
    return nn.Sequential(LiteBlock(inputs, PRIOR_CHANNELS), nn.Conv2d(PRIOR_CHANNELS, 2 * LATENT_CHANNELS, 1))


def spatial_prior() -> nn.Sequential:
    return nn.Sequential(LiteBlock(3 * LATENT_CHANNELS, PRIOR_CHANNELS), nn.Conv2d(PRIOR_CHANNELS, LATENT_CHANNELS, 1))


def step_0_mask(y: Tensor) -> Tensor:
    """1 where a latent is coded in step 0: channels 0..31 on even row+col, 32..63 on odd. Shape of `y`."""
    h, w = y.shape[-2:]
    rows = torch.arange(h, device=y.device).view(1, 1, h, 1)
    cols = torch.arange(w, device=y.device).view(1, 1, 1, w)
    odd = ((rows + cols) % 2).to(y.dtype)
    half = LATENT_CHANNELS // 2
    return torch.cat(((1 - odd).expand(1, half, h, w), odd.expand(1, half, h, w)), dim=1)


def quantise_latents(
    y: Tensor, params: Tensor, spatial: nn.Module, mask: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Encoder side of the two coding steps (spec section 4). Returns symbols and dequantised latents.

    mask: `step_0_mask` where the caller has it ready; without, it is made on the spot.
    """
    raw_step, mean_0 = params.chunk(2, dim=1)
    step = torch.clamp(raw_step, min=MIN_STEP)
    mask = step_0_mask(y) if mask is None else mask
    scaled = y / step
    s_0 = torch.clamp(torch.round(scaled - mean_0), -SYMBOL_LIMIT, SYMBOL_LIMIT) * mask
    y_hat_0 = (s_0 + mean_0) * mask
    mean_1 = spatial(torch.cat((y_hat_0, params), dim=1))
    s_1 = torch.clamp(torch.round(scaled - mean_1), -SYMBOL_LIMIT, SYMBOL_LIMIT) * (1 - mask)
    y_hat = (y_hat_0 + (s_1 + mean_1) * (1 - mask)) * step
    return s_0 + s_1, y_hat


def dequantise_latents(symbols: Tensor, params: Tensor, spatial: nn.Module, mask: Tensor | None = None) -> Tensor:
    """Decoder side of the two coding steps. mask: as in `quantise_latents`."""
    raw_step, mean_0 = params.chunk(2, dim=1)
    step = torch.clamp(raw_step, min=MIN_STEP)
    mask = step_0_mask(symbols) if mask is None else mask
    y_hat_0 = (symbols + mean_0) * mask
    mean_1 = spatial(torch.cat((y_hat_0, params), dim=1))
    y_hat: Tensor = (y_hat_0 + (symbols + mean_1) * (1 - mask)) * step
    return y_hat


class IntraEncoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        c = INTRA_CHANNELS
        self.enc_1 = LiteBlock(PATCH_CHANNELS, c)
        self.enc_2 = nn.Sequential(
            LiteBlock(c, c), LiteBlock(c, c), nn.Conv2d(c, LATENT_CHANNELS, 3, stride=2, padding=1)
        )

    def forward(self, picture: Tensor, scale: Tensor) -> Tensor:
        y: Tensor = self.enc_2(self.enc_1.of_picture(picture) * scale)
        return y


class IntraDecoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        c = INTRA_CHANNELS
        self.dec_1 = nn.Sequential(Up2(LATENT_CHANNELS, c, block), *(LiteBlock(c, c) for _ in range(4)))
        self.dec_2 = nn.Conv2d(c, PATCH_CHANNELS, 1)

    def forward(self, y_hat: Tensor, scale: Tensor) -> Tensor:
        x = self.dec_2(self.dec_1(y_hat) * scale)
        return torch.clamp(F.pixel_shuffle(x, 8), 0, 1)


class Intra(nn.Module):
    """Spec section 2."""

    def __init__(self) -> None:
        super().__init__()
        self.q_scale_enc = table(INTRA_QP_ROWS, INTRA_CHANNELS)
        self.q_scale_dec = table(INTRA_QP_ROWS, INTRA_CHANNELS)
        self.enc = IntraEncoder()
        self.hyper_enc = hyper_encoder()
        self.hyper_dec = hyper_decoder()
        self.y_prior_fusion = prior_fusion(LATENT_CHANNELS)
        self.y_spatial_prior = spatial_prior()
        self.dec = IntraDecoder()

    def params(self, z_hat: Tensor, height: int, width: int) -> Tensor:
        params: Tensor = self.y_prior_fusion(self.hyper_dec(z_hat)[:, :, :height, :width])
        return params

    def encode(self, picture: Tensor, qp: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Returns z, symbols and the reconstructed picture. `qp` is an int64 tensor of shape (1,)."""
        z_hat, symbols, y_hat = self.analyse(picture, qp)
        return z_hat, symbols, self.reconstruct(y_hat, qp)

    def analyse(self, picture: Tensor, qp: Tensor, mask: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor]:
        """The half of `encode` that makes what is sent: z, symbols, and y_hat for `reconstruct`."""
        y = self.enc(picture, self.q_scale_enc[qp])
        z_hat = quantise_z(self.hyper_enc(pad_to_multiple_of_4(y)))
        params = self.params(z_hat, y.shape[2], y.shape[3])
        return z_hat, *quantise_latents(y, params, self.y_spatial_prior, mask)

    def decode(self, z_hat: Tensor, symbols: Tensor, qp: Tensor, mask: Tensor | None = None) -> Tensor:
        """Returns the reconstructed picture."""
        params = self.params(z_hat, symbols.shape[2], symbols.shape[3])
        return self.reconstruct(dequantise_latents(symbols, params, self.y_spatial_prior, mask), qp)

    def reconstruct(self, y_hat: Tensor, qp: Tensor) -> Tensor:
        picture: Tensor = self.dec(y_hat, self.q_scale_dec[qp])
        return picture


class Extractor(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        c = FEATURE_CHANNELS
        self.conv1 = nn.Sequential(LiteBlock(c, c))
        self.conv2 = nn.Sequential(LiteBlock(c, c))

    def forward(self, state: Tensor, scale: Tensor) -> tuple[Tensor, Tensor]:
        """Returns the context, and the scaled context that the temporal prior sees."""
        c1 = self.conv1(state)
        return self.conv2(c1), c1 * scale


class InterEncoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        c = FEATURE_CHANNELS
        self.conv1 = nn.Conv2d(PATCH_CHANNELS, c, 1)
        self.conv2 = nn.Sequential(LiteBlock(2 * c, c))
        self.conv3 = LiteBlock(c, c)
        self.down = nn.Conv2d(c, LATENT_CHANNELS, 3, stride=2, padding=1)

    def forward(self, picture: Tensor, context: Tensor, scale: Tensor) -> Tensor:
        x = torch.cat((patch_conv(self.conv1, picture), context), dim=1)
        y: Tensor = self.down(self.conv3(self.conv2(x)) * scale)
        return y


class InterDecoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        c = FEATURE_CHANNELS
        self.up = PixelUp2(LATENT_CHANNELS, c)
        self.conv1 = nn.Sequential(LiteBlock(2 * c, c), LiteBlock(c, c))
        self.conv2 = nn.Conv2d(c, c, 1)

    def forward(self, y_hat: Tensor, context: Tensor, scale: Tensor) -> Tensor:
        x = torch.cat((self.up(y_hat), context), dim=1)
        feature: Tensor = self.conv2(self.conv1(x)) * scale
        return feature


class Reconstruction(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        c = FEATURE_CHANNELS
        self.conv = nn.Sequential(LiteBlock(c, c), LiteBlock(c, c))
        self.head = nn.Conv2d(c, PATCH_CHANNELS, 1)

    def patches(self, feature: Tensor, scale: Tensor) -> Tensor:
        """The picture before PS(8), (1, 192, H/8, W/8), clamped."""
        return torch.clamp(self.head(self.conv(feature) * scale), 0, 1)

    def forward(self, feature: Tensor, scale: Tensor) -> Tensor:
        return F.pixel_shuffle(self.patches(feature, scale), 8)


class Inter(nn.Module):
    """Spec section 3. The adaptor runs at the end of the frame that makes the state, not at the start of the next."""

    def __init__(self) -> None:
        super().__init__()
        c = FEATURE_CHANNELS
        self.q_encoder = table(INTER_QP_ROWS, c)
        self.q_decoder = table(INTER_QP_ROWS, c)
        self.q_feature = table(INTER_QP_ROWS, c)
        self.q_recon = table(INTER_QP_ROWS, c)
        self.feature_adaptor_i = LiteBlock(PATCH_CHANNELS, c)
        self.feature_adaptor_p = nn.Conv2d(c, c, 1)
        self.feature_extractor = Extractor()
        self.encoder = InterEncoder()
        self.hyper_encoder = Named(hyper_encoder())
        self.hyper_decoder = Named(hyper_decoder())
        self.temporal_prior_encoder = Down2(c, 2 * c, block)
        self.y_prior_fusion = Named(prior_fusion(LATENT_CHANNELS + 2 * c))
        self.y_spatial_prior = Named(spatial_prior())
        self.decoder = InterDecoder()
        self.recon_generation_net = Reconstruction()

    def state_of_picture(self, picture: Tensor) -> Tensor:
        return self.feature_adaptor_i.of_picture(picture)

    def params(self, z_hat: Tensor, context_t: Tensor) -> Tensor:
        temporal = self.temporal_prior_encoder(context_t)
        hyper = self.hyper_decoder(z_hat)[:, :, : temporal.shape[2], : temporal.shape[3]]
        params: Tensor = self.y_prior_fusion(torch.cat((hyper, temporal), dim=1))
        return params

    def encode(self, picture: Tensor, state: Tensor, qp: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Returns z, symbols, the new state and the new (unadapted) feature. `qp` is int64 of shape (1,), 0..71."""
        z_hat, symbols, y_hat, context = self.analyse(picture, state, qp)
        feature = self.feature(y_hat, context, qp)
        return z_hat, symbols, self.feature_adaptor_p(feature), feature

    def analyse(
        self, picture: Tensor, state: Tensor, qp: Tensor, mask: Tensor | None = None
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """The half of `encode` that makes what is sent: z, symbols, and y_hat and context for `feature`."""
        context, context_t = self.feature_extractor(state, self.q_feature[qp])
        y = self.encoder(picture, context, self.q_encoder[qp])
        z_hat = quantise_z(self.hyper_encoder(pad_to_multiple_of_4(y)))
        symbols, y_hat = quantise_latents(y, self.params(z_hat, context_t), self.y_spatial_prior, mask)
        return z_hat, symbols, y_hat, context

    def feature(self, y_hat: Tensor, context: Tensor, qp: Tensor) -> Tensor:
        """The new feature, which both the picture and the new state are made of."""
        feature: Tensor = self.decoder(y_hat, context, self.q_decoder[qp])
        return feature

    def decode(self, z_hat: Tensor, symbols: Tensor, state: Tensor, qp: Tensor) -> tuple[Tensor, Tensor]:
        """Returns the picture and the new state."""
        feature = self.decode_feature(z_hat, symbols, state, qp)
        return self.picture(feature, qp), self.feature_adaptor_p(feature)

    def decode_feature(
        self, z_hat: Tensor, symbols: Tensor, state: Tensor, qp: Tensor, mask: Tensor | None = None
    ) -> Tensor:
        """`feature` from what was sent."""
        context, context_t = self.feature_extractor(state, self.q_feature[qp])
        y_hat = dequantise_latents(symbols, self.params(z_hat, context_t), self.y_spatial_prior, mask)
        return self.feature(y_hat, context, qp)

    def picture(self, feature: Tensor, qp: Tensor) -> Tensor:
        picture: Tensor = self.recon_generation_net(feature, self.q_recon[qp])
        return picture


class Nano(nn.Module):
    """Both networks. `load` takes the weights file as it is."""

    def __init__(self) -> None:
        super().__init__()
        self.intra = Intra()
        self.inter = Inter()

    def load(self, weights: Mapping[str, Tensor]) -> "Nano":
        """Load float entries of the weights file. Raises RuntimeError naming missing or surplus keys.

        Integer entries (scale path, tables) belong to `codec.nano.scales` and `codec.rans`; the float scale decoder
        and `bit_estimator_z` serve training only.
        """
        ours = {
            key: value.float()
            for key, value in weights.items()
            if not any(part in key for part in ("scale_decoder", "bit_estimator_z", "tables."))
        }
        self.load_state_dict(ours, strict=True)
        return self.eval()
