"""Sources that deliver by themselves: the newest frame wins, the rate holds, and a source that goes away is missed."""

import threading

import av
import numpy as np
import pytest

from latentcast.errors import UserError
from server.sources.base import SourceClosed, SourceLost
from server.sources.live import LiveSource, NewestFrame

SIZE = (64, 64)


class IdleProducer:
    """Whoever fills the box is the test."""

    def __init__(self) -> None:
        self.started = self.stopped = 0

    def start(self) -> None:
        self.started += 1

    def stop(self) -> None:
        self.stopped += 1


def grey(level: int, *, width: int = 64, height: int = 64) -> av.VideoFrame:
    return av.VideoFrame.from_ndarray(np.full((height, width, 3), level, np.uint8), format="rgb24")


def make(fps: float = 30.0) -> tuple[LiveSource, NewestFrame, IdleProducer]:
    frames, producer = NewestFrame(), IdleProducer()
    source = LiveSource(kind="url", size=SIZE, fps=fps, frames=frames, producer=producer)
    return source, frames, producer


def picture() -> np.ndarray:
    return np.zeros((3, SIZE[1], SIZE[0]), np.uint8)


def test_of_several_frames_the_newest_is_read_with_its_own_time() -> None:
    source, frames, producer = make()
    for level, captured_us in ((10, 1_000_000), (20, 1_033_000), (200, 1_066_000)):
        frames.put(grey(level), captured_us)
    planes = picture()
    assert source.read(planes, frame_id=0) == 1_066_000
    assert (abs(planes[0].astype(int) - 200) <= 1).all()
    assert (frames.received, frames.dropped) == (3, 2)
    source.close()
    assert (producer.started, producer.stopped) == (1, 1)


def test_frames_that_come_faster_than_asked_for_are_left_out_before_they_cost_anything() -> None:
    source, _, _ = make(fps=30.0)
    taken: list[int] = []
    # 120 fps for a second: each frame is offered as soon as the one before was decided on.
    feeder = iter(range(0, 1_000_000, 8333))

    class Feeding(NewestFrame):
        def take(self, timeout_s: float) -> object:  # type: ignore[override]
            at = next(feeder, None)
            if at is None:
                raise SourceClosed
            self.put(grey(1), 5_000_000 + at)
            return NewestFrame.take(self, timeout_s)

    def read_all() -> None:
        while True:
            taken.append(source.read(picture(), frame_id=0))

    source._frames = Feeding()
    with pytest.raises(SourceClosed):
        read_all()
    assert 29 <= len(taken) <= 31
    assert source.skipped == 121 - len(taken)
    intervals = np.diff(taken)
    assert intervals.min() >= 24_000, "evenly, not in bursts"


def test_a_picture_of_another_shape_keeps_it_and_black_surrounds_it() -> None:
    source, frames, _ = make()
    planes = np.full((3, 64, 64), 77, np.uint8)
    frames.put(grey(255, width=64, height=32))
    source.read(planes, frame_id=0)
    assert (planes[0, :16] == 0).all()
    assert (planes[0, 48:] == 0).all()
    assert (planes[0, 18:46] >= 254).all()
    frames.put(grey(255, width=32, height=64), sample_aspect=2.0)
    source._next_due_us = 0
    source.read(planes, frame_id=1)
    assert (planes[0] >= 254).all(), "pixels twice as wide as they are high fill the square"


def test_a_lost_source_says_why_once_and_the_next_frame_takes_it_back() -> None:
    source, frames, _ = make()
    frames.fail("the camera was unplugged")
    with pytest.raises(SourceLost, match="unplugged"):
        source.read(picture(), frame_id=0)
    frames.fail("still gone")
    frames.put(grey(1))
    source.read(picture(), frame_id=0)


def test_silence_is_a_loss_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("server.sources.live.STALL_S", 0.01)
    source, _, _ = make()
    with pytest.raises(SourceLost, match="no picture for"):
        source.read(picture(), frame_id=0)


def test_a_speck_is_no_picture() -> None:
    source, frames, _ = make()
    frames.put(grey(1, width=1, height=1))
    with pytest.raises(SourceLost, match="1x1"):
        source.read(picture(), frame_id=0)


def test_interrupt_ends_a_waiting_read_and_every_later_one() -> None:
    source, frames, _ = make()
    ended = threading.Event()

    def read() -> None:
        with pytest.raises(SourceClosed):
            source.read(picture(), frame_id=0)
        ended.set()

    thread = threading.Thread(target=read)
    thread.start()
    source.interrupt()
    assert ended.wait(20)
    thread.join()
    frames.put(grey(1))
    with pytest.raises(SourceClosed):
        source.read(picture(), frame_id=0)


def test_sizes_and_rates_out_of_range_are_refused() -> None:
    with pytest.raises(UserError, match="frame rate"):
        make(fps=1000.0)


def test_a_clock_that_is_set_back_stops_nothing() -> None:
    source, frames, _ = make(fps=30.0)
    for captured_us in (10_000_000, 8_500_000, 8_533_333):
        frames.put(grey(1), captured_us)
        assert source.read(picture(), frame_id=0) == captured_us
