"""One film, one codec, one lossy link, in simulated time, through the sender and the receiver that the product has.

    film -> LiveCoder -> MediaSender -> link that loses packets -> MediaReceiver -> LiveViewer -> pictures
                             ^------------ link that loses as many <--------|

Coding and decoding take no time. Both directions lose the same share of packets, at random.
"""

from dataclasses import dataclass
from typing import Literal

from bench.loss.ends import LiveCoder, LiveViewer
from bench.loss.film import Film
from bench.loss.quality import Seen
from transport.bandwidth import BandwidthEstimator, Outcome
from transport.netsim import Link
from transport.protection import LossMeter
from transport.reassembly import FrameReady
from transport.receiver import MediaReceiver
from transport.sender import MediaSender
from transport.wire import FrameAcks, MediaPacket, ParityPacket, parse_feedback, parse_media

Repair = Literal["parity and NACK", "parity only", "none"]
"""What mends a loss before the codec meets it. Frame acks, and what coders make of them, are there in any case."""
REPAIRS: tuple[Repair, ...] = ("parity and NACK", "parity only", "none")

TICK_S = 0.001
"""Step of the simulation: a thirtieth of the delay."""
SENDER_TICK_S = 0.05


@dataclass(frozen=True, slots=True)
class Conditions:
    """Of one run. loss: share of packets lost, each way, 0..1. rate_bps: of all that is sent. delay_s: one way."""

    loss: float
    rate_bps: float
    repair: Repair
    seed: int
    deadline_s: float
    delay_s: float = 0.03
    link_bps: float = 5e6
    queue_s: float = 0.2


@dataclass(frozen=True, slots=True)
class Played:
    """What came of it. Bytes and packets are of the media channel, headers included, and of the counted part only."""

    seen: tuple[Seen, ...]
    """Pictures in the order they were decoded."""
    packets: int
    bytes: int
    parity_bytes: int
    resent_bytes: int
    intra_frames: int
    """Of the whole film, the first frame included."""


class _Counter:
    """What was sent from `start_s` to `end_s`."""

    def __init__(self, start_s: float, end_s: float) -> None:
        self._start_s, self._end_s = start_s, end_s
        self.packets = self.bytes = self.parity_bytes = self.resent_bytes = 0

    def on_sent(self, data: bytes, now: float) -> None:
        if not self._start_s <= now < self._end_s:
            return
        packet = parse_media(data)
        self.packets += 1
        self.bytes += len(data)
        if isinstance(packet, MediaPacket | ParityPacket) and packet.resent:
            self.resent_bytes += len(data)
        elif isinstance(packet, ParityPacket):
            self.parity_bytes += len(data)


def play(film: Film, coder: LiveCoder, viewer: LiveViewer, conditions: Conditions, *, skipped: int = 0) -> Played:
    """Stream a film once. skipped: pictures at its start during which nothing is counted."""
    sender = _sender(conditions, fps=film.fps)
    receiver = MediaReceiver(deadline_s=_repair_deadline_s(conditions))
    there, back = (_link(conditions, direction) for direction in (0, 1))
    counter = _Counter(skipped / film.fps, film.frames / film.fps)
    seen: list[Seen] = []
    captured = 0
    next_sender_tick = 0.0
    for tick in range(round((film.frames / film.fps + conditions.deadline_s) / TICK_S) + 1):
        now = tick * TICK_S
        now_us = round(now * 1e6)
        for data, _ in back.poll(now):
            sender.on_feedback(data, now, now_us)
            message = parse_feedback(data)
            if isinstance(message, FrameAcks):
                coder.on_acks(message, now=now)
        if now >= next_sender_tick:
            sender.on_tick(now)
            next_sender_tick += SENDER_TICK_S
        if captured < film.frames and now >= captured / film.fps:
            coder.capture(captured, film[captured], sender=sender, now=now)
            captured += 1
        for data in sender.poll(now, now_us):
            counter.on_sent(data, now)
            there.send(data, now)
        for data, _ in there.poll(now):
            receiver.on_media(data, now, now_us)
        for event in receiver.poll(now):
            if isinstance(event, FrameReady):
                seen += [Seen(picture.frame_id, now, picture.luma) for picture in viewer.on_frame(event, receiver)]
        for data in receiver.feedback(now, now_us):
            back.send(data, now)
    counts = (counter.packets, counter.bytes, counter.parity_bytes, counter.resent_bytes)
    return Played(tuple(seen), *counts, coder.intra_frames)


def _link(conditions: Conditions, direction: int) -> Link:
    return Link(
        rate_bps=conditions.link_bps,
        delay_s=conditions.delay_s,
        queue_s=conditions.queue_s,
        loss=conditions.loss,
        seed=2 * conditions.seed + direction,
    )


class _FixedRate(BandwidthEstimator):
    """The rate is given: there is nothing to probe for, and probes may carry parity."""

    def probe(self, now: float) -> None:
        return None


class _Deaf(LossMeter):
    """Sees no loss."""

    def on_outcome(self, outcome: Outcome, now: float) -> None:
        pass


def _sender(conditions: Conditions, *, fps: float) -> MediaSender:
    rates = {name: conditions.rate_bps for name in ("initial_bps", "min_bps", "max_bps")}
    sender = MediaSender(**rates, frame_interval_s=1 / fps, deadline_s=_repair_deadline_s(conditions))
    sender.estimator = _FixedRate(**rates)
    if conditions.repair == "none":
        # Where no loss is seen there is no parity, and the product has no other way to leave it out.
        sender._losses = _Deaf()
    return sender


def _repair_deadline_s(conditions: Conditions) -> float:
    """0 where there are no NACKs: a repair that is always too late is neither sent nor waited for, and parity is chosen
    so that none is needed."""
    return conditions.deadline_s if conditions.repair == "parity and NACK" else 0.0
