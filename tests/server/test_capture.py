"""The capture thread with a source that does as it is told."""

import threading
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from latentcast.capture_ring import CaptureRing
from latentcast.errors import LatentcastError
from server.capture import Capture
from server.frame_slots import FrameSlots
from server.sources.base import SourceClosed, SourceLost

WIDTH, HEIGHT = 64, 64
TIMEOUT_S = 20.0


class ScriptedSource:
    """`pictures` grey pictures, then `end`; None blocks until it is interrupted."""

    kind = "pattern"
    audio = None
    size = (WIDTH, HEIGHT)
    fps = 30.0

    def __init__(self, *, pictures: int, end: Exception | None) -> None:
        self._pictures = pictures
        self._end = end
        self._interrupted = threading.Event()
        self.closed = threading.Event()

    def read(self, planes: NDArray[np.uint8], *, frame_id: int) -> int:
        if frame_id < self._pictures:
            planes[:] = frame_id + 1
            return 1000 * frame_id
        if self._end is None:
            self._interrupted.wait(TIMEOUT_S)
            raise SourceClosed("interrupted")
        raise self._end

    def interrupt(self) -> None:
        self._interrupted.set()

    def close(self) -> None:
        self.closed.set()


class Run:
    """A capture over a scripted source, and what it reported."""

    def __init__(self, source: ScriptedSource, *, ring: CaptureRing | None = None) -> None:
        self.source = source
        self.slots = FrameSlots(width=WIDTH, height=HEIGHT)
        self.frames: list[int] = []
        self.failures: list[str] = []
        self.reached = threading.Event()
        self.statuses: list[str | None] = []
        self.capture = Capture(
            source,
            self.slots,
            ring=ring,
            on_frame=self._on_frame,
            on_failure=self.failures.append,
            on_status=self.statuses.append,
        )
        self.capture.start()

    def _on_frame(self, frame_id: int) -> None:
        self.frames.append(frame_id)
        if frame_id == 2:
            self.reached.set()


def test_pictures_are_numbered_and_the_newest_waits_for_the_encoder(tmp_path: Path) -> None:
    ring = CaptureRing.create(tmp_path / "ring", width=WIDTH, height=HEIGHT)
    run = Run(ScriptedSource(pictures=3, end=None), ring=ring)
    assert run.reached.wait(TIMEOUT_S)
    run.capture.stop()
    assert run.source.closed.wait(TIMEOUT_S)
    assert run.frames == [0, 1, 2]
    assert run.failures == [], "a source that was interrupted has not failed"
    frame = run.slots.take()
    assert frame is not None
    assert (frame.frame_id, frame.captured_us) == (2, 2000)
    assert (run.slots.pictures[frame.slot] == 3).all()
    assert ring.read(1) == bytes([2]) * (3 * WIDTH * HEIGHT)
    run.slots.close()
    ring.close()


@pytest.mark.parametrize("error", [LatentcastError("the camera was unplugged"), OSError(5, "Input/output error")])
def test_a_source_that_fails_is_reported_once_and_closed(error: Exception) -> None:
    run = Run(ScriptedSource(pictures=2, end=error))
    assert run.source.closed.wait(TIMEOUT_S)
    run.capture.stop()
    assert run.failures == [str(error)]
    assert run.frames == [0, 1]
    run.slots.close()


class ComingBack(ScriptedSource):
    """Lost twice with the same words, once with others, between pictures."""

    def __init__(self) -> None:
        super().__init__(pictures=3, end=None)
        self._lost = ["no answer", "no answer", "garbage"]

    def read(self, planes: NDArray[np.uint8], *, frame_id: int) -> int:
        if frame_id == 1 and self._lost:
            raise SourceLost(self._lost.pop(0))
        return super().read(planes, frame_id=frame_id)


def test_a_source_that_is_lost_and_comes_back_is_asked_again_and_each_change_is_told_once() -> None:
    run = Run(ComingBack())
    assert run.reached.wait(TIMEOUT_S)
    run.capture.stop()
    assert run.frames == [0, 1, 2], "numbers have no gap"
    assert run.statuses == [None, "no answer", "garbage", None]
    assert run.failures == []
    run.slots.close()
