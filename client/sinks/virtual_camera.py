"""A virtual camera: the stream as a webcam of this machine, for programs that only take one.

Through pyvirtualcam (extra `virtualcam`): v4l2loopback on Linux, OBS on Windows and macOS.
"""

import importlib
import sys
from typing import Any

import numpy as np
from numpy.typing import NDArray

from client.sinks.base import VideoFormat
from codec.colour import ycbcr_to_rgb
from latentcast.errors import UserError

REPEAT_US = 500_000
"""A program that opens the camera in the middle of a stall sees the last picture after that long at most."""

_ADVICE = {
    "linux": "install v4l2loopback and load it: sudo modprobe v4l2loopback exclusive_caps=1 card_label=Latentcast",
    "darwin": "install OBS Studio and start its virtual camera once",
    "win32": "install OBS Studio",
}


def _library() -> Any:
    try:
        return importlib.import_module("pyvirtualcam")
    except ImportError:
        raise UserError(
            "a virtual camera needs pyvirtualcam, which is not installed; install Latentcast with its extra "
            "`virtualcam`, for example: pip install 'latentcast[virtualcam]'"
        ) from None


class VirtualCameraSink:
    """Sends every picture to the camera; the newest only, should that be slow."""

    capacity = 1

    def __init__(self, device: str | None) -> None:
        """`device`: such as /dev/video2; None takes the first there is. UserError without pyvirtualcam."""
        self._camera_class = _library().Camera
        self._device = device
        self._camera: Any = None
        self._last: tuple[NDArray[np.uint8], int] | None = None

    @property
    def place(self) -> str:
        """The device."""
        return f"virtual camera {self._device or ''}".strip()

    @property
    def size_bytes(self) -> int | None:
        """Nothing is kept."""
        return None

    def open(self, video: VideoFormat) -> None:
        """Take the camera."""
        try:
            self._camera = self._camera_class(video.width, video.height, video.fps, device=self._device)
        except Exception as error:  # pyvirtualcam raises RuntimeError, its backends whatever they like
            reason = str(error).split("\n")[0].split(". ")[0].rstrip(".;")
            advice = _ADVICE.get(sys.platform, _ADVICE["linux"])
            wanted = self._device or "a virtual camera"
            raise UserError(f"{wanted} cannot be opened ({reason}); {advice}.") from None
        self._device = self._camera.device

    def write(self, planes: NDArray[np.uint8], at_us: int) -> None:
        """Show the picture."""
        self._send(ycbcr_to_rgb(planes), at_us)

    def wait(self, now_us: int) -> None:
        """Show it again, for programs that come now."""
        if self._last is not None and now_us - self._last[1] >= REPEAT_US:
            self._send(self._last[0], now_us)

    def close(self, now_us: int) -> None:
        """Let go of the camera."""
        if self._camera is not None:
            self._camera.close()
            self._camera = None

    def _send(self, rgb: NDArray[np.uint8], at_us: int) -> None:
        try:
            self._camera.send(rgb)
        except Exception as error:
            raise UserError(f"{self.place} took no more pictures ({error}); is it still there?") from None
        self._last = rgb, at_us
