"""The parent's side of `bench.latency.grab`: start it, collect what it saw."""

import contextlib
import json
import subprocess
import sys
import threading
from dataclasses import asdict, dataclass
from types import TracebackType
from typing import Any

from bench.latency.grab import GrabTask
from bench.latency.sightings import Sighting
from latentcast.errors import LatentcastError

STOP_TIMEOUT_S = 5.0
MAX_SIGHTINGS = 216_000
"""An hour at 60 fps, as many as the viewer keeps frames; later ones are left out."""


@dataclass(frozen=True, slots=True)
class Watched:
    """What the grabber saw."""

    sightings: tuple[Sighting, ...]
    grabs: int
    unreadable: int
    grab_ms: float
    """Median time that one grab takes."""
    window: tuple[int, int] | None
    """The viewer's window, pixels; None when it was never found."""
    screen: tuple[int, int]
    x_server: str


class GrabProcess:
    """Watches from the start until `finish`; a context manager that ends it."""

    def __init__(self, task: GrabTask) -> None:
        self._lines: list[dict[str, Any]] = []
        self._totals: dict[str, Any] | None = None
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "bench.latency.grab"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(asdict(task)) + "\n")
        self._process.stdin.flush()
        self._reader = threading.Thread(target=self._read, name="sightings", daemon=True)
        self._reader.start()

    def finish(self) -> Watched:
        """End it and return what it saw. Raises LatentcastError when it failed."""
        self._stop()
        if self._totals is None:
            raise LatentcastError("the screen grabber ended by itself; what it said is above.")
        totals = self._totals
        return Watched(
            sightings=tuple(Sighting(**line) for line in self._lines),
            grabs=totals["grabs"],
            unreadable=totals["unreadable"],
            grab_ms=totals["grab_ms"],
            window=None if totals["window"] is None else (totals["window"][0], totals["window"][1]),
            screen=(totals["screen"][0], totals["screen"][1]),
            x_server=totals["x_server"],
        )

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            message = json.loads(line)
            if "grabs" in message:
                self._totals = message
            elif len(self._lines) < MAX_SIGHTINGS:
                self._lines.append(message)

    def _stop(self) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        # It may have ended already, which `finish` then says.
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        self._reader.join(STOP_TIMEOUT_S)
        if self._process.poll() is None:
            try:
                self._process.wait(STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        self._process.stdout.close()

    def __enter__(self) -> "GrabProcess":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()
