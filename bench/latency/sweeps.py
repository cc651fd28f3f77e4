"""Latency against bitrate and against loss: a few short runs under each condition, medians with their spread.

Method 1 only: whether the timestamps can be believed is what the main run says.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from statistics import median

from bench.latency.display import Display
from bench.latency.schema import Sweep, SweepPoint
from bench.latency.session import Measured, Setup
from latentcast.statistics import percentiles

RUNS = 3
"""Under each condition: with fewer there is no spread to show."""
SECONDS = 6.0
"""Of each run after the warm-up: 180 frames at 30 fps, enough for a p95."""

BITRATES_KBPS = (150, 300, 600, 1000, 2000)
"""From what the nano profile barely moves with at 640x360 to more than it asks for."""
LOSSES_PERCENT = (0, 1, 2, 5, 10)
LOSS_DELAY_MS = 10
"""One way, so that a packet sent again costs something: without delay every loss is mended at once."""


@dataclass(frozen=True, slots=True)
class Condition:
    """One point of a sweep."""

    value: float
    setup: Setup


def bitrate_conditions(setup: Setup) -> list[Condition]:
    """The main run's setup under several rate limits."""
    return [
        Condition(kbps, replace(setup, max_bitrate=1000 * kbps, seconds=SECONDS, link=None)) for kbps in BITRATES_KBPS
    ]


def loss_conditions(setup: Setup) -> list[Condition]:
    """The main run's setup over links that lose packets."""
    return [
        Condition(percent, replace(setup, seconds=SECONDS, link=f"delay={LOSS_DELAY_MS}ms,loss={percent}%"))
        for percent in LOSSES_PERCENT
    ]


def run_sweeps(
    setup: Setup,
    *,
    display: Display,
    say: Callable[[str], object],
    run: Callable[[Setup, Display], Measured],
) -> tuple[Sweep, ...]:
    """Both sweeps. The runs of all conditions take turns, so that a slow minute of the machine hits all alike.

    run: measures one setup on a display. Raises what that does.
    """
    bitrates, losses = bitrate_conditions(setup), loss_conditions(setup)
    found: dict[int, list[Measured]] = {}
    everything = [*bitrates, *losses]
    for turn in range(RUNS):
        for index, condition in enumerate(everything):
            say(f"Run {turn * len(everything) + index + 1} of {RUNS * len(everything)}: {_words(condition)}")
            found.setdefault(index, []).append(run(condition.setup, display))
    points = [_point(condition, found[index]) for index, condition in enumerate(everything)]
    return (
        Sweep(parameter="bitrate", unit="kbit/s", link="", seconds=SECONDS, points=tuple(points[: len(bitrates)])),
        Sweep(
            parameter="loss",
            unit="%",
            link=f"a link with {LOSS_DELAY_MS} ms of delay each way",
            seconds=SECONDS,
            points=tuple(points[len(bitrates) :]),
        ),
    )


def _words(condition: Condition) -> str:
    setup = condition.setup
    return f"at most {setup.max_bitrate / 1e3:g} kbit/s, {setup.link or 'loopback'}"


def _point(condition: Condition, runs: list[Measured]) -> SweepPoint:
    totals = tuple(percentiles([frame.total_ms for frame in run.frames]) for run in runs)
    p50s, p95s = [total.p50 for total in totals], [total.p95 for total in totals]
    return SweepPoint(
        value=condition.value,
        runs=totals,
        p50=median(p50s),
        p50_spread=(min(p50s), max(p50s)),
        p95=median(p95s),
        p95_spread=(min(p95s), max(p95s)),
        presented=round(median(_presented(run) for run in runs), 4),
        sent_bps=median(run.report.bitrate_bps.sent for run in runs),
    )


def _presented(run: Measured) -> float:
    frames = run.report.frames
    return min(1.0, frames.presented / frames.captured) if frames.captured else 0.0
