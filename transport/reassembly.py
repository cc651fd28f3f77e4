"""Puts media packets back together into frames, in frame id order, and gives up on time.

    on_packet(packet) ... -> poll() -> FrameReady (intact or with holes) | FrameLost

A frame leaves when the first of these holds; whatever is older leaves with it as lost, because nothing later may be
coded from it in time:

* it is complete and intra, or complete and its reference has left already;
* its deadline (first packet + `deadline_s`) has passed: whole, damaged, or lost where the prologue is missing;
* a newer intra frame is complete: lost, superseded.

Memory: at most `max_frames` frames under way, each at most `max_frame_bytes`; a newcomer pushes out the oldest.
"""

from bisect import bisect_left
from collections import deque
from dataclasses import dataclass, field
from typing import Literal

from transport.serial import Unwrapper, serial_distance
from transport.wire import MAX_FRAME_BYTES, MAX_PAYLOAD_BYTES, PROLOGUE_BYTES, MediaPacket, decode_prologue

HOLE_END = MAX_FRAME_BYTES
"""End of a hole that reaches to the end of the frame, whose size nobody knows: beyond any frame."""

LossReason = Literal["incomplete", "superseded", "overflow", "epoch"]
"""Deadline passed without the prologue; something newer left; too many frames under way; the stream config changed."""


@dataclass(frozen=True, slots=True)
class FrameReady:
    """A frame to decode."""

    frame_id: int
    reference_id: int | None
    """The frame whose state it is coded from; None: intra."""
    epoch: int
    """Stream config it belongs to."""
    captured_us: int
    """Server clock."""
    wait_us: int
    """Captured -> encoder started."""
    encode_us: int
    """Encoder started -> coded."""
    sent_us: int
    """When the last of its packets that came in had left the pacer, server clock."""
    first_received: float
    """Client clock, seconds."""
    received: float
    """Client clock, seconds: when it became complete, or was given up."""
    data: bytes
    """The coded frame, without prologue. Holes are zero; ends early where the tail is missing."""
    holes: tuple[tuple[int, int], ...]
    """Byte ranges [start, end) of the coded frame that are missing, ascending. A missing tail ends at `HOLE_END`."""
    packets: int
    """Packets that came in."""
    packets_missing: int

    @property
    def intact(self) -> bool:
        """Whether nothing is missing."""
        return not self.holes


@dataclass(frozen=True, slots=True)
class FrameLost:
    """A frame of which packets came in, but which will not come out."""

    frame_id: int
    reason: LossReason


@dataclass(frozen=True, slots=True)
class ReassemblyStatistics:
    """Counts since the start, and how full it is now."""

    packets: int
    """All that came in."""
    duplicates: int
    late: int
    """For a frame that has left already, or of an older stream config."""
    contradictory: int
    """Did not fit the packets of the same frame before it, or the size limit."""
    frames_intact: int
    frames_damaged: int
    frames_lost: int
    pending_frames: int
    pending_bytes: int
    max_frames: int


@dataclass(slots=True)
class _Partial:
    """A frame under way. `parts` never overlap and lie in index order: `place` sees to it."""

    first: MediaPacket
    first_received: float
    indexes: list[int] = field(default_factory=list)
    parts: dict[int, MediaPacket] = field(default_factory=dict)
    completed: float | None = None
    size: int = 0

    def agrees(self, packet: MediaPacket) -> bool:
        """Whether `packet` says the same about the frame as the first packet did, and its payload has a place."""
        first = self.first
        if (packet.data_count, packet.parity_count, packet.reference_id, packet.captured_us) != (
            (first.data_count, first.parity_count, first.reference_id, first.captured_us)
        ):
            return False
        position = bisect_left(self.indexes, packet.index)
        below = self.parts[self.indexes[position - 1]] if position else None
        above = self.parts[self.indexes[position]] if position < len(self.indexes) else None
        return _fits_between(below, packet) and (above is None or _fits_between(packet, above))

    def place(self, packet: MediaPacket, *, now: float) -> None:
        self.indexes.insert(bisect_left(self.indexes, packet.index), packet.index)
        self.parts[packet.index] = packet
        self.size += len(packet.payload)
        if len(self.parts) == self.first.data_count:
            self.completed = now


def _fits_between(below: MediaPacket | None, above: MediaPacket) -> bool:
    """Whether the bytes between two packets are as many as the packets missing between them can hold."""
    below_index, below_end = (-1, 0) if below is None else (below.index, below.payload_offset + len(below.payload))
    missing = above.index - below_index - 1
    return missing <= above.payload_offset - below_end <= missing * MAX_PAYLOAD_BYTES


