"""What is asked for again, when, and what is sent again."""

import pytest

from transport.fec import NO_PROTECTION, Protection, protect
from transport.nack import MAX_ASKS, NackGenerator, ResendBuffer
from transport.packetiser import packetise
from transport.reassembly import Reassembler
from transport.wire import MAX_NACKED, MediaPacket, Nack, ParityPacket, mark_answer, parse_media, stamp

RTT_S = 0.04
DEADLINE_S = 0.25


def frame(frame_id: int, count: int, protection: Protection = NO_PROTECTION) -> list[bytearray]:
    size = 1000
    coded = bytes([frame_id % 256]) * (size * count - 8)
    whole = packetise(
        coded,
        [size * i - 8 for i in range(1, count)],
        frame_id=frame_id,
        reference_id=frame_id - 1 if frame_id > 1 else None,
        epoch=0,
        captured_us=1_000_000,
        wait_us=0,
        encode_us=0,
    )
    assert len(whole.packets) == count
    return protect(whole, protection)


class Viewer:
    """A generator and its reassembler, and the sequence numbers of what is sent to them."""

    def __init__(self, first_seq: int = 0) -> None:
        self.reassembler = Reassembler(wait_s=0.2)
        self.nacks = NackGenerator()
        self.seq = first_seq

    def send(self, packets: list[bytearray], now: float, lost: tuple[int, ...] = ()) -> None:
        """All arrive at `now`, but for those whose place in the list is named."""
        for i, packet in enumerate(packets):
            if i not in lost:
                self.receive(stamp(packet, seq=self.seq, now_us=0), now)
            self.seq = (self.seq + 1) & 0xFFFFFFFF

    def receive(self, data: bytes, now: float) -> None:
        message = parse_media(data)
        assert isinstance(message, MediaPacket | ParityPacket)
        self.nacks.on_packet(message.seq, message.frame_id, now, answers=message.answers)
        self.reassembler.on_packet(message, now=now)
        self.reassembler.poll(now=now)

    def asked(self, now: float, rtt_s: float = RTT_S) -> tuple[int, ...]:
        nack = self.nacks.poll(now, reassembler=self.reassembler, rtt_s=rtt_s)
        return nack.seqs if nack else ()


def test_a_hole_in_a_frame_is_asked_for_once_it_is_no_reordering() -> None:
    viewer = Viewer()
    viewer.send(frame(1, 2), 1.0)
    viewer.send(frame(2, 4), 1.03, lost=(1, 2))
    assert viewer.asked(1.03) == ()
    due = viewer.nacks.next_time()
    assert due is not None
    assert 1.03 < due < 1.04
    assert viewer.asked(due) == (3, 4)
    assert viewer.asked(due + 0.01) == ()


def test_nothing_is_asked_for_while_parity_may_still_come_or_has_come() -> None:
    viewer = Viewer()
    viewer.send(frame(1, 2), 1.0)
    packets = frame(2, 4, Protection(2, 0))
    viewer.send(packets[:4], 1.03, lost=(1, 2))
    assert viewer.asked(1.04) == ()
    viewer.send(packets[4:], 1.05)
    assert viewer.asked(1.06) == ()
    assert viewer.reassembler.statistics().recovered == 2


def test_only_one_more_is_asked_for_than_parity_leaves_open() -> None:
    viewer = Viewer()
    viewer.send(frame(1, 2), 1.0)
    viewer.send(frame(2, 5, Protection(2, 0)), 1.03, lost=(1, 2, 3))
    assert viewer.asked(1.05) == (3, 4)


def test_the_end_of_a_frame_is_missed_when_the_next_begins() -> None:
    viewer = Viewer()
    viewer.send(frame(1, 2), 1.0)
    viewer.send(frame(2, 3), 1.03, lost=(2,))
    assert viewer.asked(1.05) == ()
    viewer.send(frame(3, 3), 1.06, lost=(0,))
    assert viewer.asked(1.07) == (4, 5)


def test_frames_lost_whole_are_asked_for_when_another_waits_for_them() -> None:
    viewer = Viewer(first_seq=0xFFFFFFFF)
    viewer.send(frame(1, 2), 1.0)
    viewer.send(frame(2, 2), 1.03, lost=(0, 1))
    viewer.send(frame(3, 2), 1.06, lost=(0, 1))
    viewer.send(frame(4, 2), 1.09)
    assert viewer.asked(1.10) == (1, 2, 3, 4)


