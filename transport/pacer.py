"""Spreads the packets of each frame over time, so that a frame does not land in the bottleneck's queue as one burst.

    push(frame) -> | p p p p | p p p p p p | ... -> poll(now) -> packets to stamp and send

Packet i of n leaves at start + i * spread / n; a frame starts when the one before it is through. Drop rule: whole
frames only, and always the newest: `push` refuses a frame while what is queued takes longer than `max_backlog_s`.
"""

from collections import deque
from dataclasses import dataclass
from math import ceil

from transport.wire import MAX_PACKETS_PER_FRAME

_BURST = 4
"""Packets that may leave back to back per `_TICK_S`: 37 Mbit/s, and short enough for a queue of a few milliseconds."""
_TICK_S = 0.001
"""The finest timer to expect of an event loop."""
_MAX_CATCH_UP_S = 0.02
"""Lateness made up for in one go: one period of the coarsest usual timer (Windows, 15.6 ms). What a longer stall has
cost is not made up: the rest of the schedule slips instead, or the stall would end in a burst."""
_MAX_PACKETS = MAX_PACKETS_PER_FRAME
"""Bound on the queue whatever the spread: one frame of the largest size."""


@dataclass(frozen=True, slots=True)
class PacerStatistics:
    """Counts since the start, and how full it is now."""

    packets_sent: int
    frames_accepted: int
    frames_refused: int
    slipped_s: float
    """Time by which stalls have moved the schedule."""
    queued_packets: int
    queued_bytes: int
    capacity_packets: int
    newest_frame_id: int | None
    """Last frame accepted."""


class Pacer:
    """A schedule of packets. Poll at `next_send_time`; how late a poll is does not change the average rate."""

    def __init__(self, *, max_backlog_s: float = 0.1) -> None:
        """`max_backlog_s`: the newest frame is refused when the queue takes longer; the default is three frames at
        30 fps, beyond which a picture is too old to be worth sending."""
        self._max_backlog_s = max_backlog_s
        self._queue: deque[tuple[float, bytearray]] = deque()
        self._queued_bytes = 0
        # Times in the queue are without what stalls have added since: `_slip_s` is added to each when it is looked at.
        self._slip_s = 0.0
        self._free_at = float("-inf")
        self._sent = self._accepted = self._refused = 0
        self._newest_frame_id: int | None = None

    def push(self, frame_id: int, packets: list[bytearray], *, now: float, spread_s: float) -> bool:
        """Queues one frame, to leave over `spread_s` (a share of the frame interval, so that the queue runs empty).

        A frame of one packet leaves at once, behind what is queued. False: refused, nothing of it is queued.
        """
        self._slip(now)
        full = bool(self._queue) and len(self._queue) + len(packets) > _MAX_PACKETS
        if full or self.backlog_s(now) > self._max_backlog_s:
            self._refused += 1
            return False
        self._accepted += 1
        self._newest_frame_id = frame_id
        start = max(now, self._free_at + self._slip_s) if self._queue else now
        gap_s = spread_s / len(packets) if len(packets) > 1 else 0.0
        for i, packet in enumerate(packets):
            self._queue.append((start + i * gap_s - self._slip_s, packet))
            self._queued_bytes += len(packet)
        self._free_at = start + len(packets) * gap_s - self._slip_s
        return True

    def poll(self, now: float) -> list[bytearray]:
        """Packets to send now, in order: at most 4 for each millisecond that the first of them is late.

        If more are due, `next_send_time` is not later than `now`.
        """
        if not self._queue:
            return []
        self._slip(now)
        late_s = now - self._queue[0][0] - self._slip_s
        allowed = _BURST * max(1, ceil(late_s / _TICK_S))
        due: list[bytearray] = []
        while self._queue and len(due) < allowed and self._queue[0][0] + self._slip_s <= now:
            due.append(self._queue.popleft()[1])
            self._queued_bytes -= len(due[-1])
        self._sent += len(due)
        return due

    def next_send_time(self) -> float | None:
        """When the next packet is due. None: nothing is queued."""
        return self._queue[0][0] + self._slip_s if self._queue else None

    def backlog_s(self, now: float) -> float:
        """Time until the last packet that is queued will have left, >= 0."""
        if not self._queue:
            return 0.0
        return max(0.0, self._queue[-1][0] + self._slip_s + self._overdue_s(now) - now)

    def statistics(self) -> PacerStatistics:
        """Counts so far."""
        return PacerStatistics(
            packets_sent=self._sent,
            frames_accepted=self._accepted,
            frames_refused=self._refused,
            slipped_s=self._slip_s,
            queued_packets=len(self._queue),
            queued_bytes=self._queued_bytes,
            capacity_packets=_MAX_PACKETS,
            newest_frame_id=self._newest_frame_id,
        )

    def _overdue_s(self, now: float) -> float:
        """Lateness of the first packet beyond what is caught up with, >= 0."""
        return max(0.0, now - self._queue[0][0] - self._slip_s - _MAX_CATCH_UP_S) if self._queue else 0.0

    def _slip(self, now: float) -> None:
        """Moves the schedule by the part of a stall that is not caught up with."""
        self._slip_s += self._overdue_s(now)
