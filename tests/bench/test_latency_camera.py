"""Bar codes in rendered photographs: perspective, blur, noise, poor light, screens that beat with the sensor."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from bench.latency.camera.command import run
from bench.latency.camera.finder import FoundCode, find_codes
from bench.latency.camera.images import images_of, spread_out
from bench.latency.camera.loop import as_result, read_loop
from bench.latency.document import write_all
from bench.latency.schema import Camera, NotRun, read_document
from latentcast.barcode import BarCode
from latentcast.errors import UserError
from tests.bench.latency_photographs import Corners, Shot, photograph, screen
from tests.bench.latency_samples import document

SIZE = (960, 540)
DELAY_US = 66_667
SOURCE, VIEWER = BarCode(1000, 5_000_000_000), BarCode(400, 5_000_000_000 - DELAY_US)

STRAIGHT: tuple[Corners, Corners] = (
    ((30, 120), (465, 118), (466, 362), (31, 364)),
    ((490, 130), (930, 134), (928, 382), (488, 378)),
)
TURNED: tuple[Corners, Corners] = (
    ((40, 170), (470, 90), (505, 330), (75, 420)),
    ((500, 95), (930, 30), (945, 270), (512, 340)),
)
ASIDE: tuple[Corners, Corners] = (
    ((30, 110), (460, 150), (460, 375), (30, 400)),
    ((500, 155), (935, 105), (935, 410), (500, 370)),
)


def scene(corners: tuple[Corners, Corners], shot: Shot) -> NDArray[np.uint8]:
    pictures = [
        screen(size=(640, 360), frame_number=code.frame_number, captured_us=code.captured_us)
        for code in (SOURCE, VIEWER)
    ]
    return photograph(list(zip(pictures, corners, strict=True)), shot)


@pytest.mark.parametrize(
    ("corners", "shot"),
    [
        pytest.param(STRAIGHT, Shot(size=SIZE, noise=12), id="straight on, noisy"),
        pytest.param(TURNED, Shot(size=SIZE, blur_px=1.3), id="turned by ten degrees, out of focus"),
        pytest.param(ASIDE, Shot(size=SIZE, exposure=0.35, vignetting=0.6), id="from aside, dark corners"),
        pytest.param(STRAIGHT, Shot(size=SIZE, subpixels=True, blur_px=0.4, gamma=1.8), id="screen pixels beat"),
    ],
)
def test_both_bar_codes_are_read(corners: tuple[Corners, Corners], shot: Shot) -> None:
    found = find_codes(scene(corners, shot))
    assert {code.code for code in found} == {SOURCE, VIEWER}
    assert all(4 < code.cell_pixels < 6 for code in found)


def test_where_there_is_no_bar_code_none_is_found() -> None:
    noise = np.random.default_rng(3).integers(0, 256, (180, 320)).astype(np.uint8)
    assert find_codes(noise) == []
    assert find_codes(np.full((180, 320), 90, np.uint8)) == []


def test_a_narrow_bar_code_is_read_too() -> None:
    luma = screen(size=(256, 144), frame_number=5, captured_us=77)
    corners = ((60.0, 40.0), (390.0, 52.0), (386.0, 240.0), (64.0, 230.0))
    (found,) = find_codes(photograph([(luma, corners)], Shot(size=(480, 270))), wanted=1)
    assert found.code == BarCode(5, 77)


def test_the_delay_is_the_difference_and_the_next_photograph_is_faster(monkeypatch: pytest.MonkeyPatch) -> None:
    shots = [scene(STRAIGHT, Shot(size=SIZE, seed=seed)) for seed in (1, 2)]
    first = find_codes(shots[0])

    def never(grey: object) -> object:
        raise AssertionError("the places are known")

    monkeypatch.setattr("bench.latency.camera.finder.possible_strips", never)
    monkeypatch.setattr(
        "bench.latency.camera.loop.find_codes", lambda image, known, search: find_codes(image, known=known or first)
    )
    loop = read_loop(shots)
    assert loop.delays_ms == [DELAY_US / 1e3] * 2
    result = as_result(loop, fps=30, through="a film")
    assert isinstance(result, Camera)
    assert (result.images, result.pairs) == (2, 2)
    assert result.delay.p50 == pytest.approx(66.667)


def test_photographs_without_bar_codes_say_what_to_do() -> None:
    loop = read_loop([np.zeros((90, 160), np.uint8)] * 2)
    result = as_result(loop, fps=30, through="a film")
    assert isinstance(result, NotRun)
    assert "2 pictures 2 showed no bar code" in result.why
    assert "nearer" in result.how


def test_films_that_show_nothing_are_searched_for_so_long_and_no_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    searched: list[bool] = []

    def nothing(image: object, *, known: object, search: bool) -> list[FoundCode]:
        searched.append(search)
        return []

    monkeypatch.setattr("bench.latency.camera.loop.find_codes", nothing)
    loop = read_loop([np.zeros((90, 160), np.uint8)] * 20)
    assert searched == [True] * 12 + [False] * 8
    assert loop.codes == [20, 0, 0]


def test_a_photograph_goes_into_a_report(tmp_path: Path) -> None:
    import pygame

    grey = scene(STRAIGHT, Shot(size=SIZE))
    pygame.image.save(pygame.surfarray.make_surface(np.repeat(grey.T[:, :, None], 3, axis=2)), tmp_path / "photo.png")
    write_all(tmp_path, *document(full=False))
    result = run(device=None, images=[tmp_path / "photo.png"], video=None, seconds=1, fps=30, into=tmp_path)
    assert result.delay.p50 == pytest.approx(66.667)
    assert read_document(tmp_path / "latency.json").camera == result
    assert "card-3" in (tmp_path / "latency.html").read_text()


def test_what_cannot_be_looked_at_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("no picture")
    with pytest.raises(UserError, match="cannot be read as a picture or a video"):
        list(images_of(tmp_path / "text"))
    with pytest.raises(UserError, match="choose one"):
        run(device="/dev/video0", images=[tmp_path], video=None, seconds=1, fps=30, into=None)
    with pytest.raises(UserError, match="no report"):
        run(device=None, images=[tmp_path / "text"], video=None, seconds=1, fps=30, into=tmp_path)
    with pytest.raises(UserError, match="cannot be opened"):
        run(device="/dev/no-such-camera", images=[], video=None, seconds=1, fps=30, into=None)


def test_photographs_of_a_long_film_are_spread_over_it() -> None:
    images = (np.full((1, 1), value, np.uint8) for value in range(250))
    kept = [int(image[0, 0]) for image in spread_out(images, count=10)]
    assert len(kept) <= 10
    assert kept[0] == 0
    assert kept[-1] > 200
    assert len({b - a for a, b in pairwise(kept)}) == 1
