"""The X clipboard both ways and the pointer's shape, on an Xvfb, and with programs that misbehave."""

import base64
import threading
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import av
import numpy as np
import pytest

from latentcast.control import MAX_CURSOR_CHARACTERS, Cursor
from server.remote.cursor import cursor_message, encode_png
from server.remote.desktop_watch import DesktopWatch
from server.x11 import open_display
from tests.xvfb import PATIENCE_S, until, xvfb

MIB = 1 << 20


class Side:
    """A watch and what it told."""

    def __init__(self, display: str) -> None:
        self.texts: list[str] = []
        self.refused: list[int] = []
        self.cursors: list[Cursor] = []
        self.watch = DesktopWatch(
            display, on_text=self.texts.append, on_refused=self.refused.append, on_cursor=self.cursors.append
        )
        self.watch.start()
        until(lambda: bool(self.cursors))

    def copy(self, text: str) -> None:
        assert self.watch.put(text).wait(PATIENCE_S)

    def close(self) -> None:
        self.watch.close()


class Peer:
    """Another program, written for the test: owns the clipboard, or asks for it, step by step."""

    def __init__(self, display: str) -> None:
        from Xlib import X

        self.x = open_display(display)
        self.window = self.x.screen().root.create_window(
            0, 0, 1, 1, 0, X.CopyFromParent, event_mask=X.PropertyChangeMask
        )
        self.clipboard = self.x.get_atom("CLIPBOARD")

    def own(self) -> None:
        self.window.set_selection_owner(self.clipboard, 0)
        self.x.sync()

    def wait(self, kind: str) -> Any:
        """The next event of that kind."""
        found: list[Any] = []

        def came() -> bool:
            self.x.sync()
            while not found and self.x.pending_events():
                event = self.x.next_event()
                if event.__class__.__name__ == kind:
                    found.append(event)
            return bool(found)

        until(came)
        return found[0]

    def answer(self, request: Any, *, kind: int, data: bytes | None) -> None:
        """Give `data`, or refuse with None."""
        from Xlib.protocol import event

        if data is not None:
            request.requestor.change_property(request.property, kind, 8, data)
        request.requestor.send_event(
            event.SelectionNotify(
                time=request.time,
                requestor=request.requestor,
                selection=request.selection,
                target=request.target,
                property=request.property if data is not None else 0,
            )
        )
        self.x.sync()

    def close(self) -> None:
        self.x.close()


@pytest.fixture(scope="module")
def display() -> Iterator[str]:
    with xvfb() as name, pytest.MonkeyPatch.context() as environment:
        environment.delenv("WAYLAND_DISPLAY", raising=False)
        yield name


@pytest.mark.parametrize("text", ["short", "", "Grüße, 日本", "é" * 40_000, "x" * MIB])
def test_a_text_goes_from_one_program_to_the_other(display: str, text: str) -> None:
    with closing(Side(display)) as ours, closing(Side(display)) as theirs:
        ours.copy(text)
        until(lambda: theirs.texts == [text])
        assert ours.texts == [], "what it owns itself is no news"
        theirs.copy(text + "!" if len(text) < MIB else "!")
        until(lambda: len(ours.texts) == 1)


def test_more_than_1_mib_is_refused_with_its_size(display: str) -> None:
    with closing(Side(display)) as ours, closing(Side(display)) as theirs:
        theirs.copy("x" * (10 * MIB))
        until(lambda: bool(ours.refused))
        assert ours.refused[0] > MIB
        theirs.copy("small")
        until(lambda: ours.texts == ["small"])


def test_a_program_that_has_only_latin_1(display: str) -> None:
    with closing(Side(display)) as ours, closing(Peer(display)) as old:
        old.own()
        old.answer(old.wait("SelectionRequest"), kind=0, data=None)
        request = old.wait("SelectionRequest")
        assert old.x.get_atom_name(request.target) == "STRING"
        old.answer(request, kind=request.target, data="façade".encode("latin-1"))
        until(lambda: ours.texts == ["façade"])


def test_a_program_that_has_no_text_and_one_that_never_answers(display: str) -> None:
    with closing(Side(display)) as ours, closing(Peer(display)) as image, closing(Side(display)) as next_one:
        image.own()
        for _ in range(2):
            image.answer(image.wait("SelectionRequest"), kind=0, data=None)
        image.own()
        image.wait("SelectionRequest")
        next_one.copy("after that")
        until(lambda: ours.texts == ["after that"])


