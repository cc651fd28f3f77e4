"""Which of a camera's formats, sizes and rates to use."""

from dataclasses import dataclass

from server.sources.v4l2 import Camera, FrameSize

INPUT_FORMATS = {
    "YUYV": "yuyv422",
    "UYVY": "uyvy422",
    "NV12": "nv12",
    "NV21": "nv21",
    "YU12": "yuv420p",
    "YV12": "yuv420p",
    "RGB3": "rgb24",
    "BGR3": "bgr24",
    "GREY": "gray",
    "MJPG": "mjpeg",
    "JPEG": "mjpeg",
}
"""What FFmpeg's V4L2 input calls the kernel's formats. H.264 is left out: cameras that code it hold frames back."""
_KINDS = {"mjpeg": {"MJPG", "JPEG"}, "nv12": {"NV12"}, "yuyv": {"YUYV"}}

_SHORT, _COMPRESSED, _EXCESS, _FASTER = 10.0, 0.5, 0.1, 0.05
"""Costs: of lacking all of the size or rate wanted, of JPEG (a generation of loss and a decode), of twice the pixels
wanted, of twice the rate. So what is asked for comes first, then raw pictures, then as few pixels as will do."""


@dataclass(frozen=True, slots=True)
class Mode:
    """input_format: FFmpeg's name. Size in pixels, fps in frames per second."""

    input_format: str
    width: int
    height: int
    fps: float


def choose_mode(
    camera: Camera,
    *,
    size: tuple[int, int],
    fps: float,
    pixel_format: str | None = None,
    exact: tuple[int, int] | None = None,
) -> Mode | None:
    """The mode nearest to what is wanted; None when there is none.

    `pixel_format` is mjpeg, raw, nv12 or yuyv (None: any), `exact` a size that must be met. A driver that names no
    rates is taken to reach the one wanted.
    """
    found: list[tuple[float, Mode]] = []
    for one in camera.formats:
        if one.fourcc not in INPUT_FORMATS or not _is_kind(one.fourcc, pixel_format):
            continue
        for offered in one.sizes:
            if exact is None or (offered.width, offered.height) == exact:
                rate = _rate(offered, fps)
                mode = Mode(INPUT_FORMATS[one.fourcc], offered.width, offered.height, rate)
                found.append((_cost(mode, size, fps), mode))
    return min(found, key=lambda pair: pair[0])[1] if found else None


def _is_kind(fourcc: str, pixel_format: str | None) -> bool:
    if pixel_format is None:
        return True
    if pixel_format == "raw":
        return fourcc not in _KINDS["mjpeg"]
    return fourcc in _KINDS[pixel_format]


def _rate(offered: FrameSize, wanted: float) -> float:
    """The lowest rate that reaches the one wanted (29.97 reaches 30), else the highest."""
    reaching = [fps for fps in offered.fps if fps >= 0.98 * wanted]
    return min(reaching) if reaching else max(offered.fps, default=wanted)


def _cost(mode: Mode, size: tuple[int, int], fps: float) -> float:
    # At least the picture wanted inside, whichever side is the shorter one.
    reached = min(1.0, mode.width / size[0], mode.height / size[1])
    pixels = mode.width * mode.height / (size[0] * size[1])
    return (
        _SHORT * (1 - reached)
        + _SHORT * (1 - min(1.0, mode.fps / fps))
        + _COMPRESSED * (mode.input_format == "mjpeg")
        + _EXCESS * max(0.0, pixels - 1)
        + _FASTER * max(0.0, mode.fps / fps - 1)
    )
