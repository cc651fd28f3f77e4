"""An X screen as a source: what is in the picture, and what happens when there is none. On an Xvfb of its own."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import closing

import numpy as np
import pytest
from numpy.typing import NDArray

from latentcast.errors import UserError
from server.sources import open_source
from server.sources.base import SourceClosed, SourceLost, monotonic_us
from server.sources.screen import ScreenSource
from server.sources.screen_listing import list_screens
from server.sources.screen_target import (
    Desktop,
    Monitor,
    Region,
    Target,
    WindowById,
    WindowByTitle,
    parse_target,
)
from server.x11 import open_display
from tests.xvfb import Program, until, xvfb

SCREEN = (640, 360)
WHITE, BLACK = 255, 0


@pytest.fixture(scope="module")
def x_server() -> Iterator[str]:
    with xvfb(width=SCREEN[0], height=SCREEN[1]) as name:
        yield name


@pytest.fixture
def display(x_server: str, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("DISPLAY", x_server)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    return x_server


class Look:
    """A source and its newest picture; no time passes between pictures, and 10 s where it waits after a loss."""

    def __init__(self, spec: str, *, size: tuple[int, int] | None = None) -> None:
        self.now_us = 0
        self.source = ScreenSource(spec, size=size, fps=240, clock=lambda: self.now_us, wait=self._wait)
        self.planes: NDArray[np.uint8] = np.empty((3, *self.source.size[::-1]), np.uint8)

    def _wait(self, seconds: float) -> None:
        self.now_us += round(seconds * 1e6) + 1

    def luma(self) -> NDArray[np.uint8]:
        self.source.read(self.planes, frame_id=0)
        luma: NDArray[np.uint8] = self.planes[0]
        return luma

    def lost(self) -> str:
        with pytest.raises(SourceLost) as caught:
            self.source.read(self.planes, frame_id=0)
        return str(caught.value)

    def close(self) -> None:
        self.source.close()


@pytest.mark.parametrize(
    ("spec", "target"),
    [
        ("screen", Desktop()),
        ("screen:monitor=12", Monitor(12)),
        ("screen:region=640x360+0+50", Region((0, 50, 640, 360))),
        ("screen:window=0x3a00007", WindowById(0x3A00007)),
        ("screen:window=Mail: 3 = three", WindowByTitle("Mail: 3 = three")),
    ],
)
def test_what_is_captured_is_named_so(spec: str, target: Target) -> None:
    assert parse_target(spec) == target


@pytest.mark.parametrize(
    "spec",
    [
        "screen:",
        "screen:monitor=0",
        "screen:monitor=-1",
        "screen:monitor=x",
        "screen:region=640x360",
        "screen:region=1x360+0+0",
        "screen:region=640x360-5+0",
        "screen:window=",
        "screen:window= ",
        "screen:title=x",
    ],
)
def test_other_names_are_refused_with_what_is_expected(spec: str) -> None:
    with pytest.raises(UserError, match=r"expected screen, screen:monitor=2, .*latentcast sources"):
        parse_target(spec)


def test_the_whole_desktop_to_the_pixel_and_stamped_before_it_is_read(display: str) -> None:
    with closing(Program(display, x=100, y=50, width=200, height=100)), closing(Look("screen")) as look:
        assert look.source.size == SCREEN
        assert (look.source.kind, look.source.audio, look.source.fps) == ("screen", None, 240)
        luma = look.luma()
        expected = np.zeros(SCREEN[::-1], np.uint8)
        expected[50:150, 100:300] = WHITE
        assert np.count_nonzero(luma != expected) < 1000, "but for the pointer"
        look.source.set_cursor(False)
        assert np.array_equal(look.luma(), expected)
        assert look.planes[1:].min() == look.planes[1:].max() == 128
    with closing(ScreenSource("screen", fps=240)) as source:
        before = monotonic_us()
        captured = source.read(look.planes, frame_id=0)
        assert before <= captured <= monotonic_us()


def test_the_pointer_is_drawn_until_it_is_not_wanted(display: str) -> None:
    with closing(Program(display, x=0, y=0, width=640, height=360)) as program, closing(Look("screen")) as look:
        program.display.screen().root.warp_pointer(400, 200)
        program.display.sync()
        around = (slice(180, 220), slice(380, 420))
        assert look.luma()[around].min() < 100
        look.source.set_cursor(False)
        assert look.luma()[around].min() == WHITE
        look.source.set_cursor(True)
        assert look.luma()[around].min() < 100


def test_a_region_and_a_picture_of_another_shape(display: str) -> None:
    with (
        closing(Program(display, x=0, y=0, width=640, height=360)),
        closing(Look("screen:region=160x90+300+100", size=(320, 240))) as look,
    ):
        luma = look.luma()
        assert look.source.geometry.region == (300, 100, 160, 90)
        assert look.source.geometry.rectangle == (0, 30, 320, 180)
        assert luma[:30].max() == luma[210:].max() == BLACK
        assert luma[30:210].min() == WHITE


def test_a_window_is_followed_and_fitted_and_found_again(display: str) -> None:
    title = "Déjà vu - editor"
    program = Program(display, x=100, y=50, width=320, height=180, title=title)
    with closing(program), closing(Look("screen:window=déjà VU")) as look:
        look.source.set_cursor(False)
        assert look.source.size == (320, 180)
        assert look.luma().min() == WHITE

        program.window.configure(x=300, y=120)
        program.display.sync()
        assert look.luma().min() == WHITE
        assert look.source.geometry.region == (300, 120, 320, 180)

        program.window.set_wm_name("something else")
        program.window.configure(x=500, y=300, width=100, height=200)
        program.display.sync()
        luma = look.luma()
        assert look.source.geometry.region == (500, 300, 100, 60), "the part on the screen"
        assert look.source.geometry.rectangle == (10, 0, 300, 180)
        assert (luma[:, :10].max(), luma[:, 12:308].min()) == (BLACK, WHITE)

        program.window.configure(x=3000)
        program.display.sync()
        assert "lies outside the screen, which is 640x360" in look.lost()

        program.window.configure(x=100, y=50, width=320, height=180)
        program.window.unmap()
        program.display.sync()
        assert "the window 'déjà VU' is minimised or hidden" in look.lost()
        program.window.map()
        program.display.sync()
        assert look.luma().min() == WHITE

        program.window.destroy()
        program.display.sync()
        assert "no visible window has 'déjà VU' in its title" in look.lost()
        with closing(Program(display, x=0, y=0, width=320, height=180, title=title)):
            assert look.luma().min() == WHITE


def test_what_is_not_there_at_the_start_is_an_error_in_words(display: str) -> None:
    for spec, words in {
        "screen:monitor=7": "there is no monitor 7, only 1",
        "screen:region=10x10+5000+0": "lies outside the screen",
        "screen:window=no such": "no visible window has 'no such' in its title",
        "screen:window=0x7fffff": "there is no window 0x7fffff",
    }.items():
        with pytest.raises(UserError, match=words):
            open_source([spec])


def test_what_there_is_can_be_listed(display: str) -> None:
    with closing(Program(display, x=100, y=50, width=320, height=180, title="list\x01ed")) as program:
        desktop, monitor, window = list_screens()
        assert (desktop.spec, desktop.region) == ("screen", (0, 0, *SCREEN))
        assert (monitor.spec, monitor.region) == ("screen:monitor=1", (0, 0, *SCREEN))
        assert (window.spec, window.name) == (f"screen:window={program.window.id:#x}", "list ed")
        assert window.region == (100, 50, 320, 180)
        for entry in (desktop, monitor, window):
            with closing(Look(entry.spec)) as look:
                look.luma()
                assert look.source.geometry.region == entry.region


def test_a_screen_that_changes_size_is_fitted_and_goes_on(display: str) -> None:
    with closing(Look("screen")) as look:
        look.luma()
        x = open_display()
        try:
            root = x.screen().root
            resources = root.xrandr_get_screen_resources()
            crtc, when = resources.crtcs[0], resources.config_timestamp
            now = x.xrandr_get_crtc_info(crtc, when)
            # Without the monitor the screen may be of any size.
            x.xrandr_set_crtc_config(crtc, when, 0, 0, 0, now.rotation, [])
            root.xrandr_set_screen_size(320, 240, 80, 60)
            x.sync()
            look.luma()
            assert look.source.geometry.region == (0, 0, 320, 240)
            assert look.source.geometry.rectangle == (80, 0, 480, 360)
            root.xrandr_set_screen_size(*SCREEN, 169, 95)
            x.xrandr_set_crtc_config(crtc, when, 0, 0, now.mode, now.rotation, now.outputs)
            x.sync()
        finally:
            x.close()
        look.luma()
        assert look.source.geometry.region == (0, 0, *SCREEN)


def test_an_x_server_that_dies_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    with xvfb() as name:
        monkeypatch.setenv("DISPLAY", name)
        look = Look("screen")
        look.luma()
    with closing(look):
        assert "has gone" in look.lost() or "cannot be" in look.lost()
        assert f"the X display {name} cannot be reached" in look.lost()
        begun = look.now_us
        for _ in range(8):
            look.lost()
        assert 30e6 < look.now_us - begun < 41e6, "5 s between tries in the end"
        with subprocess.Popen(["Xvfb", name, "-screen", "0", "640x360x24", "-noreset"], stderr=subprocess.DEVNULL) as x:
            try:
                until(lambda: os.path.exists(f"/tmp/.X11-unix/X{name[1:]}"))
                until(lambda: _reads(look))
            finally:
                x.kill()


def _reads(look: Look) -> bool:
    try:
        look.luma()
    except SourceLost:
        return False
    return True


def test_interrupting_ends_a_wait_for_a_display_that_does_not_come(display: str) -> None:
    with closing(Look("screen:region=64x64+0+0")) as look:
        look.luma()
        look.source.interrupt()
        with pytest.raises(SourceClosed):
            look.source.read(look.planes, frame_id=1)


@pytest.mark.parametrize(
    ("environment", "words"),
    [
        ({}, r"there is no X display \(DISPLAY is not set\)"),
        ({"WAYLAND_DISPLAY": "wayland-0"}, r"Wayland without X .*log in to a session .*/publish"),
        ({"DISPLAY": ":987"}, "the X display :987 cannot be reached"),
        ({"DISPLAY": "nonsense"}, "the X display nonsense cannot be reached"),
    ],
)
def test_where_there_is_no_screen_one_sentence_says_why(
    environment: dict[str, str], words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(UserError, match=words):
        open_source(["screen"])
    with pytest.raises(UserError, match=words):
        list_screens()


@pytest.mark.parametrize("sign", ["extension", "monitor"])
def test_the_x_server_of_a_wayland_desktop_shows_nothing(
    display: str, sign: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from Xlib.display import Display

    monkeypatch.setenv("WAYLAND_DISPLAY", "wayland-0")
    open_display().close()
    if sign == "extension":
        there = Display.has_extension
        monkeypatch.setattr(Display, "has_extension", lambda self, name: name == "XWAYLAND" or there(self, name))
    else:
        monkeypatch.setattr(Display, "get_atom_name", lambda self, atom: "XWAYLAND0")
    with pytest.raises(UserError, match=r"is Xwayland, which shows nothing .*/publish"):
        open_source(["screen"])


def test_a_display_of_another_user_says_so(tmp_path: object, monkeypatch: pytest.MonkeyPatch) -> None:
    cookies = f"{tmp_path}/cookies"
    with open(cookies, "wb") as file:
        # Family local, no address, no number, a name and sixteen bytes (Xau's file format).
        name, secret = b"MIT-MAGIC-COOKIE-1", b"0123456789abcdef"
        fields = (b"", b"", name, secret)
        file.write(b"\xff\xff" + b"".join(len(field).to_bytes(2, "big") + field for field in fields))
    with xvfb(arguments=("-auth", cookies)) as display:
        monkeypatch.setenv("DISPLAY", display)
        monkeypatch.setenv("XAUTHORITY", f"{tmp_path}/none")
        monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
        with pytest.raises(UserError, match=r"does not let this user in .*XAUTHORITY"):
            open_display()
