"""MKL's way is chosen where it has ways of its own, and left alone where it has not, or where the user has chosen."""

import os
from pathlib import Path

import pytest

from codec.mkl import compute_alike, made_by_intel

INTEL = "vendor_id\t: GenuineIntel\nflags\t\t: fpu sse2 avx avx2 avx512f\n"
AMD = INTEL.replace("GenuineIntel", "AuthenticAMD")
OLD = INTEL.replace(" avx2", "")


@pytest.fixture
def cpuinfo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MKL_CBWR", "")
    monkeypatch.delenv("MKL_CBWR")
    return tmp_path / "cpuinfo"


@pytest.mark.parametrize(("text", "way"), [(INTEL, "AVX2,STRICT"), (AMD, None), (OLD, None), ("", None)])
def test_only_intels_own_way_is_changed(cpuinfo: Path, text: str, way: str | None) -> None:
    cpuinfo.write_text(text)
    compute_alike(cpuinfo)
    assert os.environ.get("MKL_CBWR") == way
    assert made_by_intel(cpuinfo) == ("GenuineIntel" in text)


def test_where_linux_does_not_say_nothing_is_changed(cpuinfo: Path) -> None:
    compute_alike(cpuinfo)
    assert "MKL_CBWR" not in os.environ


def test_what_the_user_has_chosen_stays(cpuinfo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MKL_CBWR", "COMPATIBLE")
    cpuinfo.write_text(INTEL)
    compute_alike(cpuinfo)
    assert os.environ["MKL_CBWR"] == "COMPATIBLE"
