"""From what was measured to the numbers of the document: pure arithmetic."""

from collections.abc import Sequence

from bench.latency.frames import Frame
from bench.latency.grab_process import Watched
from bench.latency.pairing import Pairs
from bench.latency.schema import Agreement, FrameColumns, Headline, NotRun, Pixels, Timestamps
from bench.latency.spread import median_interval
from latentcast.report import STAGES
from latentcast.statistics import percentile, percentiles

AGREEMENT_LIMIT_MS = 10.0
"""How far the medians of methods 1 and 2 may be apart: a third of a frame interval at 30 fps."""

BLOCK_S = 1.0
"""Frames that far apart no longer depend on each other much."""


def timestamps(frames: Sequence[Frame], *, fps: float, clock_error_ms: float) -> Timestamps:
    """Method 1 over frames in order."""
    totals = [frame.total_ms for frame in frames]
    return Timestamps(
        frames=len(frames),
        total=percentiles(totals),
        p50_interval=_rounded(median_interval(totals, block=round(BLOCK_S * fps))),
        stages={name: percentiles([frame.stages_ms[i] for frame in frames]) for i, name in enumerate(STAGES)},
        clock_error_ms=clock_error_ms,
        residual_ms=round(max((abs(frame.residual_ms) for frame in frames), default=0.0), 4),
    )


def pixels(pairs: Pairs, watched: Watched, *, fps: float) -> Pixels | NotRun:
    """Method 2 over the pairs."""
    if not pairs.pairs:
        return NotRun(
            why=f"{watched.grabs} grabs of the screen showed no bar code that belongs to a presented frame"
            if watched.window
            else "the viewer's window was not found on the screen",
            how="Leave the viewer's window uncovered while it is measured, or unset DISPLAY to measure under Xvfb.",
        )
    totals = [pair.pixels_ms for pair in pairs.pairs]
    lowest = sorted((pair.sighting.after_us - pair.drawn_us) / 1e3 for pair in pairs.pairs)
    highest = sorted((pair.sighting.before_us - pair.drawn_us) / 1e3 for pair in pairs.pairs)
    return Pixels(
        frames=len(pairs.pairs),
        total=percentiles(totals),
        p50_interval=_rounded(median_interval(totals, block=round(BLOCK_S * fps))),
        p50_bound=_rounded((percentile(lowest, 0.5), percentile(highest, 0.5))),
        bound=percentiles([pair.bound_ms for pair in pairs.pairs]),
        unseen=pairs.unseen,
        contradicting=pairs.contradicting,
        grabs=watched.grabs,
        unreadable=watched.unreadable,
        grab_ms=watched.grab_ms,
    )


def agreement(pairs: Pairs, missing: NotRun | None) -> Agreement | NotRun:
    """Methods 1 and 2 over the frames that both saw. missing: why there is no method 2."""
    if missing is not None or not pairs.pairs:
        return NotRun(why="only one of the two methods has figures", how="" if missing is None else missing.how)
    if any(pair.drawn_us != pair.frame.captured_us for pair in pairs.pairs):
        waits = sorted((pair.frame.captured_us - pair.drawn_us) / 1e3 for pair in pairs.pairs)
        return NotRun(
            why="method 2 begins earlier here: pictures wait for their capture on the shared screen, "
            f"{percentile(waits, 0.5):.1f} ms at p50, which method 1 does not know of",
            how="Compare the methods with --source pattern.",
        )
    differences = sorted(pair.difference_ms for pair in pairs.pairs)
    one = percentile(sorted(pair.frame.total_ms for pair in pairs.pairs), 0.5)
    two = percentile(sorted(pair.pixels_ms for pair in pairs.pairs), 0.5)
    within = sum(abs(pair.difference_ms) <= pair.bound_ms for pair in pairs.pairs)
    return Agreement(
        frames=len(differences),
        p50_difference=round(two - one, 3),
        limit=AGREEMENT_LIMIT_MS,
        agree=abs(two - one) <= AGREEMENT_LIMIT_MS,
        difference={
            "min": round(differences[0], 3),
            "p5": round(percentile(differences, 0.05), 3),
            "p50": round(percentile(differences, 0.50), 3),
            "p95": round(percentile(differences, 0.95), 3),
            "max": round(differences[-1], 3),
        },
        within_bound=round(within / len(differences), 4),
    )


def headline(one: Timestamps, two: Pixels | NotRun) -> Headline:
    """The pixels' median, where they were read: they know nothing of this program. Else the timestamps'."""
    if isinstance(two, Pixels):
        ms = two.total.p50
        low, high = min(two.p50_interval[0], ms), max(two.p50_interval[1], ms)
        low, high = low - (ms - two.p50_bound[0]), high + (two.p50_bound[1] - ms)
        return Headline(ms=ms, low=round(min(low, ms), 3), high=round(max(high, ms), 3), method="pixels")
    ms = one.total.p50
    low, high = min(one.p50_interval[0], ms), max(one.p50_interval[1], ms)
    error = one.clock_error_ms
    return Headline(ms=ms, low=round(low - error, 3), high=round(high + error, 3), method="timestamps")


def columns(frames: Sequence[Frame], pairs: Pairs) -> FrameColumns:
    """Every frame, for charts and for whoever wants to check."""
    by_frame = {pair.frame.number: pair for pair in pairs.pairs}
    found = [by_frame.get(frame.number) for frame in frames]
    start_us = frames[0].presented_us
    return FrameColumns(
        number=[frame.number for frame in frames],
        time_s=[round((frame.presented_us - start_us) / 1e6, 4) for frame in frames],
        captured_us=[frame.captured_us for frame in frames],
        presented_us=[frame.presented_us for frame in frames],
        offset_us=[frame.offset_us for frame in frames],
        stages={name: [frame.stages_ms[i] for frame in frames] for i, name in enumerate(STAGES)},
        total=[frame.total_ms for frame in frames],
        pixels=[None if pair is None else round(pair.pixels_ms, 3) for pair in found],
        bound=[None if pair is None else round(pair.bound_ms, 3) for pair in found],
        qp=[frame.qp for frame in frames],
        intra=[frame.intra for frame in frames],
    )


def _rounded(interval: tuple[float, float]) -> tuple[float, float]:
    return round(interval[0], 3), round(interval[1], 3)
