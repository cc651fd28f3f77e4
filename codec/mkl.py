"""How MKL computes, which torch multiplies matrices and takes exponentials with on x86: everywhere alike.

The entropy tables of `dcvc-rt` are made with float32 exponentials, its symbols with float32 products, so their last bit
decides what a file says. On processors of Intel's MKL has ways of its own (AVX-512), which round otherwise than those
it takes on other makers' and than the golden vectors; there it is told to take the AVX2 ones, in an order that does
not depend on memory addresses. The measurement is in docs/decisions/0009-mkl.md.
"""

import os
from pathlib import Path

_VARIABLE = "MKL_CBWR"
"""Conditional numerical reproducibility: read once, when MKL is first used."""
_WAY = "AVX2,STRICT"
_INTEL = "GenuineIntel"


def compute_alike(cpuinfo: Path = Path("/proc/cpuinfo")) -> None:
    """Choose MKL's way for this process and its children, unless the user has. To be called before torch computes."""
    text = _read(cpuinfo)
    if _INTEL in text and " avx2 " in text:
        os.environ.setdefault(_VARIABLE, _WAY)


def made_by_intel(cpuinfo: Path = Path("/proc/cpuinfo")) -> bool:
    """Whether this processor is one of Intel's, as far as Linux says."""
    return _INTEL in _read(cpuinfo)


def _read(cpuinfo: Path) -> str:
    try:
        return cpuinfo.read_text(errors="replace")
    except OSError:
        return ""
