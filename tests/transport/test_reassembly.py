"""What comes out of the reassembler, when, and in which order."""

import random
from collections.abc import Sequence
from dataclasses import replace

import pytest

from transport.fec import Protection, protect
from transport.packetiser import packetise
from transport.reassembly import HOLE_END, STILL_COMING_S, FrameLost, FrameReady, Reassembler
from transport.wire import MAX_BLOCK, MediaPacket, ParityPacket, parse_media, stamp

CODED = bytes(range(1, 101)) + b"a" * 1000 + b"b" * 900 + b"c" * 700
SLICES = [100, 1100, 2000]
PIECES = [(0, 1100), (1100, 2000), (2000, 2700)]
"""What each of the three packets holds of `CODED`."""


def frame(
    frame_id: int, reference_id: int | None, *, coded: bytes = CODED, epoch: int = 0, captured_us: int = 50_000
) -> list[MediaPacket]:
    packets = packetise(
        coded,
        [offset for offset in SLICES if offset < len(coded)],
        frame_id=frame_id,
        reference_id=reference_id,
        epoch=epoch,
        captured_us=captured_us,
        wait_us=11,
        encode_us=22,
    )
    parsed = [
        parse_media(stamp(bytearray(p), seq=i, now_us=captured_us + 1000 * i)) for i, p in enumerate(packets.packets)
    ]
    return [packet for packet in parsed if isinstance(packet, MediaPacket)]


def feed(
    reassembler: Reassembler, packets: Sequence[MediaPacket | ParityPacket], now: float
) -> list[FrameReady | FrameLost]:
    for packet in packets:
        reassembler.on_packet(packet, now=now)
    return reassembler.poll(now=now)


def summary(events: list[FrameReady | FrameLost]) -> list[tuple[int, str]]:
    """(frame id, "intact" | "damaged" | reason)."""
    return [(e.frame_id, e.reason if isinstance(e, FrameLost) else "intact" if e.intact else "damaged") for e in events]


def test_a_whole_frame_comes_out_at_once_with_all_its_times() -> None:
    reassembler = Reassembler()
    first, second, third = frame(4, None)
    assert feed(reassembler, [third], 1.0) == []
    assert feed(reassembler, [first], 1.01) == []
    assert feed(reassembler, [second], 1.02) == [
        FrameReady(
            frame_id=4,
            reference_id=None,
            epoch=0,
            captured_us=50_000,
            wait_us=11,
            encode_us=22,
            sent_us=52_000,
            first_received=1.0,
            received=1.02,
            data=CODED,
            holes=(),
            packets=3,
            packets_missing=0,
            recovered=0,
            resent=0,
        )
    ]
    assert reassembler.next_deadline() is None


@pytest.mark.parametrize(
    ("missing", "holes", "size"),
    [
        ([1], ((1100, 2000),), 2700),
        ([2], ((2000, HOLE_END),), 2000),
        ([1, 2], ((1100, HOLE_END),), 1100),
    ],
)
def test_holes_are_exactly_what_is_missing(missing: list[int], holes: tuple[tuple[int, int], ...], size: int) -> None:
    reassembler = Reassembler()
    assert feed(reassembler, [p for p in frame(4, None) if p.index not in missing], 1.0) == []
    (event,) = reassembler.poll(now=1.1)
    assert isinstance(event, FrameReady)
    expected = bytearray(CODED)
    for start, end in (PIECES[i] for i in missing):
        expected[start:end] = bytes(end - start)
    assert (event.holes, event.data) == (holes, bytes(expected[:size]))
    assert (event.intact, event.packets, event.packets_missing) == (False, 3 - len(missing), len(missing))
    assert (event.first_received, event.received) == (1.0, 1.1)


def test_without_the_prologue_a_frame_is_lost() -> None:
    reassembler = Reassembler()
    feed(reassembler, frame(4, None)[1:], 1.0)
    assert reassembler.poll(now=1.1) == [FrameLost(4, "incomplete")]


def test_the_deadline_runs_from_the_first_packet_and_is_told() -> None:
    reassembler = Reassembler(wait_s=0.07)
    first, second, _ = frame(4, None)
    feed(reassembler, [first], 0.1)
    feed(reassembler, [second], 0.15)
    deadline = reassembler.next_deadline()
    assert deadline is not None
    assert deadline == pytest.approx(0.15 + STILL_COMING_S), "the newest frame, as long as its packets come"
    feed(reassembler, frame(5, 4)[:1], 0.16)
    deadline = reassembler.next_deadline() or 0.0
    assert deadline == pytest.approx(0.17), "a newer one has begun"
    assert reassembler.poll(now=deadline - 0.001) == []
    assert summary(reassembler.poll(now=deadline)) == [(4, "damaged")]


