"""Closed loops over simulated links: what a viewer would live through, in simulated time."""

import pytest

from tests.transport.closed_loop import ClosedLoop
from transport.bandwidth import BandwidthEstimator, BandwidthState
from transport.netsim import Link, RenoFlow


def closed_loop(
    rate_bps: float | None,
    *,
    delay_s: float = 0.02,
    queue_s: float = 0.2,
    loss: float = 0.0,
    burst: float | None = None,
    jitter_s: float = 0.0,
    reorder: bool = False,
    feedback_loss: float = 0.0,
    initial_bps: float = 6e5,
    seed: int = 1,
) -> ClosedLoop:
    forward = Link(
        rate_bps=rate_bps,
        delay_s=delay_s,
        queue_s=queue_s,
        loss=loss,
        burst=burst,
        jitter_s=jitter_s,
        reorder=reorder,
        seed=seed,
    )
    return ClosedLoop(
        forward,
        Link(delay_s=delay_s, loss=feedback_loss, jitter_s=jitter_s, reorder=reorder, seed=seed + 1000),
        BandwidthEstimator(initial_bps=initial_bps, min_bps=1e5, max_bps=2e7),
        base_delay_s=delay_s,
        seed=seed,
    )


def competes(run: ClosedLoop) -> bool:
    return any(s.state is BandwidthState.COMPETE for s in run.samples)


def test_a_steady_link_is_used_and_its_queue_stays_short() -> None:
    run = closed_loop(2e6)
    run.run(20.0)
    assert run.media_bps(3, 20) >= 0.88 * 2e6
    assert run.probe_bps(3, 20) <= 0.03 * 2e6
    assert run.delay_ms(3, 20, share=0.95) <= 60
    assert run.forward.statistics().dropped_queue == 0
    assert not competes(run)


def test_a_narrow_link_is_used_and_not_taken_for_a_shared_one() -> None:
    run = closed_loop(2e5)
    run.run(20.0)
    assert run.media_bps(3, 20) >= 0.85 * 2e5
    assert not competes(run)


def test_a_wide_link_is_found_within_a_second() -> None:
    run = closed_loop(5e6)
    run.run(6.0)
    assert run.mean_target_bps(1, 2) >= 0.8 * 5e6
    assert run.delay_ms(0, 6, share=0.95) <= 60


def test_a_steep_drop_is_followed_and_recovered_from() -> None:
    run = closed_loop(5e6)
    run.run(8.0)
    run.forward.rate_bps = 0.5e6
    run.run(10.0)
    assert run.longest_stall_s(7.5, 18) <= 0.5
    assert run.delay_ms(10.5, 18, share=1.0) <= 150
    # The packets lost from the full queue were sent before the rate came down: they must not bring it down again.
    assert run.media_bps(10, 18) >= 0.8 * 0.5e6
    run.forward.rate_bps = 5e6
    run.run(7.0)
    assert run.mean_target_bps(22, 25) >= 0.8 * 5e6
    assert not competes(run)


@pytest.mark.parametrize(("loss", "burst", "share"), [(0.05, None, 0.75), (0.1, 5, 0.6), (0.2, None, 0.7)])
def test_loss_without_a_queue_does_not_collapse_the_rate(loss: float, burst: float | None, share: float) -> None:
    run = closed_loop(2e6, loss=loss, burst=burst)
    run.run(30.0)
    assert run.media_bps(5, 30) >= share * 2e6
    assert run.samples[-1].loss == pytest.approx(loss, abs=0.13)


def test_jitter_and_reordering_are_not_taken_for_a_queue() -> None:
    run = closed_loop(2e6, jitter_s=0.015, reorder=True)
    run.run(20.0)
    assert run.media_bps(5, 20) >= 0.85 * 2e6
    assert not competes(run)


def test_lost_reports_are_not_lost_packets() -> None:
    run = closed_loop(2e6, feedback_loss=0.3)
    run.run(20.0)
    assert run.media_bps(5, 20) >= 0.85 * 2e6
    assert max(s.loss for s in run.samples) == 0


