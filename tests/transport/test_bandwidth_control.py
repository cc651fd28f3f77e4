"""The rules that turn verdicts into a rate: loss, AIMD, and silence."""

from dataclasses import replace

import pytest

from transport.bandwidth import BandwidthEstimator, BandwidthState
from transport.bandwidth.loss import DECREASE, MIN_PACKETS, LossRule
from transport.bandwidth.overuse import Usage
from transport.bandwidth.probing import ProbeResult
from transport.bandwidth.rate_control import BACK_OFF, Observed, RateControl, RateState
from transport.wire import ArrivalReport

CALM = Observed(
    Usage.NORMAL,
    acked_bps=1e6,
    short_acked_bps=1e6,
    newest_acked_bps=1e6,
    served_bps=None,
    newest_served_bps=None,
    queue_delay_s=0.0,
    latest_queue_s=0.0,
    response_s=0.1,
    lost_sent_s=None,
    loss=0.0,
    now=0.0,
)
OVERUSE = replace(CALM, usage=Usage.OVERUSE, latest_queue_s=0.02)


def control(initial_bps: float = 1e6) -> RateControl:
    return RateControl(initial_bps=initial_bps, min_bps=1e5, max_bps=2e7)


def run(rate: RateControl, observed: Observed, seconds: float, *, use: float = 1.0) -> float:
    """Reports every 40 ms that show a received rate of `use` times the target; returns when it ends."""
    now = observed.now
    while now < observed.now + seconds - 1e-9:
        now += 0.04
        acked_bps = use * rate.target_bps
        rate.on_report(replace(observed, acked_bps=acked_bps, short_acked_bps=acked_bps, now=now))
    return now


class TestLossRule:
    def feed(self, rule: LossRule, loss: float, *, start: float, seconds: float, rate_bps: float = 1e6) -> float:
        """Reports every 50 ms of 20 packets each, sent 50 ms before; returns when it ends."""
        lost = round(20 * loss)
        for i in range(round(seconds / 0.05)):
            now = start + 0.05 * i
            sent = [now - 0.05] * 20
            rule.on_report(delivered=sent[lost:], lost=sent[:lost], rate_bps=rate_bps, now=now)
        return start + seconds

    def test_little_loss_is_no_reason(self) -> None:
        rule = LossRule()
        self.feed(rule, 0.05, start=0.0, seconds=20)
        assert rule.bound_bps is None
        assert rule.loss == pytest.approx(0.05)

    def test_a_handful_of_packets_makes_no_share(self) -> None:
        rule = LossRule()
        rule.on_report(delivered=[0.0], lost=[0.0] * (MIN_PACKETS - 2), rate_bps=1e6, now=0.1)
        assert rule.bound_bps is None

    def test_few_packets_a_second_are_counted_for_longer(self) -> None:
        rule = LossRule()
        for i in range(MIN_PACKETS + 5):
            sent_s = i / 30
            got, gone = ([sent_s], []) if i % 3 else ([], [sent_s])
            rule.on_report(delivered=got, lost=gone, rate_bps=1e6, now=sent_s)
        assert rule.bound_bps == pytest.approx(1e6 * (1 - 1 / 3), rel=0.02)

    def test_high_loss_goes_down_to_what_got_through_and_by_a_fifth_at_least(self) -> None:
        for share, kept in ((0.2, 0.8), (0.4, 0.6), (0.125, DECREASE)):
            rule = LossRule()
            lost = round(400 * share)
            rule.on_report(delivered=[0.0] * (400 - lost), lost=[0.0] * lost, rate_bps=1e6, now=0.1)
            assert rule.bound_bps == pytest.approx(kept * 1e6)

    def test_packets_sent_before_a_decrease_do_not_count(self) -> None:
        rule = LossRule()
        rule.on_decrease(5.0)
        rule.on_report(delivered=[4.9] * 100, lost=[4.9] * 100, rate_bps=1e6, now=5.1)
        assert rule.bound_bps is None
        assert rule.loss == 0.5

    def test_loss_that_a_lower_rate_does_not_lower_is_the_paths_own(self) -> None:
        rule = LossRule()
        end = self.feed(rule, 0.2, start=0.0, seconds=0.3)
        assert rule.bound_bps == pytest.approx(0.8e6)
        end = self.feed(rule, 0.2, start=end, seconds=0.5, rate_bps=0.8e6)
        assert rule.bound_bps is None
        assert rule.own_loss == pytest.approx(0.2, abs=0.03)
        end = self.feed(rule, 0.2, start=end, seconds=10)
        assert rule.bound_bps is None
        # More than its own is congestion again, until that has been tried too.
        bounds: list[float | None] = []
        for i in range(14):
            self.feed(rule, 0.5, start=end + 0.05 * i, seconds=0.05)
            bounds.append(rule.bound_bps)
        assert any(bounds)

    def test_loss_that_a_lower_rate_ends_keeps_the_lower_rate_and_lets_it_grow(self) -> None:
        rule = LossRule()
        end = self.feed(rule, 0.3, start=0.0, seconds=0.3)
        end = self.feed(rule, 0.0, start=end, seconds=1.0, rate_bps=0.7e6)
        assert rule.bound_bps is not None
        assert 0.69e6 < rule.bound_bps < 0.9e6
        self.feed(rule, 0.0, start=end, seconds=6, rate_bps=0.7e6)
        assert rule.bound_bps is None


