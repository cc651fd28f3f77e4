"""The `.lcv` container and whole files: bytes as documented, damage in one sentence, and the same picture back."""

from collections.abc import Iterable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from codec.colour import ToPlanes
from codec.container import FileHeader, FileReader, FileWriter
from codec.files import decode_file, encode_file
from codec.layout import Layout
from codec.video_io import VideoReader, create_video
from latentcast.errors import BitstreamError, UserError
from tests.codec.samples import Planes, moving_picture, psnr_db, weights

HEADER = FileHeader(Layout(150, 90), Fraction(30000, 1001), "ab" * 32)
HEADER_BYTES = b"LCVF\x01\x01" + bytes.fromhex("0096 005a 00007530 000003e9") + b"\xab" * 32


def quiet(items: Iterable[Any], *, total: int | None = None) -> Iterator[Any]:
    return iter(items)


def written(path: Path, *frames: bytes) -> Path:
    with FileWriter(path, HEADER) as writer:
        for frame in frames:
            writer.write(frame)
    return path


def test_file_byte_for_byte(tmp_path: Path) -> None:
    path = written(tmp_path / "a.lcv", b"first", b"2nd")
    assert path.read_bytes() == HEADER_BYTES + b"\0\0\0\x05first" + b"\0\0\0\x032nd"
    with FileReader(path) as reader:
        assert reader.header == HEADER
        assert reader.count() == 2
        assert list(reader.frames()) == [b"first", b"2nd"]


