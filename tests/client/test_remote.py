"""What the user does in a window, as the server gets it: pygame's own events in, messages out, no window."""

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pygame
import pytest

from client.channel import Channel
from client.fit import Box, PictureArea, letterbox
from client.keys import KEYS
from client.picture import Picture, PictureMailbox
from client.remote import POINTER_INTERVAL_S, RemoteControl
from client.remote_desk import SdlDesk
from client.scancodes import CODES, F10, RIGHT_CTRL
from client.status import ViewStatus
from client.timeline import Timeline
from client.window import Window
from latentcast.clipboard import ClipboardOutbox
from latentcast.control import (
    MAX_INPUT_EVENTS,
    Button,
    Clipboard,
    Cursor,
    Input,
    InputEvent,
    Key,
    Pointer,
    Release,
    RemoteMessage,
    Text,
    Wheel,
)
from server.remote.cursor import cursor_message
from server.remote.keys import EVDEV
from tests.xvfb import xvfb

AREA = PictureArea(Box(0, 60, 640, 360))
"""A 16:9 picture in a window of 640x480."""
LEFT_CTRL, KEY_A, KEY_Q = 224, 4, 20


class Server:
    """The link."""

    def __init__(self) -> None:
        self.may_drive = True
        self.control_backlog = 0
        self.got: list[RemoteMessage] = []

    def send_remote(self, message: RemoteMessage) -> None:
        self.got.append(message)

    @property
    def events(self) -> list[InputEvent]:
        return [event for message in self.got if isinstance(message, Input) for event in message.events]


class Machine:
    """The desk."""

    def __init__(self) -> None:
        self.text: str | None = None
        self.cursors: list[Cursor | None] = []

    def copied(self) -> str | None:
        return self.text

    def copy(self, text: str) -> None:
        self.text = text

    def show_cursor(self, cursor: Cursor | None) -> None:
        self.cursors.append(cursor)


class Session:
    """A remote control at work."""

    def __init__(self, *, typed: bool = False, driving: bool = True, clipboard: bool = True) -> None:
        self.now = 0.0
        self.server, self.machine = Server(), Machine()
        self.said: list[str] = []
        self.control = RemoteControl(
            self.server, self.machine, say=self.said.append, typed=typed, clipboard=clipboard, clock=lambda: self.now
        )
        if driving:
            assert self.press(F10)

    def event(self, kind: int, area: PictureArea | None = AREA, /, **fields: Any) -> bool:
        return self.control(pygame.event.Event(kind, **fields), area)

    def press(self, scancode: int, *, mod: int = 0, unicode: str = "") -> bool:
        return self.event(pygame.KEYDOWN, scancode=scancode, mod=mod, unicode=unicode, key=0)

    def release(self, scancode: int) -> bool:
        return self.event(pygame.KEYUP, scancode=scancode, mod=0, key=0)

    def turn(self) -> list[InputEvent]:
        """A turn of the loop; what the server has got since the last."""
        before = len(self.server.events)
        self.control.tick()
        self.now += 0.02
        return self.server.events[before:]


def test_nothing_is_sent_and_nothing_taken_before_driving_begins() -> None:
    session = Session(driving=False)
    assert not session.press(KEY_A)
    assert not session.event(pygame.MOUSEMOTION, pos=(320, 240))
    assert not session.event(pygame.MOUSEBUTTONDOWN, pos=(320, 240), button=1)
    session.turn()
    assert session.server.got == []


def test_who_may_only_watch_is_told_so_and_keeps_its_keys() -> None:
    session = Session(driving=False)
    session.server.may_drive = False
    assert not session.press(RIGHT_CTRL), "part of somebody's Ctrl+C"
    assert session.said == []
    assert session.press(F10)
    assert "--input-token" in session.said[0]
    assert not session.press(KEY_A)


