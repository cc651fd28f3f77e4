"""Parity: further packets from any of which the lost ones of a frame can be rebuilt (Reed-Solomon over GF(256), zfec).

    block = its data packets' `u16 length | payload`, padded to the longest     k shares, then 256 - k of parity

Any k shares of a block give all of it. A share does not depend on how many others are made, so that more can follow
at any time (`more_parity`). Frames of more than `MAX_BLOCK` data packets are cut into equal blocks of neighbours;
parity packet j goes to block j modulo their number. The head (prologue, frame header, z) may have parity of its own.
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from zfec import Decoder, Encoder, Error

from transport.packetiser import PacketisedFrame
from transport.wire import (
    HEAD_BLOCK,
    MAX_BLOCK,
    MAX_SHARE,
    MEDIA_HEADER_BYTES,
    SHARE_LENGTH_BYTES,
    Kind,
    ParityPacket,
    announce,
    block_count,
    block_size,
    block_start,
)

_LENGTH = struct.Struct(">H")
_MAX_COUNT, _MAX_HEAD_COUNT = 0xFFFF, 0xFF
"""Widths of the fields that announce parity."""


@dataclass(frozen=True, slots=True)
class Protection:
    """How many parity packets a frame gets."""

    parity: int
    """Over all data packets, blocks together."""
    head_parity: int
    """Over the head's packets alone."""

    @property
    def total(self) -> int:
        """Parity packets in all."""
        return self.parity + self.head_parity


NO_PROTECTION = Protection(0, 0)


def protect(frame: PacketisedFrame, protection: Protection) -> list[bytearray]:
    """The frame's packets in sending order: data, parity over the head, parity over all. Counts are filled in.

    Less parity is made than asked for where the code has no more shares (256 less the block's data packets), or for a
    head of more than `MAX_BLOCK` packets (none).
    """
    parity = min(protection.parity, _shares_left(frame, 0), _MAX_COUNT)
    head_parity = min(protection.head_parity, MAX_SHARE + 1 - frame.head_count, _MAX_HEAD_COUNT)
    if frame.head_count > MAX_BLOCK:
        head_parity = 0
    packets = [bytearray(packet) for packet in frame.packets]
    if parity or head_parity:
        for packet in packets:
            announce(packet, parity_count=parity, head_parity_count=head_parity)
    if head_parity:
        shares = range(frame.head_count, frame.head_count + head_parity)
        packets += _parity_packets(frame, HEAD_BLOCK, shares, parity=parity, head_parity=head_parity)
    if parity:
        packets += _parity_over_all(frame, 0, parity, announced=parity, head_parity=head_parity)
    return packets


def more_parity(frame: PacketisedFrame, start: int, count: int) -> list[bytearray]:
    """Up to `count` parity packets over all data beyond the first `start` of them; none when no more can be made.

    They announce `start` parity packets: what is sent beyond is a gift that nobody waits for.
    """
    count = min(count, _shares_left(frame, start))
    return _parity_over_all(frame, start, count, announced=start, head_parity=0) if count > 0 else []


def rebuild(shares: dict[int, bytes], k: int) -> list[bytes] | None:
    """All payloads of a block of `k` data packets from exactly `k` of its shares, by share index.

    Shares of data packets (index < k) are given as their payloads, parity as received. None where they contradict each
    other: of different lengths, or what comes out is not lengths and payloads.
    """
    size = max((len(share) for index, share in shares.items() if index >= k), default=0)
    if size <= SHARE_LENGTH_BYTES:
        return None
    blocks = []
    for index, share in shares.items():
        padded = share if index >= k else _pad(share, size)
        if len(padded) != size:
            return None
        blocks.append(padded)
    try:
        whole = _decoder(k).decode(blocks, list(shares))
    except Error:
        return None
    payloads = []
    for block in whole:
        (length,) = _LENGTH.unpack_from(block)
        end = SHARE_LENGTH_BYTES + length
        if not SHARE_LENGTH_BYTES < end <= size or block.count(0, end) != size - end:
            return None
        payloads.append(block[SHARE_LENGTH_BYTES:end])
    return payloads


def parity_position(data_count: int, block: int, share: int) -> int:
    """Which of the parity packets over all data a share of `block` is: the j that was sent j-th."""
    return (share - block_size(data_count, 0, block)) * block_count(data_count) + block


def is_extra(packet: ParityPacket) -> bool:
    """Whether a parity packet is beyond what its frame announced: part of a probe."""
    if packet.block == HEAD_BLOCK:
        return False
    return parity_position(packet.data_count, packet.block, packet.share) >= packet.parity_count


@lru_cache(maxsize=MAX_BLOCK)
def _encoder(k: int) -> Encoder:
    return Encoder(k, MAX_SHARE + 1)


@lru_cache(maxsize=MAX_BLOCK)
def _decoder(k: int) -> Decoder:
    return Decoder(k, MAX_SHARE + 1)


def _pad(payload: bytes | memoryview, size: int) -> bytes:
    return (_LENGTH.pack(len(payload)) + payload).ljust(size, b"\0")


def _shares_left(frame: PacketisedFrame, start: int) -> int:
    """Parity packets over all data that can be made beyond the first `start`. The largest block runs out first."""
    count = len(frame.packets)
    largest = -(-count // block_count(count))
    return max(0, (MAX_SHARE + 1 - largest) * block_count(count) - start)


def _parity_over_all(
    frame: PacketisedFrame, start: int, count: int, *, announced: int, head_parity: int
) -> list[bytearray]:
    data_count = len(frame.packets)
    blocks = block_count(data_count)
    made: dict[int, bytearray] = {}
    for block in range(blocks):
        positions = range(start + (block - start) % blocks, start + count, blocks)
        k = block_size(data_count, frame.head_count, block)
        shares = [k + position // blocks for position in positions]
        packets = _parity_packets(frame, block, shares, parity=announced, head_parity=head_parity)
        made.update(zip(positions, packets, strict=True))
    return [made[position] for position in range(start, start + count)]


def _parity_packets(
    frame: PacketisedFrame, block: int, shares: Sequence[int], *, parity: int, head_parity: int
) -> list[bytearray]:
    if not shares:
        return []
    count = len(frame.packets)
    first = 0 if block == HEAD_BLOCK else block_start(count, block)
    data = frame.packets[first : first + block_size(count, frame.head_count, block)]
    size = SHARE_LENGTH_BYTES + max(map(len, data)) - MEDIA_HEADER_BYTES
    blocks = [_pad(packet[MEDIA_HEADER_BYTES:], size) for packet in data]
    # The block's first packet has all but a few of the header's fields right, its offset included.
    header = bytearray(data[0][:MEDIA_HEADER_BYTES])
    header[1] = Kind.PARITY
    announce(header, parity_count=parity, head_parity_count=head_parity)
    packets = []
    for share, payload in zip(shares, _encoder(len(data)).encode(blocks, list(shares)), strict=True):
        header[16], header[17] = block, share
        packets.append(header + payload)
    return packets
