"""What a frame will cost: ln bytes as a function of its QP row, its reference and what was seen so far.

    inter   ln bytes = level + position + age + slope * g(row) + k(row, worth of the reference)
    intra   ln bytes = intra level + i(row)
    cut     a picture that its reference does not predict: ln bytes moves with c(row), whatever the reference

A frame that is to be better than its reference costs more, and one that may be worse much less: that is k. A tenfold
fall of the target takes 15 rows because of it, not 30. g, i, c and k belong to the codec and are fixed; level,
position, age, slope, the size of k and the intra level belong to the content and are learnt. All of it was measured on
the clips of `bench/data/recordings` (docs/rate-control.md).
"""

import math
from bisect import bisect_right
from collections import deque

from codec.layout import INTER_QP_ROWS, MAX_QP
from codec.quality_cycle import LENGTH

_KNOTS = (0, 8, 16, 24, 32, 40, 48, 56, 63, 71)
# ln bytes relative to QP 32, means over the parts signing, water and flower at 480x272 and 960x540.
_INTER = (-2.25, -1.80, -1.25, -0.60, 0.0, 0.55, 1.00, 1.35, 1.47, 1.53)
_INTRA = (-1.40, -1.05, -0.68, -0.33, 0.0, 0.28, 0.44, 0.50, 0.52, 0.53)
_CUT = (-1.80, -1.50, -1.00, -0.40, 0.0, 0.36, 0.66, 0.91, 1.04, 1.08)
# ln bytes that a frame takes less for being `rows` worse than its reference: depth * (1 - exp(rows / reach)), with the
# reach by what the reference is worth; and more for being better, likewise. Means over the parts: a drop of 4 rows from
# row 44 saves 0.2 on water and 1.2 on flower, so the depth is scaled by what is learnt.
_WORTHS = (20, 32, 44, 56, 64)
_BELOW_DEPTH = 1.25
_BELOW_REACH = (3.0, 4.5, 6.5, 10.5, 12.0)
_ABOVE_DEPTH = (0.80, 0.62, 0.45, 0.13, 0.05)
_ABOVE_REACH = 5.0
# What a state is worth, in rows, moves to the row of its frame by this share of the difference.
_RISE, _FALL = 0.8, 0.4
# ln bytes of a first intra and a first inter frame at QP 32, per latent position; only the very first frames feel it.
_FIRST_INTRA_LN, _FIRST_INTER_LN = 2.6, 0.9
# References of 1, 2..3, 4..7 and 8 or more frames ago, and what they cost beyond the newest until it is learnt.
_AGES = (2, 4, 8)
_FIRST_AGE_LN = (0.0, 0.10, 0.22, 0.36)
_STATES = 64

# A frame that costs this much more or less than was predicted, in ln, shows other content.
CHANGE_UP_LN, CHANGE_DOWN_LN = math.log(1.7), math.log(1.8)
# How much less, in ln, the frame after a cut costs than the cut, at the same row: that of the cut to `water`, which is
# the least of the three recorded, less some margin. Smaller changes fall by their part of it.
_AFTER_CUT = (1.0, 0.9, 0.65, 0.45, 0.3, 0.2, 0.15, 0.12, 0.12, 0.12)
_CUT_LN = 0.9
# Shares of an error that enter the level: of noise, and of a second error in a row of the same sign. Other content
# enters whole.
_GAIN, _GAIN_TREND, _GAIN_INTRA = 0.25, 0.6, 0.6
_TREND_LN = 0.15
_GAIN_POSITION, _GAIN_AGE, _GAIN_SLOPE = 0.08, 0.25, 0.1
_SLOPES = (0.6, 1.5)
# The slope is learnt from frames at least this far, in g, from the usual ones.
_LEVERAGE = 0.25
# As is what the content saves, from frames that should save at least this much.
_FIRST_THRIFT, _THRIFTS, _GAIN_THRIFT, _SAVED_LN = 0.7, (0.3, 1.6), 0.15, 0.2
# For so many frames after a cut no reference is worth anything.
_WORTHLESS = 3
# A change of content is not followed by another within so many frames.
_SETTLING = 8
# Bytes grow with the number of pixels to about this power.
_SIZE_POWER = 0.75


