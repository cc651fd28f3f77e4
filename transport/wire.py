"""The wire format, whole. docs/wire.md has the same tables in prose. All fields big-endian, all clocks unsigned
64-bit microseconds of the sender's monotonic clock.

    media packet, kind 1, server -> client             pong, kind 4, server -> client
     0 version u8    1 kind u8                          0 version u8   1 kind u8   2 zero u16
     2 flags u8      3 config epoch u8                  4 ping id u32
     4 transport sequence number u32                    8 t0_us u64   16 t1_us u64   24 t2_us u64
     8 frame id u32            12 reference id u32
    16 packet index u16        18 data count u16       ping, kind 16, client -> server
    20 parity count u16        22 zero u16              0 version u8   1 kind u8   2 zero u16
    24 payload offset u32                               4 ping id u32  8 t0_us u64
    28 captured_us u64         36 send delay us u32
    40 payload                                         frame acks, kind 18, client -> server
                                                        0 version u8   1 kind u8   2 flags u8   3 count u8
    arrival report, kind 17, client -> server           4 newest intact frame id u32
     0 version u8   1 kind u8   2 zero u16              8 count x {frame id u32, status u8}
     4 report number u32        8 base sequence u32
    12 base time us u64        20 count u16            prologue, the first bytes of every frame
    22 count x {sequence offset u16,                    0 wait_us u32   4 encode_us u32
                arrival offset us i32}

The parsers return None for anything that is not exactly one well-formed message of this version: they never raise.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum

from transport.serial import serial_newer

WIRE_VERSION = 1
MAX_PACKET_BYTES = 1150
"""Largest message, our header included: fits one SCTP DATA chunk of aiortc (1160 bytes of user data)."""
MEDIA_HEADER_BYTES = 40
MAX_PAYLOAD_BYTES = MAX_PACKET_BYTES - MEDIA_HEADER_BYTES
PROLOGUE_BYTES = 8
MAX_FRAME_BYTES = 4 << 20
"""Largest frame, prologue included: a second of 33 Mbit/s, so more than is worth sending live, yet small to hold."""
MAX_PACKETS_PER_FRAME = 8192
"""Two neighbours always hold more than one payload together (the packetiser is greedy), so 4 MiB need at most 7,559."""
NO_FRAME = 0xFFFFFFFF
"""On the wire: no reference, no intact frame. Never the id of a frame."""
MAX_REPORT_ENTRIES = (MAX_PACKET_BYTES - 22) // 6
MAX_ACKS = 8
"""Acks in one message: a quarter of a second of frames at 30 fps, so that losing several messages loses no ack."""
MAX_CLOCK_US = (1 << 63) - 1
"""A clock beyond this is garbage, and would overflow signed arithmetic elsewhere."""

_MEDIA = struct.Struct(">BBBBIIIHHHHIQI")
_PONG = struct.Struct(">BBHIQQQ")
_PING = struct.Struct(">BBHIQ")
_REPORT = struct.Struct(">BBHIIQH")
_REPORT_ENTRY = struct.Struct(">Hi")
_ACKS = struct.Struct(">BBBBI")
_ACK_ENTRY = struct.Struct(">IB")
_PROLOGUE = struct.Struct(">II")
_INTRA, _WAITING_FOR_INTRA = 1, 1
_U32_MAX = 0xFFFFFFFF


class Kind(IntEnum):
    """Second byte of every message. PARITY, PROBE and NACK are reserved names: nothing sends or parses them yet."""

    DATA, PARITY, PROBE, PONG = 1, 2, 3, 4
    PING, ARRIVAL_REPORT, FRAME_ACKS, NACK = 16, 17, 18, 19


class FrameStatus(IntEnum):
    """What became of a frame at the client."""

    INTACT = 0
    CONCEALED = 1
    """Decoded with slices missing: shown, but not a state to code from."""
    LOST = 2


@dataclass(frozen=True, slots=True)
class MediaPacket:
    """One packet of one frame. Of the frame's bytes (prologue, then coded frame) it holds one contiguous piece."""

    seq: int
    """Transport sequence number, u32, one up for each packet that leaves the pacer; wraps."""
    frame_id: int
    """u32 without `NO_FRAME`; grows from frame to frame, with gaps where the encoder skipped."""
    reference_id: int | None
    """The frame whose state this one is coded from, older than `frame_id`. None: intra."""
    epoch: int
    """Which stream config the frame belongs to, u8; wraps."""
    index: int
    """0 .. data_count - 1."""
    data_count: int
    """Packets the frame's bytes are cut into, 1 .. `MAX_PACKETS_PER_FRAME`."""
    parity_count: int
    """Parity packets that belong to the frame, u16. 0 from this version's server."""
    payload_offset: int
    """Where the payload starts in the frame's bytes. Each packet before it holds 1 .. `MAX_PAYLOAD_BYTES` bytes."""
    captured_us: int
    """When the picture was captured, server clock."""
    send_delay_us: int
    """Captured -> left the pacer, u32."""
    payload: bytes
    """1 .. `MAX_PAYLOAD_BYTES` bytes; at least the whole prologue in packet 0."""

    @property
    def sent_us(self) -> int:
        """When the packet left the pacer, server clock."""
        return self.captured_us + self.send_delay_us

    def to_bytes(self) -> bytes:
        """The packet as sent. Raises struct.error where a field does not fit."""
        reference = NO_FRAME if self.reference_id is None else self.reference_id
        flags = _INTRA if self.reference_id is None else 0
        counts = (self.index, self.data_count, self.parity_count)
        ids = (self.seq, self.frame_id, reference)
        times = (self.captured_us, self.send_delay_us)
        head = _MEDIA.pack(WIRE_VERSION, Kind.DATA, flags, self.epoch, *ids, *counts, 0, self.payload_offset, *times)
        return head + self.payload


