"""The delay from glass to glass: in one photograph the newer bar code is the source's, the older one the viewer's."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from bench.latency.camera.finder import FoundCode, find_codes
from bench.latency.schema import Camera, NotRun
from bench.latency.spread import median_interval
from latentcast.statistics import percentiles

MAX_DELAY_MS = 10_000.0
"""Two bar codes further apart are of different runs: one of the windows stands still."""
MAX_VAIN_SEARCHES = 12
"""Photographs searched all over without finding both bar codes, at several seconds each; after so many only the places
that are known are looked at. Who films two windows has them in most pictures, or in none."""


@dataclass(slots=True)
class Loop:
    """What the photographs showed."""

    images: int = 0
    codes: list[int] = field(default_factory=lambda: [0, 0, 0])
    """How many photographs showed no, one or two bar codes."""
    far_apart: int = 0
    delays_ms: list[float] = field(default_factory=list)
    cell_pixels: list[float] = field(default_factory=list)
    """Of the smaller bar code of each pair."""


def read_loop(images: Iterable[NDArray[np.uint8]], *, say: Callable[[str], object] = lambda _: None) -> Loop:
    """Find both bar codes in every photograph. say: gets one line for each."""
    loop = Loop()
    known: list[FoundCode] = []
    vain = 0
    for image in images:
        loop.images += 1
        found = find_codes(image, known=known, search=vain < MAX_VAIN_SEARCHES)
        vain += len(found) < 2
        loop.codes[min(2, len(found))] += 1
        known = found if len(found) > 1 or not known else known
        if len(found) < 2:
            say(f"picture {loop.images}: {len(found)} of 2 bar codes")
            continue
        newer, older = sorted((code.code.captured_us for code in found[:2]), reverse=True)
        delay_ms = (newer - older) / 1e3
        if delay_ms > MAX_DELAY_MS:
            loop.far_apart += 1
            say(f"picture {loop.images}: bar codes {delay_ms / 1e3:.1f} s apart; does one of the windows stand still?")
            continue
        loop.delays_ms.append(delay_ms)
        loop.cell_pixels.append(found[-1].cell_pixels)
        say(f"picture {loop.images}: {delay_ms:.1f} ms, cells of {found[-1].cell_pixels:.1f} pixels")
    return loop


def as_result(loop: Loop, *, fps: float, through: str) -> Camera | NotRun:
    """For the report. fps: of the pattern. through: what looked."""
    if not loop.delays_ms:
        none, one, _ = loop.codes
        return NotRun(
            why=f"of {loop.images} pictures {none} showed no bar code and {one} only one",
            how="Go nearer until a cell of the bar codes has 4 pixels or more, focus on the screens, shorten the "
            "exposure to less than a frame, and keep reflections off (docs/latency.md).",
        )
    low, high = median_interval(loop.delays_ms, block=1)
    return Camera(
        through=through,
        images=loop.images,
        pairs=len(loop.delays_ms),
        delay=percentiles(loop.delays_ms),
        p50_interval=(round(low, 3), round(high, 3)),
        delays=tuple(round(delay, 3) for delay in loop.delays_ms),
        interval=round(1e3 / fps, 3),
    )
