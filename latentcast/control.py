"""Messages of the `control` data channel: JSON, one object a message, told apart by `type` (`docs/control.md`).

    client -> server    hello, viewer, input, clipboard, bye
    server -> client    config, source, stats, audio_clock, cursor, clipboard, notice, error

Both ends validate every field; what does not parse is counted and dropped.
"""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from latentcast.report import Percentiles

PROTOCOL_VERSION = 2
# Far above any message here; a peer that sends more is not speaking this protocol.
MAX_MESSAGE_BYTES = 16 * 1024
MAX_ERROR_CHARACTERS = 1000
MAX_INPUT_EVENTS = 64
"""Of one message: what a hand does within a few milliseconds, with room to spare."""
MAX_CLIPBOARD_BYTES = 1 << 20
"""UTF-8 of a clipboard's text; a longer one is not sent."""
MAX_CLIPBOARD_PART_CHARACTERS = 2048
"""At six bytes a character, the longest that JSON escapes make of one, a part still fits a message."""
MAX_CLIPBOARD_PARTS = 4096
MAX_CURSOR_CHARACTERS = 10_240
"""Base64 of a cursor's PNG."""

Count = Annotated[int, Field(ge=0, lt=2**63)]
Milliseconds = Annotated[float, Field(ge=-1e9, le=1e9)]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class _Message(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)


class _Event(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)


class Hello(_Message):
    """First message of the client."""

    type: Literal["hello"] = "hello"
    protocol: Count
    """Version of this protocol, `PROTOCOL_VERSION`."""
    wire: Count
    """Version of the media and feedback channels, `transport.wire.WIRE_VERSION`."""
    bitstream: Count
    """Version of coded frames, `codec.bitstream.VERSION`."""
    profile: Annotated[str, Field(max_length=32)]
    """Codec profile the client decodes."""
    weights: Sha256
    """SHA-256 of its weights file."""
    fingerprint: Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]
    """Names the arithmetic of its decoder (codec.arithmetic)."""
    precision: Literal["float32", "float16", "bfloat16"] = "float32"
    """What its network computes in."""
    program: Annotated[str, Field(max_length=64)]
    """Name and version, for logs."""
    audio: bool = False
    """Whether it plays the stream's audio track."""


class Config(_Message):
    """What the server sends from now on; its frames carry `epoch`."""

    type: Literal["config"] = "config"
    epoch: Annotated[int, Field(ge=0, le=255)]
    stream: Annotated[str, Field(max_length=64)]
    profile: Annotated[str, Field(max_length=32)]
    weights: Sha256
    width: Annotated[int, Field(ge=64, le=1920)]
    height: Annotated[int, Field(ge=64, le=1088)]
    fps: Annotated[float, Field(gt=0, le=240)]
    matrix: Literal["bt709"] = "bt709"
    """Colour matrix of the coded pictures (ISO 23091-2 code 1)."""
    full_range: Literal[True] = True
    skip_threshold: Annotated[float, Field(ge=0, le=16)] | None = None
    """Of `dcvc-rt`: latents of a smaller scale are not coded. None codes all."""


class Stats(_Message):
    """Once a second, and once more as the answer to `bye`: counts since this viewer's first frame."""

    type: Literal["stats"] = "stats"
    final: bool = False
    captured: Count
    """Frames captured since (and with) the first one sent to this viewer."""
    encoded: Count
    sent: Count
    """Frames whose last packet has left."""
    packets: Count
    bytes: Count
    """Bytes of media packets, our headers included."""
    parity: Count = 0
    """Packets of those that were parity."""
    resent: Count = 0
    """Packets of those that were sent again because the client asked."""
    probes: Count = 0
    """Packets of those that only tried what the path can carry."""
    rendition: Annotated[int, Field(ge=0, le=15)] = 0
    """Which encode of the stream this viewer gets; 0 is the best."""
    seconds: Annotated[float, Field(ge=0)]
    """Time that the counts cover."""
    target_bps: Annotated[float, Field(ge=0)]
    """Bandwidth estimate of this viewer's path."""
    target_mean_bps: Annotated[float, Field(ge=0)]
    loss: Annotated[float, Field(ge=0, le=1)]
    """Share of media packets lost in about the last second, as the bandwidth estimator sees it."""
    queue_delay_ms: Annotated[float, Field(ge=0)]
    loop_lag_ms: Percentiles
    """How late the server's event loop ran its timers."""
    memory_mb: Annotated[float, Field(ge=0)]
    """Resident memory of the server and its encoder."""


class Error(_Message):
    """Why the server ends the session. `message` is meant for the user."""

    type: Literal["error"] = "error"
    code: Literal["version", "weights", "profile", "arithmetic", "gone", "encoder"]
    message: Annotated[str, Field(max_length=MAX_ERROR_CHARACTERS)]


class SourceState(_Message):
    """What the stream shows, after the config and whenever it changes."""

    type: Literal["source"] = "source"
    kind: Annotated[str, Field(max_length=32)]
    """`pattern`, `file`, `webcam`, `screen`, `url`, `whip`."""
    state: Literal["waiting", "live", "ended"]
    """`waiting`: there is no picture now, and the server tries to get one."""
    reason: Annotated[str, Field(max_length=MAX_ERROR_CHARACTERS)] | None = None
    """Why there is none, for the user."""
    drive: bool = False
    """Whether this viewer may drive what it sees."""
    audio: bool = False
    """Whether the source has audio."""


