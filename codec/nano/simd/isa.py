"""What the processor has, and how the kernels use it."""

import platform
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

from llvmlite import binding

# Keeps LLVM from splitting vectors in two on processors whose default is 256 bits.
_WIDE = 'nounwind "prefer-vector-width"="512" "min-legal-vector-width"="512"'
_AVX512 = ("avx512f", "avx512bw", "avx512dq", "avx512vl")
_AVX2 = ("avx2", "fma")


@dataclass(frozen=True)
class Isa:
    """dot_product: VDPBF16PS, otherwise two float32 multiply-adds give the same bits at half the speed.

    vectors: how many vectors of 16 outputs a product computes at a time, best first; tiles: how many positions, by
    that, as measured: the most that leaves registers for weights, and a divisor of the usual widths. cpu and features
    are LLVM's names; attributes are those of every function.
    """

    name: str
    cpu: str
    features: str
    dot_product: bool
    attributes: str
    vectors: tuple[int, ...]
    tiles: Mapping[int, int]

    def vectors_for(self, outputs: int) -> int:
        """For a layer of so many outputs, a multiple of 32."""
        return next(v for v in self.vectors if outputs % (16 * v) == 0)


def features() -> dict[str, bool]:
    """LLVM's names of the processor's instruction sets; empty where LLVM cannot tell."""
    try:
        return dict(binding.get_host_cpu_features())
    except RuntimeError:
        return {}


def missing(found: Mapping[str, bool]) -> str | None:
    """Why the kernels cannot run on a processor with these features, or None where they can."""
    if platform.machine().lower() not in {"x86_64", "amd64"}:
        return f"the bfloat16 kernels are for x86-64, not {platform.machine()}"
    if not all(found.get(name) for name in _AVX2):
        return "the processor has no AVX2 and FMA, which the bfloat16 kernels need"
    return None


def choose(found: Mapping[str, bool], *, cpu: str) -> Isa:
    """The best way to run the kernels with these features, for which `missing` is None."""
    listed = ",".join(f"{'+' if has else '-'}{name}" for name, has in sorted(found.items()))
    if all(found.get(name) for name in _AVX512):
        dot_product = bool(found.get("avx512bf16"))
        name = "AVX512_BF16" if dot_product else "AVX-512"
        return Isa(name, cpu, listed, dot_product, _WIDE, (4, 3, 2), {2: 10, 3: 5, 4: 5})
    return Isa("AVX2", cpu, listed, False, "nounwind", (2,), {2: 2, 3: 2, 4: 1})


@cache
def host() -> Isa:
    """For the processor this runs on. Raises RuntimeError where the kernels cannot run."""
    found = features()
    reason = missing(found)
    if reason is not None:
        raise RuntimeError(reason)
    return choose(found, cpu=binding.get_host_cpu_name())
