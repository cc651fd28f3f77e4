"""The parent's side of `bench.latency.remote.flipper`: start the window, hear of every key that reaches it."""

import contextlib
import json
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType

from latentcast.errors import LatentcastError

STOP_TIMEOUT_S = 5.0


@dataclass(frozen=True, slots=True)
class KeySeen:
    """What the window on the desktop says about a key press, in microseconds of the monotonic clock."""

    key_us: int
    drawn_us: int
    white: bool


class Flipper:
    """Opens the window; a context manager that closes it. Raises LatentcastError when it does not open."""

    def __init__(self, display: str) -> None:
        """display: as in $DISPLAY."""
        self._on_key: Callable[[KeySeen], object] = lambda _: None
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "bench.latency.remote.flipper", display],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        assert self._process.stdout is not None
        if "ready" not in self._process.stdout.readline():
            self.close()
            raise LatentcastError("the window that keys are pressed in did not open; what it said is above.")
        self._thread: threading.Thread | None = threading.Thread(target=self._read, name="keys", daemon=True)
        self._thread.start()

    def listen(self, on_key: Callable[[KeySeen], object]) -> None:
        """Call that for every key from now on, on a thread of its own, instead of what was called before."""
        self._on_key = on_key

    def close(self) -> None:
        """Close the window."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        try:
            self._process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        thread = getattr(self, "_thread", None)
        if thread is not None:
            thread.join(STOP_TIMEOUT_S)
        self._process.stdout.close()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._on_key(KeySeen(**json.loads(line)))

    def __enter__(self) -> "Flipper":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
