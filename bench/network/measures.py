"""Figures of one simulated run: what a check of a scenario may measure. docs/scenarios.md defines each in words.

Every measure takes a `Window` of one viewer's log and returns a number, or None where there is nothing to measure
(which fails the check). Shares of pictures are shares of all pictures *captured* in the window, coded or not.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from math import isfinite
from typing import Literal

from bench.network.run_log import Coded, Packet, RunLog, Sample, Shown, ViewerLog

Unit = Literal["share", "time", "rate", "number"]

_SECOND_STEP_S = 0.1
"""Sliding seconds start this far apart."""
_RATE_TOLERANCE = 0.1
"""A second is accurate when what was sent in it is within this share of the mean target."""


@dataclass(frozen=True, slots=True)
class Window:
    """A stretch of one viewer's log, and the same viewer in the run it is compared with."""

    run: RunLog
    viewer: ViewerLog
    start_s: float
    end_s: float
    skip: int = 0
    """Frames at the start that do not count, for measures of single frames."""
    share: float = 0.8
    """What part of the link counts as full, for `ramp`."""
    reference: RunLog | None = None

    @property
    def seconds(self) -> float:
        """Its length."""
        return self.end_s - self.start_s

    def compared(self) -> "Window | None":
        """The same stretch of the same viewer in the reference run."""
        if self.reference is None or self.viewer.name not in self.reference.viewers:
            return None
        return Window(self.reference, self.reference.viewers[self.viewer.name], self.start_s, self.end_s)

    def arrived(self) -> Iterator[Packet]:
        """Packets that came in during the window."""
        return (p for p in self.viewer.packets if p.arrived_s is not None and self.start_s <= p.arrived_s < self.end_s)

    def captured(self) -> range:
        """Pictures captured in the window early enough to be due before the run, or the viewer's stay, ends."""
        last_s = min(self.end_s, self.viewer.left_s - self.run.deadline_s)
        return self.run.captured_between(max(self.start_s, self.viewer.joined_s), last_s)

    def shown(self) -> list[Shown]:
        """Frames shown during the window, in order."""
        times = [frame.shown_s for frame in self.viewer.shown]
        return self.viewer.shown[bisect_left(times, self.start_s) : bisect_left(times, self.end_s)]

    def age_s(self, frame: Shown) -> float:
        """From capture to shown."""
        return frame.shown_s - self.run.captured_s[frame.frame_id]

    def samples(self) -> list[Sample]:
        """States of the sender during the window."""
        return [s for s in self.viewer.samples if self.start_s <= s.time_s < self.end_s]

    def coded(self) -> list[Coded]:
        """Frames coded in the window for the rendition that the viewer was in, without the first `skip`."""
        renditions = {sample.frame_id: sample.rendition for sample in self.viewer.samples}
        frames = [
            frame
            for frame in self.run.coded_between(self.start_s, self.end_s)
            if renditions.get(frame.frame_id) == frame.rendition
        ]
        return frames[self.skip :]


def percentile(values: list[float], share: float) -> float | None:
    """The smallest value that at least `share` of them do not exceed. None for none."""
    if not values:
        return None
    ordered = sorted(values)
    return ordered[min(int(len(ordered) * share), len(ordered) - 1)]


def _link_bits(window: Window) -> float:
    """What the bottleneck could have carried; 0 where it has no rate."""
    samples = window.samples()
    bits = sum(s.link_bps for s in samples) / len(samples) * window.seconds if samples else 0.0
    return bits if isfinite(bits) else 0.0


def _media_bits(window: Window) -> float:
    return sum(p.size_bytes for p in window.arrived() if p.kind == "data") * 8.0


def link_use(window: Window) -> float | None:
    bits = _link_bits(window)
    return _media_bits(window) / bits if bits else None


def rate(window: Window) -> float | None:
    return _media_bits(window) / window.seconds


def rate_ratio(window: Window) -> float | None:
    other = window.compared()
    reference_bits = _media_bits(other) if other is not None else 0.0
    return _media_bits(window) / reference_bits if reference_bits else None


