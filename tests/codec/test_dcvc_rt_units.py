"""The paper's file syntax: bytes as specified, and everything it does not allow refused where it stands."""

import io
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codec.dcvc_rt.units import (
    MAX_VARLEN,
    ParameterSet,
    PictureUnit,
    UnitReader,
    UnitWriter,
    largest_payload,
    write_varlen,
)
from codec.layout import FileLayout
from latentcast.errors import BitstreamError, UserError

SMALL = ParameterSet(16, 16, use_ada_i=False, two_streams=False)
# SPS 0: 16x16, no flags. I, QP 7, 2 bytes.
START = b"\x00\x10\x10\x00" + b"\x10\x07\x02ab"


def read(data: bytes) -> list[PictureUnit]:
    return list(UnitReader(io.BytesIO(data)))


@pytest.mark.parametrize(
    ("value", "data"),
    [
        (0, "00"),
        (127, "7f"),
        (128, "8080"),
        (0x3FFF, "bfff"),
        (0x4000, "c0004000"),
        (MAX_VARLEN, "ffffffff"),
    ],
)
def test_numbers_take_one_two_or_four_bytes(value: int, data: str) -> None:
    assert write_varlen(value).hex() == data


@pytest.mark.parametrize("value", [-1, MAX_VARLEN + 1])
def test_a_number_that_does_not_fit_is_refused(value: int) -> None:
    with pytest.raises(ValueError, match="does not fit"):
        write_varlen(value)


def test_a_file_byte_for_byte() -> None:
    writer = UnitWriter()
    plain = ParameterSet(1920, 1080, use_ada_i=False, two_streams=True)
    reset = ParameterSet(1920, 1080, use_ada_i=True, two_streams=True)
    first = data = writer.picture(plain, intra=True, qp=42, payload=b"i" * 200)
    assert data == bytes.fromhex("00 8438 8780 04  10 2a 80c8") + b"i" * 200
    data += writer.picture(reset, intra=False, qp=50, payload=b"p1")
    data += writer.picture(plain, intra=False, qp=42, payload=b"p2")
    assert data[len(first) :] == bytes.fromhex("01 8438 8780 05  21 32 02") + b"p1" + bytes.fromhex("20 2a 02") + b"p2"
    units = read(data)
    assert [unit.intra for unit in units] == [True, False, False]
    assert [unit.set_id for unit in units] == [0, 1, 0]
    assert [unit.parameters for unit in units] == [plain, reset, plain]
    assert [unit.qp for unit in units] == [42, 50, 42]
    assert [unit.payload for unit in units] == [b"i" * 200, b"p1", b"p2"]
    assert [unit.offset for unit in units] == [6, 216, 221]
    assert all(data[unit.payload_offset :].startswith(unit.payload) for unit in units)
    assert UnitReader(io.BytesIO(data)).count() == 3


def test_a_seventeenth_parameter_set_is_refused() -> None:
    writer = UnitWriter()
    for width in range(1, 17):
        writer.picture(ParameterSet(width, 16, use_ada_i=False, two_streams=False), intra=True, qp=0, payload=b"x")
    assert writer.picture(SMALL, intra=True, qp=0, payload=b"x")[0] == 0x1F
    with pytest.raises(UserError, match="16 combinations"):
        writer.picture(ParameterSet(17, 16, use_ada_i=False, two_streams=False), intra=True, qp=0, payload=b"x")


