"""Methods 1 and 2 frame by frame: which picture on the screen is which frame, and by how much they differ.

Frames are paired by frame number; the capture time in the picture must then be the one in the frame's header, to the
microsecond, or the picture is another one's and the pair is counted as contradicting.
"""

from bisect import bisect
from collections.abc import Sequence
from dataclasses import dataclass

from bench.latency.frames import Frame
from bench.latency.sightings import Sighting
from latentcast.barcode import CAPTURED_BITS, FRAME_NUMBER_BITS


@dataclass(frozen=True, slots=True)
class Pair:
    """One frame, measured twice."""

    frame: Frame
    sighting: Sighting
    drawn_us: int
    """When the bar code was drawn: at capture or, on a shared screen, before it."""

    @property
    def pixels_ms(self) -> float:
        """Method 2: capture time read from the pixels, to the middle of the interval in which they appeared."""
        return (self.sighting.visible_us - self.drawn_us) / 1e3

    @property
    def bound_ms(self) -> float:
        """What `pixels_ms` may be wrong by."""
        return self.sighting.bound_ms

    @property
    def difference_ms(self) -> float:
        """Method 2 minus method 1: from the viewer's "presented" to the pixels on the screen."""
        return self.pixels_ms - self.frame.total_ms


@dataclass(frozen=True, slots=True)
class Pairs:
    """All that could be paired, in the order of the frames."""

    pairs: tuple[Pair, ...]
    unseen: int
    """Frames presented while the screen was watched, whose bar code no grab shows."""
    contradicting: int
    """Pictures whose capture time is not the one in their frame's header."""


def pair(frames: Sequence[Frame], sightings: Sequence[Sighting]) -> Pairs:
    """Frames and sightings may both be incomplete."""
    seen = {sighting.frame_number: sighting for sighting in sightings}
    pairs: list[Pair] = []
    unseen = contradicting = 0
    first_us = min((sighting.before_us for sighting in sightings), default=0)
    last_us = max((sighting.before_us for sighting in sightings), default=0)
    for frame in frames:
        sighting = seen.get(frame.number % (1 << FRAME_NUMBER_BITS))
        if sighting is None:
            # Before the first and after the last sighting nobody looked.
            unseen += first_us <= frame.presented_us <= last_us
        elif sighting.captured_us != frame.captured_us % (1 << CAPTURED_BITS):
            contradicting += 1
        else:
            pairs.append(Pair(frame, sighting, frame.captured_us))
    return Pairs(tuple(pairs), unseen, contradicting)


def pair_by_time(frames: Sequence[Frame], sightings: Sequence[Sighting]) -> Pairs:
    """For a shared screen, whose bar code counts pictures of its own: the frame presented when the picture appeared.

    They belong together when the frame was presented nearer to the picture's appearance than half an interval to
    either neighbour. Frames that show the same picture as the one before bring nothing new to the screen and stay out.
    """
    presented = [frame.presented_us for frame in frames]
    pairs: dict[int, Pair] = {}
    for sighting in sightings:
        place = bisect(presented, sighting.visible_us)
        near = [i for i in (place - 1, place) if 0 <= i < len(frames)]
        best = min(near, key=lambda i: abs(presented[i] - sighting.visible_us), default=None)
        if best is None:
            continue
        apart_us = [abs(presented[i] - presented[best]) for i in (best - 1, best + 1) if 0 <= i < len(frames)]
        if abs(presented[best] - sighting.visible_us) <= min(apart_us, default=0) / 2:
            pairs.setdefault(best, Pair(frames[best], sighting, sighting.captured_us))
    return Pairs(tuple(pairs[index] for index in sorted(pairs)), unseen=0, contradicting=0)
