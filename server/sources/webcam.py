"""Cameras: V4L2 on Linux, AVFoundation on macOS, DirectShow on Windows, all through FFmpeg.

    what the camera offers (v4l2.py) + what is wanted --> choose_mode --> open --> decode --> NewestFrame
                                         ^ again when it is missing, busy or was unplugged

A camera that is not there, or in use, is waited for. Capture time is the kernel's where its clock is ours (Linux); that
includes the way over USB. Elsewhere it is the time the frame came.
"""

import errno
import re
import sys
import threading
from collections.abc import Callable, Generator

import av

from latentcast.errors import UserError
from server.sources import v4l2
from server.sources.base import SourceLost, check_picture, monotonic_us
from server.sources.camera_mode import Mode, choose_mode
from server.sources.decoding import decode, sample_aspect, video_stream
from server.sources.live import LiveSource, NewestFrame
from server.sources.reader import Reader, Received
from server.sources.spec import WebcamSpec
from server.sources.url import fitted_size

DEFAULT_SIZE = (640, 360)
DEFAULT_FPS = 30.0
"""Asked of a camera, and taken for the stream while there is none."""
FIRST_PICTURE_S = 4.0
"""How long opening waits for a camera whose modes cannot be listed (macOS, Windows) to show its size."""
_TIMEOUTS_S = (10.0, 5.0)
_OLDEST_STAMP_us = 1_000_000
"""A kernel time this long ago, or in the future, is of another clock."""

_INPUT_FORMATS = {"linux": "video4linux2", "darwin": "avfoundation", "win32": "dshow"}


def open_webcam(spec: WebcamSpec, *, size: tuple[int, int] | None, fps: float | None) -> LiveSource:
    """A source over a camera. `size` and `fps` are the stream's, those in `spec` what the camera is asked for.

    Without `size` the picture is the camera's, fitted into what the project handles, or 640x360 while there is no
    camera. Raises UserError for what no camera could do, and for a format or size that this one does not offer.
    """
    check_picture(size=size, fps=fps)
    receiver = WebcamReceiver(spec, size=spec.size or size or DEFAULT_SIZE, fps=spec.fps or fps or DEFAULT_FPS)
    frames = NewestFrame()
    reader = Reader(
        frames,
        receiver,
        name="webcam reader",
        waiting=f"opening {receiver.shown}",
        ended=f"{receiver.shown} sends nothing more; opening it again",
    )
    mode = receiver.probe()
    if size is None:
        if mode is not None:
            size = fitted_size(mode.width, mode.height)
        elif receiver.lists_modes or (shape := reader.first_shape(FIRST_PICTURE_S)) is None:
            size = fitted_size(*(spec.size or DEFAULT_SIZE))
        else:
            size = fitted_size(shape.width, shape.height)
    rate = fps or (mode.fps if mode is not None else None) or spec.fps or DEFAULT_FPS
    return LiveSource(kind="webcam", size=size, fps=rate, frames=frames, producer=reader, stalled=reader.why)


class WebcamReceiver:
    """`Receive` for one camera; which one, and in which mode, is found anew each time it is opened."""

    def __init__(
        self,
        spec: WebcamSpec,
        *,
        size: tuple[int, int],
        fps: float,
        platform: str = sys.platform,
        cameras: Callable[[], list[v4l2.Camera]] | None = None,
        open_container: Callable[..., av.container.InputContainer] | None = None,
        clock: Callable[[], int] = monotonic_us,
    ) -> None:
        """Raises UserError where FFmpeg has no cameras."""
        if platform not in _INPUT_FORMATS:
            raise UserError(f"cameras are read on Linux, macOS and Windows, and this is {platform}: use another source")
        self._spec, self._size, self._fps = spec, size, fps
        self._platform = platform
        self._cameras = cameras or v4l2.cameras
        self._open = open_container or av.open
        self._clock = clock
        self.shown = f"the camera {spec.device}" if spec.device else "the camera"

    @property
    def lists_modes(self) -> bool:
        """Whether cameras here say what they offer before they are opened."""
        return self._platform == "linux"

    def probe(self) -> Mode | None:
        """The mode that would be used now; None if that is not known. Raises UserError as `open_webcam` does."""
        if not self.lists_modes:
            return None
        try:
            camera = self._find()
        except SourceLost:
            return None
        mode = self._choose(camera)
        if mode is None and camera.formats:
            raise UserError(self._nothing_suits(camera))
        return mode

    def __call__(self, stopping: threading.Event) -> Generator[Received, None, None]:
        """See `Receive`."""
        name, options = self._what_to_open()
        try:
            with self._open(
                name, format=_INPUT_FORMATS[self._platform], options=options, timeout=_TIMEOUTS_S
            ) as opened:
                stream = video_stream(opened, self.shown)
                aspect = sample_aspect(stream)
                for frame, came_us in decode(opened, stream, self.shown, clock=self._clock):
                    yield Received(frame, self._captured_us(frame, came_us), aspect)
        except (av.error.FFmpegError, OSError, ValueError) as error:
            raise SourceLost(in_words(error, self.shown, self._platform)) from None

    def _captured_us(self, frame: av.VideoFrame, came_us: int) -> int:
        if frame.time is None:
            return came_us
        stamp_us = round(frame.time * 1e6)
        return stamp_us if came_us - _OLDEST_STAMP_us <= stamp_us <= came_us else came_us

    def _what_to_open(self) -> tuple[str, dict[str, str]]:
        """Name and options for FFmpeg. Raises SourceLost when the camera is not there or has nothing that suits."""
        if not self.lists_modes:
            return device_name(self._spec.device, self._platform), asked(self._spec)
        camera = self._find()
        mode = self._choose(camera)
        if mode is not None:
            return camera.path, {
                "input_format": mode.input_format,
                "video_size": f"{mode.width}x{mode.height}",
                "framerate": f"{mode.fps:g}",
            }
        if camera.formats:
            raise SourceLost(self._nothing_suits(camera))
        return camera.path, asked(self._spec)

    def _choose(self, camera: v4l2.Camera) -> Mode | None:
        exact = self._spec.size
        return choose_mode(camera, size=self._size, fps=self._fps, pixel_format=self._spec.pixel_format, exact=exact)

    def _nothing_suits(self, camera: v4l2.Camera) -> str:
        offered = "; ".join(
            f"{one.fourcc} {', '.join(f'{size.width}x{size.height}' for size in one.sizes)}" for one in camera.formats
        )
        wanted = " ".join(
            [
                self._spec.pixel_format or "any format",
                *([f"{w}x{h}" for w, h in [self._spec.size]] if self._spec.size else []),
            ]
        )
        return f"{camera.name} ({camera.path}) does not offer {wanted}; it has {offered}"

    def _find(self) -> v4l2.Camera:
        """The camera of the spec. Raises SourceLost when it is not there, or may not be opened."""
        cameras = self._cameras()
        camera = find_camera(cameras, self._spec.device)
        if camera is None:
            raise SourceLost(missing(self._spec.device, cameras))
        if camera.problem is not None:
            raise SourceLost(in_words(OSError(camera.problem, ""), f"the camera {camera.path}", self._platform))
        return camera


