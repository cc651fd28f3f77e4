"""Driving the screen that a stream shows: what the user does in the window becomes `input` messages.

    pygame events ──▶ RemoteControl (an EventHook) ── events of one turn of the loop ──▶ tick ──▶ Link: `input`
    local clipboard ◀──▶ Desk ◀──▶ RemoteControl ◀──▶ `clipboard`, `cursor` ◀── Link

F10 or the right Ctrl key begins; the right Ctrl key, or Ctrl+F10, ends. In between every other key goes to the remote
machine, also those that mean something to the window. Pointers are shares of the picture (`PictureArea.locate`), so the
size, shape and pixel density of the window do not matter. Nothing here calls SDL: the window's events come in, `Desk`
(`remote_desk`) does what SDL is needed for.
"""

import os
import threading
import time
from collections.abc import Callable
from typing import Literal, Protocol

os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")
import pygame

from client.fit import PictureArea
from client.scancodes import CODES, F10, RIGHT_CTRL
from latentcast.clipboard import ClipboardInbox, ClipboardOutbox, ClipboardTooLarge
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

POINTER_INTERVAL_S = 0.008
"""Pointers alone are sent this often at most, 125 Hz: the rate of an ordinary mouse."""
_CLIPBOARD_BPS = 250_000.0
"""Bytes a second of a long clipboard; the way up is free but for acks."""
_MAX_TEXT = 64
"""Characters of one `text` event."""
_WHEEL_LIMIT = 100.0
_BUTTONS: dict[int, Literal[1, 2, 3, 8, 9]] = {1: 1, 2: 2, 3: 3, 6: 8, 7: 9}
"""pygame's numbers to X's. pygame's 4 and 5 are the wheel, which comes as MOUSEWHEEL as well."""

_WHY_NOT = "Nothing to drive: it takes a screen as the source, and the server's --input-token as this viewer's --token"
_BEGUN = "You are driving. Right Ctrl gives the desktop back"
_ENDED = "You are no longer driving"


class Link(Protocol):
    """The way to the server, from the window's thread: `client.viewer.Viewer`."""

    @property
    def may_drive(self) -> bool:
        """Whether the server lets this viewer drive what it shows now."""
        ...

    @property
    def control_backlog(self) -> int:
        """Bytes that wait to be sent."""
        ...

    def send_remote(self, message: RemoteMessage) -> None:
        """Send, or drop where there is no connection."""
        ...


class Desk(Protocol):
    """The machine that the viewer runs on. Main thread."""

    def copied(self) -> str | None:
        """The text in its clipboard; None without one."""
        ...

    def copy(self, text: str) -> None:
        """Put a text into its clipboard."""
        ...

    def show_cursor(self, cursor: Cursor | None) -> None:
        """The pointer's shape over the window; None for the ordinary one."""
        ...


