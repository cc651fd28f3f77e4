"""Runs to points: one for each series and loss rate, over all films and seeds."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bench.loss.quality import longest_freeze_s
from bench.loss.series import Run, Series


@dataclass(frozen=True, slots=True)
class Point:
    """A series at one loss rate. Qualities are over all pictures due of all films, each counted alike."""

    loss: float
    psnr_y: float
    """Mean over pictures, dB."""
    psnr_y_worst: float
    """10th percentile over pictures, dB."""
    in_time: float
    """Share of pictures shown in time, 0..1."""
    longest_freeze_ms: float
    """Longest stretch without a picture in time, of any film."""
    delay_p95_ms: float | None
    """Capture to decoded, of the pictures shown in time; coding takes no time. None: there were none."""
    kbps: float
    """Sent: frames, parity, what was sent again, headers."""
    parity: float
    """Share of the bytes sent that is parity, 0..1."""
    resent: float
    """Share of the bytes sent that was sent again, 0..1."""
    intra_frames: float
    """A minute, the first of each film not counted."""


@dataclass(frozen=True, slots=True)
class Curve:
    """A series at all loss rates, ascending."""

    series: Series
    points: tuple[Point, ...]


def curves(runs: Sequence[Run]) -> list[Curve]:
    """In the order of the runs."""
    names = dict.fromkeys(run.series for run in runs)
    losses = sorted({run.loss for run in runs})
    return [
        Curve(
            series,
            tuple(_point(loss, [run for run in runs if (run.series, run.loss) == (series, loss)]) for loss in losses),
        )
        for series in names
    ]


def _point(loss: float, runs: Sequence[Run]) -> Point:
    qualities = [value for run in runs for value in run.watched.psnr_y]
    in_time = [shown for run in runs for shown in run.watched.in_time]
    delays = [delay for run in runs for delay in run.watched.delays_s]
    seconds = sum(len(run.watched.psnr_y) / run.fps for run in runs)
    total = sum(run.bytes for run in runs)
    return Point(
        loss=loss,
        psnr_y=float(np.mean(qualities)),
        psnr_y_worst=float(np.percentile(qualities, 10)),
        in_time=float(np.mean(in_time)),
        longest_freeze_ms=1000 * max(longest_freeze_s(run.watched.in_time, fps=run.fps) for run in runs),
        delay_p95_ms=1000 * float(np.percentile(delays, 95)) if delays else None,
        kbps=total * 8 / seconds / 1000,
        parity=sum(run.parity_bytes for run in runs) / max(1, total),
        resent=sum(run.resent_bytes for run in runs) / max(1, total),
        intra_frames=60 * sum(max(0, run.intra_frames - 1) for run in runs) / seconds,
    )
