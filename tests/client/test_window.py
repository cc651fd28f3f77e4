"""The window: pictures, states, keys and displays, on SDL's dummy display and on a real one."""

import os
import shutil
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pygame
import pytest
from numpy.typing import NDArray

from client.display import display_available
from client.fit import letterbox
from client.picture import Picture, PictureMailbox
from client.status import ViewStatus
from client.window import Window
from latentcast.errors import UserError
from tests.client.watched_window import BARS, GREY, PLAYING, SIZE, Desk, Viewer, grey, nothing, opened, press


class CountedStop(threading.Event):
    """Is set after two drawings, and fails the test when the loop turns without waiting for anything."""

    def __init__(self) -> None:
        super().__init__()
        self.rounds = self.drawings = 0

    def is_set(self) -> bool:
        self.rounds += 1
        assert self.rounds < 20, "the loop goes on"
        return self.drawings >= 2


class CountedBell(threading.Event):
    """Counts how often the loop slept until its time was up, and ends it after three times."""

    def __init__(self, stop: threading.Event) -> None:
        super().__init__()
        self.sleeps = 0
        self.stop = stop

    def wait(self, timeout: float | None = None) -> bool:
        assert timeout
        if self.is_set():
            return True
        self.sleeps += 1
        if self.sleeps == 3:
            self.stop.set()
        assert self.sleeps <= 3
        return False


def test_every_picture_is_reported_once_at_the_time_of_its_flip(viewer: Viewer) -> None:
    def half_a_second_later() -> None:
        viewer.now_us += 500_000

    viewer.play(half_a_second_later, half_a_second_later, nothing)
    assert viewer.presented == [(0, 1_000_000), (1, 1_500_000), (2, 2_000_000)]


@pytest.mark.parametrize("content", [(320, 180), (180, 320), (64, 64)])
def test_the_picture_keeps_its_shape_between_bars(viewer: Viewer, content: tuple[int, int]) -> None:
    def until_the_hint_is_gone() -> None:
        viewer.now_us += 60_000_000

    viewer.play(until_the_hint_is_gone, viewer.shoot, pictures=lambda index: grey(index, size=content))
    [page] = viewer.pages
    left, top, width, height = letterbox(content, SIZE)
    assert np.abs(page[top : top + height, left : left + width].astype(int) - GREY).max() <= 1
    assert (page[:, :left] == BARS).all()
    assert (page[:, left + width :] == BARS).all()


def test_the_stream_may_change_its_size(viewer: Viewer) -> None:
    sizes = [(320, 180), (180, 180)]
    viewer.play(viewer.shoot, viewer.shoot, pictures=lambda index: grey(index, size=sizes[index]))
    wide, square = viewer.pages
    assert np.abs(wide[100, 20].astype(int) - GREY).max() <= 1
    assert (square[100, 20] == BARS).all()


def test_i_toggles_the_numbers(viewer: Viewer) -> None:
    def toggle() -> None:
        viewer.shoot()
        press(pygame.K_i)

    viewer.play(toggle, toggle, viewer.shoot)
    before, shown, hidden = (int(page[20:60, 20:120].max()) for page in viewer.pages)
    assert before == hidden == GREY
    assert shown > 200


def test_numbers_change_twice_a_second_only(tmp_path: Path, dummy_display: None) -> None:
    viewer = Viewer(tmp_path, panel=True)
    fps = iter(range(1000))
    viewer.status = lambda: ViewStatus(fps=next(fps))

    def shoot_and_let_pass(duration_us: int) -> Callable[[], None]:
        def step() -> None:
            viewer.shoot()
            viewer.now_us += duration_us

        return step

    viewer.play(shoot_and_let_pass(400_000), shoot_and_let_pass(100_000), viewer.shoot)
    first, too_soon, refreshed = viewer.pages
    assert np.array_equal(first, too_soon)
    assert not np.array_equal(too_soon, refreshed)


def press_s() -> None:
    press(pygame.K_s)


def toast(page: NDArray[np.uint8]) -> int:
    """Pixels of text at the foot of the window."""
    return int((page[300:].max(axis=2) > 180).sum())


def bright(page: NDArray[np.uint8]) -> int:
    """Pixels of text in the middle of the window."""
    return int((page[120:240].min(axis=2) > 200).sum())


def test_without_a_picture_the_window_says_why(viewer: Viewer) -> None:
    reasons = iter([None, "Connecting", "Connecting to a server with a much longer name than before", None, None, None])
    viewer.status = lambda: ViewStatus(reason=next(reasons))
    viewer.wait(nothing, *[viewer.shoot] * 4)
    waiting, short, long, waiting_again = map(bright, viewer.pages)
    assert 0 < short < waiting < long
    assert waiting == waiting_again


def test_a_stale_picture_is_dimmed_under_the_reason_and_lights_up_at_once(viewer: Viewer) -> None:
    def then(reason: str | None) -> Callable[[], None]:
        def step() -> None:
            viewer.shoot()
            viewer.status = lambda: ViewStatus(reason=reason)

        return step

    viewer.play(then("The server is gone"), then(None), viewer.shoot)
    before, stale, after = ((int(page[20, 20, 0]), bright(page) > 0) for page in viewer.pages)
    assert before == after == (GREY, False)
    stale_level, stale_text = stale
    assert stale_level == pytest.approx(GREY / 3, abs=2)
    assert stale_text


