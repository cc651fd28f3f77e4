"""Target bitrate -> bytes for the next frame -> QP (`docs/rate-control.md`).

A leaky bucket says how many bytes the frame may take, `server.rate_model` at which QP it takes them. A frame that
misses by far can be coded again: `again` says at which QP.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

from codec.layout import INTER_QP_ROWS, MAX_QP
from codec.quality_cycle import LENGTH
from server.rate_model import CHANGE_UP_LN, SizeModel

OFFSETS = (0, 2, 0, 1, 0, 1, 0, 1)
"""QP rows above the base by position in the cycle: a quarter of the codec's own cycle (codec.quality_cycle), whose
largest frames take up to 7 times the mean, a quarter of a second of the link."""
AGAIN_ABOVE = 1.5
"""A frame is coded again when it is this many times its budget ..."""
AGAIN_BELOW = 0.4
"""... or less than this share of it, and less than half of what was predicted: the content has become easier."""

# Shares of a cycle: the bytes that the offsets cost at a constant base, at 0.14 ln a row.
_WEIGHTS = tuple(math.exp(0.14 * offset) for offset in OFFSETS)
_SHARES = tuple(weight * LENGTH / sum(_WEIGHTS) for weight in _WEIGHTS)
# An intra frame may take as long as this on the wire, or a share and a half where frames are far apart.
_INTRA_S, _INTRA_SHARES = 0.1, 1.5
# The bucket is paid back over a third of a second, and never holds more than half a second of debt or two frames of
# credit: what the link did not carry in time is gone.
_PAYBACK_S, _DEBT_S, _CREDIT_SHARES = 0.33, 0.5, 2.0
# Whatever is owed, a frame may take this much of its share, and whatever is saved, not more than that.
_LEAST, _MOST = 0.35, 1.3
# Quality rises by at most this many rows a frame, so that one easy frame does not overshoot; it falls at once.
_MAX_RISE = 4
# The base stays where it is while the best one is nearer than this.
_HOLD_ROWS = 1.0
# What a second try aims at, of the budget; how far up it may go; fewer rows of difference are not worth it.
_AGAIN_AIM, _AGAIN_RISE, _AGAIN_ROWS = 0.9, 12, 2


@dataclass(frozen=True, slots=True)
class Choice:
    """Rows for the next frame: the one used depends on whether it turns out intra."""

    intra_qp: int
    inter_qp: int
    position: int
    """In the cycle of `OFFSETS`."""
    budget_bytes: float
    """For an inter frame, everything that is sent for it."""
    intra_budget_bytes: float
    age: int
    """Frames since the reference; 1 is the newest."""
    first: tuple[int, float] | None = None
    """Of a second try: row and ln bytes of the first."""

    @property
    def base_qp(self) -> int:
        """Without the offset of the position: how good the picture is."""
        return max(0, self.inter_qp - OFFSETS[self.position])


class RateController:
    """One per encode. Not thread-safe; time enters through the frame rate only."""

    def __init__(self, positions: int) -> None:
        """positions: latent positions of a picture, for the first guess."""
        self._model = SizeModel(positions=positions)
        self._debt_bytes = 0.0
        self._position = 0
        self._last_base = MAX_QP // 2

    def resize(self, positions: int) -> None:
        """Pictures have another size from now on."""
        self._model.resize(positions)

    def choose(self, *, target_bps: float, fps: float, age: int = 1) -> Choice:
        """QP rows for the next frame. target_bps > 0: what frames may use; fps: frames a second that are really coded.

        age: frames since the reference.
        """
        share = target_bps / 8 / fps
        debt = min(max(self._debt_bytes, -_CREDIT_SHARES * share), target_bps / 8 * _DEBT_S)
        repay = debt / max(1.0, _PAYBACK_S * fps)
        weight = _SHARES[self._position]
        budget = share * min(max(weight - repay / share, _LEAST), weight * _MOST)
        intra_budget = max(max(_INTRA_S * target_bps / 8, _INTRA_SHARES * share) - repay, _LEAST * share)
        return Choice(
            intra_qp=_largest(self._model.intra, math.log(intra_budget), MAX_QP),
            inter_qp=self._row(math.log(budget), age),
            position=self._position,
            budget_bytes=budget,
            intra_budget_bytes=intra_budget,
            age=age,
        )

    def again(self, choice: Choice, *, size_bytes: int, qp: int, intra: bool) -> Choice | None:
        """Rows for coding the same picture once more, when this first try misses its budget by far; else None.

        qp: the row it was coded at. The first try is not to be told to `on_coded`.
        """
        if choice.first is not None:
            return None
        seen = math.log(max(size_bytes, 1))
        budget = math.log(choice.intra_budget_bytes if intra else choice.budget_bytes)
        aim = budget + math.log(_AGAIN_AIM)
        model = self._model
        miss = seen - (model.intra(qp) if intra else model.inter(qp, position=choice.position, age=choice.age))

        def other(row: int) -> float:
            if intra:
                return seen + model.intra(row) - model.intra(qp)
            if miss > CHANGE_UP_LN:
                return model.cut(row, seen=seen, seen_row=qp)
            return seen + model.inter(row, position=choice.position, age=choice.age) - (seen - miss)

        if seen > budget + math.log(AGAIN_ABOVE):
            row = _largest(other, aim, qp)
        elif seen < budget + math.log(AGAIN_BELOW) and miss < -math.log(2):
            row = _largest(other, aim, min(qp + _AGAIN_RISE, MAX_QP))
        else:
            return None
        if abs(row - qp) < _AGAIN_ROWS:
            return None
        return replace(choice, intra_qp=min(row, MAX_QP), inter_qp=row, first=(qp, seen))

    def on_coded(self, choice: Choice, *, size_bytes: int, qp: int, intra: bool, target_bps: float, fps: float) -> None:
        """What came out of the frame that `choice` was for. size_bytes: everything that is sent for it."""
        seen = math.log(max(size_bytes, 1))
        if intra:
            self._model.on_intra(qp, seen)
            # The first inter frame may be as good as the intra frame, whatever was before.
            self._last_base = qp
        else:
            if choice.first is not None:
                self._model.on_two(*choice.first, qp, seen)
            self._model.on_inter(qp, seen, position=choice.position, age=choice.age)
            self._last_base = max(0, qp - OFFSETS[choice.position])
        self._position = (self._position + 1) % LENGTH
        share = target_bps / 8 / fps
        debt = self._debt_bytes + size_bytes - share * _SHARES[choice.position]
        # Where QP is at its end, or held down on purpose, nothing is saved up.
        self._debt_bytes = min(max(debt, -_CREDIT_SHARES * share), target_bps / 8 * _DEBT_S)

    def _row(self, budget: float, age: int) -> int:
        """The row of an inter frame; budget in ln bytes."""
        offset = OFFSETS[self._position]

        def predicted(row: int) -> float:
            return self._model.inter(row, position=self._position, age=age)

        top = INTER_QP_ROWS - 1
        best = self._model.largest_inter(budget, position=self._position, age=age)
        # Between two rows the nearer one.
        if best < top:
            below, above = predicted(best), predicted(best + 1)
            exact = best + min(max((budget - below) / max(above - below, 1e-6), -1.0), 1.0)
        else:
            exact = float(best)
        base = exact - offset
        if abs(base - self._last_base) < _HOLD_ROWS:
            base = self._last_base
        base = min(round(base), self._last_base + _MAX_RISE)
        return min(max(base + offset, 0), top)


def _largest(predicted: Callable[[int], float], limit: float, top: int) -> int:
    """The largest row up to `top` whose prediction fits, or 0."""
    return next((row for row in range(top, 0, -1) if predicted(row) <= limit), 0)
