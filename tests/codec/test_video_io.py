"""What is written comes back with its colours and times, and what cannot be read or written says so in a sentence."""

import os
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from codec.colour import ToPlanes, frame_to_planes, psnr_y, ycbcr_to_rgb
from codec.raw_video import PlanarWriter
from codec.video_io import VideoReader, VideoWriter, create_video
from latentcast.errors import UserError

FPS = Fraction(30000, 1001)


def picture(number: int, *, width: int = 96, height: int = 64) -> NDArray[np.uint8]:
    """A saturated, smooth picture that moves with its number."""
    x, y = np.meshgrid(np.arange(width), np.arange(height))
    return np.stack([(2 * x + 4 * number) % 256, 50 + y, 200 - y]).astype(np.uint8)


def write_pictures(path: Path, *, count: int, width: int = 96, height: int = 64) -> None:
    writer = create_video(path, width=width, height=height, fps=FPS)
    for number in range(count):
        writer.write(picture(number, width=width, height=height))
    writer.close()


def read_planes(path: Path) -> list[tuple[float, NDArray[np.uint8]]]:
    with VideoReader(path) as reader:
        return [(t, frame_to_planes(f, width=reader.width, height=reader.height)) for t, f in reader.frames()]


def test_y4m_is_lossless(tmp_path: Path) -> None:
    """Full range and the matrix both survive: a plain y4m this small would be read as limited BT.601."""
    path = tmp_path / "a.y4m"
    write_pictures(path, count=3, width=97, height=65)
    back = read_planes(path)
    assert [t for t, _ in back] == pytest.approx([0, 1001 / 30000, 2002 / 30000])
    for number, (_, planes) in enumerate(back):
        assert (planes == picture(number, width=97, height=65)).all()
    assert os.listdir(tmp_path) == ["a.y4m"]


def test_y4m_without_our_label_follows_the_usual_convention(tmp_path: Path) -> None:
    path = tmp_path / "a.y4m"
    write_pictures(path, count=1)
    path.write_bytes(path.read_bytes().replace(b" XCOLORMATRIX=BT709", b""))
    assert np.abs(read_planes(path)[0][1].astype(int) - picture(0)).max() > 4


@pytest.mark.parametrize(("width", "height"), [(96, 64), (95, 63)])
def test_mp4_keeps_colours_and_times(tmp_path: Path, width: int, height: int) -> None:
    path = tmp_path / "a.mp4"
    write_pictures(path, count=5, width=width, height=height)
    with VideoReader(path) as reader:
        assert (reader.width, reader.height, reader.fps, reader.frame_count) == (96, 64, FPS, 5)
        times, frames = zip(*reader.frames(), strict=True)
    assert times == pytest.approx([n * 1001 / 30000 for n in range(5)], abs=1e-4)
    assert (frames[0].colorspace, frames[0].color_range, frames[0].format.name) == (1, 1, "yuv420p")
    for number, frame in enumerate(frames):
        planes = ToPlanes()(frame, width=96, height=64)[:, :height, :width]
        difference = planes.astype(int) - picture(number, width=width, height=height)
        assert np.abs(difference.mean(axis=(1, 2))).max() < 1  # a range or matrix mistake shifts a whole plane
        assert psnr_y(planes, picture(number, width=width, height=height)) > 38


@pytest.mark.parametrize("name", ["shots", "shot_%03d.png"])
def test_png_sequence(tmp_path: Path, name: str) -> None:
    write_pictures(tmp_path / name, count=3)
    pattern = tmp_path / ("shots/%05d.png" if name == "shots" else name)
    with VideoReader(pattern) as reader:
        frames = [frame for _, frame in reader.frames()]
    assert len(frames) == 3
    for number, frame in enumerate(frames):
        assert (frame.to_ndarray(format="rgb24") == ycbcr_to_rgb(picture(number))).all()


@pytest.mark.parametrize(("degrees", "turns"), [(90, 1), (180, 2), (-90, 3)])
def test_rotation_is_applied(tmp_path: Path, degrees: int, turns: int) -> None:
    """Phones record sideways and say so in the file; angles are counter-clockwise, as numpy's turns are."""
    path = tmp_path / "a.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=30, options={"crf": "5"})
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        stream.set_display_rotation(degrees)
        frame = av.VideoFrame.from_ndarray(ycbcr_to_rgb(picture(0)), format="rgb24")
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    (_, planes) = read_planes(path)[0]
    expected = np.rot90(picture(0), turns, axes=(1, 2))
    assert planes.shape == expected.shape
    assert psnr_y(planes, expected) > 30


def test_sample_aspect_widens_the_picture(tmp_path: Path) -> None:
    path = tmp_path / "a.y4m"
    write_pictures(path, count=1)
    path.write_bytes(path.read_bytes().replace(b"A1:1", b"A4:3"))
    with VideoReader(path) as reader:
        assert (reader.width, reader.height) == (128, 64)


