"""The rate controller in closed loop with a synthetic codec whose bytes are exp(level + slope * QP), with noise."""

import math
import random
from dataclasses import dataclass, field

import pytest

from codec.layout import MAX_QP
from codec.quality_cycle import OFFSETS
from server.rate_controller import RateController, curve

POSITIONS = 3600
FPS = 30.0


@dataclass
class Loop:
    """Frames through controller and codec; sizes and base QPs are kept."""

    slope: float = 0.07
    level: float = 5.5
    """ln bytes of an inter frame at QP 0."""
    noise: float = 0.1
    sizes: list[int] = field(default_factory=list)
    qps: list[int] = field(default_factory=list)
    """QP rows of the inter frames, without the offset of their position."""

    def __post_init__(self) -> None:
        self.controller = RateController(positions=POSITIONS)
        self._random = random.Random(5)

    def run(self, frames: int, *, target_bps: float, intra_first: bool = False, fps: float = FPS) -> None:
        for number in range(frames):
            choice = self.controller.choose(target_bps=target_bps, fps=fps)
            assert 0 <= choice.intra_qp <= MAX_QP
            base = choice.inter_qp - OFFSETS[choice.position]
            assert 0 <= base <= MAX_QP
            intra = intra_first and number == 0
            qp = choice.intra_qp if intra else choice.inter_qp
            # Positions differ in what they cost, beyond their QP.
            level = self.level + (1.6 if intra else 0.1 * (choice.position % 3))
            size = round(math.exp(level + self.slope * qp + self._random.gauss(0, self.noise)))
            self.controller.on_coded(choice, size_bytes=size, qp=qp, intra=intra, target_bps=target_bps, fps=fps)
            self.sizes.append(size)
            self.qps.append(base)

    def bps(self, first: int, last: int | None = None) -> float:
        sizes = self.sizes[first:last]
        return 8 * sum(sizes) * FPS / len(sizes)


@pytest.mark.parametrize("target_bps", [200e3, 600e3, 1.5e6])
@pytest.mark.parametrize("slope", [0.05, 0.07, 0.09])
def test_the_rate_settles_on_the_target(target_bps: float, slope: float) -> None:
    loop = Loop(slope=slope)
    loop.run(300, target_bps=target_bps, intra_first=True)
    assert loop.bps(60) == pytest.approx(target_bps, rel=0.1)


def test_a_scene_that_costs_three_times_as_much_is_paid_for_within_a_second() -> None:
    loop = Loop()
    loop.run(120, target_bps=600e3)
    loop.level += math.log(3)
    loop.run(120, target_bps=600e3)
    assert loop.bps(120, 150) < 1.25 * 600e3
    assert loop.bps(150) == pytest.approx(600e3, rel=0.1)


def test_a_fall_of_the_target_is_followed_at_once_and_a_rise_step_by_step() -> None:
    loop = Loop(noise=0.0)
    loop.run(120, target_bps=1.2e6)
    before = loop.qps[-1]
    loop.run(2, target_bps=200e3)
    assert loop.qps[120] < before - 8
    loop.run(120, target_bps=200e3)
    low = len(loop.qps)
    loop.run(60, target_bps=1.2e6)
    rises = [later - earlier for earlier, later in zip(loop.qps[low - 1 :], loop.qps[low:], strict=False)]
    assert 0 < max(rises) <= 4
    assert loop.qps[-1] == pytest.approx(before, abs=4)


def test_an_intra_frame_is_larger_than_its_share_and_paid_back() -> None:
    loop = Loop(noise=0.0)
    loop.run(120, target_bps=600e3)
    # The first one teaches what intra frames of this content cost.
    loop.run(60, target_bps=600e3, intra_first=True)
    first = len(loop.sizes)
    loop.run(60, target_bps=600e3, intra_first=True)
    share = 600e3 / 8 / FPS
    assert 2 * share < loop.sizes[first] < 8 * share
    assert loop.bps(first) == pytest.approx(600e3, rel=0.1)


@pytest.mark.parametrize(("target_bps", "level", "expected"), [(20e3, 12.0, 0), (100e6, 2.0, MAX_QP)])
def test_what_cannot_be_reached_is_met_at_the_end_of_the_scale(target_bps: float, level: float, expected: int) -> None:
    loop = Loop(level=level)
    loop.run(60, target_bps=target_bps)
    assert loop.qps[-1] == expected


def test_overspending_is_forgotten_after_a_while() -> None:
    loop = Loop(level=12.0, noise=0.0)
    loop.run(300, target_bps=100e3)
    loop.level = 4.0
    loop.run(45, target_bps=100e3)
    assert loop.bps(-15) > 0.7 * 100e3, "half a second of debt at most, whatever was overspent"


def test_extreme_sizes_and_rates_are_survived() -> None:
    controller = RateController(positions=1)
    for size in (0, 1, 1 << 22):
        choice = controller.choose(target_bps=1.0, fps=240.0)
        controller.on_coded(choice, size_bytes=size, qp=choice.inter_qp, intra=False, target_bps=1.0, fps=240.0)
        assert 0 <= choice.intra_qp <= 63
        assert 0 <= choice.inter_qp <= 71


def test_the_curve_of_the_codec_rises_and_is_zero_at_qp_32() -> None:
    values = [curve(row) for row in range(72)]
    assert values == sorted(values)
    assert curve(32) == 0.0