@dataclass(frozen=True, slots=True)
class Pong:
    """Answer to a ping (the four timestamps of NTP, RFC 5905 section 8; the client adds the fourth)."""

    ping_id: int
    t0_us: int
    """Client clock when the ping was sent, echoed."""
    t1_us: int
    """Server clock when the ping came in."""
    t2_us: int
    """Server clock when the pong was sent, not before `t1_us`."""

    def to_bytes(self) -> bytes:
        """The message as sent. Raises struct.error where a field does not fit."""
        return _PONG.pack(WIRE_VERSION, Kind.PONG, 0, self.ping_id, self.t0_us, self.t1_us, self.t2_us)


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
            yield (self.base_seq + seq_offset) & _U32_MAX, self.base_us + offset_us

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
    acks: tuple[tuple[int, FrameStatus], ...]
    """At most `MAX_ACKS` of (frame id, status), oldest first."""

    def to_bytes(self) -> bytes:
        """The message as sent. Raises struct.error where a field does not fit."""
        newest = NO_FRAME if self.newest_intact is None else self.newest_intact
        flags = _WAITING_FOR_INTRA if self.waiting_for_intra else 0
        head = _ACKS.pack(WIRE_VERSION, Kind.FRAME_ACKS, flags, len(self.acks), newest)
        return head + b"".join(_ACK_ENTRY.pack(*ack) for ack in self.acks)


def encode_prologue(*, wait_us: int, encode_us: int) -> bytes:
    """The first 8 bytes of a frame: captured -> encoder started, encoder started -> coded. Clamped to u32."""
    return _PROLOGUE.pack(min(max(wait_us, 0), _U32_MAX), min(max(encode_us, 0), _U32_MAX))


def decode_prologue(frame_bytes: bytes | bytearray) -> tuple[int, int]:
    """(wait_us, encode_us) from at least 8 bytes. Raises struct.error if there are fewer."""
    wait_us, encode_us = _PROLOGUE.unpack_from(frame_bytes)
    return wait_us, encode_us