def test_a_frame_waits_for_its_reference() -> None:
    reassembler = Reassembler()
    early, late = frame(1, None), frame(2, 1)
    assert feed(reassembler, late, 1.0) == []
    assert summary(feed(reassembler, early, 1.02)) == [(1, "intact"), (2, "intact")]


def test_a_frame_whose_reference_never_comes_leaves_at_its_own_deadline() -> None:
    reassembler = Reassembler()
    assert feed(reassembler, frame(2, 1), 1.0) == []
    assert feed(reassembler, frame(3, 2), 1.03) == []
    # Once 2 has left, 3 has nothing to wait for.
    assert summary(reassembler.poll(now=1.1)) == [(2, "intact"), (3, "intact")]


def test_a_damaged_reference_counts_as_gone_out() -> None:
    reassembler = Reassembler()
    feed(reassembler, frame(1, None)[:2], 1.0)
    assert feed(reassembler, frame(2, 1), 1.03) == []
    assert summary(reassembler.poll(now=1.1)) == [(1, "damaged"), (2, "intact")]


def test_a_frame_that_does_not_need_the_missing_one_overtakes_it() -> None:
    reassembler = Reassembler()
    feed(reassembler, frame(1, None), 1.0)
    assert feed(reassembler, frame(2, 1)[:2], 1.03) == []
    # It is of use as it is: a picture in between, with a hole.
    assert summary(feed(reassembler, frame(3, 1), 1.06)) == [(2, "damaged"), (3, "intact")]
    assert feed(reassembler, frame(2, 1)[2:], 1.07) == []
    assert reassembler.statistics().late == 1


def test_what_cannot_be_decoded_is_superseded_by_a_frame_that_does_not_need_it() -> None:
    reassembler = Reassembler()
    feed(reassembler, frame(1, None), 1.0)
    # 2 lacks its head, 3 builds on it, 5 on one that never came.
    for packet in [*frame(2, 1)[1:], *frame(3, 2), *frame(5, 4)]:
        reassembler.on_packet(packet, now=1.03)
    assert summary(feed(reassembler, frame(6, 1), 1.06)) == [
        (2, "superseded"),
        (3, "superseded"),
        (5, "superseded"),
        (6, "intact"),
    ]


def test_any_reference_older_than_the_last_frame_out_is_out() -> None:
    reassembler = Reassembler()
    feed(reassembler, frame(1, None) + frame(2, 1), 1.0)
    assert summary(feed(reassembler, frame(3, 1), 1.01)) == [(3, "intact")]


def test_an_intra_frame_supersedes_older_incomplete_ones_only() -> None:
    reassembler = Reassembler()
    feed(reassembler, frame(1, None), 1.0)
    for packet in [*frame(2, 1), *frame(3, 2)[:2], *frame(5, 4), *frame(6, None)]:
        reassembler.on_packet(packet, now=1.01)
    # 2 is whole and can be decoded. 5 is whole too, but waits for a frame that is not wanted any more. All deadlines
    # have passed, yet nothing damaged comes out: the intra frame is there.
    assert summary(reassembler.poll(now=1.2)) == [
        (2, "intact"),
        (3, "superseded"),
        (5, "superseded"),
        (6, "intact"),
    ]


def test_order_survives_the_wrap_of_frame_ids() -> None:
    reassembler = Reassembler()
    feed(reassembler, frame(0xFFFFFFFC, None), 1.0)
    assert feed(reassembler, frame(1, 0xFFFFFFFE), 1.01) == []
    assert summary(feed(reassembler, frame(0xFFFFFFFE, 0xFFFFFFFC), 1.02)) == [(0xFFFFFFFE, "intact"), (1, "intact")]
    assert feed(reassembler, frame(0xFFFFFFFD, 0xFFFFFFFC), 1.03) == []
    assert reassembler.statistics().late == 3


def test_duplicates_are_counted_and_change_nothing() -> None:
    reassembler = Reassembler()
    packets = frame(1, None)
    assert summary(feed(reassembler, [packets[0], packets[0], packets[1], packets[0], packets[2]], 1.0)) == [
        (1, "intact")
    ]
    assert feed(reassembler, packets, 1.01) == []
    statistics = reassembler.statistics()
    assert (statistics.duplicates, statistics.late, statistics.packets) == (2, 3, 8)


