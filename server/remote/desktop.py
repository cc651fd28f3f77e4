"""One stream's remote desktop: who drives it, and what goes to and fro.

    viewer ── input ─────▶ may it? is it its turn? ──▶ Injector (thread) ──▶ XTEST or uinput
           ── clipboard ─▶ put together ────────────▶ DesktopWatch (thread) ──▶ X clipboard
           ◀─ cursor, clipboard, notice ───────────── DesktopWatch

One viewer drives at a time: the first to do something, until it gives the desktop back, leaves, or has done nothing for
three seconds while another wants it. Whoever may not drive, or not now, is told so and causes nothing.
"""

import asyncio
import logging
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Protocol

from latentcast.clipboard import ClipboardInbox, ClipboardOutbox, ClipboardTooLarge, check_size
from latentcast.control import (
    MAX_ERROR_CHARACTERS,
    Clipboard,
    Cursor,
    Input,
    Notice,
    Release,
    RemoteMessage,
    ServerMessage,
)
from server.remote.gate import InputCounts
from server.remote.injector import Injector

log = logging.getLogger(__name__)

IDLE_S = 3.0
"""A driver that has done nothing for so long may be replaced, and the pointer is in the picture again."""
SILENCE_S = 1.0
"""Keys and buttons are released when the driver has not been heard of for so long; a viewer reports every 40 ms."""
NOTICE_INTERVAL_S = 10.0
"""The same refusal is told once in so long: a viewer that goes on trying must not fill its own channel."""
TICK_S = 0.05
_CLIPBOARD_SHARE = 0.25
"""Of the path's bandwidth that a long clipboard takes from the video."""
_MIN_CLIPBOARD_BPS = 16_000.0
"""Bytes a second at least."""


class Seat(Protocol):
    """A viewer's session, as far as it matters here."""

    @property
    def id(self) -> str: ...

    @property
    def may_drive(self) -> bool: ...

    @property
    def silent_s(self) -> float:
        """How long nothing was heard from the viewer."""
        ...

    @property
    def control_backlog(self) -> int:
        """Bytes on the control channel that have not been sent."""
        ...

    @property
    def target_bps(self) -> float: ...

    def send(self, message: ServerMessage) -> bool: ...


class Watch(Protocol):
    """What `desktop_watch.DesktopWatch` does."""

    def start(self) -> None: ...

    def put(self, text: str) -> threading.Event: ...

    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class RemoteStatistics:
    """Since the start of the stream."""

    denied: int = 0
    """Messages of viewers who may not drive, or not now."""
    input: InputCounts = field(default_factory=InputCounts)
    driver: str | None = None
    """Session that drives now."""


