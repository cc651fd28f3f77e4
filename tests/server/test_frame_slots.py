"""Slots between capture and encoders: the newest wins, and nobody sees a picture that is being written."""

import threading

import numpy as np
import pytest

from server.frame_slots import CapturedFrame, FrameSlots, slot_views

WIDTH, HEIGHT = 64, 64


def put(slots: FrameSlots, frame_id: int) -> None:
    slot = slots.slot_to_write()
    slots.pictures[slot][:] = frame_id % 251
    slots.publish(CapturedFrame(slot, frame_id, frame_id * 1000))


def test_a_newer_picture_replaces_one_that_was_not_taken() -> None:
    slots = FrameSlots(width=WIDTH, height=HEIGHT)
    assert slots.take() is None
    for frame_id in range(5):
        put(slots, frame_id)
    frame = slots.take()
    assert frame is not None
    assert (frame.frame_id, frame.captured_us) == (4, 4000)
    slots.release()
    assert slots.take() is None, "nothing is handed out twice"
    statistics = slots.statistics()
    assert (statistics.captured, statistics.taken, statistics.dropped) == (5, 1, 4)
    slots.close()


def test_the_picture_with_the_encoder_is_never_written_to() -> None:
    slots = FrameSlots(width=WIDTH, height=HEIGHT)
    put(slots, 1)
    frame = slots.take()
    assert frame is not None
    for frame_id in range(2, 8):
        assert slots.slot_to_write() != frame.slot
        put(slots, frame_id)
    assert (slots.pictures[frame.slot] == 1).all()
    slots.close()


@pytest.mark.parametrize("holders", [1, 3])
def test_no_thread_sees_a_torn_or_older_picture(holders: int) -> None:
    slots = FrameSlots(width=WIDTH, height=HEIGHT, holders=holders)
    frames = 3000
    done = threading.Event()
    faults: list[str] = []
    seen_by: list[list[int]] = [[] for _ in range(holders)]

    def capture() -> None:
        for frame_id in range(frames):
            put(slots, frame_id)
        done.set()

    def encode(holder: int) -> None:
        seen = seen_by[holder]
        while True:
            last = done.is_set()
            frame = slots.take(holder)
            if frame is None:
                if last:
                    return
                continue
            values = np.unique(slots.pictures[frame.slot])
            if values.tolist() != [frame.frame_id % 251]:
                faults.append(f"frame {frame.frame_id} holds {values}")
            if seen and frame.frame_id <= seen[-1]:
                faults.append(f"frame {frame.frame_id} after {seen[-1]}")
            seen.append(frame.frame_id)
            slots.release(holder)

    def watch() -> None:
        while not done.is_set():
            statistics = slots.statistics()
            if not 0 <= statistics.captured - statistics.taken - statistics.dropped <= 1:
                faults.append(f"counters disagree: {statistics}")

    threads = [
        threading.Thread(target=capture),
        threading.Thread(target=watch),
        *(threading.Thread(target=encode, args=(holder,)) for holder in range(holders)),
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert faults == []
    assert {seen[-1] for seen in seen_by} == {frames - 1}, "the newest picture always comes through"
    statistics = slots.statistics()
    assert statistics.taken + statistics.dropped == statistics.captured == frames
    slots.close()


def test_each_holder_takes_the_newest_it_has_not_taken_yet() -> None:
    slots = FrameSlots(width=WIDTH, height=HEIGHT, holders=2)
    put(slots, 0)
    first = slots.take(0)
    put(slots, 1)
    second = slots.take(1)
    assert first is not None
    assert second is not None
    assert (first.frame_id, second.frame_id) == (0, 1)
    slots.release(1)
    assert slots.take(1) is None, "nothing is handed out twice"
    put(slots, 2)
    put(slots, 3)
    slots.release(0)
    both = slots.take(0), slots.take(1)
    assert [frame and frame.frame_id for frame in both] == [3, 3], "several may read the same picture"
    statistics = slots.statistics()
    assert (statistics.captured, statistics.taken, statistics.dropped, statistics.newest_id) == (4, 3, 1, 3)
    slots.close()


def test_a_holder_that_keeps_its_picture_stops_nobody() -> None:
    slots = FrameSlots(width=WIDTH, height=HEIGHT, holders=3)
    assert slots.count == 5
    put(slots, 7)
    slow = slots.take(2)
    assert slow is not None
    for frame_id in range(8, 30):
        put(slots, frame_id)
        quick = slots.take(0)
        assert quick is not None
        assert quick.frame_id == frame_id
        slots.release(0)
    # Seen from the other process, which is told the number of slots.
    views = slot_views(slots.buffer, width=WIDTH, height=HEIGHT, slots=slots.count)
    assert (views[slow.slot] == 7).all()
    slots.close()


def test_slots_that_nobody_takes_from_are_refused() -> None:
    with pytest.raises(ValueError, match="0 holders"):
        FrameSlots(width=WIDTH, height=HEIGHT, holders=0)