def find_camera(cameras: list[v4l2.Camera], device: str) -> v4l2.Camera | None:
    """The camera at a path, of a number, or whose name has `device` in it; with no device the first that answers."""
    if not device:
        return next((one for one in cameras if one.problem is None), cameras[0] if cameras else None)
    path = f"/dev/video{int(device)}" if re.fullmatch(r"\d{1,4}", device, re.ASCII) else device
    if path.startswith("/"):
        return next((one for one in cameras if one.path == path), None) or v4l2.query(path)
    return next((one for one in cameras if device.lower() in one.name.lower()), None)


def missing(device: str, cameras: list[v4l2.Camera]) -> str:
    """One sentence on a camera that is not there."""
    there = f"there is {', '.join(f'{one.path} ({one.name})' for one in cameras)}" if cameras else "there is none here"
    which = f"camera {device}" if device else "camera"
    return f"no {which} was found ({there}); plug it in, and it is used when it appears"


def device_name(device: str, platform: str) -> str:
    """What FFmpeg calls a camera on macOS and Windows."""
    if platform == "win32":
        return f"video={device or first_device('dshow')}"
    return f"{device or '0'}:none"


def first_device(input_format: str) -> str:
    """Name of the first camera that FFmpeg lists. Raises SourceLost when it lists none."""
    for device in av.enumerate_input_devices(input_format):
        if "video" in device.media_types:
            return device.description or device.name
    raise SourceLost(missing("", []))


def asked(spec: WebcamSpec) -> dict[str, str]:
    """Options for a camera whose modes are not known: what was asked for in words, nothing else."""
    found = {}
    if spec.size is not None:
        found["video_size"] = f"{spec.size[0]}x{spec.size[1]}"
    if spec.fps is not None:
        found["framerate"] = f"{spec.fps:g}"
    names = {"mjpeg": ("vcodec", "mjpeg"), "nv12": ("pixel_format", "nv12"), "yuyv": ("pixel_format", "yuyv422")}
    if spec.pixel_format in names:
        name, value = names[spec.pixel_format]
        found[name] = value
    return found


def in_words(error: Exception, shown: str, platform: str) -> str:
    """One sentence on what is wrong with a camera, and what to do."""
    number = getattr(error, "errno", None)
    if number in (errno.ENODEV, errno.ENXIO):
        return f"{shown} was unplugged; plug it in again, and it goes on"
    if number == errno.ENOENT:
        return f"{shown} is not there; plug it in, and it is used when it appears"
    if number == errno.EBUSY:
        return f"{shown} is in use by another program; close that, and it is used when it is free"
    if number in (errno.EACCES, errno.EPERM):
        do = "add this user to the group video" if platform == "linux" else "allow it in the system's privacy settings"
        return f"{shown} may not be opened (permission denied); {do}"
    if number == errno.EINVAL:
        return f"{shown} does not offer the format, size or rate asked for; `latentcast sources` lists what it has"
    if number in (errno.ENOTTY,):
        return f"{shown} is not a camera; `latentcast sources` lists those there are"
    if number == errno.ENOSPC:
        return (
            f"{shown} finds its USB bus full; plug it into another port, or ask for a smaller picture or format=mjpeg"
        )
    if isinstance(error, av.error.ExitError | TimeoutError):
        return f"{shown} gives no pictures; trying again"
    reason = getattr(error, "strerror", None) or type(error).__name__
    return f"{shown} cannot be read ({str(reason).lower()}); trying again"
