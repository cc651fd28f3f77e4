"""From the live objects to a snapshot: counts become rates by the snapshot before.

Everything read here exists anyway, and nothing is done between snapshots: `latentcast bench dashboard` says what they
cost.
"""

import os
import re
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Literal

from latentcast.control import Viewer
from latentcast.statistics import percentile
from latentcast.vitals import LoopLag, resident_mb
from server.dashboard.feed import Lines
from server.dashboard.model import (
    PublisherState,
    RenditionState,
    ServerState,
    Snapshot,
    State,
    StreamState,
    ViewerFigures,
    ViewerState,
)
from server.rendition import CodedFrame, Rendition
from server.session import ViewerSession
from server.sources import mask_spec
from server.sources.mask import HIDDEN
from server.stream import Stream
from server.whip.publisher import Publisher

ID_CHARACTERS = 6
"""Of a session's id that are shown: the whole id would allow to end the session."""
# Sources say what failed without passwords; this is for a library that does not.
_CREDENTIALS = re.compile(r"(?<=://)[^/@\s]*@")


@dataclass(slots=True)
class _Counts:
    """What was counted when the snapshot before was made, by the object that counts."""

    at: float = 0.0
    cpu_s: float = 0.0
    streams: dict[Stream, tuple[int, int]] = field(default_factory=dict)
    """Pictures captured, dropped."""
    renditions: dict[Rendition, tuple[int, int]] = field(default_factory=dict)
    """Frames, bytes."""
    viewers: dict[ViewerSession, int] = field(default_factory=dict)
    """Bytes."""
    publishers: dict[Publisher, tuple[int, int]] = field(default_factory=dict)
    """Frames decoded, bytes."""


