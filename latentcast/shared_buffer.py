"""Memory shared between a parent and a child process: an unlinked file, mapped by both.

It has no name, so nothing can be left behind: when the last process that maps it is gone, however it died, so is the
memory. The child inherits the file descriptor.
"""

import mmap
import os
import tempfile
from pathlib import Path

_MEMORY_FOLDER = Path("/dev/shm")


class SharedBuffer:
    """`size` bytes behind `fd`. `view` is what both ends read and write."""

    def __init__(self, fd: int, size: int) -> None:
        self.fd = fd
        self.size = size
        self._map = mmap.mmap(fd, size)

    @classmethod
    def create(cls, size: int) -> "SharedBuffer":
        """New, zeroed memory. Raises OSError when there is not enough."""
        folder = str(_MEMORY_FOLDER) if _MEMORY_FOLDER.is_dir() else None
        with tempfile.TemporaryFile(dir=folder) as file:
            fd = os.dup(file.fileno())
        try:
            os.ftruncate(fd, size)
            return cls(fd, size)
        except OSError:
            os.close(fd)
            raise

    @property
    def view(self) -> memoryview:
        return memoryview(self._map)

    def close(self) -> None:
        """Give up the descriptor; the mapping goes when the last view of it does."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1
