"""The simulated link does what its conditions say, the same way each time."""

import pytest

from transport.netsim import Link


def arrivals(link: Link, until: float = 100.0) -> list[tuple[int, float]]:
    """(first byte, time) of all that comes out."""
    return [(data[0], round(at, 6)) for data, at in link.poll(until)]


def send(link: Link, count: int, *, size: int = 1000, start: float = 0.0, gap: float = 0.0) -> None:
    for i in range(count):
        link.send(bytes([i % 256]) + bytes(size - 1), start + i * gap)


def test_an_ideal_link_only_delays() -> None:
    link = Link(delay_s=0.03)
    send(link, 2, start=1.0)
    assert link.poll(1.029) == []
    assert link.next_event() == pytest.approx(1.03)
    assert arrivals(link, 1.03) == [(0, 1.03), (1, 1.03)]
    assert link.next_event() is None


def test_the_rate_spaces_packets() -> None:
    link = Link(rate_bps=1e6, delay_s=0.01)
    send(link, 3)
    assert arrivals(link) == [(0, 0.018), (1, 0.026), (2, 0.034)]


@pytest.mark.parametrize("room", [{"queue_bytes": 2000}, {"queue_s": 0.016}])
def test_a_full_queue_drops_the_newcomer(room: dict[str, float]) -> None:
    link = Link(rate_bps=1e6, queue_bytes=2000) if "queue_bytes" in room else Link(rate_bps=1e6, queue_s=0.016)
    send(link, 4)
    statistics = link.statistics()
    assert (statistics.dropped_queue, statistics.queued_packets, statistics.queued_bytes) == (2, 2, 2000)
    assert [i for i, _ in arrivals(link)] == [0, 1]


def test_a_packet_larger_than_the_room_passes_an_empty_queue() -> None:
    link = Link(rate_bps=1e6, queue_bytes=10)
    send(link, 1)
    assert len(arrivals(link)) == 1


def test_a_rate_step_holds_from_the_next_packet() -> None:
    link = Link(rate_bps=1e6)
    send(link, 3)
    link.poll(0.001)
    link.rate_bps = 1e5
    assert arrivals(link) == [(0, 0.008), (1, 0.088), (2, 0.168)]
    link.rate_bps = None
    link.send(b"x", 200.0)
    assert [at for _, at in link.poll(200.0)] == [200.0]


def test_random_loss_has_its_share_and_its_seed() -> None:
    fates = []
    for seed in (1, 1, 2):
        link = Link(loss=0.1, seed=seed)
        send(link, 5000, size=1)
        assert 400 < link.statistics().sent - len(link.poll(1.0)) < 600
        fates.append(link.statistics().dropped_random)
    assert fates[0] == fates[1] != fates[2]


def test_jitter_delays_but_reorders_only_if_allowed() -> None:
    for reorder in (False, True):
        link = Link(delay_s=0.02, jitter_s=0.01, reorder=reorder, seed=3)
        send(link, 200, gap=0.001)
        out = arrivals(link)
        order = [i for i, _ in out]
        assert (order == sorted(order)) is not reorder
        assert [at for _, at in out] == sorted(at for _, at in out)
        assert all(at >= 0.02 + 0.001 * i for i, at in out)


def test_the_fate_of_packets_does_not_depend_on_how_often_the_link_is_polled() -> None:
    outcomes = []
    for polls in (1, 500):
        link = Link(rate_bps=2e6, queue_s=0.05, delay_s=0.02, jitter_s=0.005, loss=0.05, reorder=True, seed=9)
        send(link, 100, gap=0.003)
        outcomes.append([packet for i in range(polls) for packet in arrivals(link, (i + 1) / polls)])
    assert outcomes[0] == outcomes[1]
