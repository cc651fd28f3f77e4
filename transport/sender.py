"""One viewer as the server sees it: everything between a coded frame and its packets, and what the feedback means.

    offer(frame) -> parity -> pacer -> poll -> packets to send        on_feedback -> estimator, loss meter, acks,
                                 ^--- packets asked for again, probes <--------------/   packets to send again

Sans-IO: the server's session puts it on a data channel, the simulation on a simulated link.
"""

from collections import deque
from dataclasses import dataclass

from transport.bandwidth import BandwidthEstimator, BandwidthStatistics
from transport.bandwidth.probing import ProbePlan
from transport.deadline import DECODE_RESERVE_S, PRESENTATION_DEADLINE_S
from transport.fec import more_parity, protect
from transport.nack import ResendBuffer
from transport.pacer import Pacer, PacerStatistics
from transport.packetiser import PacketisedFrame
from transport.protection import LossMeter, choose_protection
from transport.references import AckTracker
from transport.serial import serial_distance, serial_newer
from transport.wire import (
    MAX_PACKET_BYTES,
    MIN_PROBE_BYTES,
    ArrivalReport,
    FrameAcks,
    Nack,
    Ping,
    Pong,
    ProbePacket,
    ends_frame,
    parse_feedback,
    stamp,
)

SPREAD = 0.6
"""Share of a frame interval over which its packets are spread: the middle of the 50 to 70 % at which frames survive a
short queue (docs/bandwidth.md), with room for repairs in the rest."""
MAX_SPREAD_S = 0.05
"""However far apart frames are, one is not spread over more: that would only delay it."""
PACING_FACTOR, MAX_LARGE_SPREAD_S = 1.5, 0.15
"""A frame larger than its share (an intra frame) leaves at this multiple of the target rate, or a slow path would drop
its tail; but it takes no longer than the second."""
MAX_BACKLOG_S = 0.08
"""A viewer whose packets wait longer than this in the pacer gets no further frame: by then it would be stale."""
MAX_AHEAD_S = 0.3
"""More than this ahead of its target rate (an intra frame is 0.2 s at 30 fps), a viewer gets no frame until that is
paid back."""
MAX_LONE_AHEAD_S = 1.0
"""The same for the lone frames that try a silent path."""
FREE_AHEAD_S, PAYBACK_S, MAX_PAYBACK = 0.1, 1.0, 0.5
"""Ahead by up to the first, frames get their full share; beyond it they get less, at the least half, so that it is paid
back within about a second. An intra frame alone is ahead by 0.1 s."""
MAX_IN_FLIGHT_S = 0.2
"""What is on its way, as far as reports and acks tell, may cover a round trip at the target rate and this much: reports
come every 40 ms, the rest is the queue put up with before the estimator says so."""
MAX_ACK_DELAY_S = PRESENTATION_DEADLINE_S + 0.1
"""From the pacer to the ack, round trip not counted: waiting for a repair, and the decoder. A viewer that takes longer
does not keep up, and more frames would only lengthen its queue."""
RESPONSIVE_S = 0.3
"""Silent for this long, a viewer no longer has a say in the rate and the reference of the others."""
NEWCOMER_S = 0.5
"""But for so long after its first frame: a round trip, and its decoder's first picture."""
KNOCK_S = 0.1
"""A viewer that nothing was sent to for so long gets an empty packet to report."""
PROBE_FRAME_S = 0.05
"""After an outage, or while nothing may be sent, one frame each so often finds out whether the path is back."""
RECENT_FRAME_S = 0.06
"""Parity of a frame older than this would come too late to repair it; a probe then carries padding."""
MAX_WASTED_INTRA, WASTED_INTRA_S = 3, 5.0
"""So many intra frames in a row of which a viewer acknowledges nothing, or so many times within the second that it says
to have lost all, and it waits for the next one for as long as that."""
MIN_PROBE_PACKETS = 4
"""Packets of a cluster that is to measure anything (transport.bandwidth.probing)."""
_OVERHEAD_GAIN = 0.1
"""Weight of one frame in the mean share of parity: about a third of a second."""
_REPAIR_WINDOW_S = 0.25
"""What is sent again is taken from the frames of this time: later, its queue would stand already."""
_MAX_ON_WAY = 4096
"""A second at 30 Mbit/s; of more the newest count."""
_MAX_PONGS = 8
"""Pings answered at once; more in one burst are a flood."""


@dataclass(frozen=True, slots=True)
class SenderStatistics:
    """Counts since the start."""

    packets: int
    bytes: int
    frames: int
    """Frames whose last data packet has left."""
    frames_refused: int
    """Dropped whole: the pacer was full."""
    parity: int
    resent: int
    probes: int
    malformed: int
    """Feedback messages that did not parse."""
    overhead: float
    """Parity bytes for each byte of frames, lately."""
    loss: float
    burst: float
    """Mean length of a run of lost packets."""
    bandwidth: BandwidthStatistics
    pacer: PacerStatistics


