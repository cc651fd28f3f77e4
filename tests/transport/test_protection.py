"""How loss is measured, and how much parity it leads to."""

import random

import pytest

from transport.bandwidth.sent import Delivered, Outcome, Sent
from transport.fec import NO_PROTECTION, Protection
from transport.protection import LossMeter, choose_protection, residual


def outcome(keys: range, lost: set[int], probes: frozenset[int] = frozenset()) -> Outcome:
    return Outcome(
        [Delivered(key, 1000, 0.0, 0.0) for key in keys if key not in lost],
        [Sent(key, 1000, 0.0, 1 if key in probes else None) for key in keys if key in lost],
        [],
    )


def chosen(
    data_count: int, *, loss: float, burst: float = 1.0, nack: bool = True, head_count: int = 1, max_share: float = 0.5
) -> Protection:
    return choose_protection(
        data_count,
        head_count,
        loss=loss,
        burst=burst,
        rtt_s=0.04 if nack else 0.2,
        budget_s=0.2,
        max_share=max_share,
    )


def test_loss_and_burst_of_runs_that_span_reports() -> None:
    meter = LossMeter()
    assert (meter.loss, meter.burst) == (0.0, 1.0)
    meter.on_outcome(outcome(range(0, 100), {10, 98, 99}), 1.0)
    meter.on_outcome(outcome(range(100, 200), {100, 101, 150, 151, 152, 153}), 1.1)
    # Runs: 10; 98 to 101; 150 to 153.
    assert meter.loss == pytest.approx(9 / 200)
    assert meter.burst == pytest.approx(3.0)


def test_what_was_lost_long_ago_does_not_count() -> None:
    meter = LossMeter()
    meter.on_outcome(outcome(range(0, 100), {10}), 1.0)
    meter.on_outcome(outcome(range(100, 200), set()), 7.0)
    assert (meter.loss, meter.burst) == (0.0, 1.0)


def test_a_loss_among_few_packets_is_not_taken_for_much() -> None:
    meter = LossMeter()
    meter.on_outcome(outcome(range(0, 4), {1}), 1.0)
    assert meter.loss == pytest.approx(0.01)


def test_lost_probes_do_not_count() -> None:
    meter = LossMeter()
    meter.on_outcome(outcome(range(0, 200), {20, 21, 50}, probes=frozenset({20, 21})), 1.0)
    assert meter.loss == pytest.approx(1 / 198)
    assert meter.burst == 1.0


def test_nothing_for_nothing() -> None:
    assert chosen(8, loss=0.0) == NO_PROTECTION
    assert chosen(8, loss=0.004) == NO_PROTECTION
    assert chosen(8, loss=0.004, nack=False).parity == 1


@pytest.mark.parametrize(
    ("data_count", "loss", "burst", "parity"),
    [
        (1, 0.01, 1.0, 0),
        (1, 0.05, 1.0, 1),
        (3, 0.01, 1.0, 0),
        (3, 0.05, 1.0, 1),
        (8, 0.01, 1.0, 1),
        (8, 0.05, 1.0, 2),
        (20, 0.05, 1.0, 4),
        (3, 0.1, 5.0, 0),
        (8, 0.1, 5.0, 3),
        (3, 0.3, 1.4, 3),
    ],
)
def test_parity_where_a_nack_can_still_help(data_count: int, loss: float, burst: float, parity: int) -> None:
    assert chosen(data_count, loss=loss, burst=burst).parity == parity


@pytest.mark.parametrize("data_count", [1, 2, 3, 5, 8, 13, 20, 48, 100])
@pytest.mark.parametrize("loss", [0.01, 0.05, 0.2, 0.5, 1.0])
def test_more_is_chosen_without_time_for_a_nack_and_never_more_than_the_share(data_count: int, loss: float) -> None:
    for burst in (0.0, 1.0, 3.0, 1e9):
        with_nack, without = (chosen(data_count, loss=loss, burst=burst, nack=nack) for nack in (True, False))
        assert with_nack.parity <= without.parity
        assert without.total <= data_count
        assert chosen(data_count, loss=loss, burst=burst, nack=False, max_share=0.25).total <= data_count / 3


def test_the_head_gets_its_own_where_the_rest_leaves_it_at_risk() -> None:
    # 20 packets with 2 % of loss and no time for a NACK: parity over all is enough, whatever the head.
    assert chosen(20, loss=0.02, nack=False).head_parity == 0
    # In bursts it is not: the head has a copy at the other end of the frame, but no second one beside the first.
    assert chosen(8, loss=0.05, burst=5.0, nack=False) == Protection(4, 1)
    assert chosen(8, loss=0.05, burst=5.0) == Protection(0, 1)
    # A burst is longer than the frame: the copy would be lost with it.
    assert chosen(8, loss=0.05, burst=20.0, nack=False).head_parity == 0
    # A frame that is all head has no more to lose than itself.
    assert chosen(8, loss=0.05, burst=5.0, nack=False, head_count=8).head_parity == 0


def test_residual_is_what_a_simulated_channel_shows() -> None:
    rng = random.Random(4)
    loss, burst, total = 0.1, 4.0, 10
    stay, enter = 1 - 1 / burst, loss / (burst * (1 - loss))
    counts = [0] * 5
    rounds, losing = 20000, False
    for _ in range(rounds):
        lost = 0
        for _ in range(total):
            losing = rng.random() < (stay if losing else enter)
            lost += losing
        for parity in range(5):
            counts[parity] += lost > parity
    for parity in range(5):
        expected = residual(total - parity, parity, loss=loss, burst=burst)
        assert counts[parity] / rounds == pytest.approx(expected, abs=0.012)


def test_independent_losses_are_binomial() -> None:
    assert residual(3, 1, loss=0.05, burst=1.0) == pytest.approx(1 - 0.95**4 - 4 * 0.05 * 0.95**3)
