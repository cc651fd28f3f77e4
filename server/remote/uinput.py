"""Input through the kernel (/dev/uinput), where X is missing or has no XTEST: a keyboard and an absolute pointer.

Needs python-evdev (`pip install 'latentcast[uinput]'`) and the right to write to /dev/uinput. The pointer's range
covers the whole desktop, whatever captures it. Text goes through the keys of a US keyboard, for the kernel knows keys
alone; what such a keyboard does not have cannot be typed.
"""

import importlib
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from server.remote.keys import EVDEV, MODIFIERS
from server.remote.sink import SinkLost

# linux/input-event-codes.h
_EV_KEY, _EV_REL, _EV_ABS = 1, 2, 3
_REL_HWHEEL, _REL_WHEEL = 6, 8
_ABS_X, _ABS_Y = 0, 1
_BUTTONS = {1: 0x110, 2: 0x112, 3: 0x111, 8: 0x113, 9: 0x114}
"""Left, middle, right, side, extra, by X's numbers."""

_RANGE = 65_535
"""Of the absolute axes; finer than any screen."""

_PLAIN = {
    **{letter: f"Key{letter.upper()}" for letter in "abcdefghijklmnopqrstuvwxyz"},
    **{digit: f"Digit{digit}" for digit in "0123456789"},
    **{" ": "Space", "\n": "Enter", "\r": "Enter", "\t": "Tab", "\b": "Backspace"},
    **{"-": "Minus", "=": "Equal", "[": "BracketLeft", "]": "BracketRight", "\\": "Backslash", "`": "Backquote"},
    **{";": "Semicolon", "'": "Quote", ",": "Comma", ".": "Period", "/": "Slash"},
}
_SHIFTED = {
    **{letter.upper(): code for letter, code in _PLAIN.items() if code.startswith("Key")},
    **{character: f"Digit{(index + 1) % 10}" for index, character in enumerate("!@#$%^&*()")},
    **{"_": "Minus", "+": "Equal", "{": "BracketLeft", "}": "BracketRight", "|": "Backslash", "~": "Backquote"},
    **{":": "Semicolon", '"': "Quote", "<": "Comma", ">": "Period", "?": "Slash"},
}


class UinputSink:
    """Implements `InputSink`.

    share(x, y) gives the point of the whole desktop, in shares of its width and height, that a point of the picture
    shows. make_device(events, name) makes the device, by default `evdev.UInput`.
    """

    def __init__(
        self,
        share: Callable[[float, float], tuple[float, float]] = lambda x, y: (x, y),
        *,
        make_device: Callable[[dict[int, list[Any]], str], Any] | None = None,
    ) -> None:
        """Raises SinkLost when the kernel does not let us."""
        self._share = share
        make_device = make_device or _make_device
        keys = sorted(set(EVDEV.values()))
        # Value, minimum, maximum, fuzz, flat, resolution of an axis, as evdev.AbsInfo takes them.
        axis = (0, 0, _RANGE, 0, 0, 0)
        pointer: dict[int, list[Any]] = {
            _EV_KEY: sorted(_BUTTONS.values()),
            _EV_ABS: [(_ABS_X, axis), (_ABS_Y, axis)],
            _EV_REL: [_REL_WHEEL, _REL_HWHEEL],
        }
        self._pointer = make_device(pointer, "Latentcast pointer")
        # A device of its own: one with letters and an absolute pointer is taken for a tablet by some desktops.
        self._keyboard = make_device({_EV_KEY: keys}, "Latentcast keyboard")
        self._down: OrderedDict[str, None] = OrderedDict()
        self._buttons: set[int] = set()

    def move(self, x: float, y: float) -> None:
        """See `InputSink.move`."""
        for axis, share in zip((_ABS_X, _ABS_Y), self._share(x, y), strict=True):
            self._write(self._pointer, _EV_ABS, axis, round(min(max(share, 0.0), 1.0) * _RANGE))
        self._pointer.syn()

    def button(self, number: int, *, pressed: bool) -> None:
        """See `InputSink.button`."""
        self._write(self._pointer, _EV_KEY, _BUTTONS[number], int(pressed))
        self._pointer.syn()
        (self._buttons.add if pressed else self._buttons.discard)(number)

    def scroll(self, dx: int, dy: int) -> None:
        """See `InputSink.scroll`. The kernel's signs are ours."""
        for axis, notches in ((_REL_WHEEL, dy), (_REL_HWHEEL, dx)):
            if notches:
                self._write(self._pointer, _EV_REL, axis, notches)
        self._pointer.syn()

    def key(self, code: str, *, pressed: bool) -> None:
        """See `InputSink.key`."""
        self._key(code, pressed=pressed)
        if pressed:
            self._down[code] = None
        else:
            self._down.pop(code, None)

    def text(self, text: str) -> int:
        """See `InputSink.text`."""
        held = [code for code in self._down if code in MODIFIERS]
        for code in held:
            self._key(code, pressed=False)
        failed = 0
        for character in text:
            code = _PLAIN.get(character) or _SHIFTED.get(character, "")
            if not code:
                failed += 1
                continue
            keys = ["ShiftLeft", code] if character in _SHIFTED else [code]
            for key in keys:
                self._key(key, pressed=True)
            for key in reversed(keys):
                self._key(key, pressed=False)
        for code in held:
            self._key(code, pressed=True)
        return failed

    def close(self) -> None:
        """See `InputSink.close`. The kernel releases the keys of a device that goes; we do before."""
        for code in reversed(list(self._down)):
            self.key(code, pressed=False)
        for number in list(self._buttons):
            self.button(number, pressed=False)
        self._pointer.close()
        self._keyboard.close()

    def _key(self, code: str, *, pressed: bool) -> None:
        self._write(self._keyboard, _EV_KEY, EVDEV[code], int(pressed))
        self._keyboard.syn()

    @staticmethod
    def _write(device: Any, kind: int, code: int, value: int) -> None:
        try:
            device.write(kind, code, value)
        except OSError as error:
            raise SinkLost(f"the kernel does not take input any more ({error})") from error


def _make_device(events: dict[int, list[Any]], name: str) -> Any:
    try:
        evdev = importlib.import_module("evdev")
    except ImportError as error:
        raise SinkLost(
            "input through /dev/uinput needs python-evdev, which is missing: pip install 'latentcast[uinput]'."
        ) from error
    ready = {
        kind: [(code, evdev.AbsInfo(*info)) for code, info in codes] if kind == _EV_ABS else codes
        for kind, codes in events.items()
    }
    try:
        return evdev.UInput(ready, name=name)
    except (OSError, evdev.uinput.UInputError) as error:
        raise SinkLost(
            f"/dev/uinput cannot be used ({error}): load the module (modprobe uinput) and let this user write to it."
        ) from error
