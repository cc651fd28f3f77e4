"""All bar codes in a photograph: rough places, better guesses, and a CRC that decides."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from bench.latency.camera.grid import Grey, best_fits, first_guesses, rectified
from bench.latency.camera.strips import Place, possible_strips
from latentcast import barcode
from latentcast.barcode import BarCode, Layout

_PROMISING: Final = 0.25
"""Fits below that are textures; strips that can be read reach 0.4 and more."""
_MAX_PLACES: Final = 60
"""Rough places that are looked at; a strip is among the first dozen or not at all."""
_SAME_PIXELS: Final = 6.0


@dataclass(frozen=True, slots=True)
class FoundCode:
    """A bar code, and where its cells lie in the photograph."""

    code: BarCode
    left: tuple[float, float]
    """Left end of the strip's middle line, pixels."""
    right: tuple[float, float]
    guess: NDArray[np.float64]
    """As `bench.latency.camera.grid` has it: a first guess for the next photograph of the same scene."""
    layout: Layout

    @property
    def cell_pixels(self) -> float:
        """Mean length of a cell in the photograph."""
        return float(np.hypot(self.right[0] - self.left[0], self.right[1] - self.left[1])) / self.layout.cells


def find_codes(
    photograph: NDArray[np.uint8], *, known: Sequence[FoundCode] = (), wanted: int = 2, search: bool = True
) -> list[FoundCode]:
    """Bar codes of a grey photograph (H, W), the largest cells first.

    known: what the photograph before showed; the camera has hardly moved since, so these places are tried first.
    wanted: no more are looked for. search: whether to look elsewhere too, which takes seconds. None of them is found
    twice, and none without its CRC.
    """
    grey = photograph.astype(np.float32)
    found: list[FoundCode] = []
    for old in known:
        _keep(found, _read_at(grey, old.guess[None], old.layout))
    if search and len(found) < wanted:
        tried: list[tuple[Place, Layout]] = []
        for place in possible_strips(grey):
            for layout in (barcode.WIDE, barcode.NARROW):
                if not _plausible(place, layout) or _seen(place, layout, tried) or _inside(place, found):
                    continue
                tried.append((place, layout))
                _keep(found, _read_at(grey, first_guesses(place.left, place.right, layout), layout))
            if len(found) >= wanted or len(tried) >= _MAX_PLACES:
                break
    return sorted(found, key=lambda code: -code.cell_pixels)


def _read_at(grey: Grey, guesses: NDArray[np.float64], layout: Layout) -> FoundCode | None:
    for fit in best_fits(grey, guesses, layout):
        if fit.score < _PROMISING:
            return None
        code = barcode.read(rectified(grey, fit.guess, layout))
        if code is not None:
            guess = fit.guess
            return FoundCode(code, (guess[0], guess[1]), (guess[2], guess[3]), guess, layout)
    return None


def _keep(found: list[FoundCode], new: FoundCode | None) -> None:
    if new is not None and all(_distance(new.left, old.left) > _SAME_PIXELS for old in found):
        found.append(new)


def _plausible(place: Place, layout: Layout) -> bool:
    """Whether it has about the shape of the layout: the detector's windows add up to two rows to its height."""
    rows = place.height / (place.length / layout.cells)
    return 0.5 * layout.rows <= rows <= 1.6 * layout.rows + 2


def _seen(place: Place, layout: Layout, tried: Sequence[tuple[Place, Layout]]) -> bool:
    cell = place.length / layout.cells
    return any(
        other is layout
        and _distance(place.left, old.left) < 0.6 * cell
        and _distance(place.right, old.right) < 0.6 * cell
        for old, other in tried
    )


def _inside(place: Place, found: Sequence[FoundCode]) -> bool:
    middle = (place.left[0] + place.right[0]) / 2, (place.left[1] + place.right[1]) / 2
    return any(
        _distance(middle, ((code.left[0] + code.right[0]) / 2, (code.left[1] + code.right[1]) / 2))
        < 4 * code.cell_pixels
        for code in found
    )


def _distance(one: tuple[float, float], other: tuple[float, float]) -> float:
    return float(np.hypot(one[0] - other[0], one[1] - other[1]))
