"""The relay in a process of its own, so that nobody else delays its event loop.

    parent: RelayProcess(server_url, conditions) ── stdin: what to do, pickled ──▶ child: python -m this module
            .url                                 ◀── stdout: one line of JSON ───
            .stop() -> statistics                ── stdin closed ──▶ one more line of JSON, and the end

A child whose parent is gone sees its input end, and ends.
"""

import asyncio
import contextlib
import json
import os
import pickle
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from types import TracebackType
from typing import Any, BinaryIO

from bench.network.conditions import Conditions
from latentcast.errors import LatentcastError

START_TIMEOUT_S = 30.0
STOP_TIMEOUT_S = 5.0


class RelayProcess:
    """Starts at once; a context manager that stops it. `url`: use it in place of the server's."""

    def __init__(self, server_url: str, conditions: Conditions | Mapping[str, Conditions], *, seed: int = 0) -> None:
        """`conditions`: of every viewer, or by name (see `urls`). Raises LatentcastError when it does not start."""
        named = conditions if isinstance(conditions, Conditions) else dict(conditions)
        self._statistics: dict[str, Any] | None = None
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "bench.network.relay_process"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            # Control-C in the terminal is for the programs that are relayed.
            start_new_session=True,
        )
        try:
            assert self._process.stdin is not None
            pickle.dump((server_url, named, seed), self._process.stdin)
            self._process.stdin.flush()
            started = self._line(START_TIMEOUT_S)
        except (OSError, LatentcastError) as error:
            self._kill()
            raise LatentcastError(f"the relay did not start ({error}).") from error
        self.url: str = started["url"]
        self.urls: dict[str, str] = started["urls"]
        """The address for each name."""

    def stop(self) -> dict[str, Any]:
        """Ends it; returns its statistics (`Relay.statistics`). A second call returns the same.

        Raises LatentcastError when it has ended by itself or does not answer.
        """
        if self._statistics is None:
            try:
                assert self._process.stdin is not None
                self._process.stdin.close()
                self._statistics = self._line(STOP_TIMEOUT_S)
            finally:
                self._kill()
        return self._statistics

    def __enter__(self) -> "RelayProcess":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self.stop()
        else:
            # Whatever went wrong is of more interest than the relay's last words.
            self._kill()

    def _line(self, timeout_s: float) -> dict[str, Any]:
        assert self._process.stdout is not None
        timer = threading.Timer(timeout_s, self._process.kill)
        timer.start()
        try:
            line = self._process.stdout.readline()
        finally:
            timer.cancel()
        if not line:
            raise LatentcastError(f"the relay ended by itself or said nothing for {timeout_s:g} s")
        message: dict[str, Any] = json.loads(line)
        return message

    def _kill(self) -> None:
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                try:
                    pipe.close()
                except OSError:
                    # What was not yet written has nobody to read it.
                    continue
        try:
            self._process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


async def _run(stdin: BinaryIO) -> None:
    """The child: relays until its input ends."""
    # Imported here: the parent has no need of an HTTP server.
    from bench.network.relay import Relay

    server_url, conditions, seed = pickle.load(stdin)
    relay = Relay(server_url, conditions, seed=seed)
    url = await relay.start()
    print(json.dumps({"url": url, "urls": relay.urls}), flush=True)
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, ended.set)

    def wait_for_end() -> None:
        while stdin.read(1):
            pass
        loop.call_soon_threadsafe(ended.set)

    threading.Thread(target=wait_for_end, name="end of input", daemon=True).start()
    await ended.wait()
    last = json.dumps(await relay.stop()) + "\n"
    # Nobody reads it when the parent was interrupted. Not by print, which would try once more at exit.
    with contextlib.suppress(BrokenPipeError):
        os.write(sys.stdout.fileno(), last.encode())


if __name__ == "__main__":
    asyncio.run(_run(sys.stdin.buffer))
