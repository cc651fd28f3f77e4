"""Method 1: the timestamps of every presented frame, from the viewer's frames.csv."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from latentcast.errors import LatentcastError
from latentcast.report import STAGES

ADDS_UP_MS = 0.0015
"""Stages are written in whole microseconds; seven of them may each be off by half of the last digit."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One presented frame."""

    number: int
    captured_us: int
    """Server's clock."""
    presented_us: int
    """Viewer's clock."""
    offset_us: int
    """Server's clock minus the viewer's."""
    stages_ms: tuple[float, ...]
    """In the order of `latentcast.report.STAGES`."""
    qp: int
    intra: bool

    @property
    def total_ms(self) -> float:
        """Captured to presented, from the two timestamps alone."""
        return (self.presented_us + self.offset_us - self.captured_us) / 1e3

    @property
    def residual_ms(self) -> float:
        """What the stages leave unexplained of the total."""
        return sum(self.stages_ms) - self.total_ms


def read_frames(path: Path) -> list[Frame]:
    """All lines of a viewer's frames.csv. Raises LatentcastError when the stages of a frame do not add up."""
    with path.open(newline="") as file:
        frames = [
            Frame(
                number=int(row["frame"]),
                captured_us=int(row["captured_us"]),
                presented_us=int(row["presented_us"]),
                offset_us=int(row["offset_us"]),
                stages_ms=tuple(float(row[f"{stage}_ms"]) for stage in STAGES),
                qp=int(row["qp"]),
                intra=row["intra"] == "1",
            )
            for row in csv.DictReader(file)
        ]
    for frame in frames:
        if abs(frame.residual_ms) > ADDS_UP_MS * len(STAGES):
            raise LatentcastError(
                f"the stages of frame {frame.number} add up to {sum(frame.stages_ms):.3f} ms, but it took "
                f"{frame.total_ms:.3f} ms from capture to display; this is a bug of the viewer."
            )
    return frames


def after_warm_up(frames: Sequence[Frame], warm_up_s: float) -> list[Frame]:
    """Those presented later than so many seconds after the first one."""
    if not frames:
        return []
    start_us = frames[0].presented_us + warm_up_s * 1e6
    return [frame for frame in frames if frame.presented_us >= start_us]
