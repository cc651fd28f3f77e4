"""Several streams in one window, and in windows of their own."""

import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pygame
import pytest

from client.fit import Box, actual_size, grid_cells, visible_part
from client.window_loop import run_windows
from tests.client.watched_window import BARS, SIZE, Desk

NAMES = ["door", "garden", "desk"]
LEVELS = [60, 100, 140]


@pytest.fixture
def desk(tmp_path: Path, dummy_display: None) -> Iterator[Desk]:
    desk = Desk(tmp_path, NAMES)
    for index, level in enumerate(LEVELS):
        desk.show(index, level=level)
    desk.later()
    yield desk
    desk.window.close()


def middle(desk: Desk) -> int:
    return int(desk.page()[200, 320, 0])


def heard(desk: Desk) -> list[float]:
    return [sound.volume for sound in desk.sounds]


def test_one_tab_is_shown_and_heard_and_the_others_go_on(desk: Desk) -> None:
    assert middle(desk) == LEVELS[0]
    assert heard(desk) == [1.0, 0.0, 0.0]
    assert desk.presented == [("door", 0)]
    assert desk.passed == [("garden", 0), ("desk", 0)]
    assert desk.title() == "Latentcast: door"


def test_a_stream_that_gets_its_sound_later_is_not_heard_behind_its_tab(desk: Desk) -> None:
    sound, desk.channels[1].sound = desk.channels[1].sound, lambda: None
    desk.press(pygame.K_MINUS)
    desk.sounds[1].volume = 1.0
    desk.channels[1].sound = sound
    desk.later()
    assert heard(desk) == [0.9, 0.0, 0.0]


def test_keys_go_from_tab_to_tab(desk: Desk) -> None:
    shown = []
    for key, mod in [
        (pygame.K_TAB, 0),
        (pygame.K_TAB, pygame.KMOD_LCTRL),
        (pygame.K_TAB, 0),
        (pygame.K_TAB, pygame.KMOD_LSHIFT),
        (pygame.K_2, 0),
        (pygame.K_9, 0),
    ]:
        desk.press(key, mod=mod)
        shown.append(middle(desk))
    assert shown == [LEVELS[index] for index in (1, 2, 0, 2, 1, 1)]
    assert heard(desk) == [0.0, 1.0, 0.0]
    assert desk.title() == "Latentcast: garden"


def test_a_tab_that_comes_to_the_front_shows_its_newest_picture_at_once(desk: Desk) -> None:
    desk.show(1, frame_id=1, level=222)
    assert middle(desk) == LEVELS[0]
    desk.press(pygame.K_2)
    assert middle(desk) == 222
    assert ("garden", 1) not in desk.presented, "its time is not measured: it waited for the user"
    desk.show(1, frame_id=2)
    assert desk.presented[-1] == ("garden", 2)


def test_a_click_on_a_tab_selects_it(desk: Desk) -> None:
    desk.click(300, 8)
    assert middle(desk) == LEVELS[1]
    desk.click(630, 8)
    assert middle(desk) == LEVELS[2]


