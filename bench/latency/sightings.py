"""From single grabs of the screen to when each picture became visible: pure, no screen here.

A picture appeared after the last grab that showed another one and before the first that shows it. A grab takes time
itself, so the interval reaches from the *start* of the one to the *end* of the other: whenever within them the screen
was copied, the truth lies inside.
"""

from dataclasses import dataclass

from latentcast.barcode import BarCode


@dataclass(frozen=True, slots=True)
class Sighting:
    """A picture came on the screen. All times in microseconds of this machine's monotonic clock."""

    frame_number: int
    captured_us: int
    """As the picture itself says, modulo 2^48."""
    after_us: int
    """It was not yet visible then: start of the last grab that showed another picture."""
    before_us: int
    """It was visible by then: end of the first grab that shows it."""

    @property
    def visible_us(self) -> float:
        """Middle of the interval: wrong by at most half of it."""
        return (self.after_us + self.before_us) / 2

    @property
    def bound_ms(self) -> float:
        """Half the interval: what `visible_us` may be wrong by."""
        return (self.before_us - self.after_us) / 2e3


class SightingLog:
    """Takes grabs in order; keeps no more than the newest one."""

    def __init__(self) -> None:
        self._shown: BarCode | None = None
        self._shown_start_us = 0
        self.grabs = 0
        self.unreadable = 0
        """Grabs without a bar code: something covers it, or the picture was changing just then."""

    def add(self, code: BarCode | None, *, start_us: int, end_us: int) -> Sighting | None:
        """One grab: what it shows, and when it began and ended. Returns the picture that it shows for the first time.

        The first picture ever seen is no sighting: it may have been there for long. A grab without a bar code says
        nothing about what is visible, so it narrows no interval.
        """
        self.grabs += 1
        if code is None:
            self.unreadable += 1
            return None
        before, self._shown = self._shown, code
        before_start_us, self._shown_start_us = self._shown_start_us, start_us
        if before is None or before == code:
            return None
        return Sighting(code.frame_number, code.captured_us, after_us=before_start_us, before_us=end_us)
