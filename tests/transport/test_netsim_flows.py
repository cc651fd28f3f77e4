"""Cross traffic behaves like the traffic it stands for, and shares the queue."""

import pytest

from transport.netsim import ConstantFlow, Flow, Link, RenoFlow


def delivered_bps(flow: Flow, link: Link, *, start: float, end: float, step: float = 0.01) -> float:
    """Mean rate of a flow between two moments, on a link that nobody else polls."""
    now = start
    link.advance(start)
    before = flow.statistics().delivered_bytes
    while now < end:
        now += step
        link.advance(now)
    return (flow.statistics().delivered_bytes - before) * 8 / (end - start)


def test_reno_fills_the_link_and_the_queue() -> None:
    link = Link(rate_bps=2e6, queue_s=0.2, delay_s=0.02)
    flow = RenoFlow(back_delay_s=0.02)
    link.add_flow(flow)
    assert delivered_bps(flow, link, start=5.0, end=60.0) == pytest.approx(2e6, rel=0.02)
    waits = [link.queue_delay_s(60 + i * 0.01) for i in range(3000)]
    # The window swings between what fills the queue and half of it.
    assert max(waits) > 0.19
    assert min(waits) < 0.12
    assert 0.08 < sum(waits) / len(waits) < 0.19
    assert flow.statistics().dropped > 5


def test_reno_keeps_to_a_window_when_losses_are_random() -> None:
    """Mathis et al. 1997: rate = MSS / RTT * sqrt(3/2 / p)."""
    link = Link(rate_bps=50e6, queue_s=0.2, delay_s=0.05, loss=0.01, seed=6)
    flow = RenoFlow(back_delay_s=0.05)
    link.add_flow(flow)
    expected = 1240 * 8 / 0.1 * (1.5 / 0.01) ** 0.5
    assert delivered_bps(flow, link, start=5.0, end=65.0) == pytest.approx(expected, rel=0.25)


def test_reno_halves_its_window_once_for_all_losses_of_a_round_trip() -> None:
    link = Link(rate_bps=4e6, delay_s=0.05)
    flow = RenoFlow(back_delay_s=0.05)
    link.add_flow(flow)
    link.advance(1.0)
    before = flow.window
    link.lose_next(8)
    # The queue is half a second by now.
    while flow.window >= before:
        before = flow.window
        link.advance(link.next_event() or 0.0)
    link.advance((link.next_event() or 0.0) + 0.05)
    assert flow.statistics().dropped == 8
    assert 0.45 * before < flow.window < 0.55 * before


def test_two_reno_flows_share_alike() -> None:
    link = Link(rate_bps=4e6, queue_s=0.1, delay_s=0.02)
    flows = [RenoFlow(back_delay_s=0.02), RenoFlow(back_delay_s=0.021, start=2.0)]
    for flow in flows:
        link.add_flow(flow)
    link.advance(10.0)
    before = [flow.statistics().delivered_bytes for flow in flows]
    link.advance(120.0)
    rates = [flow.statistics().delivered_bytes - b for flow, b in zip(flows, before, strict=True)]
    assert sum(rates) * 8 / 110 == pytest.approx(4e6, rel=0.03)
    assert 0.4 < rates[0] / sum(rates) < 0.6


def test_reno_comes_back_after_an_outage_and_ends_when_told() -> None:
    link = Link(rate_bps=2e6, queue_s=0.2, delay_s=0.02)
    flow = RenoFlow(back_delay_s=0.02, start=1.0, end=20.0)
    link.add_flow(flow)
    link.outage(5.0, 2.0)
    assert delivered_bps(flow, link, start=5.1, end=6.9) == 0
    assert delivered_bps(flow, link, start=10.0, end=19.0) > 1.8e6
    link.advance(25.0)
    assert link.next_event() is None
    assert flow.statistics().sent == flow.statistics().delivered + flow.statistics().dropped


def test_a_constant_flow_has_its_rate_and_its_pauses() -> None:
    link = Link()
    flow = ConstantFlow(rate_bps=1e6, start=10.0, end=22.0, on_s=2.0, off_s=1.0)
    link.add_flow(flow)
    assert link.next_event() == 10.0
    assert delivered_bps(flow, link, start=10.0, end=12.0) == pytest.approx(1e6, rel=0.02)
    assert delivered_bps(flow, link, start=12.01, end=12.97) == 0
    assert delivered_bps(flow, link, start=13.0, end=15.0) == pytest.approx(1e6, rel=0.02)
    link.advance(40.0)
    assert flow.statistics().delivered_bytes * 8 == pytest.approx(8e6, rel=0.02)
    assert link.next_event() is None


def test_cross_traffic_takes_room_from_others_but_is_not_counted_as_theirs() -> None:
    link = Link(rate_bps=1e6, queue_s=0.1)
    flow = ConstantFlow(rate_bps=900e3)
    link.add_flow(flow)
    for i in range(1000):
        link.send(bytes(500), i * 0.01)
    came = link.poll(20.0)
    statistics = link.statistics()
    assert (statistics.sent, statistics.delivered) == (1000, len(came))
    assert statistics.dropped_queue == 1000 - len(came) > 50
    assert flow.statistics().dropped > 20


def test_polling_rarely_or_often_makes_no_difference_to_cross_traffic() -> None:
    outcomes = []
    for polls in (1, 997):
        link = Link(rate_bps=2e6, queue_s=0.1, delay_s=0.02, loss=0.01, jitter_s=0.003, reorder=True, seed=8)
        flow = RenoFlow(back_delay_s=0.02)
        link.add_flow(flow)
        out = []
        for i in range(polls):
            if i == 0:
                link.send(b"first", 0.0)
            out += link.poll(10.0 * (i + 1) / polls)
        outcomes.append((out, flow.statistics()))
    assert outcomes[0] == outcomes[1]


@pytest.mark.parametrize("rate_bps", [0.0, -1.0, float("nan")])
def test_a_flow_without_a_rate_is_refused(rate_bps: float) -> None:
    with pytest.raises(ValueError, match="sends nothing"):
        ConstantFlow(rate_bps=rate_bps)