def test_an_aborted_file_leaves_nothing(tmp_path: Path) -> None:
    def abort() -> None:
        with FileWriter(tmp_path / "a.lcv", HEADER) as writer:
            writer.write(b"first")
            raise KeyError

    with pytest.raises(KeyError):
        abort()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("at", "value", "message"),
    [
        (0, b"RIFF", "is not a coded file"),
        (4, b"\x02", "file version 2 and profile 1"),
        (5, b"\x07", "file version 1 and profile 7"),
        (6, b"\0\0", "0x90"),
        (10, b"\0\0\0\0", "frame rate of 0/1001"),
        (14, b"\0\0\0\0", "frame rate of 30000/0"),
    ],
)
def test_a_foreign_header_is_one_sentence(at: int, value: bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / "a.lcv"
    path.write_bytes(HEADER_BYTES[:at] + value + HEADER_BYTES[at + len(value) :])
    with pytest.raises(UserError, match=message) as caught:
        FileReader(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("size", [0, 3, 49])
def test_a_truncated_header_is_one_sentence(size: int, tmp_path: Path) -> None:
    path = tmp_path / "a.lcv"
    path.write_bytes(HEADER_BYTES[:size])
    with pytest.raises(UserError, match="is not a coded file"):
        FileReader(path)


@pytest.mark.parametrize("lost", [1, 2, 4, 5, 6])
def test_a_truncated_frame_is_told_with_its_end(lost: int, tmp_path: Path) -> None:
    path = written(tmp_path / "a.lcv", b"first", b"2nd")
    data = path.read_bytes()[:-lost]
    path.write_bytes(data)
    with FileReader(path) as reader:
        assert reader.count() == 1
        frames = reader.frames()
        assert next(frames) == b"first"
        assert reader.offset == len(HEADER_BYTES) + 4
        with pytest.raises(BitstreamError, match="ends inside frame 1") as caught:
            next(frames)
        assert caught.value.offset == len(data)


@pytest.mark.parametrize("length", [0, (32 << 20) + 1, 0xFFFFFFFF])
def test_an_impossible_length_ends_the_frames(length: int, tmp_path: Path) -> None:
    path = written(tmp_path / "a.lcv", b"first", b"2nd")
    at = len(HEADER_BYTES) + 9
    path.write_bytes(path.read_bytes()[:at] + length.to_bytes(4, "big") + bytes(8) + b"\0\0\0\x01x")
    with FileReader(path) as reader:
        assert reader.count() == 1
        frames = reader.frames()
        assert next(frames) == b"first"
        with pytest.raises(BitstreamError, match=f"frame 1 has a length of {length}; expected 1 to") as caught:
            next(frames)
        assert caught.value.offset == at


def test_a_missing_file_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot be read"):
        FileReader(tmp_path / "absent.lcv")
    with pytest.raises(UserError, match=r"cannot be written .*; check the folder and the space left"):
        FileWriter(tmp_path / "absent" / "a.lcv", HEADER)


def video(path: Path, frames: int) -> list[Planes]:
    """A y4m of moving pictures, and what a reader makes of it."""
    writer = create_video(path, width=96, height=64, fps=Fraction(25))
    for t in range(frames):
        writer.write(moving_picture(96, 64, t))
    writer.close()
    return pictures(path)


def pictures(path: Path) -> list[Planes]:
    convert = ToPlanes()
    with VideoReader(path) as reader:
        return [convert(frame, width=96, height=64) for _, frame in reader.frames()]


def test_a_video_comes_back(tmp_path: Path) -> None:
    source = video(tmp_path / "in.y4m", 5)
    coded = encode_file(tmp_path / "in.y4m", tmp_path / "a.lcv", qp=60, frames=4, progress=quiet)
    decoded = decode_file(tmp_path / "a.lcv", tmp_path / "out.y4m", reference=tmp_path / "in.y4m", progress=quiet)
    found = pictures(tmp_path / "out.y4m")
    assert len(found) == coded.frames == decoded.frames == 4
    assert (coded.width, coded.height, coded.fps) == (96, 64, Fraction(25))
    assert coded.bytes == (tmp_path / "a.lcv").stat().st_size
    qualities = [psnr_db(a[0], b[0], peak=255) for a, b in zip(source, found, strict=False)]
    assert coded.psnr_y_db == pytest.approx(np.mean(qualities), abs=0.1)
    assert decoded.psnr_y_db == pytest.approx(coded.psnr_y_db)
    with FileReader(tmp_path / "a.lcv") as reader:
        assert reader.header.weights_sha256 == weights().sha256
        frames = list(reader.frames())
        assert [frame[1] for frame in frames] == [0, 1, 1, 1]
        assert [frame[2] for frame in frames] == [60, 68, 60, 64]


def test_a_damaged_frame_and_other_weights_are_one_sentence(tmp_path: Path) -> None:
    video(tmp_path / "in.y4m", 2)
    encode_file(tmp_path / "in.y4m", tmp_path / "a.lcv", qp=30, progress=quiet)
    data = (tmp_path / "a.lcv").read_bytes()
    with FileReader(tmp_path / "a.lcv") as reader:
        *_, last = reader.frames()
    (tmp_path / "bad.lcv").write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    said = (
        rf"bad\.lcv cannot be decoded at byte {len(data) - len(last)}: frame 1 is damaged \(1 slice cannot be read\)\. "
        r".*out\.y4m holds the 1 frame before it\."
    )
    with pytest.raises(UserError, match=said):
        decode_file(tmp_path / "bad.lcv", tmp_path / "out.y4m", progress=quiet)
    assert len(pictures(tmp_path / "out.y4m")) == 1
    (tmp_path / "cut.lcv").write_bytes(data[:60])
    with pytest.raises(UserError, match=r"at byte 60: the file ends inside frame 0\. It holds no whole frame"):
        decode_file(tmp_path / "cut.lcv", tmp_path / "none.y4m", progress=quiet)
    assert not list(tmp_path.glob("none*"))
    (tmp_path / "other.lcv").write_bytes(data[:18] + bytes(32) + data[50:])
    with pytest.raises(UserError, match="was coded with weights 000000000000, this installation has"):
        decode_file(tmp_path / "other.lcv", tmp_path / "out.y4m", progress=quiet)


def one_then_ctrl_c(items: Iterable[Any], *, total: int | None = None) -> Iterator[Any]:
    yield next(iter(items))
    raise KeyboardInterrupt


@pytest.mark.parametrize("target", ["out.y4m", "out.mp4"])
def test_an_interrupted_decode_leaves_nothing(target: str, tmp_path: Path) -> None:
    video(tmp_path / "in.y4m", 2)
    encode_file(tmp_path / "in.y4m", tmp_path / "a.lcv", qp=30, progress=quiet)
    with pytest.raises(KeyboardInterrupt):
        decode_file(tmp_path / "a.lcv", tmp_path / target, progress=one_then_ctrl_c)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.lcv", "in.y4m"]
