"""CoDel holds the delay of a queue that drop-tail would fill."""

import pytest

from transport.netsim import Link, RenoFlow


def overload(link: Link, *, factor: float, seconds: float) -> list[tuple[float, float]]:
    """(arrival, delay) of packets sent evenly at `factor` times the rate of 2 Mbit/s."""
    gap = 1000 * 8 / (2e6 * factor)
    out = []
    for i in range(int(seconds / gap)):
        link.send(i.to_bytes(4, "big") + bytes(996), i * gap)
        out += [(at, at - int.from_bytes(data[:4], "big") * gap) for data, at in link.poll(i * gap)]
    return out


def test_a_responsive_flow_meets_the_target() -> None:
    link = Link(rate_bps=5e6, queue_s=1.0, delay_s=0.02, codel=True)
    link.add_flow(RenoFlow(back_delay_s=0.02))
    waits = []
    for i in range(300_000):
        now = i * 0.0002
        if now > 5:
            waits.append(link.queue_delay_s(now))
    waits.sort()
    # RFC 8289 aims at 5 ms of standing queue; Reno's sawtooth swings about it.
    assert waits[len(waits) // 2] < 0.010
    assert waits[int(len(waits) * 0.95)] < 0.04


def test_a_flow_that_does_not_react_is_dropped_more_and_more() -> None:
    link = Link(rate_bps=2e6, queue_s=1.0, codel=True)
    delays = overload(link, factor=1.1, seconds=60)
    late = [delay for at, delay in delays if at > 50]
    assert max(late) < 0.1
    assert link.statistics().dropped_queue == pytest.approx(0.1 / 1.1 * link.statistics().sent, rel=0.2)


def test_a_short_burst_is_left_alone() -> None:
    link = Link(rate_bps=2e6, codel=True)
    # 80 ms of queue, gone within the interval.
    for _ in range(20):
        link.send(bytes(1000), 0.0)
    assert len(link.poll(1.0)) == 20


def test_one_packet_waiting_is_no_queue_however_slow_the_link() -> None:
    link = Link(rate_bps=100e3, codel=True)
    # Each takes 80 ms and waits as long, behind one other.
    link.send(bytes(1000), 0.0)
    for i in range(100):
        link.send(bytes(1000), i * 0.08)
    assert len(link.poll(100.0)) == 101


def test_drop_tail_has_no_such_mercy_on_delay() -> None:
    link = Link(rate_bps=2e6, queue_s=1.0)
    late = [delay for at, delay in overload(link, factor=1.1, seconds=60) if at > 50]
    assert min(late) > 0.9
