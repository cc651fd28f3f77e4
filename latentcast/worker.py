"""One child process with a one-slot mailbox: how the codec gets a core of its own.

The parent submits a job only when the child is idle, and gets its result through a callback on the event loop; the
loop never waits for the codec. The child is a fresh interpreter (`latentcast.worker_child`), runs at a lower priority
than the event loops, and ends by itself when the parent is gone. A child that dies is reported once and may be started
again.

    parent: Worker(module="server.encoder_worker", ...)      child: MODULE.make_handler(arguments)
        submit(job) ───────────── pickled, socket pair ─────────────▶ handler(job)
        on_result(result) ◀──────────────────────────────────────────┘
"""

import asyncio
import logging
import os
import pickle
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

from latentcast.errors import UserError

log = logging.getLogger(__name__)

# Below the event loops, so that a packet is never late because the codec computes.
NICENESS = 5
# A child that ignores the closed pipe for this long is killed.
STOP_TIMEOUT_S = 2.0


@dataclass(frozen=True, slots=True)
class Started:
    """First message of the child: its handler is ready."""

    pid: int


@dataclass(frozen=True, slots=True)
class Refused:
    """First message of the child instead: what it was given cannot be used. `message` is meant for the user."""

    message: str


class Worker:
    """The parent's handle of one child. All methods belong to the event loop's thread.

    on_ready() once the child can take jobs; on_result(result) for each job; on_death(reason) once, when the child is
    gone without having been stopped, with a sentence that says why.
    """

    def __init__(
        self,
        *,
        module: str,
        arguments: Any,
        fds: Sequence[int] = (),
        on_ready: Callable[[], None],
        on_result: Callable[[Any], None],
        on_death: Callable[[str], None],
    ) -> None:
        self._module = module
        self._arguments = arguments
        self._fds = tuple(fds)
        self._on_ready = on_ready
        self._on_result = on_result
        self._on_death = on_death
        self._process: subprocess.Popen[bytes] | None = None
        self._pipe: Connection[Any, Any] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._refusal: str | None = None
        self.ready = False
        self.busy = False

    @property
    def pid(self) -> int | None:
        return None if self._process is None else self._process.pid

    def start(self) -> None:
        """Start the child. Raises OSError when the system has no process or memory left."""
        assert self._process is None, "a worker is started once at a time"
        self._loop = asyncio.get_running_loop()
        ours, theirs = socket.socketpair()
        with theirs:
            try:
                # -P: a folder named like one of ours in the working directory must not be imported instead.
                self._process = subprocess.Popen(
                    [sys.executable, "-P", "-m", "latentcast.worker_child", self._module, str(theirs.fileno())],
                    pass_fds=(theirs.fileno(), *self._fds),
                    stdin=subprocess.DEVNULL,
                )
            except BaseException:
                ours.close()
                raise
        self._pipe = Connection(ours.detach())
        self._refusal = None
        self.ready = self.busy = False
        self._pipe.send(self._arguments)
        self._loop.add_reader(self._pipe.fileno(), self._on_readable)

    def submit(self, job: Any) -> None:
        """Hand a job to the idle child. A child that is gone is reported through on_death, not raised here."""
        assert self.ready
        assert not self.busy, "the child takes one job at a time"
        assert self._pipe is not None
        self.busy = True
        try:
            self._pipe.send(job)
        except OSError:
            self._died()

    async def stop(self) -> None:
        """End the child and wait for it. Safe to call at any time, also twice."""
        process = self._detach()
        if process is not None:
            await asyncio.shield(asyncio.get_running_loop().run_in_executor(None, _end, process))

    def _on_readable(self) -> None:
        pipe = self._pipe
        while pipe is not None and pipe is self._pipe:
            try:
                if not pipe.poll():
                    return
                message = pipe.recv()
            except (EOFError, OSError, pickle.UnpicklingError):
                self._died()
                return
            if isinstance(message, Started):
                self.ready = True
                self._on_ready()
            elif isinstance(message, Refused):
                self._refusal = message.message
            else:
                self.busy = False
                self._on_result(message)

    def _died(self) -> None:
        process = self._detach()
        if process is None:
            return
        code = _end(process)
        reason = self._refusal
        if reason is None:
            how = f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with code {code}"
            reason = f"the {self._module} process {how}."
        self._on_death(reason)

    def _detach(self) -> subprocess.Popen[bytes] | None:
        """Forget the child and close the pipe, which tells it to end."""
        process, self._process = self._process, None
        if self._pipe is not None:
            assert self._loop is not None
            self._loop.remove_reader(self._pipe.fileno())
            self._pipe.close()
            self._pipe = None
        self.ready = self.busy = False
        return process


def _end(process: subprocess.Popen[bytes]) -> int:
    try:
        return process.wait(STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait()


def run_worker(make_handler: Callable[[Any], Callable[[Any], Any]], *, fd: int) -> None:
    """The child's main function. `make_handler(arguments)` gets ready and returns the function that does a job.

    A UserError from make_handler is passed to the parent as its message. Anything else ends the process with a
    traceback on stderr, and the parent decides what comes next.
    """
    # Control-C goes to the whole process group; the parent decides when its child ends.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # Workers are small beside the network library's own threads; a second BLAS pool would only fight for the cores.
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(name, "1")
    os.nice(NICENESS)
    pipe: Connection[Any, Any] = Connection(fd)
    try:
        try:
            handler = make_handler(pipe.recv())
        except UserError as error:
            pipe.send(Refused(str(error)))
            return
        pipe.send(Started(os.getpid()))
        while True:
            pipe.send(handler(pipe.recv()))
    except (EOFError, BrokenPipeError, ConnectionResetError):
        return
