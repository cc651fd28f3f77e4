"""Where a viewer's input goes: one protocol, with XTEST and uinput behind it."""

from typing import Protocol

from latentcast.errors import LatentcastError


class SinkLost(LatentcastError):
    """Input cannot be injected now; the message is for the user. Another sink may be opened later."""


class InputSink(Protocol):
    """A pointer and a keyboard of a machine. Used by one thread; any method may raise SinkLost."""

    def move(self, x: float, y: float) -> None:
        """Put the pointer at a point of the stream's picture, in shares of its width and height, 0..1."""
        ...

    def button(self, number: int, *, pressed: bool) -> None:
        """1 left, 2 middle, 3 right, 8 back, 9 forward."""
        ...

    def scroll(self, dx: int, dy: int) -> None:
        """Turn the wheel by whole notches: dy > 0 away from the user, dx > 0 to the right."""
        ...

    def key(self, code: str, *, pressed: bool) -> None:
        """A physical key that `keys.EVDEV` knows."""
        ...

    def text(self, text: str) -> int:
        """Type characters, whatever modifiers are held; returns how many could not be typed."""
        ...

    def close(self) -> None:
        """Release what is pressed, as far as that is still possible, and let go of the devices."""
        ...
