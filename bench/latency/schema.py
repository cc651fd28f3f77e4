"""`latency.json`: what a measurement found (`docs/latency.md` defines every number).

Milliseconds unless said otherwise. `format` grows when a field changes its meaning, its unit or goes away.
"""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from latentcast.report import Machine, Percentiles

FORMAT = 1

Count = Annotated[int, Field(ge=0)]
Interval = tuple[float, float]
"""Low and high end."""


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class NotRun(_Model):
    """A part that was left out."""

    run: Literal[False] = False
    why: str
    how: str
    """What to do to have it next time."""


class SetupUsed(_Model):
    """What was streamed, and on which screen it was shown."""

    source: str
    width: int
    height: int
    """Of the coded picture, pixels."""
    fps: float
    seconds: float
    """Measured, after the warm-up."""
    warm_up_s: float
    max_bitrate_bps: int
    profile: str
    link: str | None
    """Conditions between the two, None for plain loopback."""
    presenter: str
    same_clock: bool
    """Both programs ran on one machine: the true offset of their clocks is 0."""
    display: str
    """The user's X display, or `Xvfb`."""
    x_server: str | None
    screen: tuple[int, int] | None
    window: tuple[int, int] | None
    """Pixels."""


class Timestamps(_Model):
    """Method 1: capture to "presented", from the timestamps of every frame."""

    frames: Count
    total: Percentiles
    p50_interval: Interval
    """95 % confidence interval of the median: what another run of the same length might say."""
    stages: dict[str, Percentiles]
    clock_error_ms: float
    """Bound on the alignment of the two clocks."""
    residual_ms: float
    """Largest difference, of all frames, between the sum of the stages and the total: rounding of the file."""


class Pixels(_Model):
    """Method 2: capture time read from the pixels on the screen, to the grab that shows them."""

    run: Literal[True] = True
    frames: Count
    """Pictures that a grab caught and that belong to a presented frame."""
    total: Percentiles
    p50_interval: Interval
    p50_bound: Interval
    """The median lies in here whatever happened between two grabs."""
    bound: Percentiles
    """Half the time between the last grab without a picture and the first with it."""
    unseen: Count
    """Frames presented while the screen was watched that no grab shows."""
    contradicting: Count
    """Pictures that claim another capture time than their frame's header: 0, or something is wrong."""
    grabs: Count
    unreadable: Count
    """Grabs without a readable bar code."""
    grab_ms: float
    """Median duration of one grab."""


class Agreement(_Model):
    """Methods 1 and 2, frame by frame."""

    frames: Count
    p50_difference: float
    """Method 2's p50 minus method 1's, over the same frames."""
    limit: float
    """How far apart they may be."""
    agree: bool
    difference: dict[str, float]
    """min, p5, p50, p95 and max of the differences of single frames."""
    within_bound: float
    """Share of the frames, 0..1, whose two times are no further apart than the grabs can tell."""


class Camera(_Model):
    """Method 3: both bar codes in one photograph."""

    run: Literal[True] = True
    through: str
    """What looked: a camera, a file, or `screenshots of both windows`."""
    images: Count
    """Looked at."""
    pairs: Count
    """In which both bar codes were read."""
    delay: Percentiles
    """Glass to glass: by how much the viewer's picture is older than the source's."""
    p50_interval: Interval
    """95 % confidence interval of the median."""
    delays: tuple[float, ...]
    """Of every picture."""
    interval: float
    """A frame interval: neither screen changes more often, so a single photograph says no more."""


class WindowInput(_Model):
    """A key at the viewer's keyboard to the pixel on the viewer's screen; nothing inside the programs is asked."""

    run: Literal[True] = True
    presses: Count
    lost: Count
    total: Percentiles
    p50_interval: Interval
    bound: Percentiles
    """Half the time between the last grab with the old colour and the first with the new one."""
    to_desktop: Percentiles
    """Of it, until the key event in the window on the desktop."""


class InputDelay(_Model):
    """A key press to the pixel that it changes."""

    run: Literal[True] = True
    presses: Count
    lost: Count
    """Presses whose pixel never changed."""
    decoded: Percentiles
    """Key given to the control channel, to the changed pixel in the decoded picture."""
    p50_interval: Interval
    parts: dict[str, Percentiles]
    """In order; they add up press by press."""
    target: float
    """p50 to be reached at 640x360 and 30 fps."""
    window: WindowInput | NotRun
    samples: tuple[tuple[float, ...], ...]
    """The parts of every press."""


class SweepPoint(_Model):
    """Several runs under one condition."""

    value: float
    """On the axis, in the sweep's unit."""
    runs: tuple[Percentiles, ...]
    """Total latency of each."""
    p50: float
    """Median of the runs' p50."""
    p50_spread: Interval
    """Smallest and largest p50 of a run."""
    p95: float
    p95_spread: Interval
    presented: float
    """Share of the captured pictures that were presented, 0..1; median of the runs."""
    sent_bps: float


class Sweep(_Model):
    """Latency (method 1) against one condition."""

    parameter: str
    unit: str
    link: str
    """What lay between the two, for the other conditions."""
    seconds: float
    """Of each run."""
    points: tuple[SweepPoint, ...]


class Headline(_Model):
    """The number on top, and its error bar."""

    ms: float
    low: float
    high: float
    """Confidence interval of the median, widened by what a single reading may be wrong by."""
    method: Literal["timestamps", "pixels"]


class FrameColumns(_Model):
    """Every measured frame, a list for each column."""

    number: list[int]
    time_s: list[float]
    """Presented, since the first of them."""
    captured_us: list[int]
    """Server's clock."""
    presented_us: list[int]
    """Viewer's clock."""
    offset_us: list[int]
    """Server's clock minus the viewer's."""
    stages: dict[str, list[float]]
    total: list[float]
    """Method 1."""
    pixels: list[float | None]
    """Method 2; None where no grab shows the frame."""
    bound: list[float | None]
    qp: list[int]
    intra: list[bool]


class LatencyDocument(_Model):
    format: int = FORMAT
    command: str
    """What made this."""
    latentcast: str
    started: str
    """ISO 8601, UTC."""
    machine: Machine
    setup: SetupUsed
    headline: Headline
    timestamps: Timestamps
    pixels: Pixels | NotRun
    agreement: Agreement | NotRun
    camera: Camera | NotRun
    input: InputDelay | NotRun
    sweeps: tuple[Sweep, ...]
    frames: FrameColumns


def read_document(path: Path) -> LatencyDocument:
    """Read and validate. Raises OSError or pydantic.ValidationError."""
    return LatencyDocument.model_validate_json(path.read_bytes())
