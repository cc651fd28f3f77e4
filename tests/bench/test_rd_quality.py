"""PSNR and MS-SSIM against formulas written out the slow way."""

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from bench.rd.clips import Clip
from bench.rd.coding import Planes
from bench.rd.ms_ssim import decibels, ms_ssim, scales_for
from bench.rd.neural import to_420, to_444
from bench.rd.quality import measure, psnr
from latentcast.errors import UserError

RNG = np.random.default_rng(7)


def texture(height: int, width: int) -> NDArray[np.uint8]:
    rows, columns = np.mgrid[:height, :width]
    wave = 128 + 60 * np.sin(rows / 7) * np.cos(columns / 11) + RNG.normal(0, 12, (height, width))
    return np.asarray(np.clip(wave, 0, 255), np.uint8)


def noisy(plane: NDArray[np.uint8], sigma: float) -> NDArray[np.float64]:
    return np.asarray(np.clip(plane + RNG.normal(0, sigma, plane.shape), 0, 255), np.float64)


def slow_ms_ssim(a: NDArray[Any], b: NDArray[Any], scales: int) -> float:
    """Two-dimensional windows, one formula after the other, nothing shared with the code under test."""
    axis = np.arange(11) - 5.0
    window = np.exp(-(axis[:, None] ** 2 + axis[None, :] ** 2) / (2 * 1.5**2))
    window /= window.sum()
    weights = np.array([0.0448, 0.2856, 0.3001, 0.2363, 0.1333][:scales])
    weights /= weights.sum()
    a, b = a.astype(float), b.astype(float)
    result = 1.0
    for scale in range(scales):
        blocks_a, blocks_b = sliding_window_view(a, (11, 11)), sliding_window_view(b, (11, 11))

        def mean(values: NDArray[np.float64]) -> NDArray[np.float64]:
            return np.asarray(np.einsum("ijkl,kl->ij", values, window))

        mean_a, mean_b = mean(blocks_a), mean(blocks_b)
        deviation_a, deviation_b = blocks_a - mean_a[..., None, None], blocks_b - mean_b[..., None, None]
        variance_a, variance_b = mean(deviation_a**2), mean(deviation_b**2)
        covariance = mean(deviation_a * deviation_b)
        contrast = (2 * covariance + 58.5225) / (variance_a + variance_b + 58.5225)
        luminance = (2 * mean_a * mean_b + 6.5025) / (mean_a**2 + mean_b**2 + 6.5025)
        last = scale == scales - 1
        result *= float(np.mean(luminance * contrast if last else contrast)) ** weights[scale]
        height, width = a.shape[0] // 2, a.shape[1] // 2
        a, b = (plane[: 2 * height, : 2 * width].reshape(height, 2, width, 2).mean((1, 3)) for plane in (a, b))
    return result


@pytest.mark.parametrize(("height", "width", "scales"), [(176, 183, 5), (97, 120, 4), (16, 30, 1)])
def test_ms_ssim_is_that_of_the_paper(height: int, width: int, scales: int) -> None:
    a = texture(height, width)
    b = noisy(a, 20)
    assert scales_for(width, height) == scales
    assert ms_ssim(a, b) == pytest.approx(slow_ms_ssim(a, b, scales), abs=1e-12)


def test_ms_ssim_of_equal_planes_is_one_and_falls_with_noise() -> None:
    a = texture(180, 200)
    values = [ms_ssim(a, noisy(a, sigma)) for sigma in (0.5, 4, 16, 64)]
    assert ms_ssim(a, a) == pytest.approx(1)
    assert values == sorted(values, reverse=True)
    assert ms_ssim(a, noisy(a, 9)) < 1


def test_ms_ssim_is_symmetric_and_never_negative() -> None:
    a = texture(176, 176)
    b = noisy(a, 30)
    assert ms_ssim(a, b) == pytest.approx(ms_ssim(b, a))
    assert ms_ssim(a, 255 - a) == 0


def test_planes_smaller_than_the_window_are_refused() -> None:
    with pytest.raises(ValueError, match="smaller than the window"):
        scales_for(10, 100)


def test_decibels() -> None:
    assert decibels(0.99) == pytest.approx(20)
    assert decibels(1.0) == 100


def test_psnr() -> None:
    a = np.full((4, 4), 100, np.uint8)
    assert psnr(a, a) == 100
    assert psnr(a, a + 5) == pytest.approx(20 * np.log10(255 / 5))
    # Not rounded: half a code value counts.
    assert psnr(a, a + np.float32(0.5)) == pytest.approx(20 * np.log10(255 / 0.5))


def test_chroma_is_repeated_and_averaged() -> None:
    planes = texture(4, 6), texture(2, 3), texture(2, 3)
    picture = to_444(planes)
    assert picture.shape == (3, 4, 6)
    assert picture[1, 2, 4] == picture[1, 3, 5] == planes[1][1, 2]
    back = to_420(picture)
    assert all(np.array_equal(one, other) for one, other in zip(back, planes, strict=True))
    picture[1, 0, 0] += 1
    assert float(to_420(picture)[1][0, 0]) == int(planes[1][0, 0]) + 0.25


@pytest.fixture
def clip(tmp_path: Path) -> Clip:
    path = tmp_path / "clip.yuv"
    RNG.integers(0, 256, 20 * 32 * 16 * 3 // 2, dtype=np.uint8).tofile(path)
    return Clip("clip", path, path, 32, 16, Fraction(25), 20)


def test_figures_are_means_of_the_frames_and_the_end_is_held_against_the_beginning(clip: Clip) -> None:
    def decoded() -> Iterator[Planes]:
        for number, (y, u, v) in enumerate(clip):
            error = np.float32(1 if number < 12 else 4)
            yield y + error, u + np.float32(2), v + np.float32(1)

    quality = measure(clip, decoded())
    one, two, four = (20 * np.log10(255 / error) for error in (1, 2, 4))
    assert quality.psnr_y == pytest.approx((12 * one + 8 * four) / 20)
    assert quality.psnr_611 == pytest.approx((6 * quality.psnr_y + two + one) / 8)
    assert quality.fade_db == pytest.approx(6 / 8 * (four - one))


@pytest.mark.parametrize(("count", "message"), [(19, "returned 19 frames"), (21, "more than the 20")])
def test_a_decoder_that_loses_or_adds_frames_is_found(clip: Clip, count: int, message: str) -> None:
    frames = [*clip, next(iter(clip))][:count]
    with pytest.raises(UserError, match=message):
        measure(clip, iter(frames))


def test_planes_of_another_size_are_found(clip: Clip) -> None:
    with pytest.raises(UserError, match="expected 32x16"):
        measure(clip, iter([(y[:8], u[:4], v[:4]) for y, u, v in clip]))
