"""Prometheus metrics, read from the live objects when they are scraped: base units, bounded labels (stream only)."""

from collections.abc import Callable, Iterable

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from latentcast.vitals import LoopLag
from server.stream import Stream

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class StreamCollector(Collector):
    """Reads one stream."""

    def __init__(self, stream: Callable[[], Stream], lag: LoopLag) -> None:
        self._stream = stream
        self._lag = lag

    def collect(self) -> Iterable[Metric]:
        stream = self._stream()
        labels = [stream.name]

        def counter(name: str, text: str, value: float) -> Metric:
            family = CounterMetricFamily(f"latentcast_{name}", text, labels=["stream"])
            family.add_metric(labels, value)
            return family

        def gauge(name: str, text: str, value: float) -> Metric:
            family = GaugeMetricFamily(f"latentcast_{name}", text, labels=["stream"])
            family.add_metric(labels, value)
            return family

        captured, dropped = stream.slot_statistics()
        sessions = list(stream.sessions.values())
        renditions = stream.renditions
        coded = [rendition.coded for rendition in renditions]
        senders = [session.sender.statistics() for session in sessions]
        yield counter("frames_captured", "Pictures captured.", captured)
        yield counter("frames_dropped", "Pictures replaced by a newer one before the encoder was free.", dropped)
        yield counter("frames_encoded", "Frames coded, all renditions together.", sum(c.frames for c in coded))
        yield counter("frames_encoded_twice", "Frames coded again at another QP.", sum(c.twice for c in coded))
        yield counter("frames_intra", "Intra frames coded.", sum(c.intra for c in coded))
        yield counter("encoded_bytes", "Bytes of coded frames, packet headers included.", sum(c.bytes for c in coded))
        yield counter("encoder_restarts", "Encoder processes that died.", sum(c.restarts for c in coded))
        yield gauge("renditions", "Encodes that run.", len(renditions))
        yield gauge("viewers", "Viewers that are live.", sum(session.live for session in sessions))
        yield gauge("sessions", "Sessions, also those being set up or leaving.", len(sessions))
        yield gauge("target_bits_per_second", "Bandwidth estimate that the encoder follows.", stream.target_bps)
        yield gauge("qp", "QP row of the newest frame of the best rendition.", renditions[0].last_qp)
        yield gauge("malformed_messages", "Messages of present viewers that did not parse.", _sum_malformed(stream))
        yield gauge("ready", "1 when the encoder is warm and the source runs.", stream.ready)
        for name, text, value in (
            (
                "pacer_packets",
                "Packets of present viewers waiting to be sent.",
                [s.pacer.queued_packets for s in senders],
            ),
            ("frames_refused", "Frames dropped whole before present viewers.", [s.frames_refused for s in senders]),
            ("parity_packets", "Parity packets sent to present viewers.", [s.parity for s in senders]),
            ("resent_packets", "Packets sent to present viewers again.", [s.resent for s in senders]),
            ("probe_packets", "Probe packets sent to present viewers.", [s.probes for s in senders]),
        ):
            yield gauge(name, text, sum(value))
        yield gauge(
            "loss_ratio_max", "Share of packets lost by the worst viewer.", max((s.loss for s in senders), default=0.0)
        )
        best = renditions[0]
        yield gauge("frame_bytes_p50", "Median size of recent frames.", best.frame_bytes.percentiles().p50)
        encode = best.encode_ms.percentiles()
        lag = self._lag.percentiles()
        for name, text, milliseconds in (
            ("encode_seconds_p50", "Median encode time of recent frames.", encode.p50),
            ("encode_seconds_p95", "95th percentile of the encode time of recent frames.", encode.p95),
            ("loop_lag_seconds_p99", "99th percentile of the event loop's lateness in the last minute.", lag.p99),
        ):
            yield gauge(name, text, milliseconds / 1e3)


def _sum_malformed(stream: Stream) -> int:
    return sum(session.malformed for session in stream.sessions.values())


def render(collector: Collector) -> bytes:
    """The text format, from a registry of its own: nothing global."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(collector)
    return generate_latest(registry)
