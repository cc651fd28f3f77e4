"""Parity and NACKs together, over lossy paths: how many frames come out whole, how late, and at what cost."""

import pytest

from tests.transport.repair_loop import Figures, RepairLoop


def run(
    *, loss: float, packets: int, burst: float = 0.0, rtt_s: float = 0.04, nack: bool = True, jitter_s: float = 0.0
) -> tuple[Figures, float]:
    """Figures of 30 s, and the share of frames that came out intact; the worst of two seeds."""
    runs = [
        RepairLoop(loss=loss, packets=packets, burst=burst, rtt_s=rtt_s, nack=nack, jitter_s=jitter_s, seed=seed).run(
            30
        )
        for seed in (1, 2)
    ]
    figures = min(runs, key=lambda figures: figures.intact)
    return figures, figures.intact / (25 * 30)


@pytest.mark.parametrize("packets", [1, 3, 8])
def test_without_loss_there_is_no_repair(packets: int) -> None:
    figures, intact = run(loss=0.0, packets=packets)
    assert (intact, figures.parity_packets, figures.resent_packets) == (1.0, 0, 0)


def test_reordering_alone_is_hardly_taken_for_loss() -> None:
    figures, intact = run(loss=0.0, packets=8, jitter_s=0.01)
    assert intact == 1.0
    assert figures.resent_packets < 0.02 * figures.data_packets


@pytest.mark.parametrize("packets", [3, 8])
def test_one_per_cent(packets: int) -> None:
    figures, intact = run(loss=0.01, packets=packets)
    assert intact >= 0.99
    assert figures.parity_packets < 0.3 * figures.data_packets
    assert figures.asked_for < 0.04 * figures.frames


@pytest.mark.parametrize("packets", [1, 3, 8])
def test_five_per_cent_is_mended_mostly_without_waiting(packets: int) -> None:
    figures, intact = run(loss=0.05, rtt_s=0.06, packets=packets)
    assert intact >= 0.97
    assert figures.asked_for < 0.04 * figures.frames
    assert figures.delay_s(0.95) < RepairLoop(loss=0.0, rtt_s=0.06, packets=packets).run(10).delay_s(0.95) + 0.03


def test_five_per_cent_with_no_time_for_a_nack() -> None:
    _, intact = run(loss=0.05, packets=8, nack=False)
    assert intact >= 0.98


@pytest.mark.parametrize("packets", [3, 8])
def test_bursts(packets: int) -> None:
    figures, intact = run(loss=0.1, burst=5.0, packets=packets)
    gone = 1 - (figures.intact + figures.damaged - figures.late) / (25 * 30)
    assert gone <= 0.04
    assert intact >= 0.93
