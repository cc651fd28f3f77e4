"""Physical keys: `KeyboardEvent.code` of W3C's UI Events (section "KeyboardEvent code Values") to Linux key codes.

The numbers are those of linux/input-event-codes.h. An X server on evdev or libinput, and Xvfb, has them shifted by 8.
Which character a key makes is decided by the layout of the machine that is driven. Power, Sleep and WakeUp are left
out: those keys of a viewer mean the viewer's own machine.
"""

X_OFFSET = 8
"""X keycodes start at 8; xf86-input-evdev, libinput and XKB's evdev rules add it to the Linux code."""


def _row(first: int, *codes: str) -> dict[str, int]:
    return {code: first + index for index, code in enumerate(codes)}


def _letters(first: int, letters: str) -> dict[str, int]:
    return _row(first, *(f"Key{letter}" for letter in letters))


EVDEV: dict[str, int] = {
    "Escape": 1,
    **_row(2, *(f"Digit{digit}" for digit in "1234567890")),
    **_row(12, "Minus", "Equal", "Backspace", "Tab"),
    **_letters(16, "QWERTYUIOP"),
    **_row(26, "BracketLeft", "BracketRight", "Enter", "ControlLeft"),
    **_letters(30, "ASDFGHJKL"),
    **_row(39, "Semicolon", "Quote", "Backquote", "ShiftLeft", "Backslash"),
    **_letters(44, "ZXCVBNM"),
    **_row(51, "Comma", "Period", "Slash", "ShiftRight", "NumpadMultiply", "AltLeft", "Space", "CapsLock"),
    **_row(59, *(f"F{number}" for number in range(1, 11))),
    **_row(69, "NumLock", "ScrollLock"),
    **_row(71, "Numpad7", "Numpad8", "Numpad9", "NumpadSubtract"),
    **_row(75, "Numpad4", "Numpad5", "Numpad6", "NumpadAdd"),
    **_row(79, "Numpad1", "Numpad2", "Numpad3", "Numpad0", "NumpadDecimal"),
    **_row(85, "Lang5", "IntlBackslash", "F11", "F12", "IntlRo", "Lang3", "Lang4", "Convert", "KanaMode"),
    **_row(94, "NonConvert"),
    **_row(96, "NumpadEnter", "ControlRight", "NumpadDivide", "PrintScreen", "AltRight"),
    **_row(102, "Home", "ArrowUp", "PageUp", "ArrowLeft", "ArrowRight", "End", "ArrowDown", "PageDown"),
    **_row(110, "Insert", "Delete"),
    **_row(113, "AudioVolumeMute", "AudioVolumeDown", "AudioVolumeUp"),
    "NumpadEqual": 117,
    "Pause": 119,
    "NumpadComma": 121,
    **_row(122, "Lang1", "Lang2", "IntlYen", "MetaLeft", "MetaRight", "ContextMenu"),
    **_row(128, "BrowserStop", "Again", "Props", "Undo"),
    **_row(133, "Copy", "Open", "Paste", "Find", "Cut", "Help"),
    "LaunchApp2": 140,
    **_row(155, "LaunchMail", "BrowserFavorites"),
    **_row(158, "BrowserBack", "BrowserForward"),
    "Eject": 161,
    **_row(163, "MediaTrackNext", "MediaPlayPause", "MediaTrackPrevious", "MediaStop"),
    **_row(172, "BrowserHome", "BrowserRefresh"),
    **_row(183, *(f"F{number}" for number in range(13, 25))),
    "BrowserSearch": 217,
    "MediaSelect": 226,
}
"""Linux key code by `KeyboardEvent.code`."""

MODIFIERS = frozenset(f"{name}{side}" for name in ("Shift", "Control", "Alt", "Meta") for side in ("Left", "Right"))
"""Keys that change what others mean, for as long as they are held."""
