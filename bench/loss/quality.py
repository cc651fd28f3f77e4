"""What a viewer saw of a film: for each picture that should be on the screen, the one that was.

A picture is due `deadline_s` after it was captured. The screen then shows the newest picture, not after it, that was
decoded by that time: in time, or an older one, and what it should show is what it is compared with. Before the first
picture the screen is black.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.loss.film import Film
from bench.rd.quality import psnr

_BLACK = 16
"""Code value of a black screen in limited range, which is what files have."""


@dataclass(frozen=True, slots=True)
class Seen:
    """One decoded picture: which one, and when it could be shown."""

    frame_id: int
    decoded_s: float
    luma: NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Watched:
    """One film as it was watched, the first `skipped` pictures not counted."""

    psnr_y: tuple[float, ...]
    """dB of each picture due."""
    in_time: tuple[bool, ...]
    """Whether the picture due was shown."""
    delays_s: tuple[float, ...]
    """Capture to decoded, of the pictures shown in time."""


def watch(film: Film, seen: Sequence[Seen], *, deadline_s: float, skipped: int) -> Watched:
    """seen: in the order they were decoded, which is that of their ids. Pictures are captured at number / fps."""
    black = np.full((film.height, film.width), _BLACK, np.uint8)
    shown: Seen | None = None
    upcoming = deque(seen)
    qualities, in_time, delays = [], [], []
    for number in range(film.frames):
        captured_s = number / film.fps
        while upcoming and upcoming[0].decoded_s <= captured_s + deadline_s and upcoming[0].frame_id <= number:
            shown = upcoming.popleft()
        if number < skipped:
            continue
        qualities.append(psnr(film[number][0], black if shown is None else shown.luma))
        in_time.append(shown is not None and shown.frame_id == number)
        if shown is not None and shown.frame_id == number:
            delays.append(shown.decoded_s - captured_s)
    return Watched(tuple(qualities), tuple(in_time), tuple(delays))


def longest_freeze_s(in_time: Sequence[bool], *, fps: float) -> float:
    """The longest run of pictures not shown in time, in seconds: 0 where each was."""
    longest = run = 0
    for shown in in_time:
        run = 0 if shown else run + 1
        longest = max(longest, run)
    return longest / fps