def _by_row(knots: tuple[int, ...], values: tuple[float, ...], rows: int) -> tuple[float, ...]:
    """Piecewise linear, flat beyond the ends."""
    table = []
    for row in range(rows):
        right = min(max(1, bisect_right(knots, row)), len(knots) - 1)
        share = (row - knots[right - 1]) / (knots[right] - knots[right - 1])
        table.append(values[right - 1] + min(max(share, 0.0), 1.0) * (values[right] - values[right - 1]))
    return tuple(table)


CURVE = _by_row(_KNOTS, _INTER, INTER_QP_ROWS)
"""g: ln bytes of an inter frame by QP row, in a chain that keeps its QP, relative to QP 32."""
INTRA_CURVE = _by_row(_KNOTS, _INTRA, MAX_QP + 1)
CUT_CURVE = _by_row(_KNOTS, _CUT, INTER_QP_ROWS)
_BELOW_REACH_BY_ROW = _by_row(_WORTHS, _BELOW_REACH, INTER_QP_ROWS)
_ABOVE_DEPTH_BY_ROW = _by_row(_WORTHS, _ABOVE_DEPTH, INTER_QP_ROWS)
_AFTER_CUT_BY_ROW = _by_row(_KNOTS, _AFTER_CUT, INTER_QP_ROWS)