def test_packets_that_contradict_the_first_are_dropped() -> None:
    reassembler = Reassembler()
    first, second, third = frame(9, 8)
    reassembler.on_packet(first, now=1.0)
    hostile = [
        replace(second, data_count=4),
        replace(second, head_count=2),
        replace(second, reference_id=7),
        replace(second, reference_id=None),
        replace(second, captured_us=1),
        replace(second, payload_offset=second.payload_offset - 1),  # overlaps the first
        replace(second, payload_offset=second.payload_offset + 1),  # leaves a gap that no packet can fill
        replace(third, payload_offset=first.payload_offset + len(first.payload)),  # leaves no room for the second
        replace(third, payload_offset=len(first.payload) + 1109),  # leaves more room than the second can fill
        replace(first, payload=first.payload[:-1] + b"!"),
    ]
    for packet in hostile:
        reassembler.on_packet(packet, now=1.0)
    assert reassembler.statistics().contradictory == len(hostile)
    reassembler.on_packet(third, now=1.0)
    reassembler.on_packet(replace(second, payload=second.payload + b"!"), now=1.0)  # reaches into the third
    assert reassembler.statistics().contradictory == len(hostile) + 1
    reassembler.on_packet(second, now=1.0)
    (event,) = reassembler.poll(now=1.1)
    assert isinstance(event, FrameReady)
    assert event.data == CODED


def test_a_frame_over_the_size_limit_never_comes_out() -> None:
    reassembler = Reassembler(max_frame_bytes=2000)
    assert summary(feed(reassembler, frame(1, None), 1.0)) == []
    assert reassembler.statistics().contradictory == 2
    assert reassembler.statistics().pending_bytes <= 2000


def test_another_epoch_starts_afresh_and_the_old_one_is_late() -> None:
    reassembler = Reassembler()
    feed(reassembler, frame(100, None, epoch=255), 1.0)
    feed(reassembler, frame(101, 100, epoch=255)[:1], 1.01)
    assert summary(feed(reassembler, frame(5, None, epoch=0), 1.02)) == [(101, "epoch"), (5, "intact")]
    assert feed(reassembler, frame(102, None, epoch=255), 1.03) == []
    assert reassembler.statistics().late == 3


def test_a_newcomer_pushes_out_the_oldest_of_too_many() -> None:
    reassembler = Reassembler(max_frames=2)
    for frame_id in (10, 12, 14):
        reassembler.on_packet(frame(frame_id, 9)[0], now=1.0)
    reassembler.on_packet(frame(11, 9)[0], now=1.0)  # older than all that is kept
    reassembler.on_packet(frame(10, 9)[1], now=1.0)  # pushed out already
    assert reassembler.statistics().late == 2
    assert summary(reassembler.poll(now=1.0)) == [(10, "overflow")]
    assert summary(reassembler.poll(now=1.1)) == [(12, "damaged"), (14, "damaged")]


def test_nothing_waits_for_a_frame_that_was_pushed_out() -> None:
    reassembler = Reassembler(max_frames=2)
    for packet in [frame(10, 9)[0], *frame(12, 10), frame(14, 13)[0]]:
        reassembler.on_packet(packet, now=1.0)
    assert summary(reassembler.poll(now=1.0)) == [(10, "overflow"), (12, "intact")]


def test_memory_stays_bounded_when_nobody_polls() -> None:
    reassembler = Reassembler(max_frames=4)
    for frame_id in range(1000):
        reassembler.on_packet(frame(frame_id, None)[0], now=1.0)
    statistics = reassembler.statistics()
    assert statistics.pending_frames == 4
    assert statistics.frames_lost == 996
    assert len(reassembler.poll(now=1.0)) == 16


def test_statistics_tell_what_became_of_frames() -> None:
    reassembler = Reassembler()
    feed(reassembler, frame(1, None), 1.0)
    feed(reassembler, frame(2, 1)[:2], 1.0)
    feed(reassembler, frame(3, 2)[1:], 1.0)
    reassembler.poll(now=1.1)
    feed(reassembler, frame(4, 3)[:1], 1.2)
    statistics = reassembler.statistics()
    assert (statistics.frames_intact, statistics.frames_damaged, statistics.frames_lost) == (1, 1, 1)
    assert (statistics.pending_frames, statistics.pending_bytes, statistics.max_frames) == (1, 1108, 16)


# -- with parity


