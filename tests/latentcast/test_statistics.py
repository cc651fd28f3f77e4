"""Percentiles against their definition, counted out."""

from hypothesis import given
from hypothesis import strategies as st

from latentcast.statistics import Window, percentile, percentiles

values = st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=60)


@given(values, st.integers(1, 100))
def test_a_percentile_is_the_least_value_that_enough_values_do_not_exceed(numbers: list[float], percent: int) -> None:
    found = percentile(sorted(numbers), percent / 100)
    reaching = [v for v in numbers if sum(w <= v for w in numbers) * 100 >= percent * len(numbers)]
    assert found == min(reaching)


def test_the_usual_percentiles_of_a_hundred_values() -> None:
    found = percentiles([float(v) for v in reversed(range(1, 101))])
    assert (found.p50, found.p95, found.p99, found.max) == (50, 95, 99, 100)


def test_nothing_measured_is_zero() -> None:
    found = percentiles([])
    assert (found.p50, found.p95, found.p99, found.max) == (0, 0, 0, 0)


def test_a_window_forgets_the_oldest() -> None:
    window = Window(3)
    for value in (100.0, 1.0, 2.0, 3.0):
        window.add(value)
    assert len(window) == 3
    assert window.percentiles().max == 3.0
