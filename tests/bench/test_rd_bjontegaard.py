"""Bjøntegaard figures: known values, exact cases, and when there is no figure."""

import numpy as np
import pytest

from bench.rd.bjontegaard import Curve, Delta, bd_quality, bd_rate, pchip_integral, pchip_slopes

RATES, QUALITIES = (486.32, 943.97, 1849.17, 3748.15), (34.11, 36.90, 39.60, 42.20)
ANCHOR = Curve(RATES, QUALITIES)


def value(delta: Delta) -> float:
    assert delta.value is not None, delta.reason
    return delta.value


def test_a_curve_against_itself_is_nothing() -> None:
    assert value(bd_rate(ANCHOR, ANCHOR)) == pytest.approx(0, abs=1e-12)
    assert value(bd_quality(ANCHOR, ANCHOR)) == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize(("factor", "percent"), [(0.9, -10.0), (2.0, 100.0)])
def test_a_constant_factor_of_the_rate_is_the_bd_rate(factor: float, percent: float) -> None:
    scaled = Curve([factor * rate for rate in RATES], QUALITIES)
    assert value(bd_rate(ANCHOR, scaled)) == pytest.approx(percent)


def test_a_constant_gain_is_the_bd_quality_and_saves_rate() -> None:
    better = Curve(RATES, [quality + 0.75 for quality in QUALITIES])
    assert value(bd_quality(ANCHOR, better)) == pytest.approx(0.75)
    assert value(bd_rate(ANCHOR, better)) < 0


def test_known_values() -> None:
    """As an independent PCHIP (SciPy 1.x, PchipInterpolator.integrate) gives them."""
    four = Curve((423.50, 778.43, 1512.33, 3011.18), (33.80, 36.65, 39.57, 42.30))
    assert value(bd_rate(ANCHOR, four)) == pytest.approx(-15.021538781640164)
    assert value(bd_quality(ANCHOR, four)) == pytest.approx(0.6693737088182475)
    bent = Curve((96, 130, 260, 900, 2500), (28.1, 29.9, 33.2, 37.0, 37.4))
    assert value(bd_rate(ANCHOR, bent)) == pytest.approx(-25.62141754050896)
    assert value(bd_quality(ANCHOR, bent)) == pytest.approx(-0.5506645280270647)


def test_the_interpolant_neither_overshoots_nor_loses_area() -> None:
    x, y = np.array([0, 1, 2.5, 3, 7]), np.array([1, 2, 2, 5, 4.5])
    assert pchip_slopes(x, y) == pytest.approx([1.4, 0.0, 0.0, 0.0, -0.375])
    assert pchip_integral(x, y, 0.3, 6.1) == pytest.approx(21.322706471354167)
    line = np.array([0.0, 1.0, 4.0])
    assert pchip_integral(line, 3 * line, 0.5, 3.5) == pytest.approx(1.5 * (3.5**2 - 0.5**2))


def test_the_order_of_the_points_does_not_matter() -> None:
    shuffled = Curve(RATES[::-1], QUALITIES[::-1])
    assert value(bd_rate(ANCHOR, shuffled)) == pytest.approx(0, abs=1e-12)


def test_where_the_curves_were_compared_is_said() -> None:
    delta = bd_rate(ANCHOR, Curve(RATES, [quality + 1 for quality in QUALITIES]))
    assert delta.overlap == pytest.approx((35.11, 42.20))
    assert delta.share == pytest.approx((42.20 - 35.11) / (42.20 - 34.11))


@pytest.mark.parametrize(
    ("curve", "reason"),
    [
        (Curve(RATES[:3], QUALITIES[:3]), "has 3 points"),
        (Curve(RATES, (34.0, 36.0, 35.9, 37.0)), "does not get better"),
        (Curve((100, 100, 200, 300), QUALITIES), "does not get better"),
        (Curve((0, 100, 200, 300), QUALITIES), "without a rate"),
        (Curve(RATES, (20, 22, 24, 26)), "no quality in common"),
        (Curve(RATES, (28, 30, 33, 35)), "too little to compare"),
    ],
)
def test_no_figure_but_a_reason(curve: Curve, reason: str) -> None:
    delta = bd_rate(ANCHOR, curve)
    assert delta.value is None
    assert reason in delta.reason
