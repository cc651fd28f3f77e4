"""Puts media packets back together into frames, in frame id order, and gives up on time.

    on_packet(data or parity packet) ... -> poll() -> FrameReady (intact or with holes) | FrameLost

A frame leaves when the first of these holds:

* it is complete (parity counts) and intra, or complete and its reference has left already. Older ones leave before it
  as they are: with holes where they can be decoded, as superseded where they cannot;
* its deadline (first packet + `wait_s`) has passed: whole, damaged, or lost where the prologue is missing;
* a newer intra frame is complete: lost, superseded.

Memory: at most `max_frames` frames under way, each at most `max_frame_bytes`, parity included; a newcomer pushes out
the oldest.
"""

from collections import deque
from dataclasses import dataclass
from typing import Literal

from transport.partial_frame import PartialFrame, Taken
from transport.serial import Unwrapper, serial_distance
from transport.wire import MAX_FRAME_BYTES, PROLOGUE_BYTES, MediaPacket, ParityPacket, decode_prologue

_UNSEEN_REACH = 64
"""At the start nothing tells which frames before the reference of the first one are missing: so many ids."""
_READY_REMEMBERED = 64
"""Frames that left, newest last, to tell whether another one can be decoded from them."""
HOLE_END = MAX_FRAME_BYTES
"""End of a hole that reaches to the end of the frame, whose size nobody knows: beyond any frame."""

REPAIR_COMING_S = 0.03
"""A repair of which a packet came within this time is still coming: packets sent again leave 1 ms apart, and queue
behind each other."""
STILL_COMING_S = 0.08
"""A frame of which a packet came within this time is still on its way: a packet of 1150 bytes takes as long at 115
kbit/s."""
MAX_ARRIVAL_S = 0.6
"""But not for longer than this: a second frame is ready by then, whatever the rate."""

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
    """Data packets that came in."""
    packets_missing: int
    """Data packets that neither came in nor could be rebuilt."""
    recovered: int
    """Data packets rebuilt from parity."""
    resent: int
    """Of `packets`, those that had been asked for again."""

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
    """All that came in, parity included."""
    parity: int
    """Parity packets among them."""
    spare: int
    """Parity packets that were not needed any more."""
    duplicates: int
    """Were here before, or had been rebuilt."""
    late: int
    """For a frame that has left already, or of an older stream config."""
    contradictory: int
    """Did not fit the packets of the same frame before it, or the size limit; parity from which nonsense came out."""
    recovered: int
    """Data packets rebuilt from parity, of the frames that left."""
    resent: int
    """Data packets of the frames that left which had been asked for again."""
    frames_intact: int
    frames_damaged: int
    frames_lost: int
    pending_frames: int
    pending_bytes: int
    max_frames: int


@dataclass(frozen=True, slots=True)
class Wanted:
    """Packets that would still be of use: see `Reassembler.incomplete`."""

    first_id: int
    last_id: int
    """Of the frames `first_id` .. `last_id` (u32; one frame, or a stretch of which nothing came in)."""
    missing: int | None
    """So many packets of it would do. None: nothing is known of these frames but that one is waited for."""
    until: float
    """Client clock: of no use if they come later."""


