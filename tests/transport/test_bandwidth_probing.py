"""Probe clusters: when they are asked for, what they find, and when they find nothing."""

import pytest

from transport.bandwidth.probe_schedule import ProbeSchedule
from transport.bandwidth.probing import CLUSTER_S, ProbeMeter, ProbeResult
from transport.bandwidth.sent import Delivered, Outcome, Sent


def send(meter: ProbeMeter, rate_bps: float, *, now: float = 1.0) -> list[Sent]:
    """A whole cluster, paced as planned."""
    plan = meter.start(rate_bps, now)
    sent, at = [], now
    for key in range(round(plan.size_bytes / plan.packet_bytes)):
        sent.append(Sent(key, plan.packet_bytes, at, plan.id))
        meter.on_sent(key, plan.packet_bytes, plan.id, at)
        at += plan.packet_bytes * 8 / plan.rate_bps
    return sent


def deliver(sent: list[Sent], link_bps: float, *, jitter_s: tuple[float, ...] = (0.0,)) -> Outcome:
    """Through a bottleneck with nobody else on it."""
    free, delivered = 0.0, []
    for i, packet in enumerate(sent):
        free = max(free, packet.sent_s) + packet.size_bytes * 8 / link_bps
        arrival_s = free + 0.02 + jitter_s[i % len(jitter_s)]
        delivered.append(Delivered(packet.key, packet.size_bytes, packet.sent_s, arrival_s, packet.probe))
    return Outcome(delivered, [], [])


@pytest.mark.parametrize("rate_bps", [3e5, 2e6, 2e7])
def test_a_cluster_is_short_and_has_enough_packets(rate_bps: float) -> None:
    plan = ProbeMeter().start(rate_bps, 0.0)
    assert plan.size_bytes / plan.packet_bytes >= 5.5
    assert plan.size_bytes * 8 / rate_bps <= max(1.01 * CLUSTER_S, 6 * 120 * 8 / rate_bps)


@pytest.mark.parametrize("link_bps", [5e5, 1e6, 1.5e6])
def test_a_cluster_faster_than_the_path_tells_what_it_carries(link_bps: float) -> None:
    meter = ProbeMeter()
    result = meter.on_outcome(deliver(send(meter, 2e6), link_bps), 1.1)
    assert result is not None
    assert not result.passed
    assert result.bps == pytest.approx(link_bps, rel=0.08)
    assert not meter.busy


def test_a_cluster_that_leaves_no_queue_has_passed() -> None:
    meter = ProbeMeter()
    result = meter.on_outcome(deliver(send(meter, 2e6), 1e7), 1.1)
    assert result is not None
    assert result.passed
    assert result.bps == pytest.approx(2e6, rel=0.05)


def test_jitter_as_long_as_the_cluster_makes_it_worthless() -> None:
    meter = ProbeMeter()
    jitter_s = (0.02, 0.0, 0.011, 0.003, 0.018, 0.001)
    assert meter.on_outcome(deliver(send(meter, 2e6), 1e6, jitter_s=jitter_s), 1.1) is None
    assert not meter.busy


def test_on_a_path_known_to_jitter_a_line_by_chance_has_not_passed() -> None:
    meter = ProbeMeter()
    jitter_s = (0.02, 0.0, 0.011, 0.003, 0.018, 0.001)
    meter.on_outcome(deliver(send(meter, 2e6), 1e6, jitter_s=jitter_s), 1.1)
    assert meter.on_outcome(deliver(send(meter, 2e6), 1e7), 1.1) is None


def test_a_cluster_of_too_few_packets_is_asked_for_again_soon() -> None:
    meter, schedule = ProbeMeter(), ProbeSchedule()
    plan = meter.start(2e6, 1.0)
    sent = [Sent(key, plan.size_bytes // 3 + 1, 1.0 + 0.005 * key, plan.id) for key in range(3)]
    for packet in sent:
        meter.on_sent(packet.key, packet.size_bytes, plan.id, packet.sent_s)
    assert meter.on_outcome(deliver(sent, 1e6), 1.1) is None
    assert meter.too_few
    assert schedule.wanted_bps(target_bps=1e6, max_bps=1e7, now=1.0) is not None
    schedule.on_too_few(1.1)
    assert schedule.wanted_bps(target_bps=1e6, max_bps=1e7, now=1.5) is None
    assert schedule.wanted_bps(target_bps=1e6, max_bps=1e7, now=1.61) is not None


def test_a_cluster_that_lost_much_says_nothing() -> None:
    meter = ProbeMeter()
    sent = send(meter, 2e6)
    arrived = deliver(sent, 1e6).delivered
    assert meter.on_outcome(Outcome(arrived[:3], [], []), 1.1) is None
    assert meter.busy
    assert meter.on_outcome(Outcome([], sent[3:], []), 1.2) is None
    assert not meter.busy


def test_a_cluster_never_sent_expires() -> None:
    meter = ProbeMeter()
    meter.start(2e6, 1.0)
    meter.on_outcome(Outcome([], [], []), 1.5)
    assert meter.busy
    meter.on_outcome(Outcome([], [], []), 2.1)
    assert not meter.busy


def test_success_is_followed_up_at_once_and_failure_after_a_while() -> None:
    schedule = ProbeSchedule()
    assert schedule.wanted_bps(target_bps=1e6, max_bps=1e7, now=0.0) == 2e6
    assert schedule.wanted_bps(target_bps=1e6, max_bps=1e7, now=0.1) is None
    schedule.on_result(ProbeResult(2e6, passed=True, planned_bps=2e6), 0.2)
    assert schedule.wanted_bps(target_bps=1.8e6, max_bps=1e7, now=0.2) == 3.6e6
    schedule.on_result(ProbeResult(2e6, passed=False, planned_bps=3.6e6), 0.4)
    assert schedule.wanted_bps(target_bps=1.8e6, max_bps=1e7, now=1.0) is None
    assert schedule.wanted_bps(target_bps=1.8e6, max_bps=1e7, now=2.3) is not None
    schedule.on_decrease(4.2)
    assert schedule.wanted_bps(target_bps=1e6, max_bps=1e7, now=4.5) is None


def test_at_the_highest_target_a_cluster_that_passes_is_not_followed_by_another_at_once() -> None:
    schedule = ProbeSchedule()
    assert schedule.wanted_bps(target_bps=1e7, max_bps=1e7, now=0.0) is not None
    schedule.on_result(ProbeResult(1.1e7, passed=True, planned_bps=1.15e7), 0.1)
    assert schedule.wanted_bps(target_bps=1e7, max_bps=1e7, now=0.2) is None
    assert schedule.wanted_bps(target_bps=1e7, max_bps=1e7, now=5.1) is not None
