"""Sources on a clock of their own: who is shown when, what is dropped, and what happens to files that break."""

import logging
import os
import threading
from collections.abc import Iterator
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray

import server.sources.file
from codec.video_io import VideoReader, create_video
from latentcast.barcode import BarCode, read
from latentcast.errors import LatentcastError, UserError
from server.sources import FileSource, PatternSource, SourceClosed, open_source

START_US = 1_000_000_007


class SimulatedTime:
    """A clock that moves when somebody waits on it, or when told to."""

    def __init__(self) -> None:
        self.now_us = START_US

    def clock(self) -> int:
        return self.now_us

    def wait(self, seconds: float) -> None:
        self.now_us += max(1, round(seconds * 1e6))

    def pass_ms(self, milliseconds: float) -> None:
        self.now_us += round(milliseconds * 1000)


def write_clip(path: Path, levels: list[int], *, width: int = 64, height: int = 64, fps: int = 10) -> Path:
    """Flat frames of the given luma, lossless."""
    writer = create_video(path, width=width, height=height, fps=Fraction(fps))
    for level in levels:
        planes = np.full((3, height, width), 128, np.uint8)
        planes[0] = level
        writer.write(planes)
    writer.close()
    return path


def new_planes(source: FileSource | PatternSource) -> NDArray[np.uint8]:
    width, height = source.size
    return np.full((3, height, width), 99, np.uint8)


