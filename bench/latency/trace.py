"""`trace.json`: every frame through every stage, for Perfetto (ui.perfetto.dev) or chrome://tracing.

The trace event format (Google, "Trace Event Format"): an object with `traceEvents`, times in microseconds.

    "M"            names of processes and threads
    "X"            a stage of a frame: a slice of a thread
    "s" "t" "f"    the flow of one frame from slice to slice; the id is the frame's number

Processes are the server, the network, the viewer and the screen; each stage is a thread of its own, with as many lanes
as frames are in that stage at once, because slices of one thread must not overlap. All times are on the server's
clock and count from the first capture.
"""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from bench.latency.pairing import Pairs
from bench.latency.schema import FrameColumns
from latentcast.report import STAGES

_PROCESS_OF = {
    "wait": 1,
    "encode": 1,
    "send": 1,
    "network": 2,
    "queue": 3,
    "decode": 3,
    "present": 3,
    "visible": 4,
}
_PROCESSES = {1: "server", 2: "network", 3: "viewer", 4: "screen"}
_LANES = 16
"""More frames than that in one stage at once share the last lane; nobody could follow them by eye anyway."""


def trace_events(frames: FrameColumns, pairs: Pairs) -> list[dict[str, Any]]:
    """All events. `pairs` adds when each frame was seen on the screen."""
    if not frames.number:
        return []
    origin_us = min(frames.captured_us)
    seen = {pair.frame.number: pair for pair in pairs.pairs}
    lanes: dict[str, list[float]] = {}
    events: list[dict[str, Any]] = []
    for index, number in enumerate(frames.number):
        at_us = float(frames.captured_us[index] - origin_us)
        path: list[tuple[int, int, float]] = []
        arguments = {
            "frame": number,
            "qp": frames.qp[index],
            "intra": frames.intra[index],
            "total_ms": frames.total[index],
        }
        for stage in STAGES:
            length_us = max(0.0, round(1e3 * frames.stages[stage][index], 3))
            events.append(_slice(stage, number, at_us, length_us, lanes, arguments))
            path.append((events[-1]["pid"], events[-1]["tid"], at_us))
            at_us += length_us
        pair = seen.get(number)
        if pair is not None:
            offset_us = pair.frame.offset_us - origin_us
            after_us, before_us = pair.sighting.after_us + offset_us, pair.sighting.before_us + offset_us
            bounds = {"frame": number, "bound_ms": round(pair.bound_ms, 3)}
            events.append(_slice("visible", number, float(after_us), float(before_us - after_us), lanes, bounds))
            path.append((events[-1]["pid"], events[-1]["tid"], float(after_us)))
        events += _flow(number, path)
    return [*_names(lanes), *sorted(events, key=lambda event: event["ts"])]


def _slice(
    stage: str, number: int, start_us: float, length_us: float, lanes: dict[str, list[float]], arguments: dict[str, Any]
) -> dict[str, Any]:
    ends = lanes.setdefault(stage, [])
    lane = next((i for i, end in enumerate(ends) if end <= start_us), len(ends))
    if lane == len(ends) and lane < _LANES:
        ends.append(0.0)
    lane = min(lane, _LANES - 1)
    ends[lane] = max(ends[lane], start_us + length_us)
    return {
        "ph": "X",
        "name": f"{stage} {number}",
        "cat": stage,
        "pid": _PROCESS_OF[stage],
        "tid": _thread(stage, lane),
        "ts": start_us,
        "dur": length_us,
        "args": arguments,
    }


def _flow(number: int, path: Sequence[tuple[int, int, float]]) -> Iterator[dict[str, Any]]:
    for place, (pid, tid, at_us) in enumerate(path):
        phase = "s" if place == 0 else "f" if place == len(path) - 1 else "t"
        event = {"ph": phase, "name": "frame", "cat": "frame", "id": number, "pid": pid, "tid": tid, "ts": at_us}
        # A flow ends in the slice that encloses its time, not in the next one.
        yield event | ({"bp": "e"} if phase == "f" else {})


def _thread(stage: str, lane: int) -> int:
    return _LANES * (list(_PROCESS_OF).index(stage) + 1) + lane


def _names(lanes: dict[str, list[float]]) -> Iterator[dict[str, Any]]:
    for pid in sorted({_PROCESS_OF[stage] for stage in lanes}):
        yield {"ph": "M", "name": "process_name", "pid": pid, "tid": 0, "ts": 0, "args": {"name": _PROCESSES[pid]}}
        yield {"ph": "M", "name": "process_sort_index", "pid": pid, "tid": 0, "ts": 0, "args": {"sort_index": pid}}
    for stage, ends in lanes.items():
        for lane in range(len(ends)):
            name = stage if lane == 0 else f"{stage} ({lane + 1})"
            place = {"pid": _PROCESS_OF[stage], "tid": _thread(stage, lane), "ts": 0}
            yield {"ph": "M", "name": "thread_name", **place, "args": {"name": name}}
            yield {"ph": "M", "name": "thread_sort_index", **place, "args": {"sort_index": place["tid"]}}


def write_trace(path: Path, frames: FrameColumns, pairs: Pairs, *, clock_error_ms: float) -> None:
    """Raises OSError."""
    document = {
        "displayTimeUnit": "ms",
        "otherData": {
            "clock": "the server's monotonic clock, from the first capture on",
            "clock_error_ms": clock_error_ms,
        },
        "traceEvents": trace_events(frames, pairs),
    }
    path.write_text(json.dumps(document, separators=(",", ":"), allow_nan=False) + "\n", "utf-8")
