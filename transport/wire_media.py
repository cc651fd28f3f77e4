"""Messages of the media channel, server to client: data, parity, probe, pong. The layout is in `transport.wire`."""

import struct
from dataclasses import dataclass

from transport.wire_limits import (
    HEAD_BLOCK,
    MAX_BLOCK,
    MAX_CLOCK_US,
    MAX_FRAME_BYTES,
    MAX_PACKET_BYTES,
    MAX_PACKETS_PER_FRAME,
    MAX_PAYLOAD_BYTES,
    MEDIA_HEADER_BYTES,
    NO_FRAME,
    PROLOGUE_BYTES,
    SHARE_LENGTH_BYTES,
    U32_MAX,
    WIRE_VERSION,
    Kind,
    block_count,
    block_size,
    block_start,
)

MIN_PROBE_BYTES = 16
_MEDIA = struct.Struct(">BBBBIIIHHHHIQI")
_PROBE = struct.Struct(">BBHIQ")
_PONG = struct.Struct(">BBHIQQQ")
_U16, _U32, _U64 = struct.Struct(">H"), struct.Struct(">I"), struct.Struct(">Q")
_INDEX_AND_COUNT = struct.Struct(">HH")
_INTRA, _RESENT = 1, 2
_OFFSET_BITS = 24


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
    """Parity packets announced over all data packets, u16; shares beyond them may follow. 0 if `resent`."""
    payload_offset: int
    """Where the payload starts in the frame's bytes. Each packet before it holds 1 .. `MAX_PAYLOAD_BYTES` bytes."""
    captured_us: int
    """When the picture was captured, server clock."""
    send_delay_us: int
    """Captured -> left the pacer, u32."""
    payload: bytes
    """1 .. `MAX_PAYLOAD_BYTES` bytes; at least the whole prologue in packet 0."""
    head_count: int = 1
    """The first so many data packets hold the prologue, frame header and z: all that decoding cannot do without."""
    head_parity_count: int = 0
    """Parity packets announced over those alone, u8."""
    answers: int | None = None
    """Sent again: low 16 bits of the transport sequence number that was asked for. None: sent for the first time."""

    @property
    def resent(self) -> bool:
        """Whether it answers a NACK."""
        return self.answers is not None

    @property
    def sent_us(self) -> int:
        """When the packet left the pacer, server clock."""
        return self.captured_us + self.send_delay_us

    def to_bytes(self) -> bytes:
        """The packet as sent. Raises struct.error where a field does not fit."""
        return _media_header(self, Kind.DATA, self.index) + self.payload


@dataclass(frozen=True, slots=True)
class ParityPacket:
    """One share of the parity over a block of data packets. The fields of the frame are as in `MediaPacket`."""

    seq: int
    frame_id: int
    reference_id: int | None
    epoch: int
    block: int
    """Which data packets it protects: `HEAD_BLOCK`, or 0 .. `block_count(data_count)` - 1."""
    share: int
    """Index in the code, k .. `MAX_SHARE` where k is the block's number of data packets."""
    data_count: int
    parity_count: int
    payload_offset: int
    """Where the block's first packet starts in the frame's bytes."""
    captured_us: int
    send_delay_us: int
    payload: bytes
    """The share, as long as the longest of the block's `u16 length | payload`."""
    head_count: int = 1
    head_parity_count: int = 0
    answers: int | None = None

    @property
    def resent(self) -> bool:
        """Whether it answers a NACK."""
        return self.answers is not None

    @property
    def sent_us(self) -> int:
        """When the packet left the pacer, server clock."""
        return self.captured_us + self.send_delay_us

    def to_bytes(self) -> bytes:
        """The packet as sent. Raises struct.error where a field does not fit."""
        return _media_header(self, Kind.PARITY, self.block << 8 | self.share) + self.payload


@dataclass(frozen=True, slots=True)
class ProbePacket:
    """Says nothing but "this much arrived": what the link takes can be measured without media."""

    seq: int
    """Transport sequence number, u32, counted with the media's."""
    sent_us: int
    """Server clock."""
    size_bytes: int = MIN_PROBE_BYTES
    """Of the whole message, 16 .. `MAX_PACKET_BYTES`; what follows the fields is padding."""

    @staticmethod
    def padding(size_bytes: int, sent_us: int = 0) -> bytearray:
        """A probe of `size_bytes` (at least 16) still to be stamped."""
        return bytearray(ProbePacket(0, sent_us, size_bytes).to_bytes())

    def to_bytes(self) -> bytes:
        """The message as sent, padded with zeros. Raises struct.error where a field does not fit."""
        head = _PROBE.pack(WIRE_VERSION, Kind.PROBE, 0, self.seq, self.sent_us)
        return head + bytes(max(self.size_bytes - MIN_PROBE_BYTES, 0))


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


MediaMessage = MediaPacket | ParityPacket | ProbePacket | Pong


def _media_header(packet: MediaPacket | ParityPacket, kind: Kind, index: int) -> bytes:
    reference = NO_FRAME if packet.reference_id is None else packet.reference_id
    flags = (_INTRA if packet.reference_id is None else 0) | (_RESENT if packet.resent else 0)
    if packet.payload_offset >> _OFFSET_BITS:
        raise struct.error(f"a payload offset of {packet.payload_offset} does not fit 24 bits")
    return _MEDIA.pack(
        WIRE_VERSION,
        kind,
        flags,
        packet.epoch,
        packet.seq,
        packet.frame_id,
        reference,
        index,
        packet.data_count,
        packet.parity_count if packet.answers is None else packet.answers,
        packet.head_count,
        packet.head_parity_count << _OFFSET_BITS | packet.payload_offset,
        packet.captured_us,
        packet.send_delay_us,
    )


