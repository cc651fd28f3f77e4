"""Entry point of a worker's child: `python -m latentcast.worker_child MODULE FD`. MODULE has `make_handler`.

It is a module of its own because a module that runs as `__main__` is another one than the parent imported, and its
classes would not be recognised in messages. What must happen before the slow imports happens here.
"""

import importlib
import os
import signal
import sys

# Below the event loops, so that a packet is never late because the codec computes.
NICENESS = 5
# The network library has its own threads, as many as it is told; a BLAS pool beside it would only fight for the cores.
_THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def main() -> None:
    """Become the child that `Worker` talks to."""
    # Control-C goes to the whole process group; the parent decides when its child ends.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.nice(NICENESS)
    for name in _THREAD_VARIABLES:
        os.environ.setdefault(name, "1")
    worker = importlib.import_module("latentcast.worker")
    worker.run_worker(importlib.import_module(sys.argv[1]).make_handler, fd=int(sys.argv[2]))


if __name__ == "__main__":
    main()