class Reassembler:
    """Collects packets; see the module's text for what leaves when. Packets must be as `parse_media` lets them pass."""

    def __init__(
        self, *, deadline_s: float = 0.1, max_frames: int = 16, max_frame_bytes: int = MAX_FRAME_BYTES
    ) -> None:
        """`deadline_s`: how long a frame may take from its first packet; the default is three frames at 30 fps."""
        self._deadline_s = deadline_s
        self._max_frames = max_frames
        self._max_frame_bytes = max_frame_bytes
        self._epoch: int | None = None
        self._ids = Unwrapper()
        self._pending: dict[int, _Partial] = {}
        self._last_out: int | None = None
        # Losses found between two polls. Bounded, for a caller that never polls.
        self._events: deque[FrameLost] = deque(maxlen=4 * max_frames)
        self._packets = self._duplicates = self._late = self._contradictory = 0
        self._intact = self._damaged = self._lost = 0

    def on_packet(self, packet: MediaPacket, *, now: float) -> None:
        """Takes one packet. Poll afterwards: it may have completed a frame."""
        self._packets += 1
        if self._epoch is None or serial_distance(self._epoch, packet.epoch, bits=8) > 0:
            self._start_epoch(packet.epoch)
        frame = self._ids.peek(packet.frame_id)
        if packet.epoch != self._epoch or (self._last_out is not None and frame <= self._last_out):
            self._late += 1
        elif packet.payload_offset + len(packet.payload) > self._max_frame_bytes:
            self._contradictory += 1
        elif (partial := self._pending.get(frame)) is None:
            self._add(packet, now=now)
        elif partial.parts.get(packet.index, packet).payload != packet.payload:
            self._contradictory += 1
        elif packet.index in partial.parts:
            self._duplicates += 1
        elif not partial.agrees(packet):
            self._contradictory += 1
        else:
            partial.place(packet, now=now)

    def poll(self, *, now: float) -> list[FrameReady | FrameLost]:
        """Frames that leave by `now`, ids ascending. Call after each packet and at `next_deadline`."""
        out: list[FrameReady | FrameLost] = [*self._events]
        self._events.clear()
        newest_intra = max(
            (f for f, p in self._pending.items() if p.completed is not None and p.first.reference_id is None),
            default=None,
        )
        due = True
        while due:
            due = False
            for frame in sorted(self._pending):
                reason = self._due(frame, now=now, newest_intra=newest_intra)
                if reason is not None:
                    out += self._release(frame, reason, now=now)
                    due = True
                    break
        return out

    def next_deadline(self) -> float | None:
        """When `poll` has something to say even if nothing comes in. None: nothing is under way."""
        return min((p.first_received + self._deadline_s for p in self._pending.values()), default=None)

    def statistics(self) -> ReassemblyStatistics:
        """Counts so far."""
        return ReassemblyStatistics(
            packets=self._packets,
            duplicates=self._duplicates,
            late=self._late,
            contradictory=self._contradictory,
            frames_intact=self._intact,
            frames_damaged=self._damaged,
            frames_lost=self._lost,
            pending_frames=len(self._pending),
            pending_bytes=sum(p.size for p in self._pending.values()),
            max_frames=self._max_frames,
        )

    def _start_epoch(self, epoch: int) -> None:
        self._events += [self._lose(frame, "epoch") for frame in sorted(self._pending)]
        self._epoch, self._last_out, self._ids = epoch, None, Unwrapper()

    def _add(self, packet: MediaPacket, *, now: float) -> None:
        if len(self._pending) >= self._max_frames:
            oldest = min(self._pending)
            if self._ids.peek(packet.frame_id) < oldest:
                self._late += 1
                return
            self._events.append(self._lose(oldest, "overflow"))
            self._last_out = oldest
        partial = self._pending[self._ids.unwrap(packet.frame_id)] = _Partial(packet, now)
        partial.place(packet, now=now)

    def _due(self, frame: int, *, now: float, newest_intra: int | None) -> Literal["ready"] | LossReason | None:
        partial = self._pending[frame]
        if partial.completed is not None and self._reference_left(frame):
            return "ready"
        if newest_intra is not None and frame < newest_intra:
            return "superseded"
        if now < partial.first_received + self._deadline_s:
            return None
        return "ready" if 0 in partial.parts else "incomplete"

    def _reference_left(self, frame: int) -> bool:
        """Whether waiting for the reference is over: there is none, or it left, or something newer than it did."""
        first = self._pending[frame].first
        if first.reference_id is None:
            return True
        reference = frame - serial_distance(first.reference_id, first.frame_id)
        return self._last_out is not None and reference <= self._last_out

    def _release(
        self, frame: int, reason: Literal["ready"] | LossReason, *, now: float
    ) -> list[FrameReady | FrameLost]:
        out: list[FrameReady | FrameLost] = [
            self._lose(older, "superseded") for older in sorted(self._pending) if older < frame
        ]
        out.append(self._finish(self._pending.pop(frame), now) if reason == "ready" else self._lose(frame, reason))
        self._last_out = frame
        return out

    def _lose(self, frame: int, reason: LossReason) -> FrameLost:
        self._lost += 1
        return FrameLost(self._pending.pop(frame).first.frame_id, reason)

    def _finish(self, partial: _Partial, now: float) -> FrameReady:
        frame_bytes = bytearray()
        holes: list[tuple[int, int]] = []
        for index in partial.indexes:
            part = partial.parts[index]
            if part.payload_offset > len(frame_bytes):
                holes.append((len(frame_bytes) - PROLOGUE_BYTES, part.payload_offset - PROLOGUE_BYTES))
                frame_bytes += bytes(part.payload_offset - len(frame_bytes))
            frame_bytes += part.payload
        if partial.indexes[-1] != partial.first.data_count - 1:
            holes.append((len(frame_bytes) - PROLOGUE_BYTES, HOLE_END))
        wait_us, encode_us = decode_prologue(frame_bytes)
        if holes:
            self._damaged += 1
        else:
            self._intact += 1
        first = partial.first
        return FrameReady(
            frame_id=first.frame_id,
            reference_id=first.reference_id,
            epoch=first.epoch,
            captured_us=first.captured_us,
            wait_us=wait_us,
            encode_us=encode_us,
            sent_us=max(part.sent_us for part in partial.parts.values()),
            first_received=partial.first_received,
            received=now if partial.completed is None else partial.completed,
            data=bytes(frame_bytes[PROLOGUE_BYTES:]),
            holes=tuple(holes),
            packets=len(partial.parts),
            packets_missing=first.data_count - len(partial.parts),
        )
