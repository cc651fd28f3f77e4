"""The thread that injects: whatever X does, the event loop never waits for it."""

import logging
import threading
import time
from collections.abc import Callable, Iterable

from latentcast.control import Button, InputEvent, Key, Pointer, Text
from latentcast.errors import UserError
from server.remote.gate import Action, InputCounts, InputGate, Scroll
from server.remote.sink import InputSink, SinkLost

log = logging.getLogger(__name__)

_RETRY_S = 1.0
"""After devices were lost, input of so long is dropped before they are opened again."""
_CLIPBOARD_WAIT_S = 0.2
"""Longest that a key press waits for the clipboard that was sent before it: so Ctrl+V finds what was copied."""
_STOP_TIMEOUT_S = 1.0


class Injector:
    """Owns the thread and the sink. All methods may be called from any thread and do not block, but for `close`.

    open_sink() makes the sink, on the thread, when there is something to inject; it may raise SinkLost and UserError.
    on_problem(reason) is called on the thread when input cannot be injected (in words for the user), and with None when
    it can be again.
    """

    def __init__(
        self,
        open_sink: Callable[[], InputSink],
        *,
        on_problem: Callable[[str | None], None] = lambda _: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._open_sink = open_sink
        self.on_problem = on_problem
        self._clock = clock
        self._gate = InputGate()
        self._changed = threading.Condition()
        self._before: threading.Event | None = None
        self._closing = False
        self._idle = True
        self._problem: str | None = None
        self._failed_at: float | None = None
        self._untyped = 0
        self._sink: InputSink | None = None
        self._thread = threading.Thread(target=self._run, name="input", daemon=True)

    @property
    def holds(self) -> bool:
        """Whether a key or button is pressed."""
        with self._changed:
            return self._gate.holds

    @property
    def counts(self) -> InputCounts:
        """What came, and what was dropped."""
        with self._changed:
            return self._gate.counts

    @property
    def untyped(self) -> int:
        """Characters that the keyboard could not be made to type."""
        return self._untyped

    def start(self) -> None:
        self._thread.start()

    def offer(self, events: Iterable[InputEvent]) -> None:
        """Inject these, as far as the limits allow."""
        with self._changed:
            if self._closing:
                return
            now = self._clock()
            for event in events:
                self._gate.offer(event, now)
            self._changed.notify_all()

    def release_all(self) -> None:
        """Release every key and button."""
        with self._changed:
            self._gate.release_all()
            self._changed.notify_all()

    def after(self, event: threading.Event) -> None:
        """What is offered from now on waits for `event`, for a moment at most."""
        with self._changed:
            self._before = event

    def drain(self, timeout_s: float) -> bool:
        """Wait until everything offered so far was injected; False when it was not in time. For tests and `close`."""
        with self._changed:
            return self._changed.wait_for(lambda: self._idle and not len(self._gate), timeout_s)

    def close(self) -> None:
        """Release everything, end the thread and close the sink. Blocks for about a second at most."""
        with self._changed:
            self._gate.release_all()
            self._closing = True
            self._changed.notify_all()
        if self._thread.is_alive():
            self._thread.join(_STOP_TIMEOUT_S)

    def _run(self) -> None:
        try:
            while (action := self._next()) is not None:
                self._inject(action)
        finally:
            self._close_sink()

    def _next(self) -> Action | None:
        """The next action, waiting for one; None at the end."""
        with self._changed:
            self._idle = True
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._closing or len(self._gate) > 0)
            action = self._gate.take()
            self._idle = False
            before = self._before
            if not isinstance(action, Pointer):
                self._before = None
        if before is not None and not isinstance(action, Pointer):
            before.wait(_CLIPBOARD_WAIT_S)
        return action

    def _inject(self, action: Action) -> None:
        if self._failed_at is not None and self._clock() < self._failed_at + _RETRY_S:
            with self._changed:
                self._gate.forget()
            return
        try:
            if self._sink is None:
                self._sink = self._open_sink()
            self._untyped += _apply(action, self._sink)
        except (SinkLost, UserError) as error:
            self._lost(str(error))
        except Exception as error:
            log.exception("input could not be injected")
            self._lost(f"input could not be injected ({error})")
        else:
            if self._failed_at is not None:
                self._failed_at = None
                self.on_problem(None)

    def _lost(self, reason: str) -> None:
        """Forget what was pressed: the devices that knew have gone."""
        self._close_sink()
        self._failed_at = self._clock()
        with self._changed:
            self._gate.forget()
        self.on_problem(reason)

    def _close_sink(self) -> None:
        sink, self._sink = self._sink, None
        if sink is not None:
            try:
                sink.close()
            except Exception:
                log.debug("the input devices could not be closed", exc_info=True)


def _apply(action: Action, sink: InputSink) -> int:
    """Returns how many characters could not be typed."""
    if isinstance(action, Pointer):
        sink.move(action.x, action.y)
    elif isinstance(action, Button):
        sink.button(action.button, pressed=action.pressed)
    elif isinstance(action, Scroll):
        sink.scroll(action.dx, action.dy)
    elif isinstance(action, Key):
        sink.key(action.code, pressed=action.pressed)
    elif isinstance(action, Text):
        return sink.text(action.text)
    return 0
