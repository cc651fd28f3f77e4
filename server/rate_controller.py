"""Target bitrate -> bytes for the next frame -> base QP (`docs/rate-control.md`).

Bits follow QP log-linearly with a bend: `ln bytes = a + g(QP)`. The curve g is that of the codec and fixed; the level
a is that of the content and learnt online, one for intra frames and one for each position in the quality cycle. A
leaky bucket carries what was spent too much or too little into the next frames.
"""

import math
from dataclasses import dataclass

from codec.layout import INTER_QP_ROWS, MAX_QP
from codec.quality_cycle import LENGTH, inter_row

# ln of bits per pixel against QP row, averaged over the clips of the published rate-distortion table of the shipped
# weights (docs/nano.md) at QP 8, 20, 32, 44 and 56, relative to QP 32; extended at the ends by the neighbouring slopes.
_CURVE_QP = (0, 8, 20, 32, 44, 56, 71)
_CURVE_LN = (-2.65, -1.95, -0.87, 0.0, 0.68, 1.12, 1.60)
# ln bytes of a first intra and first inter frame at QP 32, per latent position; only the very first frames feel it.
_FIRST_INTRA_LN, _FIRST_INTER_LN = 2.3, 1.2
# How much of the newest observation enters the level of its position, and of the other positions.
_GAIN_SAME, _GAIN_OTHERS = 0.5, 0.2
# An intra frame may take this many frames' share: it pays back over the frames after it.
_INTRA_SHARES = 6.0
# The bucket is paid back over a third of a second, and never holds more than half a second either way.
_PAYBACK_S, _BUCKET_S = 0.33, 0.5
# Quality rises by at most this many QP steps a frame, so that one easy frame does not overshoot; it falls at once.
_MAX_RISE = 4


def curve(qp_row: float) -> float:
    """g(QP), see above."""
    for left in range(len(_CURVE_QP) - 2, -1, -1):
        if qp_row >= _CURVE_QP[left] or left == 0:
            q0, q1 = _CURVE_QP[left], _CURVE_QP[left + 1]
            y0, y1 = _CURVE_LN[left], _CURVE_LN[left + 1]
            return y0 + (y1 - y0) * (qp_row - q0) / (q1 - q0)
    raise AssertionError


_CURVE = tuple(curve(row) for row in range(INTER_QP_ROWS))


@dataclass(frozen=True, slots=True)
class Choice:
    """Rows for the next frame: the one used depends on whether it turns out intra."""

    intra_qp: int
    inter_qp: int
    position: int


class RateController:
    """One per encode. Not thread-safe; time enters through the frame rate only.

    positions: latent positions of a picture, for the first guess.
    """

    def __init__(self, *, positions: int) -> None:
        self._intra_level = _FIRST_INTRA_LN + math.log(positions)
        self._levels = [_FIRST_INTER_LN + math.log(positions)] * LENGTH
        self._debt_bytes = 0.0
        self._position = 0
        self._last_base = MAX_QP // 2

    def choose(self, *, target_bps: float, fps: float) -> Choice:
        """QP rows for the next frame. target_bps > 0; fps: frames a second that are really coded."""
        share = target_bps / 8 / fps
        limit = target_bps / 8 * _BUCKET_S
        self._debt_bytes = min(max(self._debt_bytes, -limit), limit)
        repay = self._debt_bytes / max(1.0, _PAYBACK_S * fps)
        budget = max(share - repay, share * 0.2)
        base = self._largest(budget, [inter_row(qp, self._position) for qp in range(MAX_QP + 1)])
        base = min(base, self._last_base + _MAX_RISE)
        intra = self._largest_intra(max(share - repay, share * 0.5) * _INTRA_SHARES)
        return Choice(intra, inter_row(base, self._position), self._position)

    def on_coded(self, choice: Choice, *, size_bytes: int, qp: int, intra: bool, target_bps: float, fps: float) -> None:
        """What came out of the frame that `choice` was for. size_bytes: everything that is sent for it."""
        seen = math.log(max(size_bytes, 1)) - _CURVE[qp]
        if intra:
            self._intra_level += _GAIN_SAME * (seen - self._intra_level)
        else:
            difference = seen - self._levels[choice.position]
            for position in range(LENGTH):
                gain = _GAIN_SAME if position == choice.position else _GAIN_OTHERS
                self._levels[position] += gain * difference
            self._last_base = qp - (inter_row(0, choice.position))
        self._position = (self._position + 1) % LENGTH
        self._debt_bytes += size_bytes - target_bps / 8 / fps

    def _largest(self, budget: float, rows: list[int]) -> int:
        level = self._levels[self._position]
        limit = math.log(budget)
        return max((qp for qp, row in enumerate(rows) if level + _CURVE[row] <= limit), default=0)

    def _largest_intra(self, budget: float) -> int:
        limit = math.log(budget)
        return max((qp for qp in range(MAX_QP + 1) if self._intra_level + _CURVE[qp] <= limit), default=0)
