"""Colour bars through every matrix, range and subsampling, drawn and checked with formulas that know no swscale."""

import av
import numpy as np
import pytest
from av.video.reformatter import VideoReformatter
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from codec.colour import (
    ToPlanes,
    fit_rectangle,
    frame_to_planes,
    paint_border,
    planes_to_frame,
    psnr_y,
    ycbcr_to_rgb,
)
from latentcast.errors import UserError

BT601, BT709, UNSPECIFIED, BT2020, YCGCO = 6, 1, 2, 9, 8
LIMITED, FULL = 1, 2
WEIGHTS = {BT601: (0.299, 0.114), BT709: (0.2126, 0.0722), BT2020: (0.2627, 0.0593)}


def colour_bars(width: int, height: int) -> NDArray[np.float64]:
    """RGB 0..1, (H, W, 3): the eight bars at 100 % in the upper half, at 75 % in the lower."""
    bars = np.array([[1, 1, 1], [1, 1, 0], [0, 1, 1], [0, 1, 0], [1, 0, 1], [1, 0, 0], [0, 0, 1], [0, 0, 0]], float)
    picture = np.broadcast_to(np.repeat(bars, width // 8, axis=0), (height, width, 3)).copy()
    picture[height // 2 :] *= 0.75
    return picture


def to_ycbcr(rgb: NDArray[np.float64], *, matrix: int, full: bool) -> NDArray[np.uint8]:
    """H.273 equations 8-bit: (H, W, 3) in 0..1 to (3, H, W) code values."""
    kr, kb = WEIGHTS[matrix]
    y = rgb @ [kr, 1 - kr - kb, kb]
    pb, pr = (rgb[..., 2] - y) / (2 * (1 - kb)), (rgb[..., 0] - y) / (2 * (1 - kr))
    codes = [255 * y, 255 * pb + 128, 255 * pr + 128] if full else [219 * y + 16, 224 * pb + 128, 224 * pr + 128]
    return np.clip(np.round(codes), 0, 255).astype(np.uint8)


def yuv_frame(planes: NDArray[np.uint8], *, pixels: str = "yuv444p", matrix: int, colour_range: int) -> av.VideoFrame:
    """Frame with the code values as they are; 4:2:0 takes the mean of each 2x2 block of chroma."""
    _, height, width = planes.shape
    frame = av.VideoFrame(width, height, pixels)
    for index, plane in enumerate(frame.planes):
        values = planes[index].astype(np.uint16)
        if plane.width < width:
            values = (values.reshape(height // 2, 2, width // 2, 2).sum((1, 3)) + 2) // 4
        if pixels.endswith("10le"):
            rows = np.frombuffer(memoryview(plane), np.uint16).reshape(plane.height, -1)
            rows[:, : plane.width] = values * 4
        else:
            np.frombuffer(memoryview(plane), np.uint8).reshape(plane.height, -1)[:, : plane.width] = values
    frame.colorspace = matrix
    frame.color_range = colour_range
    return frame


def worst_in_bars(rgb: NDArray[np.uint8], expected: NDArray[np.float64]) -> float:
    """Largest error in code values, away from the edges between bars, where subsampled chroma mixes."""
    width, half = rgb.shape[1], rgb.shape[0] // 2
    inside = np.abs(np.arange(width) % (width // 8) - width // 16) < width // 32
    rows = np.abs(np.arange(2 * half) - half) > 4
    return float(np.abs(rgb[rows][:, inside] - 255.0 * expected[rows][:, inside]).max())


@pytest.mark.parametrize("pixels", ["yuv444p", "yuv420p", "yuv422p", "yuv420p10le"])
@pytest.mark.parametrize("matrix", [BT601, BT709, BT2020])
@pytest.mark.parametrize("full", [False, True])
def test_colour_bars_come_back(pixels: str, matrix: int, full: bool) -> None:
    bars = colour_bars(256, 96)
    if pixels == "yuv422p":
        planes = to_ycbcr(bars, matrix=matrix, full=full)
        frame = yuv_frame(planes, matrix=matrix, colour_range=FULL if full else LIMITED)
        # Equal labels on both sides: swscale only drops every other chroma column.
        frame = VideoReformatter().reformat(frame, format=pixels, threads=1)
    else:
        frame = yuv_frame(
            to_ycbcr(bars, matrix=matrix, full=full),
            pixels=pixels,
            matrix=matrix,
            colour_range=FULL if full else LIMITED,
        )
    planes = frame_to_planes(frame, width=256, height=96)
    tolerance = 5 if pixels == "yuv420p10le" else 3  # swscale dithers ten bits to eight: one more code value
    assert worst_in_bars(ycbcr_to_rgb(planes), bars) <= tolerance


@pytest.mark.parametrize(("matrix", "full"), [(BT709, False), (BT601, True)])
def test_a_wrong_label_is_seen_by_the_bars(matrix: int, full: bool) -> None:
    """The check above is worth something only if a mistaken range or matrix fails it."""
    bars = colour_bars(256, 96)
    frame = yuv_frame(to_ycbcr(bars, matrix=BT709, full=True), matrix=matrix, colour_range=FULL if full else LIMITED)
    assert worst_in_bars(ycbcr_to_rgb(frame_to_planes(frame, width=256, height=96)), bars) > 15


@pytest.mark.parametrize("size", [(256, 96), (128, 48), (100, 60), (384, 144), (1024, 640)])
@pytest.mark.parametrize("pixels", ["yuv444p", "yuv420p"])
def test_scaling_changes_no_colour(size: tuple[int, int], pixels: str) -> None:
    """swscale's shortcuts differ by size; a flat colour must come out the same through all of them."""
    rgb = np.broadcast_to(np.array([0.8, 0.3, 0.1]), (96, 256, 3))
    frame = yuv_frame(to_ycbcr(rgb, matrix=BT601, full=False), pixels=pixels, matrix=BT601, colour_range=LIMITED)
    planes = frame_to_planes(frame, width=size[0], height=size[1])
    expected = to_ycbcr(rgb[:1, :1], matrix=BT709, full=True)
    assert np.abs(planes.astype(int) - expected).max() <= 2


@given(st.integers(0, 255), st.integers(0, 255), st.integers(0, 255), st.sampled_from([BT601, BT2020]), st.booleans())
@settings(max_examples=60, deadline=None)
def test_any_code_values_follow_the_formula_without_wrapping(y: int, cb: int, cr: int, matrix: int, full: bool) -> None:
    planes = np.empty((3, 64, 64), np.uint8)
    planes[:] = np.array([y, cb, cr])[:, None, None]
    frame = yuv_frame(planes, matrix=matrix, colour_range=FULL if full else LIMITED)
    kr, kb = WEIGHTS[matrix]
    luma = y / 255 if full else (y - 16) / 219
    pb, pr = ((cb - 128) / 255, (cr - 128) / 255) if full else ((cb - 128) / 224, (cr - 128) / 224)
    r, b = luma + (2 - 2 * kr) * pr, luma + (2 - 2 * kb) * pb
    g = (luma - kr * r - kb * b) / (1 - kr - kb)
    expected = to_ycbcr(np.array([[[r, g, b]]]), matrix=BT709, full=True)
    got = frame_to_planes(frame, width=64, height=64)
    assert np.abs(got.astype(int) - expected).max() <= 1


@pytest.mark.parametrize("pixels", ["yuv444p", "yuv420p"])
@pytest.mark.parametrize("matrix", [BT601, BT709])
def test_grey_stays_grey(pixels: str, matrix: int) -> None:
    codes = np.full((3, 64, 256), 128, np.uint8)
    codes[0] = np.arange(256)
    planes = frame_to_planes(yuv_frame(codes, pixels=pixels, matrix=matrix, colour_range=LIMITED), width=256, height=64)
    assert (planes[1:] == 128).all()
    assert np.abs(planes[0] - np.clip(np.round((codes[0] - 16.0) * 255 / 219), 0, 255)).max() <= 1
    rgb = ycbcr_to_rgb(planes)
    assert (rgb == rgb[..., :1]).all()


@pytest.mark.parametrize("label", [UNSPECIFIED, 0, 3])
@pytest.mark.parametrize(("lines", "matrix"), [(576, BT601), (719, BT601), (720, BT709), (1088, BT709)])
def test_unlabelled_video_takes_its_matrix_from_its_lines(lines: int, matrix: int, label: int) -> None:
    rgb = np.broadcast_to(np.array([0.9, 0.2, 0.1]), (lines, 64, 3))
    codes = to_ycbcr(rgb, matrix=matrix, full=False)
    frame = yuv_frame(codes, matrix=label, colour_range=0)
    planes = frame_to_planes(frame, width=64, height=64)
    assert np.abs(planes.astype(int) - to_ycbcr(rgb[:1, :1], matrix=BT709, full=True)).max() <= 2


def test_yuvj_is_full_range_without_a_label() -> None:
    codes = to_ycbcr(colour_bars(256, 96), matrix=BT601, full=True)
    frame = yuv_frame(codes, pixels="yuvj444p", matrix=UNSPECIFIED, colour_range=0)
    planes = frame_to_planes(frame, width=256, height=96)
    assert worst_in_bars(ycbcr_to_rgb(planes), colour_bars(256, 96)) <= 3


@pytest.mark.parametrize(("colour_range", "gain", "black"), [(0, 1.0, 0), (FULL, 1.0, 0), (LIMITED, 255 / 219, 16)])
def test_greyscale_is_full_range_unless_labelled(colour_range: int, gain: float, black: int) -> None:
    ramp = np.tile(np.arange(256, dtype=np.uint8), (64, 1))
    frame = av.VideoFrame.from_ndarray(ramp, format="gray")
    frame.color_range = colour_range
    planes = frame_to_planes(frame, width=256, height=64)
    assert np.abs(planes[0] - np.clip((ramp.astype(float) - black) * gain, 0, 255)).max() <= 1
    assert (planes[1:] == 128).all()


@pytest.mark.parametrize("label", [0, BT601, BT709, UNSPECIFIED])
@pytest.mark.parametrize("pixels", ["rgb24", "bgr24", "rgba", "bgra", "gbrp"])
def test_rgb_is_full_range_bt709_whatever_its_label(pixels: str, label: int) -> None:
    bars = colour_bars(256, 96)
    frame = av.VideoFrame.from_ndarray(np.round(bars * 255).astype(np.uint8), format="rgb24")
    if pixels != "rgb24":
        frame = VideoReformatter().reformat(frame, format=pixels, threads=1)
    frame.colorspace = label
    planes = frame_to_planes(frame, width=256, height=96)
    assert np.abs(planes.astype(int) - to_ycbcr(bars, matrix=BT709, full=True)).max() <= 1


def test_the_frame_is_left_as_it_was() -> None:
    frame = yuv_frame(np.full((3, 64, 64), 90, np.uint8), matrix=BT601, colour_range=LIMITED)
    frame_to_planes(frame, width=64, height=64)
    assert (frame.colorspace, frame.color_range, frame.format.name) == (BT601, LIMITED, "yuv444p")
    assert (np.frombuffer(memoryview(frame.planes[0]), np.uint8) == 90).sum() >= 64 * 64


def test_a_view_of_a_larger_picture_is_filled_in_place() -> None:
    picture = np.full((3, 80, 100), 7, np.uint8)
    frame = yuv_frame(to_ycbcr(colour_bars(64, 64), matrix=BT709, full=True), matrix=BT709, colour_range=FULL)
    convert = ToPlanes()
    view = picture[:, 8:72, 10:74]
    assert convert(frame, width=64, height=64, out=view) is view
    assert (picture[:, 8:72, 10:74] == to_ycbcr(colour_bars(64, 64), matrix=BT709, full=True)).all()
    assert (picture[:, :8] == 7).all()
    assert (picture[:, :, 74:] == 7).all()
    paint_border(picture, (10, 8, 64, 64))
    assert (picture[0, :8] == 0).all()
    assert (picture[1:, :, 74:] == 128).all()
    assert (picture[0, 72:] == 0).all()
    assert (picture[:, 8:72, 10:74] == view).all()


def test_an_unknown_matrix_is_refused_in_words() -> None:
    frame = yuv_frame(np.zeros((3, 64, 64), np.uint8), matrix=YCGCO, colour_range=FULL)
    with pytest.raises(UserError, match=r"matrix 8 .*re-encode"):
        frame_to_planes(frame, width=64, height=64)


def test_planes_survive_a_frame_and_back() -> None:
    planes = np.random.default_rng(1).integers(0, 256, (3, 71, 99), dtype=np.uint8)
    frame = planes_to_frame(planes)
    assert (frame.format.name, frame.colorspace, frame.color_range) == ("yuv444p", BT709, FULL)
    assert (frame_to_planes(frame, width=99, height=71) == planes).all()


def test_rgb_follows_the_float_formula() -> None:
    planes = np.random.default_rng(2).integers(0, 256, (3, 130, 700), dtype=np.uint8)
    y, cb, cr = planes[0] / 255, (planes[1] - 128.0) / 255, (planes[2] - 128.0) / 255
    r, b = y + 1.5748 * cr, y + 1.8556 * cb
    g = (y - 0.2126 * r - 0.0722 * b) / 0.7152
    expected = 255 * np.clip(np.stack([r, g, b], axis=-1), 0, 1)
    out = np.empty((130, 700, 3), np.uint8)
    assert ycbcr_to_rgb(planes, out=out) is out
    assert np.abs(out - expected).max() <= 1


def test_psnr() -> None:
    a = np.random.default_rng(3).integers(0, 256, (3, 90, 1920), dtype=np.uint8)
    assert psnr_y(a, a) == 100.0
    b = np.random.default_rng(4).integers(0, 256, (3, 90, 1920), dtype=np.uint8)
    expected = 10 * np.log10(255**2 / np.mean((a[0].astype(float) - b[0]) ** 2))
    assert psnr_y(a, b) == pytest.approx(expected)
    assert psnr_y(a[0], b[0]) == pytest.approx(expected)
    black, white = np.zeros((3, 64, 1920), np.uint8), np.full((3, 64, 1920), 255, np.uint8)
    assert psnr_y(black, white) == pytest.approx(0.0)


@pytest.mark.parametrize(
    ("source", "target", "aspect", "expected"),
    [
        ((960, 540), (640, 360), 1, (0, 0, 640, 360)),
        ((480, 360), (640, 360), 1, (80, 0, 480, 360)),
        ((1080, 1920), (640, 360), 1, (218, 0, 202, 360)),
        ((720, 576), (640, 360), 16 / 15, (80, 0, 480, 360)),
        ((854, 480), (641, 361), 1, (0, 0, 640, 360)),
        ((64, 1088), (64, 64), 1, (30, 0, 4, 64)),
    ],
)
def test_fit_rectangle(
    source: tuple[int, int], target: tuple[int, int], aspect: float, expected: tuple[int, int, int, int]
) -> None:
    assert fit_rectangle(*source, *target, aspect) == expected
