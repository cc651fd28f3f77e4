"""Messages of the feedback channel, client to server: ping, arrival report, frame acks, NACK.

The layout is in `transport.wire`.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from transport.wire_limits import (
    MAX_ACKS,
    MAX_CLOCK_US,
    MAX_MISSING_SLICES,
    MAX_NACKED,
    MAX_PACKET_BYTES,
    NO_FRAME,
    U32_MAX,
    WIRE_VERSION,
    FrameStatus,
    Kind,
)

_PING = struct.Struct(">BBHIQ")
_REPORT = struct.Struct(">BBHIIQH")
_REPORT_ENTRY = struct.Struct(">Hi")
_ACKS = struct.Struct(">BBBBI")
_STATUSES = tuple(FrameStatus)
_ACK_ENTRY = struct.Struct(">IBB")
_NACK = struct.Struct(">BBBBI")
_WAITING_FOR_INTRA = 1


@dataclass(frozen=True, slots=True)
class Ping:
    """Asks the server for its clock."""

    ping_id: int
    """u32, chosen by the client, not reused while an answer may be on its way."""
    t0_us: int
    """Client clock at sending."""

    def to_bytes(self) -> bytes:
        """The message as sent. Raises struct.error where a field does not fit."""
        return _PING.pack(WIRE_VERSION, Kind.PING, 0, self.ping_id, self.t0_us)


@dataclass(frozen=True, slots=True)
class ArrivalReport:
    """When packets came in, client clock."""

    number: int
    """u32, one up for each report; wraps."""
    base_seq: int
    """Transport sequence number, u32, that the entries count from."""
    base_us: int
    """Client clock that the entries count from."""
    entries: tuple[tuple[int, int], ...]
    """1 .. `MAX_REPORT_ENTRIES` of (sequence offset u16, arrival offset in us i32), sequence offsets ascending."""

    def arrivals(self) -> Iterator[tuple[int, int]]:
        """(transport sequence number u32, arrival in us of the client clock), in sequence order."""
        for seq_offset, offset_us in self.entries:
            yield (self.base_seq + seq_offset) & U32_MAX, self.base_us + offset_us

    def to_bytes(self) -> bytes:
        """The message as sent. Raises struct.error where a field does not fit."""
        head = _REPORT.pack(
            WIRE_VERSION, Kind.ARRIVAL_REPORT, 0, self.number, self.base_seq, self.base_us, len(self.entries)
        )
        return head + b"".join(_REPORT_ENTRY.pack(*entry) for entry in self.entries)


@dataclass(frozen=True, slots=True)
class FrameAcks:
    """What became of the last few frames."""

    waiting_for_intra: bool
    """The client holds no state that it can decode from."""
    newest_intact: int | None
    """Newest frame that decoded without a hole."""
    acks: tuple[tuple[int, FrameStatus, tuple[int, ...]], ...]
    """At most `MAX_ACKS` of (frame id, status, missing slices), oldest first. The slices: of a concealed frame the
    first `MAX_MISSING_SLICES` that are missing, u16, ascending; of others none."""

    def to_bytes(self) -> bytes:
        """The message as sent. Raises struct.error where a field does not fit."""
        newest = NO_FRAME if self.newest_intact is None else self.newest_intact
        flags = _WAITING_FOR_INTRA if self.waiting_for_intra else 0
        parts = [_ACKS.pack(WIRE_VERSION, Kind.FRAME_ACKS, flags, len(self.acks), newest)]
        for frame_id, status, missing in self.acks:
            parts += _ACK_ENTRY.pack(frame_id, status, len(missing)), struct.pack(f">{len(missing)}H", *missing)
        return b"".join(parts)


@dataclass(frozen=True, slots=True)
class Nack:
    """Asks for packets again."""

    seqs: tuple[int, ...]
    """1 .. `MAX_NACKED` transport sequence numbers, u32, ascending (around the wrap), within 65535 of the first."""

    def to_bytes(self) -> bytes:
        """The message as sent. Raises struct.error where a field does not fit."""
        base = self.seqs[0]
        offsets = [(seq - base) & U32_MAX for seq in self.seqs[1:]]
        head = _NACK.pack(WIRE_VERSION, Kind.NACK, 0, len(self.seqs), base)
        return head + struct.pack(f">{len(offsets)}H", *offsets)


FeedbackMessage = Ping | ArrivalReport | FrameAcks | Nack


def parse_feedback(data: bytes) -> FeedbackMessage | None:
    """Reads a message of the feedback channel. None for what is not exactly one; never raises."""
    if not 2 <= len(data) <= MAX_PACKET_BYTES or data[0] != WIRE_VERSION:
        return None
    if data[1] == Kind.ARRIVAL_REPORT:
        return _parse_report(data)
    if data[1] == Kind.FRAME_ACKS:
        return _parse_acks(data)
    if data[1] == Kind.NACK:
        return _parse_nack(data)
    return _parse_ping(data) if data[1] == Kind.PING else None


def _parse_ping(data: bytes) -> Ping | None:
    if len(data) != _PING.size:
        return None
    _, _, zero, ping_id, t0_us = _PING.unpack(data)
    return None if zero or t0_us > MAX_CLOCK_US else Ping(ping_id, t0_us)


def _parse_report(data: bytes) -> ArrivalReport | None:
    if len(data) < _REPORT.size:
        return None
    _, _, zero, number, base_seq, base_us, count = _REPORT.unpack_from(data)
    if zero or not count or len(data) != _REPORT.size + count * _REPORT_ENTRY.size:
        return None
    entries = tuple(_REPORT_ENTRY.iter_unpack(data[_REPORT.size :]))
    previous = -1
    for seq_offset, offset_us in entries:
        if seq_offset <= previous or not 0 <= base_us + offset_us <= MAX_CLOCK_US:
            return None
        previous = seq_offset
    return ArrivalReport(number, base_seq, base_us, entries)


def _parse_acks(data: bytes) -> FrameAcks | None:
    if len(data) < _ACKS.size:
        return None
    _, _, flags, count, newest = _ACKS.unpack_from(data)
    if flags & ~_WAITING_FOR_INTRA or count > MAX_ACKS:
        return None
    acks = []
    at = _ACKS.size
    for _ in range(count):
        if at + _ACK_ENTRY.size > len(data):
            return None
        frame_id, status, slices = _ACK_ENTRY.unpack_from(data, at)
        at += _ACK_ENTRY.size
        if frame_id == NO_FRAME or status > FrameStatus.LOST or slices > MAX_MISSING_SLICES:
            return None
        missing: tuple[int, ...] = ()
        if slices:
            if status != FrameStatus.CONCEALED or at + 2 * slices > len(data):
                return None
            missing = struct.unpack_from(f">{slices}H", data, at)
            at += 2 * slices
            if not _ascending(missing):
                return None
        acks.append((frame_id, _STATUSES[status], missing))
    if at != len(data):
        return None
    return FrameAcks(bool(flags), None if newest == NO_FRAME else newest, tuple(acks))


def _parse_nack(data: bytes) -> Nack | None:
    if len(data) < _NACK.size:
        return None
    _, _, zero, count, base = _NACK.unpack_from(data)
    if zero or not 1 <= count <= MAX_NACKED or len(data) != _NACK.size + 2 * (count - 1):
        return None
    offsets = (0, *struct.unpack_from(f">{count - 1}H", data, _NACK.size))
    return Nack(tuple((base + offset) & U32_MAX for offset in offsets)) if _ascending(offsets) else None


def _ascending(numbers: tuple[int, ...]) -> bool:
    return all(numbers[i] < numbers[i + 1] for i in range(len(numbers) - 1))
