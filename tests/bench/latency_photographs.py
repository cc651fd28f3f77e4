"""Photographs of two screens, rendered: perspective, blur, noise, vignetting, sensor and screen pixels that beat."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from latentcast import barcode
from server.sources.pattern import PatternSource

Corners = tuple[tuple[float, float], tuple[float, float], tuple[float, float], tuple[float, float]]
"""Top left, top right, bottom right, bottom left, pixels of the photograph."""


@dataclass(frozen=True)
class Shot:
    """How the photograph is taken."""

    size: tuple[int, int] = (1280, 720)
    blur_px: float = 0.8
    noise: float = 4.0
    vignetting: float = 0.3
    """Light lost in the corners, 0..1."""
    exposure: float = 1.0
    gamma: float = 1.0
    subpixels: bool = False
    """Screens with visible pixel lines, which beat with the sensor's grid."""
    seed: int = 1


def screen(*, size: tuple[int, int], frame_number: int, captured_us: int) -> NDArray[np.uint8]:
    """Luma of the test pattern with that bar code."""
    planes = np.empty((3, size[1], size[0]), np.uint8)
    times = iter((captured_us,) * 10)
    source = PatternSource(size=size, fps=30, clock=lambda: next(times), wait=lambda _: None)
    source.read(planes, frame_id=frame_number)
    barcode.draw(planes, frame_number=frame_number, captured_us=captured_us)
    luma: NDArray[np.uint8] = planes[0]
    return luma


def photograph(screens: list[tuple[NDArray[np.uint8], Corners]], shot: Shot) -> NDArray[np.uint8]:
    """All screens on a wall, as a camera sees them: (H, W) grey."""
    rng = np.random.default_rng(shot.seed)
    width, height = shot.size
    y, x = np.mgrid[0:height, 0:width].astype(np.float64)
    scene = 90 + 40 * np.sin(x / 97) * np.cos(y / 71)
    for luma, corners in screens:
        # Four looks at every sensor pixel: coarse enough to alias with the screen's own pixels.
        seen, inside = np.zeros_like(scene), np.zeros_like(scene)
        for dx, dy in ((-0.25, -0.25), (0.25, -0.25), (-0.25, 0.25), (0.25, 0.25)):
            value, hit = _project(luma, corners, x + dx, y + dy, lines=shot.subpixels)
            seen += value / 4
            inside += hit / 4
        scene = scene * (1 - inside) + seen
    scene = _blurred(scene, shot.blur_px)
    distance = np.hypot(x - width / 2, y - height / 2) / np.hypot(width / 2, height / 2)
    scene = scene * (1 - shot.vignetting * distance**2) * shot.exposure
    scene = 255 * (np.clip(scene, 0, 255) / 255) ** shot.gamma
    noisy = np.round(scene + rng.normal(0, shot.noise, scene.shape))
    codes: NDArray[np.uint8] = np.clip(noisy, 0, 255).astype(np.uint8)
    return codes


def _project(
    luma: NDArray[np.uint8], corners: Corners, x: NDArray[np.float64], y: NDArray[np.float64], *, lines: bool
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    height, width = luma.shape
    matrix = _homography(corners, ((0, 0), (width, 0), (width, height), (0, height)))
    w = matrix[2, 0] * x + matrix[2, 1] * y + matrix[2, 2]
    u = (matrix[0, 0] * x + matrix[0, 1] * y + matrix[0, 2]) / w
    v = (matrix[1, 0] * x + matrix[1, 1] * y + matrix[1, 2]) / w
    inside = (u >= 0) & (u < width) & (v >= 0) & (v < height)
    column, row = np.clip(u.astype(int), 0, width - 1), np.clip(v.astype(int), 0, height - 1)
    value = luma[row, column].astype(np.float64)
    if lines:
        value *= 0.6 + 0.4 * (np.abs((u % 1) - 0.5) < 0.35) * (np.abs((v % 1) - 0.5) < 0.35)
    return np.where(inside, value, 0.0), inside.astype(np.float64)


def _homography(source: Corners, target: Corners) -> NDArray[np.float64]:
    rows, values = [], []
    for (x, y), (u, v) in zip(source, target, strict=True):
        rows += [[x, y, 1, 0, 0, 0, -u * x, -u * y], [0, 0, 0, x, y, 1, -v * x, -v * y]]
        values += [u, v]
    solved = np.linalg.solve(np.array(rows, float), np.array(values, float))
    return np.append(solved, 1.0).reshape(3, 3)


def _blurred(picture: NDArray[np.float64], sigma: float) -> NDArray[np.float64]:
    reach = max(1, round(3 * sigma))
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / max(sigma, 1e-6)) ** 2)
    kernel /= kernel.sum()
    for axis in (0, 1):
        pad = [(0, 0), (0, 0)]
        pad[axis] = (reach, reach)
        wide = np.pad(picture, pad, mode="edge")
        length = picture.shape[axis]
        picture = sum(
            weight * (wide[i : i + length] if axis == 0 else wide[:, i : i + length]) for i, weight in enumerate(kernel)
        )
    return picture
