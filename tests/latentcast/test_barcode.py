"""The bar code after everything that happens to a picture between two machines, and never a wrong reading."""

from fractions import Fraction
from functools import lru_cache
from typing import Literal

import av
import numpy as np
import pytest
from av.video.reformatter import Interpolation, VideoReformatter
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from latentcast.barcode import BarCode, draw, read, strip_height

SIZES = [(256, 144), (320, 240), (480, 360), (640, 360), (641, 363), (854, 480), (1280, 720), (1920, 1080)]
CODE = BarCode(frame_number=1_234_567, captured_us=98_765_432_101)


@lru_cache
def textured(width: int, height: int) -> NDArray[np.uint8]:
    """A working picture with smooth and busy parts, so that a coder has something to spend its bits on."""
    rng = np.random.default_rng(0)
    x, y = np.meshgrid(np.linspace(0, 9, width), np.linspace(0, 7, height))
    luma = 120 + 60 * np.sin(x * y / 3) + rng.normal(0, 12, (height, width))
    return np.stack([luma, 128 + 40 * np.sin(x), 128 + 40 * np.cos(y)]).clip(0, 255).astype(np.uint8)


def picture_with_code(width: int, height: int, code: BarCode = CODE) -> NDArray[np.uint8]:
    planes = textured(width, height).copy()
    draw(planes, frame_number=code.frame_number, captured_us=code.captured_us)
    return planes


def rescaled(luma: NDArray[np.uint8], factor: float, kind: Interpolation = Interpolation.BICUBIC) -> NDArray[np.uint8]:
    height, width = (round(side * factor) for side in luma.shape)
    frame = av.VideoFrame.from_ndarray(luma, format="gray")
    frame = VideoReformatter().reformat(frame, width=width, height=height, interpolation=kind, threads=1)
    plane = frame.planes[0]
    return np.frombuffer(memoryview(plane), np.uint8).reshape(height, -1)[:, :width]


def jpeg(planes: NDArray[np.uint8], *, quantiser: int) -> NDArray[np.uint8]:
    """Through FFmpeg's MJPEG encoder, 4:2:0; 31 is its coarsest quantiser."""
    _, height, width = planes.shape
    frame = av.VideoFrame(width, height, "yuv444p")
    for plane, values in zip(frame.planes, planes, strict=True):
        np.frombuffer(memoryview(plane), np.uint8).reshape(height, -1)[:, :width] = values
    frame = VideoReformatter().reformat(frame, format="yuvj420p", dst_color_range=2, src_color_range=2, threads=1)
    encoder = av.CodecContext.create("mjpeg", "w")
    encoder.qmin = encoder.qmax = quantiser
    encoder.width, encoder.height, encoder.pix_fmt, encoder.time_base = width, height, "yuvj420p", Fraction(1, 25)
    encoder.thread_count = 1
    (packet,) = encoder.encode(frame)
    (decoded,) = av.CodecContext.create("mjpeg", "r").decode(packet)
    plane = decoded.planes[0]
    return np.frombuffer(memoryview(plane), np.uint8).reshape(height, -1)[:, :width].copy()


def blurred(luma: NDArray[np.uint8], times: int) -> NDArray[np.uint8]:
    values: NDArray[np.floating] = np.pad(luma.astype(np.float32), times, mode="edge")
    for _ in range(times):
        values = (values[:-2] + 2 * values[1:-1] + values[2:]) / 4
        values = (values[:, :-2] + 2 * values[:, 1:-1] + values[:, 2:]) / 4
    return values.astype(np.uint8)


def noisy(luma: NDArray[np.uint8], sigma: float) -> NDArray[np.uint8]:
    noise = sigma * np.random.default_rng(1).standard_normal(luma.shape, np.float32)
    return (luma + noise).clip(0, 255).astype(np.uint8)


@given(st.integers(0, 2**32 - 1), st.integers(0, 2**48 - 1), st.integers(128, 1920), st.integers(64, 1088))
@settings(max_examples=60, deadline=None)
def test_every_number_at_every_size(frame_number: int, captured_us: int, width: int, height: int) -> None:
    strip = strip_height(width=width, height=height)
    assume(strip)
    assert strip <= max(height / 3, 48)
    planes = np.full((3, height, width), 77, np.uint8)
    draw(planes, frame_number=frame_number, captured_us=captured_us)
    assert read(planes[0]) == BarCode(frame_number, captured_us)
    assert (planes[:, : height - strip] == 77).all()
    assert (planes[1:, height - strip :] == 128).all()


@pytest.mark.parametrize("size", SIZES)
def test_cells_are_eight_pixels_or_more(size: tuple[int, int]) -> None:
    """From 256x144 on, no run of black or white inside the strip is shorter than the codec's 8x8 structure."""
    width, height = size
    planes = picture_with_code(width, height)
    top = height - strip_height(width=width, height=height)
    runs = np.diff(np.flatnonzero(np.diff(planes[0, top].astype(int))))
    assert runs.min() >= 8
    assert strip_height(width=width, height=height) <= height * 0.23


