"""Repair alone, closed loop in simulated time: parity, NACKs and reassembly of one viewer over a lossy path.

No queue, no rate control: a packet takes half a round trip, or is lost by a seeded Gilbert model.
"""

from dataclasses import dataclass, field
from heapq import heappop, heappush
from random import Random

from transport.bandwidth.sent import Delivered, Outcome, Sent
from transport.fec import protect
from transport.nack import NackGenerator, ResendBuffer
from transport.packetiser import PacketisedFrame, packetise
from transport.protection import LossMeter, choose_protection
from transport.reassembly import FrameReady, Reassembler
from transport.wire import MediaPacket, Nack, ParityPacket, parse_feedback, parse_media, stamp

DEADLINE_S = 0.21
"""Capture to the start of decoding."""
ENCODE_S = 0.02


@dataclass
class Figures:
    """What came of the frames, and what it cost."""

    frames: int = 0
    intact: int = 0
    damaged: int = 0
    recovered: int = 0
    asked_for: int = 0
    """Intact frames that needed a packet sent again."""
    late: int = 0
    """Left the reassembler after the deadline."""
    delays_s: list[float] = field(default_factory=list)
    """Capture to leaving the reassembler."""
    data_packets: int = 0
    parity_packets: int = 0
    resent_packets: int = 0
    loss: float = 0.0
    burst: float = 0.0

    @property
    def gone(self) -> float:
        """Share of frames of which nothing came out in time."""
        return 1 - (self.intact + self.damaged - self.late) / self.frames

    def delay_s(self, quantile: float) -> float:
        """Quantile of the delay, of the frames that came out."""
        return sorted(self.delays_s)[int(quantile * (len(self.delays_s) - 1))]


class Gilbert:
    """Loses a share of `loss` in runs of mean length `burst`; `burst` 0: independently."""

    def __init__(self, rng: Random, loss: float, burst: float) -> None:
        self._rng = rng
        self._stay = 1 - 1 / burst if burst else loss
        self._enter = loss * (1 - self._stay) / (1 - loss)
        self._losing = False

    def loses(self) -> bool:
        self._losing = self._rng.random() < (self._stay if self._losing else self._enter)
        return self._losing


