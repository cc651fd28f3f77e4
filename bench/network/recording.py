"""Recorded sizes of coded frames: a frame source that needs no network to be run.

    Recording.load(width=..., height=...)   the nearest recorded size, scaled to the one asked for
    recording.play(("static", 900), ("flower", 300))   a Programme: parts of the recorded show, each any time long
    programme.frame_bytes(index, qp=..., intra=..., age=..., held=...) -> (bytes, head bytes)

Parts: signing (a person signing), water (hard), static (a still picture), flower. A part that is longer than its
recording plays back and forth, so no false cut appears; entering signing, water or static costs what the recorded cut
costs, entering flower sets the still picture in motion. The first part begins settled. `bench/network/record.py` makes
recordings and says what is in one.
"""

import json
import math
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np

from codec.layout import INTER_QP_ROWS, INTRA_QP_ROWS

FORMAT = 3
FOLDER = Path(__file__).parent.parent / "data" / "recordings"
PARTS = ("signing", "water", "static", "flower")

_MAX_AGE = 32
# Frames after a cut that are dearer than the rest of their part.
_ENTRY = 8
# Between recorded sizes: bytes grow with pixels to this power (the recordings at 480x272 and 960x540 at QP 32 give
# 0.68 to 0.80).
_SIZE_POWER = 0.75
# What a state is worth moves to the row of its frame by these shares of the difference, and of what a step costs in a
# chain that was long at rest, this much counts. On chains at 480x272 whose QP wanders by 3 to 8 rows a frame, sizes are
# then off by 0.15 (signing), 0.24 (water) and 0.39 (flower) in ln, standard deviation; without, 0.31, 0.47 and 0.73.
_RISE, _FALL, _STRENGTH = 0.8, 0.4, 0.8
# For so many frames after a cut no reference is worth anything: sizes are those of a chain at their QP, whatever QP
# the frames before had.
_WORTHLESS = 4


def worth(held: float | None, qp: int) -> float:
    """What the state after a frame is worth, in QP rows. held: of its reference, None for an intra frame.

    A frame costs more where it is to be better than its reference, and less where it may be worse.
    """
    if held is None:
        return float(qp)
    return held + (_RISE if qp > held else _FALL) * (qp - held)


@dataclass(frozen=True, slots=True)
class Part:
    """Where a part of the show lies in the recording."""

    start: int
    stop: int

    def frame(self, offset: int, *, entered: bool) -> int:
        """The recorded frame at `offset` frames into the part, back and forth. entered: through the cut before it."""
        if entered and offset < _ENTRY:
            return self.start + offset
        first = self.start + _ENTRY
        span = self.stop - first - 1
        at = (offset - _ENTRY if entered else offset) % (2 * span)
        return first + (at if at <= span else 2 * span - at)


