"""Every key and every button of the window, and what it does."""

import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pygame
import pytest
from numpy.typing import NDArray

from client.fit import PictureArea
from client.keys import KEYS, SEVERAL_KEYS, Action, Clicks, Command, command_of
from client.recorder import Recorder
from tests.client.watched_window import BARS, GREY, SIZE, Desk, Viewer, grey


@pytest.fixture
def desk(tmp_path: Path, dummy_display: None) -> Desk:
    desk = Desk(tmp_path, ["camera"])
    desk.show()
    desk.later()
    return desk


def written(page: NDArray[np.uint8]) -> int:
    """Pixels that are neither the grey picture nor dark."""
    return int((page.max(axis=2) > GREY + 20).sum())


def down(key: int, mod: int = 0) -> Command | None:
    return command_of(pygame.event.Event(pygame.KEYDOWN, key=key, mod=mod))


def test_every_key_of_the_help_means_something() -> None:
    names = {
        "Esc": pygame.K_ESCAPE,
        "Space": pygame.K_SPACE,
        "Tab": pygame.K_TAB,
        "F1": pygame.K_F1,
        "F11": pygame.K_F11,
        "+": pygame.K_PLUS,
        "-": pygame.K_MINUS,
        "...": pygame.K_5,
    }
    for caps, _ in KEYS + SEVERAL_KEYS:
        for cap in caps.replace(",", " ").split():
            assert down(names.get(cap) or ord(cap)) is not None, cap


def test_what_keys_mean() -> None:
    assert down(pygame.K_3) == Command(Action.SELECT, 2)
    assert down(pygame.K_TAB) == down(pygame.K_TAB, pygame.KMOD_LCTRL) == Command(Action.NEXT)
    assert down(pygame.K_TAB, pygame.KMOD_LSHIFT | pygame.KMOD_LCTRL) == Command(Action.PREVIOUS)
    assert down(pygame.K_EQUALS, pygame.KMOD_LSHIFT) == down(pygame.K_KP_PLUS) == Command(Action.LOUDER)
    assert down(pygame.K_x) is None
    assert command_of(pygame.event.Event(pygame.KEYUP, key=pygame.K_q, mod=0)) is None
    assert command_of(pygame.event.Event(pygame.KEYDOWN)) is None


@pytest.mark.parametrize("mod", [pygame.KMOD_LCTRL, pygame.KMOD_RALT, pygame.KMOD_LMETA])
def test_shortcuts_of_the_desktop_are_left_alone(mod: int) -> None:
    assert down(pygame.K_q, mod) is None
    assert down(pygame.K_1, mod) is None
    assert mod == pygame.KMOD_LCTRL or down(pygame.K_TAB, mod) is None


def test_two_presses_at_one_place_are_a_double_click_and_three_are_not_two() -> None:
    clicks = Clicks()
    assert [clicks.press((10, 10), at_us) for at_us in (0, 300_000, 400_000, 500_000)] == [False, True, False, True]
    assert not clicks.press((10, 10), 2_000_000)
    assert not clicks.press((10, 10), 2_500_000)
    assert not clicks.press((30, 10), 2_600_000)


@pytest.mark.parametrize("key", [pygame.K_h, pygame.K_F1])
def test_help_is_shown_and_goes(desk: Desk, key: int) -> None:
    before = written(desk.page())
    desk.press(key)
    assert written(desk.page()) > before + 1000
    desk.press(key)
    assert written(desk.page()) == before
    desk.press(key, pygame.K_ESCAPE)
    assert written(desk.page()) == before


@pytest.mark.parametrize("key", [pygame.K_f, pygame.K_F11])
def test_full_screen_by_key(desk: Desk, key: int) -> None:
    desk.press(key)
    assert desk.page().shape[:2] == (768, 1024)
    # Help is closed first.
    desk.press(pygame.K_h, pygame.K_ESCAPE)
    assert desk.page().shape[:2] == (768, 1024)
    desk.press(pygame.K_ESCAPE)
    assert desk.page().shape[:2] == (360, 640)


