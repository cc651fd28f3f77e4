"""Cameras: what is opened and how, and every way in which one can be missing. FFmpeg's test pictures stand in."""

import errno
import io
import threading
from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import Any

import av
import numpy as np
import pytest

from latentcast.errors import UserError
from server.sources import open_source, v4l2
from server.sources.base import SourceLost
from server.sources.spec import WebcamSpec
from server.sources.v4l2 import Camera, FrameSize, PixelFormat
from server.sources.webcam import WebcamReceiver, device_name, find_camera

REAL_OPEN = av.open

CAMERA = Camera(
    "/dev/video0",
    "HD Cam",
    (
        PixelFormat("YUYV", (FrameSize(320, 240, (30.0,)),)),
        PixelFormat("MJPG", (FrameSize(320, 240, (30.0,)), FrameSize(1280, 720, (60.0, 30.0)))),
    ),
)


class FakeDevice:
    """`av.open` of a camera: notes what was asked, and opens FFmpeg's test pictures in the format asked for."""

    def __init__(self, *, problem: Exception | None = None, unplugged_after: int | None = None) -> None:
        self.asked: list[tuple[str, str, dict[str, str]]] = []
        self.problem = problem
        self.unplugged_after = unplugged_after

    def __call__(self, name: str, *, format: str, options: dict[str, str], timeout: object) -> Any:
        self.asked.append((name, format, options))
        if self.problem is not None:
            raise self.problem
        size = options.get("video_size", "160x120")
        if options.get("input_format", "mjpeg") == "mjpeg":
            opened = REAL_OPEN(motion_jpeg(size), format="mjpeg")
        else:
            pixels = options["input_format"]
            opened = REAL_OPEN(f"color=c=white:size={size}:rate=30:duration=0.2,format={pixels}", format="lavfi")
        return Unplugged(opened, self.unplugged_after) if self.unplugged_after is not None else opened


def motion_jpeg(size: str) -> io.BytesIO:
    width, height = (int(side) for side in size.split("x"))
    target = io.BytesIO()
    with REAL_OPEN(target, "w", format="mjpeg") as container:
        stream = container.add_stream("mjpeg", rate=30)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuvj422p"
        for _ in range(6):
            white = av.VideoFrame.from_ndarray(np.full((height, width, 3), 255, np.uint8))
            container.mux(stream.encode(white.reformat(format="yuvj422p")))
    return io.BytesIO(target.getvalue())


class Unplugged:
    """A container whose device goes away after some packets."""

    def __init__(self, container: Any, after: int) -> None:
        self._container, self._after = container, after

    def __getattr__(self, name: str) -> Any:
        return getattr(self._container, name)

    def __enter__(self) -> "Unplugged":
        return self

    def __exit__(self, *_: object) -> None:
        self._container.close()

    def demux(self, stream: object) -> Iterator[Any]:
        for number, packet in enumerate(self._container.demux(stream)):
            if number == self._after:
                raise av.error.OSError(errno.ENODEV, "No such device")
            yield packet


def use(monkeypatch: pytest.MonkeyPatch, device: FakeDevice, cameras: Callable[[], list[Camera]]) -> None:
    monkeypatch.setattr(av, "open", device)
    monkeypatch.setattr(v4l2, "cameras", cameras)


@pytest.mark.parametrize(
    ("spec", "size", "options"),
    [
        ("webcam", None, {"input_format": "mjpeg", "video_size": "1280x720", "framerate": "30"}),
        ("webcam:0", (320, 240), {"input_format": "yuyv422", "video_size": "320x240", "framerate": "30"}),
        ("webcam:HD?size=320x240", None, {"input_format": "yuyv422", "video_size": "320x240", "framerate": "30"}),
        ("webcam?format=mjpeg", (320, 240), {"input_format": "mjpeg", "video_size": "320x240", "framerate": "30"}),
        ("webcam?fps=60", None, {"input_format": "mjpeg", "video_size": "1280x720", "framerate": "60"}),
    ],
)  # fmt: skip
def test_pictures_come_in_the_mode_that_suits(
    monkeypatch: pytest.MonkeyPatch, spec: str, size: tuple[int, int] | None, options: dict[str, str]
) -> None:
    device = FakeDevice()
    use(monkeypatch, device, lambda: [CAMERA])
    source = open_source([spec], size=size)
    width, height = (int(side) for side in options["video_size"].split("x"))
    assert source.size == (width, height)
    planes = np.zeros((3, height, width), np.uint8)
    source.read(planes, frame_id=0)
    source.close()
    assert planes[0].min() > 250  # white, whatever the format's range
    assert device.asked[0] == ("/dev/video0", "video4linux2", options)


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.EBUSY, "the camera is in use by another program; close that"),
        (errno.EACCES, "permission denied); add this user to the group video"),
        (errno.ENODEV, "was unplugged"),
        (errno.ENOENT, "is not there; plug it in"),
        (errno.ENOSPC, "its USB bus full"),
        (errno.EINVAL, "does not offer the format, size or rate"),
        (errno.EIO, "cannot be read (text)"),
    ],
)
def test_a_camera_that_cannot_be_opened_says_why(number: int, words: str) -> None:
    device = FakeDevice(problem=av.error.OSError(number, "text"))
    receiver = WebcamReceiver(
        WebcamSpec(), size=(320, 240), fps=30, platform="linux", cameras=lambda: [CAMERA], open_container=device
    )
    with pytest.raises(SourceLost) as loss:
        next(receiver(threading.Event()))
    assert words in str(loss.value)


