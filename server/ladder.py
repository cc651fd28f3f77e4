"""What gives way when the lowest QP is still too much: first the frame rate, then the size; back in reverse order.

    rung     0          1      2      3              4
    fps      source's   half   third  third          third
    size     source's   same   same   two thirds     half

Down after a second at the lowest QPs. Up when the size predicted for the next rung has fitted with margin for some
seconds, longer each time that a climb has turned out too early. A change of size costs an intra frame, so sizes change
less often than frame rates.
"""

import math

from codec.layout import MIN_HEIGHT, MIN_WIDTH
from server.rate_controller import Choice
from server.rate_model import CURVE

LOWEST_USEFUL_QP = 2
"""A base QP up to this says that QP has done what it can."""
_DIVISORS = (1, 2, 3, 3, 3)
_SIZES = (1.0, 1.0, 1.0, 2 / 3, 1 / 2)
_GRAIN = 16
# Down: so long at the lowest QPs, and so long since the last change; a smaller size must also wait this long.
_STARVED_S, _SETTLE_S, _SIZE_DWELL_S = 1.0, 1.0, 4.0
# Up: at the next rung this QP must fit, for so long. Near the lowest QPs sizes move as little as this part of the curve
# (flower, 480x272, rows 0 to 24). A climb that lasts less than the trial doubles the wait.
_CLIMB_QP, _CLIMB_SLOPE = 6, 0.45
_CLIMB_S, _CLIMB_SIZE_S, _TRIAL_S, _MAX_PATIENCE = 3.0, 6.0, 10.0, 8.0
# Bytes grow with pixels to about this power; a frame twice as far from the one before costs about 0.1 ln more.
_SIZE_POWER, _GAP_LN = 0.75, 0.1


class Ladder:
    """One per encode. `on_frame` says when `divisor` or `size` have changed."""

    def __init__(self, *, fps: float, size: tuple[int, int]) -> None:
        """fps, size: of the source. A rung whose fps would be below 5 or whose size would not change is left out."""
        self._rungs: list[tuple[int, tuple[int, int]]] = []
        for divisor, scale in zip(_DIVISORS, _SIZES, strict=True):
            while divisor > 1 and fps / divisor < 5:
                divisor -= 1
            rung = (
                divisor,
                size if scale == 1 else (_scaled(size[0], scale, MIN_WIDTH), _scaled(size[1], scale, MIN_HEIGHT)),
            )
            if rung not in self._rungs:
                self._rungs.append(rung)
        self._at = 0
        self._starved_since: float | None = None
        self._roomy_since: float | None = None
        self._changed = -math.inf
        self._size_changed = -math.inf
        self._climbed = -math.inf
        self._patience = 1.0

    @property
    def rung(self) -> int:
        """0 is the top."""
        return self._at

    @property
    def divisor(self) -> int:
        """Every how manieth picture is coded."""
        return self._rungs[self._at][0]

    @property
    def size(self) -> tuple[int, int]:
        """Width and height that pictures are coded at."""
        return self._rungs[self._at][1]

    def on_frame(self, choice: Choice, *, size_bytes: int, now: float) -> bool:
        """An inter frame was coded. Returns whether `divisor` or `size` are others from now on.

        size_bytes: everything that is sent for it.
        """
        starved = choice.base_qp <= LOWEST_USEFUL_QP and size_bytes > choice.budget_bytes / 2
        self._starved_since = (now if self._starved_since is None else self._starved_since) if starved else None
        roomy = self._at > 0 and _CLIMB_SLOPE * (CURVE[choice.inter_qp] - CURVE[_CLIMB_QP]) >= self._climb_ln()
        self._roomy_since = (now if self._roomy_since is None else self._roomy_since) if roomy else None
        if self._starved_since is not None and self._may_fall(now - self._starved_since, now):
            if now - self._climbed < _TRIAL_S:
                self._patience = min(2 * self._patience, _MAX_PATIENCE)
            self._move(self._at + 1, now)
            return True
        if self._roomy_since is not None and self._may_climb(now - self._roomy_since, now):
            if now - self._climbed >= _TRIAL_S * self._patience:
                self._patience = max(1.0, self._patience / 2)
            self._climbed = now
            self._move(self._at - 1, now)
            return True
        return False

    def _may_fall(self, starved_s: float, now: float) -> bool:
        if self._at + 1 == len(self._rungs) or starved_s < _STARVED_S or now - self._changed < _SETTLE_S:
            return False
        return self._same_size(1) or now - self._size_changed >= _SIZE_DWELL_S

    def _may_climb(self, roomy_s: float, now: float) -> bool:
        wait = (_CLIMB_S if self._same_size(-1) else _CLIMB_SIZE_S) * self._patience
        return roomy_s >= wait and now - self._changed >= wait

    def _climb_ln(self) -> float:
        """How much more, in ln, a frame takes of its budget one rung up."""
        (divisor, size), (next_divisor, next_size) = self._rungs[self._at], self._rungs[self._at - 1]
        pixels = math.log(next_size[0] * next_size[1] / (size[0] * size[1]))
        nearer = math.log(divisor / next_divisor)
        return _SIZE_POWER * pixels + nearer * (1 - _GAP_LN / math.log(2))

    def _same_size(self, step: int) -> bool:
        return self._rungs[self._at + step][1] == self.size

    def _move(self, rung: int, now: float) -> None:
        if not self._same_size(rung - self._at):
            self._size_changed = now
        self._at = rung
        self._changed = now
        self._starved_since = self._roomy_since = None


def _scaled(length: int, scale: float, least: int) -> int:
    """A multiple of 16, at least `least`, at most `length`."""
    return min(length, max(least, math.floor(length * scale / _GRAIN + 0.5) * _GRAIN))
