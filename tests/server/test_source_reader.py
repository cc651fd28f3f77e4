"""The reader thread: it goes on after a loss, says why, waits longer and longer, and never keeps anybody waiting."""

import threading
from collections.abc import Callable, Generator

import av
import numpy as np
import pytest

from server.sources.base import SourceClosed, SourceLost
from server.sources.decoding import CatchUp
from server.sources.live import LiveSource, NewestFrame
from server.sources.reader import Reader, Receive, Received

SIZE = (64, 64)


def picture(level: int, size: tuple[int, int] = SIZE) -> Received:
    codes = np.full((size[1] * 3 // 2, size[0]), 128, np.uint8)
    codes[: size[1]] = level
    return Received(av.VideoFrame.from_ndarray(codes, format="yuv420p"), captured_us=level * 1_000_000)


class Script:
    """A `Receive` that does what it was told for each opening, and after that waits until it has to end."""

    def __init__(self, *openings: Callable[[], list[Received]]) -> None:
        self._openings = list(openings)
        self.opened = self.closed = 0
        self.idle = threading.Event()

    def __call__(self, stopping: threading.Event) -> Generator[Received, None, None]:
        self.opened += 1
        try:
            if self._openings:
                yield from self._openings.pop(0)()
            else:
                self.idle.set()
                stopping.wait(10)
        finally:
            self.closed += 1


def lost(reason: str) -> Callable[[], list[Received]]:
    def opening() -> list[Received]:
        raise SourceLost(reason)

    return opening


def make(receive: Receive, waited: list[float]) -> tuple[Reader, NewestFrame]:
    frames = NewestFrame()
    reader = Reader(frames, receive, name="test", waiting="opening", ended="it ended", wait=waited.append)
    return reader, frames


def test_pauses_grow_with_failures_in_a_row_and_start_anew_after_a_picture() -> None:
    waited: list[float] = []
    failures = [lost("gone")] * 5
    script = Script(*failures, lambda: [picture(1)], *failures[:1])
    reader, _ = make(script, waited)
    reader.start()
    assert script.idle.wait(10)
    reader.stop()
    assert waited == [0.5, 1, 2, 4, 5, 0.5, 1]
    assert (script.opened, script.closed) == (8, 8)
    assert reader.losses == 7


def test_the_stream_is_told_why_and_goes_on() -> None:
    proceed = threading.Event()

    def late() -> list[Received]:
        proceed.wait(10)
        return [picture(200)]

    reader, frames = make(Script(lambda: [picture(50)], late), [])
    source = LiveSource(kind="url", size=SIZE, fps=30, frames=frames, producer=reader, stalled=reader.why)
    planes = np.zeros((3, *SIZE[::-1]), np.uint8)
    assert reader.why(0) == "opening"
    seen: list[str | int] = []
    while len(seen) < 3:
        try:
            seen.append(source.read(planes, frame_id=0))
        except SourceLost as loss:
            seen.append(str(loss))
            assert reader.why(1) == "it ended"
            proceed.set()
    assert seen == [50_000_000, "it ended", 200_000_000]
    source.interrupt()
    with pytest.raises(SourceClosed):
        source.read(planes, frame_id=0)
    source.close()


def test_a_stream_that_stands_still_after_pictures_is_not_told_of_an_older_failure() -> None:
    def still(stopping: threading.Event) -> Generator[Received, None, None]:
        yield picture(1)
        stopping.wait(10)

    reader, _ = make(still, [])
    reader.first_shape(10)
    assert reader.why(3) == "no picture for 3 s; waiting for the next"
    reader.stop()


def test_what_was_not_foreseen_is_a_loss_and_no_end(caplog: pytest.LogCaptureFixture) -> None:
    def broken() -> list[Received]:
        raise KeyError("surprise")

    script = Script(broken)
    reader, frames = make(script, [])
    reader.start()
    assert script.idle.wait(10)
    with pytest.raises(SourceLost, match="not foreseen"):
        frames.take(0)
    reader.stop()
    assert "surprise" in caplog.text


def test_a_reader_that_hangs_holds_nobody_up_and_delivers_nothing_later() -> None:
    release, ended = threading.Event(), threading.Event()

    def hanging(_: threading.Event) -> Generator[Received, None, None]:
        try:
            release.wait(10)
            yield picture(9)
        finally:
            ended.set()

    reader, frames = make(hanging, [])
    reader.start()
    reader.stop()  # returns although the thread is stuck
    release.set()
    assert ended.wait(10)
    assert frames.received == 0


def test_the_first_picture_tells_its_size_as_shown() -> None:
    def wide(_: threading.Event) -> Generator[Received, None, None]:
        yield Received(picture(1).frame, 1, sample_aspect=1.5)

    reader, _ = make(wide, [])
    shape = reader.first_shape(10)
    reader.stop()
    assert shape is not None
    assert (shape.width, shape.height) == (96, 64)


def test_a_failure_ends_the_wait_for_the_first_picture() -> None:
    reader, _ = make(Script(lost("gone")), [])
    assert reader.first_shape(60) is None
    reader.stop()


def feed(catch_up: CatchUp, *, start: float, packets: int, late: float, decode_s: float, first: int = 0) -> list[bool]:
    """Packets at 30 a second, a key frame every 30; each comes `late` s later than the one before would have it."""
    skipped = []
    for number in range(first, first + packets):
        now = start + number / 30 + (number - first) * late
        skipped.append(catch_up.skip(now=now, stamp=number / 30, key=number % 30 == 0))
        catch_up.decoded(seconds=decode_s, interval=1 / 30 + late)
    return skipped


def test_a_decoder_that_keeps_up_leaves_nothing_out_whatever_the_network_does() -> None:
    catch_up = CatchUp()
    assert not any(feed(catch_up, start=5, packets=300, late=0, decode_s=0.005))
    # The network stands still for three seconds; then all of it comes at once and is decoded.
    assert not any(feed(catch_up, start=8, packets=300, late=0, decode_s=0.005, first=300))


def test_a_decoder_that_is_too_slow_goes_on_at_a_key_frame() -> None:
    catch_up = CatchUp()
    slow = feed(catch_up, start=0, packets=200, late=0.02, decode_s=0.05)
    assert any(slow)
    first = slow.index(True)
    assert first / 30 * 0.6 > 0.5  # not before it was behind
    assert not any(left_out for number, left_out in enumerate(slow) if number % 30 == 0)
    # What comes in time again is decoded from the next key frame on.
    after = feed(catch_up, start=0, packets=90, late=0, decode_s=0.005, first=210)
    assert not any(after)


def test_a_new_time_line_is_no_delay() -> None:
    catch_up = CatchUp()
    feed(catch_up, start=0, packets=300, late=0, decode_s=0.033)
    assert not any(catch_up.skip(now=1000 + n / 30, stamp=n / 30, key=False) for n in range(60))


def test_colours_that_cannot_be_converted_are_a_loss_and_the_next_picture_is_shown() -> None:
    strange = picture(1)
    strange.frame.colorspace = 8  # YCgCo, ITU-T H.273 table 4
    proceed = threading.Event()

    def openings(stopping: threading.Event) -> Generator[Received, None, None]:
        yield strange
        proceed.wait(10)
        yield picture(200)
        stopping.wait(10)

    reader, frames = make(openings, [])
    source = LiveSource(kind="url", size=SIZE, fps=30, frames=frames, producer=reader)
    planes = np.zeros((3, *SIZE[::-1]), np.uint8)
    with pytest.raises(SourceLost, match="colour matrix 8"):
        source.read(planes, frame_id=0)
    proceed.set()
    assert source.read(planes, frame_id=1) == 200_000_000
    source.close()
