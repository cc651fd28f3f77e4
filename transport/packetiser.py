"""Cuts one coded frame into media packets.

    frame bytes = prologue (8) | head: frame header and z | slice 0 | slice 1 | ...

The head may be cut anywhere, a slice never is: losing a packet loses whole slices, each of which decodes by itself.
Packets are filled greedily, so several small slices (or the end of the head and the first slices) share one.
"""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from transport.wire import MAX_FRAME_BYTES, MAX_PAYLOAD_BYTES, NO_FRAME, PROLOGUE_BYTES, MediaPacket, encode_prologue

MAX_SLICE_BYTES = MAX_PAYLOAD_BYTES
"""Largest slice: it has a packet to itself, less the 40 bytes of header and the 2 that its parity share adds."""


@dataclass(frozen=True, slots=True)
class PacketisedFrame:
    """A coded frame in packets, the same for all viewers of its encode. `transport.fec.protect` makes it ready."""

    frame_id: int
    """u32 without 0xFFFFFFFF."""
    reference_id: int | None
    """The frame whose state it is coded from; None: intra."""
    epoch: int
    """Stream config it belongs to, u8."""
    captured_us: int
    """Server clock."""
    packets: tuple[bytes, ...]
    """Data packets in order, header included; counts of parity and what is known at departure are still zero."""
    head_count: int
    """The first so many packets hold the prologue, frame header and z, 1 .. len(packets)."""

    @property
    def size_bytes(self) -> int:
        """Of all packets together."""
        return sum(map(len, self.packets))


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
) -> PacketisedFrame:
    """Media packets of one frame.

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
    slice_starts = [offset + PROLOGUE_BYTES for offset in slice_offsets]
    starts = _packet_starts(len(frame), slice_starts)
    head_count = bisect_left(starts, slice_starts[0] if slice_starts else len(frame))
    packets = tuple(
        MediaPacket(
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
            head_count=head_count,
        ).to_bytes()
        for index, (start, end) in enumerate(pairwise([*starts, len(frame)]))
    )
    return PacketisedFrame(frame_id, reference_id, epoch, captured_us, packets, head_count)


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
