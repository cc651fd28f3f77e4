"""The four `nano` networks as programs, top to bottom like their specification (`docs/nano.md`).

`codec.nano.networks` is the same in torch. Everything that both ends of a stream must agree on is appended by the same
functions on both sides, so states are equal to the last bit.
"""

from dataclasses import dataclass

from codec.layout import Layout
from codec.nano import HYPER_CHANNELS, LATENT_CHANNELS, STATE_CHANNELS
from codec.nano.simd.packing import Parameters
from codec.nano.simd.program import PATCH_CHANNELS, Outputs, Program
from codec.nano.simd.tensors import WIDE_BYTES, Pair, Tensor, narrow_tensor, wide_tensor

INTRA_CHANNELS = 96
PRIOR_CHANNELS = 96
PARAMS_CHANNELS = 2 * LATENT_CHANNELS
TEMPORAL_CHANNELS = 2 * STATE_CHANNELS

# Memory that comes with every frame.
PICTURE, PICTURE_OUT, STATE, NEW_STATE, SYMBOLS = "picture", "picture_out", "state", "new_state", "symbols"


@dataclass(frozen=True, slots=True)
class Network:
    """A program, and z where it goes in (decoder, bfloat16) or comes out (encoder, float32)."""

    program: Program
    z: Pair


