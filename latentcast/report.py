"""`report.json`: what a viewing session was like (`docs/report.md` explains every number).

The schema is versioned: `schema_version` grows when a field changes its meaning or goes away.
"""

from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

SCHEMA_VERSION = 1

# Stages in the order in which a frame passes them. Each is the difference of two neighbouring timestamps, all on the
# server's clock, so they add up to the total frame by frame.
STAGES = ("wait", "encode", "send", "network", "queue", "decode", "present")

Milliseconds = Annotated[float, Field()]
Count = Annotated[int, Field(ge=0)]


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Percentiles(_Model):
    """Milliseconds unless said otherwise. All 0 when there was nothing to measure."""

    p50: Milliseconds
    p95: Milliseconds
    p99: Milliseconds
    max: Milliseconds


class Frames(_Model):
    """Counted from the first frame sent to this viewer until it left."""

    captured: Count
    encoded: Count
    sent: Count
    received: Count
    """Reassembled, whole or with slices missing."""
    decoded: Count
    presented: Count
    intra: Count
    """Intra frames among those decoded."""
    damaged: Count
    """Decoded with slices missing."""
    intact: Count = 0
    """Decoded with nothing missing, in itself and in every frame that it builds on."""
    in_time: Count = 0
    """Presented within 250 ms of capture."""
    lost: Count
    """Given up: too many packets missing, or no state to decode from."""


class Latency(_Model):
    total: Percentiles
    """Captured to presented."""
    stages: dict[str, Percentiles]
    """By stage, in the order of `STAGES`."""


class LoopLag(Percentiles):
    """How late event loops ran their timers: of server and client the worse, and each."""

    server: Percentiles
    client: Percentiles


class Repair(_Model):
    """Packets, against loss."""

    parity: Count
    """Sent as parity."""
    recovered: Count
    """Rebuilt from parity."""
    resent: Count
    """Sent again because the viewer asked."""
    probes: Count
    """Sent to try what the path can carry; parity where that may still be of use, else padding."""


class Bitrate(_Model):
    target: float
    """Mean bandwidth estimate."""
    sent: float
    """Media bytes sent, our packet headers included, over the session's time."""


class Qp(_Model):
    """QP rows of the presented frames (0 lowest quality .. 63, inter frames up to 71)."""

    mean: float
    min: int
    max: int


class Psnr(_Model):
    """Luma PSNR of presented against captured frames."""

    mean: float
    min: float
    frames: Count
    """Frames compared."""


class Memory(_Model):
    """Resident memory of a process and its codec process, megabytes (10^6 bytes)."""

    at_5s: float
    end: float
    max: float


class MemoryUse(_Model):
    server: Memory
    client: Memory


class Sound(_Model):
    """Sound, where the stream has some and it was played."""

    sync_ms: Percentiles
    """How much later than its picture each piece of 16 ms was heard; negative: earlier."""
    in_sync: float
    """Share of the pieces that were at most 45 ms early and 125 ms late (ITU-R BT.1359-1), 0..1."""
    packets: Count
    """Opus packets that came in."""
    missing: Count
    """Packets that did not."""
    underruns: Count
    """Holes in what was played."""
    concealed_ms: float
    """How long they were together."""
    jumps: Count
    """Times that sound was moved because it could not be stretched so far."""


class Machine(_Model):
    cpu: str
    cores: Count
    system: str
    python: str
    onnxruntime: str
    aiortc: str


class Report(_Model):
    schema_version: int = SCHEMA_VERSION
    latentcast: str
    """Version of the program."""
    started: str
    """ISO 8601, UTC."""
    seconds: float
    """From the first presented frame to the last."""
    stream: str
    profile: str
    weights_sha256: str
    width: int
    height: int
    fps: float
    """Nominal rate of the source."""
    presenter: str
    """window or headless."""
    reconnects: Count
    first_picture_s: float | None
    """From the start of the viewer to the first presented frame."""
    frames: Frames
    fps_presented: float
    latency_ms: Latency
    clock_error_ms: float
    """Bound on the error of the alignment of the two clocks: the largest while frames were presented."""
    rtt_ms: float
    loop_lag_ms: LoopLag
    bitrate_bps: Bitrate
    qp: Qp
    loss: float
    """Share of media packets lost, 0..1."""
    repair: Repair = Repair(parity=0, recovered=0, resent=0, probes=0)
    longest_stall_ms: float = 0.0
    """Longest time between two presented frames."""
    memory_mb: MemoryUse
    psnr_y_db: Psnr | None = None
    sound: Sound | None = None
    machine: Machine


def read_report(path: Path) -> Report:
    """Read and validate a report. Raises OSError or pydantic.ValidationError."""
    return Report.model_validate_json(path.read_bytes())


def write_report(path: Path, report: Report) -> None:
    path.write_text(report.model_dump_json(indent=2, exclude_none=False) + "\n")
