"""Losses have the share and the burst length that was asked for."""

import random
from itertools import groupby

import pytest

from transport.netsim import Link, LossProcess


def fates(share: float, burst: float | None, count: int, seed: int = 5) -> list[bool]:
    process = LossProcess(random.Random(seed))
    process.set(share, burst)
    return [process.next() for _ in range(count)]


@pytest.mark.parametrize(("share", "burst"), [(0.1, 5.0), (0.3, 2.0), (0.02, 20.0), (0.5, 1.0)])
def test_gilbert_elliott_has_its_share_and_its_burst_length(share: float, burst: float) -> None:
    lost = fates(share, burst, 400_000)
    runs = [sum(1 for _ in group) for is_lost, group in groupby(lost) if is_lost]
    # Four standard errors: what the runs have in length, the share has too.
    tolerance = 4 * (2 / len(runs)) ** 0.5
    assert sum(lost) / len(lost) == pytest.approx(share, rel=tolerance)
    assert sum(runs) / len(runs) == pytest.approx(burst, rel=tolerance)


def test_independent_losses_come_in_runs_of_their_own_chance() -> None:
    lost = fates(0.2, None, 200_000)
    runs = [sum(1 for _ in group) for is_lost, group in groupby(lost) if is_lost]
    assert sum(runs) / len(runs) == pytest.approx(1 / 0.8, rel=0.03)


def test_all_or_nothing_can_be_had() -> None:
    assert all(fates(1.0, 3.0, 1000)[1:])
    assert not any(fates(0.0, 3.0, 1000))


@pytest.mark.parametrize(("share", "burst"), [(-0.1, None), (1.1, None), (0.1, 0.5), (0.6, 1.0), (float("nan"), None)])
def test_what_no_process_can_do_is_refused(share: float, burst: float | None) -> None:
    with pytest.raises(ValueError, match=r"loss|burst"):
        LossProcess(random.Random(1)).set(share, burst)


def test_the_next_few_packets_are_lost_and_no_other() -> None:
    link = Link()
    for i in range(20):
        if i == 7:
            link.lose_next(10)
        link.send(bytes([i]), 0.01 * i)
    assert [data[0] for data, _ in link.poll(1.0)] == [0, 1, 2, 3, 4, 5, 6, 17, 18, 19]
    assert link.statistics().dropped_random == 10


def test_a_burst_loss_changes_the_fate_of_no_later_packet() -> None:
    outcomes = []
    for burst in (0, 5):
        link = Link(loss=0.3, seed=4)
        link.lose_next(burst)
        for i in range(100):
            link.send(bytes([i]), 0.0)
        outcomes.append([data[0] for data, _ in link.poll(0.0) if data[0] >= 5])
    assert outcomes[0] == outcomes[1]
