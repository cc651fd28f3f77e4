"""A server as a child process, for commands that stream to themselves: `latentcast demo` and `latentcast latency`.

with ServerProcess(["--port", "0", "--source", "pattern"]) as server:
    server.url()
"""

import re
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from types import TracebackType

from latentcast.errors import LatentcastError

# Compiling the entropy coder on a machine that never ran it takes ten seconds.
START_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 5.0


class ServerProcess:
    """Starts at once; a context manager that ends it, whatever happens."""

    def __init__(self, flags: Sequence[str], *, environment: Mapping[str, str] | None = None) -> None:
        """flags: of `latentcast serve`. environment: instead of ours."""
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "latentcast", "serve", *flags],
            stdout=subprocess.PIPE,
            text=True,
            env=None if environment is None else dict(environment),
            # Control-C in the terminal is for its owner; the server ends when that is done.
            start_new_session=True,
        )

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def url(self) -> str:
        """Wait for the server's first line, which has its address. Once only.

        Raises LatentcastError when it does not come, SystemExit(2) when the server has said why on stderr already.
        """
        assert self._process.stdout is not None
        timer = threading.Timer(START_TIMEOUT_S, self._process.kill)
        timer.start()
        try:
            for line in self._process.stdout:
                found = re.search(r"http://\S+", line)
                if found:
                    return found.group()
        finally:
            timer.cancel()
        code = self._process.wait()
        if code == 2:
            # The server has said it in one sentence; saying it twice helps nobody.
            raise SystemExit(2)
        raise LatentcastError(f"the server did not start (exit code {code}).")

    def stop(self) -> None:
        """End it; twice is fine."""
        process = self._process
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        if process.stdout is not None:
            process.stdout.close()

    def __enter__(self) -> "ServerProcess":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
