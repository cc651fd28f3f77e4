"""Which frames reach the decoder, and which are reported as lost."""

from client.decode_queue import CAPACITY, MAX_FAILURES, DecodeQueue
from transport.reassembly import FrameReady


def frame(frame_id: int, reference_id: int | None, *, epoch: int = 0) -> FrameReady:
    return FrameReady(
        frame_id=frame_id,
        reference_id=reference_id,
        epoch=epoch,
        captured_us=0,
        wait_us=0,
        encode_us=0,
        sent_us=0,
        first_received=0.0,
        received=0.0,
        data=b"",
        holes=(),
        packets=1,
        packets_missing=0,
        recovered=0,
        resent=0,
    )


def started(*, epoch: int = 0) -> DecodeQueue:
    """A queue whose decoder holds a state."""
    queue = DecodeQueue()
    queue.on_config(epoch)
    queue.push(frame(0, None, epoch=epoch))
    queue.pop()
    queue.on_decoded()
    return queue


def test_frames_leave_in_order() -> None:
    queue = started()
    assert queue.push(frame(1, 0)) == []
    assert queue.push(frame(2, 1)) == []
    assert [popped.frame_id for popped, _ in (queue.pop(), queue.pop()) if popped] == [1, 2]
    assert queue.pop() == (None, [])


def test_without_a_state_only_an_intra_frame_is_decoded_and_the_rest_is_lost() -> None:
    queue = DecodeQueue()
    queue.on_config(0)
    queue.push(frame(1, 0))
    queue.push(frame(2, 1))
    assert queue.pop() == (None, [1, 2])
    queue.push(frame(3, None))
    popped, lost = queue.pop()
    assert popped is not None
    assert (popped.frame_id, lost) == (3, [])


def test_frames_that_come_ahead_of_their_config_wait_for_it_and_those_of_an_older_one_go() -> None:
    queue = started(epoch=255)
    queue.push(frame(1, 0, epoch=255))
    assert queue.push(frame(2, None, epoch=0)) == [1]
    assert queue.pop() == (None, [])
    assert queue.on_config(0) == []
    popped, _ = queue.pop()
    assert popped is not None
    assert popped.frame_id == 2
    assert queue.push(frame(3, 1, epoch=255)) == [3]


def test_an_intra_frame_makes_what_waits_before_it_history() -> None:
    queue = started()
    queue.push(frame(1, 0))
    queue.push(frame(2, 1))
    assert queue.push(frame(3, None)) == [1, 2]
    assert len(queue) == 1


def test_a_decoder_far_behind_loses_all_that_waits_but_keeps_its_states() -> None:
    queue = started()
    for i in range(CAPACITY):
        assert queue.push(frame(1 + i, i)) == []
    assert queue.push(frame(CAPACITY + 1, CAPACITY)) == [*range(1, CAPACITY + 2)]
    assert len(queue) == 0
    assert not queue.waiting_for_intra


def test_a_viewer_that_does_not_hold_what_the_server_believes_says_so() -> None:
    queue = started()
    for _ in range(MAX_FAILURES - 1):
        queue.on_failed()
    assert not queue.waiting_for_intra
    queue.on_decoded()
    for _ in range(MAX_FAILURES):
        queue.on_failed()
    assert queue.waiting_for_intra


def test_a_decoder_started_again_needs_an_intra_frame() -> None:
    queue = started()
    queue.push(frame(1, 0))
    assert queue.on_decoder_lost() == [1]
    assert queue.waiting_for_intra