def stamp(packet: bytearray, *, seq: int, now_us: int, resent: bool = False) -> bytes:
    """Fills the fields known at departure in place; returns the packet ready to send.

    Sequence number, and of data and parity the send delay (clamped to u32) and whether it is `resent` (see
    `mark_answer`); of a probe the send time. For these three kinds only.
    """
    _U32.pack_into(packet, 4, seq & U32_MAX)
    if packet[1] == Kind.PROBE:
        _U64.pack_into(packet, 8, now_us)
        return bytes(packet)
    delay_us = now_us - _U64.unpack_from(packet, 28)[0]
    if not 0 <= delay_us <= U32_MAX:
        delay_us = min(max(delay_us, 0), U32_MAX)
    _U32.pack_into(packet, 36, delay_us)
    if resent:
        packet[2] |= _RESENT
    return bytes(packet)


def mark_answer(packet: bytearray, seq: int) -> None:
    """Writes into a data or parity packet which transport sequence number it answers; `stamp` it as `resent` then."""
    _U16.pack_into(packet, 20, seq & 0xFFFF)


def announce(packet: bytearray, *, parity_count: int, head_parity_count: int) -> None:
    """Writes into a data packet how many parity packets its frame has."""
    _U16.pack_into(packet, 20, parity_count)
    packet[24] = head_parity_count


def ends_frame(packet: bytes) -> bool:
    """Whether a stamped packet is the last of its frame's data packets."""
    if packet[1] != Kind.DATA:
        return False
    index, count = _INDEX_AND_COUNT.unpack_from(packet, 16)
    return bool(index == count - 1)


def parse_media(data: bytes) -> MediaMessage | None:
    """Reads a message of the media channel. None for what is not exactly one; never raises."""
    if not 2 <= len(data) <= MAX_PACKET_BYTES or data[0] != WIRE_VERSION:
        return None
    if data[1] <= Kind.PARITY:
        return _parse_frame_packet(data)
    if data[1] == Kind.PROBE:
        return _parse_probe(data)
    return _parse_pong(data) if data[1] == Kind.PONG else None


def _parse_frame_packet(data: bytes) -> MediaPacket | ParityPacket | None:
    if len(data) <= MEDIA_HEADER_BYTES:
        return None
    (_, kind, flags, epoch, seq, frame_id, reference, index, count, parity, head, word, captured_us, delay_us) = (
        _MEDIA.unpack_from(data)
    )
    offset, head_parity = word & (1 << _OFFSET_BITS) - 1, word >> _OFFSET_BITS
    intra = bool(flags & _INTRA)
    if flags > _INTRA | _RESENT or frame_id == NO_FRAME or intra != (reference == NO_FRAME):
        return None
    if not intra and not 0 < (frame_id - reference & U32_MAX) < 1 << 31:
        # Not newer than its reference (`serial_newer`, written out for speed).
        return None
    if not 1 <= head <= count <= MAX_PACKETS_PER_FRAME or (head_parity and head > MAX_BLOCK):
        return None
    if captured_us + delay_us > MAX_CLOCK_US:
        return None
    payload = bytes(data[MEDIA_HEADER_BYTES:])
    reference_id, answers = None if intra else reference, parity if flags & _RESENT else None
    if answers is not None:
        parity = 0
    ids, counts, times = (seq, frame_id, reference_id, epoch), (count, parity, offset), (captured_us, delay_us)
    if kind == Kind.DATA:
        fits = _data_fits(index, count, offset, len(payload))
        return MediaPacket(*ids, index, *counts, *times, payload, head, head_parity, answers) if fits else None
    block, share = index >> 8, index & 0xFF
    if kind == Kind.PARITY and _parity_fits(block, share, head, count, offset, len(payload)):
        return ParityPacket(*ids, block, share, *counts, *times, payload, head, head_parity, answers)
    return None


def _data_fits(index: int, count: int, offset: int, size: int) -> bool:
    if not index < count or size > MAX_PAYLOAD_BYTES or (index == 0 and size < PROLOGUE_BYTES):
        return False
    return _offset_fits(index, offset) and offset + size + (count - 1 - index) <= MAX_FRAME_BYTES


def _parity_fits(block: int, share: int, head: int, count: int, offset: int, size: int) -> bool:
    if block == HEAD_BLOCK:
        first, k = 0, head
        if head > MAX_BLOCK:
            return False
    elif block < block_count(count):
        first, k = block_start(count, block), block_size(count, head, block)
    else:
        return False
    if share < k or size <= SHARE_LENGTH_BYTES:
        return False
    return _offset_fits(first, offset) and offset + count - first <= MAX_FRAME_BYTES


def _offset_fits(index: int, offset: int) -> bool:
    """Packet 0 starts the frame and holds the prologue whole; each packet between it and this has 1 byte at least."""
    return index + PROLOGUE_BYTES - 1 <= offset <= index * MAX_PAYLOAD_BYTES if index else offset == 0


def _parse_probe(data: bytes) -> ProbePacket | None:
    if len(data) < MIN_PROBE_BYTES:
        return None
    _, _, zero, seq, sent_us = _PROBE.unpack_from(data)
    return None if zero or sent_us > MAX_CLOCK_US else ProbePacket(seq, sent_us, len(data))


def _parse_pong(data: bytes) -> Pong | None:
    if len(data) != _PONG.size:
        return None
    _, _, zero, ping_id, t0_us, t1_us, t2_us = _PONG.unpack(data)
    if zero or t0_us > MAX_CLOCK_US or not t1_us <= t2_us <= MAX_CLOCK_US:
        return None
    return Pong(ping_id, t0_us, t1_us, t2_us)
