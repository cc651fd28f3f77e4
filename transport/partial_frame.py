"""A frame under way: the data packets that are here, the parity that may stand in for the others, and what is missing.

Packets that contradict what is here are refused; parity from which nothing sensible comes out is thrown away, and the
frame goes on without it.
"""

from bisect import bisect_left, insort
from enum import Enum, auto

from transport.fec import parity_position, rebuild
from transport.wire import (
    HEAD_BLOCK,
    MAX_PAYLOAD_BYTES,
    PROLOGUE_BYTES,
    MediaPacket,
    ParityPacket,
    block_count,
    block_size,
    block_start,
)


class Taken(Enum):
    """What became of a packet."""

    USED = auto()
    DUPLICATE = auto()
    """Was here before."""
    SPARE = auto()
    """Nothing is missing any more where it could have helped, or its frame is too large to hold it."""
    CONTRADICTORY = auto()
    """Does not fit the packets of the same frame before it."""


class PartialFrame:
    """Collects one frame. `parts` never overlap and lie in index order: `take` sees to it."""

    __slots__ = (
        "_blocks",
        "_facts",
        "_have",
        "_max_bytes",
        "_offsets",
        "_parity",
        "_position",
        "_spoilt",
        "announced",
        "completed",
        "contradictory",
        "first",
        "first_received",
        "indexes",
        "last_received",
        "parts",
        "received",
        "recovered",
        "resent",
        "sent_us",
        "size",
    )

    def __init__(self, first: MediaPacket | ParityPacket, *, now: float, max_bytes: int) -> None:
        """`first` still has to be taken. `max_bytes`: of payload and parity held at most."""
        self.first = first
        self.first_received = self.last_received = now
        self.completed: float | None = None
        self.indexes: list[int] = []
        self.parts: dict[int, tuple[int, bytes]] = {}
        """By index: payload offset and payload."""
        self.received = self.resent = self.recovered = 0
        """Data packets that came in, those of them that were sent again, and those rebuilt from parity."""
        self.contradictory = 0
        """Parity packets held that turned out to make no sense."""
        self.size = 0
        self.sent_us = 0
        """When the last packet that was of use had left, server clock."""
        self.announced = 0
        self._facts = (first.data_count, first.head_count, first.reference_id, first.captured_us)
        self._max_bytes = max_bytes
        self._blocks = block_count(first.data_count)
        self._have: dict[int, int] = {}
        self._parity: dict[int, dict[int, bytes]] = {}
        self._offsets: dict[int, int] = {}
        self._spoilt: set[int] = set()
        self._position = -1

    def take(self, packet: MediaPacket | ParityPacket, *, now: float) -> Taken:
        """Puts a packet in its place, and rebuilds what has become possible to rebuild."""
        if (packet.data_count, packet.head_count, packet.reference_id, packet.captured_us) != self._facts:
            return Taken.CONTRADICTORY
        if isinstance(packet, ParityPacket):
            taken, blocks = self._take_parity(packet), [packet.block]
        else:
            taken, blocks = self._take_data(packet), [self._block_of(packet.index), HEAD_BLOCK]
        if taken is not Taken.USED:
            return taken
        self.sent_us = max(self.sent_us, packet.sent_us)
        self._note_position(packet)
        while self._parity and blocks:
            blocks = self._repair(blocks)
        if len(self.parts) == self.first.data_count:
            self.completed = now
            self._parity.clear()
        return Taken.USED

    def missing(self) -> int:
        """How many more packets, of data or of the right parity, would complete the frame."""
        count, short = self.first.data_count, 0
        for block in range(self._blocks):
            held = self._have.get(block, 0) + len(self._parity.get(block, ()))
            short += max(0, block_size(count, 0, block) - held)
        return short

    @property
    def has_head(self) -> bool:
        """Whether the frame can be decoded, whatever else is missing."""
        return self._have.get(HEAD_BLOCK, 0) == self.first.head_count

    def to_come(self) -> int:
        """Packets of the frame that were sent after the last one seen, unless they are lost."""
        return max(0, self.first.data_count + self.announced - 1 - self._position)

    def _block_of(self, index: int) -> int:
        return ((index + 1) * self._blocks - 1) // self.first.data_count

    def _note_position(self, packet: MediaPacket | ParityPacket) -> None:
        self.announced = max(self.announced, packet.parity_count + packet.head_parity_count)
        if packet.resent:
            return
        if isinstance(packet, MediaPacket):
            position = packet.index
        elif packet.block == HEAD_BLOCK:
            position = packet.data_count + packet.share - packet.head_count
        else:
            position = packet.data_count + packet.head_parity_count
            position += parity_position(packet.data_count, packet.block, packet.share)
        self._position = max(self._position, position)

    def _take_data(self, packet: MediaPacket) -> Taken:
        part = (packet.payload_offset, packet.payload)
        here = self.parts.get(packet.index)
        if here is not None:
            return Taken.DUPLICATE if here == part else Taken.CONTRADICTORY
        if not self._fits(packet.index, packet.payload_offset, packet.index, packet.payload_offset + len(part[1])):
            return Taken.CONTRADICTORY
        self._place(packet.index, part)
        self.received += 1
        self.resent += packet.resent
        return Taken.USED

    def _take_parity(self, packet: ParityPacket) -> Taken:
        block = packet.block
        if block in self._spoilt or self._have.get(block, 0) == self._k(block):
            return Taken.SPARE
        shares = self._parity.get(block)
        if shares is None:
            self._offsets[block] = packet.payload_offset
            shares = self._parity[block] = {}
        elif self._offsets[block] != packet.payload_offset:
            return Taken.CONTRADICTORY
        elif packet.share in shares:
            return Taken.DUPLICATE if shares[packet.share] == packet.payload else Taken.CONTRADICTORY
        if self.size + len(packet.payload) > self._max_bytes:
            return Taken.SPARE
        shares[packet.share] = packet.payload
        self.size += len(packet.payload)
        return Taken.USED

    def _k(self, block: int) -> int:
        return block_size(self.first.data_count, self.first.head_count, block)

    def _place(self, index: int, part: tuple[int, bytes]) -> None:
        insort(self.indexes, index)
        self.parts[index] = part
        self.size += len(part[1])
        block = self._block_of(index)
        self._have[block] = self._have.get(block, 0) + 1
        if index < self.first.head_count:
            self._have[HEAD_BLOCK] = self._have.get(HEAD_BLOCK, 0) + 1

    def _fits(self, first: int, start: int, last: int, end: int) -> bool:
        """Whether bytes `start` to `end`, packets `first` to `last`, leave room for exactly the packets around them."""
        position = bisect_left(self.indexes, first)
        below_index, below_end = -1, 0
        if position:
            below_index = self.indexes[position - 1]
            offset, payload = self.parts[below_index]
            below_end = offset + len(payload)
        missing = first - below_index - 1
        if not missing <= start - below_end <= missing * MAX_PAYLOAD_BYTES:
            return False
        position = bisect_left(self.indexes, last + 1)
        if position == len(self.indexes):
            return True
        above = self.indexes[position]
        missing = above - last - 1
        return missing <= self.parts[above][0] - end <= missing * MAX_PAYLOAD_BYTES

    def _repair(self, blocks: list[int]) -> list[int]:
        """Rebuilds those of `blocks` that can be; returns the blocks for which this may have made a difference."""
        touched: set[int] = set()
        for block in blocks:
            shares = self._parity.get(block)
            if shares is None:
                continue
            have, k = self._have.get(block, 0), self._k(block)
            if have < k and have + len(shares) < k:
                continue
            if have < k:
                touched |= self._rebuild(block, k)
            self.size -= sum(map(len, shares.values()))
            del self._parity[block]
        return list(touched)

    def _rebuild(self, block: int, k: int) -> set[int]:
        first = 0 if block == HEAD_BLOCK else block_start(self.first.data_count, block)
        known = self.indexes[bisect_left(self.indexes, first) : bisect_left(self.indexes, first + k)]
        shares = {index - first: self.parts[index][1] for index in known}
        parity = self._parity[block]
        shares.update(list(parity.items())[: k - len(shares)])
        payloads = rebuild(shares, k)
        if payloads is None or not self._place_all(first, self._offsets[block], payloads):
            self._spoilt.add(block)
            self.contradictory += len(parity)
            return set()
        self.recovered += k - len(known)
        return {HEAD_BLOCK, *(self._block_of(index) for index in range(first, first + k))}

    def _place_all(self, first: int, start: int, payloads: list[bytes]) -> bool:
        """Places what is new of neighbouring packets from `first` on, unless that contradicts what is here."""
        parts = []
        offset = start
        for payload in payloads:
            parts.append((offset, payload))
            offset += len(payload)
            if len(payload) > MAX_PAYLOAD_BYTES:
                return False
        last = first + len(payloads) - 1
        if first == 0 and len(payloads[0]) < PROLOGUE_BYTES:
            return False
        if offset > self._max_bytes or not self._fits(first, start, last, offset):
            return False
        if any(self.parts.get(first + i, part) != part for i, part in enumerate(parts)):
            return False
        for i, part in enumerate(parts):
            if first + i not in self.parts:
                self._place(first + i, part)
        return True