def shown(source: FileSource, count: int) -> list[tuple[int, int]]:
    """(milliseconds since the start, luma in the middle) of the next frames."""
    result = []
    for frame_id in range(count):
        planes = new_planes(source)
        captured_us = source.read(planes, frame_id=frame_id)
        result.append(((captured_us - START_US) // 1000, int(planes[0, planes.shape[1] // 2, planes.shape[2] // 2])))
    return result


def open_files(*paths: Path, time: SimulatedTime, fps: float | None = None) -> FileSource:
    return FileSource(paths, fps=fps, clock=time.clock, wait=time.wait)


@pytest.fixture
def time() -> SimulatedTime:
    return SimulatedTime()


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    """Four frames, a tenth of a second each: 10, 20, 30, 40."""
    return write_clip(tmp_path / "clip.y4m", [10, 20, 30, 40])


def test_a_clip_plays_at_its_own_pace_and_loops_without_a_gap(clip: Path, time: SimulatedTime) -> None:
    source = open_files(clip, time=time)
    assert (source.size, source.fps) == ((64, 64), 10.0)
    assert shown(source, 10) == [(100 * n, 10 * (n % 4 + 1)) for n in range(10)]
    source.close()


def test_several_clips_take_turns(clip: Path, tmp_path: Path, time: SimulatedTime) -> None:
    other = write_clip(tmp_path / "other.y4m", [200, 210], fps=20)
    source = open_files(clip, other, time=time)
    expected = [(0, 10), (100, 20), (200, 30), (300, 40), (400, 200), (450, 210)]
    assert shown(source, 8) == [*expected, (500, 10), (600, 20)]


@pytest.mark.parametrize(
    ("fps", "levels", "skipped"),
    [
        (20, [10, 10, 20, 20, 30, 30, 40, 40, 10, 10], 0),
        (10, [10, 20, 30, 40, 10, 20, 30, 40], 0),
        (5, [10, 30, 10, 30], 3),
        (4, [10, 30, 20, 40, 30, 10], 7),
    ],
)
def test_frames_are_doubled_or_dropped_to_a_rate(
    clip: Path, time: SimulatedTime, fps: float, levels: list[int], skipped: int
) -> None:
    source = open_files(clip, time=time, fps=fps)
    assert source.fps == fps
    assert shown(source, len(levels)) == [(int(1000 * n / fps), level) for n, level in enumerate(levels)]
    assert source.frames_skipped == skipped


def test_times_rounded_to_milliseconds_neither_double_nor_drop(tmp_path: Path, time: SimulatedTime) -> None:
    """Matroska says 33, 67, 100 ms: compared exactly with thirtieths, every third frame would fall out."""
    path = tmp_path / "clip.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=30)
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv444p"
        for number in range(30):
            frame = av.VideoFrame.from_ndarray(np.full((64, 64, 3), 8 * number, np.uint8), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    source = open_files(path, time=time, fps=30)
    levels = [level for _, level in shown(source, 30)]
    assert sorted(set(levels)) == levels
    assert source.frames_skipped == 0


def test_a_late_reader_skips_to_the_frame_that_is_due(clip: Path, time: SimulatedTime) -> None:
    source = open_files(clip, time=time)
    assert shown(source, 1) == [(0, 10)]
    time.pass_ms(330)
    assert shown(source, 3) == [(330, 40), (400, 10), (500, 20)]  # 20 was due at 100, 30 at 200, 40 at 300
    assert source.frames_skipped == 2


def test_a_late_reader_skips_ticks_of_a_given_rate(clip: Path, time: SimulatedTime) -> None:
    source = open_files(clip, time=time, fps=20)
    shown(source, 1)
    time.pass_ms(330)
    assert shown(source, 2) == [(330, 40), (350, 40)]


@pytest.mark.parametrize("fps", [None, 10])
def test_after_a_long_pause_the_clip_goes_on_where_it_was(clip: Path, time: SimulatedTime, fps: float | None) -> None:
    source = open_files(clip, time=time, fps=fps)
    assert shown(source, 2) == [(0, 10), (100, 20)]
    time.pass_ms(60_000)
    assert shown(source, 3) == [(60_100, 30), (60_200, 40), (60_300, 10)]
    assert source.frames_skipped == 0


@pytest.mark.parametrize("fps", [None, 10])
def test_a_machine_too_slow_to_decode_still_shows_pictures(
    clip: Path, time: SimulatedTime, fps: float | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    class SlowReader(VideoReader):
        def frames(self) -> Iterator[tuple[float, av.VideoFrame]]:
            for timed in super().frames():
                time.pass_ms(130)
                yield timed

    monkeypatch.setattr(server.sources.file, "VideoReader", SlowReader)
    source = open_files(clip, time=time, fps=fps)
    times = [ms for ms, _ in shown(source, 40)]
    assert max(b - a for a, b in pairwise(times)) <= 700
    assert times[-1] < 40 * 300


def test_other_shapes_are_centred_on_black(clip: Path, tmp_path: Path, time: SimulatedTime) -> None:
    wide = write_clip(tmp_path / "wide.y4m", [200], width=128, height=64)
    source = FileSource([wide, clip], size=(160, 120), clock=time.clock, wait=time.wait)
    for inside in (np.s_[20:100, 0:160], np.s_[0:120, 20:140]):
        planes = new_planes(source)
        source.read(planes, frame_id=0)
        outside = np.ones((120, 160), bool)
        outside[inside] = False
        assert (planes[0][outside] == 0).all()
        assert (planes[1:] == 128).all()
        assert len(np.unique(planes[0][inside])) == 1
        assert planes[0][inside].min() > 0


@pytest.mark.parametrize(
    ("stored", "size"),
    [
        ((65, 67), (64, 66)),
        ((2000, 1000), (1920, 960)),
        ((1200, 1360), (960, 1088)),
        ((32, 48), (64, 96)),
        ((2000, 50), (1920, 64)),
    ],
)
def test_size_follows_the_first_clip(
    tmp_path: Path, time: SimulatedTime, stored: tuple[int, int], size: tuple[int, int]
) -> None:
    clip = write_clip(tmp_path / "clip.y4m", [70], width=stored[0], height=stored[1])
    source = open_files(clip, time=time)
    assert source.size == size
    assert shown(source, 1) == [(0, 70)]


def test_a_clip_that_breaks_is_skipped_with_a_warning_until_it_plays_again(
    clip: Path, tmp_path: Path, time: SimulatedTime, caplog: pytest.LogCaptureFixture
) -> None:
    other = write_clip(tmp_path / "other.y4m", [200])
    source = open_files(clip, other, time=time)
    content = other.read_bytes()
    other.write_bytes(b"no video at all")
    with caplog.at_level(logging.WARNING):
        assert shown(source, 8) == [(100 * n, 10 * (n % 4 + 1)) for n in range(8)]
        shown(source, 4)
    assert len(caplog.records) == 1
    assert "other.y4m" in caplog.text
    other.write_bytes(content)
    assert shown(source, 2) == [(1200, 200), (1300, 10)]


@pytest.mark.parametrize("fps", [None, 10])
def test_when_nothing_plays_it_says_so_and_recovers(clip: Path, time: SimulatedTime, fps: float | None) -> None:
    source = open_files(clip, time=time, fps=fps)
    assert shown(source, 3) == [(0, 10), (100, 20), (200, 30)]
    away = clip.rename(clip.with_suffix(".away"))
    with pytest.raises(LatentcastError, match=r"none of 1 clips can be played any more.*there is no file"):
        shown(source, 2)
    with pytest.raises(LatentcastError, match="none of 1 clips"):
        shown(source, 1)
    away.rename(clip)
    assert [level for _, level in shown(source, 3)] == [10, 20, 30]


def test_looping_leaks_no_files(clip: Path, time: SimulatedTime) -> None:
    source = open_files(clip, time=time)
    shown(source, 5)
    before = len(os.listdir("/proc/self/fd")) if Path("/proc/self/fd").exists() else 0
    shown(source, 80)
    # Fewer is fine: what earlier tests left may be collected meanwhile.
    assert (len(os.listdir("/proc/self/fd")) if before else 0) <= before
    source.close()
    with pytest.raises(SourceClosed):
        shown(source, 1)


@pytest.mark.parametrize("kind", ["file", "pattern"])
def test_interrupt_ends_a_blocked_read(clip: Path, kind: str) -> None:
    """Really blocked, on a clock that stands still: the second frame never comes."""
    waiting = threading.Event()

    def clock() -> int:
        waiting.set()
        return START_US

    source = FileSource([clip], clock=clock) if kind == "file" else PatternSource(size=(64, 64), fps=1, clock=clock)
    source.read(new_planes(source), frame_id=0)
    outcome: list[BaseException] = []

    def read_next() -> None:
        try:
            source.read(new_planes(source), frame_id=1)
        except SourceClosed as error:
            outcome.append(error)

    waiting.clear()
    thread = threading.Thread(target=read_next)
    thread.start()
    waiting.wait()
    source.interrupt()
    thread.join()
    assert len(outcome) == 1
    with pytest.raises(SourceClosed):
        source.read(new_planes(source), frame_id=2)
    source.close()


@pytest.mark.parametrize("size", [(128, 64), (256, 144), (360, 640), (640, 360), (641, 363), (1920, 1080)])
def test_pattern_carries_its_number_and_time(size: tuple[int, int], time: SimulatedTime) -> None:
    source = PatternSource(size=size, fps=30, clock=time.clock, wait=time.wait)
    planes = new_planes(source)
    for frame_id in (0, 1, 2**32 + 5):
        captured_us = source.read(planes, frame_id=frame_id)
        assert read(planes[0]) == BarCode(frame_id % 2**32, captured_us)


@pytest.mark.parametrize("size", [(64, 64), (1920, 64), (64, 1088), (65, 77), (300, 200)])
def test_pattern_writes_every_pixel_and_moves(size: tuple[int, int]) -> None:
    pictures = []
    for background in (0, 255):
        time = SimulatedTime()
        source = PatternSource(size=size, fps=25, clock=time.clock, wait=time.wait)
        planes = np.full((3, size[1], size[0]), background, np.uint8)
        for frame_id in range(3):
            planes[:] = background
            source.read(planes, frame_id=frame_id)
            pictures.append(planes.copy())
    assert all((pictures[n] == pictures[n + 3]).all() for n in range(3))
    assert (pictures[0] != pictures[1]).any()
    assert (pictures[1] != pictures[2]).any()


def test_pattern_keeps_time(time: SimulatedTime) -> None:
    source = PatternSource(size=(64, 64), fps=30, clock=time.clock, wait=time.wait)
    planes = new_planes(source)

    def read_ms() -> int:
        return (source.read(planes, frame_id=0) - START_US) // 1000

    assert [read_ms() for _ in range(4)] == [0, 33, 66, 100]
    time.pass_ms(150)
    assert [read_ms() for _ in range(2)] == [250, 266]  # 133, 166, 200 have passed, 233 is shown late
    assert source.frames_skipped == 3
    time.pass_ms(3_600_000)
    assert [read_ms() for _ in range(3)] == [3_600_266, 3_600_300, 3_600_333]
    assert source.frames_skipped == 3


@pytest.mark.parametrize(
    ("specs", "size", "fps", "sentence"),
    [
        ([], None, None, "no source was given"),
        (["nowhere.mp4"], None, None, "there is no file nowhere.mp4"),
        (["pattern", "nowhere.mp4"], None, None, "expected it alone"),
        (["pattern"], (32, 64), None, "the size is 32x64, expected 64x64 to 1920x1088"),
        (["pattern"], (1920, 1200), None, "the size is 1920x1200"),
        (["pattern"], None, 0, "the frame rate is 0, expected 1 to 240"),
        (["clip.y4m"], (32, 32), None, "the size is 32x32"),
        (["clip.y4m"], None, 1000, "the frame rate is 1000"),
        (["clip.y4m", "."], None, None, "is a folder"),
    ],
)
def test_what_cannot_be_opened_is_one_sentence(
    clip: Path,
    monkeypatch: pytest.MonkeyPatch,
    specs: list[str],
    size: tuple[int, int] | None,
    fps: float | None,
    sentence: str,
) -> None:
    monkeypatch.chdir(clip.parent)
    with pytest.raises(UserError, match=sentence):
        open_source(specs, size=size, fps=fps)


def test_open_source(clip: Path) -> None:
    pattern = open_source(["pattern"])
    assert isinstance(pattern, PatternSource)
    assert (pattern.size, pattern.fps) == ((640, 360), 30.0)
    files = open_source([str(clip), str(clip)], size=(128, 96), fps=25)
    assert isinstance(files, FileSource)
    assert (files.size, files.fps) == ((128, 96), 25)


def test_a_picture_of_another_size_is_refused(clip: Path) -> None:
    for source in (open_source([str(clip)]), open_source(["pattern"])):
        with pytest.raises(ValueError, match="to fill"):
            source.read(np.zeros((3, 65, 64), np.uint8), frame_id=0)