class Denials:
    """Tells a viewer why it may not, once in a while."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._told: dict[tuple[str, str], float] = {}
        self.count = 0
        """Messages that were refused."""

    def deny(self, seat: Seat, reason: str) -> None:
        """Count, and send a notice unless this viewer got the same one just now."""
        self.count += 1
        now = self._clock()
        then = self._told.get((seat.id, reason))
        if then is None or now - then >= NOTICE_INTERVAL_S:
            self._told[seat.id, reason] = now
            seat.send(notice(reason))

    def forget(self, seat: Seat) -> None:
        """It has left."""
        self._told = {key: then for key, then in self._told.items() if key[0] != seat.id}


def notice(text: str) -> Notice:
    """A sentence for the viewer."""
    return Notice(message=text[:MAX_ERROR_CHARACTERS])


class NoDesktop:
    """In place of a `RemoteDesktop` where there is nothing that anybody could drive."""

    drivable = False

    def __init__(self, reason: str) -> None:
        self._reason = reason
        self._denials = Denials()

    def on_message(self, seat: Seat, message: RemoteMessage) -> None:
        """See `RemoteDesktop.on_message`."""
        self._denials.deny(seat, self._reason)

    def on_closed(self, seat: Seat) -> None:
        """See `RemoteDesktop.on_closed`."""
        self._denials.forget(seat)

    def statistics(self) -> RemoteStatistics:
        """See `RemoteDesktop.statistics`."""
        return RemoteStatistics(denied=self._denials.count)

    async def stop(self) -> None:
        """Nothing to stop."""


class RemoteDesktop:
    """All methods belong to the event loop's thread.

    injector: not started yet. make_watch(on_text, on_refused, on_cursor) makes what watches clipboard and cursor, None
    where there is no X. draw_cursor(drawn): whether the pointer is in the picture; it is not while somebody drives, who
    sees it at once under the own hand.
    """

    drivable = True

    def __init__(
        self,
        injector: Injector,
        *,
        make_watch: Callable[..., Watch] | None = None,
        draw_cursor: Callable[[bool], None] = lambda _: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._injector = injector
        self._make_watch = make_watch
        self._draw_cursor = draw_cursor
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self._denials = Denials(clock)
        self._driver: Seat | None = None
        self._active = 0.0
        self._drawn = True
        self._watch: Watch | None = None
        self._cursor: Cursor | None = None
        self._inbox, self._outbox = ClipboardInbox(), ClipboardOutbox()
        self._started = self._stopped = False
        self._ticking: asyncio.Task[None] | None = None

    @property
    def driver(self) -> Seat | None:
        """Who drives now."""
        return self._driver

    def statistics(self) -> RemoteStatistics:
        """Who drives, and what was let through and refused."""
        driver = None if self._driver is None else self._driver.id
        return RemoteStatistics(denied=self._denials.count, input=self._injector.counts, driver=driver)

    def on_message(self, seat: Seat, message: RemoteMessage) -> None:
        """A viewer wants to do something."""
        if self._stopped:
            return
        if not seat.may_drive:
            self._denials.deny(
                seat, "this viewer may watch but not drive: start it with the token for input as its --token."
            )
            return
        if seat is not self._driver:
            if isinstance(message, Input) and all(isinstance(event, Release) for event in message.events):
                return
            if self._driver is not None and not self._is_idle():
                self._denials.deny(
                    seat,
                    f"another viewer is driving: it is your turn when it has done nothing for {IDLE_S:.0f} s.",
                )
                return
            self._take(seat)
        self._active = self._clock()
        if isinstance(message, Clipboard):
            self._on_clipboard(message)
            return
        self._injector.offer(message.events)
        if isinstance(message.events[-1], Release):
            self._give_back()
        else:
            self._show_cursor(False)

    def on_closed(self, seat: Seat) -> None:
        """A viewer has left, or is taken for dead."""
        self._denials.forget(seat)
        if seat is self._driver:
            self._give_back()

    def tick(self) -> None:
        """Look after the driver; called every `TICK_S`."""
        driver = self._driver
        if driver is None:
            return
        now = self._clock()
        if driver.silent_s > SILENCE_S and self._injector.holds:
            log.info("session %s: not heard of, so its keys are released", driver.id[:6])
            self._injector.release_all()
        self._show_cursor(now - self._active > IDLE_S)
        rate = max(_MIN_CLIPBOARD_BPS, driver.target_bps / 8 * _CLIPBOARD_SHARE)
        for part in self._outbox.poll(now, bytes_per_s=rate, buffered_bytes=driver.control_backlog):
            driver.send(part)

    async def stop(self) -> None:
        """Release everything and end both threads."""
        self._stopped = True
        self._give_back()
        if self._ticking is not None:
            self._ticking.cancel()
            await asyncio.wait([self._ticking])
        for closing in (self._injector.close, None if self._watch is None else self._watch.close):
            if closing is not None and self._started:
                await asyncio.to_thread(closing)

    def _is_idle(self) -> bool:
        return self._clock() - self._active > IDLE_S and not self._injector.holds

    def _take(self, seat: Seat) -> None:
        self._give_back()
        log.info("session %s drives", seat.id[:6])
        self._driver = seat
        self._inbox, self._outbox = ClipboardInbox(), ClipboardOutbox()
        if not self._started:
            self._start()
        if self._cursor is not None:
            seat.send(self._cursor)

    def _start(self) -> None:
        """Threads are started when somebody drives for the first time."""
        self._started = True
        self._injector.start()
        if self._make_watch is not None:
            self._watch = self._make_watch(
                on_text=self._from_thread(self._on_copied),
                on_refused=self._from_thread(self._on_too_large),
                on_cursor=self._from_thread(self._on_cursor),
            )
            self._watch.start()
        self._ticking = self._loop.create_task(self._tick_often(), name="remote desktop")

    def _give_back(self) -> None:
        if self._driver is not None:
            log.info("session %s drives no more", self._driver.id[:6])
            self._driver = None
            self._injector.release_all()
        self._show_cursor(True)

    def _show_cursor(self, drawn: bool) -> None:
        if drawn != self._drawn:
            self._drawn = drawn
            self._draw_cursor(drawn)

    async def _tick_often(self) -> None:
        while True:
            await asyncio.sleep(TICK_S)
            self.tick()

    def on_problem(self, reason: str | None) -> None:
        """Input cannot be injected, in words, or can again (None). Any thread."""
        self._from_thread(self._tell)(reason or "input arrives again.")

    def _tell(self, text: str) -> None:
        if self._driver is not None:
            self._driver.send(notice(text))

    def _from_thread(self, call: Callable[[Any], None]) -> Callable[[Any], None]:
        def pass_on(value: Any) -> None:
            # A loop that has been closed has nobody left to be told.
            with suppress(RuntimeError):
                self._loop.call_soon_threadsafe(call, value)

        return pass_on

    # -- clipboard and cursor

    def _on_clipboard(self, part: Clipboard) -> None:
        text = self._inbox.add(part)
        if text is not None and self._watch is not None:
            # Keys that come now, such as Ctrl+V, are meant for this text.
            self._injector.after(self._watch.put(text))

    def _on_copied(self, text: str) -> None:
        if self._driver is None:
            return
        try:
            self._outbox.put(text, whose="the server's")
        except ClipboardTooLarge as error:
            # Text of another encoding can grow beyond the limit on its way to UTF-8.
            self._tell(str(error))

    def _on_too_large(self, size: int) -> None:
        try:
            check_size(size, whose="the server's")
        except ClipboardTooLarge as error:
            self._tell(str(error))

    def _on_cursor(self, message: Cursor) -> None:
        self._cursor = message
        if self._driver is not None:
            self._driver.send(message)
