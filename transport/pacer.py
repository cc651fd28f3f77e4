"""Spreads packets over time, so that neither a frame nor a repair lands in the bottleneck's queue as one burst.

    push(frame) ----> | p p p p | p p p p p p | ... --+
    push_repair ----> | r r | ------------------------+--> poll(now) -> departures to stamp and send
    push_probe -----> | q q q q q q | ----------------+

Of what is due, repairs leave before new data and new data before probes. Packet i of n of a frame leaves at start + i *
spread / n; a frame starts when the one before it is through. Repairs keep a fixed distance and do not move the frames.
A probe cluster starts in a pause between frames and keeps to its rate. Drop rules: whole frames only, and always the
newest: `push` refuses a frame while what is queued takes longer than `max_backlog_s`; repairs beyond a bound and
clusters that find no pause go.
"""

from collections import deque
from dataclasses import dataclass
from math import ceil
from typing import Literal

from transport.bandwidth.probing import ProbePlan
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
_REPAIR_GAP_S = 0.001
"""Between repairs: 9 Mbit/s, so that a few of them overtake a frame without adding a queue of their own."""
_MAX_REPAIRS = 128
"""Two NACKs' worth; what asks for more is answered in time or not at all."""
_MAX_PROBE_PACKETS = 64
"""One cluster at 30 Mbit/s."""
_PROBE_WAIT_S = 0.1
"""A cluster that found no pause for so long measures a path that is in use: it goes."""


@dataclass(frozen=True, slots=True)
class Departure:
    """A packet that leaves now."""

    packet: bytearray
    kind: Literal["data", "repair", "probe"]
    frame_id: int | None
    """The frame pushed with it; None for repairs and probes."""
    probe: int | None
    """Id of the probe cluster; None for data and repairs."""


@dataclass(frozen=True, slots=True)
class PacerStatistics:
    """Counts since the start, and how full it is now."""

    packets_sent: int
    """All kinds together."""
    frames_accepted: int
    frames_refused: int
    repairs_sent: int
    repairs_refused: int
    probes_sent: int
    """Packets of probe clusters."""
    probes_refused: int
    """Packets of clusters that came too early after another or found no pause."""
    slipped_s: float
    """Time by which stalls have moved the schedule."""
    queued_packets: int
    queued_bytes: int
    """Of frames, not counting repairs and probes."""
    capacity_packets: int
    newest_frame_id: int | None
    """Last frame accepted."""


@dataclass(slots=True)
class _Cluster:
    plan: ProbePlan
    packets: deque[bytearray]
    pushed_at: float
    next_s: float | None = None


