"""Sender and receiver together: what a viewer gets of the frames over paths that lose, delay and fall silent."""

import pytest

from tests.transport.media_path import MediaPath, coded_frame
from transport.netsim import Link, Path
from transport.sender import MAX_ACK_DELAY_S, MediaSender
from transport.wire import ArrivalReport, FeedbackMessage, FrameAcks, FrameStatus, Nack, Ping


def lossy(loss: float, *, burst: float | None = None, delay_s: float = 0.02, seed: int = 1) -> Path:
    return Path(Link(delay_s=delay_s, loss=loss, burst=burst, seed=seed), Link(delay_s=delay_s, seed=seed + 1))


def test_without_loss_every_frame_arrives_intact_with_no_parity_and_nothing_sent_again() -> None:
    media = MediaPath()
    media.run(4)
    assert media.intact == list(range(media.frames))[: len(media.intact)]
    assert media.frames - len(media.intact) <= 2
    statistics = media.sender.statistics()
    assert (statistics.parity, statistics.resent, media.intra) == (0, 0, [0])


@pytest.mark.parametrize(("loss", "least"), [(0.01, 0.985), (0.05, 0.95)])
def test_random_loss_is_repaired_without_another_intra_frame(loss: float, least: float) -> None:
    media = MediaPath(path=lossy(loss))
    media.run(20)
    assert media.intra == [0]
    assert len(media.intact) / media.frames >= least
    assert media.in_time / media.frames >= 0.98
    assert media.undecodable == []


def test_parity_follows_the_loss_and_leaves_room_in_the_target() -> None:
    media = MediaPath(path=lossy(0.05))
    media.run(6)
    statistics = media.sender.statistics()
    assert statistics.parity > 0
    assert media.sender.media_bps(media.now) < media.sender.target_bps / 1.05
    assert media.sender.media_bps(media.now) >= media.sender.target_bps / 4


def test_after_an_outage_the_first_frame_that_arrives_decodes_and_none_is_intra() -> None:
    media = MediaPath()
    media.run(2)
    media.path.forward.outage(media.now, 1.0)
    media.path.back.outage(media.now, 1.0)
    before = media.intact[-1]
    media.run(1.0)
    assert media.intact[-1] <= before + 2
    media.run(0.3)
    assert media.intact[-1] > before + 2
    assert media.intra == [0]
    assert media.undecodable == []


def test_during_an_outage_hardly_anything_is_sent() -> None:
    media = MediaPath(frame_bytes=None)
    media.run(2)
    rate = media.sender.statistics().bytes / 2
    media.path.forward.outage(media.now, 3.0)
    media.path.back.outage(media.now, 3.0)
    media.run(1)
    sent = media.sender.statistics().bytes
    media.run(2)
    assert (media.sender.statistics().bytes - sent) / 2 < 0.2 * rate


def test_ten_packets_lost_in_a_row_cost_no_intra_frame_and_little_time() -> None:
    media = MediaPath(frame_bytes=8000)
    media.run(2)
    media.path.forward.lose_next(10)
    before = media.frames
    media.run(0.06 + 3 / 30 + 0.035)
    assert media.intact[-1] > before
    assert media.intra == [0]


def test_a_viewer_that_acknowledges_nothing_gets_ever_fewer_frames() -> None:
    media = MediaPath()
    media.run(1)
    media.path.back.outage(media.now, 10)
    media.run(MAX_ACK_DELAY_S + 0.1)
    skipped = media.skipped
    media.run(1)
    assert media.skipped - skipped > 15


def sender() -> MediaSender:
    return MediaSender(initial_bps=1e6, min_bps=5e4, max_bps=1e7, frame_interval_s=1 / 30)


def test_pings_are_answered_at_once_and_a_flood_of_them_only_in_part() -> None:
    one = sender()
    for number in range(500):
        assert one.on_feedback(Ping(number, 1).to_bytes(), 0.0, 1000)
    assert 1 <= len(one.poll(0.0, 1000)) <= 8
    assert one.poll(0.0, 1000) == []


def test_a_viewer_that_lies_hurts_nobody_and_raises_nothing() -> None:
    one = sender()
    now = 0.0
    for frame_id in range(60):
        one.offer(
            coded_frame(frame_id, frame_id - 1 if frame_id else None, size=3000, captured_us=round(now * 1e6)), now
        )
        for _ in range(12):
            now += 0.002
            one.poll(now, round(now * 1e6))
        lies: list[FeedbackMessage] = [
            ArrivalReport(frame_id, 0xFFFFFF00, 0, ((0, 0), (65535, 1))),
            ArrivalReport(frame_id, 0, 2**62, ((0, -(2**31)), (1, 2**31 - 1))),
            FrameAcks(False, 0xFFFFFFF0, tuple((2**31 + i, FrameStatus.INTACT, ()) for i in range(8))),
            FrameAcks(True, frame_id, ((frame_id + 1000, FrameStatus.LOST, ()),)),
            Nack(tuple(range(frame_id * 8, frame_id * 8 + 64))),
        ]
        for lie in [message.to_bytes() for message in lies] * 20:
            assert one.on_feedback(lie, now, round(now * 1e6))
        one.on_tick(now)
    assert 5e4 <= one.target_bps <= 1e7
    assert not one.on_feedback(b"\x02\x11garbage", now, 0)
    assert one.statistics().malformed == 1
    # What a flood of NACKs brings back stays a share of the rate.
    statistics = one.statistics()
    assert statistics.resent <= 0.5 * statistics.packets


def test_a_new_epoch_forgets_what_the_viewer_held() -> None:
    media = MediaPath()
    media.run(1)
    media.sender.start_epoch()
    assert media.sender.epoch == 1
    assert media.sender.newest_offered is None
    assert not media.sender.takes(media.intact[-1], media.now)
    assert media.sender.takes(None, media.now)
