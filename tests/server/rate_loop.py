"""A rate controller in closed loop with recorded frame sizes, and what its frames were."""

import math
from dataclasses import dataclass, field

import numpy as np

from bench.network.recording import Recording
from codec.layout import Layout
from server.rate_controller import RateController

FPS = 30.0
# As packets: 8 bytes of prologue, and 40 of header for each 1108 of payload, of which slices fill about 1040.
_PROLOGUE_BYTES, _HEADER_BYTES, _FILLED_BYTES = 8, 40, 1040


@dataclass
class RateLoop:
    """Plays parts of a recording through a controller; every list has one entry a frame.

    twice: frames may be coded again.
    """

    parts: tuple[tuple[str, int], ...]
    size: tuple[int, int] = (480, 272)
    twice: bool = False
    sizes: list[int] = field(default_factory=list)
    budgets: list[float] = field(default_factory=list)
    shares: list[float] = field(default_factory=list)
    """Bytes that the target gives a frame."""
    bases: list[int] = field(default_factory=list)
    second_tries: int = 0

    def __post_init__(self) -> None:
        width, height = self.size
        self._programme = Recording.load(width=width, height=height).play(*self.parts)
        self.controller = RateController(Layout(width, height).positions)
        self._held: float | None = None

    def run(self, frames: int, *, target_bps: float, intra_first: bool = False) -> "RateLoop":
        """The next frames of the show. The very first is intra in any case."""
        for number in range(frames):
            intra = not self.sizes or (intra_first and number == 0)
            choice = self.controller.choose(target_bps=target_bps, fps=FPS)
            qp, size = self._code(choice.intra_qp if intra else choice.inter_qp, intra)
            if self.twice:
                again = self.controller.again(choice, size_bytes=size, qp=qp, intra=intra)
                if again is not None:
                    choice = again
                    qp, size = self._code(choice.intra_qp if intra else choice.inter_qp, intra)
                    self.second_tries += 1
            self.controller.on_coded(choice, size_bytes=size, qp=qp, intra=intra, target_bps=target_bps, fps=FPS)
            self._held = self._programme.worth(len(self.sizes), held=self._held, qp=qp, intra=intra)
            self.sizes.append(size)
            self.budgets.append(choice.intra_budget_bytes if intra else choice.budget_bytes)
            self.shares.append(target_bps / 8 / FPS)
            self.bases.append(choice.base_qp)
        return self

    def _code(self, qp: int, intra: bool) -> tuple[int, int]:
        coded, _ = self._programme.frame_bytes(len(self.sizes), qp=qp, intra=intra, held=self._held)
        return qp, coded + _PROLOGUE_BYTES + _HEADER_BYTES * math.ceil(coded / _FILLED_BYTES)

    def over_budget(self, first: int, last: int | None = None) -> list[float]:
        """Size of each frame by its budget."""
        return [size / budget for size, budget in zip(self.sizes[first:last], self.budgets[first:last], strict=True)]

    def seconds_within(self, share: float, first: int) -> float:
        """Part of all windows of a second whose bytes are within this share of the target."""
        window = np.ones(round(FPS))
        sent = np.convolve(self.sizes[first:], window, "valid") / np.convolve(self.shares[first:], window, "valid")
        return float(np.mean(np.abs(sent - 1) <= share))

    def rate(self, first: int, last: int | None = None) -> float:
        """Bytes by the bytes of the target."""
        return sum(self.sizes[first:last]) / sum(self.shares[first:last])

    def base_deviation(self, first: int, seconds: float = 2.0) -> float:
        """Median over windows of the standard deviation of the base QP: what the eye could see flicker."""
        length = round(seconds * FPS)
        windows = range(first, len(self.bases) - length, length)
        return float(np.median([np.std(self.bases[at : at + length]) for at in windows]))
