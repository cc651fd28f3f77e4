"""What V4L2 drivers answer, byte for byte, and what is made of it."""

import errno
import os
import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.sources import v4l2
from server.sources.camera_mode import Mode, choose_mode
from server.sources.v4l2 import Camera, FrameSize, PixelFormat

YUYV = 0x56595559
MJPG = 0x47504A4D


class FakeDriver:
    """A UVC camera: answers as <linux/videodev2.h> lays the structures out, at the offsets written there."""

    def __init__(self, *, caps: int = 0x84A00001, device_caps: int = 0x04200001) -> None:
        self.caps, self.device_caps = caps, device_caps
        self.formats = [YUYV, MJPG]
        self.sizes = {YUYV: [(640, 480), (1280, 720)], MJPG: [(1280, 720)]}
        self.intervals = {(YUYV, 640): [(1, 30), (1, 15)], (YUYV, 1280): [(1, 10)], (MJPG, 1280): [(1001, 30000)]}

    def __call__(self, _: int, number: int, data: bytearray) -> int:
        index = struct.unpack_from("=I", data)[0]
        try:
            if number == 0x80685600:  # VIDIOC_QUERYCAP
                assert len(data) == 104
                data[0:3], data[16:26], data[48:52] = b"uvc", b"HD Cam\0xyz", b"usb-"
                struct.pack_into("=III", data, 80, 0x60000, self.caps, self.device_caps)
            elif number == 0xC0405602:  # VIDIOC_ENUM_FMT
                assert (len(data), struct.unpack_from("=I", data, 4)[0]) == (64, 1)
                struct.pack_into("=I", data, 44, self.formats[index])
            elif number == 0xC02C564A:  # VIDIOC_ENUM_FRAMESIZES
                assert len(data) == 44
                width, height = self.sizes[struct.unpack_from("=I", data, 4)[0]][index]
                struct.pack_into("=III", data, 8, 1, width, height)
            elif number == 0xC034564B:  # VIDIOC_ENUM_FRAMEINTERVALS
                assert len(data) == 52
                pixel_format, width = struct.unpack_from("=II", data, 4)
                struct.pack_into("=III", data, 16, 1, *self.intervals[pixel_format, width][index])
            else:
                raise AssertionError(hex(number))
        except IndexError:
            raise OSError(errno.EINVAL, "no more") from None
        return 0


@pytest.fixture
def node(tmp_path: Path) -> Path:
    node = tmp_path / "video0"
    node.touch()
    return node


def test_a_camera_tells_its_name_formats_sizes_and_rates(node: Path) -> None:
    assert v4l2.query(str(node), ioctl=FakeDriver()) == Camera(
        str(node),
        "HD Cam",
        (
            PixelFormat("YUYV", (FrameSize(640, 480, (30.0, 15.0)), FrameSize(1280, 720, (10.0,)))),
            PixelFormat("MJPG", (FrameSize(1280, 720, (29.97,)),)),
        ),
    )


@pytest.mark.parametrize(
    ("caps", "device_caps"),
    [
        (0x84A00001, 0x04A00000),  # the metadata node of a camera
        (0x00000002, 0),  # an output, of a driver without device_caps
        (0x84204000, 0x04204000),  # a codec, memory to memory
    ],
)
def test_nodes_that_capture_nothing_are_no_cameras(node: Path, caps: int, device_caps: int) -> None:
    assert v4l2.query(str(node), ioctl=FakeDriver(caps=caps, device_caps=device_caps)) is None


def test_a_file_that_is_no_device_is_no_camera(node: Path) -> None:
    assert v4l2.query(str(node)) is None


def test_a_node_that_cannot_be_opened_says_why(tmp_path: Path) -> None:
    assert v4l2.query(str(tmp_path / "video7"), ioctl=FakeDriver()) == Camera(
        str(tmp_path / "video7"), "video7", problem=errno.ENOENT
    )


def test_a_camera_unplugged_while_it_is_asked_says_so(node: Path) -> None:
    def gone(_: int, number: int, data: bytearray) -> int:
        if number == v4l2.VIDIOC_ENUM_FMT:
            raise OSError(errno.ENODEV, "gone")
        return FakeDriver()(0, number, data)

    assert v4l2.query(str(node), ioctl=gone) == Camera(str(node), "video0", problem=errno.ENODEV)


