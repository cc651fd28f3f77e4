"""What the client says about the last frames."""

from transport.acks import AckLog
from transport.wire import FrameAcks, FrameStatus, parse_feedback


def test_nothing_yet() -> None:
    assert AckLog().message(waiting_for_intra=True) == FrameAcks(True, None, ())


def test_the_last_eight_oldest_first() -> None:
    log = AckLog()
    for frame_id in range(10):
        log.add(frame_id, FrameStatus.CONCEALED, (frame_id, 300))
    message = log.message(waiting_for_intra=False)
    assert message.acks == tuple((frame_id, FrameStatus.CONCEALED, (frame_id, 300)) for frame_id in range(2, 10))
    assert parse_feedback(message.to_bytes()) == message


def test_newest_intact_goes_by_frame_id_over_the_wrap_and_outlives_the_window() -> None:
    log = AckLog()
    for frame_id in (0xFFFFFFFE, 2, 0xFFFFFFFF):
        log.add(frame_id, FrameStatus.INTACT)
    for frame_id in range(3, 20):
        log.add(frame_id, FrameStatus.LOST)
    assert log.message(waiting_for_intra=True).newest_intact == 2


def test_the_last_word_on_a_frame_counts() -> None:
    log = AckLog()
    log.add(1, FrameStatus.LOST)
    log.add(2, FrameStatus.LOST)
    log.add(1, FrameStatus.CONCEALED)
    assert log.message(waiting_for_intra=False).acks == ((2, FrameStatus.LOST, ()), (1, FrameStatus.CONCEALED, ()))
    statistics = log.statistics()
    assert (statistics.intact, statistics.concealed, statistics.lost) == (0, 1, 2)


def test_missing_slices_are_named_as_far_as_the_message_has_room() -> None:
    log = AckLog()
    log.add(1, FrameStatus.CONCEALED, [*range(40)])
    log.add(2, FrameStatus.CONCEALED, [5, 0x10000])
    log.add(3, FrameStatus.INTACT, [5])
    message = log.message(waiting_for_intra=False)
    assert [slices for _, _, slices in message.acks] == [tuple(range(16)), (5,), ()]
    assert parse_feedback(message.to_bytes()) == message
