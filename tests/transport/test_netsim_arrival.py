"""`Link.next_arrival`: whoever looks only then, and when it sends, gets every packet the moment it comes out."""

from collections.abc import Callable

import pytest

from transport.netsim import Link, RenoFlow

SENDS = [0.2 * frame + 0.004 * packet for frame in range(40) for packet in range(12)]


def shared(*, codel: bool = False) -> Link:
    link = Link(rate_bps=1e6, queue_s=0.2, delay_s=0.02, codel=codel, seed=5)
    link.add_flow(RenoFlow(back_delay_s=0.02, start=1.0))
    return link


LINKS: dict[str, Callable[[], Link]] = {
    "ideal": Link,
    "no bottleneck": lambda: Link(delay_s=0.02, jitter_s=0.01, seed=1),
    "bottleneck": lambda: Link(rate_bps=1e6, queue_s=0.1, delay_s=0.02),
    "jitter": lambda: Link(rate_bps=1e6, delay_s=0.02, jitter_s=0.01, seed=2),
    "reordering": lambda: Link(rate_bps=1e6, delay_s=0.02, jitter_s=0.02, reorder=True, seed=3),
    "bursts": lambda: Link(rate_bps=1e6, delay_s=0.02, loss=0.3, burst=5, seed=4),
    "duplicates": lambda: Link(rate_bps=1e6, delay_s=0.02, jitter_s=0.01, duplicate=0.3, seed=4),
    "codel": lambda: shared(codel=True),
    "all lost": lambda: Link(rate_bps=1e6, delay_s=0.02, loss=1.0),
    "shared": shared,
}


def run(link: Link, due: Callable[[], float | None]) -> tuple[list[tuple[bytes, float]], int]:
    """(all that came out by 9 s, how often it was looked at), looking at `due` only. It came at that time or fails."""
    came: list[tuple[bytes, float]] = []
    looks = 0
    sends = iter(SENDS)
    send_at = next(sends, None)
    while True:
        at = due()
        now = min(at if at is not None else 9.0, send_at if send_at is not None else 9.0)
        if now >= 9.0:
            return came, looks
        looks += 1
        for data, arrived_s in link.poll(now):
            assert arrived_s == now
            came.append((data, arrived_s))
        if now == send_at:
            link.send(len(came).to_bytes(1000, "big"), now)
            send_at = next(sends, None)


@pytest.mark.parametrize("name", LINKS)
def test_nothing_comes_out_before_the_next_arrival(name: str) -> None:
    eager, lazy = LINKS[name](), LINKS[name]()
    expected, eager_looks = run(eager, eager.next_event)
    came, looks = run(lazy, lazy.next_arrival)
    assert came == expected
    assert bool(came) is (name != "all lost")
    assert looks <= eager_looks
    if name == "all lost":
        assert looks == len(SENDS)
    lazy.advance(9.0)
    eager.advance(9.0)
    assert lazy.statistics() == eager.statistics()


def test_a_change_of_conditions_moves_it() -> None:
    link = Link(rate_bps=1e6, delay_s=0.02)
    link.send(bytes(1000), 0.0)
    assert link.next_arrival() == pytest.approx(0.028)
    link.delay_s = 0.1
    assert link.next_arrival() == pytest.approx(0.108)
    link.outage(0.001, 1.0)
    link.advance(0.5)
    assert link.next_arrival() is None


def test_cross_traffic_wakes_nobody() -> None:
    link = shared()
    link.advance(5.0)
    assert link.next_event() is not None
    assert link.next_arrival() is None
