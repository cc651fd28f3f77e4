"""Messages of the `control` data channel: JSON, one object a message, told apart by `type` (`docs/control.md`).

    client -> server    hello, bye
    server -> client    config, stats, error

Both ends validate every field; what does not parse is counted and dropped.
"""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from latentcast.report import Percentiles

PROTOCOL_VERSION = 1
# Far above any message here; a peer that sends more is not speaking this protocol.
MAX_MESSAGE_BYTES = 16 * 1024
MAX_ERROR_CHARACTERS = 1000

Count = Annotated[int, Field(ge=0, lt=2**63)]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class _Message(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


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


class Bye(_Message):
    """The client leaves: send no more frames, then the final stats."""

    type: Literal["bye"] = "bye"


ClientMessage = Hello | Bye
ServerMessage = Config | Stats | Error

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