class RemoteControl:
    """An `EventHook`. All methods belong to the window's thread, but `on_message`, which any may call.

    say(text): for the user to read in the window. typed: characters are sent as text, so that the layout of this
    keyboard decides, rather than as physical keys. clipboard: whether the two ends share theirs.
    """

    def __init__(
        self,
        link: Link,
        desk: Desk,
        *,
        say: Callable[[str], None],
        typed: bool = False,
        clipboard: bool = True,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.driving = False
        """What the user does goes to the remote machine."""
        self._link, self._desk, self._say, self._typed, self._clock = link, desk, say, typed, clock
        self._events: list[InputEvent] = []
        self._down: set[int] = set()
        """Scancodes of keys whose press was sent."""
        self._buttons: set[int] = set()
        self._previous = pygame.NOEVENT
        self._pointer_sent = float("-inf")
        self._shares = clipboard
        self._focused = True
        self._shared: str | None = None
        """The text that both clipboards had last, as far as this end knows."""
        self._outbox = ClipboardOutbox()
        self._lock = threading.Lock()
        self._inbox = ClipboardInbox()
        self._arrived: str | None = None
        self._cursor: Cursor | None = None
        self._cursor_arrived = False

    def __call__(self, event: pygame.event.Event, area: PictureArea | None) -> bool:
        """See `EventHook`."""
        previous, self._previous = self._previous, event.type
        if event.type == pygame.KEYDOWN and self._toggles(event):
            return True
        if not self.driving:
            return False
        if event.type in (pygame.KEYDOWN, pygame.KEYUP):
            self._on_key(event)
        elif event.type == pygame.TEXTINPUT:
            self._on_text(event.text, after_key=previous == pygame.KEYDOWN)
        elif event.type == pygame.TEXTEDITING:
            pass
        elif event.type in (pygame.MOUSEBUTTONDOWN, pygame.MOUSEBUTTONUP):
            return self._on_button(event, area)
        elif event.type == pygame.MOUSEWHEEL:
            self._on_wheel(event)
        else:
            if event.type == pygame.MOUSEMOTION:
                self._point(event.pos, area)
            elif event.type == pygame.WINDOWFOCUSLOST:
                self._focused = False
                self._release()
            elif event.type == pygame.WINDOWFOCUSGAINED:
                self._focused = True
                self._share_clipboard()
            elif event.type == pygame.CLIPBOARDUPDATE and self._focused:
                self._share_clipboard()
            # The window wants to know of these too.
            return False
        return True

    def may_drive(self) -> bool:
        """Whether the server lets this viewer drive what it shows now."""
        return self._link.may_drive

    def is_driving(self) -> bool:
        """Whether what the user does goes to the remote machine."""
        return self.driving

    def tick(self) -> None:
        """Send what has come together, and take in what the server sent: once a turn of the window's loop."""
        self._take_in()
        if not self.driving:
            return
        now = self._clock()
        if not self._link.may_drive:
            # Between two connections. The server has released everything; what is done now is for nobody.
            self._events.clear()
            self._down.clear()
            self._buttons.clear()
            return
        for part in self._outbox.poll(now, bytes_per_s=_CLIPBOARD_BPS, buffered_bytes=self._link.control_backlog):
            self._link.send_remote(part)
        alone = all(isinstance(event, Pointer) for event in self._events)
        if self._events and not (alone and now - self._pointer_sent < POINTER_INTERVAL_S):
            self._flush()

    def on_message(self, message: Cursor | Clipboard) -> None:
        """The server sent a cursor or a part of its clipboard. Any thread."""
        with self._lock:
            if isinstance(message, Cursor):
                self._cursor, self._cursor_arrived = message, True
            elif (text := self._inbox.add(message)) is not None:
                self._arrived = text

    def stop(self) -> None:
        """Give the desktop back, if it is driven."""
        if self.driving:
            self._release()
            self.driving = False
            self._desk.show_cursor(None)
            self._say(_ENDED)

    # -- the user

    def _toggles(self, event: pygame.event.Event) -> bool:
        """Whether a key press begins or ends driving, which is done then."""
        scancode, modifiers = event.dict.get("scancode"), event.dict.get("mod", 0)
        if self.driving:
            if scancode == RIGHT_CTRL or (scancode == F10 and modifiers & pygame.KMOD_CTRL):
                self.stop()
                return True
            return False
        plain = not modifiers & (pygame.KMOD_CTRL | pygame.KMOD_ALT | pygame.KMOD_META | pygame.KMOD_SHIFT)
        if scancode == F10 and plain:
            self._start()
            return True
        # The right Ctrl key belongs to any shortcut: without the right to drive it means nothing.
        if scancode == RIGHT_CTRL and self._link.may_drive:
            self._start()
            return True
        return False

    def _start(self) -> None:
        if not self._link.may_drive:
            self._say(_WHY_NOT)
            return
        self.driving = self._focused = True
        self._say(_BEGUN)
        self._share_clipboard()

    def _on_key(self, event: pygame.event.Event) -> None:
        scancode = event.dict.get("scancode", 0)
        code = CODES.get(scancode)
        pressed = event.type == pygame.KEYDOWN
        if code is None:
            return
        if pressed:
            if self._types(event) or scancode in self._down:
                return
            self._down.add(scancode)
        elif scancode not in self._down:
            # Pressed before driving began, or typed as text.
            return
        else:
            self._down.discard(scancode)
        self._add(Key(code=code, pressed=pressed))

    def _types(self, event: pygame.event.Event) -> bool:
        """Whether a key press is left to the text that comes of it."""
        modifiers = event.dict.get("mod", 0)
        shortcut = modifiers & (pygame.KMOD_CTRL | pygame.KMOD_LALT | pygame.KMOD_META)
        return self._typed and not shortcut and event.dict.get("unicode", "").isprintable() and bool(event.unicode)

    def _on_text(self, text: str, *, after_key: bool) -> None:
        """Text from a key whose press was sent is made at the other end; from an input method it comes without one."""
        if after_key and not self._typed:
            return
        text = "".join(character for character in text if character.isprintable())
        for start in range(0, len(text), _MAX_TEXT):
            self._add(Text(text=text[start : start + _MAX_TEXT]))

    def _on_button(self, event: pygame.event.Event, area: PictureArea | None) -> bool:
        number = _BUTTONS.get(event.button)
        if number is None:
            return True
        pressed = event.type == pygame.MOUSEBUTTONDOWN
        inside = area is not None and all(0 <= share <= 1 for share in area.locate(*event.pos))
        if pressed and not inside:
            # The bar of tabs, or the border.
            return False
        if not pressed and number not in self._buttons:
            return False
        (self._buttons.add if pressed else self._buttons.discard)(number)
        self._point(event.pos, area)
        self._add(Button(button=number, pressed=pressed))
        return True

    def _on_wheel(self, event: pygame.event.Event) -> None:
        across = float(event.dict.get("precise_x", event.dict.get("x", 0)))
        up = float(event.dict.get("precise_y", event.dict.get("y", 0)))
        limited = [min(max(turned, -_WHEEL_LIMIT), _WHEEL_LIMIT) for turned in (across, up)]
        if any(limited):
            self._add(Wheel(dx=limited[0], dy=limited[1]))

    def _point(self, position: tuple[int, int], area: PictureArea | None) -> None:
        if area is None:
            return
        x, y = (min(max(share, 0.0), 1.0) for share in area.locate(*position))
        self._add(Pointer(x=round(x, 6), y=round(y, 6)))

    # -- to the server

    def _add(self, event: InputEvent) -> None:
        if isinstance(event, Pointer) and self._events and isinstance(self._events[-1], Pointer):
            self._events[-1] = event
            return
        if len(self._events) == MAX_INPUT_EVENTS:
            self._flush()
        self._events.append(event)

    def _flush(self) -> None:
        events, self._events = self._events, []
        if any(isinstance(event, Pointer) for event in events):
            self._pointer_sent = self._clock()
        self._link.send_remote(Input(events=events))

    def _release(self) -> None:
        self._down.clear()
        self._buttons.clear()
        self._add(Release())
        self._flush()

    # -- clipboard and cursor

    def _share_clipboard(self) -> None:
        text = self._desk.copied() if self._shares else None
        if not text or text == self._shared:
            return
        self._shared = text
        try:
            self._outbox.put(text, whose="this computer's")
        except ClipboardTooLarge as error:
            self._say(str(error)[:1].upper() + str(error)[1:])

    def _take_in(self) -> None:
        with self._lock:
            text, self._arrived = self._arrived, None
            cursor_arrived, self._cursor_arrived = self._cursor_arrived, False
            cursor = self._cursor
        if not self.driving:
            return
        if text is not None and self._shares:
            self._shared = text
            self._desk.copy(text)
        if cursor_arrived:
            self._desk.show_cursor(cursor)
