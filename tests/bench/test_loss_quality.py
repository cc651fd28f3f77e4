"""What counts as seen: the picture due, or an older one, or none; and films without cuts."""

from pathlib import Path

import numpy as np
import pytest

from bench.loss.film import Film, open_film
from bench.loss.quality import Seen, longest_freeze_s, watch
from latentcast.errors import UserError
from tests.bench.loss_samples import tiny_film


def grey(level: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return np.full((4, 4), level, np.uint8), np.full((2, 2), 128, np.uint8), np.full((2, 2), 128, np.uint8)


FILM = Film("levels", 4, 4, 10.0, 4, tuple(grey(20 * number) for number in range(4)))
"""Ten pictures a second: 0, 20, 40, 60."""


def seen(number: int, decoded_s: float) -> Seen:
    return Seen(number, decoded_s, FILM[number][0])


def test_each_picture_shown_as_it_is_due() -> None:
    watched = watch(FILM, [seen(n, n / 10 + 0.05) for n in range(4)], deadline_s=0.2, skipped=0)
    assert watched.psnr_y == (100.0,) * 4
    assert watched.in_time == (True,) * 4
    assert watched.delays_s == pytest.approx([0.05] * 4)


def test_a_missing_picture_leaves_the_one_before_and_is_compared_with_itself() -> None:
    watched = watch(FILM, [seen(0, 0.05), seen(1, 0.15), seen(3, 0.35)], deadline_s=0.2, skipped=0)
    assert watched.in_time == (True, True, False, True)
    assert watched.psnr_y[2] == pytest.approx(10 * np.log10(255**2 / 20**2))


def test_a_late_picture_is_not_in_time_but_is_shown_afterwards() -> None:
    watched = watch(FILM, [seen(0, 0.05), seen(1, 0.31), seen(2, 0.45)], deadline_s=0.2, skipped=0)
    assert watched.in_time == (True, False, False, False)
    # Picture 1 comes 10 ms after it was due, and picture 2 50 ms after: each stands where its successor should.
    errors = [40 - 20, 60 - 40]
    assert watched.psnr_y[1:] == pytest.approx([10 * np.log10(255**2 / e**2) for e in (20, *errors)])


def test_a_picture_is_never_shown_before_its_time() -> None:
    watched = watch(FILM, [seen(0, 0.01), seen(1, 0.11), seen(2, 0.21), seen(3, 0.31)], deadline_s=0.25, skipped=0)
    assert watched.psnr_y == (100.0,) * 4


def test_the_screen_is_black_until_something_is_decoded_and_the_start_may_be_left_out() -> None:
    watched = watch(FILM, [seen(2, 0.3)], deadline_s=0.2, skipped=0)
    assert watched.psnr_y[0] == pytest.approx(10 * np.log10(255**2 / 16**2))
    assert watched.in_time == (False, False, True, False)
    assert watch(FILM, [seen(2, 0.3)], deadline_s=0.2, skipped=2).in_time == (True, False)


def test_the_longest_freeze_is_the_longest_run_out_of_time() -> None:
    assert longest_freeze_s((True, False, True, False, False, True), fps=10) == pytest.approx(0.2)
    assert longest_freeze_s((True, True), fps=10) == 0
    assert longest_freeze_s((False,) * 3, fps=30) == pytest.approx(0.1)


def test_a_film_runs_forth_and_back(tmp_path: Path) -> None:
    film = tiny_film(tmp_path, frames=30)
    assert film.frames == 30
    assert len(film.pictures) == 12
    for number, of_clip in ((0, 0), (11, 11), (12, 10), (21, 1), (22, 0), (23, 1)):
        assert np.array_equal(film[number][0], film.pictures[of_clip][0]), number
    assert len(list(film)) == 30
    with pytest.raises(IndexError):
        film[30]


def test_a_film_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="there is no file"):
        open_film(tmp_path / "none.mp4", tmp_path, size=(96, 64), seconds=1)
