"""When sound is seen, so to say: the time on the pictures' time line at which a recording has it.

Sound and pictures carry their capture times on the server's clock. Pictures are there so and so long after their
capture; sound captured with them belongs to the same moment, however early it came.
"""

from collections import deque

PICTURES = 31
"""A second or so: their median is no single late picture."""
_NEW_CLOCK_US = 1_000_000
"""No network path changes by so much from one picture to the next: another server, another clock."""


class SoundPlacing:
    """Times in microseconds; `captured_us` on the server's clock, what is returned on this machine's."""

    def __init__(self) -> None:
        self._delays_us: deque[int] = deque(maxlen=PICTURES)
        """Ours minus the server's, for the newest pictures."""

    def on_picture(self, *, captured_us: int, seen_us: int) -> None:
        """A picture captured at `captured_us` is there since `seen_us`."""
        delay_us = seen_us - captured_us
        if self._delays_us and abs(delay_us - self._delays_us[-1]) > _NEW_CLOCK_US:
            self._delays_us.clear()
        self._delays_us.append(delay_us)

    def place(self, captured_us: int) -> int | None:
        """When sound captured then belongs; None before the first picture."""
        if not self._delays_us:
            return None
        return captured_us + sorted(self._delays_us)[len(self._delays_us) // 2]
