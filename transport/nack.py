"""Asking for lost packets again, and answering: the second line of repair, after parity.

    client   on_packet(seq, frame) ... -> poll -> Nack         gaps in the sequence numbers of what still is of use
    server   on_sent(seq, packet) ...  -> on_nack(Nack) -> packets to send again, under new sequence numbers

Nothing is asked for, and nothing sent again, that could not arrive in time.
"""

from collections import deque
from dataclasses import dataclass

from transport.reassembly import Reassembler, Wanted
from transport.serial import Unwrapper
from transport.wire import MAX_NACKED, MAX_PACKET_BYTES, Nack, mark_answer

MAX_ASKS = 3
"""Times a packet is asked for, and times it is sent again."""
_MAX_MISSING = 512
"""Gaps remembered: a second at 5 Mbit/s. Of a longer one only the newest part can still be of use."""
_MISSING_FOR_S = 1.0
_MIN_REORDER_S, _MAX_REORDER_S = 0.002, 0.05
"""How long a gap may be mere reordering: at least a burst of the pacer, at most when waiting costs more than asking."""
_REORDER_MARGIN = 1.25
_REORDER_HALF_LIFE_S = 3.0
_ANSWER_GAP_S = 0.03
"""Between two answers: a packet of a path of 300 kbit/s."""
_RETRY_RTTS, _RETRY_S = 1.25, 0.015
"""Asked again after a round trip and what the answer waits in the pacer."""


@dataclass(slots=True)
class _Missing:
    low: int
    """Frame (unwrapped id) of the packet before the gap."""
    high: int | None
    """Frame of the packet after the gap; None: not known yet."""
    since: float
    asks: int = 0
    asked: float = 0.0
    overtaken: float | None = None
    """When the answer to something asked for later came in, and this one's had not."""


@dataclass(frozen=True, slots=True)
class NackStatistics:
    """Counts since the start, and how full it is now."""

    messages: int
    asked: int
    """Packets asked for, each time counted."""
    reordered: int
    """Gaps that filled by themselves."""
    missing: int
    capacity: int
    reorder_s: float
    """How long a gap is given at present, to turn out as reordering."""


