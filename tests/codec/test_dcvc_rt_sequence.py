"""Sequence coding: which picture is what, files of the golden vectors byte for byte, and looking one unit ahead."""

import io
from collections.abc import Iterator

import numpy as np
import pytest

pytest.importorskip("torch", reason="torch is not installed: pip install torch")

import torch

from codec.dcvc_rt.planes import repeat_chroma
from codec.dcvc_rt.sequence import Schedule, SequenceDecoder, SequenceEncoder
from codec.dcvc_rt.units import PictureUnit, UnitReader
from codec.layout import FileLayout
from latentcast.errors import BitstreamError, UserError
from tests.codec.dcvc_rt_samples import GOLDEN_NAMES, clip, decode, encode, golden, golden_meta, models


def test_qps_follow_the_number_of_the_picture() -> None:
    schedule = Schedule(20, 30, intra_period=5, reset_interval=4)
    kinds = [schedule[t] for t in range(12)]
    assert [t for t, kind in enumerate(kinds) if kind.intra] == [0, 5, 10]
    assert [kind.qp for kind in kinds] == [20, 38, 30, 34, 30, 20, 30, 34, 30, 38, 20, 34]
    # Picture 5 would be a reset, but is intra.
    assert [t for t, kind in enumerate(kinds) if kind.use_ada_i] == [1, 9]


@pytest.mark.parametrize(("reset_interval", "resets"), [(0, []), (-1, []), (1, []), (2, [1, 3, 5]), (64, [1])])
def test_resets(reset_interval: int, resets: list[int]) -> None:
    schedule = Schedule(0, reset_interval=reset_interval)
    assert [t for t in range(7) if schedule[t].use_ada_i] == resets


@pytest.mark.parametrize("qps", [(-1, None), (64, None), (0, 64), (0, -1)])
def test_a_qp_that_does_not_exist_is_one_sentence(qps: tuple[int, int | None]) -> None:
    with pytest.raises(UserError, match="there is no QP"):
        Schedule(*qps)


@pytest.mark.parametrize("two_streams", [False, True])
@pytest.mark.parametrize("name", GOLDEN_NAMES)
def test_golden_files(name: str, two_streams: bool) -> None:
    arrays, meta = golden(name), golden_meta(name)
    pictures = [repeat_chroma(y, uv) for y, uv in zip(arrays["in_y"], arrays["in_uv"], strict=True)]
    schedule = Schedule(meta["qp"], reset_interval=meta["reset_interval"])
    expected = arrays[f"file_ec{int(two_streams)}"].tobytes()
    skip = meta["force_zero_thres"]
    assert encode(pictures, schedule, two_streams=two_streams, skip_threshold=skip) == expected
    found = [picture.picture for picture in decode(expected, skip_threshold=skip)]
    assert np.abs(np.stack(found) - arrays["rec"]).max() < 1e-4


@pytest.mark.parametrize(
    ("size", "schedule", "two_streams"),
    [
        ((1, 1), Schedule(0), False),
        ((16, 16), Schedule(63), True),
        ((33, 17), Schedule(5, 60, intra_period=2, reset_interval=2), True),
        ((70, 50), Schedule(40, intra_period=3, reset_interval=2), False),
    ],
)
def test_encoder_and_decoder_keep_one_state(size: tuple[int, int], schedule: Schedule, two_streams: bool) -> None:
    """All kinds of pictures in all orders, at sizes that are no multiple of anything."""
    both = models()
    encoder = SequenceEncoder(both.encoder(), both.tables, FileLayout(*size), schedule, two_streams=two_streams)
    states, checks, data = [], [], b""
    for planes in clip(*size, 6):
        data += encoder.encode(planes)
        states.append(encoder.state)
        checks.append(encoder.check)
    found = list(decode(data))
    assert [picture.check for picture in found] == checks
    assert [picture.unit.intra for picture in found] == [schedule[t].intra for t in range(6)]
    for t, (picture, state) in enumerate(zip(found, states, strict=True)):
        assert picture.picture.shape == (3, size[1], size[0])
        # What the state of the last picture is made of does not follow from the file.
        if t < 5:
            assert state is not None
            assert torch.equal(picture.decoded.state, state)


def test_one_unit_is_read_ahead_and_no_more() -> None:
    data = encode(clip(16, 16, 5), Schedule(30))
    taken = 0

    def counted() -> Iterator[PictureUnit]:
        nonlocal taken
        for unit in UnitReader(io.BytesIO(data)):
            taken += 1
            yield unit

    both = models()
    pictures = SequenceDecoder(both.decoder(), both.tables).pictures(counted())
    for number in range(5):
        assert next(pictures).number == number
        assert taken == min(number + 2, 5)


def test_damage_ahead_does_not_cost_the_picture_before_it() -> None:
    data = encode(clip(16, 16, 3), Schedule(30, reset_interval=2))
    last = list(UnitReader(io.BytesIO(data)))[-1]
    whole = [picture.picture.copy() for picture in decode(data)]
    pictures = decode(data[: last.offset] + b"\x70" + data[last.offset + 1 :])
    for expected in whole[:2]:
        assert np.array_equal(next(pictures).picture, expected)
    with pytest.raises(BitstreamError, match="reserved type 7") as caught:
        next(pictures)
    assert caught.value.offset == last.offset


def test_a_damaged_payload_is_placed_in_the_file() -> None:
    data = encode(clip(16, 16, 3), Schedule(30))
    last = list(UnitReader(io.BytesIO(data)))[-1]
    damaged = bytearray(data)
    damaged[last.payload_offset + 3] ^= 0xFF
    pictures = decode(bytes(damaged))
    next(pictures), next(pictures)
    with pytest.raises(BitstreamError, match=r"^picture 2: ") as caught:
        next(pictures)
    assert caught.value.offset is not None
    assert last.payload_offset <= caught.value.offset <= len(data)


def test_another_size_begins_with_an_intra_picture() -> None:
    small = encode(clip(16, 16, 2), Schedule(30))
    # The second file's parameter sets take the place of the first one's, ids and all.
    large = encode(clip(48, 32, 2), Schedule(30))
    assert [picture.picture.shape for picture in decode(small + large)] == [(3, 16, 16)] * 2 + [(3, 32, 48)] * 2


def test_another_skip_threshold_is_seen() -> None:
    data = encode(clip(32, 32, 2), Schedule(30), skip_threshold=0.12)
    with pytest.raises(BitstreamError):
        list(decode(data, skip_threshold=None))


def test_a_large_size_with_a_small_payload_costs_nothing() -> None:
    """4096x2304 takes minutes and gigabytes; z does not decode, so that no network runs."""
    data = b"\x00\x89\x00\x90\x00\x00" + b"\x10\x00\x40" + bytes(range(64))
    with pytest.raises(BitstreamError, match="picture 0"):
        next(decode(data))
