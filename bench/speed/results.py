"""What one run of the benchmark found."""

from collections.abc import Sequence
from dataclasses import dataclass

from bench.speed.candidates import Candidate
from bench.speed.entropy import EntropyPart
from bench.speed.growth import GrowthPoint
from bench.speed.roofline import Ceilings, NetworkCost
from bench.speed.stages import Speed, Stages


@dataclass(frozen=True, slots=True)
class EngineResult:
    """One engine. size: of the modules' frames, and of the stages."""

    candidate: Candidate
    stages: Stages
    networks: Sequence[NetworkCost]
    growth: Sequence[GrowthPoint]


@dataclass(frozen=True, slots=True)
class Results:
    """speed, entropy: of `nano` as it runs by default; None and empty where it was left out."""

    qp: int
    speed: Speed | None
    entropy: Sequence[EntropyPart]
    ceilings: Ceilings
    engines: Sequence[EngineResult]
    missing: Sequence[Candidate]
