"""The client's log of what became of the last frames, as sent to the server in every frame-acks message."""

from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass

from transport.serial import serial_newer
from transport.wire import MAX_ACKS, MAX_MISSING_SLICES, FrameAcks, FrameStatus

_MAX_SLICE = 0xFFFF


@dataclass(frozen=True, slots=True)
class AckStatistics:
    """Frames since the start, by what became of them."""

    intact: int
    concealed: int
    lost: int


class AckLog:
    """Keeps the last `MAX_ACKS` frames: each ack is repeated in later messages until eight newer ones push it out."""

    def __init__(self) -> None:
        self._acks: deque[tuple[int, FrameStatus, tuple[int, ...]]] = deque(maxlen=MAX_ACKS)
        self._newest_intact: int | None = None
        self._counts: Counter[FrameStatus] = Counter()

    def add(self, frame_id: int, status: FrameStatus, missing_slices: Sequence[int] = ()) -> None:
        """Notes what became of a frame. The last word on a frame counts.

        `missing_slices`: of a concealed frame, ascending, u16 (what does not fit is left out); else ignored.
        """
        named = tuple(n for n in missing_slices if n <= _MAX_SLICE)[:MAX_MISSING_SLICES]
        self._acks = deque((ack for ack in self._acks if ack[0] != frame_id), maxlen=MAX_ACKS)
        self._acks.append((frame_id, status, named if status is FrameStatus.CONCEALED else ()))
        self._counts[status] += 1
        newest = self._newest_intact
        if status is FrameStatus.INTACT and (newest is None or serial_newer(frame_id, newest)):
            self._newest_intact = frame_id

    def message(self, waiting_for_intra: bool) -> FrameAcks:
        """The message to send now; `waiting_for_intra`: the client holds no state that it can decode from."""
        return FrameAcks(waiting_for_intra, self._newest_intact, tuple(self._acks))

    def statistics(self) -> AckStatistics:
        """Counts so far."""
        return AckStatistics(
            self._counts[FrameStatus.INTACT], self._counts[FrameStatus.CONCEALED], self._counts[FrameStatus.LOST]
        )