@pytest.mark.parametrize(("scancode", "mod"), [(RIGHT_CTRL, 0), (F10, pygame.KMOD_LCTRL)])
def test_driving_ends_with_everything_released(scancode: int, mod: int) -> None:
    session = Session()
    session.press(KEY_A)
    assert session.control.is_driving()
    assert session.press(scancode, mod=mod)
    assert session.server.events == [Key(code="KeyA", pressed=True), Release()]
    assert not session.control.is_driving()
    assert session.machine.cursors == [None]


def test_keys_that_mean_something_to_the_window_go_to_the_remote_machine() -> None:
    session = Session()
    assert session.press(KEY_Q)
    assert session.press(F10), "F10 itself, once driving"
    assert session.turn() == [Key(code="KeyQ", pressed=True), Key(code="F10", pressed=True)]


def test_repeats_and_releases_of_keys_that_were_not_sent_are_left_out() -> None:
    session = Session(driving=False)
    session.press(KEY_A)
    session.press(F10)
    session.release(F10)
    session.release(KEY_A)
    session.press(KEY_Q)
    session.press(KEY_Q)
    session.release(KEY_Q)
    assert session.turn() == [Key(code="KeyQ", pressed=True), Key(code="KeyQ", pressed=False)]


def test_losing_the_focus_releases_everything_at_once() -> None:
    session = Session()
    session.press(LEFT_CTRL)
    assert not session.event(pygame.WINDOWFOCUSLOST), "the window hears of it too"
    assert session.server.events == [Key(code="ControlLeft", pressed=True), Release()]
    session.release(LEFT_CTRL)
    assert session.turn() == []


@pytest.mark.parametrize("window", [(640, 360), (1920, 1080), (300, 900), (2560, 600), (161, 91)])
@pytest.mark.parametrize("density", [1.0, 1.5, 2.0])
def test_the_pointer_is_right_at_any_size_shape_and_density(window: tuple[int, int], density: float) -> None:
    pixels = round(window[0] * density), round(window[1] * density)
    box = letterbox((640, 360), pixels)
    area = PictureArea(box, density)
    session = Session()
    for share in (0.0, 0.25, 0.75, 1.0):
        at = [
            round((start + share * length) / density)
            for start, length in ((box.left, box.width), (box.top, box.height))
        ]
        session.event(pygame.MOUSEMOTION, area, pos=tuple(at))
        (event,) = session.turn()
        assert isinstance(event, Pointer)
        assert event.x == pytest.approx(share, abs=density / box.width)
        assert event.y == pytest.approx(share, abs=density / box.height)


def test_a_pointer_outside_the_picture_is_at_its_edge() -> None:
    session = Session()
    session.event(pygame.MOUSEMOTION, pos=(-5000, 100_000))
    assert session.turn() == [Pointer(x=0.0, y=1.0)]
    session.event(pygame.MOUSEMOTION, None, pos=(5, 5))
    assert session.turn() == []


def test_pointers_are_put_together_and_never_overtake_a_button() -> None:
    session = Session()
    for x in range(100):
        session.event(pygame.MOUSEMOTION, pos=(x, 60))
    session.event(pygame.MOUSEBUTTONDOWN, pos=(320, 240), button=1)
    session.event(pygame.MOUSEMOTION, pos=(320, 420))
    session.event(pygame.MOUSEBUTTONUP, pos=(640, 420), button=1)
    assert session.turn() == [
        Pointer(x=0.5, y=0.5),
        Button(button=1, pressed=True),
        Pointer(x=1.0, y=1.0),
        Button(button=1, pressed=False),
    ]


def test_pointers_alone_are_sent_at_the_rate_of_a_mouse_and_the_last_is_never_lost() -> None:
    session = Session()
    for x in range(64):
        session.event(pygame.MOUSEMOTION, pos=(10 * x, 60))
        session.control.tick()
        session.now += POINTER_INTERVAL_S / 8
    assert 8 <= len(session.server.events) <= 9
    session.now += POINTER_INTERVAL_S
    (last,) = session.turn()
    assert isinstance(last, Pointer)
    assert last.x == pytest.approx(630 / 640)


