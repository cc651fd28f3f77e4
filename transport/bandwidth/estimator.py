"""The stages wired together: what was sent and what was reported go in, a target rate comes out."""

from dataclasses import dataclass
from enum import Enum

from transport.bandwidth.acked_rate import NEWEST_WINDOW_S, SHORT_WINDOW_S, AckedRate
from transport.bandwidth.arrival_groups import ArrivalGroups
from transport.bandwidth.loss import LossRule
from transport.bandwidth.lowest import Lowest
from transport.bandwidth.overuse import OveruseDetector
from transport.bandwidth.probe_schedule import ProbeSchedule
from transport.bandwidth.probing import ProbeMeter, ProbePlan
from transport.bandwidth.queue_delay import QueueDelay
from transport.bandwidth.rate_control import Observed, RateControl, RateState
from transport.bandwidth.sent import Outcome, SentHistory
from transport.bandwidth.served_rate import ServedRate
from transport.bandwidth.trendline import Trendline
from transport.wire import ArrivalReport

SILENCE_S = 0.3
"""No report for this long although packets are on their way: the path, or the way back, is down. Seven reports at the
usual interval; the rate is halved again for each further one."""
_RTT_WINDOW_S = 5.0
_RTT_UNKNOWN_S, _MIN_RTT_S = 0.1, 0.001
_PROBE_QUEUE_S = 0.02
"""No cluster is added to a queue longer than this."""
_RESPONSE_GAIN = 0.1
"""Weight of a new response time, as of the round trip in RFC 6298 (1/8)."""


class BandwidthState(Enum):
    """What the target is doing."""

    INCREASE = "increase"
    HOLD = "hold"
    DECREASE = "decrease"
    COMPETE = "compete"
    """Somebody else fills the queue; taking the share that TCP would."""
    SILENT = "silent"
    """Feedback has stopped; closing."""


@dataclass(frozen=True, slots=True)
class BandwidthStatistics:
    """How it stands."""

    target_bps: float
    acked_bps: float
    """Received rate over half a second, 0 while unknown."""
    loss: float
    """Share of packets lost over the last second, 0..1."""
    queue_delay_ms: float
    """Standing queue on the path, above the least delay of the last 15 to 30 s."""
    state: BandwidthState
    rtt_ms: float
    """Smallest time from sending to reading the report, of the last few seconds."""
    probes: int
    """Probe clusters asked for."""


