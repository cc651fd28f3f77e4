"""Three picture slots in shared memory between the capture thread and the encoder process: newest frame wins.

One slot is being written, one holds the newest finished picture, one is with the encoder. Nobody waits for anybody: a
picture that was not taken when the next one is finished is dropped and counted.
"""

import threading
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from latentcast.shared_buffer import SharedBuffer

SLOTS = 3


def slot_views(buffer: SharedBuffer, *, width: int, height: int) -> NDArray[np.uint8]:
    """All slots as uint8 (3, 3, height, width): slot, plane, row, column."""
    return np.frombuffer(buffer.view, np.uint8, count=SLOTS * 3 * height * width).reshape(SLOTS, 3, height, width)


def slots_bytes(*, width: int, height: int) -> int:
    return SLOTS * 3 * height * width


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
    dropped: int
    """Pictures that a newer one replaced before the encoder was free."""
    newest_id: int
    """Frame id of the newest picture; -1 before the first."""


class FrameSlots:
    """Who holds which slot. Thread-safe."""

    def __init__(self, *, width: int, height: int) -> None:
        self.buffer = SharedBuffer.create(slots_bytes(width=width, height=height))
        self.pictures = slot_views(self.buffer, width=width, height=height)
        self._lock = threading.Lock()
        self._newest: CapturedFrame | None = None
        self._encoding: int | None = None
        self._captured = self._taken = self._dropped = 0
        self._newest_id = -1

    def slot_to_write(self) -> int:
        """A slot that neither holds the newest picture nor is with the encoder."""
        with self._lock:
            busy = {self._encoding, None if self._newest is None else self._newest.slot}
            return next(slot for slot in range(SLOTS) if slot not in busy)

    def publish(self, frame: CapturedFrame) -> None:
        """The picture in `frame.slot` is finished; it replaces one that was not taken."""
        with self._lock:
            self._captured += 1
            self._dropped += self._newest is not None
            self._newest = frame
            self._newest_id = frame.frame_id

    def take(self) -> CapturedFrame | None:
        """The newest picture, for the encoder; None when there is no new one. `release` before taking the next."""
        with self._lock:
            assert self._encoding is None, "the encoder holds one slot at a time"
            frame, self._newest = self._newest, None
            if frame is not None:
                self._taken += 1
                self._encoding = frame.slot
            return frame

    def release(self) -> None:
        """The encoder is done with its slot."""
        with self._lock:
            self._encoding = None

    def statistics(self) -> SlotStatistics:
        with self._lock:
            return SlotStatistics(self._captured, self._taken, self._dropped, self._newest_id)

    def close(self) -> None:
        self.buffer.close()