def stamp(packet: bytearray, *, seq: int, now_us: int) -> bytes:
    """Fills sequence number and send delay (clamped to u32) of a media packet, in place; returns it ready to send."""
    (captured_us,) = struct.unpack_from(">Q", packet, 28)
    struct.pack_into(">I", packet, 4, seq & _U32_MAX)
    struct.pack_into(">I", packet, 36, min(max(now_us - captured_us, 0), _U32_MAX))
    return bytes(packet)


def ends_frame(packet: bytes) -> bool:
    """Whether a stamped media packet is the last of its frame's data packets."""
    index, count = struct.unpack_from(">HH", packet, 16)
    return bool(index == count - 1)


def wire_version(data: bytes) -> int | None:
    """The version a message claims, so that a peer of another one can be told so. None for an empty message."""
    return data[0] if data else None


def parse_media(data: bytes) -> MediaPacket | Pong | None:
    """Reads a message of the media channel."""
    if not 2 <= len(data) <= MAX_PACKET_BYTES or data[0] != WIRE_VERSION:
        return None
    if data[1] == Kind.DATA:
        return _parse_data(data)
    return _parse_pong(data) if data[1] == Kind.PONG else None


def parse_feedback(data: bytes) -> Ping | ArrivalReport | FrameAcks | None:
    """Reads a message of the feedback channel."""
    if not 2 <= len(data) <= MAX_PACKET_BYTES or data[0] != WIRE_VERSION:
        return None
    if data[1] == Kind.PING:
        return _parse_ping(data)
    if data[1] == Kind.ARRIVAL_REPORT:
        return _parse_report(data)
    return _parse_acks(data) if data[1] == Kind.FRAME_ACKS else None


def _parse_data(data: bytes) -> MediaPacket | None:
    if len(data) <= MEDIA_HEADER_BYTES:
        return None
    (_, _, flags, epoch, seq, frame_id, reference, index, count, parity, zero, offset, captured_us, delay_us) = (
        _MEDIA.unpack_from(data)
    )
    payload = bytes(data[MEDIA_HEADER_BYTES:])
    if flags & ~_INTRA or zero or frame_id == NO_FRAME or (flags == _INTRA) != (reference == NO_FRAME):
        return None
    if reference != NO_FRAME and not serial_newer(frame_id, reference):
        return None
    # Packet 0 starts the frame and holds the prologue whole; each packet between it and this one has 1 byte at least.
    lowest_offset = index + PROLOGUE_BYTES - 1 if index else 0
    if not index < count <= MAX_PACKETS_PER_FRAME or not lowest_offset <= offset <= index * MAX_PAYLOAD_BYTES:
        return None
    if index == 0 and len(payload) < PROLOGUE_BYTES:
        return None
    if offset + len(payload) + (count - 1 - index) > MAX_FRAME_BYTES or captured_us + delay_us > MAX_CLOCK_US:
        return None
    reference_id = None if reference == NO_FRAME else reference
    ids, counts, times = (seq, frame_id, reference_id), (index, count, parity), (captured_us, delay_us)
    return MediaPacket(*ids, epoch, *counts, offset, *times, payload)


def _parse_pong(data: bytes) -> Pong | None:
    if len(data) != _PONG.size:
        return None
    _, _, zero, ping_id, t0_us, t1_us, t2_us = _PONG.unpack(data)
    if zero or t0_us > MAX_CLOCK_US or not t1_us <= t2_us <= MAX_CLOCK_US:
        return None
    return Pong(ping_id, t0_us, t1_us, t2_us)


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
    if flags & ~_WAITING_FOR_INTRA or count > MAX_ACKS or len(data) != _ACKS.size + count * _ACK_ENTRY.size:
        return None
    acks = []
    for frame_id, status in _ACK_ENTRY.iter_unpack(data[_ACKS.size :]):
        if frame_id == NO_FRAME or status > FrameStatus.LOST:
            return None
        acks.append((frame_id, FrameStatus(status)))
    return FrameAcks(flags == _WAITING_FOR_INTRA, None if newest == NO_FRAME else newest, tuple(acks))
