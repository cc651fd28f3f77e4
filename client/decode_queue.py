"""Which frames go to the decoder, and what is said about those that do not.

    reassembly --FrameReady--> push | wait for the stream config, for the decoder | pop --> decoder --> on_decoded
                                                                                                    \\-> on_failed

Frames build on one another, so none that still counts is skipped: when the decoder is too far behind all of them go,
which the server hears as lost, and codes its next frame from a state that is here. Only a viewer that holds no state at
all needs an intra frame (`waiting_for_intra`).
"""

from collections import deque

from transport.reassembly import FrameReady
from transport.serial import serial_distance

CAPACITY = 10
"""A third of a second at 30 fps; a decoder that is further behind would show history."""
MAX_FAILURES = 8
"""Frames in a row whose reference is not here: more than a round trip of them. Then this end does not hold what the
server believes it holds, and says so."""


class DecodeQueue:
    """Sans-IO. Methods that drop frames return their ids, each to be acknowledged as lost."""

    def __init__(self) -> None:
        self._queue: deque[FrameReady] = deque()
        self._epoch: int | None = None
        self._failures = 0
        self.waiting_for_intra = True
        """No state is here that a frame could build on."""

    def __len__(self) -> int:
        return len(self._queue)

    def on_config(self, epoch: int) -> list[int]:
        """The stream's config changed: states of before are of no use, frames that came ahead of it are."""
        lost = [frame.frame_id for frame in self._queue if serial_distance(epoch, frame.epoch, bits=8) < 0]
        self._queue = deque(frame for frame in self._queue if frame.frame_id not in lost)
        self._epoch = epoch
        self._failures = 0
        self.waiting_for_intra = True
        return lost

    def push(self, frame: FrameReady) -> list[int]:
        """Takes a frame. Frames must come in frame id order."""
        lost: list[int] = []
        if self._epoch is not None and serial_distance(self._epoch, frame.epoch, bits=8) < 0:
            return [frame.frame_id]
        if frame.reference_id is None:
            # Whatever still waits is history: the intra frame needs none of it.
            lost += self.clear()
        if len(self._queue) >= CAPACITY:
            return [*lost, *self.clear(), frame.frame_id]
        self._queue.append(frame)
        return lost

    def pop(self) -> tuple[FrameReady | None, list[int]]:
        """The next frame to decode, if there is one whose config is known, and ids of frames dropped on the way."""
        lost: list[int] = []
        while self._queue and self._queue[0].epoch == self._epoch:
            frame = self._queue.popleft()
            if frame.reference_id is None or not self.waiting_for_intra:
                return frame, lost
            lost.append(frame.frame_id)
        return None, lost

    def on_decoded(self) -> None:
        """A frame popped has become a picture and a state."""
        self._failures = 0
        self.waiting_for_intra = False

    def on_failed(self) -> None:
        """A frame popped could not be decoded because its reference is not here."""
        self._failures += 1
        if self._failures >= MAX_FAILURES:
            self.waiting_for_intra = True

    def on_decoder_lost(self) -> list[int]:
        """The decoder was started again and holds nothing."""
        self._failures = 0
        self.waiting_for_intra = True
        return self.clear()

    def clear(self) -> list[int]:
        """Drops all that waits."""
        lost = [frame.frame_id for frame in self._queue]
        self._queue.clear()
        return lost
