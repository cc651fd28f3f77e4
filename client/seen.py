"""What this viewer saw in the last second, for the server's dashboard."""

from collections.abc import Sequence

from client.measurement import PresentedFrame
from client.receiver import Receiver
from latentcast import control
from latentcast.report import STAGES
from latentcast.statistics import percentile


def last_second(frames: Sequence[PresentedFrame], receiver: Receiver, *, presented: int, now: float) -> control.Viewer:
    """frames: the newest presented ones. presented: pictures in all. now: monotonic, in seconds."""
    recent = [frame for frame in frames if frame.presented_us / 1e6 > now - 1.0]
    totals = sorted(frame.total_ms for frame in recent)
    stages = {
        name: round(percentile(sorted(frame.stages_ms[i] for frame in recent), 0.5), 3)
        for i, name in enumerate(STAGES if recent else ())
    }
    clock = receiver.clock
    return control.Viewer(
        fps=float(len(recent)),
        presented=presented,
        lost=receiver.counts.lost,
        latency_p50_ms=round(percentile(totals, 0.5), 3) if totals else None,
        latency_p95_ms=round(percentile(totals, 0.95), 3) if totals else None,
        stages_ms=stages,
        clock_error_ms=None if clock.error_us is None else clock.error_us / 1e3,
        rtt_ms=None if clock.rtt_us is None else clock.rtt_us / 1e3,
    )
