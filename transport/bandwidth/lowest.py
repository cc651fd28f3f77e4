"""The smallest value of a while: a sliding minimum in two halves, which forgets in steps of half the window."""


class Lowest:
    """Feed values; `value` is the smallest of the last half to whole `window_s`."""

    def __init__(self, window_s: float) -> None:
        self._half_s = window_s / 2
        self._older: float | None = None
        self._newer: float | None = None
        self._newer_began = 0.0

    @property
    def value(self) -> float | None:
        """None before the first."""
        if self._newer is None or self._older is None:
            return self._newer
        return min(self._older, self._newer)

    def add(self, value: float, now: float, *, hold: bool = False) -> float:
        """Takes one value, returns the smallest. `hold`: nothing grows old by it, a new low counts all the same."""
        if self._newer is None or (not hold and now - self._newer_began > self._half_s):
            self._older, self._newer, self._newer_began = self._newer, value, now
        elif hold:
            self._newer_began = now
        self._newer = min(self._newer, value)
        return self._newer if self._older is None else min(self._older, self._newer)

    def clear(self) -> None:
        """Nothing is known any more."""
        self._older = self._newer = None