class RepairLoop:
    """`run` it once."""

    def __init__(
        self,
        *,
        loss: float,
        burst: float = 0.0,
        rtt_s: float = 0.04,
        packets: int = 3,
        fps: float = 30.0,
        nack: bool = True,
        parity: bool = True,
        jitter_s: float = 0.0,
        seed: int = 1,
    ) -> None:
        rng = Random(seed)
        self._rng, self._jitter_s = rng, jitter_s
        self._model, self._back = Gilbert(rng, loss, burst), Gilbert(rng, loss / 2, 0.0)
        self._rtt_s, self._packets, self._interval_s = rtt_s, packets, 1 / fps
        self._nack, self._parity = nack, parity
        self._losses, self._resend = LossMeter(), ResendBuffer()
        self._nacks = NackGenerator()
        left_s = DEADLINE_S - ENCODE_S - rtt_s / 2
        self._reassembler = Reassembler(wait_s=max(0.06, min(left_s, 2 * rtt_s + 0.06)))
        self._events: list[tuple[float, int, str, object]] = []
        self._order = 0
        self._seq = 0
        self._wake = float("inf")
        self._settled: list[tuple[float, int, bool]] = []
        self.figures = Figures()

    def run(self, seconds: float) -> Figures:
        """Figures of the frames captured in `seconds`, but for the first five, in which loss becomes known."""
        count = int(seconds / self._interval_s)
        for frame_id in range(count):
            self._at(1 + frame_id * self._interval_s + ENCODE_S, "frame", frame_id)
        while self._events:
            now, _, kind, item = heappop(self._events)
            self._step(now, kind, item)
            if kind in ("arrive", "wake"):
                self._poll(now)
        self.figures.loss, self.figures.burst = self._losses.loss, self._losses.burst
        return self.figures

    def _step(self, now: float, kind: str, item: object) -> None:
        if isinstance(item, int) and kind == "frame":
            self._offer(item, now)
        elif kind == "send" and isinstance(item, bytearray):
            self._send(item, now, resent=False)
        elif kind == "arrive" and isinstance(item, bytes):
            message = parse_media(item)
            assert isinstance(message, MediaPacket | ParityPacket)
            self._nacks.on_packet(message.seq, message.frame_id, now, answers=message.answers)
            self._reassembler.on_packet(message, now=now)
        elif kind == "nack" and isinstance(item, bytes):
            nack = parse_feedback(item)
            assert isinstance(nack, Nack)
            packets, _ = self._resend.on_nack(
                nack, now, now_us=round(now * 1e6), rtt_s=self._rtt_s, deadline_s=DEADLINE_S, target_bps=2e6
            )
            for packet in packets:
                self.figures.resent_packets += 1
                self._send(packet, now, resent=True)

    def _offer(self, frame_id: int, now: float) -> None:
        frame = self._frame(frame_id, now)
        self._settle(now)
        protection = choose_protection(
            len(frame.packets),
            frame.head_count,
            loss=self._losses.loss if self._parity else 0.0,
            burst=self._losses.burst,
            rtt_s=self._rtt_s if self._nack else 10.0,
            budget_s=DEADLINE_S - ENCODE_S,
        )
        packets = protect(frame, protection)
        self.figures.data_packets += len(frame.packets)
        self.figures.parity_packets += len(packets) - len(frame.packets)
        for i, packet in enumerate(packets):
            self._at(now + i * 0.6 * self._interval_s / len(packets), "send", packet)

    def _frame(self, frame_id: int, now: float) -> PacketisedFrame:
        count = max(1, self._packets + self._rng.choice((-1, 0, 0, 1)))
        head, slices = 300, 1 if count == 1 else 2 * count - 1
        coded = self._rng.randbytes(head + 500 * slices)
        return packetise(
            coded,
            [head + 500 * i for i in range(slices)],
            frame_id=frame_id,
            reference_id=frame_id - 1 if frame_id else None,
            epoch=0,
            captured_us=round((now - ENCODE_S) * 1e6),
            wait_us=0,
            encode_us=0,
        )

    def _send(self, packet: bytearray, now: float, *, resent: bool) -> None:
        data = stamp(packet, seq=self._seq, now_us=round(now * 1e6), resent=resent)
        self._resend.on_sent(self._seq, data, now)
        lost = self._model.loses()
        self._settled.append((now, self._seq, lost))
        if not lost:
            self._at(now + self._rtt_s / 2 + abs(self._rng.gauss(0, self._jitter_s)), "arrive", data)
        self._seq += 1

    def _settle(self, now: float) -> None:
        """What reports would have told by now."""
        done = [entry for entry in self._settled if entry[0] < now - self._rtt_s - 0.1]
        del self._settled[: len(done)]
        delivered = [Delivered(key, 1000, sent_s, sent_s) for sent_s, key, lost in done if not lost]
        lost_ones = [Sent(key, 1000, sent_s) for sent_s, key, lost in done if lost]
        self._losses.on_outcome(Outcome(delivered, lost_ones, []), now)

    def _poll(self, now: float) -> None:
        for event in self._reassembler.poll(now=now):
            if event.frame_id < 5 / self._interval_s:
                continue
            self.figures.frames += 1
            if isinstance(event, FrameReady):
                self.figures.intact += event.intact
                self.figures.damaged += not event.intact
                self.figures.recovered += event.recovered > 0
                self.figures.asked_for += event.resent > 0
                delay_s = now - event.captured_us / 1e6
                self.figures.delays_s.append(delay_s)
                self.figures.late += delay_s > DEADLINE_S
        times = [self._reassembler.next_deadline()]
        if self._nack:
            nack = self._nacks.poll(now, reassembler=self._reassembler, rtt_s=self._rtt_s)
            if nack is not None and not self._back.loses():
                self._at(now + self._rtt_s / 2, "nack", nack.to_bytes())
            times.append(self._nacks.next_time())
        wake = max(min((time for time in times if time is not None), default=float("inf")), now + 1e-4)
        if self._wake <= now or wake < self._wake:
            self._wake = wake
            if wake < float("inf"):
                self._at(wake, "wake", None)

    def _at(self, time: float, kind: str, item: object) -> None:
        self._order += 1
        heappush(self._events, (time, self._order, kind, item))