class _Builder:
    """What the networks of both sides and both kinds have in common, for one size."""

    def __init__(self, program: Program, parameters: Parameters, layout: Layout, prefix: str) -> None:
        self.p = program
        self.parameters = parameters
        self.prefix = prefix
        self.rows, self.columns = layout.state_size
        self.latent_rows, self.latent_columns = layout.latent_shape
        self.hyper_rows, self.hyper_columns = layout.hyper_shape
        self.z = Pair.make(self.hyper_rows, self.hyper_columns, HYPER_CHANNELS)
        # What the priors see: hyper features first, on a grid of whole z positions.
        self.padded_rows, self.padded_columns = 4 * self.hyper_rows, 4 * self.hyper_columns
        self.params = wide_tensor(self.latent_rows, self.latent_columns, PARAMS_CHANNELS)
        # cat(y_hat_0, params)
        self.spatial = narrow_tensor(self.latent_rows, self.latent_columns, LATENT_CHANNELS + PARAMS_CHANNELS)
        self.mean = wide_tensor(self.latent_rows, self.latent_columns, LATENT_CHANNELS)
        self.y_hat = narrow_tensor(self.latent_rows, self.latent_columns, LATENT_CHANNELS)

    def key(self, name: str) -> str:
        return f"{self.prefix}.{name}"

    def hyper_encoder(self, name: str, y: Tensor) -> None:
        """y (bfloat16, on the padded grid, filled in its corner) to z, rounded."""
        self.p.pad(y, self.latent_rows, self.latent_columns)
        block = self.parameters.block(self.key(f"{name}.0"))
        pair = Pair.make(y.rows, y.columns, HYPER_CHANNELS)
        self.p.adapted_block(block, y, pair, Outputs(narrow=pair.narrow))
        for level in (1, 2):
            source = pair.narrow
            layer = self.parameters.layer(self.key(f"{name}.{level}.down"))
            pair = Pair.make(source.rows // 2, source.columns // 2, HYPER_CHANNELS)
            both = Outputs(wide=pair.wide, narrow=pair.narrow)
            self.p.convolution(layer, source, both, rows=pair.wide.rows, columns=pair.wide.columns, stride=2)
            block = self.parameters.block(self.key(f"{name}.{level}.conv"))
            out = Outputs(narrow=pair.narrow) if level == 1 else Outputs(wide=self.z.wide)
            self.p.block(block, pair, out, shortcut=True)
        self.p.round_z(self.z)

    def hyper_decoder(self, name: str, out: Tensor) -> None:
        """z to h, bfloat16 on the padded grid."""
        source = self.z.narrow
        for level in (0, 1):
            phases = self.parameters.upsampling(self.key(f"{name}.{level}.up.conv.0"))
            pair = Pair.make(2 * source.rows, 2 * source.columns, HYPER_CHANNELS)
            self.p.upsampling(phases, source, pair.narrow, pair.wide)
            block = self.parameters.block(self.key(f"{name}.{level}.conv"))
            self.p.block(block, pair, Outputs(narrow=pair.narrow), shortcut=True)
            source = pair.narrow
        block = self.parameters.block(self.key(f"{name}.2"))
        between = Pair.make(source.rows, source.columns, LATENT_CHANNELS)
        self.p.adapted_block(block, source, between, Outputs(narrow=out))

    def prior(self, fusion: str, source: Tensor) -> None:
        """What the priors know (bfloat16) to params."""
        rows, columns = self.latent_rows, self.latent_columns
        pair = Pair.make(rows, columns, PRIOR_CHANNELS)
        block = self.parameters.block(self.key(f"{fusion}.0"))
        self.p.adapted_block(block, source, pair, Outputs(narrow=pair.narrow))
        layer = self.parameters.layer(self.key(f"{fusion}.1"))
        seen = self.spatial.channel_range(LATENT_CHANNELS, PARAMS_CHANNELS)
        self.p.convolution(layer, pair.narrow, Outputs(wide=self.params, narrow=seen), rows=rows, columns=columns)

    def means(self, spatial: str) -> None:
        """Symbols of step 0 to the means of step 1."""
        rows, columns = self.latent_rows, self.latent_columns
        self.p.dequantise_first(self.params, self.spatial.channel_range(0, LATENT_CHANNELS), symbols=SYMBOLS)
        pair = Pair.make(rows, columns, PRIOR_CHANNELS)
        block = self.parameters.block(self.key(f"{spatial}.0"))
        self.p.adapted_block(block, self.spatial, pair, Outputs(narrow=pair.narrow))
        layer = self.parameters.layer(self.key(f"{spatial}.1"))
        self.p.convolution(layer, pair.narrow, Outputs(wide=self.mean), rows=rows, columns=columns)

    def latents(self, spatial: str, y: Tensor | None) -> None:
        """Both coding steps: to y_hat, and to symbols where `y` (float32) is what is coded."""
        if y is not None:
            first_mean = self.params.channel_range(LATENT_CHANNELS, LATENT_CHANNELS)
            self.p.quantise(0, y, self.params, first_mean, symbols=SYMBOLS)
        self.means(spatial)
        if y is not None:
            self.p.quantise(1, y, self.params, self.mean, symbols=SYMBOLS)
        self.p.dequantise(self.params, self.mean, self.y_hat, symbols=SYMBOLS)

    def analysis_tail(self, down: str, hyper: str, source: Tensor) -> Tensor:
        """Features (bfloat16, behind a border of zeros) to y (float32) and z."""
        y = wide_tensor(self.latent_rows, self.latent_columns, LATENT_CHANNELS)
        padded = narrow_tensor(self.padded_rows, self.padded_columns, LATENT_CHANNELS)
        layer = self.parameters.layer(self.key(down))
        outputs = Outputs(wide=y, narrow=padded)
        self.p.convolution(layer, source, outputs, rows=y.rows, columns=y.columns, stride=2)
        self.hyper_encoder(hyper, padded)
        return y


def intra_network(program: Program, parameters: Parameters, layout: Layout, *, encoder: bool) -> Network:
    """Spec section 2, and `feature_adaptor_i` on top."""
    b = _Builder(program, parameters, layout, "intra")
    c = INTRA_CHANNELS
    patches = narrow_tensor(b.rows, b.columns, PATCH_CHANNELS)
    pair = Pair.make(b.rows, b.columns, c)
    y = None
    if encoder:
        program.patches(patches, picture=PICTURE)
        table = parameters.table("intra.q_scale_enc")
        block = parameters.block("intra.enc.enc_1", of_code_values=True)
        program.adapted_block(block, patches, pair, Outputs(scaled=pair.narrow, scaled_wide=pair.wide, scale=table))
        program.block(parameters.block("intra.enc.enc_2.0"), pair, Outputs(wide=pair.wide, narrow=pair.narrow))
        bordered = narrow_tensor(b.rows + 1, b.columns + 1, c)
        program.block(parameters.block("intra.enc.enc_2.1"), pair, Outputs(narrow=bordered.inner()))
        y = b.analysis_tail("enc.enc_2.2", "hyper_enc", bordered)
    hyper = narrow_tensor(b.padded_rows, b.padded_columns, LATENT_CHANNELS)
    b.hyper_decoder("hyper_dec", hyper)
    b.prior("y_prior_fusion", hyper)
    b.latents("y_spatial_prior", y)
    program.upsampling(parameters.upsampling("intra.dec.dec_1.0.up.conv.0"), b.y_hat, pair.narrow, pair.wide)
    both = Outputs(wide=pair.wide, narrow=pair.narrow)
    program.block(parameters.block("intra.dec.dec_1.0.conv"), pair, both, shortcut=True)
    for number in (1, 2, 3):
        program.block(parameters.block(f"intra.dec.dec_1.{number}"), pair, both)
    scaled = Outputs(scaled=pair.narrow, scale=parameters.table("intra.q_scale_dec"))
    program.block(parameters.block("intra.dec.dec_1.4"), pair, scaled)
    head = parameters.head("intra.dec.dec_2")
    program.head(head, pair.narrow, picture=None if encoder else PICTURE_OUT, patches=patches)
    between = Pair.make(b.rows, b.columns, STATE_CHANNELS)
    adaptor = parameters.block("inter.feature_adaptor_i")
    program.adapted_block(adaptor, patches, between, Outputs(wide=_state(b)), wide_name=NEW_STATE)
    return Network(program, b.z)


def _state(b: _Builder) -> Tensor:
    return Tensor.outside(b.rows, b.columns, STATE_CHANNELS, WIDE_BYTES)


def inter_network(program: Program, parameters: Parameters, layout: Layout, *, encoder: bool) -> Network:
    """Spec section 3; the adaptor runs at the end of the frame that makes the state."""
    b = _Builder(program, parameters, layout, "inter")
    c = STATE_CHANNELS
    state = Pair(_state(b), narrow_tensor(b.rows, b.columns, c))
    pair = Pair.make(b.rows, b.columns, c)
    temporal_source = narrow_tensor(b.rows, b.columns, c)
    # cat(patches or latents, context)
    joint = narrow_tensor(b.rows, b.columns, 2 * c)
    first, context = joint.channel_range(0, c), joint.channel_range(c, c)
    both = Outputs(wide=pair.wide, narrow=pair.narrow)

    program.narrow(state.narrow, source=STATE)
    extracted = Outputs(
        wide=pair.wide, narrow=pair.narrow, scaled=temporal_source, scale=parameters.table("inter.q_feature")
    )
    program.block(parameters.block("inter.feature_extractor.conv1.0"), state, extracted, base_name=STATE)
    program.block(parameters.block("inter.feature_extractor.conv2.0"), pair, Outputs(narrow=context))

    y = None
    if encoder:
        patches = narrow_tensor(b.rows, b.columns, PATCH_CHANNELS)
        program.patches(patches, picture=PICTURE)
        layer = parameters.layer("inter.encoder.conv1", of_code_values=True)
        program.convolution(layer, patches, Outputs(narrow=first), rows=b.rows, columns=b.columns)
        program.adapted_block(parameters.block("inter.encoder.conv2.0"), joint, pair, both)
        bordered = narrow_tensor(b.rows + 1, b.columns + 1, c)
        scaled = Outputs(scaled=bordered.inner(), scale=parameters.table("inter.q_encoder"))
        program.block(parameters.block("inter.encoder.conv3"), pair, scaled)
        y = b.analysis_tail("encoder.down", "hyper_encoder.conv", bordered)

    known = narrow_tensor(b.padded_rows, b.padded_columns, LATENT_CHANNELS + TEMPORAL_CHANNELS)
    b.hyper_decoder("hyper_decoder.conv", known.channel_range(0, LATENT_CHANNELS))
    temporal = Pair.make(b.latent_rows, b.latent_columns, TEMPORAL_CHANNELS)
    down = parameters.layer("inter.temporal_prior_encoder.down")
    program.convolution(
        down,
        temporal_source,
        Outputs(wide=temporal.wide, narrow=temporal.narrow),
        rows=b.latent_rows,
        columns=b.latent_columns,
        stride=2,
    )
    out = Outputs(narrow=known.channel_range(LATENT_CHANNELS, TEMPORAL_CHANNELS))
    program.block(parameters.block("inter.temporal_prior_encoder.conv"), temporal, out, shortcut=True)
    b.prior("y_prior_fusion.conv", known)
    b.latents("y_spatial_prior.conv", y)

    program.upsampling(parameters.upsampling("inter.decoder.up.conv.0"), b.y_hat, first)
    program.adapted_block(parameters.block("inter.decoder.conv1.0"), joint, pair, both)
    program.block(parameters.block("inter.decoder.conv1.1"), pair, Outputs(narrow=pair.narrow))
    layer = parameters.layer("inter.decoder.conv2")
    feature = Pair(pair.wide, temporal_source)
    scaled = Outputs(
        scaled=feature.narrow,
        scaled_wide=None if encoder else feature.wide,
        scale=parameters.table("inter.q_decoder"),
    )
    program.convolution(layer, pair.narrow, scaled, rows=b.rows, columns=b.columns)
    layer = parameters.layer("inter.feature_adaptor_p")
    new_state = Outputs(wide=_state(b))
    program.convolution(layer, feature.narrow, new_state, rows=b.rows, columns=b.columns, wide_name=NEW_STATE)
    if not encoder:
        out = Outputs(wide=feature.wide, narrow=feature.narrow)
        program.block(parameters.block("inter.recon_generation_net.conv.0"), feature, out)
        scaled = Outputs(scaled=feature.narrow, scale=parameters.table("inter.q_recon"))
        program.block(parameters.block("inter.recon_generation_net.conv.1"), feature, scaled)
        program.head(parameters.head("inter.recon_generation_net.head"), feature.narrow, picture=PICTURE_OUT)
    return Network(program, b.z)
