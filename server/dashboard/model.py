"""What the dashboard is told: one JSON object a line, `welcome` first, then a `snapshot` twice a second.

Numbers that nobody has measured yet are null, never 0. `at_ms` is milliseconds since 1970 on the server's clock.
"""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

State = Literal["starting", "waiting", "live", "ended"]
Share = Annotated[float, Field(ge=0, le=1)]
NotNegative = Annotated[float, Field(ge=0)]


class _Line(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Welcome(_Line):
    """First line: who this page is to the server, and how often the next lines come."""

    type: Literal["welcome"] = "welcome"
    version: str
    manage: bool
    """Whether its token may start and stop streams."""
    token_wanted: bool
    """Whether viewers need a token, so that the viewer's command can say so."""
    interval_ms: int
    history_ms: int
    """How far back the snapshots after this line may reach."""


class ServerState(_Line):
    uptime_s: NotNegative
    cpu: NotNegative | None
    """Share of one core that the server process used since the snapshot before; encoders not counted."""
    memory_mb: NotNegative
    """Resident, server and encoders, 10^6 bytes."""
    loop_lag_p99_ms: NotNegative
    """How late the event loop fires its timers, in the last minute."""


class RenditionState(_Line):
    """One encode of a stream."""

    index: int
    width: int
    height: int
    viewers: int
    fps: NotNegative | None
    """Frames coded a second, since the snapshot before."""
    bps: NotNegative | None
    """Coded bits a second, since the snapshot before."""
    qp: int | None
    """Of the newest frame."""
    wait_ms: NotNegative | None
    """Captured to taken by the encoder, median of the frames since the snapshot before."""
    encode_ms: NotNegative | None
    """Median of the same frames."""
    encode_p95_ms: NotNegative | None
    intra: int
    """Intra frames coded so far."""
    restarts: int
    """Encoder processes that died."""


class ViewerFigures(_Line):
    """What a viewer said last about itself, once a second."""

    fps: NotNegative
    p50_ms: float | None
    """Captured to presented."""
    p95_ms: float | None
    stages_ms: dict[str, float]
    """p50 of each stage, in the order of latentcast.report.STAGES."""
    presented: int
    lost: int
    clock_error_ms: NotNegative | None
    rtt_ms: NotNegative | None


class ViewerState(_Line):
    id: str
    """The first characters of the session's; the whole id is a secret that ends the session."""
    program: str
    address: str | None
    """Where its request came from: a proxy's, if there is one. Null to those who may not manage."""
    state: Literal["connecting", "live", "leaving"]
    rendition: int
    seconds: NotNegative
    """Since it asked for the stream."""
    target_bps: NotNegative
    sent_bps: NotNegative | None
    loss: Share
    queue_ms: NotNegative
    """Queueing delay on its path, as the bandwidth estimator sees it."""
    rtt_ms: NotNegative
    backlog: int
    """Packets that wait in the pacer."""
    drives: Literal["no", "may", "now"]
    """Whether it may drive the screen that is streamed, or does now."""
    figures: ViewerFigures | None
    """None: it has not said anything yet."""


class PublisherState(_Line):
    """Who publishes to a stream over WHIP."""

    state: str
    """connecting, live or closed."""
    codec: str
    size: tuple[int, int] | None
    """What it sends, before it is fitted into the stream."""
    bps: NotNegative | None
    fps: NotNegative | None
    """Frames decoded a second."""
    dropped: int
    """Frames lost on the way, not decodable, or not decoded for lack of time."""


class StreamState(_Line):
    name: str
    kind: str
    source: str
    """As it was given, passwords left out. Only the kind to those who may not manage."""
    state: State
    reason: str
    """Why there is no picture; empty when there is one."""
    width: int
    height: int
    fps: NotNegative
    """Nominal."""
    captured_fps: NotNegative | None
    dropped_fps: NotNegative | None
    """Pictures a second that a newer one replaced before an encoder was free."""
    max_bitrate: int
    target_bps: NotNegative
    """What its encoder follows: of the slowest viewer of the best rendition."""
    audio: bool
    publishable: bool
    """Publishers send it their pictures (WHIP)."""
    publisher: PublisherState | None
    """Who does, if anybody."""
    renditions: tuple[RenditionState, ...]
    frames: tuple[tuple[int, int, int, int, int], ...]
    """Frames coded since the snapshot before: rendition, time (ms before `at_ms`), bytes, QP, 1 if intra."""
    viewers: tuple[ViewerState, ...]


class Snapshot(_Line):
    type: Literal["snapshot"] = "snapshot"
    at_ms: int
    server: ServerState
    streams: tuple[StreamState, ...]
