"""Outage, stall, duplication and what is counted; conditions that change while packets are under way."""

from collections.abc import Callable

import pytest

from transport.netsim import Link, Path


def steady(
    link: Link,
    *,
    start: float,
    end: float,
    gap: float = 0.01,
    size: int = 1000,
    events: dict[int, Callable[[float], None]] | None = None,
) -> dict[int, list[float]]:
    """Sends a packet every `gap`, polls on the way; arrival times by number. events: happen before this packet."""
    arrivals: dict[int, list[float]] = {}
    count = round((end - start) / gap)
    for i in range(count):
        now = start + i * gap
        for data, at in link.poll(now):
            arrivals.setdefault(int.from_bytes(data[:4], "big"), []).append(at)
        if events and i in events:
            events[i](now)
        link.send(i.to_bytes(4, "big") + bytes(size - 4), now)
    for data, at in link.poll(end + 100):
        arrivals.setdefault(int.from_bytes(data[:4], "big"), []).append(at)
    return arrivals


def test_an_outage_loses_what_leaves_meanwhile() -> None:
    link = Link(delay_s=0.05)
    arrivals = steady(link, start=0.0, end=2.0, events={50: lambda now: link.outage(now, 0.5)})
    lost = [i for i in range(200) if i not in arrivals]
    assert lost == list(range(50, 100))
    assert link.statistics().dropped_outage == 50


def test_a_stall_keeps_what_the_queue_holds_and_drops_the_rest() -> None:
    link = Link(rate_bps=1e6, queue_s=0.2, delay_s=0.02)
    arrivals = steady(link, start=0.0, end=3.0, events={100: lambda now: link.stall(now, 1.0)})
    # Room for 25 packets of 8 ms; the one being sent when the stall began was through at once.
    held = [i for i in range(100, 200) if i in arrivals]
    assert held == list(range(100, 125))
    assert all(arrivals[i][0] >= 2.0 for i in held)
    assert arrivals[101][0] - arrivals[100][0] == pytest.approx(0.008)
    assert link.statistics().dropped_queue == 300 - len(arrivals)


def test_duplicates_arrive_twice_and_have_their_share() -> None:
    link = Link(duplicate=0.1, delay_s=0.01, jitter_s=0.002, reorder=True, seed=2)
    arrivals = steady(link, start=0.0, end=50.0)
    twice = sum(len(times) == 2 for times in arrivals.values())
    statistics = link.statistics()
    assert twice == statistics.duplicated
    assert 400 < twice < 600
    assert statistics.delivered == statistics.sent + twice


def test_duplication_leaves_the_fate_of_the_originals() -> None:
    outcomes = []
    for share in (0.0, 0.5):
        link = Link(duplicate=share, loss=0.2, jitter_s=0.01, reorder=True, seed=7)
        arrivals = steady(link, start=0.0, end=3.0)
        outcomes.append({i: times[0] for i, times in arrivals.items()})
    assert outcomes[0].keys() == outcomes[1].keys()


def test_delay_and_jitter_may_change_on_the_way() -> None:
    link = Link(delay_s=0.1)
    link.send(b"a", 0.0)
    link.poll(0.01)
    link.delay_s = 0.02
    link.send(b"b", 0.01)
    assert [(data, round(at, 3)) for data, at in link.poll(1.0)] == [(b"a", 0.1), (b"b", 0.1)]
    link.reorder = True
    link.delay_s = 0.1
    link.send(b"c", 1.0)
    link.delay_s = 0.02
    link.send(b"d", 1.01)
    assert [data for data, _ in link.poll(2.0)] == [b"d", b"c"]


def test_the_queue_delay_is_what_the_next_packet_waits() -> None:
    link = Link(rate_bps=1e6, queue_s=1.0)
    assert link.queue_delay_s(0.0) == 0.0
    for i in range(5):
        link.send(bytes(1000), 0.0)
        assert link.queue_delay_s(0.0) == pytest.approx(0.008 * (i + 1))
    link.send(b"last" + bytes(996), 0.01)
    waited = link.queue_delay_s(0.01)
    assert waited == pytest.approx(6 * 0.008 - 0.01)
    assert link.poll(1.0)[-1][1] == pytest.approx(0.01 + waited)


def test_bytes_and_packets_add_up() -> None:
    link = Link(rate_bps=1e6, queue_s=0.05, delay_s=0.01, loss=0.1, duplicate=0.05, seed=3)
    steady(link, start=0.0, end=3.0, gap=0.006, events={150: lambda now: link.outage(now, 0.3)})
    s = link.statistics()
    assert s.sent + s.duplicated == s.delivered + s.dropped_queue + s.dropped_random + s.dropped_outage
    assert min(s.dropped_queue, s.dropped_random, s.dropped_outage, s.duplicated) > 0
    assert (s.sent_bytes, s.delivered_bytes) == (1000 * s.sent, 1000 * s.delivered)


def test_a_path_says_which_direction_is_due_first() -> None:
    path = Path(Link(delay_s=0.03), Link(delay_s=0.01))
    assert path.next_event() is None
    path.forward.send(b"x", 0.0)
    assert path.next_event() == pytest.approx(0.03)
    path.back.send(b"y", 0.0)
    assert path.next_event() == pytest.approx(0.01)