def test_buttons_are_numbered_as_x_does_and_those_beside_the_picture_belong_to_the_window() -> None:
    session = Session()
    for button in (2, 3, 6, 7):
        assert session.event(pygame.MOUSEBUTTONDOWN, pos=(320, 240), button=button)
        assert session.event(pygame.MOUSEBUTTONUP, pos=(320, 240), button=button)
    pressed = [event.button for event in session.turn() if isinstance(event, Button) and event.pressed]
    assert pressed == [2, 3, 8, 9]
    assert session.event(pygame.MOUSEBUTTONDOWN, pos=(320, 240), button=4), "the wheel comes as MOUSEWHEEL"
    assert not session.event(pygame.MOUSEBUTTONDOWN, pos=(320, 30), button=1)
    assert not session.event(pygame.MOUSEBUTTONUP, pos=(320, 30), button=1)
    assert session.turn() == []


def test_a_button_that_is_let_go_outside_is_let_go() -> None:
    session = Session()
    session.event(pygame.MOUSEBUTTONDOWN, pos=(320, 240), button=1)
    session.event(pygame.MOUSEBUTTONUP, pos=(320, 30), button=1)
    assert session.turn()[-1] == Button(button=1, pressed=False)


def test_the_wheel_keeps_fractions_and_is_limited() -> None:
    session = Session()
    session.event(pygame.MOUSEWHEEL, x=0, y=1, precise_x=0.0, precise_y=0.25)
    session.event(pygame.MOUSEWHEEL, x=1, y=0)
    session.event(pygame.MOUSEWHEEL, x=0, y=0, precise_x=0.0, precise_y=1e9)
    session.event(pygame.MOUSEWHEEL, x=0, y=0, precise_x=0.0, precise_y=0.0)
    assert session.turn() == [Wheel(dy=0.25), Wheel(dx=1.0), Wheel(dy=100.0)]


def test_a_flood_is_cut_into_messages_that_the_server_takes() -> None:
    session = Session()
    for number in range(300):
        session.event(pygame.MOUSEWHEEL, x=number % 2 + 1, y=0)
    session.turn()
    assert len(session.server.events) == 300
    sizes = [len(message.events) for message in session.server.got if isinstance(message, Input)]
    assert max(sizes) == MAX_INPUT_EVENTS


def test_text_of_an_input_method_is_sent_and_that_of_a_key_is_not() -> None:
    session = Session()
    session.press(KEY_A, unicode="a")
    assert session.event(pygame.TEXTINPUT, text="a")
    session.release(KEY_A)
    assert session.event(pygame.TEXTEDITING, text="に", start=0, length=1)
    session.event(pygame.TEXTINPUT, text="日本" * 40)
    text = [event for event in session.turn() if isinstance(event, Text)]
    assert [len(event.text) for event in text] == [64, 16]


def test_typed_characters_follow_this_keyboard_and_shortcuts_the_keys() -> None:
    session = Session(typed=True)
    session.press(KEY_A, unicode="q")
    session.event(pygame.TEXTINPUT, text="q")
    session.release(KEY_A)
    session.press(KEY_A, unicode="\x01", mod=pygame.KMOD_LCTRL)
    session.release(KEY_A)
    session.press(40, unicode="\r")
    assert session.turn() == [
        Text(text="q"),
        Key(code="KeyA", pressed=True),
        Key(code="KeyA", pressed=False),
        Key(code="Enter", pressed=True),
    ]


def test_between_two_connections_nothing_is_kept_for_later() -> None:
    session = Session()
    session.press(KEY_A)
    session.server.may_drive = False
    assert session.turn() == []
    session.server.may_drive = True
    session.release(KEY_A)
    assert session.turn() == []
    session.press(KEY_A)
    assert session.turn() == [Key(code="KeyA", pressed=True)]


