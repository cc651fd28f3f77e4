"""What the cameras of a Linux machine offer, asked of the kernel itself: V4L2 ioctls, no library.

    /dev/video*  -->  cameras()  -->  Camera(path, name, formats)
                                        PixelFormat("YUYV", sizes)
                                          FrameSize(640, 480, rates 30, 15 frames/s)

Structures and numbers are those of <linux/videodev2.h> (kernel documentation, "Video for Linux API"); the ioctl numbers
are the generic ones, which x86, ARM and RISC-V have. Drivers are strangers: every answer is checked and every list is
bounded, and what makes no sense is left out.
"""

import errno
import os
import re
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

Ioctl = Callable[[int, int, bytearray], object]
"""`fcntl.ioctl`: fills the buffer in place, raises OSError."""

VIDIOC_QUERYCAP = 0x80685600
VIDIOC_ENUM_FMT = 0xC0405602
VIDIOC_ENUM_FRAMESIZES = 0xC02C564A
VIDIOC_ENUM_FRAMEINTERVALS = 0xC034564B

CAPABILITY = struct.Struct("=16s32s32sIII12x")
"""struct v4l2_capability: driver, card, bus, version, capabilities, device_caps."""
FORMAT = struct.Struct("=III32sI16x")
"""struct v4l2_fmtdesc: index, type, flags, description, pixelformat."""
SIZE = struct.Struct("=III6I8x")
"""struct v4l2_frmsizeenum: index, pixel_format, type, and width, height or min, max, step of both."""
INTERVAL = struct.Struct("=IIIII6I8x")
"""struct v4l2_frmivalenum: index, pixel_format, width, height, type, and one fraction or min, max, step."""

CAPTURE_TYPE = 1
"""V4L2_BUF_TYPE_VIDEO_CAPTURE."""
CAP_VIDEO_CAPTURE = 0x0000_0001
CAP_DEVICE_CAPS = 0x8000_0000
"""V4L2_CAP_DEVICE_CAPS: `device_caps` describes this node; without it only `capabilities`, of the whole device."""
DISCRETE, CONTINUOUS, STEPWISE = 1, 2, 3
"""V4L2_FRMSIZE_TYPE_*, and V4L2_FRMIVAL_TYPE_* alike."""

_MOST_FORMATS, _MOST_SIZES, _MOST_RATES, _MOST_NODES = 32, 128, 32, 64
"""Far above any camera; a driver that never says "no more" ends here."""
_MOST_PIXELS = 16_384
"""Longest side believed."""
_MOST_FPS = 1000.0

_COMMON_SIZES = ((320, 180), (320, 240), (640, 360), (640, 480), (1280, 720), (1920, 1080))
"""Offered out of a range of sizes (continuous or stepwise), where it holds them."""
_COMMON_FPS = (60.0, 30.0, 25.0, 15.0)
"""Likewise out of a range of frame intervals."""


@dataclass(frozen=True, slots=True)
class FrameSize:
    """A picture size in pixels, and the frame rates it comes at, highest first; none when the driver names none."""

    width: int
    height: int
    fps: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class PixelFormat:
    """`fourcc` as the kernel writes it (YUYV, MJPG, NV12), and the sizes it comes in, smallest first."""

    fourcc: str
    sizes: tuple[FrameSize, ...]


@dataclass(frozen=True, slots=True)
class Camera:
    """A device node that captures video; `problem` is the errno that kept it from being asked, with no formats then."""

    path: str
    name: str
    formats: tuple[PixelFormat, ...] = ()
    problem: int | None = None


def cameras(*, folder: Path = Path("/dev"), ioctl: Ioctl | None = None) -> list[Camera]:
    """All cameras by number. Nodes that are no cameras (metadata, codecs, outputs) are left out."""
    nodes = [path for path in folder.glob("video*") if re.fullmatch(r"video\d{1,4}", path.name)]
    nodes.sort(key=lambda path: int(path.name[len("video") :]))
    found = (query(str(path), ioctl=ioctl) for path in nodes[:_MOST_NODES])
    return [camera for camera in found if camera is not None]


def query(path: str, *, ioctl: Ioctl | None = None) -> Camera | None:
    """Ask one device node; None when it is no camera. Never raises: what could not be asked is in `problem`."""
    ask = ioctl or _system_ioctl()
    try:
        # Non-blocking: some drivers power the sensor up in a blocking open.
        device = os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        return Camera(path, Path(path).name, problem=error.errno or errno.EIO)
    try:
        data = bytearray(CAPABILITY.size)
        ask(device, VIDIOC_QUERYCAP, data)
        _, card, _, _, capabilities, device_caps = CAPABILITY.unpack(data)
        if not (device_caps if capabilities & CAP_DEVICE_CAPS else capabilities) & CAP_VIDEO_CAPTURE:
            return None
        return Camera(path, _text(card) or Path(path).name, tuple(_formats(ask, device)))
    except OSError as error:
        if error.errno in (errno.ENOTTY, errno.EINVAL):
            return None
        return Camera(path, Path(path).name, problem=error.errno or errno.EIO)
    finally:
        os.close(device)


