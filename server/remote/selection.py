"""The X clipboard: owned for what a viewer copied, watched for what is copied on the machine itself.

    put(text) ── own CLIPBOARD ── SelectionRequest ──▶ the text, in pieces (INCR) when it is long
    XFixes SelectionNotify ── ConvertSelection ──▶ the text, in pieces when it is long ── on_text

ICCCM section 2. Belongs to the thread of `desktop_watch`, which feeds it events. Everything that a foreign program
sends is bounded: 1 MiB of text, eight transfers at once, five seconds for each step of one.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from latentcast.clipboard import clean_text
from latentcast.control import MAX_CLIPBOARD_BYTES
from server.x11 import XDisplay, XWindow

log = logging.getLogger(__name__)

# X11/X.h and X11/extensions/xfixeswire.h.
_PROPERTY_NEW, _PROPERTY_DELETED = 0, 1
_PROPERTY_CHANGE_MASK = 1 << 22
_CURRENT_TIME = 0
_ANY_TYPE = 0
_OWNER_CHANGED, _ATOM, _STRING, _INTEGER = 1, 4, 31, 19

_PIECE_BYTES = 64 * 1024
"""Of one property: within the longest request of any X server (256 KiB)."""
_MAX_TRANSFERS = 8
_STEP_TIMEOUT_S = 5.0
"""After so long without a step the other program is taken for dead."""


@dataclass(slots=True)
class _Outgoing:
    """A text being handed to a program in pieces."""

    window: XWindow
    property: int
    target: int
    rest: bytes
    deadline: float


class ClipboardSelection:
    """The CLIPBOARD selection of one display.

    on_text(text) for what another program copied; on_refused(bytes) for more than 1 MiB of it. `bytes` may be a lower
    bound.
    """

    def __init__(
        self,
        display: XDisplay,
        window: XWindow,
        *,
        on_text: Callable[[str], None],
        on_refused: Callable[[int], None],
    ) -> None:
        """`window`: one of our own, with PropertyChangeMask selected. Wants XFIXES."""
        self._display, self._window = display, window
        self._on_text, self._on_refused = on_text, on_refused
        atom = display.get_atom
        self._clipboard, self._property = atom("CLIPBOARD"), atom("LATENTCAST_CLIPBOARD")
        self._incr, self._targets, self._utf8 = atom("INCR"), atom("TARGETS"), atom("UTF8_STRING")
        self._text_targets = {
            self._utf8: "utf-8",
            atom("text/plain;charset=utf-8"): "utf-8",
            atom("text/plain"): "utf-8",
            atom("TEXT"): "utf-8",
            _STRING: "latin-1",
        }
        self._owned: str | None = None
        self._outgoing: list[_Outgoing] = []
        self._asked: list[int] = []
        """Targets to ask for next, should the owner not know the one before."""
        self._incoming: list[bytes] | None = None
        self._deadline: float | None = None
        display.xfixes_select_selection_input(window, self._clipboard, _OWNER_CHANGED)

    @property
    def deadline(self) -> float | None:
        """When `expire` is due."""
        times = [outgoing.deadline for outgoing in self._outgoing]
        if self._deadline is not None:
            times.append(self._deadline)
        return min(times, default=None)

    def put(self, text: str) -> None:
        """From now on this text is in the clipboard."""
        self._owned = text
        self._window.set_selection_owner(self._clipboard, _CURRENT_TIME)

    def handle(self, event: Any, now: float) -> bool:
        """Take an event in; False when it is none of ours."""
        kind = event.__class__.__name__
        if kind == "SelectionRequest":
            self._answer(event, now)
        elif kind == "SelectionClear":
            if event.atom == self._clipboard:
                self._owned = None
        elif kind == "SetSelectionOwnerNotify":
            self._on_owner(event, now)
        elif kind == "SelectionNotify" and hasattr(event, "requestor"):
            self._on_converted(event, now)
        elif kind == "PropertyNotify":
            self._on_property(event, now)
        else:
            return False
        return True

    def expire(self, now: float) -> None:
        """Give up transfers that have stood still for too long."""
        self._outgoing = [outgoing for outgoing in self._outgoing if outgoing.deadline > now]
        if self._deadline is not None and now >= self._deadline:
            log.debug("the clipboard's owner did not answer")
            self._stop_reading()

    # -- what another program copied

    def _on_owner(self, event: Any, now: float) -> None:
        owner = event.owner
        if event.selection != self._clipboard or not owner or owner.id == self._window.id:
            return
        self._stop_reading()
        self._asked = [self._utf8, _STRING]
        self._ask(now)

    def _ask(self, now: float) -> None:
        self._window.convert_selection(self._clipboard, self._asked[0], self._property, _CURRENT_TIME)
        self._deadline = now + _STEP_TIMEOUT_S

    def _on_converted(self, event: Any, now: float) -> None:
        if event.selection != self._clipboard or not self._asked or event.target != self._asked[0]:
            return
        if not event.property:
            # The owner does not know this kind.
            del self._asked[0]
            if self._asked:
                self._ask(now)
            else:
                self._stop_reading()
            return
        kind, data, more = self._read()
        if kind == self._incr:
            # What it holds is a lower bound of the size. Deleting it, which `_read` did, asks for the first piece.
            self._incoming = []
            self._deadline = now + _STEP_TIMEOUT_S
        elif more:
            self._refuse(len(data) + more)
        else:
            self._finish(data)

    def _on_property(self, event: Any, now: float) -> None:
        if event.window.id != self._window.id:
            if event.state == _PROPERTY_DELETED:
                self._send_piece(event, now)
        elif event.state == _PROPERTY_NEW and event.atom == self._property and self._incoming is not None:
            _, data, more = self._read()
            self._incoming.append(data)
            size = sum(map(len, self._incoming))
            if size + more > MAX_CLIPBOARD_BYTES:
                self._refuse(size + more)
            elif data:
                self._deadline = now + _STEP_TIMEOUT_S
            else:
                self._finish(b"".join(self._incoming))

    def _read(self) -> tuple[int, bytes, int]:
        """Type and contents of the property, up to the limit, and how many bytes are beyond it. It is deleted."""
        answer = self._window.get_property(self._property, _ANY_TYPE, 0, MAX_CLIPBOARD_BYTES // 4 + 1, delete=True)
        if answer is None:
            return 0, b"", 0
        kind, more = answer.property_type, answer.bytes_after
        if more:
            # Deleted only once it was read whole.
            self._window.delete_property(self._property)
        value = answer.value
        if answer.format != 8:
            return kind, b"", more
        data = bytes(value) if not isinstance(value, str) else value.encode("latin-1")
        if len(data) > MAX_CLIPBOARD_BYTES:
            more += len(data) - MAX_CLIPBOARD_BYTES
            data = data[:MAX_CLIPBOARD_BYTES]
        return kind, data, more

    def _finish(self, data: bytes) -> None:
        encoding = self._text_targets.get(self._asked[0], "utf-8") if self._asked else "utf-8"
        self._stop_reading()
        self._on_text(clean_text(data.decode(encoding, "replace")))

    def _refuse(self, size: int) -> None:
        self._stop_reading()
        self._on_refused(size)

    def _stop_reading(self) -> None:
        self._asked, self._incoming, self._deadline = [], None, None

    # -- what a viewer copied

    def _answer(self, request: Any, now: float) -> None:
        """Another program asks for the text, or in which kinds it is to be had."""
        from Xlib.protocol import event

        where = request.property or request.target
        given = 0
        if request.selection == self._clipboard and self._owned is not None:
            if request.target == self._targets:
                kinds = [self._targets, *self._text_targets]
                request.requestor.change_property(where, _ATOM, 32, kinds)
                given = where
            elif request.target in self._text_targets:
                data = self._owned.encode(self._text_targets[request.target], "replace")
                given = where if self._hand_over(request, where, data, now) else 0
        notify = event.SelectionNotify(
            time=request.time,
            requestor=request.requestor,
            selection=request.selection,
            target=request.target,
            property=given,
        )
        request.requestor.send_event(notify)

    def _hand_over(self, request: Any, where: int, data: bytes, now: float) -> bool:
        kind = self._utf8 if self._text_targets[request.target] == "utf-8" else _STRING
        if len(data) <= _PIECE_BYTES:
            request.requestor.change_property(where, kind, 8, data)
            return True
        if len(self._outgoing) >= _MAX_TRANSFERS:
            return False
        # Its deletions of the property ask for the pieces; an empty one is the last.
        request.requestor.change_attributes(event_mask=_PROPERTY_CHANGE_MASK)
        request.requestor.change_property(where, self._incr, 32, [len(data)])
        self._outgoing.append(_Outgoing(request.requestor, where, kind, data, now + _STEP_TIMEOUT_S))
        return True

    def _send_piece(self, event: Any, now: float) -> None:
        for outgoing in self._outgoing:
            if outgoing.window.id == event.window.id and outgoing.property == event.atom:
                piece, outgoing.rest = outgoing.rest[:_PIECE_BYTES], outgoing.rest[_PIECE_BYTES:]
                outgoing.window.change_property(outgoing.property, outgoing.target, 8, piece)
                outgoing.deadline = now + _STEP_TIMEOUT_S
                if not piece:
                    self._outgoing.remove(outgoing)
                return