class BandwidthEstimator:
    """Tells how many bits a second to send to one peer."""

    def __init__(self, *, initial_bps: float, min_bps: float, max_bps: float) -> None:
        """Targets stay within `min_bps` .. `max_bps`; `initial_bps` is what to try before anything is known."""
        self._sent = SentHistory()
        self._groups = ArrivalGroups()
        self._trendline = Trendline()
        self._detector = OveruseDetector()
        self._acked = AckedRate()
        self._served = ServedRate()
        self._queue = QueueDelay()
        self._loss = LossRule()
        self._rate = RateControl(initial_bps=initial_bps, min_bps=min_bps, max_bps=max_bps)
        self._min_bps, self._max_bps = min_bps, max_bps
        self._fixed = min_bps >= max_bps
        self._probes = ProbeMeter()
        self._schedule = ProbeSchedule()
        self._probes_planned = 0
        self._rtt = Lowest(_RTT_WINDOW_S)
        self._response_s: float | None = None
        self._last_report: float | None = None
        self._halved_at: float | None = None

    def limit(self, max_bps: float) -> None:
        """Targets stay below `max_bps` from now on, were it below the least there was."""
        self._max_bps = max_bps
        min_bps = min(self._min_bps, max_bps)
        self._fixed = min_bps >= max_bps
        self._rate.set_limits(min_bps=min_bps, max_bps=max_bps)

    @property
    def target_bps(self) -> float:
        """Bits a second to send, all packets of the media channel together."""
        return self._rate.target_bps

    @property
    def rtt_s(self) -> float:
        """From sending a packet to reading its report: the smallest of the last few seconds, 0.1 until one is known."""
        return _RTT_UNKNOWN_S if self._rtt.value is None else self._rtt.value

    @property
    def loss(self) -> float:
        """Share of packets lost over the last second, 0..1. 0 while nothing was reported."""
        return self._loss.loss

    @property
    def silent(self) -> bool:
        """Whether feedback has stopped although packets are on their way."""
        return self._halved_at is not None

    def on_sent(self, seq: int, size_bytes: int, now: float, *, probe: int | None = None) -> None:
        """Notes that transport sequence number `seq` leaves now, as part of cluster `probe` if given.

        In the order of sending.
        """
        key = self._sent.on_sent(seq, size_bytes, now, probe=probe)
        if probe is not None:
            self._probes.on_sent(key, size_bytes, probe, now)

    def on_report(self, report: ArrivalReport, now: float) -> Outcome:
        """Takes one arrival report; returns what it settled."""
        outcome = self._sent.on_report(report, now)
        if not outcome.delivered:
            return outcome
        self._last_report = now
        if self._halved_at is not None:
            # What was sent into the silence and not reported may have arrived all the same.
            self._halved_at = None
            self._loss.on_decrease(now)
        if outcome.clock_jumped:
            self._forget_clock()
        self._on_delivered(outcome, now)
        self._rate.on_report(
            Observed(
                usage=self._detector.usage,
                acked_bps=self._acked.bps,
                short_acked_bps=self._acked.short_bps,
                newest_acked_bps=self._acked.newest_bps,
                served_bps=self._served.over(SHORT_WINDOW_S),
                newest_served_bps=self._served.over(NEWEST_WINDOW_S),
                queue_delay_s=self._queue.seconds,
                latest_queue_s=self._queue.latest_s,
                response_s=self._response_s or SILENCE_S,
                lost_sent_s=max((p.sent_s for p in outcome.lost), default=None),
                loss=self._loss.fresh_loss,
                now=now,
            )
        )
        if self._rate.route_changed:
            self._queue.forget()
        busy = self._probes.busy
        found = self._probes.on_outcome(outcome, now)
        if busy and not self._probes.busy and self._probes.too_few:
            self._schedule.on_too_few(now)
        if found is not None:
            self._rate.on_probe(found, acked_bps=self._acked.bps or 0.0, now=now)
            self._schedule.on_result(found, now)
        if self._rate.decreased_at == now:
            self._loss.on_decrease(now)
            self._schedule.on_decrease(now)
        self._loss.on_report(
            delivered=[p.sent_s for p in outcome.delivered],
            lost=[p.sent_s for p in outcome.lost],
            rate_bps=self._rate.target_bps,
            now=now,
        )
        if self._loss.bound_bps is not None and self._rate.state is not RateState.COMPETE:
            self._rate.limit(self._loss.bound_bps)
        return outcome

    def probe(self, now: float) -> ProbePlan | None:
        """The cluster that should be sent now, if any. Ask about as often as frames are sent."""
        if self._fixed or self._last_report is None or self.silent or self._probes.busy:
            return None
        if self._rate.state in (RateState.DECREASE, RateState.COMPETE) or self._queue.latest_s > _PROBE_QUEUE_S:
            return None
        rate_bps = self._schedule.wanted_bps(target_bps=self.target_bps, max_bps=self._max_bps, now=now)
        if rate_bps is None:
            return None
        self._probes_planned += 1
        return self._probes.start(rate_bps, now)

    def on_tick(self, now: float) -> None:
        """Call every 50-100 ms: closes the rate while feedback stays away."""
        oldest_s, newest_s = self._sent.oldest_unreported_s, self._sent.newest_s
        if oldest_s is None or newest_s is None:
            return
        if self._halved_at is None:
            since = oldest_s if self._last_report is None else max(oldest_s, self._last_report)
        else:
            since = self._halved_at
            # A lone packet lost before a pause says little: each halving takes a packet sent since the one before.
            if newest_s <= since:
                return
        if now - since > SILENCE_S:
            self._rate.halve()
            self._halved_at = now

    def statistics(self) -> BandwidthStatistics:
        """How it stands."""
        return BandwidthStatistics(
            target_bps=self._rate.target_bps,
            acked_bps=self._acked.bps or 0.0,
            loss=self._loss.loss,
            queue_delay_ms=self._queue.seconds * 1e3,
            state=BandwidthState.SILENT if self._halved_at is not None else BandwidthState(self._rate.state.value),
            rtt_ms=self.rtt_s * 1e3,
            probes=self._probes_planned,
        )

    def _on_delivered(self, outcome: Outcome, now: float) -> None:
        delivered = outcome.delivered
        for gone in outcome.untold:
            # Most of it has arrived: without it, the rate would seem to dip with every pair of lost reports.
            arrival_s = gone.sent_s + delivered[0].arrival_s - delivered[0].sent_s
            self._acked.on_packet(arrival_s=arrival_s, size_bytes=gone.size_bytes)
        self._served.on_delivered(delivered)
        for packet in delivered:
            self._acked.on_packet(arrival_s=packet.arrival_s, size_bytes=packet.size_bytes)
            if packet.sent_s < self._probes.disturbed_until:
                continue
            group = self._groups.on_packet(sent_s=packet.sent_s, arrival_s=packet.arrival_s)
            if group is not None:
                trend = self._trendline.on_group(delay_gradient_s=group.delay_gradient_s, arrival_s=group.arrival_s)
                self._detector.on_trend(trend, send_delta_s=group.send_delta_s, arrival_s=group.arrival_s)
        self._queue.on_report(
            one_way_delay_s=min(p.arrival_s - p.sent_s for p in delivered),
            now=now,
            hold_base=self._rate.state is RateState.COMPETE,
        )
        response_s = max(now - max(p.sent_s for p in delivered), _MIN_RTT_S)
        self._rtt.add(response_s, now)
        previous_s = response_s if self._response_s is None else self._response_s
        self._response_s = previous_s + _RESPONSE_GAIN * (response_s - previous_s)

    def _forget_clock(self) -> None:
        self._acked.forget()
        self._served.forget()
        self._queue.forget()
        self._groups = ArrivalGroups()
        self._trendline = Trendline()
