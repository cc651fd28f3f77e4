"""A paced source, the bandwidth estimator and a receiver's arrival record over two simulated links, in simulated time.

frames at the target rate -> pacer -> forward link -> arrivals
estimator <- backward link <- arrival reports

Packets carry their sequence number and nothing else: what is in a frame does not matter here.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise

from transport.arrivals import ArrivalRecorder
from transport.bandwidth import BandwidthEstimator, BandwidthState, ProbePlan
from transport.netsim import Link
from transport.pacer import Departure, Pacer
from transport.wire import ArrivalReport

_TICK_S = 0.001
_SAMPLE_S = 0.05
_CLIENT_CLOCK_AHEAD_US = 7_000_000_123
_PACKET_BYTES = 1150
_HEADER_BYTES = 40


@dataclass(frozen=True, slots=True)
class Sample:
    """One moment of a run, taken every 50 ms."""

    time: float
    target_bps: float
    loss: float
    media_bytes: int
    """Sent since the sample before."""
    probe_bytes: int
    """Sent since the sample before."""
    state: BandwidthState


@dataclass
class ClosedLoop:
    """Runs until told; conditions may be changed in between."""

    forward: Link
    backward: Link
    estimator: BandwidthEstimator
    fps: float = 30.0
    use: float = 1.0
    """Share of the target that the encoder uses."""
    cap_bps: float = float("inf")
    """What the content needs: the encoder never uses more."""
    paced: bool = True
    base_delay_s: float = 0.0
    seed: int = 1
    feedback_lost: bool = False
    samples: list[Sample] = field(default_factory=list)
    packet_delays_ms: list[tuple[float, float]] = field(default_factory=list)
    """(arrival, one-way delay above the base) of every packet that came in, media only."""
    frames: list[float] = field(default_factory=list)
    """When frames were complete."""

    def __post_init__(self) -> None:
        self.now = 0.0
        self.pacer = Pacer()
        self._recorder = ArrivalRecorder()
        self._random = random.Random(self.seed)
        self._seq = self._frame_id = 0
        self._next_frame = self._next_sample = 0.0
        self._media_bytes = self._probe_bytes = 0
        self._sent: dict[int, tuple[float, int | None]] = {}
        self._missing: dict[int, int] = {}
        self._reports: dict[bytes, ArrivalReport] = {}

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

    def media_bps(self, start: float, end: float) -> float:
        """Media sent over a stretch of time, without probes."""
        return sum(s.media_bytes for s in self.between(start, end)) * 8 / (end - start)

    def probe_bps(self, start: float, end: float) -> float:
        """Probes sent over a stretch of time."""
        return sum(s.probe_bytes for s in self.between(start, end)) * 8 / (end - start)

    def delay_ms(self, start: float, end: float, *, share: float) -> float:
        """Percentile of the one-way delay above the base delay of packets that arrived in a stretch of time."""
        delays = sorted(d for t, d in self.packet_delays_ms if start <= t < end)
        return delays[min(int(len(delays) * share), len(delays) - 1)]

    def longest_stall_s(self, start: float, end: float) -> float:
        """Longest time without a complete frame."""
        times = [start, *(t for t in self.frames if start <= t < end), end]
        return max(b - a for a, b in pairwise(times))

    def _step(self) -> None:
        now = self.now
        if now >= self._next_frame:
            self._next_frame += 1 / self.fps
            self._send_frame(now)
            plan = self.estimator.probe(now)
            if plan is not None:
                self.pacer.push_probe(_cluster(plan), plan=plan, now=now)
        due = self.pacer.next_send_time()
        if due is not None and due <= now:
            for departure in self.pacer.poll(now):
                self._depart(departure, now)
        for data, arrival in self.forward.poll(now):
            self._arrive(data, arrival)
        while (report := self._recorder.poll(now)) is not None:
            if not self.feedback_lost:
                name = report.number.to_bytes(4)
                self._reports[name] = report
                self.backward.send(name + bytes(18 + 6 * len(report.entries)), now)
        for data, _ in self.backward.poll(now):
            self.estimator.on_report(self._reports[data[:4]], now)
        if now >= self._next_sample:
            self._next_sample += _SAMPLE_S
            self.estimator.on_tick(now)
            statistics = self.estimator.statistics()
            sizes = (self._media_bytes, self._probe_bytes)
            self.samples.append(Sample(now, statistics.target_bps, statistics.loss, *sizes, statistics.state))
            self._media_bytes = self._probe_bytes = 0

    def _depart(self, departure: Departure, now: float) -> None:
        seq, size = self._seq, len(departure.packet)
        self._seq += 1
        self._sent[seq] = (now, departure.frame_id)
        if departure.frame_id is None:
            self._probe_bytes += size
        else:
            self._media_bytes += size
        self.estimator.on_sent(seq, size, now, probe=departure.probe)
        self.forward.send(seq.to_bytes(4) + departure.packet[4:], now)

    def _arrive(self, data: bytes, arrival: float) -> None:
        seq = int.from_bytes(data[:4])
        self._recorder.on_packet(seq, round(arrival * 1e6) + _CLIENT_CLOCK_AHEAD_US)
        sent_at, frame_id = self._sent.pop(seq, (None, None))
        if sent_at is None or frame_id is None:
            return
        self.packet_delays_ms.append((arrival, (arrival - sent_at - self.base_delay_s) * 1e3))
        self._missing[frame_id] -= 1
        if not self._missing[frame_id]:
            del self._missing[frame_id]
            self.frames.append(arrival)

    def _send_frame(self, now: float) -> None:
        bps = min(self.use * self.estimator.target_bps, self.cap_bps)
        size = max(20, int(bps / 8 / self.fps * self._random.uniform(0.8, 1.2)))
        payload = _PACKET_BYTES - _HEADER_BYTES
        count = max(1, round(size / payload + 0.49))
        packets = [bytearray(size // count) for _ in range(count)]
        if self.pacer.push(self._frame_id, packets, now=now, spread_s=0.6 / self.fps if self.paced else 0.0):
            self._missing[self._frame_id] = count
            self._frame_id += 1


def _cluster(plan: ProbePlan) -> list[bytearray]:
    count = max(1, round(plan.size_bytes / plan.packet_bytes))
    return [bytearray(plan.packet_bytes) for _ in range(count)]