class Pacer:
    """A schedule of packets. Poll at `next_send_time`; how late a poll is does not change the average rate."""

    def __init__(self, *, max_backlog_s: float = 0.1) -> None:
        """`max_backlog_s`: the newest frame is refused when the queue takes longer; the default is three frames at
        30 fps, beyond which a picture is too old to be worth sending."""
        self._max_backlog_s = max_backlog_s
        self._queue: deque[tuple[float, bytearray, int]] = deque()
        self._queued_bytes = 0
        self._repairs: deque[bytearray] = deque()
        self._next_repair_s = float("-inf")
        self._cluster: _Cluster | None = None
        # Times in the queue are without what stalls have added since: `_slip_s` is added to each when it is looked at.
        self._slip_s = 0.0
        self._free_at = float("-inf")
        self._sent = self._accepted = self._refused = 0
        self._repairs_sent = self._repairs_refused = self._probes_sent = self._probes_refused = 0
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
            self._queue.append((start + i * gap_s - self._slip_s, packet, frame_id))
            self._queued_bytes += len(packet)
        self._free_at = start + len(packets) * gap_s - self._slip_s
        return True

    def push_repair(self, packets: list[bytearray], *, now: float) -> int:
        """Queues packets to send again or ahead of turn, before new data; returns how many there was room for."""
        room = max(0, _MAX_REPAIRS - len(self._repairs))
        self._repairs.extend(packets[:room])
        self._repairs_refused += max(0, len(packets) - room)
        self._next_repair_s = max(self._next_repair_s, now)
        return min(room, len(packets))

    def push_probe(self, packets: list[bytearray], *, plan: ProbePlan, now: float) -> bool:
        """Queues a probe cluster, to leave at the plan's rate in the next pause. False: one is queued already."""
        if self._cluster is not None or not packets:
            self._probes_refused += len(packets)
            return False
        kept = packets[:_MAX_PROBE_PACKETS]
        self._probes_refused += len(packets) - len(kept)
        self._cluster = _Cluster(plan, deque(kept), now)
        return True

    def poll(self, now: float) -> list[Departure]:
        """What to send now, in order: at most 4 packets for each millisecond that the first of them is late.

        If more are due, `next_send_time` is not later than `now`.
        """
        due_at = self.next_send_time()
        if due_at is None or due_at > now:
            return []
        self._slip(now)
        allowed = _BURST * max(1, ceil(min(now - due_at, _MAX_CATCH_UP_S) / _TICK_S))
        due: list[Departure] = []
        while self._repairs and len(due) < allowed and self._next_repair_s <= now:
            due.append(Departure(self._repairs.popleft(), "repair", None, None))
            self._next_repair_s = max(self._next_repair_s, now - _MAX_CATCH_UP_S) + _REPAIR_GAP_S
            self._repairs_sent += 1
        while self._queue and len(due) < allowed and self._queue[0][0] + self._slip_s <= now:
            _, packet, frame_id = self._queue.popleft()
            due.append(Departure(packet, "data", frame_id, None))
            self._queued_bytes -= len(packet)
        if len(due) < allowed and self._cluster is not None:
            self._poll_probe(self._cluster, due, allowed, now)
        self._sent += len(due)
        return due

    def next_send_time(self) -> float | None:
        """When the next packet is due. None: nothing is queued."""
        time = self._queue[0][0] + self._slip_s if self._queue else None
        if self._repairs and (time is None or self._next_repair_s < time):
            time = self._next_repair_s
        cluster = self._cluster
        if cluster is not None:
            if cluster.next_s is not None:
                return cluster.next_s if time is None else min(time, cluster.next_s)
            if time is None:
                return cluster.pushed_at
        return time

    def backlog_s(self, now: float) -> float:
        """Time until the last packet of a frame that is queued will have left, >= 0."""
        if not self._queue:
            return 0.0
        return max(0.0, self._queue[-1][0] + self._slip_s + self._overdue_s(now) - now)

    def statistics(self) -> PacerStatistics:
        """Counts so far."""
        return PacerStatistics(
            packets_sent=self._sent,
            frames_accepted=self._accepted,
            frames_refused=self._refused,
            repairs_sent=self._repairs_sent,
            repairs_refused=self._repairs_refused,
            probes_sent=self._probes_sent,
            probes_refused=self._probes_refused,
            slipped_s=self._slip_s,
            queued_packets=len(self._queue),
            queued_bytes=self._queued_bytes,
            capacity_packets=_MAX_PACKETS,
            newest_frame_id=self._newest_frame_id,
        )

    def _poll_probe(self, cluster: _Cluster, due: list[Departure], allowed: int, now: float) -> None:
        if cluster.next_s is None:
            if now - cluster.pushed_at > _PROBE_WAIT_S:
                self._probes_refused += len(cluster.packets)
                self._cluster = None
                return
            if self._queue or self._repairs:
                return
            cluster.next_s = now
        # A late poll is not made up for beyond its own burst: faster than planned, a cluster would measure the burst.
        cluster.next_s = max(cluster.next_s, now - _TICK_S)
        while cluster.packets and len(due) < allowed and cluster.next_s <= now:
            packet = cluster.packets.popleft()
            due.append(Departure(packet, "probe", None, cluster.plan.id))
            cluster.next_s += len(packet) * 8 / cluster.plan.rate_bps
            self._probes_sent += 1
        if not cluster.packets:
            self._cluster = None

    def _overdue_s(self, now: float) -> float:
        """Lateness of the first packet beyond what is caught up with, >= 0."""
        return max(0.0, now - self._queue[0][0] - self._slip_s - _MAX_CATCH_UP_S) if self._queue else 0.0

    def _slip(self, now: float) -> None:
        """Moves the schedule by the part of a stall that is not caught up with."""
        self._slip_s += self._overdue_s(now)
