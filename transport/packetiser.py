"""Cuts one coded frame into media packets.

    frame bytes = prologue (8) | head: frame header and z | slice 0 | slice 1 | ...

The head may be cut anywhere, a slice never is: losing a packet loses whole slices, each of which decodes by itself.
Packets are filled greedily, so several small slices (or the end of the head and the first slices) share one.
"""

from collections.abc import Sequence
from itertools import pairwise

from transport.wire import MAX_FRAME_BYTES, MAX_PAYLOAD_BYTES, NO_FRAME, PROLOGUE_BYTES, MediaPacket, encode_prologue

MAX_SLICE_BYTES = MAX_PAYLOAD_BYTES
"""Largest slice: it has a packet to itself, less the 40 bytes of header."""


def packetise(
    coded: bytes,
    slice_offsets: Sequence[int],
    *,
    frame_id: int,
    reference_id: int | None,
    epoch: int,
    captured_us: int,
    wait_us: int,
    encode_us: int,
) -> list[bytearray]:
    """Media packets of one frame, in order; each still needs `transport.wire.stamp` when it leaves the pacer.

    `slice_offsets` are where the slices start in `coded`, ascending; what lies before the first is the head. Empty: all
    is head. `frame_id` is a u32 without 0xFFFFFFFF, `epoch` a u8, `captured_us` the server clock.

    Raises ValueError when the frame is over 4 MiB, a slice is over `MAX_SLICE_BYTES`, the offsets do not ascend within
    `coded`, or `frame_id` is the reserved id: mistakes of the caller, never of the network.
    """
    if frame_id == NO_FRAME:
        raise ValueError(f"frame id {frame_id} stands for no frame on the wire; skip it")
    frame = encode_prologue(wait_us=wait_us, encode_us=encode_us) + coded
    if len(frame) > MAX_FRAME_BYTES:
        raise ValueError(f"a frame of {len(frame)} bytes is over the limit of {MAX_FRAME_BYTES}")
    starts = _packet_starts(len(frame), [offset + len(frame) - len(coded) for offset in slice_offsets])
    packets = []
    for index, (start, end) in enumerate(pairwise([*starts, len(frame)])):
        packet = MediaPacket(
            seq=0,
            frame_id=frame_id,
            reference_id=reference_id,
            epoch=epoch,
            index=index,
            data_count=len(starts),
            parity_count=0,
            payload_offset=start,
            captured_us=captured_us,
            send_delay_us=0,
            payload=frame[start:end],
        )
        packets.append(bytearray(packet.to_bytes()))
    return packets


def _packet_starts(frame_bytes: int, slice_starts: list[int]) -> list[int]:
    """Where each packet starts in the frame's bytes."""
    head_end = slice_starts[0] if slice_starts else frame_bytes
    starts = list(range(0, head_end, MAX_PAYLOAD_BYTES))
    for start, end in pairwise([*slice_starts, frame_bytes]):
        if not PROLOGUE_BYTES <= start <= end <= frame_bytes:
            raise ValueError(f"slice offsets must ascend within the frame, got a slice from {start} to {end}")
        if end - start > MAX_SLICE_BYTES:
            raise ValueError(f"a slice of {end - start} bytes is over the limit of {MAX_SLICE_BYTES}")
        if end - starts[-1] > MAX_PAYLOAD_BYTES:
            starts.append(start)
    return starts