def test_the_bar_says_how_each_stream_is(desk: Desk) -> None:
    before = desk.page()[:24]
    desk.statuses[2] = replace(desk.statuses[2], reason="No server answers", situation="gone")
    desk.later()
    changed = (desk.page()[:24] != before).any(axis=(0, 2))
    assert not changed[: 2 * SIZE[0] // 3 - 60].any()
    assert changed[2 * SIZE[0] // 3 :].any()
    assert desk.title() == "Latentcast: door"
    desk.press(pygame.K_3)
    assert desk.title() == "Latentcast: desk (reconnecting)"


def test_the_grid_shows_all_and_measures_all(desk: Desk) -> None:
    desk.press(pygame.K_g)
    desk.presented.clear()
    for index, level in enumerate(LEVELS):
        desk.show(index, frame_id=1, level=level)
    page = desk.page()
    assert [int(page[90, 160, 0]), int(page[90, 480, 0]), int(page[270, 160, 0])] == LEVELS
    assert page[270, 480].tolist() == list(BARS)
    assert desk.presented == [(name, 1) for name in NAMES]
    desk.press(pygame.K_g)
    assert middle(desk) == LEVELS[0]


def test_a_click_in_the_grid_selects_and_a_double_click_opens(desk: Desk) -> None:
    desk.press(pygame.K_g)
    desk.click(480, 90)
    assert heard(desk) == [0.0, 1.0, 0.0]
    assert int(desk.page()[270, 160, 0]) == LEVELS[2], "still the grid"
    desk.later()
    desk.click(160, 270)
    desk.click(160, 270)
    assert middle(desk) == LEVELS[2]


def test_full_screen_shows_the_bar_only_while_the_pointer_moves(desk: Desk) -> None:
    desk.press(pygame.K_f)
    desk.later()
    bar = desk.page()[2, 1020]
    desk.window.handle(pygame.event.Event(pygame.MOUSEMOTION, pos=(10, 10)))
    desk.later(0.1)
    assert desk.page()[2, 1020].tolist() != bar.tolist()


def test_keys_of_several_streams_mean_nothing_for_one(tmp_path: Path, dummy_display: None) -> None:
    desk = Desk(tmp_path, ["door"])
    desk.show(level=99)
    desk.press(pygame.K_TAB, pygame.K_2, pygame.K_g)
    desk.later()
    assert int(desk.page()[2, 2, 0]) == 99


def test_each_window_gets_its_own_keys_and_closes_alone(tmp_path: Path, dummy_display: None) -> None:
    left, right = Desk(tmp_path, ["door"]), Desk(tmp_path, ["garden"])
    stop = threading.Event()
    right_window = right.window._window
    real_pixels: list[tuple[bool, bool]] = []

    def key_for_the_right() -> None:
        pygame.event.post(pygame.event.Event(pygame.KEYDOWN, key=pygame.K_z, mod=0, window=right_window))

    def close_the_left() -> None:
        real_pixels.append((left.window._panes[0].actual, right.window._panes[0].actual))
        pygame.event.post(pygame.event.Event(pygame.WINDOWCLOSE, window=left.window._window))

    def end() -> None:
        assert left.ended == ["door"]
        assert right.ended == []
        stop.set()

    steps = iter([key_for_the_right, close_the_left, lambda: None, end])

    class Bell(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            next(steps)()
            return True

    run_windows([left.window, right.window], stop, Bell())
    assert real_pixels == [(False, True)]
    assert right.ended == ["garden"]


def test_a_later_streams_shape_leaves_the_window_alone(tmp_path: Path, dummy_display: None) -> None:
    desk = Desk(tmp_path, NAMES[:2], follow_shape=True)
    desk.show(0, size=(320, 240))
    shape = desk.page().shape
    assert shape[1] < SIZE[0]
    desk.show(1, size=(320, 180))
    desk.press(pygame.K_2)
    assert desk.page().shape == shape


def test_the_last_window_closed_ends_the_loop(tmp_path: Path, dummy_display: None) -> None:
    desks = [Desk(tmp_path, [name]) for name in NAMES]
    for desk in desks:
        pygame.event.post(pygame.event.Event(pygame.WINDOWCLOSE, window=desk.window._window))
    run_windows([desk.window for desk in desks], threading.Event(), threading.Event())
    assert [desk.ended for desk in desks] == [[name] for name in NAMES]


@pytest.mark.parametrize(
    ("count", "bounds", "columns"),
    [
        (1, (640, 360), 1),
        (2, (640, 360), 2),
        (3, (640, 360), 2),
        (4, (640, 360), 2),
        (9, (640, 360), 3),
        (4, (200, 900), 1),
    ],
)
def test_cells_fill_the_window_without_touching(count: int, bounds: tuple[int, int], columns: int) -> None:
    cells = grid_cells(count, Box(10, 20, *bounds), gap=4)
    assert len(cells) == count
    assert len({cell.left for cell in cells}) == columns
    taken = np.zeros((bounds[1] + 20, bounds[0] + 10), int)
    for cell in cells:
        taken[cell.top : cell.top + cell.height, cell.left : cell.left + cell.width] += 1
    assert taken.max() == 1
    assert not taken[:20].any()
    assert not taken[:, :10].any()


def test_real_pixels_are_centred_or_looked_at() -> None:
    bounds = Box(0, 20, 640, 340)
    assert actual_size((320, 180), bounds, (1, 1)) == Box(160, 100, 320, 180)
    assert actual_size((1280, 180), bounds, (1, 0)) == Box(-640, 100, 1280, 180)
    assert actual_size((1280, 720), bounds, (-3, 9)) == Box(0, -360, 1280, 720)
    assert visible_part(Box(-640, 100, 1280, 180), bounds) == (Box(640, 0, 640, 180), Box(0, 100, 640, 180))
    assert visible_part(Box(0, 0, 10, 10), bounds) is None
