"""The stages wired together: what was sent and what was reported go in, a target rate comes out."""

from dataclasses import dataclass
from enum import Enum

from transport.bandwidth.acked_rate import AckedRate
from transport.bandwidth.arrival_groups import ArrivalGroups
from transport.bandwidth.loss import LossRule
from transport.bandwidth.overuse import OveruseDetector
from transport.bandwidth.queue_delay import QueueDelay
from transport.bandwidth.rate_control import Observed, RateControl
from transport.bandwidth.sent import Delivered, SentHistory
from transport.bandwidth.trendline import Trendline
from transport.wire import ArrivalReport

SILENCE_S = 0.3
"""No report for this long although packets are on their way: the path, or the way back, is down. Seven reports at the
usual interval; the rate is halved again for each further one."""
_RESPONSE_GAIN = 0.1
"""Weight of a new response time, as of the round trip in RFC 6298 (1/8)."""


class BandwidthState(Enum):
    """What the target is doing."""

    INCREASE = "increase"
    HOLD = "hold"
    DECREASE = "decrease"
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


class BandwidthEstimator:
    """Tells how many bits a second to send to one peer."""

    def __init__(self, *, initial_bps: float, min_bps: float, max_bps: float) -> None:
        """Targets stay within `min_bps` .. `max_bps`; `initial_bps` is what to try before anything is known."""
        self._sent = SentHistory()
        self._groups = ArrivalGroups()
        self._trendline = Trendline()
        self._detector = OveruseDetector()
        self._acked = AckedRate()
        self._queue = QueueDelay()
        self._loss = LossRule()
        self._rate = RateControl(initial_bps=initial_bps, min_bps=min_bps, max_bps=max_bps)
        self._response_s: float | None = None
        self._last_report: float | None = None
        self._halved_at: float | None = None

    @property
    def target_bps(self) -> float:
        """Bits a second to send, all packets of the media channel together."""
        return self._rate.target_bps

    def on_sent(self, seq: int, size_bytes: int, now: float) -> None:
        """Notes that transport sequence number `seq` leaves now. In the order of sending."""
        self._sent.on_sent(seq, size_bytes, now)

    def on_report(self, report: ArrivalReport, now: float) -> None:
        """Takes one arrival report."""
        self._last_report = now
        if self._halved_at is not None:
            # What was sent into the silence and not reported may have arrived all the same.
            self._halved_at = None
            self._loss.on_decrease(now)
        outcome = self._sent.on_report(report)
        if outcome.delivered:
            self._on_delivered(outcome.delivered, now)
            self._rate.on_report(
                Observed(
                    usage=self._detector.usage,
                    acked_bps=self._acked.bps,
                    short_acked_bps=self._acked.short_bps,
                    queue_delay_s=self._queue.seconds,
                    response_s=self._response_s or SILENCE_S,
                    now=now,
                )
            )
            if self._rate.decreased_at == now:
                self._loss.on_decrease(now)
        self._loss.on_report(
            delivered=[p.sent_s for p in outcome.delivered],
            lost=[p.sent_s for p in outcome.lost],
            rate_bps=self._rate.target_bps,
            now=now,
        )
        if self._loss.bound_bps is not None:
            self._rate.limit(self._loss.bound_bps)

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
        )

    def _on_delivered(self, delivered: list[Delivered], now: float) -> None:
        for packet in delivered:
            self._acked.on_packet(arrival_s=packet.arrival_s, size_bytes=packet.size_bytes)
            group = self._groups.on_packet(sent_s=packet.sent_s, arrival_s=packet.arrival_s)
            if group is not None:
                trend = self._trendline.on_group(delay_gradient_s=group.delay_gradient_s, arrival_s=group.arrival_s)
                self._detector.on_trend(trend, send_delta_s=group.send_delta_s, arrival_s=group.arrival_s)
        self._queue.on_report(one_way_delay_s=min(p.arrival_s - p.sent_s for p in delivered), now=now)
        response_s = now - max(p.sent_s for p in delivered)
        previous_s = response_s if self._response_s is None else self._response_s
        self._response_s = previous_s + _RESPONSE_GAIN * (response_s - previous_s)
