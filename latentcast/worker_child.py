"""Entry point of a worker's child: `python -m latentcast.worker_child MODULE FD`. MODULE has `make_handler`.

It is a module of its own because a module that runs as `__main__` is another one than the parent imported, and its
classes would not be recognised in messages.
"""

import importlib
import sys

from latentcast.worker import run_worker

if __name__ == "__main__":
    run_worker(importlib.import_module(sys.argv[1]).make_handler, fd=int(sys.argv[2]))
