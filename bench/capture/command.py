"""`latentcast bench capture`: the same stream from a source as it should be, one that stalls, and one at 120 frames/s.

Each case is a sender, a server and a headless viewer as processes of their own on loopback; delays are those of the
viewer's report, capture to presentation. The cases are run in turn, `runs` times, and their frames put together, so
that whatever else the machine does meets all of them.
"""

import csv
import json as jsonlib
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path

from rich.console import Console
from rich.table import Table

from client.measurement import describe_machine
from latentcast import __version__
from latentcast.errors import LatentcastError, UserError
from latentcast.report import STAGES
from latentcast.server_process import ServerProcess
from latentcast.statistics import percentiles

SETTLE_s = 3.0
"""The start of each run, which does not count: the first intra frame, and the bandwidth estimate that climbs."""
STALL_s, STALL_EVERY_s = 2.5, 6.0
FAST_FPS = 120
VIEWER_TIMEOUT_S = 60.0
FORMAT = 1
"""Version of the JSON: raised when a field changes its meaning."""


@dataclass(frozen=True, slots=True)
class Case:
    """A source and what it does."""

    name: str
    what: str
    sender_fps: int | None = None
    """None: the test pattern, drawn in the server."""
    stalls: bool = False


@dataclass(slots=True)
class Outcome:
    """What was presented in the runs of a case. Delays in milliseconds."""

    case: Case
    total_ms: list[float]
    wait_ms: list[float]
    """Captured until the encoder took it."""
    captured: int = 0
    seconds: float = 0.0
    longest_gap_s: float = 0.0
    """Between two presented frames: what a stall looks like."""


def cases(fps: int) -> list[Case]:
    """All of them; the stream runs at `fps` in each."""
    return [
        Case("pattern", f"the test pattern at {fps} fps"),
        Case("network", f"a network stream at {fps} fps", fps),
        Case("stalls", f"the same, silent for {STALL_s:g} s every {STALL_EVERY_s:g} s", fps, stalls=True),
        Case("fast", f"the same at {FAST_FPS} fps", FAST_FPS),
    ]


def run(
    *, seconds: float, runs: int, size: tuple[int, int], fps: int, json: Path | None, markdown: Path | None
) -> None:
    """Measure, print the table, and write the files asked for. Raises UserError and LatentcastError."""
    console = Console()
    outcomes = [Outcome(case, [], []) for case in cases(fps)]
    for number in range(runs):
        for outcome in outcomes:
            console.print(f"run {number + 1} of {runs}: {outcome.case.what}", highlight=False)
            measure(outcome, seconds=seconds, size=size, fps=fps)
    console.print(table(outcomes))
    for path, text in ((json, _document(outcomes, size, fps)), (markdown, as_markdown(outcomes))):
        if path is not None:
            try:
                path.write_text(text)
            except OSError as error:
                raise UserError(f"{path} cannot be written ({error.strerror}); choose another place.") from error


def measure(outcome: Outcome, *, seconds: float, size: tuple[int, int], fps: int) -> None:
    """One run of one case, added to its outcome."""
    with sender(outcome.case, size) as source, tempfile.TemporaryDirectory(prefix="latentcast-") as folder:
        shape = ["--size", f"{size[0]}x{size[1]}", "--fps", str(fps)]
        with ServerProcess(["--port", "0", "--source", source, *shape, "--max-bitrate", "1000000"]) as server:
            arguments = ["view", server.url(), "--headless", "--seconds", str(seconds + SETTLE_s), "--report", folder]
            done = subprocess.run(
                [sys.executable, "-P", "-m", "latentcast", *arguments],
                timeout=seconds + VIEWER_TIMEOUT_S,
                stdout=subprocess.DEVNULL,
                check=False,
            )
        if done.returncode != 0:
            raise LatentcastError(f"the viewer of {outcome.case.what} failed (exit code {done.returncode}).")
        with (Path(folder) / "frames.csv").open(newline="") as file:
            add_frames(outcome, list(csv.DictReader(file)))
        report = jsonlib.loads((Path(folder) / "report.json").read_text())
        outcome.captured += report["frames"]["captured"]


def add_frames(outcome: Outcome, frames: list[dict[str, str]]) -> None:
    """The frames of a run, from its `frames.csv`, without those of the time that does not count."""
    if not frames:
        raise LatentcastError(f"nothing was presented of {outcome.case.what}.")
    start_us = int(frames[0]["presented_us"]) + SETTLE_s * 1e6
    counted = [frame for frame in frames if int(frame["presented_us"]) >= start_us]
    outcome.total_ms += [sum(float(frame[f"{stage}_ms"]) for stage in STAGES) for frame in counted]
    outcome.wait_ms += [float(frame["wait_ms"]) for frame in counted]
    times = [int(frame["presented_us"]) / 1e6 for frame in counted]
    outcome.seconds += times[-1] - times[0] if times else 0.0
    gaps = (after - before for before, after in pairwise(times))
    outcome.longest_gap_s = max(outcome.longest_gap_s, max(gaps, default=0.0))


@contextmanager
def sender(case: Case, size: tuple[int, int]) -> Iterator[str]:
    """What to give to --source, for as long as the context lives."""
    if case.sender_fps is None:
        yield "pattern"
        return
    flags = ["--size", f"{size[0]}x{size[1]}", "--fps", str(case.sender_fps)]
    flags += ["--stall", str(STALL_s), "--every", str(STALL_EVERY_s)] if case.stalls else []
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "bench.capture.sender", *flags], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline().split()
        if len(line) != 2:
            raise LatentcastError("the sender of the network stream did not start; its own words are above.")
        yield f"http://127.0.0.1:{line[1]}/live.ts"
    finally:
        process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


_HEAD = ("source", "fps", "p50 ms", "p95 ms", "p99 ms", "wait p50 ms", "wait p95 ms", "longest gap s")


def rows(outcomes: list[Outcome]) -> list[tuple[str, ...]]:
    """A line a case, as text."""
    found = []
    for outcome in outcomes:
        total, wait = percentiles(outcome.total_ms), percentiles(outcome.wait_ms)
        rate = len(outcome.total_ms) / outcome.seconds if outcome.seconds else 0.0
        figures = (rate, total.p50, total.p95, total.p99, wait.p50, wait.p95)
        found.append((outcome.case.what, *(f"{value:.1f}" for value in figures), f"{outcome.longest_gap_s:.2f}"))
    return found


def table(outcomes: list[Outcome]) -> Table:
    """For the terminal."""
    shown = Table(*_HEAD)
    for column in shown.columns[1:]:
        column.justify = "right"
    for row in rows(outcomes):
        shown.add_row(*row)
    return shown


def as_markdown(outcomes: list[Outcome]) -> str:
    """The same for readers."""
    lines = [_HEAD, ("---", *["---:"] * (len(_HEAD) - 1)), *rows(outcomes)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def _document(outcomes: list[Outcome], size: tuple[int, int], fps: int) -> str:
    document = {
        "format": FORMAT,
        "latentcast": __version__,
        "machine": describe_machine().model_dump(),
        "size": list(size),
        "fps": fps,
        "cases": [
            {
                **asdict(outcome.case),
                "frames": len(outcome.total_ms),
                "captured": outcome.captured,
                "seconds": round(outcome.seconds, 3),
                "longest_gap_s": round(outcome.longest_gap_s, 3),
                "total_ms": percentiles(outcome.total_ms).model_dump(),
                "wait_ms": percentiles(outcome.wait_ms).model_dump(),
            }
            for outcome in outcomes
        ],
    }
    return jsonlib.dumps(document, indent=2) + "\n"
