"""Input through the XTEST extension, the ordinary way on X11: to applications it looks like a mouse and a keyboard.

Text is typed by character. One that the layout has is typed with its key, and Shift where that takes it; for any other
a key without a meaning is given that character for as long as no other one needs the key (`_Keymap`).
"""

import logging
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

from latentcast.errors import UserError
from server.remote.keys import EVDEV, MODIFIERS, X_OFFSET
from server.remote.sink import SinkLost
from server.x11 import XDisplay, connection_lost, open_display

log = logging.getLogger(__name__)


# Core protocol numbers (X11/X.h).
_KEY_PRESS, _KEY_RELEASE, _BUTTON_PRESS, _BUTTON_RELEASE, _MOTION = 2, 3, 4, 5, 6
_SHIFT_MASK, _LOCK_MASK = 1, 2
_GROUP_SHIFT, _GROUP_BITS = 13, 3
"""XKB puts the active layout's number into these bits of the state that the core protocol reports."""

_UP, _DOWN, _LEFT, _RIGHT = 4, 5, 6, 7
"""The buttons that X has for the wheel."""

_SHIFT = EVDEV["ShiftLeft"] + X_OFFSET

_SPARE_KEYS = 12
"""Keys that are given characters at most: enough that one is not used again within a word."""
_REUSE_PAUSE_S = 0.02
"""Applications look a key's character up when they handle the press, so it must not change before."""

_CONTROLS = {"\n": 0xFF0D, "\r": 0xFF0D, "\t": 0xFF09, "\b": 0xFF08}
"""Characters that are keys: Return, Tab, BackSpace (X11/keysymdef.h)."""


def keysym_of(character: str) -> int | None:
    """The keysym of a character (X protocol, appendix A, and X11/keysymdef.h), or None for other control characters."""
    code = ord(character)
    if character in _CONTROLS:
        return _CONTROLS[character]
    if 0x20 <= code <= 0x7E or 0xA0 <= code <= 0xFF:
        return code
    if code < 0x100 or 0xD800 <= code <= 0xDFFF:
        return None
    return 0x01000000 + code


class NoXTest(SinkLost):
    """The X server has no XTEST extension, and will not have one later."""


class XTestSink:
    """Implements `InputSink`. `locate(x, y)` gives the screen pixel of a point of the picture."""

    def __init__(self, display_name: str | None, locate: Callable[[float, float], tuple[int, int]]) -> None:
        """Raises SinkLost when the display cannot be reached or has no XTEST."""
        self._locate = locate
        try:
            self._display: XDisplay = open_display(display_name)
        except UserError as error:
            raise SinkLost(str(error)) from error
        if not self._display.has_extension("XTEST"):
            self._display.close()
            raise NoXTest(
                "this X server has no XTEST extension, which input needs: start it with +extension XTEST, or set "
                "serve.input_device to uinput."
            )
        self._down: OrderedDict[str, None] = OrderedDict()
        """Physical keys that are pressed, the oldest first."""
        self._buttons: set[int] = set()
        self._keymap = _Keymap(self._display)

    def move(self, x: float, y: float) -> None:
        """See `InputSink.move`."""
        column, row = self._locate(x, y)
        with _losing():
            self._fake(_MOTION, x=column, y=row)
            self._display.flush()

    def button(self, number: int, *, pressed: bool) -> None:
        """See `InputSink.button`."""
        with _losing():
            self._fake(_BUTTON_PRESS if pressed else _BUTTON_RELEASE, number)
            self._display.flush()
        (self._buttons.add if pressed else self._buttons.discard)(number)

    def scroll(self, dx: int, dy: int) -> None:
        """See `InputSink.scroll`. A notch is a press and a release of one of X's wheel buttons."""
        with _losing():
            for number, notches in ((_UP, dy), (_DOWN, -dy), (_RIGHT, dx), (_LEFT, -dx)):
                for _ in range(notches):
                    self._fake(_BUTTON_PRESS, number)
                    self._fake(_BUTTON_RELEASE, number)
            self._display.flush()

    def key(self, code: str, *, pressed: bool) -> None:
        """See `InputSink.key`."""
        with _losing():
            self._key(EVDEV[code] + X_OFFSET, pressed=pressed)
            self._display.flush()
        if pressed:
            self._down[code] = None
        else:
            self._down.pop(code, None)

    def text(self, text: str) -> int:
        """See `InputSink.text`. Modifiers that are held are let go meanwhile."""
        with _losing():
            held = [EVDEV[code] + X_OFFSET for code in self._down if code in MODIFIERS]
            for keycode in held:
                self._key(keycode, pressed=False)
            failed = sum(not self._type(character) for character in text)
            for keycode in held:
                self._key(keycode, pressed=True)
            self._display.flush()
        return failed

    def close(self) -> None:
        """See `InputSink.close`. Keys that were given characters lose them."""
        try:
            with _losing():
                for code in reversed(self._down):
                    self._key(EVDEV[code] + X_OFFSET, pressed=False)
                for number in self._buttons:
                    self._fake(_BUTTON_RELEASE, number)
                self._keymap.restore()
                self._display.sync()
                self._display.close()
        except SinkLost:
            log.debug("the X display went before input was released")

    def _type(self, character: str) -> bool:
        keysym = keysym_of(character)
        if keysym is None:
            return False
        state = self._display.screen().root.query_pointer().mask
        found = self._keymap.find(keysym, group=state >> _GROUP_SHIFT & _GROUP_BITS)
        if found is None:
            return False
        keycode, shift = found
        if state & _LOCK_MASK and character.isalpha() and character.lower() != character.upper():
            shift = not shift and not self._keymap.is_spare(keycode)
        if shift:
            self._key(_SHIFT, pressed=True)
        self._key(keycode, pressed=True)
        self._key(keycode, pressed=False)
        if shift:
            self._key(_SHIFT, pressed=False)
        return True

    def _key(self, keycode: int, *, pressed: bool) -> None:
        self._fake(_KEY_PRESS if pressed else _KEY_RELEASE, keycode)

    def _fake(self, kind: int, detail: int = 0, *, x: int = 0, y: int = 0) -> None:
        self._display.xtest_fake_input(kind, detail, x=x, y=y)


