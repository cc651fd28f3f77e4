"""Short, fast clusters of packets that ask the path for more than the encoder sends: what they cost, what they find.

    start(rate) -> ProbePlan -> packets, paced at its rate -> on_sent ... on_outcome -> ProbeResult | None

A cluster is a packet train (Dovrolis et al., "What do packet dispersion techniques measure?", INFOCOM 2001): while it
is faster than the bottleneck, each byte of it waits longer than the one before, and by how much longer tells the rate
at which the bottleneck serves. Media that leaves within a cluster is part of the train.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import sqrt

from transport.bandwidth.sent import Delivered, Outcome
from transport.wire import MAX_PACKET_BYTES

CLUSTER_S = 0.015
"""Time a cluster takes to send. At twice the path's rate it leaves a queue of as much: half a frame interval."""
CLUSTER_PACKETS = 6
"""Packets to make a cluster of: enough for a line with an error, few enough for their headers."""
_MIN_PACKET_BYTES = 120
_MIN_SHARE = 0.8
"""Share of a cluster's packets that must arrive for a result (libwebrtc's probe_bitrate_estimator has the same)."""
_MAX_ERROR = 0.2
"""One sigma of the line's slope, over the time a byte takes to send: with more jitter a cluster says nothing."""
PASSED_SHARE = 0.87
"""Served at this share of the rate it was sent with, or more: the path was not full."""
_NOISE_GAIN = 0.25
"""Weight of a new cluster's scatter in the mean of all."""
_DISTURBS_S = 0.08
"""A queue of 15 ms on a path with a fifth to spare."""
_EXPIRES_S = 1.0
_MAX_OPEN = 4
_MIN_TRAIN, _MAX_TRAIN = 4, 256


