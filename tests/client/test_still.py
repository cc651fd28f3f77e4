"""Stills are read back and compared pixel by pixel."""

from pathlib import Path

import numpy as np
import pygame
import pytest
from numpy.typing import NDArray

from client.still import picture_surface, side_by_side, write_png, write_snapshot
from codec.colour import ycbcr_to_rgb
from latentcast.errors import UserError


def noise(width: int, height: int, seed: int) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (3, height, width), dtype=np.uint8)


def read_rgb(path: Path) -> NDArray[np.uint8]:
    return pygame.surfarray.array3d(pygame.image.load(path)).swapaxes(0, 1)


def find(page: NDArray[np.uint8], picture: NDArray[np.uint8]) -> list[tuple[int, int]]:
    """Every place (left, top) at which the page shows the picture exactly."""
    height, width, _ = picture.shape
    starts = np.argwhere((page[: page.shape[0] - height + 1, : page.shape[1] - width + 1] == picture[0, 0]).all(axis=2))
    return [(x, y) for y, x in starts.tolist() if (page[y : y + height, x : x + width] == picture).all()]


def test_a_surface_shows_the_rgb_of_the_planes() -> None:
    planes = noise(31, 17, seed=1)
    surface = picture_surface(planes)
    assert surface.get_size() == (31, 17)
    assert np.array_equal(pygame.surfarray.array3d(surface).swapaxes(0, 1), ycbcr_to_rgb(planes))


@pytest.mark.parametrize("shape", [(2, 8, 8), (8, 8), (3, 0, 8)])
def test_other_shapes_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="expected uint8"):
        picture_surface(np.zeros(shape, np.uint8))


@pytest.mark.parametrize("size", [(320, 180), (24, 16)])
def test_source_left_decoded_right_pixel_for_pixel(tmp_path: Path, size: tuple[int, int]) -> None:
    source, decoded = noise(*size, seed=2), noise(*size, seed=3)
    path = tmp_path / "still.png"
    side_by_side(path, source=source, decoded=decoded, caption="frame 17  QP 30  38.2 dB  412 kbit/s")
    page = read_rgb(path)
    [(left, top)], [(right, right_top)] = find(page, ycbcr_to_rgb(source)), find(page, ycbcr_to_rgb(decoded))
    assert top == right_top
    assert 0 < right - left - size[0] <= 8
    # Equal margins, and text above and below.
    assert abs(left - (page.shape[1] - right - size[0])) <= 1
    assert page[:top].max() > 150
    assert page[top + size[1] :].max() > 200


def test_a_long_caption_gets_more_lines_not_a_wider_page(tmp_path: Path) -> None:
    planes = noise(320, 40, seed=4)
    for name, caption in (("short", "frame 1"), ("long", "frame 1 " * 60)):
        side_by_side(tmp_path / f"{name}.png", source=planes, decoded=planes, caption=caption)
    short, long = read_rgb(tmp_path / "short.png"), read_rgb(tmp_path / "long.png")
    assert short.shape[1] == long.shape[1]
    assert long.shape[0] > short.shape[0]


def test_pictures_of_two_sizes_are_not_compared(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="same size"):
        side_by_side(tmp_path / "x.png", source=noise(8, 8, seed=1), decoded=noise(8, 16, seed=1), caption="")


def test_a_snapshot_never_overwrites(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "folder"
    pictures = [noise(16, 9, seed=seed) for seed in range(3)]
    paths = [write_snapshot(folder, planes, stem="camera-1") for planes in pictures]
    assert [path.name for path in paths] == ["camera-1.png", "camera-1-2.png", "camera-1-3.png"]
    for path, planes in zip(paths, pictures, strict=True):
        assert np.array_equal(read_rgb(path), ycbcr_to_rgb(planes))


def test_a_place_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    surface = picture_surface(noise(8, 8, seed=1))
    with pytest.raises(UserError, match=r"cannot write .*missing/x\.png: No such file or directory; give a folder"):
        write_png(tmp_path / "missing" / "x.png", surface)
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot make the folder"):
        write_snapshot(tmp_path / "file", noise(8, 8, seed=1), stem="x")