def parts(text: str) -> list[Clipboard]:
    outbox = ClipboardOutbox()
    outbox.put(text, whose="the server's")
    return outbox.poll(0.0, bytes_per_s=1e9, buffered_bytes=0)


def test_the_clipboard_goes_over_when_driving_begins_and_not_back_again() -> None:
    session = Session(driving=False)
    session.machine.text = "copied here"
    session.press(F10)
    session.press(KEY_A)
    session.turn()
    first, second = session.server.got
    assert isinstance(first, Clipboard)
    assert first.text == "copied here"
    assert isinstance(second, Input), "the key comes after the text that it may paste"

    for message in parts("copied there"):
        session.control.on_message(message)
    session.turn()
    assert session.machine.text == "copied there"
    session.event(pygame.CLIPBOARDUPDATE)
    session.event(pygame.WINDOWFOCUSGAINED)
    session.turn()
    assert len(session.server.got) == 2, "it is the server's own text"


def test_what_is_copied_elsewhere_waits_for_the_focus_and_may_be_kept_back() -> None:
    session = Session()
    session.event(pygame.WINDOWFOCUSLOST)
    session.machine.text = "a password, copied in another window"
    session.event(pygame.CLIPBOARDUPDATE)
    session.turn()
    assert not [message for message in session.server.got if isinstance(message, Clipboard)]
    session.event(pygame.WINDOWFOCUSGAINED)
    session.turn()
    assert [message.text for message in session.server.got if isinstance(message, Clipboard)] == [session.machine.text]

    alone = Session(clipboard=False)
    alone.machine.text = "mine"
    alone.event(pygame.WINDOWFOCUSGAINED)
    for message in parts("theirs"):
        alone.control.on_message(message)
    alone.turn()
    assert alone.server.got == []
    assert alone.machine.text == "mine"


def test_a_clipboard_of_10_mb_is_refused_in_words() -> None:
    session = Session()
    session.machine.text = "x" * (10 << 20)
    session.event(pygame.CLIPBOARDUPDATE)
    session.turn()
    assert session.server.got == []
    assert "10.0 MiB" in session.said[-1]
    assert "at most 1.0 MiB" in session.said[-1]


def test_what_the_server_sends_is_left_alone_by_who_does_not_drive() -> None:
    session = Session(driving=False)
    for message in parts("secret"):
        session.control.on_message(message)
    session.control.on_message(Cursor(visible=False))
    session.turn()
    assert session.machine.text is None
    assert session.machine.cursors == []


def test_the_pointer_takes_the_shape_of_the_remote_one() -> None:
    session = Session()
    session.control.on_message(Cursor(visible=True, hot_x=1))
    session.control.on_message(Cursor(visible=True, hot_x=2))
    session.turn()
    session.turn()
    assert session.machine.cursors == [Cursor(visible=True, hot_x=2)]


def test_every_key_that_is_sent_is_one_that_the_server_knows() -> None:
    known_here_only = set(CODES.values()) - set(EVDEV)
    assert known_here_only == {"Select"}
    assert len(set(CODES.values())) > 150
    names = {pygame.KSCAN_A: "KeyA", pygame.KSCAN_RCTRL: "ControlRight", pygame.KSCAN_F10: "F10"}
    names |= {pygame.KSCAN_RETURN: "Enter", pygame.KSCAN_UP: "ArrowUp", pygame.KSCAN_KP_ENTER: "NumpadEnter"}
    names |= {pygame.KSCAN_0: "Digit0", pygame.KSCAN_F12: "F12", pygame.KSCAN_SLASH: "Slash"}
    names |= {pygame.KSCAN_NONUSBACKSLASH: "IntlBackslash", pygame.KSCAN_LSHIFT: "ShiftLeft"}
    assert {code: CODES[code] for code in names} == names
    assert not any("F10" in caps for caps, _ in KEYS), "F10 is the remote control's"


@pytest.fixture
def desk(monkeypatch: pytest.MonkeyPatch) -> Iterator[SdlDesk]:
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    pygame.display.init()
    pygame.display.set_mode((64, 64))
    yield SdlDesk()
    pygame.display.quit()


