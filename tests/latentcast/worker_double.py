"""What test_worker.py runs in its child processes: a handler that does as it is told."""

import os
import signal
from collections.abc import Callable

from latentcast.errors import UserError


def make_handler(arguments: str) -> Callable[[str], object]:
    if arguments == "refuse":
        raise UserError("the cellar is full; empty it.")
    if arguments == "fail":
        raise RuntimeError("no handler")

    def handle(job: str) -> object:
        if job == "crash":
            os._exit(7)
        if job == "refuse":
            raise UserError("the cup is too small; take a larger one.")
        if job == "raise":
            raise RuntimeError("on purpose")
        if job == "interrupt":
            os.kill(os.getpid(), signal.SIGINT)
        if job == "niceness":
            return os.nice(0)
        return f"{arguments} {job} by {os.getpid()}"

    return handle
