"""One session as the viewer's transport sees it: packets in, whole frames out, feedback back.

    on_media -> arrivals, reassembly with parity -> poll -> FrameReady | FrameLost -> (decoder) -> on_decoded | on_lost
                   |              \\-> NACKs                                                            |
    feedback <- arrival reports, NACKs, pings ................................... frame acks <---------/

Sans-IO: the client's session takes it from a data channel, the simulation from a simulated link.
"""

from transport.acks import AckLog
from transport.arrivals import ArrivalRecorder
from transport.clock import ClockSync
from transport.deadline import DECODE_RESERVE_S, PRESENTATION_DEADLINE_S
from transport.fec import is_extra
from transport.nack import NackGenerator
from transport.reassembly import FrameLost, FrameReady, Reassembler
from transport.serial import Unwrapper
from transport.wire import FrameStatus, MediaPacket, ParityPacket, Pong, ProbePacket, parse_media

MIN_WAIT_S = 0.1
"""An incomplete frame is waited for at least this long, however late it is: its packets are spread over up to 50 ms,
and jitter. A slow encoder makes pictures late, not lost."""
REPAIR_SPREAD_S = 0.06
"""Asking and answering take this much longer than a round trip: finding the gap, waiting in the pacer."""
MAX_WAIT_RTTS = 2.0
"""Two round trips: asking once more for what was lost again. Beyond that a concealed picture now is better."""
REMIND_S = 0.3
"""A viewer that holds no state says so again this often: the message may be lost."""
_TRANSIT_GAIN = 0.1
_UNKNOWN_RTT_S = 0.1


class MediaReceiver:
    """Hand in what comes, then poll and send `feedback`; again at `next_time`."""

    def __init__(self, *, deadline_s: float = PRESENTATION_DEADLINE_S) -> None:
        """deadline_s: how old a picture may be when it is shown."""
        self.clock = ClockSync()
        self.waiting_for_intra = True
        """No state is here to decode from; set by whoever decodes."""
        self.packets = self.bytes = self.malformed = 0
        self.resent = 0
        """Packets that came in because they were asked for again."""
        self._deadline_s = deadline_s
        self._arrivals = ArrivalRecorder()
        self._reassembler = Reassembler()
        self._nacks = NackGenerator()
        self._acks = AckLog()
        self._ack_due = False
        self._next_reminder = 0.0
        self._seqs = Unwrapper()
        self._seq_first: int | None = None
        self._seq_newest = 0
        self._transit_s: float | None = None
        """Capture to first packet of a frame, mean."""

    # -- from the network

    def on_media(self, data: bytes, now: float, now_us: int) -> bool:
        """Takes a message of the media channel. False: it did not parse."""
        message = parse_media(data)
        if message is None:
            self.malformed += 1
            return False
        if isinstance(message, Pong):
            self.clock.on_pong(message, now_us)
            return True
        self.packets += 1
        self.bytes += len(data)
        self._count_seq(message.seq)
        self._arrivals.on_packet(message.seq, now_us)
        if isinstance(message, ProbePacket):
            self._nacks.on_packet(message.seq, None, now)
            return True
        # Parity beyond what was announced comes from a probe, in between the packets of the next frame.
        extra = isinstance(message, ParityPacket) and is_extra(message)
        self._nacks.on_packet(message.seq, None if extra else message.frame_id, now, answers=message.answers)
        self.resent += message.resent
        if isinstance(message, MediaPacket) and message.index == 0 and not message.resent:
            self._note_transit(message.captured_us, now_us)
        self._reassembler.on_packet(message, now=now)
        return True

    def poll(self, now: float) -> list[FrameReady | FrameLost]:
        """Frames that leave by `now`. Lost ones are acknowledged here; of the others say what became of them."""
        events = self._reassembler.poll(now=now)
        for event in events:
            if isinstance(event, FrameLost):
                self.on_lost(event.frame_id)
        return events

    # -- from the decoder

    def on_decoded(self, frame_id: int, status: FrameStatus, missing_slices: tuple[int, ...] = ()) -> None:
        """A frame has become a picture."""
        self._acks.add(frame_id, status, missing_slices)
        self._ack_due = True

    def on_lost(self, frame_id: int) -> None:
        """A frame will not become a picture."""
        self.on_decoded(frame_id, FrameStatus.LOST)

    # -- to the network

    def feedback(self, now: float, now_us: int) -> list[bytes]:
        """Messages to put on the feedback channel now."""
        out: list[bytes] = []
        if self._ack_due or (self.waiting_for_intra and self.packets and now >= self._next_reminder):
            self._ack_due = False
            self._next_reminder = now + REMIND_S
            out.append(self._acks.message(self.waiting_for_intra).to_bytes())
        nack = self._nacks.poll(now, reassembler=self._reassembler, rtt_s=self.rtt_s)
        if nack is not None:
            out.append(nack.to_bytes())
        while (report := self._arrivals.poll(now)) is not None:
            out.append(report.to_bytes())
        if now >= self.clock.next_ping_time:
            out.append(self.clock.ping(now_us).to_bytes())
        return out

    def next_time(self, now: float) -> float:
        """When to poll and ask for feedback next, if nothing comes in before."""
        time = self.clock.next_ping_time
        for other in (self._reassembler.next_deadline(), self._arrivals.next_report_time(now), self._nacks.next_time()):
            if other is not None and other < time:
                time = other
        if self.waiting_for_intra and self.packets:
            time = min(time, self._next_reminder)
        return max(now, time)

    # -- figures

    @property
    def rtt_s(self) -> float:
        """Round trip in seconds; 0.1 before the first measurement."""
        return self.clock.rtt_us / 1e6 if self.clock.rtt_us is not None else _UNKNOWN_RTT_S

    @property
    def packets_expected(self) -> int:
        """Media packets sent to us so far, as far as the newest one tells."""
        return 0 if self._seq_first is None else self._seq_newest - self._seq_first + 1

    @property
    def loss(self) -> float:
        """Share of media packets that did not come in, over the session, 0..1."""
        expected = self.packets_expected
        return max(0.0, 1 - self.packets / expected) if expected else 0.0

    def _count_seq(self, seq: int) -> None:
        number = self._seqs.unwrap(seq)
        if self._seq_first is None:
            self._seq_first = self._seq_newest = number
        self._seq_newest = max(self._seq_newest, number)

    def _note_transit(self, captured_us: int, now_us: int) -> None:
        """A repair is worth waiting for until the deadline, less what the first packet has already taken."""
        if self.clock.offset_us is None:
            return
        transit_s = (now_us + self.clock.offset_us - captured_us) / 1e6
        if self._transit_s is None:
            self._transit_s = transit_s
        self._transit_s += _TRANSIT_GAIN * (transit_s - self._transit_s)
        left_s = self._deadline_s - DECODE_RESERVE_S - self._transit_s
        self._reassembler.max_wait_s = max(MIN_WAIT_S, left_s)
        self._reassembler.wait_s = max(MIN_WAIT_S, min(left_s, MAX_WAIT_RTTS * self.rtt_s + REPAIR_SPREAD_S))
