"""A decoded picture, and the one-slot box through which it reaches whoever shows it.

The decoder puts, the presenter takes, each in its own thread. Only the newest picture is worth showing, so the box
holds one: a picture that was not taken in time is replaced and counted, and the decoder never waits.
"""

import threading
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from client.timeline import Timeline


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """One decoded frame, ready to be shown."""

    frame_id: int
    """Number of the frame in its stream."""
    planes: NDArray[np.uint8]
    """`(3, height, width)`: Y, Cb, Cr, full range, BT.709, 4:4:4. Nobody writes to it once it is in a mailbox."""
    timeline: Timeline
    """When it passed each stage up to the decoder."""
    qp: int
    """QP row it was coded with."""
    intra: bool

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels."""
        _, height, width = self.planes.shape
        return width, height


@dataclass(frozen=True, slots=True)
class MailboxStatistics:
    """What passed through a `PictureMailbox`; `put == taken + dropped + waiting` at all times."""

    put: int
    """Pictures offered."""
    taken: int
    """Pictures handed on."""
    dropped: int
    """Pictures that a newer one replaced, or that came after the box was closed."""
    waiting: int
    """Pictures in the box now: 0 or 1."""


class PictureMailbox:
    """One slot between two threads. Drop rule: the newest picture wins."""

    def __init__(self, bell: threading.Event | None = None) -> None:
        """`bell`: rung when there is something to take, for somebody who waits for several boxes at once."""
        self._bell = bell
        self._changed = threading.Condition()
        self._slot: Picture | None = None
        self._closed = False
        self._put = 0
        self._taken = 0
        self._dropped = 0

    @property
    def closed(self) -> bool:
        """Whether `close` was called: no further picture will come, though one may still wait."""
        with self._changed:
            return self._closed

    def put(self, picture: Picture) -> None:
        """Leave a picture, replacing one that nobody took. Never blocks; after `close` the picture is dropped."""
        with self._changed:
            self._put += 1
            if self._closed:
                self._dropped += 1
                return
            if self._slot is not None:
                self._dropped += 1
            self._slot = picture
            self._changed.notify()
        if self._bell is not None:
            self._bell.set()

    def take(self, timeout_s: float) -> Picture | None:
        """Wait up to `timeout_s` for a picture; None when none came or, at once, when the box is closed and empty."""
        with self._changed:
            self._changed.wait_for(lambda: self._slot is not None or self._closed, timeout_s)
            picture, self._slot = self._slot, None
            if picture is not None:
                self._taken += 1
            return picture

    def close(self) -> None:
        """Let waiting takers go. A picture already in the box can still be taken."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def statistics(self) -> MailboxStatistics:
        """Counters since the box was made."""
        with self._changed:
            waiting = int(self._slot is not None)
            return MailboxStatistics(put=self._put, taken=self._taken, dropped=self._dropped, waiting=waiting)