class MediaSender:
    """Offer frames, poll at `next_time` and after every call, hand in what comes back, tick every 50 ms."""

    def __init__(
        self,
        *,
        initial_bps: float,
        min_bps: float,
        max_bps: float,
        frame_interval_s: float,
        deadline_s: float = PRESENTATION_DEADLINE_S,
    ) -> None:
        """Rates in bit/s, see `BandwidthEstimator`. deadline_s: how old a picture may be when it is shown."""
        self.estimator = BandwidthEstimator(initial_bps=initial_bps, min_bps=min_bps, max_bps=max_bps)
        self.pacer = Pacer()
        self.acks = AckTracker()
        self.newest_offered: int | None = None
        """Id of the last frame that was queued; None: none of this epoch yet."""
        self._highest_offered: int | None = None
        """The same, whatever the epoch: acks and NACKs do not name one, so no id is used twice."""
        self.epoch = 0
        """Number of the stream config that is sent from now on, u8 (`start_epoch`)."""
        self._frame_interval_s = frame_interval_s
        self._deadline_s = deadline_s
        self._losses = LossMeter()
        self._resend = ResendBuffer()
        self._pongs: deque[Pong] = deque(maxlen=_MAX_PONGS)
        self._newest: tuple[PacketisedFrame, int, float] | None = None
        """(frame, parity shares used, when it was offered)."""
        self._seq = 0
        self._heard: float | None = None
        self._overhead = 0.0
        self._resent_bytes: deque[tuple[float, int]] = deque(maxlen=256)
        self._ahead_s = 0.0
        """Given to the pacer beyond what the target rate allowed so far, in time at the rate it was given at: when the
        rate falls, what was sent before is the estimator's to drain."""
        self._ahead_at = 0.0
        self._last_offer = float("-inf")
        self._first_offer: float | None = None
        """Of this epoch."""
        self._sent_at = 0.0
        self._knock = False
        self._relapses: deque[float] = deque(maxlen=MAX_WASTED_INTRA)
        self._wasted_intra = 0
        self._last_intra = float("-inf")
        self._unacked: deque[tuple[int, float, int]] = deque(maxlen=64)
        """(frame, when it was offered, bytes with parity)."""
        self._sent_bytes = self._reached_bytes = 0
        """What was sent, and what of it has come in or was overtaken by what has."""
        self._on_way: deque[tuple[int, int]] = deque(maxlen=_MAX_ON_WAY)
        """(sequence number, `_sent_bytes` with it) of packets of which neither is known."""
        self._packets = self._bytes = self._frames = self._refused = 0
        self._parity = self._resent = self._probes = self._malformed = 0

    # -- frames

    def start_epoch(self) -> None:
        """Another stream config follows: what the viewer holds of the old one is of no use."""
        self.epoch = (self.epoch + 1) % 256
        self.acks = AckTracker()
        self.newest_offered = self._newest = self._first_offer = None
        self._unacked.clear()

    @property
    def target_bps(self) -> float:
        """Bits a second to send, everything together."""
        return self.estimator.target_bps

    def media_bps(self, now: float) -> float:
        """Part of the target that is left for coded frames, after parity and what is sent again; > 0."""
        while self._resent_bytes and self._resent_bytes[0][0] <= now - _REPAIR_WINDOW_S:
            self._resent_bytes.popleft()
        repair_bps = 8 * sum(size for _, size in self._resent_bytes) / _REPAIR_WINDOW_S
        # Parity varies from frame to frame; what went beyond the target is taken from the frames that follow.
        self._repay(now)
        share = 1 - min(max(self._ahead_s - FREE_AHEAD_S, 0.0) / PAYBACK_S, MAX_PAYBACK)
        target_bps = self.target_bps
        return max(share * (target_bps - repair_bps) / (1 + self._overhead), 0.25 * target_bps)

    def responsive(self, now: float) -> bool:
        """Heard of lately, or so new that it has had nothing to answer yet."""
        if self._first_offer is None or self.is_new(now):
            return True
        return self._heard is not None and now - self._heard < RESPONSIVE_S

    def is_new(self, now: float) -> bool:
        """Whether its first frame was offered so lately that nothing can be known of it."""
        return self._first_offer is not None and now - self._first_offer < NEWCOMER_S

    def keeps_up(self, now: float) -> bool:
        """Whether one more frame would be sent in time, within the target rate, and be decoded in time.

        When nothing was sent for a while, one frame goes out anyway: all before it may be lost without a trace.
        """
        if self.pacer.backlog_s(now) > MAX_BACKLOG_S:
            return False
        self._repay(now)
        rtt_s = self.estimator.rtt_s
        overdue = bool(self._unacked) and now - self._unacked[0][1] > rtt_s + MAX_ACK_DELAY_S
        # Reports may be lost, but acks tell as well what has come in.
        on_way = min(self._sent_bytes - self._reached_bytes, self._unacked_bytes)
        full = on_way > self.target_bps / 8 * (rtt_s + MAX_IN_FLIGHT_S) + MAX_PACKET_BYTES
        if not overdue and not full and self._ahead_s <= MAX_AHEAD_S:
            return True
        return now - self._last_offer > PROBE_FRAME_S + rtt_s and self._ahead_s <= MAX_LONE_AHEAD_S

    @property
    def _unacked_bytes(self) -> int:
        """Of frames of which the viewer has said nothing."""
        return sum(size for _, _, size in self._unacked)

    def wastes_intra(self, now: float) -> bool:
        """Whether intra frames do not help this viewer: those who watch with it should not pay for more."""
        if self._wasted_intra >= MAX_WASTED_INTRA and now - self._last_intra < WASTED_INTRA_S:
            return True
        return len(self._relapses) == MAX_WASTED_INTRA and now - self._relapses[0] < WASTED_INTRA_S

    def takes(self, reference_id: int | None, now: float) -> bool:
        """Whether a frame coded from this state can become a picture at the viewer, were it a damaged one."""
        return reference_id is None or self.acks.may_decode_from(reference_id, now)

    def offer(self, frame: PacketisedFrame, now: float) -> bool:
        """Queue a frame for sending, with parity. False: the viewer will not get it.

        The queue is too long, or the viewer was offered this picture or a newer one before, in another rendition.
        """
        if self._highest_offered is not None and not serial_newer(frame.frame_id, self._highest_offered):
            return False
        budget_s = self._deadline_s - DECODE_RESERVE_S - max(0.0, now - frame.captured_us / 1e6)
        protection = choose_protection(
            len(frame.packets),
            frame.head_count,
            loss=self._losses.loss,
            burst=self._losses.burst,
            rtt_s=self.estimator.rtt_s,
            budget_s=budget_s,
        )
        packets = protect(frame, protection)
        for packet in packets:
            packet[3] = self.epoch
        size = sum(map(len, packets))
        if not self.pacer.push(frame.frame_id, packets, now=now, spread_s=self._spread_s(size)):
            self._refused += 1
            return False
        if frame.reference_id is None:
            self._wasted_intra += 1
            self._last_intra = now
        self.newest_offered = self._highest_offered = frame.frame_id
        self.acks.on_offered(frame.frame_id, frame.reference_id, now, sending_s=self.pacer.backlog_s(now))
        data_bytes = sum(map(len, frame.packets))
        self._overhead += _OVERHEAD_GAIN * (size / data_bytes - 1 - self._overhead)
        self._parity += len(packets) - len(frame.packets)
        self._newest = (frame, len(packets) - len(frame.packets), now)
        self._repay(now)
        # One large frame must not silence a slow viewer: he may be about to move to a smaller rendition.
        self._ahead_s = min(self._ahead_s + 8 * size / self.target_bps, MAX_LONE_AHEAD_S)
        self._last_offer = now
        self._first_offer = now if self._first_offer is None else self._first_offer
        self._unacked.append((frame.frame_id, now, size))
        return True

    # -- packets

    def poll(self, now: float, now_us: int) -> list[bytes]:
        """Packets to put on the media channel now. `now_us`: the server clock that goes into them."""
        out = [pong.to_bytes() for pong in self._pongs]
        self._pongs.clear()
        plan = self.estimator.probe(now)
        if plan is not None:
            self.pacer.push_probe(self._probe_packets(plan, now_us, now), plan=plan, now=now)
        if self._knock and self.pacer.next_send_time() is None:
            out.append(self._stamp(bytearray(ProbePacket(0, now_us).to_bytes()), now, now_us, probe=None))
        self._knock = False
        for departure in self.pacer.poll(now):
            seq, resent = self._seq, departure.kind == "repair"
            data = self._stamp(departure.packet, now, now_us, probe=departure.probe, resent=resent)
            if departure.kind == "probe":
                self._probes += 1
            else:
                self._resend.on_sent(seq, data, now)
                self._frames += not resent and ends_frame(data)
            out.append(data)
        return out

    def _stamp(self, packet: bytearray, now: float, now_us: int, *, probe: int | None, resent: bool = False) -> bytes:
        """The packet as it leaves, counted."""
        data = stamp(packet, seq=self._seq, now_us=now_us, resent=resent)
        self.estimator.on_sent(self._seq, len(data), now, probe=probe)
        self._packets += 1
        self._bytes += len(data)
        self._sent_bytes += len(data)
        self._sent_at = now
        self._on_way.append((self._seq, self._sent_bytes))
        self._seq = (self._seq + 1) & 0xFFFFFFFF
        return data

    def next_time(self) -> float | None:
        """When to poll next, if nothing else happens. None: nothing is queued."""
        return self.pacer.next_send_time()

    def on_tick(self, now: float) -> None:
        """Call every 50 ms, and poll afterwards."""
        self.estimator.on_tick(now)
        # Frames are for those who can use them. Who was cut off answers this as soon as the path is back.
        self._knock = self._first_offer is not None and now - self._sent_at >= KNOCK_S

    # -- feedback

    def on_feedback(self, data: bytes, now: float, now_us: int) -> bool:
        """Takes a message of the feedback channel; poll afterwards. False: it did not parse."""
        message = parse_feedback(data)
        if message is None:
            self._malformed += 1
            return False
        self._heard = self.acks.heard = now
        if isinstance(message, Ping):
            self._pongs.append(Pong(message.ping_id, message.t0_us, now_us, now_us))
        elif isinstance(message, ArrivalReport):
            outcome = self.estimator.on_report(message, now)
            self._losses.on_outcome(outcome, now)
            if outcome.delivered:
                self._on_reached(outcome.delivered[-1].key & 0xFFFFFFFF)
            self.acks.rtt_s = self.estimator.rtt_s
        elif isinstance(message, Nack):
            self._on_nack(message, now, now_us)
        else:
            self._on_acks(message, now)
        return True

    def statistics(self) -> SenderStatistics:
        """Counts so far."""
        return SenderStatistics(
            packets=self._packets,
            bytes=self._bytes,
            frames=self._frames,
            frames_refused=self._refused,
            parity=self._parity,
            resent=self._resent,
            probes=self._probes,
            malformed=self._malformed,
            overhead=self._overhead,
            loss=self._losses.loss,
            burst=self._losses.burst,
            bandwidth=self.estimator.statistics(),
            pacer=self.pacer.statistics(),
        )

    def _on_reached(self, seq: int) -> None:
        """The viewer knows of this packet: it and those before it are on their way no longer."""
        if not self._on_way or serial_distance(seq, self._on_way[-1][0]) < 0:
            return
        while self._on_way and serial_distance(self._on_way[0][0], seq) >= 0:
            self._reached_bytes = self._on_way.popleft()[1]

    def _on_nack(self, nack: Nack, now: float, now_us: int) -> None:
        self._on_reached(nack.seqs[-1])
        packets, broken = self._resend.on_nack(
            nack,
            now,
            now_us=now_us,
            rtt_s=self.estimator.rtt_s,
            deadline_s=self._deadline_s - DECODE_RESERVE_S,
            target_bps=self.target_bps,
        )
        for frame_id in broken:
            self.acks.doubt(frame_id)
        taken = packets[: self.pacer.push_repair(packets, now=now)]
        if taken:
            self._resent += len(taken)
            self._resent_bytes.append((now, sum(map(len, taken))))

    def _on_acks(self, message: FrameAcks, now: float) -> None:
        held = self.acks.newest_intact
        self.acks.on_acks(message, now)
        intact = self.acks.newest_intact
        if intact is not None:
            self._wasted_intra = 0
        elif held is not None:
            # It held something, and now says that it does not.
            self._relapses.append(now)
        while self._unacked and self.acks.settled(self._unacked[0][0]):
            self._unacked.popleft()

    def _spread_s(self, size: int) -> float:
        """Time over which a frame of so many bytes leaves."""
        even_s = min(SPREAD * self._frame_interval_s, MAX_SPREAD_S)
        return max(even_s, min(8 * size / (PACING_FACTOR * self.target_bps), MAX_LARGE_SPREAD_S))

    def _probe_packets(self, plan: ProbePlan, now_us: int, now: float) -> list[bytearray]:
        """What a probe is made of: parity that may be of use while the newest frame is under way, else padding."""
        packets: list[bytearray] = []
        left = plan.size_bytes
        if self._newest is not None and now - self._newest[2] < RECENT_FRAME_S:
            frame, used, offered = self._newest
            count = left // max(map(len, frame.packets))
            # A few large packets would measure nothing.
            if count >= MIN_PROBE_PACKETS:
                packets = more_parity(frame, used, count)
                for packet in packets:
                    packet[3] = self.epoch
                left -= sum(map(len, packets))
                self._newest = (frame, used + len(packets), offered)
        while left >= MIN_PROBE_BYTES:
            size = min(left, plan.packet_bytes)
            packets.append(bytearray(ProbePacket(0, now_us, size).to_bytes()))
            left -= size
        return packets

    def _repay(self, now: float) -> None:
        self._ahead_s = max(0.0, self._ahead_s - max(0.0, now - self._ahead_at))
        self._ahead_at = now
