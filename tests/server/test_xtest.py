"""Keys, text, buttons and wheel through XTEST, as a program on the display sees them."""

from collections.abc import Iterator

import pytest

from server.remote.keys import EVDEV, X_OFFSET
from server.remote.sink import SinkLost
from server.remote.xtest import NoXTest, XTestSink, keysym_of
from server.x11 import open_display
from tests.xvfb import Program, Seen, until, xvfb

CAPS_LOCK, SHIFT, CONTROL = (EVDEV[code] + X_OFFSET for code in ("CapsLock", "ShiftLeft", "ControlLeft"))


@pytest.fixture(scope="module")
def display() -> Iterator[str]:
    with xvfb() as name:
        yield name


@pytest.fixture
def program(display: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Program]:
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    program = Program(display, x=0, y=0, width=640, height=360)
    yield program
    assert program.held() == set()
    program.close()


@pytest.fixture
def sink(program: Program, display: str) -> Iterator[XTestSink]:
    sink = XTestSink(display, lambda x, y: (round(x), round(y)))
    yield sink
    sink.close()


def typed(program: Program, count: int) -> str:
    until(lambda: len(program.typed()) >= count)
    return program.typed()


def test_text_is_typed_whatever_the_layout_lacks(program: Program, sink: XTestSink) -> None:
    text = "Hello, World! ~{x} äÖß €uro Ωmega 日本語, naïve"
    assert sink.text(text) == 0
    assert typed(program, len(text)) == text


def test_more_foreign_characters_than_there_are_spare_keys(program: Program, sink: XTestSink) -> None:
    text = "".join(chr(0x3042 + 2 * index) for index in range(25)) * 2
    # This program looks up a key's character when it is asked, others when the key comes.
    for count, character in enumerate(text, start=1):
        sink.text(character)
        typed(program, count)
    assert program.typed() == text


def test_what_is_no_character_is_counted(program: Program, sink: XTestSink) -> None:
    assert sink.text("a\x01\x7fb\ud800") == 3
    assert typed(program, 2) == "ab"
    sink.text("\n\t\b")
    until(lambda: len([s for s in program.look() if s.kind == "key" and s.pressed]) == 5)
    pressed = [s.detail for s in program.seen if s.kind == "key" and s.pressed]
    assert pressed[2:] == [EVDEV[code] + X_OFFSET for code in ("Enter", "Tab", "Backspace")]


def test_text_is_the_same_with_modifiers_held_and_caps_lock_on(program: Program, sink: XTestSink) -> None:
    sink.key("ControlLeft", pressed=True)
    sink.key("ShiftLeft", pressed=True)
    sink.text("aB1")
    sink.key("KeyC", pressed=True)
    until(lambda: len([s for s in program.look() if s.detail == EVDEV["KeyC"] + X_OFFSET]) == 1)
    held = [seen for seen in program.seen if seen.kind == "key" and seen.detail in (SHIFT, CONTROL)]
    assert [seen.pressed for seen in held[:4]] == [True, True, False, False]
    assert held[-1].pressed, "both are held again"
    assert program.typed() == "aB1C"
    for code in ("KeyC", "ShiftLeft", "ControlLeft"):
        sink.key(code, pressed=False)
    before = len(program.typed())
    for pressed in (True, False):
        sink.key("CapsLock", pressed=pressed)
    # This program's characters know no Caps Lock: with it on, Shift is what makes a small letter.
    sink.text("x€")
    assert typed(program, before + 2)[before:] == "X€"
    for pressed in (True, False):
        sink.key("CapsLock", pressed=pressed)


def test_keys_without_a_meaning_get_it_back(display: str, program: Program) -> None:
    x = open_display(display)
    try:
        first, count = x.display.info.min_keycode, 248
        before = x.get_keyboard_mapping(first, count)
        sink = XTestSink(display, lambda x, y: (0, 0))
        sink.text("\N{SNOWMAN}\N{BLACK HEART SUIT}")
        typed(program, 2)
        assert x.get_keyboard_mapping(first, count) != before
        sink.close()
        x.sync()
        now = x.get_keyboard_mapping(first, count)
        assert [any(row) for row in now] == [any(row) for row in before]
    finally:
        x.close()


def test_pointer_buttons_and_wheel(program: Program, sink: XTestSink) -> None:
    sink.move(123, 45)
    sink.button(9, pressed=True)
    sink.button(9, pressed=False)
    sink.scroll(-2, 3)
    until(lambda: len([s for s in program.look() if s.kind == "button"]) == 12)
    pressed = [seen for seen in program.seen if seen.kind == "button" and seen.pressed]
    assert pressed[0] == Seen("button", 9, True, 123, 45)
    assert [seen.detail for seen in pressed[1:]] == [4, 4, 4, 6, 6]


def test_closing_releases_what_is_pressed(program: Program, display: str) -> None:
    sink = XTestSink(display, lambda x, y: (10, 10))
    sink.key("KeyA", pressed=True)
    sink.move(0, 0)
    sink.button(1, pressed=True)
    until(lambda: len(program.held()) == 2)
    sink.close()
    until(lambda: not program.held())


def test_no_display_no_xtest_and_a_display_that_goes_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    with xvfb(arguments=("-extension", "XTEST")) as name, pytest.raises(NoXTest, match="uinput"):
        XTestSink(name, lambda x, y: (0, 0))
    with xvfb() as name:
        sink = XTestSink(name, lambda x, y: (0, 0))
    with pytest.raises(SinkLost, match="does not take input any more"):
        sink.text("a")
    sink.close()
    with pytest.raises(SinkLost, match="cannot be reached"):
        XTestSink(name, lambda x, y: (0, 0))


@pytest.mark.parametrize(("character", "keysym"), [("a", 0x61), ("é", 0xE9), ("€", 0x010020AC), ("\n", 0xFF0D)])
def test_keysyms(character: str, keysym: int) -> None:
    assert keysym_of(character) == keysym
