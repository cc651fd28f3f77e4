"""Slices: each fits its packet whatever the content, and each decodes without its neighbours."""

from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from codec.nano import LATENT_CHANNELS
from codec.rans import encode
from codec.slices import Slice, SliceCoder
from tests.codec.samples import weights

SMALLEST_SLICE_BYTES = 260

Coded = tuple[NDArray[np.int8], NDArray[np.uint16]]


def content(kind: str, positions: int, seed: int) -> Coded:
    """Symbols and table numbers of `positions` positions, 64 channels each."""
    rng = np.random.default_rng(seed)
    count = positions * LATENT_CHANNELS
    if kind == "empty":
        return np.zeros(count, np.int8), np.zeros(count, np.uint16)
    if kind == "escapes":
        # The narrowest table, and the values farthest from it.
        return rng.choice(np.array([-128, -127, 127], np.int8), count), np.zeros(count, np.uint16)
    rows = rng.integers(0, 128, count).astype(np.uint16)
    if kind == "noise":
        return rng.integers(-128, 128, count).astype(np.int8), rows
    sigma = 0.11 * (16 / 0.11) ** (rows / 127)
    return np.clip(np.round(rng.normal(0, sigma)), -127, 127).astype(np.int8), rows


KINDS = ("empty", "escapes", "noise", "latents")


@cache
def coder(max_bytes: int) -> SliceCoder:
    return SliceCoder(weights().gaussian, channels=LATENT_CHANNELS, max_bytes=max_bytes)


@given(
    st.sampled_from(KINDS),
    st.integers(1, 80),
    st.sampled_from([SMALLEST_SLICE_BYTES, 333, 1110, 3000]),
    st.integers(0, 2**32 - 1),
)
@settings(max_examples=50, deadline=None)
def test_every_slice_fits_and_decodes(kind: str, positions: int, max_bytes: int, seed: int) -> None:
    symbols, rows = content(kind, positions, seed)
    slices = coder(max_bytes).encode(symbols, rows)
    assert all(piece.data is not None and len(piece.data) <= max_bytes for piece in slices)
    assert all(piece.positions > 0 for piece in slices)
    assert sum(piece.positions for piece in slices) == positions
    decoded, damaged = coder(max_bytes).decode(slices, rows)
    np.testing.assert_array_equal(decoded, symbols)
    assert damaged == ()


@pytest.mark.parametrize("kind", ["latents", "noise"])
def test_slices_are_filled(kind: str) -> None:
    """The plan leaves 1 % and a position unused, so a frame is not cut into more packets than it needs."""
    symbols, rows = content(kind, 400, 3)
    slices = coder(1110).encode(symbols, rows)
    sizes = [len(piece.data or b"") for piece in slices]
    largest_position = max(
        len(encode(symbols[i : i + LATENT_CHANNELS], rows[i : i + LATENT_CHANNELS], weights().gaussian))
        for i in range(0, len(symbols), LATENT_CHANNELS)
    )
    assert min(sizes[:-1]) >= 1110 - 8 - 0.02 * 1110 - largest_position


@given(st.sampled_from(KINDS), st.integers(2, 40), st.integers(0, 2**32 - 1), st.data())
@settings(max_examples=40, deadline=None)
def test_lost_slices_cost_their_own_positions_only(kind: str, positions: int, seed: int, data: st.DataObject) -> None:
    symbols, rows = content(kind, positions, seed)
    slices = coder(300).encode(symbols, rows)
    lost = data.draw(st.sets(st.integers(0, len(slices) - 1)), label="lost")
    received = [Slice(piece.positions, None if i in lost else piece.data) for i, piece in enumerate(slices)]
    decoded, damaged = coder(300).decode(received, rows)
    assert damaged == tuple(sorted(lost))
    at = 0
    for i, piece in enumerate(slices):
        end = at + piece.positions * LATENT_CHANNELS
        np.testing.assert_array_equal(decoded[at:end], 0 if i in lost else symbols[at:end])
        at = end


@pytest.mark.parametrize("damage", ["truncated", "surplus", "flipped", "exchanged", "nothing"])
def test_a_damaged_slice_counts_as_missing(damage: str) -> None:
    symbols, rows = content("latents", 200, 5)
    slices = coder(300).encode(symbols, rows)
    victim, other = slices[2], slices[5]
    data = victim.data
    assert data is not None
    bad = {
        "truncated": data[:-1],
        "surplus": data + b"\0",
        "flipped": data[:40] + bytes([data[40] ^ 0x10]) + data[41:],
        "exchanged": other.data,
        "nothing": b"",
    }[damage]
    decoded, damaged = coder(300).decode([*slices[:2], Slice(victim.positions, bad), *slices[3:]], rows)
    assert damaged == (2,)
    begin = sum(piece.positions for piece in slices[:2]) * LATENT_CHANNELS
    end = begin + victim.positions * LATENT_CHANNELS
    assert not decoded[begin:end].any()
    np.testing.assert_array_equal(np.delete(decoded, slice(begin, end)), np.delete(symbols, slice(begin, end)))


def test_an_encoder_gives_the_same_slices_again() -> None:
    """Its buffers are reused: a large frame in between must leave no trace, nor change what was given out."""
    small, large = content("latents", 10, 1), content("noise", 70, 2)
    one = coder(500)
    first = one.encode(*small)
    kept = [bytes(piece.data or b"") for piece in first]
    one.encode(*large)
    assert [piece.data for piece in one.encode(*small)] == kept
    assert [piece.data for piece in first] == kept


def test_a_limit_too_small_for_one_position_is_refused() -> None:
    with pytest.raises(ValueError, match="259 bytes cannot hold a position"):
        coder(SMALLEST_SLICE_BYTES - 1)
