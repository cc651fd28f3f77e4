"""Prometheus metrics, read from the live objects when they are scraped: base units, bounded labels (stream only)."""

import os
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Literal, NamedTuple

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from latentcast.vitals import LoopLag, resident_mb
from server.stream import Stream

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Sample(NamedTuple):
    """One figure, of one stream or of the server."""

    kind: Literal["counter", "gauge"]
    name: str
    text: str
    value: float


class StreamCollector(Collector):
    """Reads all streams: one family for each figure, one sample for each stream; then what is the server's alone.

    dashboards() says how many pages look at the dashboard, and how much processor time their snapshots took.
    """

    def __init__(
        self, streams: Iterable[Stream], lag: LoopLag, *, dashboards: Callable[[], tuple[int, float]] = lambda: (0, 0.0)
    ) -> None:
        self._streams = streams
        self._lag = lag
        self._dashboards = dashboards

    def collect(self) -> Iterable[Metric]:
        families: dict[str, CounterMetricFamily | GaugeMetricFamily] = {}
        for stream in self._streams:
            for sample in stream_samples(stream):
                family = families.get(sample.name)
                if family is None:
                    make = CounterMetricFamily if sample.kind == "counter" else GaugeMetricFamily
                    family = make(f"latentcast_{sample.name}", sample.text, labels=["stream"])
                    families[sample.name] = family
                family.add_metric([stream.name], sample.value)
        yield from families.values()
        for sample in self._server_samples():
            make = CounterMetricFamily if sample.kind == "counter" else GaugeMetricFamily
            yield make(f"latentcast_{sample.name}", sample.text, value=sample.value)

    def _server_samples(self) -> Iterator[Sample]:
        encoders = [rendition.pid for stream in self._streams for rendition in stream.renditions]
        memory = 1e6 * resident_mb((os.getpid(), *encoders))
        lag = self._lag.percentiles().p99 / 1e3
        dashboards, dashboard_cpu_s = self._dashboards()
        yield Sample("gauge", "streams", "Streams, also those that have ended.", sum(1 for _ in self._streams))
        yield Sample("counter", "server_cpu_seconds", "Processor time of the server process.", time.process_time())
        yield Sample("gauge", "memory_bytes", "Resident memory of the server and its encoders.", memory)
        yield Sample("gauge", "dashboards", "Pages that look at the dashboard.", dashboards)
        yield Sample("counter", "dashboard_cpu_seconds", "Of that, what making snapshots took.", dashboard_cpu_s)
        yield Sample(
            "gauge", "loop_lag_seconds_p99", "99th percentile of the event loop's lateness in the last minute.", lag
        )


def stream_samples(stream: Stream) -> Iterator[Sample]:
    """Every figure of a stream, read now."""
    captured, dropped = stream.slot_statistics()
    sessions = list(stream.sessions.values())
    renditions = stream.renditions
    coded = [rendition.coded for rendition in renditions]
    senders = [session.sender.statistics() for session in sessions]
    yield Sample("counter", "frames_captured", "Pictures captured.", captured)
    yield Sample("counter", "frames_dropped", "Pictures replaced by a newer one before the encoder was free.", dropped)
    yield Sample("counter", "frames_encoded", "Frames coded, all renditions together.", sum(c.frames for c in coded))
    yield Sample("counter", "frames_encoded_twice", "Frames coded again at another QP.", sum(c.twice for c in coded))
    yield Sample("counter", "frames_intra", "Intra frames coded.", sum(c.intra for c in coded))
    yield Sample(
        "counter", "encoded_bytes", "Bytes of coded frames, packet headers included.", sum(c.bytes for c in coded)
    )
    yield Sample("counter", "encoder_restarts", "Encoder processes that died.", sum(c.restarts for c in coded))
    yield Sample("gauge", "renditions", "Encodes that run.", len(renditions))
    yield Sample("gauge", "viewers", "Viewers that are live.", sum(session.live for session in sessions))
    yield Sample("gauge", "sessions", "Sessions, also those being set up or leaving.", len(sessions))
    yield Sample("gauge", "target_bits_per_second", "Bandwidth estimate that the encoder follows.", stream.target_bps)
    yield Sample("gauge", "qp", "QP row of the newest frame of the best rendition.", renditions[0].last_qp)
    yield Sample(
        "gauge", "malformed_messages", "Messages of present viewers that did not parse.", _sum_malformed(stream)
    )
    yield Sample("gauge", "ready", "1 when the encoder is warm and the source runs.", stream.ready)
    remote = stream.remote.statistics()
    for name, text, count in (
        (
            "input_injected",
            "Keys, buttons, pointers, turns and texts of viewers passed on to the desktop.",
            remote.input.injected,
        ),
        ("input_limited", "Presses, characters and notches over the limits.", remote.input.limited),
        ("input_unknown", "Key codes that no keyboard has.", remote.input.unknown),
        ("input_denied", "Messages of viewers who may not drive, or not now.", remote.denied),
    ):
        yield Sample("counter", name, text, count)
    yield Sample("gauge", "driven", "1 while a viewer drives the desktop.", remote.driver is not None)
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
        yield Sample("gauge", name, text, sum(value))
    yield Sample(
        "gauge",
        "loss_ratio_max",
        "Share of packets lost by the worst viewer.",
        max((s.loss for s in senders), default=0.0),
    )
    best = renditions[0]
    yield Sample("gauge", "frame_bytes_p50", "Median size of recent frames.", best.frame_bytes.percentiles().p50)
    encode = best.encode_ms.percentiles()
    for name, text, milliseconds in (
        ("encode_seconds_p50", "Median encode time of recent frames.", encode.p50),
        ("encode_seconds_p95", "95th percentile of the encode time of recent frames.", encode.p95),
    ):
        yield Sample("gauge", name, text, milliseconds / 1e3)


def _sum_malformed(stream: Stream) -> int:
    return sum(session.malformed for session in stream.sessions.values())


def render(collector: Collector) -> bytes:
    """The text format, from a registry of its own: nothing global."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(collector)
    return generate_latest(registry)