def test_full_screen_by_double_click(desk: Desk) -> None:
    desk.click(300, 200)
    desk.click(301, 201)
    assert desk.page().shape[:2] == (768, 1024)
    desk.later()
    desk.click(300, 200)
    assert desk.page().shape[:2] == (768, 1024)


def test_pause_freezes_the_picture_and_the_stream_goes_on(desk: Desk) -> None:
    desk.press(pygame.K_SPACE)
    assert desk.title() == "Latentcast: camera (paused)"
    desk.show(frame_id=1, level=60)
    desk.show(frame_id=2, level=90)
    page = desk.page()
    assert page[200, 320].tolist() == [GREY] * 3
    assert written(page[:40, 400:]) > 100, "it says so"
    assert desk.presented == [("camera", 0)]
    assert desk.passed == [("camera", 1), ("camera", 2)]
    # What stands still because the user wants it to is not explained away.
    desk.statuses[0] = replace(desk.statuses[0], reason="No new picture for 3 s")
    desk.later()
    assert desk.page()[20, 20].tolist() == [GREY] * 3
    desk.statuses[0] = replace(desk.statuses[0], reason=None)
    desk.press(pygame.K_SPACE)
    assert desk.page()[200, 320].tolist() == [90] * 3, "the newest is shown at once"
    desk.show(frame_id=3)
    assert desk.presented == [("camera", 0), ("camera", 3)]


def test_a_picture_is_needed_to_pause(tmp_path: Path, dummy_display: None) -> None:
    desk = Desk(tmp_path, ["camera"])
    desk.press(pygame.K_SPACE)
    desk.show(level=77)
    assert desk.page()[200, 320].tolist() == [77] * 3


def test_the_volume_is_set_in_tenths_and_silence_keeps_it(desk: Desk) -> None:
    [sound] = desk.sounds
    assert sound.volume == 1.0
    desk.press(pygame.K_MINUS, pygame.K_MINUS)
    assert sound.volume == 0.8
    desk.press(pygame.K_m)
    assert sound.volume == 0.0
    desk.later()
    assert (desk.page()[:40, 600:] != GREY).any(), "the sign stays"
    desk.press(pygame.K_m)
    assert sound.volume == 0.8
    desk.press(*[pygame.K_PLUS] * 5)
    assert sound.volume == 1.0
    desk.press(pygame.K_m, pygame.K_MINUS)
    assert sound.volume == 0.9
    desk.press(*[pygame.K_MINUS] * 12)
    assert sound.volume == 0.0


def test_a_paused_stream_is_silent(desk: Desk) -> None:
    desk.press(pygame.K_SPACE)
    assert desk.sounds[0].volume == 0.0
    desk.press(pygame.K_SPACE)
    assert desk.sounds[0].volume == 1.0


def test_without_sound_the_keys_say_so(desk: Desk) -> None:
    desk.channels[0].sound = lambda: None
    desk.press(pygame.K_m)
    assert written(desk.page()[320:]) > 100
    desk.later()
    assert written(desk.page()) == 0, "and no sign stays"


def test_z_shows_real_pixels_and_the_pointer_chooses_which(tmp_path: Path, dummy_display: None) -> None:
    desk = Desk(tmp_path, ["camera"])
    small = grey(size=(320, 180))
    desk.mailboxes[0].put(small)
    desk.window.step()
    desk.press(pygame.K_z)
    desk.later()
    page = desk.page()
    assert page[92, 162].tolist() == page[268, 478].tolist() == [GREY] * 3
    assert page[88, 320].tolist() == page[180, 158].tolist() == list(BARS)
    large = grey(1, size=(1280, 720))
    large.planes[0, 700:, 1260:] = 255
    desk.mailboxes[0].put(large)
    desk.later()
    assert desk.page().max() == GREY, "the middle is shown"
    desk.window.handle(pygame.event.Event(pygame.MOUSEMOTION, pos=(639, 359)))
    desk.later(0)
    assert desk.page()[355, 635].tolist() == [255] * 3
    desk.press(pygame.K_z)
    desk.later()
    assert desk.page()[358, 637].max() > 200


