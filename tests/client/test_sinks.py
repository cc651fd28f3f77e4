"""Sinks by name, and the thread before each: queue, counts, and how it ends."""

import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from client.sinks import SinkRunner, SinkStatus, VideoFormat, open_sink, open_sinks
from client.sinks.base import SinkEnded
from client.sinks.fitting import Fitter
from client.sinks.images import ImageSink
from client.sinks.video_file import VideoFileSink
from latentcast.errors import UserError


def planes(level: int = 100, *, size: tuple[int, int] = (64, 36)) -> NDArray[np.uint8]:
    picture = np.full((3, size[1], size[0]), 128, np.uint8)
    picture[0] = level
    return picture


class KeptSink:
    """Keeps what it is given; `gate` holds it up, `fail` is raised at the next picture."""

    def __init__(self, *, capacity: int = 4) -> None:
        self.capacity = capacity
        self.gate = threading.Event()
        self.gate.set()
        self.begun = threading.Event()
        self.waited = threading.Event()
        self.fail: Exception | None = None
        self.calls: list[str] = []
        self.levels: list[int] = []
        self.shapes: set[tuple[int, ...]] = set()

    @property
    def place(self) -> str:
        return "a list"

    @property
    def size_bytes(self) -> int | None:
        return len(self.levels)

    def open(self, video: VideoFormat) -> None:
        self.calls.append(f"open {video.width}x{video.height}@{video.fps:g}")

    def write(self, planes: NDArray[np.uint8], at_us: int) -> None:
        self.begun.set()
        assert self.gate.wait(10)
        if self.fail is not None:
            raise self.fail
        self.levels.append(int(planes[0].max()))
        self.shapes.add(planes.shape)

    def wait(self, now_us: int) -> None:
        self.waited.set()

    def close(self, now_us: int) -> None:
        self.calls.append("close")


def test_pictures_go_through_in_order_and_all_that_wait_are_written_at_the_end() -> None:
    sink = KeptSink()
    runner = SinkRunner(sink, clock_us=lambda: 2_500_000)
    assert runner.status().state == "waiting"
    for index in range(4):
        runner.put(planes(index), 1_000_000 + index, fps=30)
    status = runner.close()
    assert sink.calls == ["open 64x36@30", "close"]
    assert sink.levels == [0, 1, 2, 3]
    assert (status.state, status.written, status.dropped, status.problem) == ("done", 4, 0, None)
    assert status.seconds == 1.5
    runner.put(planes(9), 0, fps=30)
    assert runner.close().written == 4


def test_a_slow_sink_loses_the_oldest_and_says_how_many() -> None:
    sink = KeptSink(capacity=2)
    sink.gate.clear()
    runner = SinkRunner(sink)
    runner.put(planes(0), 0, fps=30)
    assert sink.begun.wait(10)
    for index in range(1, 6):
        runner.put(planes(index), index, fps=30)
    sink.gate.set()
    status = runner.close()
    assert sink.levels == [0, 4, 5]
    assert (status.written, status.dropped) == (3, 3)


def test_another_size_is_scaled_into_the_first() -> None:
    sink = KeptSink()
    runner = SinkRunner(sink)
    for size in ((64, 36), (32, 18), (128, 72), (40, 40)):
        runner.put(planes(200, size=size), 0, fps=30)
    runner.close()
    assert sink.calls[0] == "open 64x36@30"
    assert sink.shapes == {(3, 36, 64)}
    assert sink.levels == pytest.approx([200] * 4, abs=1)


def test_another_shape_keeps_it_between_black_borders() -> None:
    fitted = Fitter(width=64, height=36)(planes(200, size=(40, 40)))
    assert np.abs(fitted[0, :, 14:50].astype(int) - 200).max() <= 1
    assert not fitted[0, :, :14].any()
    assert not fitted[0, :, 50:].any()
    assert (fitted[1:, :, :14] == 128).all()


def test_a_pause_of_the_stream_is_told_to_an_open_sink() -> None:
    sink = KeptSink()
    runner = SinkRunner(sink)
    runner.put(planes(), 0, fps=30)
    assert sink.waited.wait(10)
    runner.close()


@pytest.mark.parametrize(
    ("failure", "state", "problem"),
    [
        (UserError("the disk is full."), "failed", "the disk is full."),
        (SinkEnded("gone"), "done", None),
        (RuntimeError("odd"), "failed", "a list failed (RuntimeError: odd)."),
    ],
)
def test_how_a_sink_ends_by_itself(failure: Exception, state: str, problem: str | None) -> None:
    ended: list[SinkStatus] = []
    done = threading.Event()

    def on_end(status: SinkStatus) -> None:
        ended.append(status)
        done.set()

    sink = KeptSink()
    sink.fail = failure
    runner = SinkRunner(sink, on_end=on_end)
    runner.put(planes(), 0, fps=30)
    assert done.wait(10)
    [status] = ended
    assert (status.state, status.problem) == (state, problem)
    assert sink.calls[-1] == "close"
    # What comes later is nobody's.
    runner.put(planes(), 0, fps=30)
    assert runner.close() == runner.status()


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("out.mp4", VideoFileSink),
        ("OUT.MKV", VideoFileSink),
        ("{stream}.mkv", VideoFileSink),
        ("a_%05d.png", ImageSink),
    ],
)
def test_the_name_says_what_the_sink_is(tmp_path: Path, name: str, kind: type) -> None:
    sink = open_sink(str(tmp_path / name), stream="door")
    assert isinstance(sink, kind)
    assert sink.place == str(tmp_path / name.replace("{stream}", "door"))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["out.avi", "out", "picture.png", "%d_%d.png", "camera", ""])
def test_a_name_that_means_nothing_is_said(tmp_path: Path, name: str) -> None:
    with pytest.raises(UserError, match=r"there is no sink .*; expected FILE\.mp4"):
        open_sink(str(tmp_path / name) if name else "", stream="live")


@pytest.mark.parametrize("name", ["out.mp4", "a_%d.png"])
def test_a_folder_that_is_not_there_is_said_before_anything_starts(tmp_path: Path, name: str) -> None:
    with pytest.raises(UserError, match="there is no folder"):
        open_sink(str(tmp_path / "missing" / name), stream="live")


def test_several_streams_need_names_of_their_own(tmp_path: Path) -> None:
    spec = str(tmp_path / "{stream}.mp4")
    sinks = open_sinks((spec,), streams=("a", "b"))
    assert [sink.place for found in sinks.values() for sink in found] == [
        str(tmp_path / f"{name}.mp4") for name in "ab"
    ]
    with pytest.raises(UserError, match=r"cannot take 2 streams; put \{stream\}"):
        open_sinks(("virtualcam",), streams=("a", "b"))
    with pytest.raises(UserError, match="one place twice"):
        open_sinks((spec, spec), streams=("a",))


def test_raw_video_is_not_written_to_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    is_terminal: Callable[[], bool] = lambda: True  # noqa: E731
    monkeypatch.setattr("sys.stdout.isatty", is_terminal, raising=False)
    with pytest.raises(UserError, match="to this terminal; pipe it"):
        open_sink("-", stream="live")