@pytest.mark.parametrize("size", [(256, 144), (640, 360), (1280, 720), (1920, 1080)])
def test_cells_lie_on_the_structure_of_the_codec(size: tuple[int, int]) -> None:
    width, height = size
    top = height - strip_height(width=width, height=height)
    strip = picture_with_code(width, height)[0, top:].astype(int)
    edges_x = np.flatnonzero(np.diff(strip, axis=1).any(axis=0)) + 1
    edges_y = np.flatnonzero(np.diff(strip, axis=0).any(axis=1)) + 1
    assert (np.concatenate([edges_x, edges_y + top, [top]]) % 8 == 0).all()


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("factor", [0.5, 0.77, 1.0, 1.7])
def test_blur_rescaling_and_noise(size: tuple[int, int], factor: float) -> None:
    luma = noisy(rescaled(blurred(picture_with_code(*size)[0], 2), factor), 12)
    assert read(luma) == CODE


@pytest.mark.parametrize("size", SIZES)
def test_coarse_jpeg(size: tuple[int, int]) -> None:
    luma = jpeg(picture_with_code(*size), quantiser=31)
    assert read(luma) == CODE
    assert read(rescaled(luma, 0.6)) == CODE


@pytest.mark.parametrize("size", [(256, 144), (640, 360)])
@pytest.mark.parametrize("kind", [Interpolation.POINT, Interpolation.BILINEAR, Interpolation.LANCZOS])
def test_window_scalers(size: tuple[int, int], kind: Interpolation) -> None:
    for factor in (0.6, 1.3, 2.5):
        assert read(rescaled(picture_with_code(*size)[0], factor, kind)) == CODE


@pytest.mark.parametrize(("gain", "offset"), [(0.25, 0), (0.25, 180), (0.5, 60), (1.0, 15)])
def test_lost_contrast_and_a_tint(gain: float, offset: int) -> None:
    luma = noisy((picture_with_code(640, 360)[0] * gain + offset).astype(np.uint8), 3)
    assert read(luma) == CODE


def test_uneven_light() -> None:
    """As from a camera: the right half of the screen in shadow."""
    luma = picture_with_code(1280, 720)[0] * np.linspace(1.0, 0.62, 1280)
    assert read(luma.astype(np.uint8)) == CODE


def test_a_smear_over_a_few_cells_is_repaired() -> None:
    planes = picture_with_code(640, 360)
    planes[0, 344:352, 200:240] = 120
    assert read(planes[0]) == CODE


@pytest.mark.parametrize("column", range(12, 68, 5))
def test_an_inverted_cell_is_never_read_as_another_number(column: int) -> None:
    planes = picture_with_code(640, 360)
    cell = planes[0, 352:360, column * 8 : column * 8 + 8]
    cell[:] = 251 - cell
    assert read(planes[0]) is None


@pytest.mark.parametrize("kind", ["noise", "texture", "black", "white", "stripes"])
def test_pictures_without_a_code(kind: Literal["noise", "texture", "black", "white", "stripes"]) -> None:
    rng = np.random.default_rng(5)
    for _ in range(5 if kind in ("noise", "texture") else 1):
        for width, height in ((256, 144), (640, 360)):
            luma = {
                "noise": rng.integers(0, 256, (height, width), dtype=np.uint8),
                "texture": textured(width, height)[0],
                "black": np.zeros((height, width), np.uint8),
                "white": np.full((height, width), 255, np.uint8),
                "stripes": np.tile((np.arange(width) // 8 % 2 * 255).astype(np.uint8), (height, 1)),
            }[kind]
            assert read(luma) is None


def test_a_mixture_of_two_frames_is_refused() -> None:
    """As a screen grab half-way through a refresh has it."""
    luma = picture_with_code(640, 360)[0]
    newer = picture_with_code(640, 360, BarCode(CODE.frame_number + 1, CODE.captured_us + 33_333))[0]
    mixed = luma.copy()
    mixed[352:] = newer[352:]
    assert read(mixed) is None
    assert read(newer) == BarCode(CODE.frame_number + 1, CODE.captured_us + 33_333)


def test_limits() -> None:
    small = np.zeros((3, 64, 64), np.uint8)
    assert strip_height(width=64, height=64) == 0
    assert read(small[0]) is None
    with pytest.raises(ValueError, match="does not fit"):
        draw(small, frame_number=0, captured_us=0)
    planes = np.zeros((3, 360, 640), np.uint8)
    for frame_number, captured_us in ((-1, 0), (2**32, 0), (0, -1), (0, 2**48)):
        with pytest.raises(ValueError, match="out of range"):
            draw(planes, frame_number=frame_number, captured_us=captured_us)
