"""The frame format: bytes fixed by a hand-written frame, every field checked, holes anywhere."""

from itertools import pairwise

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from codec.bitstream import CodedFrame, FrameParts, read_frame, write_frame
from codec.layout import Layout
from codec.slices import Slice
from latentcast.errors import BitstreamError

HEADER = bytes.fromhex(
    "01"  # version
    "01"  # inter
    "47"  # QP row 71
    "00"  # reserved
    "0043"  # 67 wide
    "0040"  # 64 high: 5 x 4 latent positions
    "0003"  # slices
    "000004"  # z bytes
)
TABLE = bytes.fromhex("0001 0002  0010 0003  0003 0000")
Z = b"zzzz"
FRAME = HEADER + TABLE + Z + b"aa" + b"bbb"
SLICES = [Slice(1, b"aa"), Slice(16, b"bbb"), Slice(3, b"")]
HEAD_BYTES = len(HEADER + TABLE + Z)


def replaced(at: int, value: bytes) -> bytes:
    return FRAME[:at] + value + FRAME[at + len(value) :]


def test_written_frame_byte_for_byte() -> None:
    coded = write_frame(intra=False, qp=71, layout=Layout(67, 64), z=Z, slices=SLICES)
    assert coded == CodedFrame(FRAME, (HEAD_BYTES, HEAD_BYTES + 2, HEAD_BYTES + 5), intra=False, qp=71)


def test_read_frame_field_by_field() -> None:
    assert read_frame(FRAME) == FrameParts(False, 71, Layout(67, 64), Z, SLICES)
    assert read_frame(FRAME).missing == 0
    intra = read_frame(replaced(1, b"\x00\x3f"))
    assert (intra.intra, intra.qp) == (True, 63)


@pytest.mark.parametrize(
    ("at", "value", "message"),
    [
        (0, b"\x00", "version 0"),
        (0, b"\x02", "version 2"),
        (1, b"\x02", "unknown frame type 2"),
        (2, b"\x48", "QP 72 is out of range"),
        (1, b"\x00\x40", "QP 64 is out of range"),
        (3, b"\x01", "reserved byte 1"),
        (4, b"\x00\x3f", "63x64"),
        (4, b"\x07\x81", "1921x64"),
        (6, b"\x00\x3f", "67x63"),
        (6, b"\x04\x41", "67x1089"),
        (8, b"\x00\x00", "0 slices"),
        (8, b"\x00\x15", "21 slices for 20"),
        (10, b"\x00\x00\xff", "head of the frame is incomplete"),
        (10, b"\xff\xff\xff", "head of the frame is incomplete"),
        (13, b"\x00\x00", "does not match the picture size"),
        (13, b"\x00\x05", "does not match the picture size"),
        (21, b"\x00\x02", "cover 19 of 20"),
        (15, b"\x00\x01", "1 surplus bytes"),
    ],
)
def test_every_field_is_checked(at: int, value: bytes, message: str) -> None:
    with pytest.raises(BitstreamError, match=message):
        read_frame(replaced(at, value))


def test_surplus_bytes_are_refused() -> None:
    with pytest.raises(BitstreamError, match="1 surplus"):
        read_frame(FRAME + b"\0")


@pytest.mark.parametrize("size", range(len(FRAME)))
def test_truncation_costs_slices_and_then_the_frame(size: int) -> None:
    if size < HEAD_BYTES:
        with pytest.raises(BitstreamError, match=r"shorter than its header|head of the frame is incomplete"):
            read_frame(FRAME[:size])
        return
    slices = read_frame(FRAME[:size]).slices
    assert slices[0].data == (b"aa" if size >= HEAD_BYTES + 2 else None)
    assert slices[1].data is None
    assert [piece.positions for piece in slices] == [1, 16, 3]


@pytest.mark.parametrize("begin", range(len(FRAME)))
@pytest.mark.parametrize("length", [1, 2, 100])
def test_a_hole_costs_what_it_touches(begin: int, length: int) -> None:
    if begin < HEAD_BYTES:
        with pytest.raises(BitstreamError, match="head of the frame is incomplete"):
            read_frame(FRAME, ((begin, begin + length),))
        return
    end = begin + length
    a, b, nothing = read_frame(FRAME, ((begin, end),)).slices
    assert a.data == (None if begin < HEAD_BYTES + 2 else b"aa")
    assert b.data == (None if end > HEAD_BYTES + 2 else b"bbb")
    assert nothing.positions == 3


def test_several_holes() -> None:
    parts = read_frame(FRAME, ((HEAD_BYTES + 4, HEAD_BYTES + 5), (HEAD_BYTES, HEAD_BYTES + 1)))
    assert parts.missing == 2


def test_what_is_in_a_hole_is_not_looked_at() -> None:
    """Reassembly leaves anything there."""
    garbage = FRAME[: HEAD_BYTES + 2] + b"\xff\xff\xff"
    assert read_frame(garbage, ((HEAD_BYTES + 2, HEAD_BYTES + 5),)).slices[:2] == [Slice(1, b"aa"), Slice(16, None)]


HOLES = st.lists(st.tuples(st.integers(-5, 80), st.integers(-5, 80)), max_size=3).map(tuple)


@given(st.binary(max_size=80), HOLES)
@example(HEADER, ())
@settings(max_examples=100, deadline=None)
def test_random_bytes_never_raise_anything_else(data: bytes, holes: tuple[tuple[int, int], ...]) -> None:
    check(data, holes)


@given(
    st.lists(st.tuples(st.integers(0, len(FRAME) - 1), st.integers(0, 255)), max_size=4),
    st.integers(0, len(FRAME)),
    st.binary(max_size=4),
    HOLES,
)
@settings(max_examples=150, deadline=None)
def test_mutated_frames_never_raise_anything_else(
    changes: list[tuple[int, int]], cut: int, tail: bytes, holes: tuple[tuple[int, int], ...]
) -> None:
    data = bytearray(FRAME)
    for at, value in changes:
        data[at] = value
    check(bytes(data[:cut]) + tail, holes)


def check(data: bytes, holes: tuple[tuple[int, int], ...]) -> None:
    try:
        parts = read_frame(data, holes)
    except BitstreamError:
        return
    assert sum(piece.positions for piece in parts.slices) == parts.layout.positions
    assert all(piece.positions > 0 for piece in parts.slices)
    assert parts.qp < (64 if parts.intra else 72)


@given(
    st.booleans(), st.integers(0, 63), st.integers(64, 1920), st.integers(64, 1088), st.binary(max_size=30), st.data()
)
@settings(max_examples=40, deadline=None)
def test_what_was_written_is_read(intra: bool, qp: int, width: int, height: int, z: bytes, data: st.DataObject) -> None:
    layout = Layout(width, height)
    cuts = data.draw(st.sets(st.integers(1, layout.positions - 1), max_size=5), label="cuts")
    edges = [0, *sorted(cuts), layout.positions]
    slices = [Slice(b - a, data.draw(st.binary(max_size=20), label="slice")) for a, b in pairwise(edges)]
    coded = write_frame(intra=intra, qp=qp, layout=layout, z=z, slices=slices)
    assert read_frame(coded.data) == FrameParts(intra, qp, layout, z, slices)
    for offset, piece in zip(coded.slice_offsets, slices, strict=True):
        assert piece.data is not None
        assert coded.data[offset : offset + len(piece.data)] == piece.data