class NackGenerator:
    """Finds gaps; asks for what an incomplete frame may need of them. Call `on_packet` before the reassembler's."""

    def __init__(self) -> None:
        self._seqs, self._frames = Unwrapper(), Unwrapper()
        self._newest: int | None = None
        self._last_frame: int | None = None
        self._missing: dict[int, _Missing] = {}
        self._open: list[_Missing] = []
        self._reorder_s = 0.0
        self._reorder_at = 0.0
        self._polled = self._answered = float("-inf")
        self._rtt_s = 0.0
        self._changed = False
        self._messages = self._asked = self._reordered = 0

    def on_packet(self, seq: int, frame_id: int | None, now: float, *, answers: int | None = None) -> None:
        """Notes a packet of a frame, or of none (a probe). `answers` as in the packet, where it was sent again."""
        number = self._seqs.unwrap(seq)
        if answers is not None and self._newest is not None:
            self._on_answer(self._newest - ((self._newest - answers) & 0xFFFF), now)
        self._changed = bool(self._missing)
        if self._newest is None:
            self._newest = number
        elif number <= self._newest:
            gap = self._missing.pop(number, None)
            if gap is not None:
                self._note_reordering(now - gap.since, now)
            return
        if frame_id is None or answers is not None or self._is_older(frame_id):
            frame = None
        else:
            frame = self._frames.unwrap(frame_id)
        if number - self._newest > 1:
            self._add_gap(self._newest + 1, number, frame, now)
        self._newest = number
        if frame is not None:
            for gap in self._open:
                gap.high = frame
            self._open.clear()
            self._last_frame = frame

    def poll(self, now: float, *, reassembler: Reassembler, rtt_s: float) -> Nack | None:
        """The NACK to send now, if any. Call after each packet and at `next_time`."""
        self._polled, self._rtt_s, self._changed = now, rtt_s, False
        if not self._missing:
            return None
        self._expire(now, reassembler.last_out)
        if not any(self._due(gap, now, rtt_s) <= now for gap in self._missing.values()):
            return None
        chosen: set[int] = set()
        for wanted in reassembler.incomplete(now):
            if now + rtt_s < wanted.until:
                self._choose(chosen, wanted, now, rtt_s)
        if not chosen:
            return None
        seqs = [seq for seq in sorted(chosen) if seq - min(chosen) <= 0xFFFF][:MAX_NACKED]
        for seq in seqs:
            self._missing[seq].asks += 1
            self._missing[seq].asked = now
            self._missing[seq].overtaken = None
        self._messages += 1
        self._asked += len(seqs)
        return Nack(tuple(seq & 0xFFFFFFFF for seq in seqs))

    def next_time(self) -> float | None:
        """When to poll next. None: there is nothing to ask for. In the past: a packet came in since the last poll."""
        if not self._missing:
            return None
        if self._changed:
            return self._polled
        due = (self._due(gap, self._polled, self._rtt_s) for gap in self._missing.values())
        time = min((time for time in due if time > self._polled), default=float("inf"))
        return None if time == float("inf") else time

    def statistics(self) -> NackStatistics:
        """Counts so far."""
        wait_s = self._reorder_wait(max(self._polled, self._reorder_at))
        return NackStatistics(self._messages, self._asked, self._reordered, len(self._missing), _MAX_MISSING, wait_s)

    def _on_answer(self, number: int, now: float) -> None:
        """An answer came in. They are sent in the order of the numbers: those before it were lost again."""
        self._answered = now
        answered = self._missing.pop(number, None)
        if answered is None:
            return
        for other, gap in self._missing.items():
            if other < number and gap.asks and gap.asked == answered.asked and gap.overtaken is None:
                gap.overtaken = now

    def _is_older(self, frame_id: int) -> bool:
        return self._last_frame is not None and self._frames.peek(frame_id) < self._last_frame

    def _note_reordering(self, late_s: float, now: float) -> None:
        self._reordered += 1
        self._reorder_s = max(late_s, self._decayed(now))
        self._reorder_at = now

    def _decayed(self, now: float) -> float:
        return float(self._reorder_s * 0.5 ** ((now - self._reorder_at) / _REORDER_HALF_LIFE_S))

    def _reorder_wait(self, now: float) -> float:
        return min(max(_REORDER_MARGIN * self._decayed(now), _MIN_REORDER_S), _MAX_REORDER_S)

    def _due(self, gap: _Missing, now: float, rtt_s: float) -> float:
        if gap.asks >= MAX_ASKS:
            return float("inf")
        if gap.overtaken is not None:
            return gap.overtaken + self._reorder_wait(now)
        if gap.asks:
            # As long as answers come in, those behind them are on their way.
            return self._expected_by(gap, rtt_s)
        return gap.since + self._reorder_wait(now)

    def _expected_by(self, gap: _Missing, rtt_s: float) -> float:
        """Until when the answer to what was asked for may still come."""
        return max(gap.asked + _RETRY_RTTS * rtt_s + _RETRY_S, self._answered + _ANSWER_GAP_S)

    def _add_gap(self, start: int, end: int, frame: int | None, now: float) -> None:
        if self._last_frame is None:
            # Nothing before it is known to be of use: the stream begins here.
            return
        for number in range(max(start, end - _MAX_MISSING), end):
            self._missing[number] = gap = _Missing(self._last_frame, frame, now)
            if frame is None:
                self._open.append(gap)
        while len(self._missing) > _MAX_MISSING:
            del self._missing[next(iter(self._missing))]
        del self._open[:-_MAX_MISSING]

    def _expire(self, now: float, last_out: int | None) -> None:
        """Forgets gaps that are too old, or before a frame that has left: they are in order of both."""
        left = None if last_out is None or self._last_frame is None else self._frames.peek(last_out)
        while self._missing:
            oldest = next(iter(self._missing))
            gap = self._missing[oldest]
            done = left is not None and gap.high is not None and gap.high <= left
            if not done and gap.since > now - _MISSING_FOR_S:
                return
            del self._missing[oldest]

    def _choose(self, chosen: set[int], wanted: Wanted, now: float, rtt_s: float) -> None:
        """Adds to `chosen` what may belong to the wanted frames, the likeliest first, no more than they need."""
        first, last = self._frames.peek(wanted.first_id), self._frames.peek(wanted.last_id)
        # Surely theirs; then what follows a packet of theirs, nearest first; then what precedes one, nearest first.
        inside: list[int] = []
        after: list[int] = []
        before: list[int] = []
        left = MAX_NACKED if wanted.missing is None else wanted.missing
        for number, gap in self._missing.items():
            if gap.low > last or (gap.high is not None and gap.high < first):
                continue
            if self._due(gap, now, rtt_s) > now:
                left -= bool(gap.asks) and gap.asks <= MAX_ASKS and now < self._expected_by(gap, rtt_s)
            elif gap.low >= first and gap.high is not None and gap.high <= last:
                inside.append(number)
            elif gap.low >= first:
                after.append(number)
            else:
                before.append(number)
        # A gap may have been a probe, which nobody can send again: what was not asked for yet comes first, and one more
        # than is needed.
        order = sorted(inside + after + before[::-1], key=lambda number: self._missing[number].asks)
        chosen.update(order[: left + 1] if left > 0 else ())


@dataclass(slots=True)
class _Kept:
    data: bytes
    captured_us: int
    newest_seq: int
    resends: int = 0
    resent: float = float("-inf")


@dataclass(frozen=True, slots=True)
class ResendStatistics:
    """Counts since the start, and how full it is now."""

    nacks: int
    ignored_nacks: int
    """Came too fast."""
    asked: int
    resent: int
    unknown: int
    """Never sent, or too long ago."""
    too_late: int
    too_often: int
    over_rate: int
    kept_packets: int
    kept_bytes: int