def test_properties_and_frames_outlive_close(tmp_path: Path) -> None:
    write_pictures(tmp_path / "a.y4m", count=2)
    reader = VideoReader(tmp_path / "a.y4m")
    frames = reader.frames()
    _, frame = next(frames)
    reader.close()
    reader.close()
    assert (reader.width, reader.fps) == (96, FPS)
    assert (frame_to_planes(frame, width=96, height=64) == picture(0)).all()
    assert list(frames) == []


def test_damage_in_the_middle_costs_only_some_frames(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "a.mp4"
    write_pictures(path, count=40)
    data = bytearray(path.read_bytes())
    middle = len(data) // 4
    data[middle : middle + 60] = bytes(range(60))
    path.write_bytes(data)
    with VideoReader(path) as reader:
        times = [t for t, _ in reader.frames()]
    assert 20 <= len(times) <= 40
    assert times == sorted(set(times))
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("missing.mp4", None, "there is no file"),
        ("noise.mp4", bytes(range(256)) * 40, "cannot be opened as video"),
        ("empty.mkv", b"", "cannot be opened as video"),
        ("header.y4m", b"YUV4MPEG2 W64 H64 F30:1 C444\n", "no frame that can be decoded"),
    ],
)
def test_unusable_files(tmp_path: Path, name: str, content: bytes | None, sentence: str) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=sentence):
        VideoReader(tmp_path / name)


def test_sound_and_folders_are_not_video(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000)
        samples = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), format="s16", layout="mono")
        samples.sample_rate = 8000
        container.mux(stream.encode(samples))
    with pytest.raises(UserError, match="no video stream"):
        VideoReader(path)
    with pytest.raises(UserError, match="is a folder"):
        VideoReader(tmp_path)


@pytest.mark.parametrize("name", ["a.avi", "a.png", "a_%d_%d.png", "nowhere/a.y4m", "nowhere/a.mp4"])
def test_names_that_cannot_be_written(tmp_path: Path, name: str) -> None:
    with pytest.raises(UserError, match="cannot"):
        create_video(tmp_path / name, width=64, height=64, fps=FPS)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("name", ["a.y4m", "a.mp4"])
def test_nothing_has_the_name_until_it_is_whole(tmp_path: Path, name: str) -> None:
    writer = create_video(tmp_path / name, width=96, height=64, fps=FPS)
    writer.write(picture(0))
    assert os.listdir(tmp_path) == [name + ".part"]
    with pytest.raises(ValueError, match="expected uint8"):
        writer.write(np.zeros((3, 10, 10), np.uint8))
    writer.close()
    writer.close()
    assert os.listdir(tmp_path) == [name]
    with pytest.raises(UserError, match="closed"):
        writer.write(picture(1))


@pytest.mark.parametrize("name", ["a.y4m", "a.mp4"])
def test_a_video_without_frames_leaves_no_file(tmp_path: Path, name: str) -> None:
    create_video(tmp_path / name, width=96, height=64, fps=FPS).close()
    assert os.listdir(tmp_path) == []


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
@pytest.mark.parametrize("name", ["a.y4m", "a.mp4"])
def test_a_full_disk_is_an_error_and_leaves_no_file(tmp_path: Path, name: str) -> None:
    (tmp_path / (name + ".part")).symlink_to("/dev/full")
    writer = create_video(tmp_path / name, width=96, height=64, fps=FPS)
    with pytest.raises(UserError, match="no space left"):  # noqa: PT012 - buffering decides which call finds out
        for number in range(8):
            writer.write(picture(number))
        writer.close()
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("name", ["a.y4m", "a.mp4", "a.yuv"])
@pytest.mark.parametrize("count", [0, 2])
def test_a_discarded_video_leaves_no_file_and_a_closed_one_stays(name: str, count: int, tmp_path: Path) -> None:
    path = tmp_path / name

    def write() -> VideoWriter | PlanarWriter:
        if path.suffix == ".yuv":
            planar = PlanarWriter(path, width=96, height=64, fps=FPS, chroma="444")
            for number in range(count):
                planar.write(picture(number)[0], picture(number)[1:])
            return planar
        writer = create_video(path, width=96, height=64, fps=FPS)
        for number in range(count):
            writer.write(picture(number))
        return writer

    writer = write()
    writer.discard()
    writer.close()
    assert list(tmp_path.iterdir()) == []
    writer = write()
    writer.close()
    data = path.read_bytes() if count else b""
    writer.discard()
    assert [found.name for found in tmp_path.iterdir()] == ([name] if count else [])
    assert not count or path.read_bytes() == data
