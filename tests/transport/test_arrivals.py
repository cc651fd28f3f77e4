"""Arrival reports: every packet twice, at the right times, within bounds."""

from transport.arrivals import ArrivalRecorder
from transport.wire import MAX_REPORT_ENTRIES, ArrivalReport, parse_feedback


def poll(recorder: ArrivalRecorder, now: float) -> list[tuple[int, int]]:
    report = recorder.poll(now)
    assert report is not None
    assert parse_feedback(report.to_bytes()) == report
    return list(report.arrivals())


def test_each_packet_is_in_two_consecutive_reports() -> None:
    recorder = ArrivalRecorder(interval_s=0.04)
    recorder.on_packet(7, 1_000)
    recorder.on_packet(8, 1_500)
    assert poll(recorder, 0.0) == [(7, 1_000), (8, 1_500)]
    recorder.on_packet(9, 30_000)
    assert recorder.poll(0.039) is None
    assert poll(recorder, 0.04) == [(7, 1_000), (8, 1_500), (9, 30_000)]
    # Nothing new, but 9 was reported once only.
    assert recorder.next_report_time(0.05) == 0.08
    assert poll(recorder, 0.08) == [(9, 30_000)]
    assert recorder.poll(0.12) is None
    assert recorder.next_report_time(0.12) is None


def test_report_numbers_count_up() -> None:
    recorder = ArrivalRecorder()
    recorder.on_packet(1, 0)
    reports = [recorder.poll(0.0), recorder.poll(1.0)]
    assert [report.number for report in reports if report] == [0, 1]
    assert recorder.statistics().reports == 2


def test_reordered_packets_are_in_sequence_order_with_their_own_times() -> None:
    recorder = ArrivalRecorder()
    for seq, arrived_us in ((12, 100), (10, 200), (11, 300)):
        recorder.on_packet(seq, arrived_us)
    assert poll(recorder, 0.0) == [(10, 200), (11, 300), (12, 100)]


def test_a_duplicate_keeps_its_first_arrival() -> None:
    recorder = ArrivalRecorder()
    for seq, arrived_us in ((1, 100), (2, 150), (1, 900)):
        recorder.on_packet(seq, arrived_us)
    assert poll(recorder, 0.0) == [(1, 100), (2, 150)]


def test_sequence_numbers_wrap_within_a_report() -> None:
    recorder = ArrivalRecorder()
    for seq, arrived_us in ((0xFFFFFFFF, 100), (0, 150), (1, 900)):
        recorder.on_packet(seq, arrived_us)
    assert poll(recorder, 0.0) == [(0xFFFFFFFF, 100), (0, 150), (1, 900)]


def test_many_packets_are_reported_before_the_interval_is_over() -> None:
    recorder = ArrivalRecorder()
    recorder.on_packet(0, 0)
    poll(recorder, 0.0)
    for seq in range(1, 301):
        recorder.on_packet(seq, seq)
    seen: dict[int, int] = {0: 1}
    now = 0.001
    assert recorder.next_report_time(now) == now
    while (report := recorder.poll(now)) is not None or now < 1:
        for seq, _ in report.arrivals() if report else ():
            seen[seq] = seen.get(seq, 0) + 1
        assert report is None or len(report.entries) <= MAX_REPORT_ENTRIES
        now += 0.001 if report else 0.05
    assert seen == dict.fromkeys(range(301), 2)


def test_what_cannot_share_a_report_is_dropped_and_counted() -> None:
    recorder = ArrivalRecorder()
    for seq, arrived_us in ((500_000, 10), (5, 20), (6, 30)):
        recorder.on_packet(seq, arrived_us)
    assert poll(recorder, 0.0) == [(5, 20), (6, 30)]
    assert recorder.statistics().dropped == 1


def test_a_clock_jump_within_a_report_still_gives_a_report() -> None:
    recorder = ArrivalRecorder()
    recorder.on_packet(1, 0)
    recorder.on_packet(2, 1 << 40)
    assert poll(recorder, 0.0) == [(2, 1 << 40)]


def test_memory_stays_bounded_when_nobody_polls() -> None:
    recorder = ArrivalRecorder()
    for seq in range(5000):
        recorder.on_packet(seq, seq)
    statistics = recorder.statistics()
    assert statistics.unreported == statistics.capacity
    assert statistics.dropped == 5000 - statistics.capacity
    report: ArrivalReport | None = recorder.poll(0.0)
    assert report is not None
    assert next(iter(report.arrivals())) == (5000 - statistics.capacity, 5000 - statistics.capacity)