def test_a_camera_that_is_missing_busy_and_unplugged_is_used_whenever_it_can_be(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    there: list[Camera] = []
    device = FakeDevice(problem=av.error.OSError(errno.EBUSY, "busy"), unplugged_after=2)
    use(monkeypatch, device, lambda: there)
    monkeypatch.setattr("server.sources.reader.FIRST_PAUSE_S", 0.01)
    monkeypatch.setattr("server.sources.reader.LONGEST_PAUSE_S", 0.01)
    source = open_source(["webcam"])
    assert (source.kind, source.size, source.fps) == ("webcam", (640, 360), 30.0)
    planes = np.zeros((3, 360, 640), np.uint8)

    def read_until(words: str) -> None:
        """Read until it is lost for that reason; other reasons are those of before."""
        for number in range(1000):
            try:
                source.read(planes, frame_id=number)
            except SourceLost as loss:
                if words in str(loss):
                    return
        raise AssertionError(words)

    read_until("no camera was found")
    there.append(CAMERA)
    read_until("in use by another program")
    device.problem = None
    read_until("was unplugged")
    device.unplugged_after = None
    read_until("sends nothing more")  # which it says after pictures only
    source.interrupt()
    source.close()


def test_a_camera_is_found_by_path_number_and_part_of_its_name() -> None:
    other = Camera("/dev/video2", "Capture Card")
    denied = Camera("/dev/video1", "video1", problem=errno.EACCES)
    cameras = [denied, CAMERA, other]
    assert find_camera(cameras, "") is CAMERA
    assert find_camera([denied], "") is denied
    assert find_camera(cameras, "2") is other
    assert find_camera(cameras, "/dev/video1") is denied
    assert find_camera(cameras, "capture") is other
    assert find_camera(cameras, "nothing") is None
    absent = find_camera(cameras, "/dev/video99")
    assert absent is not None
    assert absent.problem == errno.ENOENT


def test_what_no_mode_of_the_camera_suits_is_refused_at_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, FakeDevice(), lambda: [CAMERA])
    with pytest.raises(UserError, match=r"does not offer nv12; it has YUYV 320x240; MJPG 320x240, 1280x720"):
        open_source(["webcam?format=nv12"])
    with pytest.raises(UserError, match="does not offer any format 800x600"):
        open_source(["webcam?size=800x600"])


def test_the_kernels_time_is_the_capture_time_where_it_is_of_our_clock() -> None:
    receiver = WebcamReceiver(WebcamSpec(), size=(320, 240), fps=30, platform="linux")
    frame = av.VideoFrame(16, 16, "gray")
    frame.time_base = Fraction(1, 1_000_000)
    for stamp, captured in ((4_950_000, 4_950_000), (1_000, 5_000_000), (5_000_001, 5_000_000), (None, 5_000_000)):
        frame.pts = stamp
        assert receiver._captured_us(frame, 5_000_000) == captured


def test_other_systems_open_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    assert device_name("", "darwin") == "0:none"
    assert device_name("FaceTime", "darwin") == "FaceTime:none"
    assert device_name("HD Cam", "win32") == "video=HD Cam"
    monkeypatch.setattr(av, "enumerate_input_devices", lambda _: [])
    with pytest.raises(SourceLost, match="no camera was found"):
        device_name("", "win32")
    device = FakeDevice()
    receiver = WebcamReceiver(
        WebcamSpec("1", "mjpeg", (320, 240), 30.0), size=(320, 240), fps=30, platform="darwin", open_container=device
    )
    assert receiver.probe() is None
    next(receiver(threading.Event()))
    assert device.asked == [("1:none", "avfoundation", {"video_size": "320x240", "framerate": "30", "vcodec": "mjpeg"})]
    with pytest.raises(UserError, match="this is plan9"):
        WebcamReceiver(WebcamSpec(), size=(320, 240), fps=30, platform="plan9")
