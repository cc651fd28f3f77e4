"""Which arithmetic an end computes with, as both ends tell each other in the hello, and what follows from a difference.

A fingerprint is equal exactly where two ends compute the same, to the last bit (`codec.drift`,
`codec.dcvc_rt.fingerprint`). `nano` needs no equality: symbols decode the same everywhere and only states come apart,
so an intra frame now and then is enough. `dcvc-rt` reads its scales out of the whole network: where two ends differ,
nothing decodes.
"""

from dataclasses import dataclass
from typing import Literal

from codec.drift import FLOAT32_INTRA_FRAMES, HALF_INTRA_FRAMES

Precision = Literal["float32", "float16", "bfloat16"]


@dataclass(frozen=True, slots=True)
class Arithmetic:
    """fingerprint: 32 hexadecimal digits. precision: of the network."""

    fingerprint: str
    precision: Precision


@dataclass(frozen=True, slots=True)
class AskArithmetic:
    """First job of an encoder or decoder process, which answers with its `Arithmetic`."""


def intra_interval(ours: Arithmetic, theirs: Arithmetic) -> int | None:
    """After how many frames of `nano` an intra frame is due between two ends; None where they compute the same."""
    if ours == theirs:
        return None
    return FLOAT32_INTRA_FRAMES if ours.precision == theirs.precision == "float32" else HALF_INTRA_FRAMES