def test_asked_again_after_a_round_trip_three_times_at_most_and_not_when_answered() -> None:
    viewer = Viewer()
    viewer.send(frame(1, 2), 1.0)
    packets = frame(2, 4)
    viewer.send(packets, 1.03, lost=(1, 2))
    times = []
    for tick in range(18):
        now = 1.033 + tick * 0.01
        if seqs := viewer.asked(now, rtt_s=0.02):
            times.append(now)
            assert seqs == ((3, 4) if len(times) < 3 else (3,))
        if len(times) == 2 and viewer.seq == 6:
            # Packet 4 is answered, under a new number; 3 is not.
            answer = bytearray(packets[2])
            mark_answer(answer, 4)
            viewer.receive(stamp(answer, seq=6, now_us=0, resent=True), now)
            viewer.seq = 7
    assert len(times) == MAX_ASKS
    assert times[1] - times[0] >= 0.04
    assert times[2] - times[1] <= 0.021, "an answer to what was asked for later has overtaken it: lost again"


def test_nothing_is_asked_for_that_would_come_too_late_or_has_left() -> None:
    viewer = Viewer()
    viewer.send(frame(1, 2), 1.0)
    viewer.send(frame(2, 4), 1.03, lost=(1,))
    assert viewer.asked(1.05, rtt_s=0.19) == ()
    assert viewer.asked(1.2) == ()
    viewer.reassembler.poll(now=1.3)
    assert viewer.asked(1.3) == ()
    assert viewer.nacks.statistics().missing == 0
    assert viewer.nacks.next_time() is None


def test_reordering_is_waited_for_and_remembered() -> None:
    viewer = Viewer()
    viewer.send(frame(1, 2), 1.0)
    packets = [stamp(p, seq=2 + i, now_us=0) for i, p in enumerate(frame(2, 3))]
    viewer.receive(packets[0], 1.03)
    viewer.receive(packets[2], 1.03)
    viewer.receive(packets[1], 1.05)
    statistics = viewer.nacks.statistics()
    assert (statistics.reordered, statistics.asked) == (1, 0)
    assert statistics.reorder_s == pytest.approx(0.025, rel=0.01)
    viewer.seq = 5
    viewer.send(frame(3, 3), 1.06, lost=(1,))
    assert viewer.asked(1.08) == ()
    assert viewer.asked(1.086) == (6,)
    # Without more of it, it is forgotten again.
    viewer.send(frame(4, 3), 15.0, lost=(1,))
    assert viewer.asked(15.004) == (9,)


def test_lost_probes_and_answers_are_not_asked_for() -> None:
    viewer = Viewer()
    viewer.send(frame(1, 2), 1.0)
    viewer.nacks.on_packet(9, None, 1.01)
    viewer.seq = 10
    viewer.send(frame(2, 2), 1.03)
    assert viewer.asked(1.05) == ()


def test_a_leap_of_the_numbers_costs_bounded_memory() -> None:
    viewer = Viewer()
    viewer.send(frame(1, 1), 1.0)
    viewer.seq = 0x7FFFFFF0
    viewer.send(frame(3, 2), 1.03)
    statistics = viewer.nacks.statistics()
    assert statistics.missing == statistics.capacity
    assert len(viewer.asked(1.05)) == MAX_NACKED
    for leap in range(1, 100):
        viewer.seq = (viewer.seq + 0x10000000) & 0xFFFFFFFF
        viewer.nacks.on_packet(viewer.seq, None, 1.05 + leap / 1e4)
    assert viewer.nacks.statistics().missing == statistics.capacity


# -- the server's side


def sent(buffer: ResendBuffer, packets: list[bytearray], first_seq: int, now: float) -> None:
    for i, packet in enumerate(packets):
        buffer.on_sent(first_seq + i, stamp(packet, seq=first_seq + i, now_us=round(now * 1e6)), now)


def answers(
    buffer: ResendBuffer, seqs: tuple[int, ...], now: float, *, rtt_s: float = RTT_S, target_bps: float = 2e6
) -> list[bytearray]:
    packets, _ = buffer.on_nack(
        Nack(seqs), now, now_us=round(now * 1e6), rtt_s=rtt_s, deadline_s=DEADLINE_S, target_bps=target_bps
    )
    return packets


def test_the_frames_that_lack_packets_are_named_whether_these_can_be_sent_again_or_not() -> None:
    buffer = ResendBuffer()
    sent(buffer, frame(2, 3), 100, 1.02)
    sent(buffer, frame(3, 3), 103, 1.05)
    nack = Nack((101, 104, 999))
    late = 1.05 + DEADLINE_S
    for now in (1.08, 1.09, late):
        _, frames = buffer.on_nack(
            nack, now, now_us=round(now * 1e6), rtt_s=RTT_S, deadline_s=DEADLINE_S, target_bps=2e6
        )
        assert frames == {2, 3}


