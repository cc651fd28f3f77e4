"""Sound by sample number: what was put comes out, and holes do not click."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from client.sound_buffer import CAPACITY, FADE_IN, FADE_OUT, SoundBuffer

BASE = 2**33


def wave(start: int, count: int) -> NDArray[np.int16]:
    t = np.arange(start, start + count)
    return np.stack([10_000 * np.sin(t / 30), 8_000 * np.cos(t / 50)], 1).astype(np.int16)


@settings(deadline=None, max_examples=40)
@given(
    blocks=st.permutations(list(range(12))),
    lost=st.sets(st.integers(0, 11)),
    piece=st.integers(40, 700),
)
def test_what_was_put_comes_out_in_place_in_any_order(blocks: list[int], lost: set[int], piece: int) -> None:
    buffer = SoundBuffer()
    for block in blocks:
        if block not in lost:
            buffer.put(BASE + block * 320, wave(block * 320, 320))
    there = np.repeat([block not in lost for block in range(12)], 320)
    out, made_up = [], 0
    for start in range(0, 12 * 320, piece):
        samples, missing = buffer.get(BASE + start, min(piece, 12 * 320 - start))
        out.append(samples)
        made_up += missing
    assert made_up == np.sum(~there)
    # What follows a hole is faded in.
    whole = np.array([there[max(0, i - FADE_IN) : i + 1].all() and i >= FADE_IN for i in range(len(there))])
    assert np.array_equal(np.concatenate(out)[whole], wave(0, 12 * 320).astype(np.float32)[whole])


@pytest.mark.parametrize("piece", [37, 480, 5000])
@pytest.mark.parametrize("hole", [100, 960, 3000])
def test_a_hole_has_no_step_in_it_and_none_at_its_ends(piece: int, hole: int) -> None:
    buffer = SoundBuffer()
    buffer.put(BASE, wave(0, 2000))
    buffer.put(BASE + 2000 + hole, wave(2000 + hole, 2000))
    # Read as the player does while it stretches: each piece once more from a little before.
    out = [buffer.get(BASE + start - 2, piece + 2)[0][2:] for start in range(2000 - 960, 3500 + hole, piece)]
    line = np.concatenate(out)
    assert np.abs(np.diff(line[:, 0])).max() < 450, "the wave itself has steps of 333"
    silent = line[960 + FADE_OUT : 960 + hole]
    assert not silent.any()


def test_what_is_older_than_the_capacity_is_forgotten() -> None:
    buffer = SoundBuffer()
    buffer.put(0, wave(0, 960))
    buffer.put(CAPACITY, wave(0, 960))
    assert buffer.get(0, 960)[1] == 960
    assert buffer.get(CAPACITY, 960)[1] == 0
    assert buffer.newest == CAPACITY + 960