def test_f_and_escape_switch_full_screen(viewer: Viewer) -> None:
    def then(key: int) -> Callable[[], None]:
        def step() -> None:
            viewer.shoot()
            press(key)

        return step

    # The last Escape comes in a plain window and means nothing.
    keys = (pygame.K_f, pygame.K_ESCAPE, pygame.K_f, pygame.K_f, pygame.K_ESCAPE, pygame.K_ESCAPE)
    viewer.play(*map(then, keys))
    desktop, plain = (768, 1024), (360, 640)
    assert [page.shape[:2] for page in viewer.pages] == [plain, desktop, plain, desktop, plain, plain]


def test_s_writes_the_streams_own_pixels_under_a_new_name_each_time(viewer: Viewer) -> None:
    viewer.status = lambda: ViewStatus(stream="../lab 1/cam")
    viewer.play(press_s, press_s, nothing, pictures=lambda _: grey(0, size=(320, 180)))
    paths = sorted(viewer.folder.iterdir())
    assert len(paths) == 2
    for path in paths:
        assert path.name.startswith("lab-1-cam-")
        assert "frame0" in path.name
        snapshot = pygame.surfarray.array3d(pygame.image.load(path))
        assert snapshot.shape == (320, 180, 3)
        assert np.abs(snapshot.astype(int) - GREY).max() <= 1


def test_a_snapshot_that_fails_is_said_and_the_stream_goes_on(viewer: Viewer) -> None:
    viewer.folder.write_text("a file where the folder should be")

    def press_s_after_the_hint() -> None:
        viewer.now_us += 60_000_000
        press_s()

    viewer.play(press_s_after_the_hint, viewer.shoot, nothing)
    assert len(viewer.presented) == 3
    assert toast(viewer.pages[0]) > 50


def test_before_the_first_picture_there_is_nothing_to_save(viewer: Viewer) -> None:
    viewer.wait(press_s, nothing)
    assert not viewer.folder.exists()


def test_a_toast_goes_away(viewer: Viewer) -> None:
    def later() -> None:
        viewer.shoot()
        viewer.now_us += 3_000_000

    viewer.play(later, later, later)
    hint, still_there, gone = map(toast, viewer.pages)
    assert hint == still_there > 50
    assert gone == 0


@pytest.mark.parametrize(
    "event",
    [
        pygame.event.Event(pygame.KEYDOWN, key=pygame.K_q, mod=0),
        pygame.event.Event(pygame.WINDOWCLOSE),
        pygame.event.Event(pygame.QUIT),
    ],
    ids=["q", "close button", "session end"],
)
def test_the_user_leaves(viewer: Viewer, event: pygame.event.Event) -> None:
    viewer.play(lambda: pygame.event.post(event), lambda: pytest.fail("still running"))
    assert not viewer.stop.is_set()
    assert not pygame.display.get_init()


def test_shortcuts_of_the_desktop_are_not_ours(viewer: Viewer) -> None:
    def press_with_control() -> None:
        press(pygame.K_q, mod=pygame.KMOD_LCTRL)
        press(pygame.K_s, mod=pygame.KMOD_LALT)

    viewer.play(press_with_control, nothing)
    assert len(viewer.presented) == 2
    assert not viewer.folder.exists()


def test_a_graphics_driver_that_restarts_costs_no_picture(viewer: Viewer) -> None:
    def reset() -> None:
        pygame.event.post(pygame.event.Event(pygame.RENDER_DEVICE_RESET))

    viewer.mailbox.put(grey())
    viewer.wait(reset, nothing, viewer.shoot)
    [page] = viewer.pages
    assert page[20, 20, 0] == GREY


def test_a_closed_mailbox_keeps_the_window_open_without_spinning(viewer: Viewer) -> None:
    viewer.bell = bell = CountedBell(viewer.stop)
    viewer.mailbox.close()
    viewer.run(lambda picture, now_us: None)
    assert bell.sleeps == 3


@pytest.mark.parametrize("event", [pygame.WINDOWEXPOSED, pygame.WINDOWSIZECHANGED])
def test_a_window_that_was_uncovered_or_resized_is_drawn_at_once(viewer: Viewer, event: int) -> None:
    def asked_before_every_drawing() -> ViewStatus:
        if stop.drawings == 0:
            pygame.event.clear()
            pygame.event.post(pygame.event.Event(event))
        stop.drawings += 1
        return PLAYING

    viewer.stop = stop = CountedStop()
    viewer.status = asked_before_every_drawing
    # The clock stands still: nothing but the event asks for the second drawing.
    viewer.run(lambda picture, now_us: None)
    assert stop.drawings == 2