def test_what_is_asked_for_is_sent_again_and_says_so() -> None:
    buffer = ResendBuffer()
    packets = frame(2, 3, Protection(1, 0))
    sent(buffer, packets, 0x10005, 1.02)
    again = answers(buffer, (0x10006, 0x10008), 1.08)
    parsed = [parse_media(stamp(p, seq=0x10020 + i, now_us=1_090_000, resent=True)) for i, p in enumerate(again)]
    assert [(type(p), getattr(p, "seq", 0), getattr(p, "answers", 0)) for p in parsed] == [
        (MediaPacket, 0x10020, 6),
        (ParityPacket, 0x10021, 8),
    ]
    first = parsed[0]
    assert isinstance(first, MediaPacket)
    assert (first.index, first.send_delay_us) == (1, 90_000)


def test_not_twice_in_a_round_trip_and_three_times_at_most_under_whatever_number() -> None:
    buffer = ResendBuffer()
    sent(buffer, frame(2, 2), 5, 1.0)
    count = 0
    for step in range(20):
        now = 1.02 + step * 0.01
        seqs = (5, 100 + count - 1) if count else (5,)
        again = answers(buffer, seqs, now)
        assert len(again) <= 1
        for packet in again:
            buffer.on_sent(100 + count, stamp(packet, seq=100 + count, now_us=0, resent=True), now)
            count += 1
    assert count == MAX_ASKS
    assert buffer.statistics().too_often > 10


def test_nothing_is_sent_again_that_comes_too_late_or_is_not_known() -> None:
    buffer = ResendBuffer()
    sent(buffer, frame(2, 2), 5, 1.0)
    assert answers(buffer, (4, 7, 0xFFFFFFFF), 1.1) == []
    assert answers(buffer, (5,), 1.235) == []
    assert len(answers(buffer, (5,), 1.225)) == 1
    sent(buffer, frame(3, 1), 7, 2.3)
    assert answers(buffer, (6,), 1.1) == []
    statistics = buffer.statistics()
    assert (statistics.unknown, statistics.too_late, statistics.resent) == (4, 1, 1)
    assert (statistics.kept_packets, statistics.kept_bytes) == (1, 1040)


def test_what_was_sent_again_is_kept_as_long_as_what_was_sent_then() -> None:
    buffer = ResendBuffer()
    sent(buffer, frame(2, 1), 5, 1.0)
    (again,) = answers(buffer, (5,), 1.1)
    buffer.on_sent(6, stamp(again, seq=6, now_us=0, resent=True), 1.6)
    sent(buffer, frame(3, 1), 7, 2.3)
    assert buffer.statistics().kept_bytes == 2080
    # Too late, but known under its newer number; under the older one it is forgotten.
    answers(buffer, (5, 6), 2.31)
    assert (buffer.statistics().too_late, buffer.statistics().unknown) == (1, 1)
    sent(buffer, frame(4, 1), 8, 3.0)
    assert buffer.statistics().kept_bytes == 2080


def test_a_flood_of_nacks_gets_its_share_of_the_rate_and_no_more() -> None:
    buffer = ResendBuffer()
    answered = 0
    for i in range(2000):
        now = 1.0 + i / 1000
        sent(buffer, [bytearray(p) for p in frame(2 + i, 1)], i, 1.0 + i / 1000)
        for kept in range(10):
            seqs = tuple(range(max(0, i - 63 - kept), i + 1))
            packets, _ = buffer.on_nack(
                Nack(seqs), now, now_us=1_000_000, rtt_s=0.0, deadline_s=DEADLINE_S, target_bps=1e6
            )
            answered += sum(map(len, packets))
    assert answered <= 0.3 * 1e6 / 8 * 2 + 20_000
    statistics = buffer.statistics()
    assert statistics.ignored_nacks > 19_000
    assert statistics.asked < 64 * 500


def test_memory_is_bounded_however_much_is_sent_at_once() -> None:
    buffer = ResendBuffer()
    packets = frame(2, 100)
    for round_ in range(100):
        for packet in packets:
            packet[8:12] = round_.to_bytes(4, "big")
        sent(buffer, packets, round_ * 100, 1.0)
    statistics = buffer.statistics()
    assert statistics.kept_packets <= 4096
    assert statistics.kept_bytes <= 2 << 20
