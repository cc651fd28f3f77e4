"""When packets leave, which frames are refused, and what a stall of the event loop does."""

import pytest

from transport.bandwidth import ProbePlan
from transport.pacer import Departure, Pacer


def packets(count: int, *, size: int = 1000, tag: int = 0) -> list[bytearray]:
    return [bytearray([tag, i % 256]) + bytearray(size - 2) for i in range(count)]


def drain(pacer: Pacer) -> list[tuple[float, int, int]]:
    """Polls exactly when asked to: (time, tag, index) of every packet."""
    out = []
    while (due := pacer.next_send_time()) is not None:
        out += [(round(due, 6), d.packet[0], d.packet[1]) for d in pacer.poll(due)]
    return out


def test_a_frame_is_spread_evenly_in_order() -> None:
    pacer = Pacer()
    assert pacer.push(1, packets(4), now=1.0, spread_s=0.02)
    assert drain(pacer) == [(1.0, 0, 0), (1.005, 0, 1), (1.01, 0, 2), (1.015, 0, 3)]
    assert pacer.next_send_time() is None


def test_a_single_packet_goes_at_once() -> None:
    pacer = Pacer()
    pacer.push(1, packets(1), now=1.0, spread_s=0.02)
    assert len(pacer.poll(1.0)) == 1


def test_a_frame_starts_only_when_the_one_before_is_through() -> None:
    pacer = Pacer()
    pacer.push(1, packets(2, tag=1), now=1.0, spread_s=0.02)
    pacer.push(2, packets(1, tag=2), now=1.001, spread_s=0.02)
    pacer.push(3, packets(2, tag=3), now=1.002, spread_s=0.02)
    assert drain(pacer) == [(1.0, 1, 0), (1.01, 1, 1), (1.02, 2, 0), (1.02, 3, 0), (1.03, 3, 1)]


def test_the_newest_frame_is_refused_whole_when_the_backlog_is_too_long() -> None:
    pacer = Pacer(max_backlog_s=0.05)
    assert pacer.push(1, packets(2), now=1.0, spread_s=0.04)
    assert pacer.push(2, packets(2), now=1.0, spread_s=0.04)
    assert pacer.backlog_s(1.0) == pytest.approx(0.06)
    assert not pacer.push(3, packets(9), now=1.0, spread_s=0.001)
    statistics = pacer.statistics()
    assert (statistics.frames_accepted, statistics.frames_refused, statistics.queued_packets) == (2, 1, 4)
    assert (statistics.newest_frame_id, statistics.queued_bytes) == (2, 4000)
    pacer.poll(1.011)
    assert pacer.push(4, packets(1), now=1.011, spread_s=0.0)


def test_a_burst_is_four_packets_when_polled_in_time() -> None:
    pacer = Pacer()
    pacer.push(1, packets(10), now=1.0, spread_s=0.0)
    assert [len(pacer.poll(1.0)) for _ in range(4)] == [4, 4, 2, 0]


def test_more_due_than_allowed_is_told_by_the_next_send_time() -> None:
    pacer = Pacer()
    pacer.push(1, packets(10), now=1.0, spread_s=0.0)
    pacer.poll(1.0)
    assert pacer.next_send_time() == 1.0


@pytest.mark.parametrize("timer_s", [0.0005, 0.001, 0.004, 0.0156])
def test_coarse_timers_keep_the_rate(timer_s: float) -> None:
    # 20 Mbit/s at 30 fps: 72 packets a frame, 3.6 a millisecond while one is being sent. One poll for each tick.
    pacer = Pacer()
    now, next_frame, sent = 1.0, 1.0, 0
    for _ in range(int(3.0 / timer_s)):
        now += timer_s
        if now >= next_frame:
            assert pacer.push(1, packets(72, size=10), now=now, spread_s=0.02)
            next_frame += 1 / 30
        due = pacer.poll(now)
        assert len(due) <= max(4, 4 * (timer_s / 0.001 + 1))
        sent += len(due)
    assert sent > 0.97 * 3.0 * 30 * 72