class SnapshotBuilder:
    """`build` it as often as somebody looks; `forget` when nobody does any more."""

    def __init__(
        self,
        streams: Iterable[Stream],
        lag: LoopLag,
        *,
        publisher_of: Callable[[str], Publisher | None] = lambda _: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """publisher_of(name): who publishes to that stream. clock: monotonic seconds, as frames are stamped."""
        self._streams = streams
        self._lag = lag
        self._publisher_of = publisher_of
        self._clock = clock
        self._started = clock()
        self._before: _Counts | None = None

    def forget(self) -> None:
        """The next snapshot has no rates, and nothing that has ended is kept alive."""
        self._before = None

    def lines(self) -> Lines:
        """A snapshot of now as JSON."""
        snapshot = self.build()
        return Lines(_line(snapshot), _line(for_everybody(snapshot)))

    def build(self) -> Snapshot:
        """A snapshot of now."""
        counts = _Counts(at=self._clock(), cpu_s=time.process_time())
        streams = list(self._streams)
        states = tuple(self._stream(stream, counts) for stream in streams)
        cpu = self._rate(counts, counts.cpu_s, None if self._before is None else self._before.cpu_s)
        encoders = [rendition.pid for stream in streams for rendition in stream.renditions]
        server = ServerState(
            uptime_s=round(counts.at - self._started, 1),
            cpu=None if cpu is None else round(cpu, 4),
            memory_mb=round(resident_mb((os.getpid(), *encoders)), 1),
            loop_lag_p99_ms=self._lag.percentiles().p99,
        )
        self._before = counts
        return Snapshot(at_ms=time.time_ns() // 1_000_000, server=server, streams=states)

    def _rate(self, counts: _Counts, value: float, before: float | None) -> float | None:
        """What `value` has grown by in a second."""
        if self._before is None or before is None or counts.at <= self._before.at:
            return None
        return max(0.0, (value - before) / (counts.at - self._before.at))

    def _stream(self, stream: Stream, counts: _Counts) -> StreamState:
        before = self._before
        captured, dropped = counts.streams[stream] = stream.slot_statistics()
        old_captured, old_dropped = (before and before.streams.get(stream)) or (None, None)
        state, reason = _status(stream)
        encoded = [(rendition, self._new_frames(rendition)) for rendition in stream.renditions]
        now_us = round(counts.at * 1e6)
        return StreamState(
            name=stream.name,
            kind=stream.source_status.kind,
            source=", ".join(mask_spec(spec) for spec in stream.spec),
            state=state,
            reason=_CREDENTIALS.sub(f"{HIDDEN}@", reason),
            width=stream.width,
            height=stream.height,
            fps=stream.fps,
            captured_fps=_rounded(self._rate(counts, captured, old_captured), 1),
            dropped_fps=_rounded(self._rate(counts, dropped, old_dropped), 1),
            max_bitrate=stream.max_bitrate,
            target_bps=round(stream.target_bps),
            audio=stream.source.audio is not None,
            publishable=stream.source_status.kind == "whip",
            publisher=self._publisher(self._publisher_of(stream.name), counts),
            renditions=tuple(self._rendition(rendition, frames, counts) for rendition, frames in encoded),
            frames=tuple(
                (rendition.index, max(0, now_us - frame.done_us) // 1000, frame.size_bytes, frame.qp, int(frame.intra))
                for rendition, frames in encoded
                for frame in frames
            ),
            viewers=tuple(self._viewer(session, stream, counts) for session in stream.sessions.values()),
        )

    def _new_frames(self, rendition: Rendition) -> list[CodedFrame]:
        """Coded since the snapshot before, as far as they are remembered; none without one."""
        if self._before is None:
            return []
        before, _ = self._before.renditions.get(rendition, (0, 0))
        new = min(rendition.coded.frames - before, len(rendition.recent))
        return list(rendition.recent)[-new:] if new > 0 else []

    def _rendition(self, rendition: Rendition, frames: list[CodedFrame], counts: _Counts) -> RenditionState:
        coded = rendition.coded
        counts.renditions[rendition] = (coded.frames, coded.bytes)
        old_frames, old_bytes = (self._before and self._before.renditions.get(rendition)) or (None, None)
        bytes_a_second = self._rate(counts, coded.bytes, old_bytes)
        width, height = rendition.control.size
        waits = sorted(frame.wait_us / 1e3 for frame in frames)
        encodes = sorted(frame.encode_us / 1e3 for frame in frames)
        return RenditionState(
            index=rendition.index,
            width=width,
            height=height,
            viewers=len(rendition.watching),
            fps=_rounded(self._rate(counts, coded.frames, old_frames), 1),
            bps=None if bytes_a_second is None else round(8 * bytes_a_second),
            qp=frames[-1].qp if frames else None,
            wait_ms=max(0.0, round(percentile(waits, 0.5), 2)) if waits else None,
            encode_ms=round(percentile(encodes, 0.5), 2) if encodes else None,
            encode_p95_ms=round(percentile(encodes, 0.95), 2) if encodes else None,
            intra=coded.intra,
            restarts=coded.restarts,
        )

    def _viewer(self, session: ViewerSession, stream: Stream, counts: _Counts) -> ViewerState:
        sent = session.sender.statistics()
        counts.viewers[session] = sent.bytes
        old_bytes = None if self._before is None else self._before.viewers.get(session)
        bytes_a_second = self._rate(counts, sent.bytes, old_bytes)
        return ViewerState(
            id=session.id[:ID_CHARACTERS],
            program=session.program,
            address=session.address,
            state="live" if session.watching else "connecting" if not session.program else "leaving",
            rendition=session.rendition,
            seconds=max(0.0, round(counts.at - session.since, 1)),
            target_bps=round(sent.bandwidth.target_bps),
            sent_bps=None if bytes_a_second is None else round(8 * bytes_a_second),
            loss=round(sent.bandwidth.loss, 4),
            queue_ms=round(max(0.0, sent.bandwidth.queue_delay_ms), 2),
            rtt_ms=round(sent.bandwidth.rtt_ms, 2),
            backlog=sent.pacer.queued_packets,
            drives=_drives(session, stream),
            figures=None if session.seen is None else _figures(session.seen),
        )

    def _publisher(self, publisher: Publisher | None, counts: _Counts) -> PublisherState | None:
        if publisher is None:
            return None
        status = publisher.status()
        counts.publishers[publisher] = (status.decoded, status.bytes)
        old_decoded, old_bytes = (self._before and self._before.publishers.get(publisher)) or (None, None)
        bytes_a_second = self._rate(counts, status.bytes, old_bytes)
        return PublisherState(
            state=status.state,
            codec=status.codec,
            size=status.size,
            bps=None if bytes_a_second is None else round(8 * bytes_a_second),
            fps=_rounded(self._rate(counts, status.decoded, old_decoded), 1),
            dropped=status.dropped,
        )


def for_everybody(snapshot: Snapshot) -> Snapshot:
    """The snapshot as viewers may see it: without each other's addresses, and where on the server a source lies."""
    streams = tuple(
        stream.model_copy(
            update={
                "source": stream.kind,
                "viewers": tuple(viewer.model_copy(update={"address": None}) for viewer in stream.viewers),
            }
        )
        for stream in snapshot.streams
    )
    return snapshot.model_copy(update={"streams": streams})


def _line(snapshot: Snapshot) -> bytes:
    return snapshot.model_dump_json().encode() + b"\n"


def _status(stream: Stream) -> tuple[State, str]:
    """(state, reason) in the dashboard's words."""
    if stream.failure is not None:
        return "ended", stream.failure
    status = stream.source_status
    if status.state == "live" and not stream.ready:
        return "starting", "the encoder is starting"
    return status.state, status.reason or ""


def _drives(session: ViewerSession, stream: Stream) -> Literal["no", "may", "now"]:
    if not (session.may_drive and stream.remote.drivable):
        return "no"
    return "now" if stream.remote.statistics().driver == session.id else "may"


def _figures(seen: Viewer) -> ViewerFigures:
    return ViewerFigures(
        fps=seen.fps,
        p50_ms=seen.latency_p50_ms,
        p95_ms=seen.latency_p95_ms,
        stages_ms=seen.stages_ms,
        presented=seen.presented,
        lost=seen.lost,
        clock_error_ms=seen.clock_error_ms,
        rtt_ms=seen.rtt_ms,
    )


def _rounded(value: float | None, digits: int) -> float | None:
    return None if value is None else round(value, digits)