class Reassembler:
    """Collects packets; see the module's text for what leaves when. Packets must be as `parse_media` lets them pass."""

    def __init__(self, *, wait_s: float = 0.1, max_frames: int = 16, max_frame_bytes: int = MAX_FRAME_BYTES) -> None:
        """`wait_s`: how long a frame may take from its first packet; the default is three frames at 30 fps."""
        self.wait_s = wait_s
        """May be set at any time; holds for frames under way too."""
        self.max_wait_s = wait_s
        """The same for frames whose repair is coming."""
        self._max_frames = max_frames
        self._max_frame_bytes = max_frame_bytes
        self._epoch: int | None = None
        self._ids = Unwrapper()
        self._newest_seen: int | None = None
        self._pending: dict[int, PartialFrame] = {}
        self._last_out: int | None = None
        self._ready: deque[int] = deque(maxlen=_READY_REMEMBERED)
        # Losses found between two polls. Bounded, for a caller that never polls.
        self._events: deque[FrameLost] = deque(maxlen=4 * max_frames)
        self._packets = self._parity = self._late = self._recovered = self._resent = 0
        self._taken = dict.fromkeys(Taken, 0)
        self._intact = self._damaged = self._lost = 0

    def on_packet(self, packet: MediaPacket | ParityPacket, now: float) -> None:
        """Takes one packet. Poll afterwards: it may have completed a frame."""
        self._packets += 1
        parity = isinstance(packet, ParityPacket)
        self._parity += parity
        if self._epoch is None or serial_distance(self._epoch, packet.epoch, bits=8) > 0:
            self._start_epoch(packet.epoch)
        frame = self._ids.peek(packet.frame_id)
        if packet.epoch != self._epoch or (self._last_out is not None and frame <= self._last_out):
            self._late += 1
            return
        if packet.payload_offset + (1 if parity else len(packet.payload)) > self._max_frame_bytes:
            self._taken[Taken.CONTRADICTORY] += 1
            return
        partial = self._pending.get(frame)
        if partial is None:
            partial = self._start(packet, now)
            if partial is None:
                self._late += 1
                return
        partial.last_received = now
        contradictory = partial.contradictory
        self._taken[partial.take(packet, now=now)] += 1
        self._taken[Taken.CONTRADICTORY] += partial.contradictory - contradictory

    def poll(self, *, now: float) -> list[FrameReady | FrameLost]:
        """Frames that leave by `now`, ids ascending. Call after each packet and at `next_deadline`."""
        out: list[FrameReady | FrameLost] = [*self._events]
        self._events.clear()
        newest_intra = max(
            (f for f, p in self._pending.items() if p.completed is not None and p.first.reference_id is None),
            default=None,
        )
        due = bool(self._pending)
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
        return min(map(self._end, self._pending), default=None)

    @property
    def last_out(self) -> int | None:
        """Id of the newest frame that has left; nothing older is of use."""
        return None if self._last_out is None else self._last_out & 0xFFFFFFFF

    def incomplete(self, now: float) -> list[Wanted]:
        """What frames under way still need beyond what may be on its way in the ordinary course, oldest first.

        That is: packets missing after parity, less those of the frame that leave the server after what came in last
        (until a newer frame has begun); and frames of which nothing came in but which another one waits for.
        """
        wanted = []
        known = self._last_out
        for frame in sorted(self._pending):
            partial = self._pending[frame]
            until = self._end(frame)
            reference = self._reference(frame)
            if until > now and reference is not None and (known is None or reference > known):
                first = reference - _UNSEEN_REACH if known is None else known + 1
                wanted.append(Wanted(first & 0xFFFFFFFF, reference & 0xFFFFFFFF, None, until))
            known = frame
            if partial.completed is None and until > now:
                to_come = 0 if frame != self._newest_seen else partial.to_come()
                missing = partial.missing() - to_come
                if missing > 0:
                    wanted.append(Wanted(partial.first.frame_id, partial.first.frame_id, missing, until))
        return wanted

    def statistics(self) -> ReassemblyStatistics:
        """Counts so far."""
        return ReassemblyStatistics(
            packets=self._packets,
            parity=self._parity,
            spare=self._taken[Taken.SPARE],
            duplicates=self._taken[Taken.DUPLICATE],
            late=self._late,
            contradictory=self._taken[Taken.CONTRADICTORY],
            recovered=self._recovered,
            resent=self._resent,
            frames_intact=self._intact,
            frames_damaged=self._damaged,
            frames_lost=self._lost,
            pending_frames=len(self._pending),
            pending_bytes=sum(p.size for p in self._pending.values()),
            max_frames=self._max_frames,
        )

    def _start_epoch(self, epoch: int) -> None:
        self._events += [self._lose(frame, "epoch") for frame in sorted(self._pending)]
        self._epoch, self._last_out, self._newest_seen, self._ids = epoch, None, None, Unwrapper()
        self._ready.clear()

    def _start(self, packet: MediaPacket | ParityPacket, now: float) -> PartialFrame | None:
        """The frame that this first packet of it belongs to; None: older than all of too many."""
        if len(self._pending) >= self._max_frames:
            oldest = min(self._pending)
            if self._ids.peek(packet.frame_id) < oldest:
                return None
            self._events.append(self._lose(oldest, "overflow"))
            self._last_out = oldest
        frame = self._ids.unwrap(packet.frame_id)
        self._newest_seen = frame if self._newest_seen is None else max(frame, self._newest_seen)
        partial = self._pending[frame] = PartialFrame(packet, now=now, max_bytes=self._max_frame_bytes)
        return partial

    def _end(self, frame: int) -> float:
        """When an incomplete frame is given up.

        The newest one is not as long as its packets come: on a slow path, or from a slow encoder, it is late and not
        lost. An older one is not while its repair is coming, up to the deadline.
        """
        partial = self._pending[frame]
        end = partial.first_received + self.wait_s
        if frame == self._newest_seen:
            return max(end, min(partial.last_received + STILL_COMING_S, partial.first_received + MAX_ARRIVAL_S))
        return max(end, min(partial.last_received + REPAIR_COMING_S, partial.first_received + self.max_wait_s))

    def _due(self, frame: int, *, now: float, newest_intra: int | None) -> Literal["ready"] | LossReason | None:
        partial = self._pending[frame]
        if partial.completed is not None and self._reference_left(frame):
            return "ready"
        if newest_intra is not None and frame < newest_intra:
            return "superseded"
        if now < self._end(frame):
            return None
        return "ready" if 0 in partial.parts else "incomplete"

    def _reference(self, frame: int) -> int | None:
        first = self._pending[frame].first
        if first.reference_id is None:
            return None
        return frame - serial_distance(first.reference_id, first.frame_id)

    def _reference_left(self, frame: int) -> bool:
        """Whether waiting for the reference is over: there is none, or it left, or something newer than it did."""
        reference = self._reference(frame)
        return reference is None or (self._last_out is not None and reference <= self._last_out)

    def _release(
        self, frame: int, reason: Literal["ready"] | LossReason, *, now: float
    ) -> list[FrameReady | FrameLost]:
        out = [self._let_go(older, now) for older in sorted(self._pending) if older < frame]
        out.append(self._leave(frame, now) if reason == "ready" else self._lose(frame, reason))
        self._last_out = frame
        return out

    def _let_go(self, frame: int, now: float) -> FrameReady | FrameLost:
        """A frame that a newer one does not need: shown as it is, where something came of what it is coded from."""
        partial = self._pending[frame]
        reference = self._reference(frame)
        if not partial.has_head or (reference is not None and reference not in self._ready):
            return self._lose(frame, "superseded")
        return self._leave(frame, now)

    def _leave(self, frame: int, now: float) -> FrameReady:
        self._ready.append(frame)
        return self._finish(self._pending.pop(frame), now)

    def _lose(self, frame: int, reason: LossReason) -> FrameLost:
        self._lost += 1
        return FrameLost(self._pending.pop(frame).first.frame_id, reason)

    def _finish(self, partial: PartialFrame, now: float) -> FrameReady:
        frame_bytes = bytearray()
        holes: list[tuple[int, int]] = []
        for index in partial.indexes:
            offset, payload = partial.parts[index]
            if offset > len(frame_bytes):
                holes.append((len(frame_bytes) - PROLOGUE_BYTES, offset - PROLOGUE_BYTES))
                frame_bytes += bytes(offset - len(frame_bytes))
            frame_bytes += payload
        if partial.indexes[-1] != partial.first.data_count - 1:
            holes.append((len(frame_bytes) - PROLOGUE_BYTES, HOLE_END))
        wait_us, encode_us = decode_prologue(frame_bytes)
        self._intact += not holes
        self._damaged += bool(holes)
        self._recovered += partial.recovered
        self._resent += partial.resent
        first = partial.first
        return FrameReady(
            frame_id=first.frame_id,
            reference_id=first.reference_id,
            epoch=first.epoch,
            captured_us=first.captured_us,
            wait_us=wait_us,
            encode_us=encode_us,
            sent_us=partial.sent_us,
            first_received=partial.first_received,
            received=now if partial.completed is None else partial.completed,
            data=bytes(frame_bytes[PROLOGUE_BYTES:]),
            holes=tuple(holes),
            packets=partial.received,
            packets_missing=first.data_count - len(partial.parts),
            recovered=partial.recovered,
            resent=partial.resent,
        )
