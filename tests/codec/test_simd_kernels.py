"""Every kernel against numpy, to the last bit, over odd shapes, for every instruction set that this processor runs."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codec.nano.simd.packing import Parameters
from codec.nano.simd.program import PATCH_CHANNELS, Outputs, Program
from codec.nano.simd.selftest import MadeUpWeights
from codec.nano.simd.tensors import Pair, Tensor, from_bfloat16, narrow_tensor, to_bfloat16, wide_tensor
from tests.codec import simd_samples as reference
from tests.codec.simd_samples import ISA_NAMES, Floats, best_kernels, kernels_for, rounded

sizes = st.tuples(st.integers(1, 4), st.integers(1, 23))


def random_floats(seed: int, *shape: int) -> Floats:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def narrow_values(tensor: Tensor) -> Floats:
    return from_bfloat16(tensor.values())


def filled(values: Floats) -> Pair:
    pair = Pair.make(*values.shape)
    pair.wide.values()[:] = values
    pair.narrow.values()[:] = to_bfloat16(values)
    return pair


@pytest.mark.parametrize("isa", ISA_NAMES)
@settings(max_examples=25, deadline=None)
@given(
    size=sizes,
    inputs=st.sampled_from([32, 64, 96]),
    outputs=st.sampled_from([32, 64, 96, 128, 192]),
    shape=st.sampled_from([(1, 1), (2, 2), (3, 2)]),
    relu=st.booleans(),
    qp=st.integers(0, 2),
    seed=st.integers(0, 1 << 16),
)
def test_convolution(
    isa: str,
    size: tuple[int, int],
    inputs: int,
    outputs: int,
    shape: tuple[int, int],
    relu: bool,
    qp: int,
    seed: int,
) -> None:
    compiled = kernels_for(isa)
    (rows, columns), (side, stride) = size, shape
    weights = MadeUpWeights(seed)
    weights.layer("layer", inputs, outputs, side)
    factors = random_floats(seed, 3, outputs)
    x = random_floats(seed + 1, stride * (rows - 1) + side, stride * (columns - 1) + side, inputs)
    source, out, scaled = filled(x), Pair.make(rows, columns, outputs), Pair.make(rows, columns, outputs)
    program = Program(compiled)
    program.convolution(
        Parameters(weights, compiled.isa).layer("layer"),
        source.narrow,
        Outputs(out.wide, out.narrow, scaled.narrow, scaled.wide, factors),
        rows=rows,
        columns=columns,
        stride=stride,
        relu=relu,
    )
    program.run(qp)
    expected = reference.convolution(rounded(x), weights["layer.weight"], weights["layer.bias"], stride)
    if relu:
        expected = np.maximum(expected, np.float32(0))
    np.testing.assert_array_equal(out.wide.values(), expected)
    np.testing.assert_array_equal(narrow_values(out.narrow), rounded(expected))
    np.testing.assert_array_equal(scaled.wide.values(), expected * factors[qp])
    np.testing.assert_array_equal(narrow_values(scaled.narrow), rounded(expected * factors[qp]))


@pytest.mark.parametrize("isa", ISA_NAMES)
@settings(max_examples=15, deadline=None)
@given(
    size=sizes,
    channels=st.sampled_from([32, 64, 96, 128]),
    shortcut=st.booleans(),
    in_place=st.booleans(),
    seed=st.integers(0, 1 << 16),
)
def test_block(isa: str, size: tuple[int, int], channels: int, shortcut: bool, in_place: bool, seed: int) -> None:
    compiled = kernels_for(isa)
    weights = MadeUpWeights(seed)
    weights.block("block", channels, channels)
    x = random_floats(seed, *size, channels)
    source = filled(x)
    out = source if in_place else Pair.make(*size, channels)
    program = Program(compiled)
    block = Parameters(weights, compiled.isa).block("block")
    program.block(block, source, Outputs(out.wide, out.narrow), shortcut=shortcut)
    program.run(0)
    expected = reference.block(weights, "block", x, shortcut=shortcut)
    np.testing.assert_array_equal(out.wide.values(), expected)
    np.testing.assert_array_equal(narrow_values(out.narrow), rounded(expected))


def test_a_row_of_zeros_stays_zero_between_frames() -> None:
    """Scratch rows are used again, by blocks of the same width; their borders must not change."""
    compiled = best_kernels()
    weights = MadeUpWeights(1)
    weights.block("block", 32, 32)
    x = random_floats(1, 3, 7, 32)
    source, out = filled(x), wide_tensor(3, 7, 32)
    program = Program(compiled)
    for _ in range(2):
        program.block(Parameters(weights, compiled.isa).block("block"), source, Outputs(wide=out))
    for _ in range(2):
        program.run(0)
        np.testing.assert_array_equal(out.values(), reference.block(weights, "block", x))


@pytest.mark.parametrize("isa", ISA_NAMES)
def test_upsampling_is_a_pixel_shuffle(isa: str) -> None:
    compiled = kernels_for(isa)
    weights = MadeUpWeights(5)
    weights.layer("up", 64, 4 * 96)
    x = random_floats(5, 3, 7, 64)
    out = Pair.make(6, 14, 96)
    program = Program(compiled)
    program.upsampling(Parameters(weights, compiled.isa).upsampling("up"), filled(x).narrow, out.narrow, out.wide)
    program.run(0)
    flat = reference.convolution(rounded(x), weights["up.weight"], weights["up.bias"], 1)
    expected = flat.reshape(3, 7, 96, 2, 2).transpose(0, 3, 1, 4, 2).reshape(6, 14, 96)
    np.testing.assert_array_equal(out.wide.values(), expected)
    np.testing.assert_array_equal(narrow_values(out.narrow), rounded(expected))


def unshuffled(picture: Floats) -> Floats:
    """PU(8) of (3, H, W) as (H/8, W/8, 192)."""
    _, height, width = picture.shape
    patches = picture.reshape(3, height // 8, 8, width // 8, 8).transpose(1, 3, 0, 2, 4)
    return patches.reshape(height // 8, width // 8, PATCH_CHANNELS)


def test_patches_hold_code_values() -> None:
    picture = np.random.default_rng(3).integers(0, 256, (3, 24, 56), dtype=np.uint8)
    out = narrow_tensor(3, 7, PATCH_CHANNELS)
    program = Program(best_kernels())
    program.patches(out, picture="picture")
    program.run(0, picture=picture.ctypes.data)
    np.testing.assert_array_equal(narrow_values(out), unshuffled(picture.astype(np.float32)))


@pytest.mark.parametrize("isa", ISA_NAMES)
def test_head_rounds_to_pixels(isa: str) -> None:
    compiled = kernels_for(isa)
    weights = MadeUpWeights(9)
    weights.layer("head", 64, PATCH_CHANNELS)
    x = random_floats(9, 3, 7, 64) * np.float32(0.5)
    picture = np.zeros((3, 24, 56), np.uint8)
    patches = narrow_tensor(3, 7, PATCH_CHANNELS)
    program = Program(compiled)
    head = Parameters(weights, compiled.isa).head("head")
    program.head(head, filled(x).narrow, picture="picture", patches=patches)
    program.run(0, picture=picture.ctypes.data)
    values = reference.convolution(rounded(x), weights["head.weight"], weights["head.bias"], 1)
    values = np.clip(values, np.float32(0), np.float32(1))
    assert 0 < (values == 0).mean() < 0.9, "a vector that clamps some values only"
    assert (values == 1).any()
    np.testing.assert_array_equal(unshuffled(picture.astype(np.float32)), np.round(values * np.float32(255)))
    np.testing.assert_array_equal(narrow_values(patches), rounded(values))


@settings(max_examples=20, deadline=None)
@given(size=sizes, seed=st.integers(0, 1 << 16))
def test_coding_steps(size: tuple[int, int], seed: int) -> None:
    """Both steps, from latents to symbols and from symbols to latents (spec section 4)."""
    rows, columns = size
    latents = random_floats(seed, rows, columns, 64) * np.float32(60)
    raw = random_floats(seed + 1, rows, columns, 128)
    mean_1 = random_floats(seed + 2, rows, columns, 64)
    y, params, mean = (wide_tensor(rows, columns, channels) for channels in (64, 128, 64))
    for tensor, values in ((y, latents), (params, raw), (mean, mean_1)):
        tensor.values()[:] = values
    seen, out = narrow_tensor(rows, columns, 192), narrow_tensor(rows, columns, 64)
    symbols = np.full((rows, columns, 64), 99, np.int8)
    program = Program(best_kernels())
    program.quantise(0, y, params, params.channel_range(64, 64), symbols="symbols")
    program.dequantise_first(params, seen.channel_range(0, 64), symbols="symbols")
    program.quantise(1, y, params, mean, symbols="symbols")
    program.dequantise(params, mean, out, symbols="symbols")
    program.run(0, symbols=symbols.ctypes.data)

    odd = np.add.outer(np.arange(rows), np.arange(columns)) % 2 == 1
    in_step_0 = odd[..., None] ^ (np.arange(64) < 32)
    step = np.maximum(raw[..., :64], np.float32(0.5))
    means = np.where(in_step_0, raw[..., 64:], mean_1)
    expected: Floats = np.clip(np.round(latents / step - means), -127, 127).astype(np.float32)
    assert np.abs(expected).max() == 127 or rows * columns < 5
    np.testing.assert_array_equal(symbols, expected)
    seen_means: Floats = expected + means
    first = np.where(in_step_0, rounded(seen_means), np.float32(0))
    np.testing.assert_array_equal(narrow_values(seen)[..., :64], first)
    assert not seen.values()[..., 64:].any()
    np.testing.assert_array_equal(narrow_values(out), rounded(seen_means * step))


def test_z_rounds_to_even_and_stays_in_range() -> None:
    z = Pair.make(1, 1, 32)
    z.wide.values()[0, 0, :8] = [0.5, 1.5, -0.5, -2.5, 126.6, 300, -128.4, -300]
    program = Program(best_kernels())
    program.round_z(z)
    program.run(0)
    expected = [0, 2, 0, -2, 127, 127, -128, -128]
    assert z.wide.values()[0, 0, :8].tolist() == expected
    assert narrow_values(z.narrow)[0, 0, :8].tolist() == expected


def test_padding_replicates_right_and_bottom() -> None:
    x = filled(random_floats(2, 8, 8, 64)).narrow
    before = x.values().copy()
    program = Program(best_kernels())
    program.pad(x, 6, 5)
    program.run(0)
    np.testing.assert_array_equal(x.values(), np.pad(before[:6, :5], ((0, 2), (0, 3), (0, 0)), mode="edge"))


def test_a_large_kernel_refuses_gaps_between_positions() -> None:
    compiled = best_kernels()
    weights = MadeUpWeights(1)
    weights.layer("down", 64, 64, 2)
    layer = Parameters(weights, compiled.isa).layer("down")
    joint = narrow_tensor(4, 4, 128)
    with pytest.raises(ValueError, match="without gaps"):
        Program(compiled).convolution(
            layer, joint.channel_range(0, 64), Outputs(wide=wide_tensor(2, 2, 64)), rows=2, columns=2, stride=2
        )