def test_a_full_short_queue_is_congestion_although_it_has_no_trend() -> None:
    run = closed_loop(2e6, queue_s=0.03)
    run.run(20.0)
    assert 0.85 * 2e6 <= run.media_bps(5, 20) <= 1.12 * 2e6


def test_frames_sent_as_bursts_do_not_blind_it() -> None:
    run = closed_loop(2e6, initial_bps=3e6)
    run.paced = False
    run.run(12.0)
    assert run.mean_target_bps(5, 12) <= 2.1e6
    assert run.delay_ms(5, 12, share=0.95) <= 100


def test_a_start_far_too_high_is_drained_within_seconds() -> None:
    run = closed_loop(1e6, initial_bps=4e6, queue_s=1.0)
    run.run(10.0)
    assert run.delay_ms(4, 10, share=0.95) <= 100
    assert run.mean_target_bps(5, 10) >= 0.75e6


def test_an_outage_both_ways_is_over_three_seconds_after_it() -> None:
    run = closed_loop(2e6)
    run.run(10.0)
    before_bps = run.media_bps(7, 10)
    run.forward.outage(10.0, 1.0)
    run.backward.outage(10.0, 1.0)
    run.run(6.0)
    assert min(s.target_bps for s in run.between(10, 11.2)) <= before_bps / 3
    assert run.media_bps(14, 16) >= 0.8 * before_bps
    assert run.delay_ms(11, 16, share=0.95) <= 100


def test_silence_closes_the_rate_and_its_end_opens_it_again() -> None:
    run = closed_loop(3e6, initial_bps=2e6)
    run.run(4.0)
    before_bps = run.estimator.target_bps
    run.feedback_lost = True
    run.run(2.0)
    assert run.estimator.target_bps <= before_bps / 16
    assert run.estimator.silent
    run.feedback_lost = False
    run.run(6.0)
    assert run.mean_target_bps(11, 12) >= 0.75 * 3e6
    assert run.delay_ms(7, 12, share=0.95) <= 100


def test_probes_tell_what_content_that_needs_little_does_not() -> None:
    run = closed_loop(5e6)
    run.cap_bps = 4e5
    run.run(20.0)
    assert min(s.target_bps for s in run.between(5, 20)) >= 0.8 * 5e6
    assert run.probe_bps(5, 20) <= 0.05 * 5e6
    run.forward.rate_bps = 1e6
    run.run(8.0)
    assert 0.8e6 <= run.mean_target_bps(24, 28) <= 1e6
    assert run.delay_ms(20, 28, share=0.95) <= 60


@pytest.mark.parametrize(("start", "seed"), [(0.0, 1), (5.0, 2)])
def test_beside_a_flow_that_fills_the_queue_neither_starves_and_afterwards_the_queue_is_short(
    start: float, seed: int
) -> None:
    run = closed_loop(4e6, seed=seed)
    other = RenoFlow(back_delay_s=0.02, start=start, end=65.0)
    run.forward.add_flow(other)
    run.run(5.0)
    media, others = run.forward.statistics().delivered_bytes, other.statistics().delivered_bytes
    run.run(60.0)
    media, others = run.forward.statistics().delivered_bytes - media, other.statistics().delivered_bytes - others
    assert 0.25 <= media / (media + others) <= 0.75
    run.run(10.0)
    assert run.delay_ms(68, 75, share=0.95) <= 60
    assert run.media_bps(70, 75) >= 0.8 * 4e6


def test_a_longer_route_is_not_taken_for_a_queue_for_ever() -> None:
    run = closed_loop(2e6)
    run.run(8.0)
    run.forward.delay_s = run.base_delay_s = 0.12
    run.run(22.0)
    assert run.samples[-1].state is not BandwidthState.COMPETE
    assert run.delay_ms(26, 30, share=0.95) <= 60
    assert run.media_bps(26, 30) >= 0.8 * 2e6