def probe_share(window: Window) -> float | None:
    bits = _link_bits(window)
    return sum(p.size_bytes for p in window.arrived() if p.kind == "probe") * 8 / bits if bits else None


def target_share(window: Window) -> float | None:
    samples = window.samples()
    bits = _link_bits(window)
    return sum(s.target_bps for s in samples) / len(samples) * window.seconds / bits if bits else None


def queue_p95(window: Window) -> float | None:
    return percentile([p.queue_s for p in window.arrived() if p.queue_s is not None], 0.95)


def queue_max(window: Window) -> float | None:
    return max((p.queue_s for p in window.arrived() if p.queue_s is not None), default=None)


def queue_drops(window: Window) -> float | None:
    return float(sum(window.start_s <= at < window.end_s for at in window.viewer.queue_drops))


def in_time(window: Window) -> float | None:
    return _shown_share(window, intact=False)


def intact(window: Window) -> float | None:
    return _shown_share(window, intact=True)


def _shown_share(window: Window, *, intact: bool) -> float | None:
    captured = window.captured()
    if not captured:
        return None
    good = {
        frame.frame_id
        for frame in window.viewer.shown
        if window.age_s(frame) <= window.run.deadline_s and (frame.intact or not intact)
    }
    return sum(frame_id in good for frame_id in captured) / len(captured)


def stall(window: Window) -> float | None:
    times = [max(window.start_s, window.viewer.joined_s), *(frame.shown_s for frame in window.shown())]
    return max(later - earlier for earlier, later in pairwise([*times, min(window.end_s, window.viewer.left_s)]))


def moving_again(window: Window) -> float | None:
    return next((frame.shown_s - window.start_s for frame in window.shown()), None)


def recovery(window: Window) -> float | None:
    # What was sent last may still be on its way.
    end_s = min(window.end_s, window.run.seconds - 1)
    lost = [p for p in window.viewer.packets if p.arrived_s is None and window.start_s <= p.sent_s < end_s]
    hurt = [p.frame_id for p in lost if p.frame_id is not None]
    if not hurt:
        return None
    first = min(hurt)
    good = next((f for f in window.viewer.shown if f.frame_id >= first and f.intact), None)
    return None if good is None else max(0.0, good.shown_s - lost[-1].sent_s)


def stale(window: Window) -> float | None:
    return float(sum(window.age_s(frame) > window.run.deadline_s for frame in window.shown()))


def delay_p50(window: Window) -> float | None:
    return percentile([window.age_s(frame) for frame in window.shown()], 0.5)


def delay_p95(window: Window) -> float | None:
    return percentile([window.age_s(frame) for frame in window.shown()], 0.95)


def added_delay_p95(window: Window) -> float | None:
    other = window.compared()
    if other is None:
        return None
    clean_s = {frame.frame_id: other.age_s(frame) for frame in other.viewer.shown}
    ages_s = {frame.frame_id: window.age_s(frame) for frame in window.viewer.shown}
    due_s = window.run.deadline_s
    # Left out, the pictures that came to nothing would make a bad network look quick.
    added_s = [ages_s.get(i, due_s) - clean_s[i] for i in window.captured() if i in clean_s]
    return percentile(added_s, 0.95)


def intra_frames(window: Window) -> float | None:
    return float(sum(window.start_s <= at < window.end_s for at in window.viewer.intra_offered))


def over_budget(window: Window) -> float | None:
    return max((f.size_bytes / f.budget_bytes for f in window.coded() if f.reference_id is not None), default=None)


def ramp(window: Window) -> float | None:
    step = _SECOND_STEP_S
    count = int((window.seconds - 1) / step + 1e-9) + 1
    for index in range(count):
        start_s = window.start_s + index * step
        used = link_use(Window(window.run, window.viewer, start_s, start_s + 1))
        if used is not None and used >= window.share:
            return start_s + 1 - window.start_s
    return None


