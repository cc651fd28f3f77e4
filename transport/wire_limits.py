"""What every message of the wire format builds on: version, kinds, limits, and how a frame's packets form blocks."""

import struct
from enum import IntEnum

WIRE_VERSION = 2
MAX_PACKET_BYTES = 1150
"""Largest message, our header included: fits one SCTP DATA chunk of aiortc (1160 bytes of user data)."""
MEDIA_HEADER_BYTES = 40
SHARE_LENGTH_BYTES = 2
"""A parity share covers `u16 length | payload` of each data packet, so it is this much longer than the longest."""
MAX_PAYLOAD_BYTES = MAX_PACKET_BYTES - MEDIA_HEADER_BYTES - SHARE_LENGTH_BYTES
"""Largest payload of a data packet: its parity share still fits a packet."""
PROLOGUE_BYTES = 8
MAX_FRAME_BYTES = 4 << 20
"""Largest frame, prologue included: a second of 33 Mbit/s, so more than is worth sending live, yet small to hold."""
MAX_PACKETS_PER_FRAME = 8192
"""Two neighbours always hold more than one payload together (the packetiser is greedy), so 4 MiB need at most 7,572."""
MAX_BLOCK = 48
"""Most data packets that parity protects together: repair costs k products a packet, and this is 50 kB, more than a
frame of 10 Mbit/s."""
HEAD_BLOCK = 0xFF
"""Block number of the head group; others are below 171."""
MAX_SHARE = 0xFF
"""Highest share index of the code over GF(256)."""
NO_FRAME = 0xFFFFFFFF
"""On the wire: no reference, no intact frame. Never the id of a frame."""
MAX_REPORT_ENTRIES = (MAX_PACKET_BYTES - 22) // 6
MAX_ACKS = 8
"""Acks in one message: a quarter of a second of frames at 30 fps, so that losing several messages loses no ack."""
MAX_MISSING_SLICES = 16
"""Slices that an ack names; of a frame with more holes than that little is worth keeping."""
MAX_NACKED = 64
"""Packets that one NACK asks for: more than a frame at 10 Mbit/s."""
MAX_CLOCK_US = (1 << 63) - 1
"""A clock beyond this is garbage, and would overflow signed arithmetic elsewhere."""
U32_MAX = 0xFFFFFFFF

_PROLOGUE = struct.Struct(">II")


class Kind(IntEnum):
    """Second byte of every message: below 16 on the media channel, from 16 on the feedback channel."""

    DATA, PARITY, PROBE, PONG = 1, 2, 3, 4
    PING, ARRIVAL_REPORT, FRAME_ACKS, NACK = 16, 17, 18, 19


class FrameStatus(IntEnum):
    """What became of a frame at the client."""

    INTACT = 0
    CONCEALED = 1
    """Decoded with slices missing: shown, but not a state to code from."""
    LOST = 2


def block_count(data_count: int) -> int:
    """How many blocks `data_count` data packets are protected in, 1 .. 171."""
    return -(-data_count // MAX_BLOCK)


def block_start(data_count: int, block: int) -> int:
    """Index of the first data packet of `block`; that of `block + 1` is where it ends. Blocks differ by one at most."""
    return block * data_count // block_count(data_count)


def block_size(data_count: int, head_count: int, block: int) -> int:
    """Data packets (k of the code) in `block`, which may be `HEAD_BLOCK`."""
    if block == HEAD_BLOCK:
        return head_count
    return block_start(data_count, block + 1) - block_start(data_count, block)


def encode_prologue(*, wait_us: int, encode_us: int) -> bytes:
    """The first 8 bytes of a frame: captured -> encoder started, encoder started -> coded. Clamped to u32."""
    return _PROLOGUE.pack(min(max(wait_us, 0), U32_MAX), min(max(encode_us, 0), U32_MAX))


def decode_prologue(frame_bytes: bytes | bytearray) -> tuple[int, int]:
    """(wait_us, encode_us) from at least 8 bytes. Raises struct.error if there are fewer."""
    wait_us, encode_us = _PROLOGUE.unpack_from(frame_bytes)
    return wait_us, encode_us


def wire_version(data: bytes) -> int | None:
    """The version a message claims, so that a peer of another one can be told so. None for an empty message."""
    return data[0] if data else None