def protected(
    frame_id: int, reference_id: int | None, protection: Protection, *, sizes: tuple[int, ...] = (1000, 900, 700)
) -> list[MediaPacket | ParityPacket]:
    """A frame of one packet for the head of 1000 bytes, then one for each slice; data, head parity, parity."""
    head = 1000
    coded = CODED[:100] + random.Random(frame_id).randbytes(head - 100 + sum(sizes))
    whole = packetise(
        coded,
        [head + sum(sizes[:i]) for i in range(len(sizes))],
        frame_id=frame_id,
        reference_id=reference_id,
        epoch=0,
        captured_us=50_000,
        wait_us=11,
        encode_us=22,
    )
    assert len(whole.packets) == 1 + len(sizes)
    parsed = [parse_media(stamp(p, seq=i, now_us=50_000 + 1000 * i)) for i, p in enumerate(protect(whole, protection))]
    return [packet for packet in parsed if isinstance(packet, MediaPacket | ParityPacket)]


def test_parity_stands_in_for_what_is_lost() -> None:
    packets = protected(4, None, Protection(2, 0))
    whole = feed(Reassembler(), packets[:4], 1.0)
    reassembler = Reassembler()
    assert feed(reassembler, [packets[5], packets[1], packets[4]], 1.0) == []
    (event,) = feed(reassembler, packets[3:4], 1.01)
    assert isinstance(event, FrameReady)
    assert isinstance(whole[0], FrameReady)
    assert (event.data, event.wait_us, event.encode_us) == (whole[0].data, 11, 22)
    assert (event.intact, event.received, event.sent_us) == (True, 1.01, 55_000)
    assert (event.packets, event.packets_missing, event.recovered) == (2, 0, 2)


def test_the_head_comes_back_from_its_own_parity_and_counts_for_the_rest() -> None:
    packets = protected(4, None, Protection(1, 1))
    reassembler = Reassembler()
    # The head and the last slice are lost: one share for each group.
    (event,) = feed(reassembler, [packets[1], packets[2], packets[5], packets[4]], 1.0)
    assert isinstance(event, FrameReady)
    assert (event.intact, event.recovered) == (True, 2)


def test_a_frame_of_which_only_the_heads_parity_came_is_damaged_not_lost() -> None:
    packets = protected(4, None, Protection(0, 1))
    reassembler = Reassembler()
    assert feed(reassembler, [packets[4]], 1.0) == []
    (event,) = reassembler.poll(now=1.1)
    assert isinstance(event, FrameReady)
    assert event.holes == ((1000, HOLE_END),)


def test_blocks_are_repaired_each_by_their_own_parity() -> None:
    sizes = (600,) * (MAX_BLOCK + 9)
    packets = protected(4, None, Protection(4, 0), sizes=sizes)
    count = len(sizes) + 1
    for lost, intact in (([3, 4, 40, 50], True), ([3, 4, 5], False)):
        reassembler = Reassembler()
        events = feed(reassembler, [p for i, p in enumerate(packets) if i not in lost], 1.0)
        assert len(events) == intact
        (event,) = events or reassembler.poll(now=1.1)
        assert isinstance(event, FrameReady)
        assert (event.intact, event.packets) == (intact, count - len(lost))
        assert event.recovered == (len(lost) if intact else 0)


def test_parity_that_is_not_needed_is_spare_and_what_it_replaced_a_duplicate() -> None:
    packets = protected(4, 3, Protection(2, 0))
    reassembler = Reassembler()
    feed(reassembler, [*packets[1:], packets[0]], 1.0)
    statistics = reassembler.statistics()
    assert (statistics.packets, statistics.parity, statistics.spare, statistics.duplicates) == (6, 2, 1, 1)
    assert statistics.contradictory == 0


def test_a_packet_sent_again_counts_as_such_and_late_once_the_frame_has_left() -> None:
    reassembler = Reassembler()
    first, second, third = frame(4, None)
    again = replace(second, answers=1)
    (event,) = feed(reassembler, [first, third, again], 1.0)
    assert isinstance(event, FrameReady)
    assert (event.resent, event.packets) == (1, 3)
    feed(reassembler, [again], 1.0)
    assert reassembler.statistics().late == 1
    assert reassembler.statistics().contradictory == 0