def rate_accuracy(window: Window) -> float | None:
    sent = [(p.sent_s, p.size_bytes) for p in window.viewer.packets if p.kind != "probe"]
    times = [at for at, _ in sent]
    sums = [0]
    for _, size in sent:
        sums.append(sums[-1] + size)
    samples = window.samples()
    sample_times = [s.time_s for s in samples]
    good = seconds = 0
    start_s = window.start_s
    while start_s + 1 <= window.end_s + 1e-9:
        bits = 8 * (sums[bisect_left(times, start_s + 1)] - sums[bisect_left(times, start_s)])
        within = samples[bisect_left(sample_times, start_s) : bisect_left(sample_times, start_s + 1)]
        if within:
            target_bps = sum(s.target_bps for s in within) / len(within)
            good += abs(bits - target_bps) <= _RATE_TOLERANCE * target_bps
            seconds += 1
        start_s += _SECOND_STEP_S
    return good / seconds if seconds else None


def cross_share(window: Window) -> float | None:
    """Ours of all that came through."""
    ours = sum(p.size_bytes for p in window.arrived())
    cross = window.viewer.cross
    times = [at for at, _ in cross]
    first, last = bisect_right(times, window.start_s) - 1, bisect_right(times, window.end_s) - 1
    if last <= max(first, 0):
        return None
    theirs = cross[last][1] - (cross[first][1] if first >= 0 else 0)
    return ours / (ours + theirs) if ours + theirs else None


def shown_rate(window: Window) -> float | None:
    return len(window.shown()) / window.seconds


def lowest_rendition(window: Window) -> float | None:
    return max((float(s.rendition) for s in window.samples()), default=None)


def qp_mean(window: Window) -> float | None:
    frames = window.coded()
    return sum(f.qp for f in frames) / len(frames) if frames else None


@dataclass(frozen=True, slots=True)
class Measure:
    """unit: how its limit is written and shown. against: it needs a reference run. absent: why there is no figure."""

    name: str
    unit: Unit
    of: Callable[[Window], float | None]
    against: bool = False
    absent: str = "nothing to measure"


_NO_RATE = "the link has no rate"
_NO_PACKET = "no packet arrived"
_NO_PICTURE = "no picture was shown"
_NO_FRAME = "no frame was coded"
_ALL = (
    Measure("link_use", "share", link_use, absent=_NO_RATE),
    Measure("target_share", "number", target_share, absent=_NO_RATE),
    Measure("rate", "rate", rate),
    Measure("rate_ratio", "number", rate_ratio, against=True, absent="nothing arrived in the reference run"),
    Measure("rate_accuracy", "share", rate_accuracy, absent="no whole second"),
    Measure("ramp", "time", ramp, absent="never reached"),
    Measure("probe_share", "share", probe_share, absent=_NO_RATE),
    Measure("cross_share", "share", cross_share, absent="no cross traffic"),
    Measure("queue_p95", "time", queue_p95, absent=_NO_PACKET),
    Measure("queue_max", "time", queue_max, absent=_NO_PACKET),
    Measure("queue_drops", "number", queue_drops),
    Measure("in_time", "share", in_time, absent="no picture was due"),
    Measure("intact", "share", intact, absent="no picture was due"),
    Measure("stall", "time", stall),
    Measure("moving_again", "time", moving_again, absent=_NO_PICTURE),
    Measure("recovery", "time", recovery, absent="nothing lost, or no intact picture after it"),
    Measure("stale", "number", stale),
    Measure("delay_p50", "time", delay_p50, absent=_NO_PICTURE),
    Measure("delay_p95", "time", delay_p95, absent=_NO_PICTURE),
    Measure("added_delay_p95", "time", added_delay_p95, against=True, absent=_NO_PICTURE),
    Measure("shown_rate", "number", shown_rate),
    Measure("intra_frames", "number", intra_frames),
    Measure("over_budget", "number", over_budget, absent=_NO_FRAME),
    Measure("lowest_rendition", "number", lowest_rendition),
    Measure("qp_mean", "number", qp_mean, absent=_NO_FRAME),
)

MEASURES = {measure.name: measure for measure in _ALL}
