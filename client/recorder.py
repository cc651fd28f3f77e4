"""Recording at the press of a key: a file in the current folder, its time and size, and how it ended.

toggle ──▶ recording ──toggle──▶ being finished in a thread ──▶ "Saved ..." as a notice
               └── disk full ──▶ "..." as a notice; the stream goes on
"""

import re
import threading
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from client.amounts import size_text, time_text
from client.sinks import SinkRunner, SinkStatus
from client.sinks.video_file import VideoFileSink
from latentcast.errors import UserError


def file_stem(stream: str, now: datetime) -> str:
    """The beginning of the name of a file of `stream`, without anything that means something to a file system."""
    name = re.sub(r"[^\w.-]+", "-", stream).strip(".-") or "latentcast"
    return f"{name}-{now:%Y%m%d-%H%M%S}"


class Recorder:
    """Of one stream. `put` may be called from any thread, the rest from the window's."""

    def __init__(
        self,
        stream: str,
        folder: Path,
        *,
        notify: Callable[[str], None],
        now: Callable[[], datetime] = datetime.now,
    ) -> None:
        """notify(text) says how a recording ended, from a thread of its own."""
        self._notify = notify
        self._stream = stream
        self._folder = folder
        self._now = now
        self._runner: SinkRunner | None = None
        self._finishing: list[threading.Thread] = []

    def toggle(self) -> str:
        """Start, or stop; returns what to tell the user."""
        runner, self._runner = self._runner, None
        if runner is not None:
            thread = threading.Thread(target=self._finish, args=(runner,), name="end of recording")
            self._finishing = [waited for waited in self._finishing if waited.is_alive()] + [thread]
            thread.start()
            return "Recording stops"
        path = self._folder / f"{file_stem(self._stream, self._now())}.mp4"
        try:
            sink = VideoFileSink(path)
        except UserError as error:
            return f"Not recorded: {error}"
        self._runner = SinkRunner(sink, on_end=self._on_end)
        return f"Recording into {path}"

    def put(self, planes: NDArray[np.uint8], at_us: int, *, fps: float, sound: bool = False) -> None:
        """A picture of the stream, seen since `at_us` (monotonic); ignored while nothing is recorded."""
        runner = self._runner
        if runner is not None:
            runner.put(planes, at_us, fps=fps, sound=sound)

    def put_sound(self, samples: NDArray[np.int16], at_us: int) -> None:
        """Samples of the stream's sound, as `SinkRunner.put_sound` takes them."""
        runner = self._runner
        if runner is not None:
            runner.put_sound(samples, at_us)

    def status(self) -> SinkStatus | None:
        """The recording under way, if there is one."""
        return None if self._runner is None else self._runner.status()

    def close(self) -> None:
        """Finish what is recorded."""
        runner, self._runner = self._runner, None
        if runner is not None:
            self._finish(runner)
        for thread in self._finishing:
            thread.join()

    def _finish(self, runner: SinkRunner) -> None:
        self._notify(outcome(runner.close()))

    def _on_end(self, status: SinkStatus) -> None:
        """The sink's thread: it ended by itself."""
        self._runner = None
        self._notify(outcome(status))


def outcome(status: SinkStatus) -> str:
    """What became of a sink, in one line."""
    lost = f", {status.dropped} pictures left out (too slow)" if status.dropped else ""
    if status.problem is not None:
        kept = f" {status.written} pictures were written." if status.written else ""
        return f"{status.problem}{kept}"
    if not status.written:
        return f"{status.place}: no picture came"
    size = "" if status.size_bytes is None else f", {size_text(status.size_bytes)}"
    return f"{status.place}: {status.written} pictures, {time_text(status.seconds)}{size}{lost}"