class TestRateControl:
    def test_overuse_backs_off_from_the_received_rate(self) -> None:
        rate = control(initial_bps=4e6)
        assert rate.on_report(replace(OVERUSE, acked_bps=3e6, short_acked_bps=2e6)) == pytest.approx(BACK_OFF * 2e6)
        assert rate.state is RateState.DECREASE
        assert rate.decreased_at == OVERUSE.now

    def test_a_received_rate_above_the_target_does_not_raise_it(self) -> None:
        rate = control(initial_bps=1e6)
        assert rate.on_report(replace(OVERUSE, acked_bps=9e6, short_acked_bps=9e6)) == 1e6

    def test_a_long_queue_is_drained_faster(self) -> None:
        for queue_s, share in ((0.1, 0.6), (3.0, 0.5)):
            rate = control(initial_bps=4e6)
            assert (
                rate.on_report(replace(OVERUSE, short_acked_bps=2e6, newest_acked_bps=2e6, latest_queue_s=queue_s))
                == share * 2e6
            )

    def test_a_trend_without_a_queue_is_noise(self) -> None:
        rate = control()
        rate.on_report(replace(OVERUSE, latest_queue_s=0.005))
        assert rate.state is not RateState.DECREASE

    def test_a_short_queue_that_loses_is_full(self) -> None:
        rate = control()
        rate.on_report(replace(CALM, queue_delay_s=0.02, latest_queue_s=0.02, loss=0.1))
        assert rate.state is RateState.DECREASE

    def test_a_collapse_needs_no_trend(self) -> None:
        rate = control(initial_bps=4e6)
        rate.on_report(replace(CALM, short_acked_bps=1e6, queue_delay_s=0.03, latest_queue_s=0.08))
        assert rate.target_bps < 0.8e6

    def test_one_overuse_is_one_decrease_until_it_has_had_its_effect(self) -> None:
        rate = control()
        first = rate.on_report(replace(OVERUSE, response_s=0.2, now=1.0))
        assert rate.on_report(replace(OVERUSE, response_s=0.2, now=1.04, short_acked_bps=0.9 * first)) == first
        assert rate.on_report(replace(OVERUSE, response_s=0.2, now=1.21, short_acked_bps=0.9 * first)) < first

    def test_a_far_narrower_path_is_taken_at_once(self) -> None:
        rate = control()
        rate.on_report(replace(OVERUSE, now=1.0))
        assert rate.on_report(replace(OVERUSE, now=1.04, short_acked_bps=1e5)) == 1e5

    def test_the_rate_doubles_in_a_second_while_the_queue_is_flat(self) -> None:
        rate = control()
        run(rate, CALM, 3.0)
        assert rate.target_bps == pytest.approx(8e6, rel=0.05)

    def test_it_grows_slowly_while_the_queue_is_not(self) -> None:
        rate = control()
        run(rate, replace(CALM, queue_delay_s=0.05), 3.0)
        assert rate.target_bps == pytest.approx(1.08**3 * 1e6, rel=0.02)

    def test_near_the_last_congestion_it_grows_by_steps(self) -> None:
        rate = control(initial_bps=2e6)
        rate.on_report(replace(OVERUSE, acked_bps=2e6, short_acked_bps=2e6))
        run(rate, CALM, 1.0)
        assert rate.target_bps < 2.0e6
        end = run(rate, replace(CALM, now=1.0), 2.0)
        before = rate.target_bps
        run(rate, replace(CALM, now=end), 1.0)
        # Half a packet for each response of 100 ms: 48 kbit/s in a second.
        assert rate.target_bps - before == pytest.approx(48e3, rel=0.05)

    def test_a_received_rate_above_the_band_ends_the_caution(self) -> None:
        rate = control(initial_bps=1e6)
        rate.on_report(replace(OVERUSE, acked_bps=1e6, short_acked_bps=1e6))
        rate.on_report(replace(CALM, acked_bps=1.5e6, now=0.04))  # holds: one report after a decrease
        rate.on_report(replace(CALM, acked_bps=1.5e6, now=0.08))
        end = run(rate, replace(CALM, now=0.08), 1.0)
        assert end == pytest.approx(1.08)
        assert rate.target_bps > 1.6e6

    def test_a_sender_that_does_not_use_its_rate_gets_no_more(self) -> None:
        rate = control()
        end = run(rate, CALM, 1.0, use=0.4)
        assert rate.target_bps == 1e6
        # What was proven stays, however little is sent.
        end = run(rate, replace(CALM, now=end), 1.0)
        proven_bps = rate.target_bps
        assert proven_bps > 1.9e6
        run(rate, replace(CALM, now=end), 5.0, use=0.01)
        assert rate.target_bps == proven_bps

    def test_the_limits_hold(self) -> None:
        rate = control(initial_bps=1.9e7)
        run(rate, CALM, 1.0)
        assert rate.target_bps == 2e7
        assert rate.on_report(replace(OVERUSE, acked_bps=10.0, short_acked_bps=10.0, now=2.0)) == 1e5

    def test_a_draining_queue_is_left_to_drain(self) -> None:
        rate = control()
        run(rate, replace(CALM, usage=Usage.UNDERUSE), 1.0)
        assert rate.target_bps == 1e6
        assert rate.state is RateState.HOLD

    def test_what_a_burst_of_losses_took_is_not_taken_for_a_narrow_path(self) -> None:
        rate = control(2e6)
        holed = replace(CALM, acked_bps=1e6, short_acked_bps=3e5, newest_acked_bps=5e4, latest_queue_s=0.08)
        rate.on_report(replace(holed, served_bps=1.9e6, newest_served_bps=1.9e6))
        assert rate.target_bps == 2e6
        rate.on_report(replace(holed, usage=Usage.OVERUSE, served_bps=1.9e6, newest_served_bps=1.9e6, now=0.04))
        assert 1.2e6 < rate.target_bps < 1.4e6

    def test_a_probe_that_passed_raises_the_target_and_one_that_did_not_tells_the_capacity(self) -> None:
        rate = control()
        rate.on_probe(ProbeResult(2e6, passed=True, planned_bps=2e6), acked_bps=1e6, now=1.0)
        assert rate.target_bps == pytest.approx(1.8e6)
        rate.on_probe(ProbeResult(2.2e6, passed=False, planned_bps=3.6e6), acked_bps=1e6, now=2.0)
        assert rate.target_bps == pytest.approx(1.98e6)

    def test_a_low_probe_counts_only_where_the_target_is_not_used(self) -> None:
        for acked_bps, target_bps in ((0.9e6, 1e6), (0.1e6, 0.45e6)):
            rate = control()
            rate.on_probe(ProbeResult(0.5e6, passed=False, planned_bps=2e6), acked_bps=acked_bps, now=1.0)
            assert rate.target_bps == pytest.approx(target_bps)

    def test_after_a_silence_the_rate_of_before_needs_no_new_proof(self) -> None:
        rate = control(initial_bps=8e6)
        for _ in range(3):
            rate.halve()
        assert rate.target_bps == 1e6
        run(rate, CALM, 10.0, use=0.05)
        assert rate.target_bps == 8e6


