"""A sender and a receiver over two simulated links, in simulated time: what the server and the client do, in short.

frames at the target rate -> packetiser -> pacer -> stamp -> forward link -> parser -> arrivals and reassembly
estimator <- parser <- backward link <- arrival reports
"""

import random
from collections.abc import Callable
from dataclasses import dataclass, field

from transport.arrivals import ArrivalRecorder
from transport.bandwidth import BandwidthEstimator
from transport.netsim import Link
from transport.pacer import Pacer
from transport.packetiser import packetise
from transport.reassembly import FrameReady, Reassembler
from transport.wire import ArrivalReport, MediaPacket, parse_feedback, parse_media, stamp

_TICK_S = 0.002
_CLIENT_CLOCK_AHEAD_US = 7_000_000_123


@dataclass
class Sample:
    """One moment of a run, taken every 50 ms."""

    time: float
    target_bps: float
    queue_ms: float
    """True queue, from the packets that came out since the last sample: their delay above the link's own."""
    loss: float


@dataclass
class ClosedLoop:
    """Runs until told; conditions may be changed in between."""

    forward: Link
    backward: Link
    estimator: BandwidthEstimator
    fps: float = 30.0
    use: float = 0.95
    """Share of the target that the encoder uses."""
    cap_bps: float = float("inf")
    """What the content needs: the encoder never uses more."""
    paced: bool = True
    base_delay_s: float = 0.0
    feedback_lost: bool = False
    samples: list[Sample] = field(default_factory=list)
    frames: list[FrameReady] = field(default_factory=list)
    packet_delays_ms: list[tuple[float, float]] = field(default_factory=list)
    """(arrival, one-way delay) of every packet that came in."""

    def __post_init__(self) -> None:
        self.now = 0.0
        self._pacer = Pacer()
        self._recorder = ArrivalRecorder()
        self._reassembler = Reassembler()
        self._random = random.Random(1)
        self._seq = 0
        self._frame_id = 0
        self._next_frame = self._next_sample = 0.0
        self._worst_queue_ms = 0.0
        self._sent_at: dict[int, float] = {}

    def run(self, seconds: float, *, each_tick: Callable[[float], None] | None = None) -> None:
        """Lets so much time go by."""
        end = self.now + seconds
        while self.now < end:
            self._step()
            if each_tick is not None:
                each_tick(self.now)
            self.now += _TICK_S

    def between(self, start: float, end: float) -> list[Sample]:
        """Samples of a stretch of time."""
        return [s for s in self.samples if start <= s.time < end]

    def mean_target_bps(self, start: float, end: float) -> float:
        """Average target over a stretch of time."""
        samples = self.between(start, end)
        return sum(s.target_bps for s in samples) / len(samples)

    def delay_ms(self, start: float, end: float, *, share: float) -> float:
        """Percentile of the one-way delay above the base delay of packets that arrived in a stretch of time."""
        delays = sorted(d for t, d in self.packet_delays_ms if start <= t < end)
        return delays[min(int(len(delays) * share), len(delays) - 1)]

    def _step(self) -> None:
        now = self.now
        if now >= self._next_frame:
            self._next_frame += 1 / self.fps
            self._send_frame(now)
        for packet in self._pacer.poll(now):
            self._sent_at[self._seq] = now
            data = stamp(packet, seq=self._seq, now_us=round(now * 1e6))
            self.estimator.on_sent(self._seq, len(data), now)
            self.forward.send(data, now)
            self._seq += 1
        for data, arrival in self.forward.poll(now):
            packet_in = parse_media(data)
            assert isinstance(packet_in, MediaPacket)
            delay_ms = (arrival - self._sent_at.pop(packet_in.seq) - self.base_delay_s) * 1e3
            self.packet_delays_ms.append((arrival, delay_ms))
            self._worst_queue_ms = max(self._worst_queue_ms, delay_ms)
            self._recorder.on_packet(packet_in.seq, round(arrival * 1e6) + _CLIENT_CLOCK_AHEAD_US)
            self._reassembler.on_packet(packet_in, now=now)
        self.frames += [event for event in self._reassembler.poll(now=now) if isinstance(event, FrameReady)]
        while (report := self._recorder.poll(now)) is not None:
            if not self.feedback_lost:
                self.backward.send(report.to_bytes(), now)
        for data, _ in self.backward.poll(now):
            report_in = parse_feedback(data)
            assert isinstance(report_in, ArrivalReport)
            self.estimator.on_report(report_in, now)
        if now >= self._next_sample:
            self._next_sample += 0.05
            self.estimator.on_tick(now)
            statistics = self.estimator.statistics()
            self.samples.append(Sample(now, statistics.target_bps, self._worst_queue_ms, statistics.loss))
            self._worst_queue_ms = 0.0

    def _send_frame(self, now: float) -> None:
        bps = min(self.use * self.estimator.target_bps, self.cap_bps)
        size = max(20, int(bps / 8 / self.fps * self._random.uniform(0.8, 1.2)))
        coded = bytes(size)
        packets = packetise(
            coded,
            range(min(60, size), size, 300),
            frame_id=self._frame_id,
            reference_id=self._frame_id - 1 if self._frame_id else None,
            epoch=0,
            captured_us=round(now * 1e6),
            wait_us=0,
            encode_us=0,
        )
        if self._pacer.push(self._frame_id, packets, now=now, spread_s=0.6 / self.fps if self.paced else 0.0):
            self._frame_id += 1