class AudioClock(_Message):
    """The moment that a time stamp of the audio track stands for."""

    type: Literal["audio_clock"] = "audio_clock"
    rtp: Annotated[int, Field(ge=0, lt=2**32)]
    """RTP time stamp, 48 kHz."""
    captured_us: Count
    """Server's monotonic clock, microseconds."""


class Cursor(_Message):
    """The pointer's shape on a driven screen, when it changes."""

    type: Literal["cursor"] = "cursor"
    visible: bool
    png: Annotated[str, Field(max_length=MAX_CURSOR_CHARACTERS, pattern=r"^[A-Za-z0-9+/]*={0,2}$")] = ""
    """Base64 of a PNG with transparency."""
    hot_x: Annotated[int, Field(ge=0, le=255)] = 0
    """Column of the picture that points."""
    hot_y: Annotated[int, Field(ge=0, le=255)] = 0


class Clipboard(_Message):
    """Part of the text that was copied at the sending end. Both directions."""

    type: Literal["clipboard"] = "clipboard"
    id: Annotated[int, Field(ge=0, lt=2**32)]
    """Number of the text: a higher one replaces an unfinished lower one."""
    part: Annotated[int, Field(ge=0, lt=MAX_CLIPBOARD_PARTS)]
    parts: Annotated[int, Field(ge=1, le=MAX_CLIPBOARD_PARTS)]
    text: Annotated[str, Field(max_length=MAX_CLIPBOARD_PART_CHARACTERS)]


class Notice(_Message):
    """One sentence for the user; the session goes on."""

    type: Literal["notice"] = "notice"
    message: Annotated[str, Field(max_length=MAX_ERROR_CHARACTERS)]


class Viewer(_Message):
    """Once a second, what the viewer sees: for the dashboard."""

    type: Literal["viewer"] = "viewer"
    fps: Annotated[float, Field(ge=0, le=1000)]
    """Pictures presented in the last second."""
    presented: Count
    lost: Count
    latency_p50_ms: Milliseconds | None = None
    """Capture to presentation over the last second."""
    latency_p95_ms: Milliseconds | None = None
    stages_ms: Annotated[dict[str, Milliseconds], Field(max_length=16)] = {}
    """Median of each stage of `latentcast.report.STAGES`."""
    clock_error_ms: Annotated[float, Field(ge=0, le=1e6)] | None = None
    rtt_ms: Annotated[float, Field(ge=0, le=1e6)] | None = None


class Pointer(_Event):
    """Moved to a place of the stream's picture."""

    type: Literal["pointer"] = "pointer"
    x: Annotated[float, Field(ge=-1e6, le=1e6)]
    """Share of the picture's width, 0 the left edge, 1 the right one. What is outside counts as the nearest edge."""
    y: Annotated[float, Field(ge=-1e6, le=1e6)]


class Button(_Event):
    """1 left, 2 middle, 3 right, 8 back, 9 forward, as X numbers them; 4 to 7 are the wheel and not sent."""

    type: Literal["button"] = "button"
    button: Literal[1, 2, 3, 8, 9]
    pressed: bool


class Wheel(_Event):
    """Notches, fractions too: dy > 0 away from the user, dx > 0 to the right."""

    type: Literal["wheel"] = "wheel"
    dx: Annotated[float, Field(ge=-100, le=100)] = 0.0
    dy: Annotated[float, Field(ge=-100, le=100)] = 0.0


class Key(_Event):
    """A physical key, by its place on the keyboard."""

    type: Literal["key"] = "key"
    code: Annotated[str, Field(max_length=32, pattern=r"^[A-Za-z0-9]+$")]
    """`KeyboardEvent.code` of the W3C's UI Events, such as KeyA, Digit1, ArrowLeft."""
    pressed: bool


class Text(_Event):
    """Typed text that no physical key stands for: an input method's, a dead key's."""

    type: Literal["text"] = "text"
    text: Annotated[str, Field(min_length=1, max_length=64)]


class Release(_Event):
    """Everything pressed is released: the viewer's window has lost the focus."""

    type: Literal["release"] = "release"


InputEvent = Annotated[Pointer | Button | Wheel | Key | Text | Release, Field(discriminator="type")]


class Input(_Message):
    """What the user did, in order. Only from viewers that may drive."""

    type: Literal["input"] = "input"
    events: Annotated[list[InputEvent], Field(min_length=1, max_length=MAX_INPUT_EVENTS)]


class Bye(_Message):
    """The client leaves: send no more frames, then the final stats."""

    type: Literal["bye"] = "bye"


RemoteMessage = Input | Clipboard
"""What drives a desktop."""
ClientMessage = Hello | Viewer | Input | Clipboard | Bye
ServerMessage = Config | SourceState | Stats | AudioClock | Cursor | Clipboard | Notice | Error

_CLIENT: TypeAdapter[ClientMessage] = TypeAdapter(Annotated[ClientMessage, Field(discriminator="type")])
_SERVER: TypeAdapter[ServerMessage] = TypeAdapter(Annotated[ServerMessage, Field(discriminator="type")])


def parse_client_message(data: str | bytes) -> ClientMessage | None:
    """A message from a client, or None when it is not one."""
    if len(data) > MAX_MESSAGE_BYTES:
        return None
    try:
        return _CLIENT.validate_json(data)
    except ValidationError:
        return None


def parse_server_message(data: str | bytes) -> ServerMessage | None:
    """A message from a server, or None when it is not one."""
    if len(data) > MAX_MESSAGE_BYTES:
        return None
    try:
        return _SERVER.validate_json(data)
    except ValidationError:
        return None
