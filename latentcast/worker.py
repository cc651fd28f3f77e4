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
import struct
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from latentcast.errors import UserError

log = logging.getLogger(__name__)

# A child that ignores the closed pipe for this long is killed.
STOP_TIMEOUT_S = 2.0
# No frame of any size takes this long on a machine that is of any use.
JOB_TIMEOUT_S = 10.0
_LENGTH = struct.Struct(">I")


@dataclass(frozen=True, slots=True)
class Started:
    """First message of the child: its handler is ready."""

    pid: int


@dataclass(frozen=True, slots=True)
class Refused:
    """Last message of the child: what it was given cannot be used. `message` is meant for the user."""

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
        self._writer: asyncio.StreamWriter | None = None
        self._task: asyncio.Task[None] | None = None
        self._deadline: asyncio.TimerHandle | None = None
        self.ready = False
        self.busy = False
        self.refused = False
        """The child said that it cannot use its arguments or a job: starting it again would change nothing."""

    @property
    def pid(self) -> int | None:
        return None if self._process is None else self._process.pid

    def start(self) -> None:
        """Start the child, at first or after its death. Raises OSError when the system has no process left."""
        assert self._process is None, "a worker is started once at a time"
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
        self.ready = self.busy = self.refused = False
        self._task = asyncio.get_running_loop().create_task(self._listen(ours, self._process), name=self._module)

    def submit(self, job: Any, *, timeout_s: float = JOB_TIMEOUT_S) -> None:
        """Hand a job to the idle child, which is killed when it takes longer than `timeout_s`.

        A child that is gone is reported through on_death, not raised here.
        """
        assert self.ready
        assert not self.busy, "the child takes one job at a time"
        assert self._writer is not None
        self.busy = True
        # One job is under way at a time, so this buffer holds at most one.
        self._writer.write(_framed(job))
        self._deadline = asyncio.get_running_loop().call_later(timeout_s, self._kill, timeout_s)

    async def stop(self) -> None:
        """End the child and wait for it. Safe to call at any time, also twice."""
        task, self._task = self._task, None
        process, self._process = self._process, None
        self.ready = self.busy = False
        if task is not None:
            task.cancel()
            await asyncio.wait([task])
        if process is not None:
            await asyncio.shield(asyncio.get_running_loop().run_in_executor(None, _end, process))

    def _done(self) -> None:
        self.busy = False
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _kill(self, timeout_s: float) -> None:
        """The child hangs; once it is dead it can be started again."""
        log.error("%s has not answered for %.0f s and is killed", self._module, timeout_s)
        if self._process is not None:
            self._process.kill()

    async def _listen(self, pipe: socket.socket, process: subprocess.Popen[bytes]) -> None:
        """Pass the child's messages on until it is gone, then say why. Cancelled by `stop`."""
        refusal: str | None = None
        try:
            reader, writer = await asyncio.open_unix_connection(sock=pipe)
        except BaseException:
            pipe.close()
            raise
        try:
            writer.write(_framed(self._arguments))
            self._writer = writer
            while True:
                (size,) = _LENGTH.unpack(await reader.readexactly(_LENGTH.size))
                message = pickle.loads(await reader.readexactly(size))
                if isinstance(message, Started):
                    self.ready = True
                    self._on_ready()
                elif isinstance(message, Refused):
                    self.refused, refusal = True, message.message
                else:
                    self._done()
                    self._on_result(message)
        except (asyncio.IncompleteReadError, OSError):
            log.debug("%s closed its pipe", self._module)
        except Exception:
            # A message that we could not use is our own mistake; starting afresh is better than standing still.
            log.exception("a message of %s could not be used", self._module)
        finally:
            self._writer = None
            self._done()
            # Closing the pipe is what tells the child to end.
            writer.close()
        self.ready = self.busy = False
        self._process = None
        code = await asyncio.get_running_loop().run_in_executor(None, _end, process)
        if refusal is None:
            how = f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with code {code}"
            refusal = f"the {self._module} process {how}."
        self._task = None
        self._on_death(refusal)


def _framed(message: Any) -> bytes:
    data = pickle.dumps(message, pickle.HIGHEST_PROTOCOL)
    return _LENGTH.pack(len(data)) + data


def _end(process: subprocess.Popen[bytes]) -> int:
    try:
        return process.wait(STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait()


def run_worker(make_handler: Callable[[Any], Callable[[Any], Any]], *, fd: int) -> None:
    """The child's main function. `make_handler(arguments)` gets ready and returns the function that does a job.

    A UserError from either is passed to the parent as its message, and ends the process. Anything else ends it with a
    traceback on stderr, and the parent decides what comes next.
    """
    with socket.socket(fileno=fd) as pipe, pipe.makefile("rwb") as stream:

        def receive() -> Any:
            prefix = stream.read(_LENGTH.size)
            if len(prefix) < _LENGTH.size:
                raise EOFError
            (size,) = _LENGTH.unpack(prefix)
            return pickle.loads(stream.read(size))

        def send(message: Any) -> None:
            stream.write(_framed(message))
            stream.flush()

        try:
            try:
                handler = make_handler(receive())
                send(Started(os.getpid()))
                while True:
                    send(handler(receive()))
            except UserError as error:
                send(Refused(str(error)))
        except (EOFError, BrokenPipeError, ConnectionResetError, pickle.UnpicklingError):
            # The parent is gone: nobody wants the rest.
            os._exit(0)