@pytest.mark.parametrize(
    ("data", "message", "offset"),
    [
        (b"", "holds no picture", 0),
        (START[:4], "ends after a parameter set", 4),
        (b"\x00", "ends inside a height", 1),
        (b"\x00\x80", "ends inside a height", 2),
        (b"\x00\x10\xc0\x00", "ends inside a width", 4),
        (b"\x00\x10\x10", "ends inside the flags", 3),
        (START[:5], "ends inside a QP", 5),
        (START[:6], "ends inside a payload length", 6),
        (START[:-1], "a payload of 2 bytes where the file has 1 left", 6),
        (b"\x10\x07\x02ab", "parameter set 0, which was not sent", 0),
        (START + b"\x30", "reserved type 3", 9),
        (START + b"\xf0", "reserved type 15", 9),
        (b"\x00\x00\x10\x00", "pictures of 16x0", 1),
        (b"\x00\x10\x00\x00", "pictures of 0x16", 1),
        (b"\x00\x89\x01\x10\x00", "pictures of 16x2305", 1),
        (b"\x00\x10\x90\x01\x00", "pictures of 4097x16", 1),
        (b"\x00\xff\xff\xff\xff\xff\xff\xff\xff\x00", "sizes up to 4096x2304", 1),
        (b"\x00\x10\x10\x02", "unknown flags 0x02", 3),
        (b"\x00\x10\x10\x88", "unknown flags 0x88", 3),
        (b"\x00\x10\x10\x00\x20\x07\x02ab", "before any intra", 4),
        (START + b"\x01\x10\x11\x00\x21\x07\x02ab", "of 17x16 on a reference of 16x16", 13),
        (b"\x00\x10\x10\x00\x10\x40\x02ab", "intra picture of QP 64", 5),
        (START + b"\x20\x48\x02ab", "inter picture of QP 72", 10),
        (START[:6] + b"\xff\xff\xff\xff", "where the file has 0 left", 6),
        (START[:6] + b"\x86\x05" + bytes(1541), "takes at most 1540", 6),
    ],
)
def test_what_the_format_does_not_allow_is_refused_where_it_stands(data: bytes, message: str, offset: int) -> None:
    with pytest.raises(BitstreamError, match=message) as caught:
        read(data)
    assert caught.value.offset == offset


def test_the_longest_payload_is_taken() -> None:
    longest = largest_payload(SMALL.layout, intra=True, two_streams=False)
    assert longest == (128 + 4 * 64) * 4 + 4
    (unit,) = read(START[:6] + write_varlen(longest) + bytes(longest))
    assert len(unit.payload) == longest


def test_pictures_are_read_when_they_are_asked_for() -> None:
    class Counting(io.BytesIO):
        taken = 0

        def read(self, size: int | None = -1, /) -> bytes:
            data = super().read(size)
            self.taken += len(data)
            return data

    file = Counting(START + b"\x20\x07\x01p" * 50)
    units: Iterator[PictureUnit] = iter(UnitReader(file))
    next(units)
    assert file.taken == len(START)
    next(units)
    assert file.taken == len(START) + 4


@pytest.mark.parametrize("lost", range(1, 5))
def test_what_was_whole_is_read_before_the_damage(lost: int) -> None:
    data = (START + b"\x20\x07\x01p" * 3)[:-lost]
    reader = UnitReader(io.BytesIO(data))
    assert reader.count() == 3
    units = iter(reader)
    assert [next(units).payload for _ in range(3)] == [b"ab", b"p", b"p"]
    if lost < 4:
        with pytest.raises(BitstreamError):
            next(units)


sets = st.builds(
    ParameterSet,
    st.sampled_from([1, 16, 127, 128, 1920, 4096]),
    st.sampled_from([1, 16, 127, 128, 1088, 2304]),
    use_ada_i=st.booleans(),
    two_streams=st.booleans(),
)


@given(st.lists(st.tuples(sets, st.integers(0, 63), st.binary(max_size=300)), min_size=1, max_size=14))
def test_what_is_written_is_read(pictures: list[tuple[ParameterSet, int, bytes]]) -> None:
    writer = UnitWriter()
    data = b"".join(writer.picture(p, intra=True, qp=qp, payload=payload) for p, qp, payload in pictures)
    assert [(unit.parameters, unit.qp, unit.payload) for unit in read(data)] == pictures


@given(st.binary(max_size=60))
def test_any_bytes_end_in_pictures_or_an_error_inside_them(data: bytes) -> None:
    offset: int | None = 0
    try:
        units = read(START + data)
        assert units[0].payload == b"ab"
    except BitstreamError as error:
        offset = error.offset
    assert offset is not None
    assert 0 <= offset <= len(START) + len(data)


@pytest.mark.parametrize(
    ("size", "latents", "hyper"),
    [((1, 1), (1, 1), (1, 1)), ((17, 15), (1, 2), (1, 1)), ((4096, 2304), (144, 256), (36, 64))],
)
def test_sizes_of_files_reach_further_than_those_of_live_pictures(
    size: tuple[int, int], latents: tuple[int, int], hyper: tuple[int, int]
) -> None:
    layout = FileLayout(*size)
    assert (layout.latent_shape, layout.hyper_shape) == (latents, hyper)


@pytest.mark.parametrize("size", [(0, 16), (16, 0), (4097, 16), (16, 2305)])
def test_sizes_beyond_files_are_one_sentence(size: tuple[int, int]) -> None:
    with pytest.raises(UserError, match=r"sizes from 1x1 to 4096x2304 can"):
        FileLayout(*size)
