"""A run of scenarios as files: JSON for programs, Markdown for readers, a trace of one run as CSV."""

import csv
import json
import os
from collections import deque
from collections.abc import Iterator, Sequence
from math import isfinite
from pathlib import Path
from typing import Any

from bench.network.checks import ScenarioResult
from bench.network.run_log import Coded, Packet, RunLog
from bench.network.tables import results_table
from latentcast import __version__
from latentcast.errors import UserError

FORMAT = 1
"""Version of the JSON: raised when a field changes its meaning."""

_VIEWER_COLUMNS = ("viewer", "frame", "captured_s", "rendition", "target_kbps", "link_kbps", "loss", "backlog_ms")
_SENT_COLUMNS = ("queue_ms", "sent_kbps")
_FRAME_COLUMNS = ("qp", "bytes", "budget", "tries", "width", "height", "age")
TRACE_COLUMNS = (*_VIEWER_COLUMNS, *_SENT_COLUMNS, *_FRAME_COLUMNS, "fate", "delay_ms")


def as_document(results: Sequence[ScenarioResult], *, command: str) -> dict[str, Any]:
    """Everything. Times in seconds, rates in bit/s, shares 0..1."""
    # Imported here: it brings the client's libraries, which a table does not need.
    from client.measurement import describe_machine

    return {
        "format": FORMAT,
        "latentcast": __version__,
        "command": command,
        "machine": describe_machine().model_dump(),
        "passed": all(result.passed for result in results),
        "scenarios": [
            {
                "name": result.scenario.name,
                "description": result.scenario.description,
                "seconds": result.scenario.seconds,
                "seeds": list(result.seeds),
                "cpu_s": round(result.cpu_s, 2),
                "passed": result.passed,
                "checks": [
                    {
                        "measure": check.check.measure.name,
                        "unit": check.check.measure.unit,
                        "viewer": check.check.viewer,
                        "from": check.check.start_s,
                        "until": check.check.end_s,
                        "at_least": check.check.at_least,
                        "at_most": check.check.at_most,
                        "against": check.check.against,
                        "note": check.check.note,
                        "median": check.median,
                        "worst": check.worst,
                        "failures": check.failures,
                        "values": list(check.values),
                    }
                    for check in result.checks
                ],
            }
            for result in results
        ],
    }


def check_place(path: Path) -> None:
    """That a file can be written there, as far as can be seen before: minutes of work hang on it. Raises UserError."""
    folder = path.parent
    if not folder.is_dir():
        raise UserError(f"{path} cannot be written (there is no folder {folder}); choose another place.")
    if path.is_dir():
        raise UserError(f"{path} cannot be written (it is a folder); name a file.")
    if not os.access(path if path.exists() else folder, os.W_OK):
        raise UserError(f"{path} cannot be written (no permission); choose another place.")


def write_json(results: Sequence[ScenarioResult], path: Path, *, command: str) -> None:
    """Raises UserError."""
    _write(path, json.dumps(as_document(results, command=command), indent=2, allow_nan=False) + "\n")


def write_markdown(results: Sequence[ScenarioResult], path: Path, *, command: str) -> None:
    """The table and the command that made it. Raises UserError."""
    lines = ["# Bad networks", "", "```", command, "```", "", results_table(results).markdown()]
    _write(path, "\n".join(lines))


def trace(log: RunLog) -> Iterator[tuple[object, ...]]:
    """Rows of `TRACE_COLUMNS`: one for each captured picture and viewer."""
    coded = {(frame.rendition, frame.frame_id): frame for frame in log.coded}
    for viewer in log.viewers.values():
        shown = {frame.frame_id: frame for frame in viewer.shown}
        packets = deque(viewer.packets)
        for sample in viewer.samples:
            frame_id = sample.frame_id
            frame = coded.get((sample.rendition, frame_id))
            missing = "not coded" if frame is None else "not offered"
            seen = shown.get(frame_id)
            yield (
                viewer.name,
                frame_id,
                round(sample.time_s, 4),
                sample.rendition,
                round(sample.target_bps / 1e3),
                round(sample.link_bps / 1e3) if isfinite(sample.link_bps) else "",
                round(sample.loss, 4),
                round(sample.backlog_s * 1e3, 1),
                *_sent_until(packets, sample.time_s + 1 / log.fps, fps=log.fps),
                *_frame_cells(frame),
                viewer.fates.get(frame_id, missing),
                "" if seen is None else round((seen.shown_s - sample.time_s) * 1e3, 1),
            )


def _sent_until(packets: deque[Packet], end_s: float, *, fps: float) -> tuple[float, int]:
    """Longest queue in ms, and kbit/s, of the packets sent before `end_s`, which are taken out."""
    sent_bytes, queue_s = 0, 0.0
    while packets and packets[0].sent_s < end_s:
        packet = packets.popleft()
        sent_bytes += packet.size_bytes
        queue_s = max(queue_s, packet.queue_s or 0.0)
    return round(queue_s * 1e3, 1), round(sent_bytes * 8 * fps / 1e3)


def _frame_cells(frame: Coded | None) -> tuple[object, ...]:
    if frame is None:
        return ("",) * len(_FRAME_COLUMNS)
    sizes = (frame.size_bytes, round(frame.budget_bytes))
    return (frame.qp, *sizes, frame.tries, frame.width, frame.height, frame.age)


def write_trace(log: RunLog, path: Path) -> None:
    """Raises UserError."""
    try:
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(TRACE_COLUMNS)
            writer.writerows(trace(log))
    except OSError as error:
        raise UserError(f"{path} cannot be written ({error.strerror}); choose another place.") from error


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, "utf-8")
    except OSError as error:
        raise UserError(f"{path} cannot be written ({error.strerror}); choose another place.") from error