class _Keymap:
    """Which key makes a character, and the keys that are free to be given one."""

    def __init__(self, display: XDisplay) -> None:
        self._display = display
        info = display.display.info
        self._first = info.min_keycode
        self._count = info.max_keycode - info.min_keycode + 1
        self._spare: OrderedDict[int, int | None] = OrderedDict()
        """Keycode to the keysym it was given; the one that was used longest ago first."""
        modifiers = {keycode for keys in display.get_modifier_mapping() for keycode in keys}
        for offset, keysyms in enumerate(display.get_keyboard_mapping(self._first, self._count)):
            keycode = self._first + offset
            if len(self._spare) < _SPARE_KEYS and not any(keysyms) and keycode not in modifiers:
                self._spare[keycode] = None

    def is_spare(self, keycode: int) -> bool:
        """Whether the key had no meaning of its own: Caps Lock does not matter to it."""
        return keycode in self._spare

    def find(self, keysym: int, *, group: int) -> tuple[int, bool] | None:
        """Key, and whether it takes Shift; in the layout `group` (0 or 1 are seen). None when no key can be had."""
        for keycode, given in self._spare.items():
            if given == keysym:
                self._spare.move_to_end(keycode)
                return keycode, False
        column = 2 * min(group, 1)
        mapping = self._display.get_keyboard_mapping(self._first, self._count)
        for shift in (0, 1):
            for offset, keysyms in enumerate(mapping):
                keycode = self._first + offset
                if keycode not in self._spare and _at(keysyms, column, shift) == keysym:
                    return keycode, bool(shift)
        return self._give(keysym)

    def restore(self) -> None:
        """Take all characters away again."""
        for keycode, given in self._spare.items():
            if given is not None:
                self._set(keycode, 0)

    def _give(self, keysym: int) -> tuple[int, bool] | None:
        if not self._spare:
            return None
        keycode, given = next(iter(self._spare.items()))
        if given is not None:
            self._display.sync()
            time.sleep(_REUSE_PAUSE_S)
        self._set(keycode, keysym)
        # The mapping must be there before the key is pressed, and everybody be told of it before the press.
        self._display.sync()
        self._spare[keycode] = keysym
        self._spare.move_to_end(keycode)
        return keycode, False

    def _set(self, keycode: int, keysym: int) -> None:
        self._display.change_keyboard_mapping(keycode, [[keysym, keysym]])


def _at(keysyms: Iterable[int], column: int, shift: int) -> int:
    """The keysym of a group and level (X protocol, section 5: a letter alone stands for its lower and upper case)."""
    row = [*keysyms, 0, 0, 0, 0]
    first, second = row[column : column + 2]
    if not (first or second) and column:
        return _at(row, 0, shift)
    if not shift:
        return first
    if second:
        return second
    upper = ord(chr(first).upper()) if 0x61 <= first <= 0x7A else 0
    return upper


@contextmanager
def _losing() -> Iterator[None]:
    """What python-xlib raises when the server has gone, in our words."""
    try:
        yield
    except connection_lost() as error:
        raise SinkLost(f"the X display does not take input any more ({error or type(error).__name__})") from error
