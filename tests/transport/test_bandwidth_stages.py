"""Each stage of the bandwidth estimator alone."""

import pytest

from transport.bandwidth.acked_rate import AckedRate
from transport.bandwidth.arrival_groups import ArrivalGroups
from transport.bandwidth.capacity import LinkCapacity
from transport.bandwidth.overuse import INITIAL_THRESHOLD, MIN_THRESHOLD, OveruseDetector, Usage
from transport.bandwidth.queue_delay import QueueDelay
from transport.bandwidth.sent import LOST_AFTER_S, Delivered, Sent, SentHistory
from transport.bandwidth.served_rate import ServedRate
from transport.bandwidth.trendline import GAIN, MAX_GROUPS, WINDOW_GROUPS, Trendline
from transport.wire import ArrivalReport


def report(seqs: list[int], *, arrived_us: int = 1_000_000) -> ArrivalReport:
    base = seqs[0]
    entries = tuple(((seq - base) & 0xFFFFFFFF, 100 * i) for i, seq in enumerate(seqs))
    return ArrivalReport(0, base & 0xFFFFFFFF, arrived_us, entries)


class TestSentHistory:
    def test_a_repeated_entry_counts_once(self) -> None:
        history = SentHistory()
        for seq in range(3):
            history.on_sent(seq, 100 + seq, 1.0 + seq / 100)
        first = history.on_report(report([0, 1]), 1.0)
        assert [(p.key, p.size_bytes, p.sent_s) for p in first.delivered] == [(0, 100, 1.0), (1, 101, 1.01)]
        assert first.delivered[1].arrival_s - first.delivered[0].arrival_s == pytest.approx(1e-4)
        second = history.on_report(report([0, 1, 2]), 1.0)
        assert [p.size_bytes for p in second.delivered] == [102]
        assert history.in_flight_bytes == 0

    def test_numbers_wrap(self) -> None:
        history = SentHistory()
        for i, seq in enumerate((0xFFFFFFFE, 0xFFFFFFFF, 0, 1)):
            history.on_sent(seq, i, 1.0)
        assert [p.size_bytes for p in history.on_report(report([0xFFFFFFFE, 0xFFFFFFFF, 0, 1]), 1.0).delivered] == [
            0,
            1,
            2,
            3,
        ]

    def test_a_packet_is_lost_only_when_one_sent_well_later_was_reported(self) -> None:
        history = SentHistory()
        history.on_sent(0, 100, 1.0)
        history.on_sent(1, 200, 1.01)
        history.on_sent(2, 300, 1.0 + LOST_AFTER_S)
        history.on_sent(3, 400, 1.2 + LOST_AFTER_S)
        assert history.on_report(report([2]), 1.0).lost == [Sent(0, 100, 1.0)]
        assert history.on_report(report([3]), 1.0).lost == [Sent(1, 200, 1.01)]
        # Given up is given up.
        late = history.on_report(report([0, 1]), 1.0)
        assert (late.delivered, late.lost) == ([], [])

    def test_claims_about_packets_never_sent_are_passed_over(self) -> None:
        history = SentHistory()
        history.on_sent(10, 100, 1.0)
        for claimed in (0x70000000, 0xE0000000):
            hostile = history.on_report(report([claimed]), 1.0)
            assert (hostile.delivered, hostile.lost) == ([], [])
        history.on_sent(11, 101, 1.1)
        assert [p.size_bytes for p in history.on_report(report([10, 11]), 1.0).delivered] == [100, 101]

    def test_what_only_lost_reports_spoke_of_is_not_lost(self) -> None:
        history = SentHistory()
        for seq in range(6):
            history.on_sent(seq, 100, 1.0 + seq / 10)
        history.on_report(ArrivalReport(7, 0, 1_000_000, ((0, 0),)), 1.1)
        # Reports 8 and 9 never came; what report 8 spoke of first was in no other.
        outcome = history.on_report(ArrivalReport(10, 3, 1_300_000, ((0, 0), (2, 200_000))), 1.6)
        assert [p.key for p in outcome.untold] == [1, 2]
        assert [p.key for p in outcome.delivered] == [3, 5]
        assert [p.key for p in outcome.lost] == [4]

    def test_one_lost_report_leaves_nothing_untold(self) -> None:
        history = SentHistory()
        for seq in range(4):
            history.on_sent(seq, 100, 1.0 + seq / 10)
        history.on_report(ArrivalReport(7, 0, 1_000_000, ((0, 0),)), 1.1)
        outcome = history.on_report(ArrivalReport(9, 3, 1_300_000, ((0, 0),)), 1.4)
        assert [p.key for p in outcome.lost] == [1, 2]

    def test_a_clock_that_jumps_starts_afresh(self) -> None:
        history = SentHistory()
        jumps = []
        for seq, clock_us in enumerate((1_000_000, 1_040_000, 900_000_000_000, 900_000_040_000, 5)):
            history.on_sent(seq, 100, 1.0 + seq * 0.04)
            outcome = history.on_report(report([seq], arrived_us=clock_us), 1.05 + seq * 0.04)
            jumps.append(outcome.clock_jumped)
            assert abs(outcome.delivered[0].arrival_s - 1.05 - seq * 0.04) < 0.01
        assert jumps == [False, False, True, False, True]

    def test_memory_stays_bounded_without_feedback(self) -> None:
        history = SentHistory()
        for seq in range(10_000):
            history.on_sent(seq, 1, seq / 1000)
        assert history.in_flight_bytes == 8192
        assert history.oldest_unreported_s == pytest.approx((10_000 - 8192) / 1000)
        assert history.newest_s == pytest.approx(9.999)


