"""The arithmetic of `bench speed`: limits, shares, growth, and what is left outside the modules."""

import pytest

from bench.speed.ceilings import measure_ceilings
from bench.speed.growth import exponent
from bench.speed.roofline import OUTSIDE, Ceilings, Frame, ModuleCost, Work, module_of, network_cost

CEILINGS = Ceilings(copy_gb_s=10.0, gmac_s={"float32": 50.0}, how={})


def test_the_slower_of_the_two_ceilings_limits() -> None:
    # 1 GMAC at 50 GMAC/s is 20 ms, 100 MB at 10 GB/s is 10 ms.
    assert CEILINGS.limit_ms(Work(macs=10**9, least_bytes=10**8), "float32") == pytest.approx(20)
    assert CEILINGS.limit_ms(Work(macs=10**8, least_bytes=10**8), "float32") == pytest.approx(10)


def test_the_share_is_the_achieved_rate_over_the_roofline() -> None:
    work = Work(macs=4 * 10**8, least_bytes=10**8)
    cost = ModuleCost("decoder", 16.0, work)
    intensity = work.macs / work.least_bytes
    roof_gmac_s = min(50.0, 10.0 * intensity)
    achieved_gmac_s = work.macs / cost.ms / 1e6
    assert CEILINGS.share(cost, "float32") == pytest.approx(achieved_gmac_s / roof_gmac_s)


def test_bytes_that_an_engine_moves_needlessly_do_not_excuse_it() -> None:
    lean, wasteful = Work(10**9, 10**7, 10**7), Work(10**9, 10**7, 10**9)
    assert CEILINGS.limit_ms(lean, "float32") == CEILINGS.limit_ms(wasteful, "float32")


def test_an_unknown_matrix_rate_gives_no_limit_but_memory_still_does() -> None:
    assert CEILINGS.limit_ms(Work(macs=1, least_bytes=1), "bfloat16") is None
    assert CEILINGS.share(ModuleCost("x", 1.0, Work(macs=1)), "bfloat16") is None
    assert CEILINGS.limit_ms(Work(least_bytes=10**7), "bfloat16") == pytest.approx(1)
    assert CEILINGS.share(ModuleCost(OUTSIDE, 1.0, Work()), "float32") is None


def test_interruptions_change_no_median_and_are_not_taken_for_the_rest() -> None:
    calm = Frame(10.0, {"a": 6.0, "b": 3.0})
    frames = [calm, Frame(90.0, {"a": 86.0, "b": 3.0}), Frame(50.0, {"a": 6.0, "b": 43.0})]
    cost = network_cost("encode", "P", frames, {"a": Work(5, 6, 7), OUTSIDE: Work(0, 0, 2)})
    assert [(module.name, module.ms) for module in cost.modules] == [("a", 6.0), ("b", 3.0), (OUTSIDE, 1.0)]
    assert cost.ms == 10.0
    assert cost.total.work == Work(5, 6, 9)


def test_parameters_belong_to_their_top_module_but_for_the_extractor_of_two() -> None:
    assert module_of("encoder.conv2.0.dc.0.bias") == "encoder"
    assert module_of("feature_adaptor_p.weight") == "feature_adaptor_p"
    assert module_of("feature_extractor.conv2.0.ffn.0.weight") == "feature_extractor.conv2"
    assert module_of("feature_extractor") == "feature_extractor"


@pytest.mark.parametrize("power", [0.5, 1.0, 2.0])
def test_the_exponent_of_a_power_law_is_found(power: float) -> None:
    assert exponent([(x, 7 * x**power) for x in (0.02, 0.1, 0.9)]) == pytest.approx(power)
    assert exponent([(0.5, 3.0)]) is None


def test_ceilings_are_measured_and_the_environment_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    monkeypatch.delenv("MKL_NUM_THREADS", raising=False)
    ceilings = measure_ceilings(copy_bytes=1 << 22, sides=(96,))
    assert ceilings.copy_gb_s > 0
    assert ceilings.gmac_s["float32"] > 0
    assert all(rate >= ceilings.gmac_s["float32"] for rate in ceilings.gmac_s.values())
    assert set(ceilings.how) == {"copy", *ceilings.gmac_s}
    assert os.environ["OMP_NUM_THREADS"] == "3"
    assert "MKL_NUM_THREADS" not in os.environ
