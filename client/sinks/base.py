"""What a sink is: something besides the window that takes the pictures of a stream.

    Viewer ──▶ SinkRunner (bounded queue) ──▶ its own thread ──▶ Sink: file, pipe, pictures, virtual camera

Times are microseconds of this machine's monotonic clock: when a picture was there to be seen. All of a sink but its
making runs in the runner's thread.
"""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from latentcast.errors import LatentcastError, UserError


@dataclass(frozen=True, slots=True)
class VideoFormat:
    """What a sink is opened for: the stream as it is at the first picture."""

    width: int
    height: int
    fps: float
    """Nominal rate; pictures come when they come."""
    sound: bool = False
    """Whether the stream has sound."""


class SinkEnded(LatentcastError):
    """Whoever read from the sink has left: nothing is wrong, and nothing more is wanted."""


class Sink(Protocol):
    """Takes pictures one after the other, all of the size it was opened for."""

    capacity: int
    """Pictures that may wait for it; of more, the oldest goes."""

    @property
    def place(self) -> str:
        """Where the pictures go, for messages: a path, `standard output`, a device."""
        ...

    @property
    def size_bytes(self) -> int | None:
        """Bytes written so far; None where that says nothing (a camera)."""
        ...

    def open(self, video: VideoFormat) -> None:
        """Begin. Raises UserError when that is not possible."""
        ...

    def write(self, planes: NDArray[np.uint8], at_us: int) -> None:
        """Take a working picture, uint8 (3, height, width), seen since `at_us`. Raises UserError, SinkEnded."""
        ...

    def wait(self, now_us: int) -> None:
        """No picture has come for a while (a quarter of a second or less). Raises UserError, SinkEnded."""
        ...

    def close(self, now_us: int) -> None:
        """Finish; also after a failure, or before `open`. Raises UserError when the end could not be written."""
        ...


@runtime_checkable
class SoundSink(Protocol):
    """What a sink has besides when it takes sound."""

    def write_sound(self, samples: NDArray[np.int16], at_us: int) -> None:
        """Take `(count, 2)` samples of 48 kHz, to be heard from `at_us` on. Raises UserError."""
        ...


def free_path(path: Path) -> Path:
    """`path`, or `name-2.ext` and so on where that exists: nothing recorded is ever overwritten."""
    candidate, number = path, 1
    while candidate.exists():
        number += 1
        candidate = path.with_name(f"{path.stem}-{number}{path.suffix}")
    return candidate


def need_folder(folder: Path, what: str) -> None:
    """UserError unless `folder` exists and files can be made in it. `what`: the sink as it was given."""
    if not folder.is_dir():
        raise UserError(f"{what} cannot be written: there is no folder {folder}; make it first, or name another.")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise UserError(f"{what} cannot be written: the folder {folder} is not yours to write to; name another.")


def write_error(place: str, error: Exception) -> UserError:
    """One sentence on a write that the system refused."""
    reason = str(getattr(error, "strerror", None) or error).lower()
    return UserError(f"cannot write {place} any more ({reason}); what is written so far is kept.")