def test_parity_that_contradicts_is_dropped_and_the_frame_goes_on_without() -> None:
    packets = protected(4, None, Protection(3, 0))
    *data, one, two, three = packets
    assert isinstance(one, ParityPacket)
    assert isinstance(two, ParityPacket)
    assert isinstance(three, ParityPacket)
    reassembler = Reassembler()
    feed(reassembler, [data[0], one], 1.0)
    hostile = [
        replace(two, data_count=5),
        replace(two, head_count=2),
        replace(two, reference_id=3),
        replace(two, captured_us=1),
        replace(one, payload=one.payload[:-1] + b"!"),
    ]
    feed(reassembler, [*hostile, one], 1.0)
    assert reassembler.statistics().contradictory == len(hostile)
    assert reassembler.statistics().duplicates == 1
    # Shares of different lengths, or with other bytes: nonsense comes out, and no parity of that block is used again.
    for liar in (replace(two, payload=two.payload[:-1]), replace(two, payload=b"\xff" * len(two.payload))):
        reassembler = Reassembler()
        assert feed(reassembler, [data[0], data[1], one, liar, three], 1.0) == []
        assert reassembler.statistics().contradictory == 2
        (event,) = feed(reassembler, data[2:], 1.01)
        assert isinstance(event, FrameReady)
        assert (event.intact, event.recovered) == (True, 0)


def test_parity_that_places_packets_where_others_are_is_dropped() -> None:
    packets = protected(4, None, Protection(4, 0), sizes=(600,) * (MAX_BLOCK + 9))
    parity = [p for p in packets if isinstance(p, ParityPacket) and p.block == 1]
    data = [p for p in packets if isinstance(p, MediaPacket)]
    reassembler = Reassembler()
    feed(reassembler, [p for p in data if p.index != 40], 1.0)
    feed(reassembler, [replace(parity[0], payload_offset=parity[0].payload_offset + 1)], 1.0)
    statistics = reassembler.statistics()
    assert (statistics.contradictory, statistics.recovered) == (1, 0)
    (event,) = feed(reassembler, [p for p in data if p.index == 40], 1.01)
    assert isinstance(event, FrameReady)
    assert event.intact


def test_memory_for_parity_is_bounded() -> None:
    reassembler = Reassembler(max_frame_bytes=5000)
    packets = protected(4, None, Protection(200, 0), sizes=(1000,) * 3)
    feed(reassembler, packets[4:7], 1.0)
    assert reassembler.statistics().pending_bytes < 5000
    share = packets[4]
    assert isinstance(share, ParityPacket)
    many = replace(share, data_count=8192, share=60, payload=bytes(1110))
    wide = [replace(many, block=block, payload_offset=0) for block in range(99)]
    reassembler = Reassembler(max_frame_bytes=5000)
    feed(reassembler, wide, 1.0)
    statistics = reassembler.statistics()
    assert statistics.pending_bytes <= 5000
    assert statistics.spare > 90


# -- what is still wanted


def wants(reassembler: Reassembler, now: float) -> list[tuple[int, int, int | None]]:
    return [(wanted.first_id, wanted.last_id, wanted.missing) for wanted in reassembler.incomplete(now)]


def test_what_is_yet_to_be_sent_is_not_wanted() -> None:
    packets = protected(4, None, Protection(2, 0))
    reassembler = Reassembler()
    feed(reassembler, [packets[1]], 1.0)
    assert wants(reassembler, 1.0) == []
    # The head is lost, but two packets of parity may follow.
    feed(reassembler, [packets[3]], 1.0)
    assert wants(reassembler, 1.0) == []
    feed(reassembler, [packets[5]], 1.0)
    assert wants(reassembler, 1.0) == [(4, 4, 1)]
    assert wants(reassembler, 1.1) == []


def test_once_a_newer_frame_has_begun_all_that_is_missing_is_wanted() -> None:
    packets = protected(4, None, Protection(2, 0))
    reassembler = Reassembler()
    feed(reassembler, [packets[1], packets[2]], 1.0)
    feed(reassembler, protected(5, 4, Protection(0, 0))[:1], 1.02)
    assert wants(reassembler, 1.02) == [(4, 4, 2)]
    assert [w.until for w in reassembler.incomplete(1.02)] == [pytest.approx(1.1)]


def test_frames_of_which_nothing_came_are_wanted_for_those_that_build_on_them() -> None:
    reassembler = Reassembler()
    feed(reassembler, frame(10, None), 1.0)
    feed(reassembler, frame(14, 13), 1.03)
    assert wants(reassembler, 1.03) == [(11, 13, None)]
    assert wants(reassembler, 1.14) == []
    # A complete intra frame needs nothing before it.
    feed(reassembler, frame(15, None), 1.04)
    assert wants(reassembler, 1.04) == []
    assert reassembler.last_out == 15


def test_how_long_a_frame_waits_may_change_while_it_waits() -> None:
    reassembler = Reassembler(wait_s=0.1)
    feed(reassembler, frame(4, None)[:2], 1.0)
    reassembler.wait_s = 0.2
    assert reassembler.poll(now=1.15) == []
    reassembler.wait_s = 0.05
    assert summary(reassembler.poll(now=1.15)) == [(4, "damaged")]