class TestSilence:
    def report(self, estimator: BandwidthEstimator, seq: int, now: float) -> None:
        estimator.on_report(ArrivalReport(seq, seq, round(now * 1e6), ((0, 0),)), now)

    def test_the_rate_halves_for_each_three_tenths_of_a_second_down_to_the_minimum(self) -> None:
        estimator = BandwidthEstimator(initial_bps=4e6, min_bps=3e5, max_bps=1e7)
        estimator.on_sent(0, 1000, 0.0)
        self.report(estimator, 0, 0.05)
        targets = []
        for i in range(1, 40):
            now = 0.05 + 0.05 * i
            estimator.on_sent(i, 1000, now)
            estimator.on_tick(now)
            targets.append(estimator.target_bps)
        assert targets[5] == 4e6
        assert sorted(set(targets), reverse=True) == [4e6, 2e6, 1e6, 5e5, 3e5]
        assert estimator.statistics().state is BandwidthState.SILENT
        self.report(estimator, 39, 2.0)
        assert estimator.statistics().state is not BandwidthState.SILENT

    def test_a_sender_that_sends_nothing_hears_nothing_and_keeps_its_rate(self) -> None:
        estimator = BandwidthEstimator(initial_bps=4e6, min_bps=3e5, max_bps=1e7)
        estimator.on_sent(0, 1000, 0.0)
        self.report(estimator, 0, 0.05)
        for i in range(100):
            estimator.on_tick(0.05 + 0.1 * i)
        assert estimator.target_bps == 4e6

    def test_a_lone_packet_lost_before_a_pause_costs_one_halving_at_most(self) -> None:
        estimator = BandwidthEstimator(initial_bps=4e6, min_bps=3e5, max_bps=1e7)
        estimator.on_sent(0, 1000, 0.0)
        self.report(estimator, 0, 0.05)
        estimator.on_sent(1, 1000, 0.06)
        for i in range(100):
            estimator.on_tick(0.1 + 0.1 * i)
        assert estimator.target_bps == 2e6

    def test_silence_from_the_start_counts_too(self) -> None:
        estimator = BandwidthEstimator(initial_bps=4e6, min_bps=3e5, max_bps=1e7)
        for i in range(40):
            estimator.on_sent(i, 1000, 0.05 * i)
            estimator.on_tick(0.05 * i)
        assert estimator.target_bps == 3e5
