"""RTP packets of one video stream to coded frames, as early as each is whole. Plain, no clock of its own.

aiortc's own jitter buffer hands a frame on when the *next* one begins, a frame interval late, and holds up to 512
packets, seconds of video, when one is lost for good. Here a frame leaves with its last packet (the marker bit,
RFC 7741 section 4.1, RFC 6184 section 5.1), and what is missing is waited for `GIVE_UP_S`, then everything up to the
next key frame is dropped and that key frame asked for.
"""

from collections.abc import Iterator
from dataclasses import dataclass

NACK_REPEAT_S = 0.05
"""A packet asked for is asked for again after so long: a round trip on most paths."""
NACK_TIMES = 4
"""And so many times in all."""
GIVE_UP_S = 0.25
"""From noticing a hole to giving it up: the requests above, and a round trip for the last one."""
KEY_FRAME_REPEAT_S = 0.5
"""A key frame is asked for again after so long: its sender needs a round trip and an encode."""
MAX_PACKETS = 1024
"""Packets held while one is missing: 0.25 s at 40 Mbit/s. Beyond it the hole is given up."""
MAX_FRAME_BYTES = 4 * 1024 * 1024
"""A coded frame is no larger; a key frame of 1080p at the best quality is 1 MB."""
_NEWER = 0x8000


@dataclass(frozen=True, slots=True)
class Packet:
    """One RTP packet of the stream, without its payload header."""

    sequence: int
    """0 to 65535."""
    timestamp: int
    """RTP time, 0 to 2^32 - 1."""
    marker: bool
    """It is the last one of its frame."""
    data: bytes
    """A piece of the coded frame; empty in packets that only pad."""
    key: bool
    """The piece begins a frame that can be decoded without others."""


@dataclass(frozen=True, slots=True)
class CodedFrame:
    """A whole coded frame."""

    data: bytes
    timestamp: int
    """RTP time, 0 to 2^32 - 1."""
    key: bool
    first_arrived_s: float
    """When the first of its packets came."""


@dataclass(slots=True)
class _Missing:
    since: float
    asked: float
    times: int


class FrameAssembler:
    """`add` every packet; take frames, and what to tell the sender, from what it returns and from the two questions."""

    def __init__(self) -> None:
        self._packets: dict[int, tuple[Packet, float]] = {}
        """By sequence number, with their times of arrival."""
        self._missing: dict[int, _Missing] = {}
        self._next: int | None = None
        """The sequence number that the next frame begins with."""
        self._newest = 0
        self._key_needed = True
        self._key_asked: float | None = None
        self.dropped = 0
        """Frames and pieces of frames given up."""

    def add(self, packet: Packet, now: float) -> list[CodedFrame]:
        """Take a packet that came at `now`, in seconds; returns the frames that are whole now, in order."""
        if self._next is None:
            self._next = self._newest = packet.sequence
        ahead = _distance(self._next, packet.sequence)
        if ahead < 0 and ahead > -MAX_PACKETS:
            return []
        if abs(ahead) >= MAX_PACKETS:
            # A sender that started anew, or a gap that nobody could fill.
            self._restart(packet.sequence)
        self._note_missing(packet.sequence, now)
        self._packets[packet.sequence] = (packet, now)
        frames = list(self._take(now))
        while self._hole_given_up(now):
            frames.extend(self._take(now))
        return frames

    def lost(self) -> None:
        """The decoder could not use a frame: everything up to the next key frame is useless."""
        self._key_needed = True

    def requests(self, now: float) -> list[int]:
        """Sequence numbers to ask for now, at most once per NACK_REPEAT_S each."""
        due = []
        for sequence, missing in self._missing.items():
            if missing.times < NACK_TIMES and (missing.times == 0 or now - missing.asked >= NACK_REPEAT_S):
                missing.times += 1
                missing.asked = now
                due.append(sequence)
        return due

    def key_frame_wanted(self, now: float) -> bool:
        """Ask the sender for a key frame now; at most once per KEY_FRAME_REPEAT_S."""
        if not self._key_needed or (self._key_asked is not None and now - self._key_asked < KEY_FRAME_REPEAT_S):
            return False
        self._key_asked = now
        return True

    def _note_missing(self, sequence: int, now: float) -> None:
        self._missing.pop(sequence, None)
        gap = _distance(self._newest, sequence)
        for skipped in range(1, gap):
            self._missing[(self._newest + skipped) & 0xFFFF] = _Missing(now, now, 0)
        if gap > 0:
            self._newest = sequence

    def _take(self, now: float) -> Iterator[CodedFrame]:
        """Whole frames from the front on."""
        while (pieces := self._front()) is not None:
            for packet, _ in pieces:
                del self._packets[packet.sequence]
            assert self._next is not None
            self._next = (self._next + len(pieces)) & 0xFFFF
            if not any(packet.data for packet, _ in pieces):
                continue
            first = pieces[0][0]
            if self._key_needed and not first.key:
                self.dropped += 1
                continue
            if first.key:
                self._key_needed, self._key_asked = False, None
            yield CodedFrame(
                data=b"".join(packet.data for packet, _ in pieces),
                timestamp=first.timestamp,
                key=first.key,
                first_arrived_s=min(arrived for _, arrived in pieces),
            )

    def _front(self) -> list[tuple[Packet, float]] | None:
        """The packets of the first frame, when they are all there; padding between frames comes alone."""
        assert self._next is not None
        pieces: list[tuple[Packet, float]] = []
        size = 0
        sequence = self._next
        while (held := self._packets.get(sequence)) is not None:
            packet = held[0]
            if pieces and packet.timestamp != pieces[0][0].timestamp:
                # The next frame begins: a sender that sets no marker.
                return pieces
            pieces.append(held)
            size += len(packet.data)
            if packet.marker or (len(pieces) == 1 and not packet.data) or size > MAX_FRAME_BYTES:
                return pieces
            sequence = (sequence + 1) & 0xFFFF
        return None

    def _hole_given_up(self, now: float) -> bool:
        """Step over the first hole if it was waited for long enough; true if packets behind it may be whole frames."""
        assert self._next is not None
        if not self._missing:
            return False
        first = min(self._missing, key=lambda sequence: _distance(self._next or 0, sequence))
        overflow = len(self._packets) > MAX_PACKETS
        # Without a key frame nothing in front of the next one can be used: no reason to wait for it.
        useless = self._key_needed and any(
            packet.key and _distance(first, sequence) > 0 for sequence, (packet, _) in self._packets.items()
        )
        if now - self._missing[first].since < GIVE_UP_S and not overflow and not useless:
            return False
        # Behind the hole a frame begins after the next marker: what comes before it is the rest of a broken one.
        sequence = first
        while _distance(sequence, self._newest) >= 0:
            self._missing.pop(sequence, None)
            held = self._packets.pop(sequence, None)
            sequence = (sequence + 1) & 0xFFFF
            if held is not None and held[0].marker:
                break
            following = self._packets.get(sequence)
            if following is not None and following[0].key:
                break
        before = self._next
        for stale in [s for s in self._packets if 0 <= _distance(before, s) < _distance(before, sequence)]:
            del self._packets[stale]
        self._next = sequence
        self._key_needed = True
        self.dropped += 1
        return True

    def _restart(self, sequence: int) -> None:
        self._packets.clear()
        self._missing.clear()
        self._next = self._newest = sequence
        self._key_needed = True


def _distance(older: int, newer: int) -> int:
    """How far `newer` is ahead, -32768 to 32767, in 16-bit serial arithmetic (RFC 1982)."""
    return ((newer - older + _NEWER) & 0xFFFF) - _NEWER
