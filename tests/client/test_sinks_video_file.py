"""Recordings: times as seen, a stall that stays one, and a file that survives its writer."""

import resource
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from client.sinks.base import VideoFormat
from client.sinks.video_file import VideoFileSink
from latentcast.errors import UserError
from tests.client.recording_process import INTERVAL_US, PICTURES, STALL_US, level

ROOT = Path(__file__).resolve().parents[2]
SUFFIXES = pytest.mark.parametrize("suffix", [".mp4", ".mkv"])


def planes(level: int, *, size: tuple[int, int] = (64, 36)) -> NDArray[np.uint8]:
    picture = np.full((3, size[1], size[0]), 128, np.uint8)
    picture[0] = level
    return picture


def played(path: Path) -> list[tuple[float, int]]:
    """Time in seconds and luma (full range) of every picture in the file; one that was cut off ends it."""
    pictures = []
    with av.open(str(path)) as container:
        for packet in container.demux(video=0):
            try:
                frames = packet.decode()
            except av.InvalidDataError:
                break
            for frame in frames:
                luma = int(np.median(frame.to_ndarray()[: frame.height]))
                pictures.append((frame.time, round((luma - 16) * 255 / 219)))
    return pictures


@SUFFIXES
def test_pictures_keep_the_times_at_which_they_were_seen(tmp_path: Path, suffix: str) -> None:
    sink = VideoFileSink(tmp_path / f"out{suffix}")
    sink.open(VideoFormat(64, 36, fps=30.0))
    seen_us = [0, 33_000, 70_000, 1_200_000, 1_233_000]
    for index, at_us in enumerate(seen_us):
        sink.write(planes(50 * index), 7_000_000 + at_us)
    sink.close(7_000_000 + 1_500_000)
    assert sink.size_bytes == (tmp_path / f"out{suffix}").stat().st_size
    frames = played(tmp_path / f"out{suffix}")
    assert [time for time, _ in frames] == pytest.approx([*(us / 1e6 for us in seen_us), 1.5], abs=0.001)
    assert [shown for _, shown in frames] == pytest.approx([0, 50, 100, 150, 200, 200], abs=3)


def test_a_stall_repeats_the_last_picture_twice_a_second(tmp_path: Path) -> None:
    sink = VideoFileSink(tmp_path / "out.mkv")
    sink.open(VideoFormat(64, 36, fps=30.0))
    sink.write(planes(80), 0)
    for now_us in range(0, 1_200_000, 100_000):
        sink.wait(now_us)
    sink.write(planes(160), 1_300_000)
    sink.close(1_300_000)
    frames = played(tmp_path / "out.mkv")
    assert [time for time, _ in frames] == [0.0, 0.5, 1.0, 1.3]
    assert [shown for _, shown in frames] == pytest.approx([80, 80, 80, 160], abs=3)


@SUFFIXES
def test_pictures_of_one_moment_follow_each_other(tmp_path: Path, suffix: str) -> None:
    sink = VideoFileSink(tmp_path / f"out{suffix}")
    sink.open(VideoFormat(64, 36, fps=29.97))
    for index in range(5):
        sink.write(planes(index), 1_000 - index)
    sink.close(2_000)
    times = [time for time, _ in played(tmp_path / f"out{suffix}")]
    assert len(times) >= 5
    assert all(later > earlier for earlier, later in pairwise(times))


def test_a_recording_is_never_overwritten(tmp_path: Path) -> None:
    for _ in range(3):
        sink = VideoFileSink(tmp_path / "out.mp4")
        sink.open(VideoFormat(65, 37, fps=30.0))
        sink.write(planes(90, size=(65, 37)), 0)
        sink.close(100_000)
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["out-2.mp4", "out-3.mp4", "out.mp4"]
    assert all(len(played(tmp_path / name)) == 2 for name in names)


def test_a_recording_that_never_began_leaves_nothing(tmp_path: Path) -> None:
    VideoFileSink(tmp_path / "out.mp4").close(0)
    assert list(tmp_path.iterdir()) == []


@contextmanager
def limited_files(size_bytes: int) -> Iterator[None]:
    """Writing beyond that fails in this process, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def record_noise(sink: VideoFileSink) -> None:
    """About 800 kB."""
    noise = np.random.default_rng(1)
    for index in range(400):
        sink.write(noise.integers(0, 255, (3, 36, 64), np.uint8), 33_333 * index)


@SUFFIXES
def test_a_full_disk_is_said_and_keeps_what_is_there(tmp_path: Path, suffix: str) -> None:
    sink = VideoFileSink(tmp_path / f"out{suffix}")
    with limited_files(200_000):
        sink.open(VideoFormat(64, 36, fps=30.0))
        with pytest.raises(UserError, match=r"cannot write .* any more \(file too large\); what is written so far"):
            record_noise(sink)
        with pytest.raises(UserError, match="cannot write"):
            sink.close(20_000_000)
    # About two kilobytes a picture fit.
    assert len(played(tmp_path / f"out{suffix}")) > 70


def test_a_killed_recorder_leaves_files_that_play_to_the_last_second(tmp_path: Path) -> None:
    paths = [tmp_path / f"out{suffix}" for suffix in (".mp4", ".mkv")]
    process = subprocess.Popen(
        [sys.executable, str(ROOT / "tests/client/recording_process.py"), *map(str, paths)],
        stdout=subprocess.PIPE,
        text=True,
        env={"PYTHONPATH": str(ROOT)},
    )
    assert process.stdout is not None
    with process.stdout as output:
        assert output.readline() == "recorded\n"
        process.kill()
    process.wait()
    end_s = (INTERVAL_US * (PICTURES - 1) + STALL_US) / 1e6
    for path in paths:
        frames = played(path)
        assert frames[-1][0] > end_s - 1, path
        # The whole of what moved is there, and in order.
        moving = [shown for time, shown in frames if time <= INTERVAL_US * (PICTURES - 1) / 1e6 + 0.001]
        assert moving == pytest.approx([level(index) for index in range(PICTURES)], abs=4), path
