"""Grey photographs from a picture file, a video, or a camera that is read while it looks."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import av
import av.error
import numpy as np
from numpy.typing import NDArray

from latentcast.errors import UserError

Grey = NDArray[np.uint8]

MAX_IMAGES: Final = 60
"""Photographs kept of a camera: 55 MB at 1280x720, and enough for a p95."""
_CAMERA_SIZE: Final = "1280x720"
"""Asked of a camera first: bar codes need pixels more than they need frames."""


def images_of(path: Path) -> Iterator[Grey]:
    """All pictures of a file, (H, W). Raises UserError when it cannot be read."""
    try:
        with av.open(str(path)) as container:
            if not container.streams.video:
                raise UserError(f"{path} has no picture in it; give a photograph or a video.")
            for frame in container.decode(container.streams.video[0]):
                yield _grey(frame)
    except (av.error.FFmpegError, OSError) as error:
        raise UserError(f"{path} cannot be read as a picture or a video ({error}); give another file.") from error


def _grey(frame: av.VideoFrame) -> Grey:
    picture: NDArray[Any] = frame.reformat(format="gray").to_ndarray()
    return picture.astype(np.uint8, copy=False)


def spread_out(images: Iterator[Grey], *, count: int = MAX_IMAGES) -> list[Grey]:
    """At most `count` of them, evenly spaced, without knowing how many will come."""
    kept: list[Grey] = []
    step = 1
    for index, image in enumerate(images):
        if index % step:
            continue
        kept.append(image)
        if len(kept) > count:
            kept = kept[::2]
            step *= 2
    return kept


class CameraImages:
    """Reads a camera in a thread of its own; keeps one photograph every so often. A context manager."""

    def __init__(self, device: str, *, seconds: float) -> None:
        """seconds: over which the photographs are spread. Raises UserError when the camera cannot be opened."""
        try:
            self._container = _open_camera(device)
        except (av.error.FFmpegError, OSError, ValueError) as error:
            raise UserError(
                f"the camera {device} cannot be opened ({error}); see what `latentcast sources` lists, "
                "or film the two screens with anything and give the file to `latentcast latency camera --video`."
            ) from error
        self._device = device
        self._interval_s = seconds / MAX_IMAGES
        self._ended = threading.Event()
        self._images: list[Grey] = []
        self._problem: str | None = None
        self._thread = threading.Thread(target=self._run, name="camera", daemon=True)
        self._thread.start()

    def finish(self) -> list[Grey]:
        """Stop and hand out the photographs. Raises UserError when the camera failed before the first one."""
        self._ended.set()
        self._thread.join(5.0)
        if not self._images and self._problem is not None:
            raise UserError(f"the camera {self._device} gave no picture ({self._problem}); try another one.")
        return self._images

    def _run(self) -> None:
        due = time.monotonic()
        try:
            for frame in self._container.decode(self._container.streams.video[0]):
                if self._ended.is_set() or len(self._images) >= MAX_IMAGES:
                    break
                if time.monotonic() >= due:
                    due = time.monotonic() + self._interval_s
                    self._images.append(_grey(frame))
        except (av.error.FFmpegError, OSError) as error:
            self._problem = str(error)
        finally:
            self._container.close()

    def __enter__(self) -> "CameraImages":
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join(5.0)


def _open_camera(device: str) -> "av.container.InputContainer":
    """In motion JPEG at 1280x720 where the camera has it, for raw frames of that size are slow over USB; else as is."""
    kind = "v4l2" if device.startswith("/dev/") else None
    for options in ({"video_size": _CAMERA_SIZE, "input_format": "mjpeg"}, {"video_size": _CAMERA_SIZE}, {}):
        try:
            return av.open(device, format=kind, options=dict(options))
        except (av.error.FFmpegError, OSError, ValueError):
            if not options:
                raise
    raise AssertionError("unreachable: the last options are empty")