class SizeModel:
    """Predicts sizes and learns from them; one per encode. All sizes are ln bytes."""

    def __init__(self, *, positions: int) -> None:
        """positions: latent positions of a picture, for the first guess."""
        self.intra_level = _FIRST_INTRA_LN + math.log(positions)
        self.slope = 1.0
        self._level = _FIRST_INTER_LN + math.log(positions)
        self._positions_ln = math.log(positions)
        self._pivot = 0.0
        """Mean g of recent frames: the slope turns around it, so that learning it leaves the level alone."""
        self._by_position = [0.0] * LENGTH
        self._by_age = list(_FIRST_AGE_LN)
        self._worth: deque[float | None] = deque(maxlen=_STATES)
        """Of the states of the frames coded so far, newest last."""
        self._last_error = 0.0
        self._cut_slope = 1.0
        self._thrift = _FIRST_THRIFT
        """How much this content saves where a frame may be worse than its reference, 1 on average."""
        self._settling = 0
        """Frames in which another change of content is not believed."""
        self._fresh = 0
        """Frames for which references count for nothing."""

    def resize(self, positions: int) -> None:
        """Pictures have another size from now on: the next frame is intra."""
        moved = _SIZE_POWER * (math.log(positions) - self._positions_ln)
        self._positions_ln = math.log(positions)
        self._level += moved
        self.intra_level += moved

    def inter(self, row: int, *, position: int, age: int) -> float:
        """Prediction for an inter frame."""
        return self._plain(row, position, age) + self._saved(row, age) * self._thrift

    def largest_inter(self, limit: float, *, position: int, age: int) -> int:
        """The largest row whose `inter` is not above `limit`, or 0."""
        held = self._held(age)
        for row in range(INTER_QP_ROWS - 1, 0, -1):
            plain = self._plain(row, position, age)
            if plain > limit and (held is None or row >= held):
                # To be better than the reference costs something on top.
                continue
            if plain + self._saved(row, age) * self._thrift <= limit:
                return row
        return 0

    def intra(self, row: int) -> float:
        """Prediction for an intra frame."""
        return self.intra_level + INTRA_CURVE[row]

    def cut(self, row: int, *, seen: float, seen_row: int) -> float:
        """Prediction for the same picture at another row, when what its reference is worth does not matter."""
        return seen + self._cut_slope * (CUT_CURVE[row] - CUT_CURVE[seen_row])

    def on_intra(self, row: int, seen: float) -> None:
        """An intra frame came out."""
        error = seen - self.intra(row)
        if self._worth:
            self.intra_level += _GAIN_INTRA * error
        else:
            # The first frame of all: what is hard to code alone is hard to predict as well.
            self.intra_level += error
            self._level += error
        self._worth.append(float(row))

    def on_inter(self, row: int, seen: float, *, position: int, age: int) -> None:
        """An inter frame came out."""
        error = seen - self.inter(row, position=position, age=age)
        held = self._held(age)
        self._settling = max(0, self._settling - 1)
        if self._fresh and error < -CHANGE_DOWN_LN:
            # Not a cut but a motion that begins: what the reference is worth counts after all.
            self._fresh = 0
            self._level += _GAIN * error
        elif -CHANGE_DOWN_LN < error < CHANGE_UP_LN:
            self._learn(row, error, position, age)
        elif self._settling:
            self._level += _GAIN_TREND * error
        else:
            self._settling = _SETTLING
            self.slope = 1.0
            if error > 0:
                self._level += seen - self._plain(row, position, age)
                self._level -= _AFTER_CUT_BY_ROW[row] * min(1.0, error / _CUT_LN)
                held = None
                self._fresh = _WORTHLESS if error > _CUT_LN else 0
            else:
                self._level += seen - self.inter(row, position=position, age=age)
        self._last_error = error
        if self._fresh:
            self._fresh -= 1
            self._worth.append(None)
        else:
            held = float(row) if held is None else held
            self._worth.append(held + (_RISE if row > held else _FALL) * (row - held))

    def on_two(self, first_row: int, first: float, row: int, seen: float) -> None:
        """The same cut came out at two rows, which tells how fast its size moves with the row."""
        expected = CUT_CURVE[row] - CUT_CURVE[first_row]
        if abs(expected) > 0.1:
            scale = min(max((seen - first) / expected, _SLOPES[0]), _SLOPES[1])
            self._cut_slope += 0.5 * (scale - self._cut_slope)

    def _learn(self, row: int, error: float, position: int, age: int) -> None:
        leverage = CURVE[row] - self._pivot
        if abs(leverage) > _LEVERAGE:
            slope = self.slope + _GAIN_SLOPE * error / leverage
            self.slope = min(max(slope, _SLOPES[0]), _SLOPES[1])
        saved = self._saved(row, age)
        if saved < -_SAVED_LN:
            thrift = self._thrift + _GAIN_THRIFT * error / saved
            self._thrift = min(max(thrift, _THRIFTS[0]), _THRIFTS[1])
        trend = error * self._last_error > 0 and min(abs(error), abs(self._last_error)) > _TREND_LN
        gain = _GAIN_TREND if trend else _GAIN
        bucket = _bucket(age)
        if bucket:
            self._by_age[bucket] += _GAIN_AGE * error
            gain /= 2
        self._level += gain * error
        move = _GAIN_POSITION * error
        for other in range(LENGTH):
            # What all positions have in common is the level's.
            self._by_position[other] += move * ((other == position) - 1 / LENGTH)
        shift = 0.1 * (CURVE[row] - self._pivot)
        self._pivot += shift
        self._level += self.slope * shift

    def _plain(self, row: int, position: int, age: int) -> float:
        """Prediction for a frame that is to be as good as its reference."""
        content = self._level + self._by_position[position] + self._by_age[_bucket(age)]
        return content + self.slope * (CURVE[row] - self._pivot)

    def _saved(self, row: int, age: int) -> float:
        """ln bytes for being better (above 0) or worse than the reference, on average content.

        Only the saving differs much by content, so a cost comes divided by what multiplies it.
        """
        held = self._held(age)
        if held is None or row == held:
            return 0.0
        near = min(round(held), INTER_QP_ROWS - 1)
        if row > held:
            return _ABOVE_DEPTH_BY_ROW[near] * (1 - math.exp((held - row) / _ABOVE_REACH)) / self._thrift
        return -_BELOW_DEPTH * (1 - math.exp((row - held) / _BELOW_REACH_BY_ROW[near]))

    def _held(self, age: int) -> float | None:
        """What the reference is worth; None when nothing is known."""
        return self._worth[-min(age, len(self._worth))] if self._worth else None


def _bucket(age: int) -> int:
    return bisect_right(_AGES, age)