class TestArrivalGroups:
    def test_packets_within_five_milliseconds_are_one_group(self) -> None:
        groups = ArrivalGroups()
        times = [(0.0, 1.0), (0.005, 1.006), (0.010, 1.02), (0.012, 1.021), (0.033, 1.05)]
        deltas = [groups.on_packet(sent_s=sent, arrival_s=arrival) for sent, arrival in times]
        assert deltas[:4] == [None] * 4
        (delta,) = [d for d in deltas if d]
        assert delta.send_delta_s == pytest.approx(0.007)
        assert delta.arrival_delta_s == pytest.approx(0.015)
        assert delta.arrival_s == 1.021
        assert delta.delay_gradient_s == pytest.approx(0.008)

    def test_packets_released_together_after_an_outage_are_one_group(self) -> None:
        groups = ArrivalGroups()
        groups.on_packet(sent_s=0.0, arrival_s=1.0)
        groups.on_packet(sent_s=0.01, arrival_s=1.01)
        # Sent over 80 ms, held, delivered within 3 ms: no gradient from within the burst.
        for i in range(9):
            assert groups.on_packet(sent_s=0.02 + 0.01 * i, arrival_s=1.2 + 0.0003 * i) is None or i == 0
        delta = groups.on_packet(sent_s=0.2, arrival_s=1.3)
        assert delta is not None
        assert delta.delay_gradient_s == pytest.approx((1.2024 - 1.01) - (0.1 - 0.01))

    def test_a_burst_over_a_saturated_link_ends_after_a_tenth_of_a_second(self) -> None:
        # Frames sent at once every 33 ms, 4 ms a packet on the link, a queue that never empties: packets always arrive
        # within 5 ms of each other, and later packets of a frame always count as catching up.
        groups = ArrivalGroups()
        deltas = []
        arrival_s = 1.0
        for frame in range(60):
            for _ in range(10):
                arrival_s += 0.004
                deltas.append(groups.on_packet(sent_s=frame / 30, arrival_s=arrival_s))
        gradients = [d.delay_gradient_s for d in deltas if d]
        assert len(gradients) >= 20
        assert sum(gradients) == pytest.approx(60 * (0.040 - 1 / 30), rel=0.15)

    def test_a_long_drain_is_more_than_one_group(self) -> None:
        # Sent every 10 ms over a second, held, then delivered every 4 ms: each packet catches up with the one before.
        groups = ArrivalGroups()
        deltas = [groups.on_packet(sent_s=0.01 * i, arrival_s=2.0 + 0.004 * i) for i in range(100)]
        gradients = [d.delay_gradient_s for d in deltas if d]
        assert len(gradients) >= 2
        assert all(g < -0.1 for g in gradients)

    def test_a_packet_of_a_closed_group_is_ignored(self) -> None:
        groups = ArrivalGroups()
        for sent_s in (0.0, 0.02, 0.04):
            groups.on_packet(sent_s=sent_s, arrival_s=sent_s + 1)
        assert groups.on_packet(sent_s=0.01, arrival_s=1.06) is None
        delta = groups.on_packet(sent_s=0.06, arrival_s=1.06)
        assert delta is not None
        assert delta.delay_gradient_s == pytest.approx(0)

    def test_a_clock_jump_gives_no_gradient(self) -> None:
        groups = ArrivalGroups()
        deltas = [groups.on_packet(sent_s=i / 50, arrival_s=i / 50 + (1000 if i > 3 else 0)) for i in range(8)]
        assert all(abs(d.delay_gradient_s) < 1e-6 for d in deltas if d)
        assert sum(d is not None for d in deltas) == 4


