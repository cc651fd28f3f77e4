"""What happened in one simulated run, as plain records. `bench.network.measures` turns them into figures.

All times are seconds of the simulation's clock, whichever end of the path they belong to.
"""

from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

PacketKind = Literal["data", "resent", "parity", "probe", "other"]


@dataclass(slots=True)
class Coded:
    """One coded frame of one rendition."""

    frame_id: int
    captured_s: float
    coded_s: float
    rendition: int
    qp: int
    size_bytes: int
    """All that is sent for it to a viewer without loss: headers included, parity not."""
    budget_bytes: float
    """What the rate controller meant it to take."""
    reference_id: int | None
    tries: int
    width: int
    height: int
    age: int
    """Frames since its reference; 0 for intra."""


@dataclass(slots=True)
class Packet:
    """One packet of the media channel, from the server's pacer on."""

    sent_s: float
    size_bytes: int
    kind: PacketKind
    frame_id: int | None
    """None: of no frame."""
    arrived_s: float | None = None
    """First arrival; None: it never came."""
    queue_s: float | None = None
    """Delay above the path's fixed one, jitter included; None: it never came."""


@dataclass(slots=True)
class Shown:
    """A frame that the decoder has finished, and that was newer than all before it."""

    frame_id: int
    shown_s: float
    intact: bool
    """Nothing was missing in it and in all that it builds on."""


@dataclass(slots=True)
class Sample:
    """The state of a viewer's sender when a picture was captured."""

    time_s: float
    frame_id: int
    target_bps: float
    link_bps: float
    """Rate of the bottleneck towards the viewer; inf where it has none."""
    rendition: int
    backlog_s: float
    loss: float


@dataclass(slots=True)
class ViewerLog:
    """One viewer. `left_s`: when it left, or the end of the run."""

    name: str
    joined_s: float
    left_s: float
    packets: list[Packet] = field(default_factory=list)
    shown: list[Shown] = field(default_factory=list)
    samples: list[Sample] = field(default_factory=list)
    queue_drops: list[float] = field(default_factory=list)
    """When a packet of ours was dropped because the bottleneck's queue was full."""
    fates: dict[int, str] = field(default_factory=dict)
    """Frame id -> what became of it, in a word, for frames offered to this viewer that were not shown intact."""
    intra_offered: list[float] = field(default_factory=list)
    """When an intra frame was handed to this viewer's pacer."""
    cross: list[tuple[float, int]] = field(default_factory=list)
    """(time, bytes of cross traffic that have left the bottleneck until then)."""
    counts: dict[str, float] = field(default_factory=dict)
    """Statistics of the parts at the end, by name."""


@dataclass(slots=True)
class RunLog:
    """One run of one scenario with one seed."""

    scenario: str
    seed: int
    seconds: float
    fps: float
    deadline_s: float
    """A frame shown later than this after its capture is not in time."""
    captured_s: list[float] = field(default_factory=list)
    """When picture i was captured; i is its frame id."""
    coded: list[Coded] = field(default_factory=list)
    viewers: dict[str, ViewerLog] = field(default_factory=dict)

    def captured_between(self, start_s: float, end_s: float) -> range:
        """Ids of the pictures captured from `start_s` until before `end_s`."""
        return range(bisect_left(self.captured_s, start_s), bisect_left(self.captured_s, end_s))

    def coded_between(self, start_s: float, end_s: float) -> Iterator[Coded]:
        """Frames whose picture was captured from `start_s` until before `end_s`, in the order they were coded."""
        return (frame for frame in self.coded if start_s <= frame.captured_s < end_s)
