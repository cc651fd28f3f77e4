"""The payload of one picture: any symbols survive it, and damage to it shows."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

pytest.importorskip("torch", reason="torch is not installed: pip install torch")

from codec.dcvc_rt import SKIPPED
from codec.dcvc_rt.payload import PayloadDecoder, encode_payload, join, overlap, wants_two_streams
from codec.dcvc_rt.tables import EntropyTables
from latentcast.errors import BitstreamError
from tests.codec.dcvc_rt_samples import models

Integers = tuple[NDArray[np.int8], NDArray[np.int8], NDArray[np.uint8]]


def tables() -> EntropyTables:
    return models().tables.image


@st.composite
def integers(draw: st.DrawFn) -> Integers:
    """z, symbols and table numbers of a small picture: mostly zeros, with escapes and skipped elements."""
    rows, columns = draw(st.integers(1, 3)), draw(st.integers(1, 3))
    random = np.random.Generator(np.random.PCG64(draw(st.integers(0, 2**32 - 1))))
    spread = draw(st.sampled_from([0, 1, 8, 128]))
    steps = draw(st.sampled_from([2, 4]))
    z = random.integers(-spread, spread or 1, (128, 1, 1)).astype(np.int8)
    symbols = random.integers(-spread, spread or 1, (steps, 64, rows, columns)).astype(np.int8)
    indexes = random.integers(0, 128, symbols.shape).astype(np.uint8)
    skipped = random.random(symbols.shape) < draw(st.sampled_from([0.0, 0.5, 1.0]))
    indexes[skipped] = SKIPPED
    symbols[skipped] = 0
    return z, symbols, indexes


def decode(payload: bytes, indexes: NDArray[np.uint8], *, qp: int, two_streams: bool) -> tuple[bytes, bytes]:
    reader = PayloadDecoder(payload, tables(), two_streams=two_streams)
    z = reader.z((1, 1), qp=qp)
    symbols = np.stack([reader.step(step) for step in indexes])
    reader.finish()
    return z.tobytes(), symbols.tobytes()


@settings(max_examples=60, deadline=None)
@given(integers(), st.integers(0, 63), st.booleans())
def test_any_symbols_come_back(picture: Integers, qp: int, two_streams: bool) -> None:
    z, symbols, indexes = picture
    payload = encode_payload(z, symbols, indexes, qp=qp, tables=tables(), two_streams=two_streams)
    assert decode(payload, indexes, qp=qp, two_streams=two_streams) == (z.tobytes(), symbols.tobytes())


@settings(max_examples=60, deadline=None)
@given(integers(), st.booleans(), st.data())
def test_bytes_too_few_or_too_many_are_seen(picture: Integers, two_streams: bool, data: st.DataObject) -> None:
    z, symbols, indexes = picture
    payload = encode_payload(z, symbols, indexes, qp=5, tables=tables(), two_streams=two_streams)
    cut = data.draw(st.integers(1, len(payload)))
    surplus = data.draw(st.binary(min_size=1, max_size=5))
    at = data.draw(st.integers(0, len(payload)))
    for damaged in (payload[:-cut], payload + surplus, payload[:at] + surplus + payload[at:]):
        with pytest.raises(BitstreamError) as caught:
            decode(damaged, indexes, qp=5, two_streams=two_streams)
        assert caught.value.offset is not None
        assert 0 <= caught.value.offset <= len(damaged)


@pytest.mark.parametrize("two_streams", [False, True])
def test_a_flipped_bit_is_seen_unless_it_makes_another_valid_payload(two_streams: bool) -> None:
    """Raw digits of an escape, and symbols of equal frequency, leave the coder's state as it was: no check can tell."""
    random = np.random.Generator(np.random.PCG64(7))
    z = random.integers(-9, 10, (128, 1, 1)).astype(np.int8)
    indexes = random.integers(0, 60, (2, 64, 1, 2)).astype(np.uint8)
    symbols = random.integers(-40, 41, indexes.shape).astype(np.int8)
    payload = encode_payload(z, symbols, indexes, qp=9, tables=tables(), two_streams=two_streams)
    passed = 0
    for bit in range(8 * len(payload)):
        damaged = bytearray(payload)
        damaged[bit // 8] ^= 1 << bit % 8
        try:
            reader = PayloadDecoder(bytes(damaged), tables(), two_streams=two_streams)
            found_z = reader.z((1, 1), qp=9)
            found = np.stack([reader.step(step) for step in indexes])
            reader.finish()
        except BitstreamError:
            continue
        passed += 1
        again = encode_payload(found_z, found, indexes, qp=9, tables=tables(), two_streams=two_streams)
        assert again == bytes(damaged)
    # Nearly all of these symbols are escapes; of real pictures a few in a hundred are.
    assert passed < 0.5 * 8 * len(payload)


def test_an_error_of_the_second_stream_is_placed_from_the_front() -> None:
    random = np.random.Generator(np.random.PCG64(8))
    z = random.integers(-3, 4, (128, 1, 1)).astype(np.int8)
    indexes = np.zeros((2, 64, 1, 1), np.uint8)
    payload = bytearray(
        encode_payload(z, np.zeros(indexes.shape, np.int8), indexes, qp=9, tables=tables(), two_streams=True)
    )
    payload[-5] ^= 0x10
    with pytest.raises(BitstreamError) as caught:
        decode(bytes(payload), indexes, qp=9, two_streams=True)
    assert caught.value.offset is not None
    assert caught.value.offset < len(payload)


@pytest.mark.parametrize(
    ("first", "second", "joined"),
    [
        (b"abc", b"xyz", b"abczyx"),
        (b"abc", b"xyc", b"abcyx"),
        (b"ab\0", b"xy\0", b"ab\0yx"),
        (b"a\0\0", b"x\0\0", b"a\0\0x"),
        (b"a\0\0", b"xy\0", b"a\0\0yx"),
        (b"a" + bytes(10), b"b" + bytes(9), b"a" + bytes(10) + b"\0b"),
    ],
)
def test_two_streams_share_what_they_can(first: bytes, second: bytes, joined: bytes) -> None:
    assert join(first, second) == joined
    assert len(joined) == len(first) + len(second) - overlap(first, second)


def test_two_streams_above_720p() -> None:
    assert not wants_two_streams(1280, 720)
    assert wants_two_streams(1280, 721)
