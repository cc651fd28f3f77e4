"""The rate controller in closed loop with a synthetic codec whose bytes are exp(level + slope * QP), with noise."""

import math
import random
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codec.layout import INTER_QP_ROWS, MAX_QP
from server.rate_controller import AGAIN_ABOVE, Choice, RateController
from server.rate_model import CURVE, CUT_CURVE, INTRA_CURVE

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
        self.controller = RateController(POSITIONS)
        self._random = random.Random(5)

    def run(self, frames: int, *, target_bps: float, intra_first: bool = False, fps: float = FPS) -> None:
        for number in range(frames):
            choice = self.controller.choose(target_bps=target_bps, fps=fps)
            assert 0 <= choice.intra_qp <= MAX_QP
            assert 0 <= choice.inter_qp < INTER_QP_ROWS
            intra = intra_first and number == 0
            qp = choice.intra_qp if intra else choice.inter_qp
            # Positions differ in what they cost, beyond their QP.
            level = self.level + (1.6 if intra else 0.1 * (choice.position % 3))
            size = round(math.exp(level + self.slope * qp + self._random.gauss(0, self.noise)))
            self.controller.on_coded(choice, size_bytes=size, qp=qp, intra=intra, target_bps=target_bps, fps=fps)
            self.sizes.append(size)
            self.qps.append(choice.base_qp)

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
    assert 0 < max(rises) <= 5
    assert loop.qps[-1] == pytest.approx(before, abs=4)


def test_an_intra_frame_is_larger_than_its_share_and_paid_back() -> None:
    loop = Loop(noise=0.0)
    loop.run(120, target_bps=600e3)
    # The first one teaches what intra frames of this content cost.
    loop.run(60, target_bps=600e3, intra_first=True)
    first = len(loop.sizes)
    loop.run(60, target_bps=600e3, intra_first=True)
    share = 600e3 / 8 / FPS
    assert 1.8 * share < loop.sizes[first] < 4 * share
    assert loop.bps(first) == pytest.approx(600e3, rel=0.1)


@pytest.mark.parametrize(("target_bps", "level", "expected"), [(20e3, 12.0, 0), (100e6, 2.0, INTER_QP_ROWS - 2)])
def test_what_cannot_be_reached_is_met_at_the_end_of_the_scale(target_bps: float, level: float, expected: int) -> None:
    loop = Loop(level=level)
    loop.run(60, target_bps=target_bps)
    assert loop.qps[-1] == pytest.approx(expected, abs=1)


def test_overspending_is_forgotten_after_a_while() -> None:
    loop = Loop(level=12.0, noise=0.0)
    loop.run(300, target_bps=100e3)
    loop.level = 4.0
    loop.run(45, target_bps=100e3)
    assert loop.bps(-15) > 0.7 * 100e3, "half a second of debt at most, whatever was overspent"


FRAMES = st.lists(
    st.tuples(
        st.integers(0, 1 << 22),  # bytes
        st.floats(1.0, 1e9),  # target, bit/s
        st.floats(0.01, 240.0),  # frames a second
        st.integers(1, 300),  # age of the reference
        st.booleans(),  # intra
    ),
    max_size=30,
)


@given(FRAMES, st.integers(1, 10_000))
def test_whatever_comes_rows_are_rows_and_budgets_are_positive(
    frames: list[tuple[int, float, float, int, bool]], positions: int
) -> None:
    controller = RateController(positions)
    for size, target_bps, fps, age, intra in frames:
        choice = controller.choose(target_bps=target_bps, fps=fps, age=age)
        qp = choice.intra_qp if intra else choice.inter_qp
        again = controller.again(choice, size_bytes=size, qp=qp, intra=intra)
        for made in (choice, again or choice):
            assert 0 <= made.intra_qp <= MAX_QP
            assert 0 <= made.inter_qp < INTER_QP_ROWS
            assert made.budget_bytes > 0
            assert made.intra_budget_bytes > 0
        choice = again or choice
        qp = choice.intra_qp if intra else choice.inter_qp
        controller.on_coded(choice, size_bytes=size, qp=qp, intra=intra, target_bps=target_bps, fps=fps)


