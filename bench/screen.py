"""`latentcast bench screen`: what reading an X screen costs, through x11grab and through mss, and a whole `read`.

On an Xvfb of its own, so that the figures do not depend on whose desktop it is. The ways take turns grab by grab, so
that whatever else the machine does meets all of them alike. CPU is this process's alone; the X server's copy into
shared memory is the same for both and part of the time.
"""

import json as jsonlib
import os
import resource
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import av
import numpy as np
from rich.console import Console
from rich.table import Table

from client.measurement import describe_machine
from latentcast import __version__
from latentcast.errors import UserError
from latentcast.statistics import percentile
from server.sources.screen import ScreenSource
from server.sources.x11_grab import X11Grab

SIZES = ((640, 360), (1280, 720))
_PAUSE_S = 0.002
"""Between two grabs: a reader that never rests finds its memory in the cache."""
_WARM_UP = 10
FORMAT = 1
"""Version of the JSON: raised when a field changes its meaning."""


@dataclass(frozen=True, slots=True)
class Cost:
    """Of one way to read one size. Milliseconds, medians but for the CPU time, which is a mean."""

    way: str
    width: int
    height: int
    grab_ms: float
    grab_p95_ms: float
    cpu_ms: float
    open_ms: float
    """Until the first picture: what a window that moved costs."""


@dataclass(slots=True)
class _Way:
    """grab() reads one picture."""

    name: str
    grab: Callable[[], object]
    open_s: float
    times_s: list[float]
    cpu_s: float = 0.0


def run(*, grabs: int, json: Path | None, markdown: Path | None) -> None:
    """Measure, print, and write what was asked for. Raises UserError without Xvfb."""
    costs: list[Cost] = []
    with _xvfb(*SIZES[-1]):
        for size in SIZES:
            costs += measure(size, grabs)
    console = Console()
    table = Table(title="Reading a screen")
    for column in _COLUMNS:
        table.add_column(column, justify="right" if column != "way" else "left")
    for row in _rows(costs):
        table.add_row(*row)
    console.print(table)
    for path, text in ((json, _document(costs, grabs)), (markdown, _markdown(costs))):
        if path is not None:
            path.write_text(text)


def measure(size: tuple[int, int], grabs: int) -> list[Cost]:
    """Costs of all ways on the display that DISPLAY names, the upper left `size` of it."""
    region = (0, 0, *size)
    with ExitStack() as stack:
        ways = [_x11grab(region, stack), _whole(size, stack)]
        with_mss = _mss(size, stack)
        if with_mss is not None:
            ways.insert(1, with_mss)
        for index in range(_WARM_UP + grabs):
            for way in ways:
                time.sleep(_PAUSE_S)
                cpu, begun = _cpu_s(), time.perf_counter()
                way.grab()
                if index >= _WARM_UP:
                    way.times_s.append(time.perf_counter() - begun)
                    way.cpu_s += _cpu_s() - cpu
    return [
        Cost(
            way=way.name,
            width=size[0],
            height=size[1],
            grab_ms=1e3 * percentile(sorted(way.times_s), 0.5),
            grab_p95_ms=1e3 * percentile(sorted(way.times_s), 0.95),
            cpu_ms=1e3 * way.cpu_s / len(way.times_s),
            open_ms=1e3 * way.open_s,
        )
        for way in ways
    ]


def _x11grab(region: tuple[int, int, int, int], stack: ExitStack) -> _Way:
    begun = time.perf_counter()
    grab = X11Grab(os.environ["DISPLAY"], region, cursor=False)
    stack.callback(grab.close)
    grab.grab()
    return _Way("x11grab", grab.grab, time.perf_counter() - begun, [])


def _mss(size: tuple[int, int], stack: ExitStack) -> _Way | None:
    """None where mss is not installed: it is no part of Latentcast."""
    try:
        import mss
    except ImportError:
        Console(stderr=True).print("mss is not installed, so there is nothing to compare with: pip install mss.")
        return None
    begun = time.perf_counter()
    tool: Any = stack.enter_context(mss.MSS())
    box = {"left": 0, "top": 0, "width": size[0], "height": size[1]}

    def grab() -> av.VideoFrame:
        pixels = np.frombuffer(tool.grab(box).raw, np.uint8).reshape(size[1], size[0], 4)
        return av.VideoFrame.from_numpy_buffer(pixels, format="bgra")

    grab()
    return _Way("mss", grab, time.perf_counter() - begun, [])


def _whole(size: tuple[int, int], stack: ExitStack) -> _Way:
    """What the capture thread does for a picture: where is it, grab, convert; without the wait."""
    begun = time.perf_counter()
    now_us = 0

    def later(seconds: float) -> None:
        nonlocal now_us
        now_us += round(1e6 * seconds) + 1

    source = ScreenSource(f"screen:region={size[0]}x{size[1]}+0+0", fps=30, clock=lambda: now_us, wait=later)
    stack.callback(source.close)
    planes = np.empty((3, size[1], size[0]), np.uint8)

    def read() -> int:
        return source.read(planes, frame_id=0)

    read()
    return _Way("whole read", read, time.perf_counter() - begun, [])


def _cpu_s() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


@contextmanager
def _xvfb(width: int, height: int) -> Iterator[None]:
    """An X server of our own, and DISPLAY set to it."""
    if shutil.which("Xvfb") is None:
        raise UserError("there is no Xvfb, on which the screen is read: install it (apt-get install xvfb).")
    read_end, write_end = os.pipe()
    command = ["Xvfb", "-displayfd", str(write_end), "-screen", "0", f"{width}x{height}x24", "-nolisten", "tcp"]
    before = os.environ.get("DISPLAY")
    with (
        os.fdopen(read_end) as answer,
        subprocess.Popen([*command, "-noreset"], pass_fds=[write_end], stderr=subprocess.DEVNULL) as server,
    ):
        os.close(write_end)
        try:
            number = answer.readline().strip()
            if not number:
                raise UserError("Xvfb does not start here; run it by hand to see why.")
            os.environ["DISPLAY"] = f":{number}"
            yield
        finally:
            server.terminate()
            if before is None:
                os.environ.pop("DISPLAY", None)
            else:
                os.environ["DISPLAY"] = before


_COLUMNS = ("way", "size", "grab p50", "grab p95", "CPU a grab", "open")


def _rows(costs: list[Cost]) -> list[tuple[str, ...]]:
    return [
        (
            cost.way,
            f"{cost.width}x{cost.height}",
            *(f"{value:.2f} ms" for value in (cost.grab_ms, cost.grab_p95_ms, cost.cpu_ms)),
            f"{cost.open_ms:.1f} ms",
        )
        for cost in costs
    ]


def _markdown(costs: list[Cost]) -> str:
    lines = [f"| {' | '.join(_COLUMNS)} |", "|---|---|---|---|---|---|"]
    lines += [f"| {' | '.join(row)} |" for row in _rows(costs)]
    return "\n".join(lines) + "\n"


def _document(costs: list[Cost], grabs: int) -> str:
    document = {
        "format": FORMAT,
        "latentcast": __version__,
        "machine": describe_machine().model_dump(),
        "grabs": grabs,
        "costs": [asdict(cost) for cost in costs],
    }
    return jsonlib.dumps(document, indent=2) + "\n"
