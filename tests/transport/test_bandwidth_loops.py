"""Closed loops over simulated links: what a viewer would live through, in simulated time."""

import pytest

from tests.transport.closed_loop import ClosedLoop
from transport.bandwidth import BandwidthEstimator, BandwidthState
from transport.netsim import Link


def closed_loop(
    rate_bps: float | None,
    *,
    delay_s: float = 0.03,
    queue_s: float = 0.3,
    loss: float = 0.0,
    jitter_s: float = 0.0,
    initial_bps: float = 1e6,
    max_bps: float = 1e7,
) -> ClosedLoop:
    return ClosedLoop(
        Link(rate_bps=rate_bps, delay_s=delay_s, queue_s=queue_s, loss=loss, jitter_s=jitter_s, seed=1),
        Link(delay_s=delay_s, loss=loss, jitter_s=jitter_s, seed=2),
        BandwidthEstimator(initial_bps=initial_bps, min_bps=1e5, max_bps=max_bps),
        base_delay_s=delay_s,
    )


def test_a_steady_link_is_used_and_its_queue_stays_short() -> None:
    run = closed_loop(2e6)
    run.run(20.0)
    assert run.mean_target_bps(5, 20) >= 0.8 * 2e6
    assert run.delay_ms(2, 20, share=0.95) <= 100
    assert run.forward.statistics().dropped_queue == 0
    assert run.frames
    assert all(frame.intact for frame in run.frames)


def test_the_ramp_is_fast() -> None:
    run = closed_loop(4e6)
    run.run(4.0)
    assert run.mean_target_bps(3, 4) >= 0.75 * 4e6


def test_a_steep_drop_is_followed_and_recovered_from() -> None:
    run = closed_loop(5e6, initial_bps=4e6)
    run.run(6.0)
    assert run.mean_target_bps(4, 6) >= 0.75 * 5e6
    run.forward.rate_bps = 0.5e6
    run.run(8.0)
    assert max(s.target_bps for s in run.between(7, 14)) <= 1.2 * 0.5e6
    # The packets lost from the full queue were sent before the rate came down: they must not bring it down again.
    assert min(s.target_bps for s in run.between(6, 14)) >= 0.75 * 0.5e6
    assert run.mean_target_bps(8, 14) >= 0.7 * 0.5e6
    assert run.delay_ms(8, 14, share=0.95) <= 100
    run.forward.rate_bps = 5e6
    run.run(8.0)
    assert run.mean_target_bps(20, 22) >= 0.6 * 5e6


@pytest.mark.parametrize("loss", [0.02, 0.05])
def test_random_loss_does_not_collapse_the_rate(loss: float) -> None:
    run = closed_loop(2e6, loss=loss)
    run.run(15.0)
    assert run.mean_target_bps(5, 15) >= 0.75 * 2e6
    assert run.estimator.statistics().loss == pytest.approx(loss, abs=0.04)


def test_jitter_is_not_taken_for_a_queue() -> None:
    run = closed_loop(2e6, jitter_s=0.01)
    run.run(15.0)
    assert run.mean_target_bps(5, 15) >= 0.75 * 2e6
    assert run.delay_ms(5, 15, share=0.95) <= 100


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


def test_silence_closes_the_rate_and_its_end_opens_it_again() -> None:
    run = closed_loop(3e6, initial_bps=2e6)
    run.run(4.0)
    before = run.estimator.target_bps
    run.feedback_lost = True
    run.run(2.0)
    assert run.estimator.target_bps <= before / 16
    assert run.estimator.statistics().state is BandwidthState.SILENT
    run.feedback_lost = False
    run.run(6.0)
    assert run.mean_target_bps(11, 12) >= 0.75 * 3e6
    assert run.delay_ms(7, 12, share=0.95) <= 100


def test_content_that_needs_little_keeps_the_rate_it_has_proven() -> None:
    run = closed_loop(5e6)
    run.run(4.0)
    proven = run.estimator.target_bps
    run.cap_bps = 2e5
    run.run(20.0)
    assert run.estimator.target_bps == pytest.approx(proven, rel=0.05)
