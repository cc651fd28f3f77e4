"""The wire format on one screen; docs/wire.md has the same tables in prose. All fields big-endian, all clocks unsigned
64-bit microseconds of the sender's monotonic clock.

    data 1 and parity 2, server -> client              probe, kind 3, server -> client
     0 version u8    1 kind u8                          0 version u8   1 kind u8   2 zero u16
     2 flags u8      3 config epoch u8                  4 transport sequence number u32
     4 transport sequence number u32                    8 sent_us u64  16 padding
     8 frame id u32            12 reference id u32
    16 data: packet index u16                          pong, kind 4, server -> client
       parity: block u8, 17 share u8                    0 version u8   1 kind u8   2 zero u16
    18 data count u16                                   4 ping id u32
    20 parity count u16, or if sent again               8 t0_us u64   16 t1_us u64   24 t2_us u64
       the low half of the number asked for
    22 head count u16          24 head parity u8       ping, kind 16, client -> server
    25 payload offset u24                               0 version u8   1 kind u8   2 zero u16
    28 captured_us u64         36 send delay us u32     4 ping id u32  8 t0_us u64
    40 payload
    arrival report, kind 17, client -> server
     0 version u8   1 kind u8   2 zero u16             frame acks, kind 18, client -> server
     4 report number u32        8 base sequence u32     0 version u8   1 kind u8   2 flags u8   3 count u8
    12 base time us u64        20 count u16             4 newest intact frame id u32
    22 count x {sequence offset u16,                    8 count x {frame id u32, status u8,
                arrival offset us i32}                             missing u8, missing x slice u16}

    NACK, kind 19, client -> server                    prologue, the first bytes of every frame
     0 version u8   1 kind u8   2 zero u8   3 count u8   0 wait_us u32   4 encode_us u32
     4 first sequence u32
     8 (count - 1) x sequence offset u16               parity covers `u16 length | payload`, padded with zeros

The parsers return None for anything that is not exactly one well-formed message of this version: they never raise.
"""

from transport.wire_feedback import ArrivalReport, FeedbackMessage, FrameAcks, Nack, Ping, parse_feedback
from transport.wire_limits import (
    HEAD_BLOCK,
    MAX_ACKS,
    MAX_BLOCK,
    MAX_CLOCK_US,
    MAX_FRAME_BYTES,
    MAX_MISSING_SLICES,
    MAX_NACKED,
    MAX_PACKET_BYTES,
    MAX_PACKETS_PER_FRAME,
    MAX_PAYLOAD_BYTES,
    MAX_REPORT_ENTRIES,
    MAX_SHARE,
    MEDIA_HEADER_BYTES,
    NO_FRAME,
    PROLOGUE_BYTES,
    SHARE_LENGTH_BYTES,
    WIRE_VERSION,
    FrameStatus,
    Kind,
    block_count,
    block_size,
    block_start,
    decode_prologue,
    encode_prologue,
    wire_version,
)
from transport.wire_media import (
    MIN_PROBE_BYTES,
    MediaMessage,
    MediaPacket,
    ParityPacket,
    Pong,
    ProbePacket,
    announce,
    ends_frame,
    mark_answer,
    parse_media,
    stamp,
)

__all__ = [
    "HEAD_BLOCK",
    "MAX_ACKS",
    "MAX_BLOCK",
    "MAX_CLOCK_US",
    "MAX_FRAME_BYTES",
    "MAX_MISSING_SLICES",
    "MAX_NACKED",
    "MAX_PACKETS_PER_FRAME",
    "MAX_PACKET_BYTES",
    "MAX_PAYLOAD_BYTES",
    "MAX_REPORT_ENTRIES",
    "MAX_SHARE",
    "MEDIA_HEADER_BYTES",
    "MIN_PROBE_BYTES",
    "NO_FRAME",
    "PROLOGUE_BYTES",
    "SHARE_LENGTH_BYTES",
    "WIRE_VERSION",
    "ArrivalReport",
    "FeedbackMessage",
    "FrameAcks",
    "FrameStatus",
    "Kind",
    "MediaMessage",
    "MediaPacket",
    "Nack",
    "ParityPacket",
    "Ping",
    "Pong",
    "ProbePacket",
    "announce",
    "block_count",
    "block_size",
    "block_start",
    "decode_prologue",
    "encode_prologue",
    "ends_frame",
    "mark_answer",
    "parse_feedback",
    "parse_media",
    "stamp",
    "wire_version",
]