def test_a_resting_pointer_is_hidden(desk: Desk) -> None:
    desk.window.handle(pygame.event.Event(pygame.MOUSEMOTION, pos=(10, 10)))
    assert pygame.mouse.get_visible()
    desk.later(2.0)
    assert pygame.mouse.get_visible()
    desk.later(1.0)
    assert not pygame.mouse.get_visible()
    desk.window.handle(pygame.event.Event(pygame.MOUSEMOTION, pos=(11, 10)))
    assert pygame.mouse.get_visible()


def test_r_records_what_comes_and_says_how_it_goes(desk: Desk, tmp_path: Path) -> None:
    said: list[str] = []
    desk.channels[0].recorder = recorder = Recorder("camera", tmp_path, notify=said.append)
    recorder.put(grey().planes, 0, fps=30)
    desk.press(pygame.K_r)
    desk.later()
    assert written(desk.page()[:40, 400:]) > 100, "red dot, time and size"
    start_us = time.monotonic_ns() // 1000
    for index in range(3):
        recorder.put(grey().planes, start_us + 33_333 * index, fps=30)
    desk.press(pygame.K_r)
    desk.later()
    assert written(desk.page()) == 0
    recorder.close()
    [path] = tmp_path.glob("*.mp4")
    assert path.name.startswith("camera-")
    [text] = said
    assert text.startswith(f"{path}: 3 pictures, 0:0")
    assert text.endswith(" kB")


def test_a_recording_that_cannot_be_is_said(desk: Desk, tmp_path: Path) -> None:
    recorder = Recorder("camera", tmp_path / "missing", notify=lambda _: None)
    assert recorder.toggle().startswith("Not recorded: ")
    assert recorder.status() is None


def test_what_happened_elsewhere_is_shown_once(desk: Desk) -> None:
    news = ["out.mp4: the disk is full."]
    desk.channels[0].notice = lambda: news.pop() if news else None
    desk.later(0)
    assert written(desk.page()[320:]) > 100
    desk.later()
    assert written(desk.page()) == 0


def test_a_hook_sees_events_first_and_where_the_picture_is(desk: Desk) -> None:
    seen: list[tuple[int, PictureArea | None]] = []

    def hook(event: pygame.event.Event, area: PictureArea | None) -> bool:
        seen.append((event.type, area))
        return bool(event.dict.get("key") == pygame.K_f)

    desk.channels[0].hook = hook
    desk.press(pygame.K_f)
    assert desk.page().shape[:2] == SIZE[::-1], "taken by the hook"
    desk.press(pygame.K_i)
    desk.window.handle(pygame.event.Event(pygame.WINDOWEXPOSED))
    assert [kind for kind, _ in seen] == [pygame.KEYDOWN] * 2
    area = seen[0][1]
    assert area is not None
    assert area.locate(320, 90) == (0.5, 0.25)
    assert area.locate(-64, 720) == (-0.1, 2.0)


def test_the_window_takes_the_shape_of_the_first_picture(tmp_path: Path, dummy_display: None) -> None:
    desk = Desk(tmp_path, ["camera"], follow_shape=True)
    desk.show(size=(320, 240))
    assert desk.page().shape[:2] == (360, 480)
    desk.show(size=(320, 180))
    assert desk.page().shape[:2] == (360, 480), "the user's size is left alone from then on"


def test_text_is_larger_on_a_screen_of_high_density(tmp_path: Path, dummy_display: None) -> None:
    heights = []
    for scale in (1.0, 2.0):
        desk = Desk(tmp_path, ["camera"], scale=scale, panel=True)
        desk.show()
        desk.later()
        rows = np.flatnonzero((desk.page().max(axis=2) > 200).any(axis=1))
        heights.append(int(rows[-1] - rows[0]))
        desk.window.close()
    assert heights[1] != heights[0]


def test_q_leaves(viewer: Viewer) -> None:
    viewer.window.handle(pygame.event.Event(pygame.KEYDOWN, key=pygame.K_q, mod=0))
    assert viewer.window.quit