_KEPT_S = 1.0
"""Longer than any presentation deadline with a round trip on top."""
_MAX_KEPT_BYTES = 2 << 20
"""A second of 16 Mbit/s."""
_MAX_KEPT_PACKETS = 4096
RESEND_SHARE = 0.3
"""Part of the target rate that answers may take: mends 30 % loss, and a flood of NACKs costs no more than that."""
_RESEND_BURST_S, _RESEND_BURST_PACKETS = 0.3, 16
_NACKS_PER_S, _NACK_BURST = 200.0, 40.0
"""Messages looked at: a viewer sends one a round trip and frame, some 60 a second at the worst."""


class ResendBuffer:
    """Keeps what was sent in the last second, and picks from it what a NACK asks for."""

    def __init__(self) -> None:
        self._sent: deque[tuple[float, int]] = deque()
        self._by_seq: dict[int, _Kept] = {}
        self._by_packet: dict[bytes, _Kept] = {}
        self._bytes = 0
        self._budget_bytes: float | None = None
        self._nack_budget = _NACK_BURST
        self._refilled = 0.0
        self._nacks = self._ignored = self._asked = self._resent = 0
        self._unknown = self._too_late = self._too_often = self._over_rate = 0

    def on_sent(self, seq: int, data: bytes, now: float) -> None:
        """Notes a stamped packet of a frame (data or parity, for the first time or again) that leaves now."""
        identity = _identity(data)
        kept = self._by_packet.get(identity)
        if kept is None:
            kept = self._by_packet[identity] = _Kept(data, int.from_bytes(data[28:36], "big"), seq)
            self._bytes += len(data)
        kept.newest_seq = seq
        self._by_seq[seq] = kept
        self._sent.append((now, seq))
        while self._sent[0][0] < now - _KEPT_S or len(self._sent) > _MAX_KEPT_PACKETS or self._bytes > _MAX_KEPT_BYTES:
            self._drop_oldest()

    def on_nack(
        self, nack: Nack, now: float, *, now_us: int, rtt_s: float, deadline_s: float, target_bps: float
    ) -> tuple[list[bytearray], set[int]]:
        """Packets to send again (to be stamped anew, as resent), and ids of the frames of which something is missing.

        Only what can arrive within `deadline_s` of its capture (`now_us`: server clock), not twice within a round trip
        and at most `MAX_ASKS` times, and no more than `RESEND_SHARE` of `target_bps`.
        """
        self._refill(now, target_bps)
        self._nacks += 1
        if self._nack_budget < 1:
            self._ignored += 1
            return [], set()
        self._nack_budget -= 1
        self._asked += len(nack.seqs)
        arrival_us = now_us + rtt_s * 5e5
        packets = []
        frames: set[int] = set()
        for seq in nack.seqs:
            kept = self._by_seq.get(seq)
            if kept is None:
                self._unknown += 1
                continue
            frames.add(int.from_bytes(kept.data[8:12], "big"))
            if arrival_us > kept.captured_us + deadline_s * 1e6:
                self._too_late += 1
            elif kept.resends >= MAX_ASKS or now - kept.resent < rtt_s:
                self._too_often += 1
            elif len(kept.data) > self._budget():
                self._over_rate += 1
            else:
                kept.resends += 1
                kept.resent = now
                self._budget_bytes = self._budget() - len(kept.data)
                packet = bytearray(kept.data)
                mark_answer(packet, seq)
                packets.append(packet)
        self._resent += len(packets)
        return packets, frames

    def statistics(self) -> ResendStatistics:
        """Counts so far."""
        return ResendStatistics(
            nacks=self._nacks,
            ignored_nacks=self._ignored,
            asked=self._asked,
            resent=self._resent,
            unknown=self._unknown,
            too_late=self._too_late,
            too_often=self._too_often,
            over_rate=self._over_rate,
            kept_packets=len(self._sent),
            kept_bytes=self._bytes,
        )

    def _budget(self) -> float:
        return self._budget_bytes or 0.0

    def _refill(self, now: float, target_bps: float) -> None:
        rate = RESEND_SHARE * target_bps / 8
        most = max(rate * _RESEND_BURST_S, _RESEND_BURST_PACKETS * MAX_PACKET_BYTES)
        if self._budget_bytes is None:
            self._budget_bytes = most
        else:
            elapsed_s = max(0.0, now - self._refilled)
            self._budget_bytes = min(most, self._budget_bytes + elapsed_s * rate)
            self._nack_budget = min(_NACK_BURST, self._nack_budget + elapsed_s * _NACKS_PER_S)
        self._refilled = now

    def _drop_oldest(self) -> None:
        _, seq = self._sent.popleft()
        kept = self._by_seq.pop(seq, None)
        if kept is not None and kept.newest_seq == seq:
            self._bytes -= len(kept.data)
            del self._by_packet[_identity(kept.data)]


def _identity(data: bytes) -> bytes:
    """What tells a packet from others, whatever number it is sent under: kind, epoch, frame, index or share."""
    return data[1:2] + data[3:4] + data[8:12] + data[16:18]
