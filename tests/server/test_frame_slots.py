"""Three slots between capture and encoder: the newest wins, and nobody sees a picture that is being written."""

import threading

import numpy as np

from server.frame_slots import CapturedFrame, FrameSlots

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


def test_three_threads_never_see_a_torn_or_older_picture() -> None:
    slots = FrameSlots(width=WIDTH, height=HEIGHT)
    frames = 3000
    done = threading.Event()
    faults: list[str] = []
    seen: list[int] = []

    def capture() -> None:
        for frame_id in range(frames):
            put(slots, frame_id)
        done.set()

    def encode() -> None:
        while True:
            last = done.is_set()
            frame = slots.take()
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
            slots.release()

    def watch() -> None:
        while not done.is_set():
            statistics = slots.statistics()
            if not 0 <= statistics.captured - statistics.taken - statistics.dropped <= 1:
                faults.append(f"counters disagree: {statistics}")

    threads = [threading.Thread(target=target) for target in (capture, encode, watch)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert faults == []
    assert seen[-1] == frames - 1, "the newest picture always comes through"
    statistics = slots.statistics()
    assert statistics.taken + statistics.dropped == statistics.captured == frames
    slots.close()