def test_cameras_come_by_number_and_devices_are_closed(tmp_path: Path) -> None:
    for name in ("video10", "video2", "videos", "video-x", "vbi0"):
        (tmp_path / name).touch()
    before = len(os.listdir("/proc/self/fd"))
    found = v4l2.cameras(folder=tmp_path, ioctl=FakeDriver())
    assert [Path(camera.path).name for camera in found] == ["video2", "video10"]
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_driver_that_never_ends_a_list_is_cut_short(node: Path) -> None:
    def endless(_: int, number: int, data: bytearray) -> int:
        index = struct.unpack_from("=I", data)[0]
        if number == v4l2.VIDIOC_ENUM_FRAMESIZES:
            struct.pack_into("=III", data, 8, 1, 100 + index, 100)
        elif number == v4l2.VIDIOC_ENUM_FRAMEINTERVALS:
            struct.pack_into("=III", data, 16, 1, 1, 1 + index)
        else:
            return FakeDriver()(0, number, data)
        return 0

    camera = v4l2.query(str(node), ioctl=endless)
    assert camera is not None
    assert len(camera.formats[0].sizes) <= 128


def test_ranges_offer_the_common_sizes_and_rates_in_them_and_their_ends() -> None:
    assert v4l2.parse_sizes(v4l2.STEPWISE, [160, 1296, 16, 120, 736, 8]) == [
        (160, 120), (320, 240), (640, 360), (640, 480), (1280, 720), (1296, 736),
    ]  # fmt: skip
    assert v4l2.parse_rates(v4l2.CONTINUOUS, [1, 60, 1, 10, 0, 0]) == [60.0, 10.0, 60.0, 30.0, 25.0, 15.0]


@given(kind=st.integers(0, 5), numbers=st.lists(st.integers(0, 2**32 - 1), min_size=6, max_size=6))
def test_any_numbers_give_sizes_and_rates_that_make_sense(kind: int, numbers: list[int]) -> None:
    assert all(1 < side <= 16_384 for size in v4l2.parse_sizes(kind, numbers) for side in size)
    assert all(0 < fps <= 1000 for fps in v4l2.parse_rates(kind, numbers))


@given(answers=st.binary(min_size=104, max_size=104))
def test_a_driver_that_answers_anything_does_no_harm(answers: bytes) -> None:
    node = Path("/dev/null")

    def anything(_: int, number: int, data: bytearray) -> int:
        if number != v4l2.VIDIOC_QUERYCAP and struct.unpack_from("=I", data)[0] > 2:
            raise OSError(errno.EINVAL, "no more")
        data[:] = answers[: len(data)]
        return 0

    camera = v4l2.query(str(node), ioctl=anything)
    if camera is not None:
        assert camera.name.isprintable()
        assert all(one.fourcc.isprintable() and one.fourcc.isascii() for one in camera.formats)


CAMERA = Camera(
    "/dev/video0",
    "cam",
    (
        PixelFormat("H264", (FrameSize(640, 360, (30.0,)),)),
        PixelFormat(
            "YUYV",
            (FrameSize(320, 240, (30.0,)), FrameSize(640, 480, (60.0, 30.0, 15.0)), FrameSize(1280, 720, (10.0,))),
        ),
        PixelFormat("MJPG", (FrameSize(640, 480, (30.0,)), FrameSize(1280, 720, (30.0,)), FrameSize(1920, 1080, ()))),
    ),
)


@pytest.mark.parametrize(
    ("size", "fps", "pixel_format", "mode"),
    [
        ((640, 360), 30.0, None, Mode("yuyv422", 640, 480, 30.0)),  # raw before compressed, no larger than needed
        ((1280, 720), 30.0, None, Mode("mjpeg", 1280, 720, 30.0)),  # the rate is worth a generation of JPEG
        ((1280, 720), 10.0, None, Mode("yuyv422", 1280, 720, 10.0)),
        ((640, 360), 60.0, None, Mode("yuyv422", 640, 480, 60.0)),
        ((640, 360), 30.0, "mjpeg", Mode("mjpeg", 640, 480, 30.0)),
        ((1920, 1080), 30.0, None, Mode("mjpeg", 1920, 1080, 30.0)),  # no rates named: taken to reach it
        ((1280, 720), 30.0, "raw", Mode("yuyv422", 640, 480, 30.0)),
        ((640, 360), 30.0, "nv12", None),
    ],
)
def test_the_nearest_mode_is_chosen(
    size: tuple[int, int], fps: float, pixel_format: str | None, mode: Mode | None
) -> None:
    assert choose_mode(CAMERA, size=size, fps=fps, pixel_format=pixel_format) == mode


def test_raw_comes_before_compressed_whatever_the_driver_lists_first() -> None:
    sizes = (FrameSize(640, 480, (30.0,)),)
    camera = Camera("/dev/video0", "cam", (PixelFormat("MJPG", sizes), PixelFormat("YUYV", sizes)))
    assert choose_mode(camera, size=(640, 360), fps=30) == Mode("yuyv422", 640, 480, 30.0)


def test_a_size_asked_of_the_camera_is_met_or_nothing() -> None:
    assert choose_mode(CAMERA, size=(1280, 720), fps=30, exact=(1280, 720)) == Mode("mjpeg", 1280, 720, 30.0)
    assert choose_mode(CAMERA, size=(800, 600), fps=30, exact=(800, 600)) is None
