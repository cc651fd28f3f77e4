"""Clips come out as the planes that went in, whatever they are stored as."""

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.rd.anchor import find_sequence, load_anchor
from bench.rd.clips import Clip, frame_bytes, open_clip, raw_geometry
from latentcast.errors import UserError

RNG = np.random.default_rng(3)


def write_raw(path: Path, width: int, height: int, frames: int) -> bytes:
    data = RNG.integers(0, 256, frames * frame_bytes(width, height), dtype=np.uint8).tobytes()
    path.write_bytes(data)
    return data


def write_y4m(path: Path, data: bytes, width: int, height: int, *, chroma: str = "420jpeg") -> None:
    size = len(data) if chroma == "mono" else frame_bytes(width, height)
    frames = [b"FRAME\n" + data[at : at + size] for at in range(0, len(data), size)]
    path.write_bytes(f"YUV4MPEG2 W{width} H{height} F30000:1001 Ip A1:1 C{chroma}\n".encode() + b"".join(frames))


def joined(clip: Clip) -> bytes:
    return b"".join(plane.tobytes() for planes in clip for plane in planes)


@pytest.mark.parametrize(
    ("name", "geometry"),
    [
        ("Beauty_1920x1080_120fps_420_8bit_YUV.yuv", (1920, 1080, Fraction(120))),
        ("BQMall_832x480_60.yuv", (832, 480, Fraction(60))),
        ("videoSRC01_1920x1080_30.yuv", (1920, 1080, Fraction(30))),
        ("Kimono1_1920x1080_24.yuv", (1920, 1080, Fraction(24))),
        ("clip_352x288.yuv", (352, 288, None)),
        ("clip_352x288_420.yuv", (352, 288, None)),
        ("clip_352x288_29.97Hz.yuv", (352, 288, Fraction(2997, 100))),
    ],
)
def test_raw_names_of_the_standard_sequences(name: str, geometry: tuple[int, int, Fraction | None]) -> None:
    assert raw_geometry(Path(name)) == geometry


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("clip.yuv", "gives no size"),
        ("clip_353x288_30.yuv", "even sizes"),
        ("clip_352x288_30_10bit.yuv", "says 10bit"),
        ("clip_352x288_30_444.yuv", "says 444"),
        ("clip_352x288_0.yuv", "rate above 0"),
    ],
)
def test_raw_names_that_do_not_fit(name: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        raw_geometry(Path(name))


@given(st.text(max_size=30))
def test_any_raw_name_is_read_or_refused_in_words(stem: str) -> None:
    try:
        width, height, rate = raw_geometry(Path(f"{stem.replace('/', '')}.yuv"))
    except UserError:
        return
    assert width % 2 == height % 2 == 0
    assert rate is None or rate > 0


def test_a_raw_file_is_read_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "noise_32x16_25.yuv"
    data = write_raw(path, 32, 16, 5)
    clip = open_clip(path, tmp_path, name="noise")
    assert (clip.width, clip.height, clip.fps, clip.frames) == (32, 16, Fraction(25), 5)
    assert joined(clip) == data
    assert clip.path == path  # whole: no copy
    assert [plane.shape for plane in next(iter(clip))] == [(16, 32), (8, 16), (8, 16)]


def test_the_first_frames_of_a_raw_file(tmp_path: Path) -> None:
    path = tmp_path / "noise_32x16_25.yuv"
    data = write_raw(path, 32, 16, 5)
    clip = open_clip(path, tmp_path, name="first", frames=2)
    assert clip.frames == 2
    assert joined(clip) == clip.path.read_bytes() == data[: 2 * frame_bytes(32, 16)]


def test_a_file_of_another_size_than_its_name_says(tmp_path: Path) -> None:
    path = tmp_path / "noise_32x16_25.yuv"
    path.write_bytes(bytes(1000))
    with pytest.raises(UserError, match="no whole frames of 32x16"):
        open_clip(path, tmp_path, name="noise")


def test_y4m_gives_the_same_planes(tmp_path: Path) -> None:
    data = write_raw(tmp_path / "raw", 48, 32, 3)
    write_y4m(tmp_path / "clip.y4m", data, 48, 32)
    clip = open_clip(tmp_path / "clip.y4m", tmp_path, name="clip", frames=10)
    assert joined(clip) == data
    assert clip.fps == Fraction(30000, 1001)
    assert clip.notes == ("has 3 frames, fewer than the 10 asked for",)


def test_other_formats_are_converted_and_it_is_said(tmp_path: Path) -> None:
    write_y4m(tmp_path / "grey.y4m", bytes([77]) * (64 * 32), 64, 32, chroma="mono")
    clip = open_clip(tmp_path / "grey.y4m", tmp_path, name="grey")
    y, u, v = next(iter(clip))
    assert (y == 77).all()
    assert np.ptp(u) == 0
    assert u[0, 0] == v[0, 0] == 128
    assert clip.notes == ("converted from gray to 8-bit 4:2:0",)


def test_a_larger_clip_is_shrunk_with_its_shape_and_a_smaller_one_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "flat_64x32_30.yuv"
    path.write_bytes(bytes([200]) * (64 * 32) + bytes([90]) * (64 * 32 // 2))
    small = open_clip(path, tmp_path, name="small", size=(32, 32))
    assert (small.width, small.height) == (32, 16)
    y, u, v = next(iter(small))
    assert (y == 200).all()
    assert (u == 90).all()
    assert (v == 90).all()
    assert small.notes == ("shrunk from 64x32",)
    assert open_clip(path, tmp_path, name="same", size=(640, 480)).width == 64


def test_the_published_anchor() -> None:
    sequences = load_anchor()
    assert len(sequences) == 53
    mall = sequences["bqmall_832x480_60"]
    assert (mall.dataset, mall.frames, mall.pixels_per_frame) == ("HEVC_C", 600, 832 * 480)
    beauty = sequences["beauty_1920x1080_120fps_420_8bit_yuv"].points
    assert [point.qp for point in beauty[:3]] == [22, 25, 28]
    assert (beauty[0].bits_per_pixel, beauty[0].psnr_611, beauty[0].psnr_y) == (0.057281, 40.086706, 39.919552)
    for sequence in sequences.values():
        assert len(sequence.points) == 10
        for point in sequence.points:
            weighted = (6 * point.psnr_y + point.psnr_u + point.psnr_v) / 8
            assert point.psnr_611 == pytest.approx(weighted, abs=2e-3)


@pytest.mark.parametrize(
    ("name", "size", "found"),
    [
        ("BQMall_832x480_60.yuv", (832, 480), True),
        ("bqmall_832x480_60.y4m", (832, 480), True),
        ("BQMall_832x480_60.mp4", (832, 480), False),
        ("BQMall_832x480_60.yuv", (416, 240), False),
        ("mine_832x480_60.yuv", (832, 480), False),
    ],
)
def test_only_the_sequence_itself_has_a_published_curve(name: str, size: tuple[int, int], found: bool) -> None:
    clip = Clip("clip", Path(name), Path(name), *size, Fraction(60), 600)
    sequence = find_sequence(clip)
    assert (sequence is not None) is found
    if sequence is not None:
        assert sequence.caveat(clip) is None
