"""Physical keys as SDL numbers them, to `KeyboardEvent.code` of W3C's UI Events.

SDL's scancodes are the usages of the USB HID keyboard page (HID Usage Tables, section 10), and its own from 258 on for
the keys of media and browsers. No SDL is needed here.
"""


def _row(first: int, *codes: str) -> dict[int, str]:
    return {first + index: code for index, code in enumerate(codes) if code}


CODES: dict[int, str] = {
    **_row(4, *(f"Key{letter}" for letter in "ABCDEFGHIJKLMNOPQRSTUVWXYZ")),
    **_row(30, *(f"Digit{digit}" for digit in "1234567890")),
    **_row(40, "Enter", "Escape", "Backspace", "Tab", "Space", "Minus", "Equal", "BracketLeft", "BracketRight"),
    # 50 is the key beside Enter of ISO keyboards, which operating systems report as Backslash too.
    **_row(49, "Backslash", "Backslash", "Semicolon", "Quote", "Backquote", "Comma", "Period", "Slash", "CapsLock"),
    **_row(58, *(f"F{number}" for number in range(1, 13))),
    **_row(70, "PrintScreen", "ScrollLock", "Pause", "Insert", "Home", "PageUp", "Delete", "End", "PageDown"),
    **_row(79, "ArrowRight", "ArrowLeft", "ArrowDown", "ArrowUp", "NumLock"),
    **_row(84, "NumpadDivide", "NumpadMultiply", "NumpadSubtract", "NumpadAdd", "NumpadEnter"),
    **_row(89, *(f"Numpad{digit}" for digit in "1234567890"), "NumpadDecimal", "IntlBackslash", "ContextMenu"),
    **_row(103, "NumpadEqual", *(f"F{number}" for number in range(13, 25))),
    **_row(116, "Open", "Help", "Props", "Select", "", "Again", "Undo", "Cut", "Copy", "Paste", "Find"),
    **_row(127, "AudioVolumeMute", "AudioVolumeUp", "AudioVolumeDown"),
    **_row(133, "NumpadComma", "", "IntlRo", "KanaMode", "IntlYen", "Convert", "NonConvert"),
    **_row(144, "Lang1", "Lang2", "Lang3", "Lang4", "Lang5"),
    **_row(224, "ControlLeft", "ShiftLeft", "AltLeft", "MetaLeft", "ControlRight", "ShiftRight", "AltRight"),
    231: "MetaRight",
    **_row(258, "MediaTrackNext", "MediaTrackPrevious", "MediaStop", "MediaPlayPause", "AudioVolumeMute"),
    **_row(263, "MediaSelect", "", "LaunchMail", "LaunchApp2", "", "BrowserSearch", "BrowserHome", "BrowserBack"),
    **_row(271, "BrowserForward", "BrowserStop", "BrowserRefresh", "BrowserFavorites"),
}
"""`KeyboardEvent.code` by SDL scancode. Keys that are missing here are not sent."""

RIGHT_CTRL, F10 = 228, 67
"""Keys that begin and end driving."""
