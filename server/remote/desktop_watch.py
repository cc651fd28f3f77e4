"""The thread that minds the clipboard and the pointer's shape of an X display, while somebody drives it.

    event loop ── put(text) ──▶ ┐
                                ├ one connection, one select ── on_text, on_refused, on_cursor (on this thread)
    X server ── events ───────▶ ┘

When the display goes away it is looked for again every two seconds.
"""

import logging
import os
import select
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from latentcast.control import Cursor
from latentcast.errors import UserError
from server.remote.cursor import cursor_message
from server.remote.selection import ClipboardSelection
from server.x11 import XDisplay, connection_lost, open_display

log = logging.getLogger(__name__)

_RETRY_S = 2.0
_PROPERTY_CHANGE_MASK = 1 << 22
_INPUT_ONLY, _COPY_FROM_PARENT = 2, 0
_CURSOR_INTERVAL_S = 0.1
"""Animated cursors change 20 times a second; a tenth is enough for a shape."""
_KEPT_CURSORS = 32
_STOP_TIMEOUT_S = 1.0


class DesktopWatch:
    """`start` it; callbacks run on its thread. `put` and `close` may be called from any."""

    def __init__(
        self,
        display_name: str | None,
        *,
        on_text: Callable[[str], None],
        on_refused: Callable[[int], None],
        on_cursor: Callable[[Cursor], None],
    ) -> None:
        """on_text(text), on_refused(bytes): `ClipboardSelection`; on_cursor(message) at first and after each change."""
        self._display_name = display_name
        self._on_text, self._on_refused, self._on_cursor = on_text, on_refused, on_cursor
        self._lock = threading.Lock()
        self._wanted: tuple[str, threading.Event] | None = None
        self._closing = threading.Event()
        self._wake_read, self._wake_write = os.pipe()
        os.set_blocking(self._wake_write, False)
        os.set_blocking(self._wake_read, False)
        self._thread = threading.Thread(target=self._run, name="desktop watch", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def put(self, text: str) -> threading.Event:
        """Make this the clipboard's text, in place of one that has not been taken yet. Set when it is done."""
        done = threading.Event()
        with self._lock:
            if self._wanted is not None:
                self._wanted[1].set()
            self._wanted = text, done
        self._wake()
        return done

    def close(self) -> None:
        """End the thread. Blocks for about a second at most."""
        self._closing.set()
        self._wake()
        if self._thread.is_alive():
            self._thread.join(_STOP_TIMEOUT_S)
        if not self._thread.is_alive():
            os.close(self._wake_read)
            os.close(self._wake_write)

    def _wake(self) -> None:
        # A full pipe wakes as well; a closed one has nobody to wake.
        with suppress(OSError):
            os.write(self._wake_write, b"!")

    def _run(self) -> None:
        while not self._closing.is_set():
            try:
                _Watched(self._display_name, self).run()
            except UserError as error:
                log.debug("clipboard and cursor cannot be watched: %s", error)
            except connection_lost() as error:
                log.debug("the X display went away: %s", error)
            except Exception:
                log.exception("clipboard and cursor cannot be watched")
            self._closing.wait(_RETRY_S)

    # -- for the connection

    @property
    def closing(self) -> bool:
        """Whether the thread is to end."""
        return self._closing.is_set()

    @property
    def wake_fd(self) -> int:
        """Readable when there is something to take or it is time to end."""
        return self._wake_read

    def take(self) -> tuple[str, threading.Event] | None:
        """The text for the clipboard, once."""
        with suppress(BlockingIOError):
            os.read(self._wake_read, 4096)
        with self._lock:
            wanted, self._wanted = self._wanted, None
        return wanted

    def report_text(self, text: str) -> None:
        """Another program copied this."""
        self._on_text(text)

    def report_refused(self, size: int) -> None:
        """Another program copied too much."""
        self._on_refused(size)

    def report_cursor(self, message: Cursor) -> None:
        """The pointer has another shape."""
        self._on_cursor(message)


class _Watched:
    """One connection, for as long as it lasts."""

    def __init__(self, display_name: str | None, watch: DesktopWatch) -> None:
        self._watch = watch
        self._display: XDisplay = open_display(display_name)
        try:
            self._prepare()
        except BaseException:
            self._display.close()
            raise

    def _prepare(self) -> None:
        display, watch = self._display, self._watch
        if not display.has_extension("XFIXES"):
            raise UserError("this X server has no XFIXES extension, so clipboard and cursor cannot be followed.")
        display.xfixes_query_version()
        root = display.screen().root
        window = root.create_window(
            -1, -1, 1, 1, 0, 0, window_class=_INPUT_ONLY, visual=_COPY_FROM_PARENT, event_mask=_PROPERTY_CHANGE_MASK
        )
        self._root = root
        self._selection = ClipboardSelection(
            display, window, on_text=watch.report_text, on_refused=watch.report_refused
        )
        display.xfixes_select_cursor_input(root, 1)
        self._known: OrderedDict[int, Cursor] = OrderedDict()
        self._shown: Cursor | None = None
        self._cursor_changed = True
        self._next_cursor = 0.0

    def run(self) -> None:
        """Until the watch is closed, or the display goes away."""
        display = self._display
        try:
            while not self._watch.closing:
                now = time.monotonic()
                wanted = self._watch.take()
                if wanted is not None:
                    self._selection.put(wanted[0])
                    display.sync()
                    wanted[1].set()
                while display.pending_events():
                    self._handle(display.next_event(), now)
                self._selection.expire(now)
                if self._cursor_changed and now >= self._next_cursor:
                    self._look_at_cursor(now)
                display.flush()
                # Requests with an answer, as above, may have read events along with it.
                if not display.pending_events():
                    select.select([display.fileno(), self._watch.wake_fd], [], [], self._patience(now))
        finally:
            display.close()

    def _patience(self, now: float) -> float | None:
        """Seconds until something is due by itself."""
        times = [] if self._selection.deadline is None else [self._selection.deadline]
        if self._cursor_changed:
            times.append(self._next_cursor)
        return max(0.0, min(times) - now) if times else None

    def _handle(self, event: Any, now: float) -> None:
        if event.__class__.__name__ == "DisplayCursorNotify":
            self._cursor_changed = True
        else:
            self._selection.handle(event, now)

    def _look_at_cursor(self, now: float) -> None:
        self._cursor_changed = False
        self._next_cursor = now + _CURSOR_INTERVAL_S
        message = self._read_cursor()
        if message != self._shown:
            self._shown = message
            self._watch.report_cursor(message)

    def _read_cursor(self) -> Cursor:
        from Xlib.error import XError

        try:
            image = self._display.xfixes_get_cursor_image(self._root)
        except XError as error:
            # The program that made it has gone, or the screen is blanked.
            log.debug("the cursor cannot be read: %s", error)
            return Cursor(visible=True)
        message = self._known.pop(image.cursor_serial, None)
        if message is None:
            message = cursor_message(
                image.cursor_image, width=image.width, height=image.height, hot=(image.xhot, image.yhot)
            )
        self._known[image.cursor_serial] = message
        if len(self._known) > _KEPT_CURSORS:
            self._known.popitem(last=False)
        return message
