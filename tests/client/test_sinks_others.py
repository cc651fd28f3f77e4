"""Raw video at a constant rate, numbered pictures, and a virtual camera (a double of the library)."""

import io
import os
import sys
import types
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from client.sinks.base import SinkEnded, VideoFormat
from client.sinks.images import ImageSink
from client.sinks.virtual_camera import VirtualCameraSink
from client.sinks.y4m import Y4mSink
from latentcast.errors import UserError

FORMAT = VideoFormat(4, 2, fps=10.0)
INTERVAL_US = 100_000


def planes(level: int) -> NDArray[np.uint8]:
    picture = np.full((3, 2, 4), 128, np.uint8)
    picture[0] = level
    return picture


class Bytes(io.BytesIO):
    """Keeps its contents when it is closed; takes seven bytes at a time, as a pipe may."""

    kept = b""

    def write(self, data: object) -> int:
        return super().write(bytes(data)[:7])  # type: ignore[call-overload]

    def close(self) -> None:
        self.kept = self.getvalue()
        super().close()


def raw(*steps: tuple[int, int | None], end_us: int) -> list[int]:
    """Luma of the frames written for pictures (time, luma), None for a mere look at the clock."""
    output = Bytes()
    sink = Y4mSink(output)
    sink.open(FORMAT)
    for at_us, level in steps:
        if level is None:
            sink.wait(at_us)
        else:
            sink.write(planes(level), at_us)
    sink.close(end_us)
    header, _, frames = output.kept.partition(b"\n")
    assert header == b"YUV4MPEG2 W4 H2 F10:1 Ip A1:1 C444 XCOLORRANGE=FULL XCOLORMATRIX=BT709"
    assert sink.size_bytes == len(output.kept)
    return [frame[0] for frame in frames.split(b"FRAME\n")[1:]]


def test_every_picture_of_a_steady_stream_is_written_once() -> None:
    jitter_us = (0, 20_000, -30_000, 10_000, 40_000)
    steps = [(1_000_000 + INTERVAL_US * index + late, index) for index, late in enumerate(jitter_us)]
    assert raw(*steps, end_us=1_450_000) == [0, 1, 2, 3, 4]


def test_a_gap_is_filled_and_of_two_in_one_interval_the_newer_wins() -> None:
    steps = [(0, 10), (300_000, 20), (310_000, 30), (400_000, 40)]
    assert raw(*steps, end_us=400_000) == [10, 10, 10, 30, 40]


def test_a_stall_keeps_the_rate() -> None:
    assert raw((0, 10), (250_000, None), (500_000, None), end_us=500_000) == [10] * 6


def test_a_machine_that_slept_does_not_write_the_night() -> None:
    assert raw((0, 10), (3600 * 1_000_000, 20), (3600 * 1_000_000 + INTERVAL_US, 30), end_us=0) == [10, 20, 30]


def test_the_raw_video_is_what_ffmpeg_reads(tmp_path: Path) -> None:
    path = tmp_path / "out.y4m"
    sink = Y4mSink(path.open("wb", buffering=0))
    sink.open(VideoFormat(64, 36, fps=30000 / 1001))
    for index in range(3):
        sink.write(np.full((3, 36, 64), 40 * index, np.uint8), 33_367 * index)
    sink.close(66_734)
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        assert stream.average_rate == Fraction(30000, 1001)
        assert [int(frame.to_ndarray()[0, 0, 0]) for frame in container.decode(stream)] == [0, 40, 80]


def test_a_reader_that_leaves_ends_it_cleanly() -> None:
    reader, writer = os.pipe()
    sink = Y4mSink(os.fdopen(writer, "wb", buffering=0))
    sink.open(FORMAT)
    os.close(reader)
    sink.write(planes(1), 0)
    with pytest.raises(SinkEnded, match="closed by its reader"):
        sink.write(planes(2), INTERVAL_US)
    sink.close(INTERVAL_US)


def test_pictures_are_numbered_on_from_what_is_there(tmp_path: Path) -> None:
    for name in ("shot_00007.png", "shot_00003.png", "shot_x.png", "other_00009.png"):
        (tmp_path / name).write_bytes(b"")
    sink = ImageSink(tmp_path / "shot_%05d.png")
    sink.open(VideoFormat(64, 36, fps=30.0))
    colour = np.empty((3, 36, 64), np.uint8)
    colour[:] = np.array([63, 102, 240], np.uint8)[:, None, None]  # BT.709 red, about
    for _ in range(2):
        sink.write(colour, 0)
    sink.close(0)
    assert not list(tmp_path.glob("*.part"))
    with av.open(str(tmp_path / "shot_00009.png")) as container:
        [frame] = container.decode(video=0)
        red, green, blue = frame.to_ndarray(format="rgb24")[10, 10].tolist()
    assert (tmp_path / "shot_00008.png").stat().st_size * 2 == sink.size_bytes
    assert red > 230
    assert max(green, blue) < 40


def test_a_folder_that_vanishes_is_said(tmp_path: Path) -> None:
    folder = tmp_path / "shots"
    folder.mkdir()
    sink = ImageSink(folder / "%d.png")
    sink.open(FORMAT)
    folder.rmdir()
    with pytest.raises(UserError, match=r"cannot write .*0\.png any more"):
        sink.write(planes(1), 0)


class Camera:
    """What pyvirtualcam.Camera does, without a device."""

    problem: Exception | None = None

    def __init__(self, width: int, height: int, fps: float, *, device: str | None = None) -> None:
        if self.problem is not None:
            raise self.problem
        self.size = (width, height)
        self.device = device or "/dev/video7"
        self.sent: list[int] = []
        self.closed = False

    def send(self, rgb: NDArray[np.uint8]) -> None:
        assert rgb.shape == (self.size[1], self.size[0], 3)
        self.sent.append(int(rgb[0, 0, 0]))

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def library(monkeypatch: pytest.MonkeyPatch) -> type[Camera]:
    kind = type("Camera", (Camera,), {})
    module = types.ModuleType("pyvirtualcam")
    module.Camera = kind  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "pyvirtualcam", module)
    return kind


def test_a_virtual_camera_shows_every_picture_and_repeats_the_last(library: type[Camera]) -> None:
    sink = VirtualCameraSink(None)
    sink.open(FORMAT)
    camera = sink._camera
    sink.write(planes(50), 0)
    sink.wait(400_000)
    sink.wait(600_000)
    sink.write(planes(90), 700_000)
    assert sink.place == "virtual camera /dev/video7"
    sink.close(0)
    assert camera.sent == [50, 50, 90]
    assert camera.closed
    sink.close(0)


def test_a_camera_that_is_not_there_is_said_with_what_to_do(
    library: type[Camera], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "platform", "linux")
    library.problem = RuntimeError("'v4l2loopback' backend: No v4l2 loopback device found")
    sink = VirtualCameraSink("/dev/video3")
    with pytest.raises(UserError, match=r"/dev/video3 cannot be opened \('v4l2loop.*found\); .* sudo modprobe"):
        sink.open(FORMAT)


def test_without_the_library_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyvirtualcam", None)
    with pytest.raises(UserError, match=r"latentcast\[virtualcam\]"):
        VirtualCameraSink(None)