def test_time_at_the_highest_qp_is_not_saved_up() -> None:
    loop = Loop(level=2.0, noise=0.0)
    loop.run(300, target_bps=1e6)
    loop.level = 6.0
    loop.run(60, target_bps=1e6)
    assert max(loop.bps(first, first + 15) for first in range(305, 345)) < 1.3 * 1e6


def test_the_curves_of_the_codec_rise_and_are_zero_at_qp_32() -> None:
    for curve in (CURVE, CUT_CURVE, INTRA_CURVE):
        assert list(curve) == sorted(curve)
        assert curve[32] == 0.0


def settled(target_bps: float = 600e3) -> tuple[Loop, Choice, int]:
    """A settled loop, the next choice and what its frame should cost."""
    loop = Loop(noise=0.0)
    loop.run(120, target_bps=target_bps, intra_first=True)
    choice = loop.controller.choose(target_bps=target_bps, fps=FPS)
    return loop, choice, round(choice.budget_bytes)


def test_a_frame_far_above_its_budget_is_to_be_coded_once_more() -> None:
    loop, choice, budget = settled()
    again = loop.controller.again(choice, size_bytes=4 * budget, qp=choice.inter_qp, intra=False)
    assert again is not None
    assert again.inter_qp < choice.inter_qp - 4
    assert again.budget_bytes == choice.budget_bytes
    assert loop.controller.again(again, size_bytes=4 * budget, qp=again.inter_qp, intra=False) is None, "once"


def test_a_frame_near_its_budget_is_kept() -> None:
    loop, choice, budget = settled()
    for size in (round(0.5 * budget), budget, round(0.95 * AGAIN_ABOVE * budget)):
        assert loop.controller.again(choice, size_bytes=size, qp=choice.inter_qp, intra=False) is None


def test_content_that_has_become_easy_is_coded_better_at_once() -> None:
    loop, choice, budget = settled()
    again = loop.controller.again(choice, size_bytes=budget // 5, qp=choice.inter_qp, intra=False)
    assert again is not None
    assert again.inter_qp > choice.inter_qp


def test_at_the_lowest_qp_there_is_no_second_try() -> None:
    loop = Loop(level=12.0)
    loop.run(60, target_bps=100e3)
    choice = loop.controller.choose(target_bps=100e3, fps=FPS)
    assert choice.inter_qp == 0
    assert loop.controller.again(choice, size_bytes=100_000, qp=0, intra=False) is None


def test_an_intra_frame_is_coded_again_within_its_own_rows() -> None:
    loop, choice, _ = settled()
    above = loop.controller.again(
        choice, size_bytes=round(3 * choice.intra_budget_bytes), qp=choice.intra_qp, intra=True
    )
    below = loop.controller.again(choice, size_bytes=40, qp=choice.intra_qp, intra=True)
    assert above is not None
    assert above.intra_qp < choice.intra_qp
    assert below is None or choice.intra_qp < below.intra_qp <= MAX_QP


def test_an_old_reference_costs_quality_once_that_is_learnt() -> None:
    loop = Loop(noise=0.0)
    loop.run(120, target_bps=600e3)
    for _ in range(40):
        for age in (1, 4):
            choice = loop.controller.choose(target_bps=600e3, fps=FPS, age=age)
            level = loop.level + (0.5 if age == 4 else 0.0)
            size = round(math.exp(level + loop.slope * choice.inter_qp))
            loop.controller.on_coded(
                choice, size_bytes=size, qp=choice.inter_qp, intra=False, target_bps=600e3, fps=FPS
            )
    new, old = (loop.controller.choose(target_bps=600e3, fps=FPS, age=age) for age in (1, 4))
    assert old.inter_qp < new.inter_qp - 1


def test_a_smaller_picture_starts_near_its_budget() -> None:
    loop = Loop(noise=0.0)
    loop.run(120, target_bps=600e3)
    before = loop.controller.choose(target_bps=600e3, fps=FPS)
    loop.controller.resize(POSITIONS // 4)
    after = loop.controller.choose(target_bps=600e3, fps=FPS)
    assert after.inter_qp > before.inter_qp + 3
    assert after.intra_qp > before.intra_qp