def test_sdl_keeps_the_clipboard(desk: SdlDesk) -> None:
    desk.copy("Grüße, 日本")
    assert desk.copied() == "Grüße, 日本"
    desk.copy("")
    assert desk.copied() is None


@pytest.mark.parametrize(
    "png",
    ["", "////", base64.b64encode(b"\x89PNG\r\n\x1a\n" + bytes(8) + b"\x00\x01\x00\x00" * 2).decode(), "=A=="],
    ids=["none", "noise", "65536x65536", "no base64"],
)
def test_cursors_that_are_no_picture_are_the_arrow(desk: SdlDesk, png: str) -> None:
    desk.show_cursor(Cursor.model_construct(visible=True, png=png, hot_x=0, hot_y=0))
    assert pygame.mouse.get_cursor().type == "system"


def test_a_cursor_of_the_server_is_shown_and_taken_back(monkeypatch: pytest.MonkeyPatch) -> None:
    # Only a real display has the system's own cursors.
    monkeypatch.delenv("SDL_VIDEODRIVER", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    with xvfb() as display:
        monkeypatch.setenv("DISPLAY", display)
        pygame.display.init()
        pygame.display.set_mode((64, 64))
        desk = SdlDesk()
        desk.show_cursor(cursor_message([0xFFFFFFFF] * 256, width=16, height=16, hot=(3, 200)))
        shown = pygame.mouse.get_cursor()
        assert (shown.type, shown.data[0]) == ("color", (3, 15))
        desk.show_cursor(Cursor(visible=False))
        assert not pygame.mouse.get_visible()
        desk.show_cursor(None)
        assert pygame.mouse.get_visible()
        assert pygame.mouse.get_cursor().type == "system"
        pygame.display.quit()


def test_a_window_hands_everything_to_who_drives_and_shows_it(desk: SdlDesk, tmp_path: Path) -> None:
    session = Session(driving=False)
    control = session.control
    channel = Channel(
        name="desktop",
        mailbox=PictureMailbox(),
        status=ViewStatus,
        hook=control,
        tick=control.tick,
        drivable=control.may_drive,
        driving=control.is_driving,
        on_hidden=control.stop,
    )
    planes = np.full((3, 360, 640), 128, np.uint8)
    channel.mailbox.put(Picture(frame_id=0, planes=planes, timeline=Timeline(*range(7)), qp=31, intra=True))
    window = Window([channel], size=(640, 480), folder=tmp_path, panel=False)
    window.step()

    def corner() -> int:
        """Pixels of the badge."""
        seen = pygame.surfarray.array3d(window.contents())[-200:, :50]
        return int(np.count_nonzero(np.abs(seen.astype(int) - seen[0, -1]).max(axis=2) > 40))

    assert corner() == 0
    window.handle(pygame.event.Event(pygame.KEYDOWN, scancode=F10, mod=0, key=pygame.K_F10, unicode=""))
    window.handle(pygame.event.Event(pygame.KEYDOWN, scancode=KEY_Q, mod=0, key=pygame.K_q, unicode="q"))
    window.handle(pygame.event.Event(pygame.MOUSEBUTTONDOWN, pos=(160, 150), button=1))
    window.step()
    assert window.driving
    assert not window.quit
    assert session.server.events == [
        Key(code="KeyQ", pressed=True),
        Pointer(x=0.25, y=0.25),
        Button(button=1, pressed=True),
    ]
    assert corner() > 0
    window.handle(pygame.event.Event(pygame.KEYDOWN, scancode=RIGHT_CTRL, mod=0, key=pygame.K_RCTRL, unicode=""))
    assert session.server.events[-1] == Release()
    window.handle(pygame.event.Event(pygame.KEYDOWN, scancode=KEY_Q, mod=0, key=pygame.K_q, unicode="q"))
    assert window.quit
    window.close()
