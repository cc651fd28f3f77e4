"""The bfloat16 engine: golden clips, equal states on both sides and on every instruction set, long chains."""

from functools import cache
from itertools import pairwise

import numpy as np
import pytest

from codec.decoder import Decoder
from codec.drift import arithmetic_fingerprint
from codec.encoder import Encoder
from codec.layout import Layout
from codec.nano.simd.engine import SimdDecoder, SimdEncoder, StateTensor
from codec.quality_cycle import inter_row
from codec.state import State
from tests.codec.samples import (
    GOLDEN_NAMES,
    Planes,
    decoder_engine,
    encoder_engine,
    golden,
    moving_picture,
    pad,
    psnr_db,
    weights,
)
from tests.codec.simd_samples import ISA_NAMES, best_kernels, kernels_for


@cache
def encoder() -> SimdEncoder:
    return SimdEncoder(best_kernels())


@cache
def decoder() -> SimdDecoder:
    return SimdDecoder(best_kernels())


@pytest.mark.parametrize("name", GOLDEN_NAMES)
def test_pictures_from_golden_symbols(name: str) -> None:
    """Symbols of a float32 encoder: states come apart a little more with every frame, measured 59 to 56 dB."""
    state = None
    for frame in golden(name):
        if state is None:
            picture, state = decoder().intra(frame.z, frame.symbols, frame.qp)
        else:
            picture, state = decoder().inter(frame.z, frame.symbols, state, frame.qp)
        _, height, width = frame.picture.shape
        assert psnr_db(picture[:, :height, :width], np.round(frame.picture * 255), peak=255) >= 55


@pytest.mark.parametrize("name", GOLDEN_NAMES)
def test_symbols_from_golden_frames(name: str) -> None:
    """A symbol flips where the latent lies near a rounding edge; quality does not follow it."""
    state = None
    for frame in golden(name):
        source = pad(frame.source)
        if state is None:
            z, symbols, state = encoder().intra(source, frame.qp)
            picture, decoded = decoder().intra(z, symbols, frame.qp)
        else:
            z, symbols, state = encoder().inter(source, state, frame.qp)
            picture, decoded = decoder().inter(z, symbols, decoded, frame.qp)
        assert (z == frame.z).mean() >= 0.94
        assert (symbols == frame.symbols).mean() >= 0.9
        assert np.abs(symbols - frame.symbols.astype(np.int16)).max() <= 2
        np.testing.assert_array_equal(state, decoded)
        _, height, width = frame.source.shape
        ours = psnr_db(picture[:, :height, :width], frame.source, peak=255)
        assert ours >= psnr_db(frame.picture * 255, frame.source, peak=255) - 0.1


@pytest.mark.parametrize("size", [(64, 64), (80, 96), (208, 112), (336, 176)])
def test_both_sides_compute_equal_states(size: tuple[int, int]) -> None:
    width, height = size
    noise = np.random.default_rng(width).integers(0, 256, (3, height, width), dtype=np.uint8)
    coded, decoded = intra_both(moving_picture(width, height, 0), 40)
    np.testing.assert_array_equal(coded, decoded)
    for scene, qp in ((moving_picture(width, height, 1), 0), (noise, 71), (moving_picture(width, height, 2), 33)):
        z, symbols, coded = encoder().inter(scene, coded, qp)
        _, decoded = decoder().inter(z, symbols, decoded, qp)
        np.testing.assert_array_equal(coded, decoded)


def intra_both(picture: Planes, qp: int) -> tuple[StateTensor, StateTensor]:
    z, symbols, coded = encoder().intra(picture, qp)
    return coded, decoder().intra(z, symbols, qp)[1]


def test_every_instruction_set_computes_the_same_states() -> None:
    """So do two machines: no periodic intra frames between them (codec.drift)."""
    prints = {}
    for name in ISA_NAMES:
        try:
            prints[name] = arithmetic_fingerprint(SimdDecoder(kernels_for(name)))
        except pytest.skip.Exception:
            continue
    if len(prints) < 2:
        pytest.skip("this processor runs one instruction set only")
    assert len(set(prints.values())) == 1, prints
    assert arithmetic_fingerprint(decoder_engine()) not in prints.values(), "float32 differs, as it must"