@dataclass(frozen=True, slots=True)
class ProbePlan:
    """A cluster that should be sent now."""

    id: int
    rate_bps: float
    """How fast to send it."""
    size_bytes: int
    """How much, all packets of it together; fewer bytes measure less well, more overrun the queue."""

    @property
    def packet_bytes(self) -> int:
        """A good size for each packet: `CLUSTER_PACKETS` of them, or more that are full."""
        return min(max(self.size_bytes // CLUSTER_PACKETS, _MIN_PACKET_BYTES), MAX_PACKET_BYTES)


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """What a cluster has found."""

    bps: float
    """Rate at which the path served it."""
    passed: bool
    """It left no queue: the path carries `bps`, and perhaps more. Otherwise `bps` is what it carries."""
    planned_bps: float


@dataclass(slots=True)
class _Cluster:
    plan: ProbePlan
    started: float
    sent: int = 0
    sent_bytes: int = 0
    settled: int = 0
    lost: int = 0
    first_key: int = -1
    last_key: int = -1
    train: list[Delivered] = field(default_factory=list)


class ProbeMeter:
    """Follows the clusters under way."""

    def __init__(self) -> None:
        self._open: dict[int, _Cluster] = {}
        self._next_id = 0
        self._disturbed_until = float("-inf")
        self._too_few = False
        self._scatter_s2: float | None = None
        """Mean square distance of delays from their lines, of the clusters so far."""

    @property
    def busy(self) -> bool:
        """Whether a cluster is under way."""
        return bool(self._open)

    @property
    def disturbed_until(self) -> float:
        """Packets sent before this may have met the queue of a cluster: the trend must not count them."""
        return self._disturbed_until

    @property
    def too_few(self) -> bool:
        """Whether the last cluster to end held too few packets to measure anything, although none was lost."""
        return self._too_few

    def start(self, rate_bps: float, now: float) -> ProbePlan:
        """A new cluster at `rate_bps`."""
        size = max(round(rate_bps / 8 * CLUSTER_S), CLUSTER_PACKETS * _MIN_PACKET_BYTES)
        plan = ProbePlan(self._next_id, rate_bps, size)
        self._next_id += 1
        self._open[plan.id] = _Cluster(plan, now)
        if len(self._open) > _MAX_OPEN:
            del self._open[next(iter(self._open))]
        return plan

    def on_sent(self, key: int, size_bytes: int, probe: int, now: float) -> None:
        """Notes that packet `key` of cluster `probe` leaves."""
        cluster = self._open.get(probe)
        if cluster is None:
            return
        if not cluster.sent:
            cluster.first_key = key
        cluster.last_key = key
        cluster.sent += 1
        cluster.sent_bytes += size_bytes
        self._disturbed_until = now + _DISTURBS_S

    def on_outcome(self, outcome: Outcome, now: float) -> ProbeResult | None:
        """Takes what a report settled; returns what a cluster has found, when it is complete."""
        result = None
        for cluster in list(self._open.values()):
            _collect(cluster, outcome)
            complete = cluster.settled == cluster.sent and cluster.sent_bytes >= cluster.plan.size_bytes * _MIN_SHARE
            if complete or now - cluster.started > _EXPIRES_S:
                del self._open[cluster.plan.id]
                result = self._evaluate(cluster) or result
        return result

    def forget(self) -> None:
        """Gives up what is under way: the path has changed meanwhile."""
        self._open.clear()

    def _evaluate(self, cluster: _Cluster) -> ProbeResult | None:
        train = _train(cluster)
        self._too_few = bool(cluster.sent) and not cluster.lost and not train
        if not train:
            return None
        seconds = train[-1].sent_s - train[0].sent_s
        sent_bps = sum(p.size_bytes for p in train[1:]) * 8 / seconds
        byte_s = 8 / sent_bps
        line = _line(train)
        scatter_s2 = line.scatter_s2
        # Half a dozen delays may lie on a line by chance. One that seems to have passed must have done so in spite of
        # the scatter that the path is known for: a rate too high costs a queue, a rate not found is asked for again.
        known_s2 = scatter_s2 if self._scatter_s2 is None else self._scatter_s2
        self._scatter_s2 = known_s2 + _NOISE_GAIN * (scatter_s2 - known_s2)
        bps = 8 / (byte_s + max(line.slope_s, 0.0))
        passed = bps >= PASSED_SHARE * sent_bps
        if passed:
            scatter_s2 = max(scatter_s2, known_s2)
        if line.error_s(scatter_s2) > _MAX_ERROR * byte_s:
            return None
        return ProbeResult(bps, passed, cluster.plan.rate_bps)


def _collect(cluster: _Cluster, outcome: Outcome) -> None:
    if not cluster.sent:
        return
    for packet in outcome.delivered:
        if packet.probe == cluster.plan.id:
            cluster.settled += 1
        if packet.key >= cluster.first_key and len(cluster.train) < _MAX_TRAIN:
            cluster.train.append(packet)
    for gone in outcome.lost:
        if gone.probe == cluster.plan.id:
            cluster.settled += 1
            cluster.lost += 1


def _train(cluster: _Cluster) -> list[Delivered]:
    """The packets to draw a line through; none if too few of the cluster came in."""
    if not cluster.sent or cluster.settled - cluster.lost < _MIN_SHARE * cluster.sent:
        return []
    train = sorted((p for p in cluster.train if p.key <= cluster.last_key), key=lambda p: p.key)
    return train if len(train) >= _MIN_TRAIN and train[-1].sent_s > train[0].sent_s else []


@dataclass(frozen=True, slots=True)
class _Line:
    """One-way delay over the bytes sent."""

    slope_s: float
    """Seconds a byte."""
    scatter_s2: float
    """Mean square distance of the delays from it."""
    spread: float
    """Sum of squares of the bytes, about their mean."""

    def error_s(self, scatter_s2: float) -> float:
        """Standard error of the slope if the delays scatter by so much."""
        return sqrt(scatter_s2 / self.spread)


def _line(train: Sequence[Delivered]) -> _Line:
    points, total = [], 0
    for packet in train:
        total += packet.size_bytes
        points.append((total, packet.arrival_s - packet.sent_s))
    mean_x = sum(x for x, _ in points) / len(points)
    mean_y = sum(y for _, y in points) / len(points)
    spread = sum((x - mean_x) ** 2 for x, _ in points)
    slope = sum((x - mean_x) * (y - mean_y) for x, y in points) / spread
    residue = sum((y - mean_y - slope * (x - mean_x)) ** 2 for x, y in points)
    return _Line(slope, residue / (len(points) - 2), spread)