class TestTrendline:
    @pytest.mark.parametrize("slope", [0.1, -0.05, 0.0])
    def test_a_steady_slope_is_found(self, slope: float) -> None:
        trendline = Trendline()
        for i in range(300):
            trendline.on_group(delay_gradient_s=slope * 0.01, arrival_s=5.0 + 0.01 * i)
        assert trendline.trend == pytest.approx(slope * GAIN * MAX_GROUPS, abs=1e-6)

    def test_no_verdict_before_the_window_is_full(self) -> None:
        trendline = Trendline()
        trends = [trendline.on_group(delay_gradient_s=0.01, arrival_s=0.01 * i) for i in range(WINDOW_GROUPS)]
        assert trends[:-1] == [0.0] * (WINDOW_GROUPS - 1)
        assert trends[-1] > 0

    def test_groups_that_arrive_at_the_same_time_have_no_slope(self) -> None:
        trendline = Trendline()
        assert [trendline.on_group(delay_gradient_s=0.01, arrival_s=1.0) for _ in range(30)] == [0.0] * 30


class TestOveruse:
    def feed(self, detector: OveruseDetector, trends: list[float], *, start: float = 0.0) -> list[Usage]:
        return [detector.on_trend(t, send_delta_s=0.006, arrival_s=start + 0.006 * i) for i, t in enumerate(trends)]

    def test_a_rising_trend_above_the_threshold_is_overuse_after_ten_milliseconds(self) -> None:
        usages = self.feed(OveruseDetector(), [0.0, 20.0, 21.0, 22.0])
        assert usages == [Usage.NORMAL, Usage.NORMAL, Usage.NORMAL, Usage.OVERUSE]

    def test_a_falling_trend_is_not(self) -> None:
        assert Usage.OVERUSE not in self.feed(OveruseDetector(), [0.0, 30.0, 29.0, 28.0, 27.0, 26.0])

    def test_a_single_group_above_is_not(self) -> None:
        detector = OveruseDetector()
        assert detector.on_trend(50.0, send_delta_s=0.2, arrival_s=0.2) is Usage.NORMAL
        assert detector.on_trend(0.0, send_delta_s=0.2, arrival_s=0.4) is Usage.NORMAL

    def test_a_falling_queue_is_underuse(self) -> None:
        assert self.feed(OveruseDetector(), [0.0, -20.0]) == [Usage.NORMAL, Usage.UNDERUSE]

    def test_the_threshold_grows_with_noise_and_falls_with_calm(self) -> None:
        detector = OveruseDetector()
        self.feed(detector, [25.0, -25.0] * 200)
        noisy = detector.threshold
        assert noisy > INITIAL_THRESHOLD + 5
        self.feed(detector, [0.0] * 1000, start=3.0)
        assert detector.threshold == MIN_THRESHOLD

    def test_the_threshold_does_not_follow_a_sudden_change(self) -> None:
        detector = OveruseDetector()
        self.feed(detector, [INITIAL_THRESHOLD + 15.1] * 100)
        assert detector.threshold == INITIAL_THRESHOLD


class TestAckedRate:
    def test_a_steady_flow(self) -> None:
        rate = AckedRate()
        for i in range(200):
            rate.on_packet(arrival_s=i / 100 + 0.003, size_bytes=1250)
        assert rate.bps == pytest.approx(1e6, rel=0.02)
        assert rate.short_bps == pytest.approx(1e6, rel=0.05)

    def test_arrivals_that_jump_ahead_or_back_leave_it_bounded_and_correct_again(self) -> None:
        rate = AckedRate()
        rate.on_packet(arrival_s=5000.0, size_bytes=10**6)
        rate.on_packet(arrival_s=-5000.0, size_bytes=10**6)
        rate.on_packet(arrival_s=1e9, size_bytes=10**6)
        for i in range(200):
            rate.on_packet(arrival_s=1e9 + 1 + i / 100, size_bytes=1250)
        assert rate.bps == pytest.approx(1e6, rel=0.05)

    def test_unknown_until_there_is_a_flow(self) -> None:
        rate = AckedRate()
        assert rate.bps is None
        rate.on_packet(arrival_s=0.0, size_bytes=1250)
        rate.on_packet(arrival_s=0.135, size_bytes=1250)
        assert rate.bps is None
        rate.on_packet(arrival_s=0.155, size_bytes=1250)
        assert rate.bps is not None

    def test_the_short_window_sees_a_drop_first(self) -> None:
        rate = AckedRate()
        for i in range(100):
            rate.on_packet(arrival_s=i / 100, size_bytes=1250)
        for i in range(3):
            rate.on_packet(arrival_s=1 + i / 10, size_bytes=1250)
        assert rate.short_bps is not None
        assert rate.bps is not None
        assert rate.short_bps < 0.3 * rate.bps


