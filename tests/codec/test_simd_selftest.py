"""Which processors the bfloat16 kernels run on, the check of what they compute, and what happens where they cannot."""

import logging
import platform
from collections.abc import Iterator

import pytest
from llvmlite import binding

from codec.nano.simd import isa, selftest
from codec.nano.simd.isa import choose, missing
from codec.nano.simd.selftest import EXPECTED, result_hash, unavailable
from tests.codec.simd_samples import ISA_NAMES, best_kernels, kernels_for

AVX2 = {"avx2": True, "fma": True}
AVX512 = AVX2 | {"avx512f": True, "avx512bw": True, "avx512dq": True, "avx512vl": True}


@pytest.fixture(autouse=True)
def asked_anew() -> Iterator[None]:
    unavailable.cache_clear()
    yield
    unavailable.cache_clear()


@pytest.mark.parametrize("name", ISA_NAMES)
def test_every_instruction_set_computes_the_known_result(name: str) -> None:
    assert result_hash(kernels_for(name)) == EXPECTED


def test_available_where_the_kernels_compute_the_known_result() -> None:
    best_kernels()
    assert unavailable() is None


def test_a_wrong_result_is_a_reason_and_a_warning(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    best_kernels()
    monkeypatch.setattr(selftest, "EXPECTED", "0" * 32)
    with caplog.at_level(logging.WARNING):
        assert unavailable() == "the bfloat16 kernels fail their self-test on this machine"
    assert EXPECTED in caplog.text


def test_kernels_that_do_not_compile_are_a_reason_and_a_warning(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    best_kernels()

    def fail() -> None:
        raise RuntimeError("LLVM says no")

    monkeypatch.setattr(selftest, "kernels", fail)
    with caplog.at_level(logging.WARNING):
        assert unavailable() == "the bfloat16 kernels do not compile on this machine"
    assert "LLVM says no" in caplog.text


def test_an_old_processor_is_a_reason_without_a_warning(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    monkeypatch.setattr(selftest, "features", lambda: {"sse2": True, "avx2": True})
    reason = unavailable()
    assert reason is not None
    assert "AVX2 and FMA" in reason
    assert not caplog.records


def test_what_llvm_cannot_name_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> dict[str, bool]:
        raise RuntimeError

    monkeypatch.setattr(binding, "get_host_cpu_features", fail)
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    assert missing(isa.features()) is not None


def test_other_architectures_are_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "arm64")
    assert "arm64" in str(missing(AVX2))


@pytest.mark.parametrize(
    ("found", "name", "dot_product"),
    [
        (AVX512 | {"avx512bf16": True}, "AVX512_BF16", True),
        (AVX512, "AVX-512", False),
        (AVX2, "AVX2", False),
        (AVX2 | {"avx512bf16": True}, "AVX2", False),
    ],
)
def test_the_best_of_what_the_processor_has(found: dict[str, bool], name: str, dot_product: bool) -> None:
    chosen = choose(found, cpu="x86-64-v3")
    assert (chosen.name, chosen.dot_product) == (name, dot_product)
    for outputs in (32, 64, 96, 128, 192):
        vectors = chosen.vectors_for(outputs)
        assert outputs % (16 * vectors) == 0
        assert vectors in chosen.tiles
