"""A clipboard's text in parts, at either end: cut, paced, put together again.

    text ── clean ── parts of 2048 characters ── Outbox: some at a time ──▶ ... ──▶ Inbox: in order, bounded ── text

The control channel is reliable and ordered but shares the path with the video, and its buffer holds 256 KiB. So a long
text goes out in pieces while there is room, and a newer one takes its place. Plain classes: time is an argument.
"""

from collections import deque

from latentcast.control import (
    MAX_CLIPBOARD_BYTES,
    MAX_CLIPBOARD_PART_CHARACTERS,
    MAX_CLIPBOARD_PARTS,
    Clipboard,
)
from latentcast.errors import LatentcastError

_ROOM_BYTES = 32 * 1024
"""No part is handed over while the channel has more than this unsent: key presses wait behind it."""
_BURST_BYTES = 16 * 1024
"""What may go at once: any ordinary text."""
_IDS = 2**32


class ClipboardTooLarge(LatentcastError):
    """A text is over the limit; the message is for the user."""


def clean_text(text: str) -> str:
    """`text` as UTF-8 can carry it: without NUL, and with U+FFFD for halves of surrogate pairs."""
    return text.replace("\0", "").encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def check_size(size: int, *, whose: str) -> None:
    """Raise ClipboardTooLarge for a text of more than 1 MiB of UTF-8. `whose`: such as "this computer's"."""
    if size > MAX_CLIPBOARD_BYTES:
        raise ClipboardTooLarge(
            f"{whose} clipboard holds {_megabytes(size)} of text, and at most {_megabytes(MAX_CLIPBOARD_BYTES)} are "
            f"sent: it was left out; copy less, or send a file another way."
        )


def _megabytes(size: int) -> str:
    return f"{size / (1 << 20):.1f} MiB"


class ClipboardOutbox:
    """Texts to be sent. Only the newest counts: one that is still on its way is given up for it."""

    def __init__(self) -> None:
        self._parts: deque[Clipboard] = deque()
        self._id = 0
        self._budget = float(_BURST_BYTES)
        self._polled: float | None = None

    @property
    def pending(self) -> bool:
        """Whether parts are waiting."""
        return bool(self._parts)

    def put(self, text: str, *, whose: str) -> None:
        """Send this text next. Raises ClipboardTooLarge, and then changes nothing."""
        text = clean_text(text)
        check_size(len(text.encode()), whose=whose)
        step = MAX_CLIPBOARD_PART_CHARACTERS
        pieces = [text[start : start + step] for start in range(0, len(text), step)] or [""]
        self._id = (self._id + 1) % _IDS
        self._parts = deque(
            Clipboard(id=self._id, part=part, parts=len(pieces), text=piece) for part, piece in enumerate(pieces)
        )

    def poll(self, now: float, *, bytes_per_s: float, buffered_bytes: int) -> list[Clipboard]:
        """The parts to send now, at `bytes_per_s` on average, while the channel has `buffered_bytes` unsent."""
        if self._polled is not None:
            self._budget = min(_BURST_BYTES, self._budget + bytes_per_s * max(0.0, now - self._polled))
        self._polled = now
        due = []
        while self._parts and self._budget > 0 and buffered_bytes < _ROOM_BYTES:
            size = len(self._parts[0].model_dump_json())
            self._budget -= size
            buffered_bytes += size
            due.append(self._parts.popleft())
        return due


class ClipboardInbox:
    """Parts that come, put together. Holds at most one unfinished text of at most 1 MiB."""

    def __init__(self) -> None:
        self._id = -1
        self._parts: list[str] = []
        self._size = 0
        self.dropped = 0
        """Parts that came out of order, or belonged to a text that grew over the limit."""

    def add(self, message: Clipboard) -> str | None:
        """Take in a part; the whole text when it was the last one, else None."""
        if message.part == 0:
            # Whatever was unfinished is given up: its sender has something newer.
            self._id, self._parts, self._size = message.id, [], 0
        elif message.id != self._id or message.part != len(self._parts):
            self._reject()
            return None
        self._size += len(message.text.encode(errors="replace"))
        if self._size > MAX_CLIPBOARD_BYTES or message.part >= message.parts:
            self._reject()
            return None
        self._parts.append(message.text)
        if len(self._parts) < message.parts:
            return None
        text = clean_text("".join(self._parts))
        self._id, self._parts, self._size = -1, [], 0
        return text

    def _reject(self) -> None:
        self.dropped += 1
        self._id, self._parts, self._size = -1, [], 0


assert MAX_CLIPBOARD_PARTS * MAX_CLIPBOARD_PART_CHARACTERS >= MAX_CLIPBOARD_BYTES