def test_a_stream_larger_than_the_desktop_gets_a_window_that_fits(tmp_path: Path, dummy_display: None) -> None:
    viewer = Viewer(tmp_path, size=(3840, 2160))
    assert viewer.seen().shape[:2] == (519, 922)
    viewer.window.close()
    viewer.window.close()


def unset_displays(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "SDL_VIDEODRIVER"):
        monkeypatch.delenv(name, raising=False)


def test_no_display_is_said_in_words(monkeypatch: pytest.MonkeyPatch) -> None:
    unset_displays(monkeypatch)
    assert display_available() == "no display: neither DISPLAY nor WAYLAND_DISPLAY is set"
    with pytest.raises(UserError, match="cannot open a window: no display: neither DISPLAY"):
        Window([], size=SIZE, folder=Path())


def test_a_display_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    unset_displays(monkeypatch)
    monkeypatch.setenv("DISPLAY", ":54321")
    # SDL would fall back to drawing into memory and call that a success.
    assert display_available() == "no display: DISPLAY=:54321 cannot be opened"


def test_a_driver_that_does_not_exist_is_reported_by_sdl(monkeypatch: pytest.MonkeyPatch) -> None:
    unset_displays(monkeypatch)
    monkeypatch.setenv("SDL_VIDEODRIVER", "etching")
    assert "etching" in (display_available() or "")


@pytest.mark.net
def test_a_display_that_never_answers_does_not_hang(monkeypatch: pytest.MonkeyPatch) -> None:
    unset_displays(monkeypatch)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        # X11 over TCP: display N is port 6000 + N.
        monkeypatch.setenv("DISPLAY", f"127.0.0.1:{silent.getsockname()[1] - 6000}")
        assert "did not answer within 0.5 s" in (display_available(timeout_s=0.5) or "")


@pytest.fixture
def x_display(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    if shutil.which("Xvfb") is None:
        pytest.skip("Xvfb is not installed")
    unset_displays(monkeypatch)
    read_end, write_end = os.pipe()
    with (
        os.fdopen(read_end) as answer,
        subprocess.Popen(
            ["Xvfb", "-displayfd", str(write_end), "-screen", "0", "1024x768x24", "-nolisten", "tcp"],
            pass_fds=[write_end],
            stderr=subprocess.DEVNULL,
        ) as server,
    ):
        os.close(write_end)
        number = answer.readline().strip()
        if not number:
            pytest.skip("Xvfb does not start here")
        monkeypatch.setenv("DISPLAY", f":{number}")
        yield number
        while opened:
            opened.pop().close()
        pygame.display.quit()
        server.terminate()


def test_on_a_real_display(x_display: str, tmp_path: Path) -> None:
    assert display_available() is None
    viewer = Viewer(tmp_path)
    assert pygame.display.get_driver() == "x11"
    on_top: list[bool] = []

    def press_t() -> None:
        on_top.append(viewer.window._window.always_on_top)
        press(pygame.K_t)

    viewer.play(press_t, press_t, viewer.shoot)
    assert on_top == [False, True]
    assert np.abs(viewer.pages[0][20:200, 20:-20].astype(int) - GREY).max() <= 1
    assert len(viewer.presented) == 3


def test_the_windows_of_several_streams_do_not_hide_each_other(x_display: str, tmp_path: Path) -> None:
    desks = [Desk(tmp_path, [name], nth=index) for index, name in enumerate(("door", "garden"))]
    (left, top), (next_left, next_top) = (desk.window._window.position for desk in desks)
    assert next_left - left == next_top - top > 20


def test_the_newest_picture_wins_and_the_rest_are_counted() -> None:
    mailbox = PictureMailbox()
    for frame_id in range(3):
        mailbox.put(grey(frame_id))
    taken = mailbox.take(0)
    assert taken is not None
    assert taken.frame_id == 2
    assert mailbox.take(0) is None
    mailbox.put(grey(3))
    statistics = mailbox.statistics()
    assert (statistics.put, statistics.taken, statistics.dropped, statistics.waiting) == (4, 1, 2, 1)


def test_taking_waits_for_the_other_thread() -> None:
    mailbox = PictureMailbox()
    taken: list[Picture | None] = []
    taker = threading.Thread(target=lambda: taken.append(mailbox.take(60)))
    taker.start()
    mailbox.put(grey(7))
    taker.join()
    assert [picture and picture.frame_id for picture in taken] == [7]


def test_closing_lets_the_taker_go_and_drops_what_comes_later() -> None:
    mailbox = PictureMailbox()
    taken: list[Picture | None] = []
    taker = threading.Thread(target=lambda: taken.append(mailbox.take(60)))
    taker.start()
    mailbox.close()
    taker.join()
    assert taken == [None]
    mailbox.put(grey())
    assert mailbox.take(60) is None
    statistics = mailbox.statistics()
    assert (statistics.put, statistics.dropped, statistics.waiting) == (1, 1, 0)


def test_a_picture_left_before_closing_can_still_be_taken() -> None:
    mailbox = PictureMailbox()
    mailbox.put(grey(1))
    mailbox.close()
    assert mailbox.take(60) is not None
    assert mailbox.closed
