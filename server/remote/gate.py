"""What of a viewer's input is let through, how fast, and what must be released again.

    events ── known? ── press: token bucket ──┐
                        release: always       ├─▶ bounded queue (pointer: newest of neighbours) ──▶ injecting thread
                        wheel: whole notches ─┘

A press that is dropped has no release, and every press that was let through gets exactly one, so nothing stays pressed.
Plain class; `now` (seconds) is an argument. Not thread-safe: `injector` locks.
"""

import math
from collections import deque
from dataclasses import dataclass, replace
from typing import TypeAlias

from latentcast.control import Button, InputEvent, Key, Pointer, Release, Text, Wheel
from server.remote.keys import EVDEV

PRESSES_PER_S, PRESS_BURST = 60.0, 60.0
"""Keys and buttons pressed. Fast typists press 15 keys a second, rolling a hand over the keyboard 10 at once."""
CHARACTERS_PER_S, CHARACTER_BURST = 50.0, 128.0
"""Characters of `text`: what an input method delivers, and no more than can be typed if each changes the layout."""
NOTCHES_PER_S, NOTCH_BURST = 200.0, 100.0
"""A flicked free-running wheel turns 100 notches a second."""
MAX_QUEUE = 256
"""Presses, texts and turns waiting for the injecting thread, which needs 0.1 ms each: more means that X hangs."""


@dataclass(frozen=True, slots=True)
class Scroll:
    """Whole notches."""

    dx: int
    dy: int


Action: TypeAlias = Pointer | Button | Scroll | Key | Text
"""What is injected."""


@dataclass(frozen=True, slots=True)
class InputCounts:
    """Since the start."""

    injected: int = 0
    """Actions handed to the injecting thread."""
    limited: int = 0
    """Presses, characters and notches over the limit, dropped."""
    unknown: int = 0
    """Key codes that no keyboard has, dropped."""


class _Bucket:
    """Tokens that come back at a steady rate."""

    def __init__(self, per_s: float, burst: float) -> None:
        self._per_s, self._burst = per_s, burst
        self._level = burst
        self._then: float | None = None

    def take(self, now: float, wanted: int) -> int:
        """As many of `wanted` as there are."""
        if self._then is not None:
            self._level = min(self._burst, self._level + self._per_s * max(0.0, now - self._then))
        self._then = now
        given = min(wanted, int(self._level))
        self._level -= given
        return given


class InputGate:
    """One desktop's input."""

    def __init__(self) -> None:
        self._queue: deque[Action] = deque()
        self._held: dict[str | int, Key | Button] = {}
        """What was pressed and not yet released, by code or number, with its release; the oldest first."""
        self._presses = _Bucket(PRESSES_PER_S, PRESS_BURST)
        self._characters = _Bucket(CHARACTERS_PER_S, CHARACTER_BURST)
        self._notches = _Bucket(NOTCHES_PER_S, NOTCH_BURST)
        self._turned = [0.0, 0.0]
        self.counts = InputCounts()

    @property
    def holds(self) -> bool:
        """Whether a key or button is pressed."""
        return bool(self._held)

    def __len__(self) -> int:
        return len(self._queue)

    def offer(self, event: InputEvent, now: float) -> None:
        """Take in what a viewer did."""
        if isinstance(event, Pointer):
            self._move(event)
        elif isinstance(event, Key):
            if event.code not in EVDEV:
                self.counts = replace(self.counts, unknown=self.counts.unknown + 1)
            else:
                self._press_or_release(event.code, event, now)
        elif isinstance(event, Button):
            self._press_or_release(event.button, event, now)
        elif isinstance(event, Wheel):
            self._turn(event, now)
        elif isinstance(event, Text):
            self._type(event, now)
        elif isinstance(event, Release):
            self.release_all()

    def release_all(self) -> None:
        """Release whatever is pressed, the newest first."""
        self._turned = [0.0, 0.0]
        for release in reversed(self._held.values()):
            self._queue.append(release)
        self._held.clear()

    def forget(self) -> None:
        """The devices have gone: nothing is pressed and nothing waits any more."""
        self._queue.clear()
        self._held.clear()
        self._turned = [0.0, 0.0]

    def take(self) -> Action | None:
        """The next thing to inject."""
        if not self._queue:
            return None
        self.counts = replace(self.counts, injected=self.counts.injected + 1)
        return self._queue.popleft()

    def _move(self, event: Pointer) -> None:
        if self._queue and isinstance(self._queue[-1], Pointer):
            self._queue[-1] = event
        else:
            self._queue.append(event)

    def _press_or_release(self, name: str | int, event: Key | Button, now: float) -> None:
        if not event.pressed:
            if self._held.pop(name, None) is not None:
                self._queue.append(event)
        elif name not in self._held and self._allowed(self._presses, now, 1):
            # A key that is held already only repeats, which the machine's own X server does by itself.
            self._held[name] = event.model_copy(update={"pressed": False})
            self._queue.append(event)

    def _type(self, event: Text, now: float) -> None:
        if self._allowed(self._characters, now, len(event.text)):
            self._queue.append(event)

    def _turn(self, event: Wheel, now: float) -> None:
        steps = []
        for axis, turned in enumerate((event.dx, event.dy)):
            self._turned[axis] += turned
            # Touch pads send fractions, whose sum in floating point misses whole numbers by a hair.
            whole = math.trunc(self._turned[axis] + math.copysign(1e-6, self._turned[axis]))
            self._turned[axis] -= whole
            given = self._allowed(self._notches, now, abs(whole)) if whole else 0
            steps.append(int(math.copysign(given, whole)))
        if any(steps):
            last = self._queue[-1] if self._queue else None
            if isinstance(last, Scroll):
                self._queue[-1] = Scroll(last.dx + steps[0], last.dy + steps[1])
            else:
                self._queue.append(Scroll(*steps))

    def _allowed(self, bucket: _Bucket, now: float, wanted: int) -> int:
        """As many as may go; of presses and texts all or none."""
        given = bucket.take(now, wanted) if len(self._queue) < MAX_QUEUE else 0
        if bucket is not self._notches and given < wanted:
            given = 0
        if given < wanted:
            self.counts = replace(self.counts, limited=self.counts.limited + wanted - given)
        return given