def test_a_transfer_in_pieces_that_its_program_leaves_unfinished(display: str) -> None:
    with closing(Side(display)) as ours, closing(Side(display)) as theirs:
        asker = Peer(display)
        ours.copy("x" * 500_000)
        until(lambda: len(theirs.texts) == 1)
        asker.window.convert_selection(asker.clipboard, asker.x.get_atom("UTF8_STRING"), asker.x.get_atom("MINE"), 0)
        asker.wait("SelectionNotify")
        asker.close()
        ours.copy("still there")
        until(lambda: theirs.texts[-1] == "still there")


def test_a_text_that_was_not_taken_yet_gives_way(display: str) -> None:
    watch = DesktopWatch(display, on_text=print, on_refused=print, on_cursor=lambda _: None)
    first, second = watch.put("first"), watch.put("second")
    assert first.is_set()
    assert not second.is_set()
    watch.start()
    assert second.wait(PATIENCE_S)
    watch.close()
    assert watch.put("too late") is not None


def test_the_shape_of_the_pointer_is_told_when_it_changes(display: str) -> None:
    from Xlib import X, Xcursorfont

    with closing(Side(display)) as ours:
        x = open_display(display)
        font = x.open_font("cursor")
        shown = [Xcursorfont.X_cursor]  # of the root window at first
        for shape in (Xcursorfont.watch, Xcursorfont.xterm):
            cursor = font.create_glyph_cursor(font, shape, shape + 1, (0, 0, 0), (65535, 65535, 65535))
            x.screen().root.change_attributes(cursor=cursor)
            x.sync()
            until(lambda: len({told.png for told in ours.cursors}) == len(shown) + 1)
            shown.append(shape)
        x.screen().root.change_attributes(cursor=X.NONE)
        x.close()


def decoded(png: bytes) -> np.ndarray[Any, np.dtype[np.uint8]]:
    codec = av.CodecContext.create("png", "r")
    (frame,) = codec.decode(av.Packet(png))
    return np.asarray(frame.to_ndarray(format="rgba"))


def test_a_cursor_becomes_a_png_with_plain_colours() -> None:
    half_red, white, nothing = 0x80800000, 0xFFFFFFFF, 0
    message = cursor_message([half_red, white, nothing, nothing, white, half_red], width=3, height=2, hot=(2, 1))
    assert (message.visible, message.hot_x, message.hot_y) == (True, 2, 1)
    pixels = decoded(base64.b64decode(message.png))
    assert pixels.shape == (2, 3, 4)
    assert pixels[0].tolist() == [[255, 0, 0, 128], [255, 255, 255, 255], [0, 0, 0, 0]]


def test_a_cursor_too_large_for_a_message_is_halved() -> None:
    noise = np.random.default_rng(1).integers(0, 2**24, 256 * 256).astype(np.uint32) | np.uint32(0xFF000000)
    message = cursor_message(noise.tolist(), width=256, height=256, hot=(200, 100))
    assert len(message.png) <= MAX_CURSOR_CHARACTERS
    side = decoded(base64.b64decode(message.png)).shape[0]
    assert (message.hot_x, message.hot_y) == (200 * side // 256, 100 * side // 256)


@pytest.mark.parametrize(("width", "height"), [(0, 0), (300, 300), (4, 4)])
def test_a_cursor_that_makes_no_sense_is_the_ordinary_one(width: int, height: int) -> None:
    assert cursor_message([0xFFFFFFFF] * 3, width=width, height=height, hot=(0, 0)) == Cursor(visible=True)


def test_a_cursor_without_a_visible_pixel_is_hidden() -> None:
    assert cursor_message([0] * 4, width=2, height=2, hot=(0, 0)) == Cursor(visible=False)


def test_png_of_one_pixel() -> None:
    assert decoded(encode_png(np.array([[[1, 2, 3, 4]]], np.uint8))).tolist() == [[[1, 2, 3, 4]]]


def test_closing_ends_the_thread(display: str) -> None:
    before = threading.active_count()
    Side(display).close()
    assert threading.active_count() == before