def test_a_long_stall_does_not_end_in_a_burst() -> None:
    pacer = Pacer()
    pacer.push(1, packets(90), now=1.0, spread_s=0.09)
    # Half a second late: 20 ms of it are caught up, the rest of the schedule moves.
    assert len(pacer.poll(1.5)) == 21
    assert drain(pacer)[-1][0] == pytest.approx(1.569)
    assert pacer.statistics().slipped_s == pytest.approx(0.48)


def test_a_stall_fills_the_backlog_so_that_stale_frames_are_refused() -> None:
    pacer = Pacer(max_backlog_s=0.1)
    accepted = [pacer.push(i, packets(4), now=1.0 + i / 30, spread_s=0.02) for i in range(60)]
    assert sum(accepted) <= 8
    assert not any(accepted[10:])
    assert pacer.backlog_s(3.0) <= 0.12


def test_memory_stays_bounded_with_frames_of_no_duration() -> None:
    pacer = Pacer()
    for i in range(30_000):
        pacer.push(i, packets(1, size=2), now=1.0, spread_s=0.0)
    statistics = pacer.statistics()
    assert statistics.queued_packets == statistics.capacity_packets
    assert statistics.frames_refused == 30_000 - statistics.capacity_packets


def test_idle_earns_no_credit() -> None:
    pacer = Pacer()
    pacer.push(1, packets(1), now=1.0, spread_s=0.0)
    pacer.poll(1.0)
    pacer.push(2, packets(20), now=61.0, spread_s=0.02)
    assert len(pacer.poll(61.0)) == 1
    assert pacer.statistics().slipped_s == 0


def kinds(departures: list[Departure]) -> str:
    return "".join(d.kind[0] for d in departures)


def test_repairs_leave_before_new_data_and_do_not_move_it() -> None:
    pacer = Pacer()
    pacer.push(7, packets(4, tag=1), now=1.0, spread_s=0.02)
    assert pacer.push_repair(packets(2, tag=9), now=1.0) == 2
    first = pacer.poll(1.0)
    assert kinds(first) == "rd"
    assert [d.frame_id for d in first] == [None, 7]
    assert drain(pacer) == [(1.001, 9, 1), (1.005, 1, 1), (1.01, 1, 2), (1.015, 1, 3)]
    assert pacer.statistics().repairs_sent == 2


def test_a_flood_of_repairs_is_bounded_and_paced() -> None:
    pacer = Pacer()
    assert sum(pacer.push_repair(packets(64), now=1.0) for _ in range(100)) == 128
    assert pacer.statistics().repairs_refused == 6400 - 128
    assert len(pacer.poll(1.0)) == 1
    assert drain(pacer)[-1][0] == pytest.approx(1.127)


def test_a_cluster_waits_for_a_pause_and_keeps_to_its_rate() -> None:
    pacer = Pacer()
    plan = ProbePlan(id=3, rate_bps=8e6, size_bytes=4000)
    pacer.push(1, packets(2, tag=1), now=1.0, spread_s=0.02)
    assert pacer.push_probe(packets(4, tag=5), plan=plan, now=1.0)
    assert not pacer.push_probe(packets(4, tag=6), plan=plan, now=1.0)
    # Data at 1.0 and 1.01, then 1000 bytes a millisecond.
    assert kinds(pacer.poll(1.0)) == "d"
    (data, first) = pacer.poll(1.01)
    assert (data.kind, first.kind, first.probe) == ("data", "probe", 3)
    assert drain(pacer) == [(1.011, 5, 1), (1.012, 5, 2), (1.013, 5, 3)]
    statistics = pacer.statistics()
    assert (statistics.probes_sent, statistics.probes_refused) == (4, 4)


def test_a_cluster_that_finds_no_pause_goes() -> None:
    pacer = Pacer()
    pacer.push(1, packets(50, tag=1), now=1.0, spread_s=0.3)
    pacer.push_probe(packets(4), plan=ProbePlan(1, 8e6, 4000), now=1.0)
    assert {tag for _, tag, _ in drain(pacer)} == {1}
    assert pacer.statistics().probes_refused == 4


def test_a_late_poll_does_not_turn_a_cluster_into_a_burst() -> None:
    pacer = Pacer()
    pacer.push_probe(packets(20), plan=ProbePlan(1, 8e6, 20000), now=1.0)
    assert len(pacer.poll(1.0)) == 1
    assert len(pacer.poll(1.015)) <= 2