class Recording:
    """One recorded size; see above. Frames are those of the recording."""

    def __init__(self, data: dict[str, Any], *, size: tuple[int, int] | None = None) -> None:
        """data: as `record.record` makes it. size: pictures are taken to be of this size instead."""
        if data.get("format") != FORMAT:
            raise ValueError(f"the recording has format {data.get('format')}, expected {FORMAT}; record it again")
        recorded: tuple[int, int] = (data["width"], data["height"])
        self.width, self.height = size or recorded
        factor = (self.width * self.height / (recorded[0] * recorded[1])) ** _SIZE_POWER
        qps = data["qps"]
        inter = np.log(np.array(data["inter_bytes"], float) * factor)
        self.frames = inter.shape[1]
        self.parts: dict[str, Part] = {}
        at = 0
        for name, frames in data["segments"]:
            self.parts[name] = Part(at, at + frames)
            at += frames
        self._inter = _by_row(qps, inter, INTER_QP_ROWS).tolist()
        heads = np.array(data["inter_head_bytes"], float) * factor
        self._inter_heads = _by_row(qps, heads, INTER_QP_ROWS).tolist()
        self._ages = _age_factors(data)
        self._step = data["intra_step"]
        intra_qps = [qp for qp in qps if qp < INTRA_QP_ROWS]
        intra = np.log(np.array(data["intra_bytes"], float) * factor)
        self._intra = _by_row(intra_qps, intra, INTRA_QP_ROWS).tolist()
        intra_heads = np.array(data["intra_head_bytes"], float) * factor
        self._intra_heads = _by_row(intra_qps, intra_heads, INTRA_QP_ROWS).tolist()
        self._step_qps: list[int] = data["step_qps"]
        self._steps: list[int] = sorted([*data["steps"], 0])
        self._step_factors = {name: _step_table(rows, data["steps"]) for name, rows in data["step_milli_ln"].items()}

    @classmethod
    def load(cls, *, width: int, height: int, folder: Path = FOLDER) -> "Recording":
        """The recording of this size, or the nearest one scaled. Raises ValueError when there is none."""
        recorded = {size: path for path in folder.glob("show-*.json") if (size := _size_in(path.name)) is not None}
        if not recorded:
            raise ValueError(f"there is no recording in {folder}; record one")
        nearest = min(recorded, key=lambda size: abs(math.log(size[0] * size[1] / (width * height))))
        return _load(recorded[nearest], (width, height))

    def play(self, *parts: tuple[str, int]) -> "Programme":
        """parts: (name, frames); the last one goes on for ever. Raises ValueError for a part that there is not."""
        return Programme(self, parts)

    def inter_bytes(self, frame: int, *, qp: int, age: int = 1, held: float | None = None) -> tuple[int, int]:
        """(bytes, of which head) of an inter frame. age: frames since its reference. held: worth of the reference.

        held None: the reference was coded at the same QP.
        """
        size = self._inter[qp][frame] + self._ages[min(age, _MAX_AGE)][qp][frame]
        if held is not None:
            size += _STRENGTH * self._change(frame, qp - held, held)
        head = round(self._inter_heads[qp][frame])
        return max(round(math.exp(size)), head + 1), head

    def intra_bytes(self, frame: int, *, qp: int) -> tuple[int, int]:
        """(bytes, of which head) of an intra frame."""
        part = self.parts[self._name(frame)]
        # The nearest recorded one on this side of the cuts.
        sample = round(frame / self._step)
        sample = min(max(sample, -(-part.start // self._step)), (part.stop - 1) // self._step)
        return round(math.exp(self._intra[qp][sample])), round(self._intra_heads[qp][sample])

    def _change(self, frame: int, rows: float, held: float) -> float:
        """ln(bytes) that a frame takes more, for being `rows` above what its reference is worth."""
        table = self._step_factors[self._name(frame)]
        low, share = _between(self._step_qps, held)
        left, across = _between(self._steps, rows)
        at_low = table[low][left] + across * (table[low][left + 1] - table[low][left])
        at_high = table[low + 1][left] + across * (table[low + 1][left + 1] - table[low + 1][left])
        return at_low + share * (at_high - at_low)

    def _name(self, frame: int) -> str:
        """The part that a recorded frame is of; the lead counts as flower, which it is cut from."""
        return next((name for name in PARTS if self.parts[name].start <= frame < self.parts[name].stop), "flower")


class Programme:
    """What is shown: frame `index` of it, from 0, whatever is recorded."""

    def __init__(self, recording: Recording, parts: Sequence[tuple[str, int]]) -> None:
        unknown = [name for name, frames in parts if name not in PARTS or frames <= 0]
        if not parts or unknown:
            raise ValueError(f"a programme needs parts of 1 frame or more out of {', '.join(PARTS)}, got {list(parts)}")
        self.recording = recording
        self._parts = [recording.parts[name] for name, _ in parts]
        self._moving = recording.parts["flower"]
        self._starts = [0, *accumulate(frames for _, frames in parts[:-1])]

    def frame(self, index: int) -> int:
        """The recorded frame at `index`."""
        which = bisect_right(self._starts, index) - 1
        return self._parts[which].frame(index - self._starts[which], entered=which > 0)

    def frame_bytes(
        self, index: int, *, qp: int, intra: bool, age: int = 1, held: float | None = None
    ) -> tuple[int, int]:
        """(bytes, of which head) of frame `index`; qp: 0..63 intra, 0..71 inter; the rest as `Recording.inter_bytes`.

        A reference on the other side of a cut costs what the cut costs, however old it is.
        """
        which = bisect_right(self._starts, index) - 1
        offset = index - self._starts[which]
        part = self._parts[which]
        frame = part.frame(offset, entered=which > 0)
        if intra:
            return self.recording.intra_bytes(frame, qp=qp)
        if which > 0 and age > offset:
            cut = self.recording.inter_bytes(part.start, qp=qp)
            return max(cut, self.recording.inter_bytes(frame, qp=qp, age=age, held=held))
        if offset == 0 or frame - part.start >= _ENTRY:
            return self.recording.inter_bytes(frame, qp=qp, age=min(age, _reach(part, frame)), held=held)
        return self.recording.inter_bytes(frame, qp=qp, age=min(age, max(1, offset)), held=held)

    def worth(self, index: int, *, held: float | None, qp: int, intra: bool, age: int = 1) -> float | None:
        """What the state after frame `index` is worth (see `worth`); held: that of its reference.

        None: nothing yet, so soon after a cut.
        """
        which = bisect_right(self._starts, index) - 1
        offset = index - self._starts[which]
        if which > 0 and offset < _WORTHLESS and not intra and self._parts[which] is not self._moving:
            return None
        return worth(None if intra or (which > 0 and age > offset) else held, qp)


def _reach(part: Part, frame: int) -> int:
    """How far back a recorded frame's ages stay within its part: 8 of them are recorded, beyond is extended."""
    return _MAX_AGE if frame - part.start >= _ENTRY else 1


def _between(knots: Sequence[float], value: float) -> tuple[int, float]:
    """(the knot to the left, share of the way to the next), flat beyond the ends."""
    left = min(max(0, bisect_right(knots, value) - 1), len(knots) - 2)
    return left, min(max((value - knots[left]) / (knots[left + 1] - knots[left]), 0.0), 1.0)


def _step_table(rows: Sequence[Sequence[int | None]], steps: Sequence[int]) -> list[list[float]]:
    """ln by chain and step, with step 0 put in; where a step leaves the scale, what the one before it gave."""
    table = []
    for row in rows:
        known = {step: value / 1e3 for step, value in zip(steps, row, strict=True) if value is not None} | {0: 0.0}
        table.append([known[min(known, key=lambda k: abs(k - step))] for step in sorted([*steps, 0])])
    return table


def _by_row(qps: Sequence[int], values: "np.ndarray[Any, np.dtype[np.float64]]", rows: int) -> Any:
    """(rows, frames) out of (len(qps), frames), linear between."""
    return np.stack([np.interp(range(rows), qps, values[:, frame]) for frame in range(values.shape[1])], axis=1)


def _age_factors(data: dict[str, Any]) -> list[list[list[float]]]:
    """By age, QP row and frame: ln(bytes / bytes at age 1)."""
    recorded = np.array(data["age_milli_ln"], float) / 1e3
    octaves = [0.0, *(math.log2(age) for age in data["ages"])]
    zero = np.zeros((recorded.shape[2], INTER_QP_ROWS))
    known = [zero, *(_by_row(data["age_qps"], recorded[:, k], INTER_QP_ROWS).T for k in range(len(data["ages"])))]
    # Twice as old as the oldest recorded: once more what the last doubling added.
    known += [known[-1] + (known[-1] - known[-2]) * extra for extra in (1, 2)]
    octaves += [octaves[-1] + extra for extra in (1, 2)]
    factors = []
    for age in range(_MAX_AGE + 1):
        octave = math.log2(max(age, 1))
        right = min(max(1, bisect_right(octaves, octave)), len(octaves) - 1)
        share = (octave - octaves[right - 1]) / (octaves[right] - octaves[right - 1])
        factors.append((known[right - 1] + share * (known[right] - known[right - 1])).T.tolist())
    return factors


def _size_in(name: str) -> tuple[int, int] | None:
    width, _, height = name.removeprefix("show-").removesuffix(".json").partition("x")
    return (int(width), int(height)) if width.isdecimal() and height.isdecimal() else None


@cache
def _load(path: Path, size: tuple[int, int]) -> Recording:
    return Recording(json.loads(path.read_text()), size=size)