def _system_ioctl() -> Ioctl:
    import fcntl  # not on Windows, which asks DirectShow instead

    return fcntl.ioctl


def _entries(
    ask: Ioctl, device: int, number: int, size: int, most: int, head: Callable[[int], bytes]
) -> Iterator[bytes]:
    """The answers to an enumerating ioctl, in order, until the driver says EINVAL (no more) or anything else."""
    for index in range(most):
        data = bytearray(size)
        start = head(index)
        data[: len(start)] = start
        try:
            ask(device, number, data)
        except OSError as error:
            # EINVAL is the end, ENOTTY a driver that cannot enumerate. An unplugged camera is found out by reading.
            if error.errno in (errno.EINVAL, errno.ENOTTY, errno.ENODATA):
                return
            raise
        yield bytes(data)


def _formats(ask: Ioctl, device: int) -> Iterator[PixelFormat]:
    def head(index: int) -> bytes:
        return struct.pack("=II", index, CAPTURE_TYPE)

    seen = set()
    for data in _entries(ask, device, VIDIOC_ENUM_FMT, FORMAT.size, _MOST_FORMATS, head):
        pixel_format = FORMAT.unpack(data)[4]
        fourcc = fourcc_text(pixel_format)
        if fourcc and fourcc not in seen:
            seen.add(fourcc)
            sizes = {(size.width, size.height): size for size in _sizes(ask, device, pixel_format)}
            yield PixelFormat(fourcc, tuple(sizes[key] for key in sorted(sizes)))


def _sizes(ask: Ioctl, device: int, pixel_format: int) -> Iterator[FrameSize]:
    def head(index: int) -> bytes:
        return struct.pack("=II", index, pixel_format)

    for data in _entries(ask, device, VIDIOC_ENUM_FRAMESIZES, SIZE.size, _MOST_SIZES, head):
        _, _, kind, *numbers = SIZE.unpack(data)
        for width, height in parse_sizes(kind, numbers):
            yield FrameSize(width, height, _rates(ask, device, pixel_format, width, height))
        if kind != DISCRETE:
            return  # a range is the only entry there is


def _rates(ask: Ioctl, device: int, pixel_format: int, width: int, height: int) -> tuple[float, ...]:
    def head(index: int) -> bytes:
        return struct.pack("=IIII", index, pixel_format, width, height)

    rates: set[float] = set()
    for data in _entries(ask, device, VIDIOC_ENUM_FRAMEINTERVALS, INTERVAL.size, _MOST_RATES, head):
        _, _, _, _, kind, *numbers = INTERVAL.unpack(data)
        rates.update(parse_rates(kind, numbers))
        if kind != DISCRETE:
            break
    return tuple(sorted(rates, reverse=True))


def parse_sizes(kind: int, numbers: list[int]) -> list[tuple[int, int]]:
    """(width, height) of one v4l2_frmsizeenum: the discrete one, or the common ones and the ends of a range."""
    if kind == DISCRETE:
        found = [(numbers[0], numbers[1])]
    elif kind in (CONTINUOUS, STEPWISE):
        min_w, max_w, step_w, min_h, max_h, step_h = numbers

        def held(value: int, low: int, high: int, step: int) -> bool:
            return low <= value <= high and (kind == CONTINUOUS or step < 1 or (value - low) % step == 0)

        found = [(w, h) for w, h in _COMMON_SIZES if held(w, min_w, max_w, step_w) and held(h, min_h, max_h, step_h)]
        if min_w <= max_w and min_h <= max_h:
            found += [(min_w, min_h), (max_w, max_h)]
    else:
        found = []
    return sorted({size for size in found if all(1 < side <= _MOST_PIXELS for side in size)})


def parse_rates(kind: int, numbers: list[int]) -> list[float]:
    """Frames per second of one v4l2_frmivalenum, whose fractions are seconds per frame."""
    if kind == DISCRETE:
        found = [_rate(*numbers[:2])]
    elif kind in (CONTINUOUS, STEPWISE):
        fastest, slowest = _rate(*numbers[0:2]), _rate(*numbers[2:4])
        found = [fastest, slowest, *(fps for fps in _COMMON_FPS if slowest <= fps <= fastest)]
    else:
        found = []
    return [fps for fps in found if 0 < fps <= _MOST_FPS]


def _rate(numerator: int, denominator: int) -> float:
    return round(denominator / numerator, 3) if numerator else 0.0


def fourcc_text(code: int) -> str:
    """The four characters of a pixel format, without trailing blanks; empty when they are not printable ASCII."""
    text = struct.pack("<I", code & 0x7FFF_FFFF).decode("latin-1").rstrip(" \0")
    return text if text.isascii() and text.isprintable() else ""


def _text(field: bytes) -> str:
    """A C string of the driver, in one printable line."""
    text = field.partition(b"\0")[0].decode("utf-8", "replace")
    return "".join(character for character in text if character.isprintable()).strip()