class TestQueueDelay:
    def test_the_offset_of_the_clocks_does_not_matter(self) -> None:
        for offset_s in (-1e6, 0.0, 1e6):
            queue = QueueDelay()
            queue.on_report(one_way_delay_s=offset_s + 0.03, now=0.0)
            for i in range(50):
                queue.on_report(one_way_delay_s=offset_s + 0.08, now=i * 0.04)
            assert queue.seconds == pytest.approx(0.05, rel=0.01)

    def test_a_longer_route_is_accepted_in_time(self) -> None:
        queue = QueueDelay()
        queue.on_report(one_way_delay_s=0.03, now=0.0)
        delays = [queue.on_report(one_way_delay_s=0.09, now=i * 0.04) for i in range(1000)]
        assert delays[200] == pytest.approx(0.06, rel=0.01)
        assert delays[-1] == pytest.approx(0.0, abs=0.001)


class TestLinkCapacity:
    def test_nothing_is_known_at_first(self) -> None:
        capacity = LinkCapacity()
        assert (capacity.low_bps, capacity.mean_bps, capacity.high_bps) == (None, None, None)

    def test_findings_that_agree_narrow_to_a_band_around_their_mean(self) -> None:
        capacity = LinkCapacity()
        for bps in (2.0e6, 1.98e6, 2.02e6, 2.0e6):
            capacity.on_overuse(bps)
        assert capacity.mean_bps == pytest.approx(2e6, rel=0.01)
        assert capacity.low_bps is not None
        assert capacity.high_bps is not None
        assert 1.85e6 < capacity.low_bps < 1.95e6
        assert 2.05e6 < capacity.high_bps < 2.15e6

    def test_a_much_lower_finding_starts_afresh(self) -> None:
        capacity = LinkCapacity()
        capacity.on_overuse(5e6)
        capacity.on_overuse(0.5e6)
        assert capacity.mean_bps == 0.5e6

    def test_a_probe_that_left_a_queue_tells_the_capacity_and_a_wider_path_starts_it_afresh(self) -> None:
        capacity = LinkCapacity()
        capacity.on_probe(2e6, passed=True)
        assert capacity.mean_bps is None
        capacity.on_probe(2e6, passed=False)
        assert capacity.mean_bps == 2e6
        capacity.on_probe(5e6, passed=False)
        assert capacity.mean_bps == 5e6

    def test_a_received_rate_just_above_the_band_does_not_forget_it(self) -> None:
        capacity = LinkCapacity()
        capacity.on_overuse(2e6)
        capacity.on_received(2.2e6)
        assert capacity.mean_bps == 2e6
        capacity.on_received(2.4e6)
        assert capacity.mean_bps is None


class TestServedRate:
    def rate(self, lost: range, *, window_s: float = 0.15) -> float | None:
        """200 packets of 1000 bytes over 2 Mbit/s, less those lost after the bottleneck."""
        served = ServedRate()
        for key in range(200):
            if key not in lost:
                served.on_delivered([Delivered(key, 1000, key * 0.004, key * 0.004 + 0.02)])
        return served.over(window_s)

    def test_a_burst_of_losses_does_not_lower_it(self) -> None:
        assert self.rate(range(180, 195)) == pytest.approx(2e6)

    def test_where_hardly_anything_came_in_it_reaches_back(self) -> None:
        assert self.rate(range(150, 199)) == pytest.approx(2e6)

    def test_without_a_loss_it_says_nothing(self) -> None:
        assert self.rate(range(0)) is None

    def test_a_pause_counts_and_late_packets_do_not(self) -> None:
        served = ServedRate()
        for key, arrival_s in ((0, 0.0), (2, 0.01), (1, 0.012), (3, 0.03), (4, 0.05), (5, 0.07), (6, 0.09)):
            served.on_delivered([Delivered(key, 1000, 0.0, arrival_s)])
        assert served.over(0.15) == pytest.approx(4 * 8000 / 0.08)
