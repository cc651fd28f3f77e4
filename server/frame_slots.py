"""Picture slots in shared memory between the capture thread and the encoder processes: newest frame wins.

One slot is being written, one holds the newest finished picture, and each encoder (a *holder*) has at most one: holders
plus two slots. Nobody waits for anybody: each holder takes the newest picture that it has not taken yet, several may
read the same one, and a picture that nobody took when the next one is finished is dropped and counted.
"""

import threading
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from latentcast.shared_buffer import SharedBuffer

_EXTRA_SLOTS = 2
SLOTS = 1 + _EXTRA_SLOTS
"""Of one holder."""


def slot_views(buffer: SharedBuffer, *, width: int, height: int, slots: int = SLOTS) -> NDArray[np.uint8]:
    """All slots as uint8 (slots, 3, height, width): slot, plane, row, column."""
    return np.frombuffer(buffer.view, np.uint8, count=slots * 3 * height * width).reshape(slots, 3, height, width)


def slots_bytes(*, width: int, height: int, slots: int = SLOTS) -> int:
    return slots * 3 * height * width


@dataclass(frozen=True, slots=True)
class CapturedFrame:
    """A picture waiting in a slot. captured_us: monotonic clock of this machine."""

    slot: int
    frame_id: int
    captured_us: int


@dataclass(frozen=True, slots=True)
class SlotStatistics:
    captured: int
    """Pictures finished by the source."""
    taken: int
    """Pictures that at least one encoder took."""
    dropped: int
    """Pictures that a newer one replaced before any encoder was free."""
    newest_id: int
    """Frame id of the newest picture; -1 before the first."""


class FrameSlots:
    """Who holds which slot. Thread-safe. holders: encoders that take pictures, numbered from 0."""

    def __init__(self, *, width: int, height: int, holders: int = 1) -> None:
        if holders < 1:
            raise ValueError(f"{holders} holders take no picture")
        self.count = holders + _EXTRA_SLOTS
        """Number of slots."""
        self.buffer = SharedBuffer.create(slots_bytes(width=width, height=height, slots=self.count))
        self.pictures = slot_views(self.buffer, width=width, height=height, slots=self.count)
        self._lock = threading.Lock()
        self._newest: CapturedFrame | None = None
        self._fresh = [False] * holders
        """Whether the newest picture is still to be taken by each holder."""
        self._untaken = False
        self._held: list[int | None] = [None] * holders
        self._captured = self._taken = self._dropped = 0

    def slot_to_write(self) -> int:
        """A slot that neither holds the newest picture nor is with an encoder."""
        with self._lock:
            busy = {*self._held, None if self._newest is None else self._newest.slot}
            return next(slot for slot in range(self.count) if slot not in busy)

    def publish(self, frame: CapturedFrame) -> None:
        """The picture in `frame.slot` is finished; it replaces the one before it for those who did not take that."""
        with self._lock:
            self._captured += 1
            self._dropped += self._untaken
            self._untaken = True
            self._newest = frame
            self._fresh = [True] * len(self._fresh)

    def take(self, holder: int = 0) -> CapturedFrame | None:
        """The newest picture, for one encoder; None when it has taken that already. `release` before the next."""
        with self._lock:
            assert self._held[holder] is None, "an encoder holds one slot at a time"
            if self._newest is None or not self._fresh[holder]:
                return None
            self._fresh[holder] = False
            self._taken += self._untaken
            self._untaken = False
            self._held[holder] = self._newest.slot
            return self._newest

    def release(self, holder: int = 0) -> None:
        """The encoder is done with its slot."""
        with self._lock:
            self._held[holder] = None

    def statistics(self) -> SlotStatistics:
        with self._lock:
            newest_id = -1 if self._newest is None else self._newest.frame_id
            return SlotStatistics(self._captured, self._taken, self._dropped, newest_id)

    def close(self) -> None:
        self.buffer.close()
