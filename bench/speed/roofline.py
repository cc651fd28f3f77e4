"""How near a module comes to what the machine can do.

    limit = max(multiply-adds / matrix rate, least bytes / copy bandwidth)
    share of the limit = limit / measured time

which is achieved rate over min(matrix rate, bandwidth * intensity), the roofline of Williams, Waterman and Patterson
(CACM 52(4), 2009), and stays defined where a module multiplies nothing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Literal

FrameKind = Literal["P", "I"]
SideName = Literal["encode", "decode"]

OUTSIDE = "outside the modules"
"""The row of what no module does."""

_SPLIT = ("feature_extractor",)
"""Modules whose parts run at different times, and which the complexity tables list apart."""


def module_of(key: str) -> str:
    """The module that a parameter or submodule belongs to, by its dotted name below the network."""
    head, _, rest = key.partition(".")
    return f"{head}.{rest.partition('.')[0]}" if head in _SPLIT and rest else head


@dataclass(frozen=True, slots=True)
class Work:
    """What a module has to do for one frame.

    least_bytes: its weights, inputs and outputs, each once: what must move however it is computed. moved_bytes: the
    same for every operation that the engine runs in it, summed.
    """

    macs: int = 0
    least_bytes: int = 0
    moved_bytes: int = 0

    def __add__(self, other: "Work") -> "Work":
        return Work(self.macs + other.macs, self.least_bytes + other.least_bytes, self.moved_bytes + other.moved_bytes)


@dataclass(frozen=True, slots=True)
class ModuleCost:
    """One module in one frame. ms: median."""

    name: str
    ms: float
    work: Work


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame as it was timed: the whole network, and its modules in the order in which they run."""

    ms: float
    modules_ms: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class NetworkCost:
    """The network of one frame, as its modules; the last of them is `OUTSIDE`."""

    side: SideName
    kind: FrameKind
    modules: tuple[ModuleCost, ...]

    @property
    def ms(self) -> float:
        """Sum of the modules' medians."""
        return sum(module.ms for module in self.modules)

    @property
    def total(self) -> ModuleCost:
        """The whole network as if it were one module; its least bytes are the sum over the modules."""
        return ModuleCost("total", self.ms, sum((module.work for module in self.modules), Work()))


@dataclass(frozen=True, slots=True)
class Ceilings:
    """What was measured of the machine, one thread.

    copy_gb_s: 1e9 bytes a second, read plus written. gmac_s: 1e9 multiply-adds a second of a matrix product, by
    precision; one that was not measured is absent. how: by what, in words.
    """

    copy_gb_s: float
    gmac_s: Mapping[str, float]
    how: Mapping[str, str]

    def limit_ms(self, work: Work, precision: str) -> float | None:
        """The least time that `work` takes here; None where the matrix rate of its precision is not known."""
        memory_ms = work.least_bytes / self.copy_gb_s / 1e6
        if not work.macs:
            return memory_ms
        if precision not in self.gmac_s:
            return None
        return max(work.macs / self.gmac_s[precision] / 1e6, memory_ms)

    def share(self, cost: ModuleCost, precision: str) -> float | None:
        """Limit over time, 0..1 unless the ceilings were measured too low; None where there is no limit."""
        limit = self.limit_ms(cost.work, precision)
        return None if limit is None or not limit or cost.ms <= 0 else limit / cost.ms


def network_cost(side: SideName, kind: FrameKind, frames: Sequence[Frame], work: Mapping[str, Work]) -> NetworkCost:
    """Modules in the order of the first frame, each with its median.

    What is outside them is a median too, of what is left of every frame: a machine that does something else for a while
    lengthens a frame by more than its median module.
    """
    names = [name for name in frames[0].modules_ms if name != OUTSIDE]
    modules = [
        ModuleCost(name, median(frame.modules_ms[name] for frame in frames), work.get(name, Work())) for name in names
    ]
    outside = median(frame.ms - sum(frame.modules_ms[name] for name in names) for frame in frames)
    modules.append(ModuleCost(OUTSIDE, max(0.0, outside), work.get(OUTSIDE, Work())))
    return NetworkCost(side, kind, tuple(modules))