def test_sizes_in_turn() -> None:
    """One engine goes back and forth between sizes; nothing of another size is left behind."""
    scenes = [moving_picture(80, 64, 0), moving_picture(160, 96, 1), moving_picture(64, 112, 2)]
    fresh = [SimdEncoder(best_kernels()).intra(scene, 30) for scene in scenes]
    for _ in range(2):
        for scene, (z, symbols, state) in zip(scenes, fresh, strict=True):
            again = encoder().intra(scene, 30)
            for found, expected in zip(again, (z, symbols, state), strict=True):
                np.testing.assert_array_equal(found, expected)


def test_frames_are_values() -> None:
    """States, symbols and pictures of one frame do not change when the next is coded."""
    scenes = [moving_picture(96, 64, t) for t in range(3)]
    z, symbols, state = encoder().intra(scenes[0], 30)
    picture, _ = decoder().intra(z, symbols, 30)
    kept = [array.copy() for array in (z, symbols, state, picture)]
    later_z, later_symbols, _ = encoder().inter(scenes[1], state, 30)
    decoder().inter(later_z, later_symbols, state, 30)
    for array, before in zip((z, symbols, state, picture), kept, strict=True):
        np.testing.assert_array_equal(array, before)
    np.testing.assert_array_equal(encoder().inter(scenes[1], state, 30)[1], later_symbols)


def test_wrong_memory_is_refused() -> None:
    picture = moving_picture(96, 80, 0)
    z, symbols, state = encoder().intra(picture, 30)
    with pytest.raises(ValueError, match="picture: shape"):
        encoder().intra(picture[:, :70], 30)
    with pytest.raises(ValueError, match="float32"):
        encoder().inter(picture, state.astype(np.float64), 30)
    with pytest.raises(ValueError, match="state: shape"):
        encoder().inter(picture, state[:-1], 30)
    with pytest.raises(ValueError, match="z: shape"):
        decoder().intra(z[:, :, 1:], symbols, 30)
    with pytest.raises(ValueError, match="symbols: shape"):
        decoder().intra(z, symbols[1:], 30)
    for kind_qp in (64, -1):
        with pytest.raises(ValueError, match="QP row"):
            encoder().intra(picture, kind_qp)
    with pytest.raises(ValueError, match="QP row"):
        decoder().inter(z, symbols, state, 72)


def test_through_the_entropy_coder_at_an_odd_size() -> None:
    width, height = 150, 90
    coder = Encoder(SimdEncoder(best_kernels()), weights(), width=width, height=height)
    reader = Decoder(SimdDecoder(best_kernels()), weights(), width=width, height=height)
    coded: State | None = None
    decoded: State | None = None
    for t in range(4):
        qp = 40 if coded is None else inter_row(40, t)
        planes = moving_picture(width, height, t)
        coded, frame = coder.encode(coded, planes, qp=qp, frame_id=t)
        decoded, shown = reader.decode(decoded, frame.data, frame_id=t)
        np.testing.assert_array_equal(coded.tensor, decoded.tensor)
        assert shown.planes.shape == planes.shape
        assert psnr_db(shown.planes, planes, peak=255) > 24


def test_300_frames_in_one_chain_keep_the_quality_of_float32() -> None:
    """Both ends bfloat16, no intra frame; the clip goes back and forth. Measured within 0.1 dB, hundred by hundred."""
    width, height, period = 96, 64, 24
    scenes = [moving_picture(width, height, min(t, 2 * period - t)) for t in range(2 * period)]
    ours: list[float] = []
    theirs: list[float] = []
    for coder, reader, quality in ((encoder(), decoder(), ours), (encoder_engine(), decoder_engine(), theirs)):
        coder.prepare(Layout(width, height))
        state = seen = None
        for t in range(300):
            scene = scenes[t % len(scenes)]
            if state is None or seen is None:
                z, symbols, state = coder.intra(scene, 40)
                picture, seen = reader.intra(z, symbols, 40)
            else:
                z, symbols, state = coder.inter(scene, state, inter_row(40, t))
                picture, seen = reader.inter(z, symbols, seen, inter_row(40, t))
            quality.append(psnr_db(picture, scene, peak=255))
        np.testing.assert_array_equal(state, seen)
    for first, last in pairwise(range(0, 301, 100)):
        assert np.mean(ours[first:last]) >= np.mean(theirs[first:last]) - 0.3
