"""A desktop driven from afar: a real server on a real X display, a viewer that speaks the protocol, a program that is
typed into."""

import asyncio
import json
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest

from latentcast.control import Button, Clipboard, Input, InputEvent, Key, Pointer, Release, Text, Wheel
from server.remote.desktop_watch import DesktopWatch
from tests.end_to_end.program import BareClient, Server, until
from tests.xvfb import Program, Seen, xvfb

pytestmark = pytest.mark.net

SCREEN = (640, 360)
A, SHIFT = 38, 50
"""Keycodes of KeyA and ShiftLeft: Linux code + 8."""


@pytest.fixture(scope="module")
def display() -> Iterator[str]:
    with xvfb(width=SCREEN[0], height=SCREEN[1]) as name, pytest.MonkeyPatch.context() as environment:
        environment.setenv("DISPLAY", name)
        environment.delenv("WAYLAND_DISPLAY", raising=False)
        yield name


@pytest.fixture(scope="module")
def server(display: str) -> Iterator[Server]:
    # The picture is 192x128 and the screen 16:9, so that there are borders above and below.
    server = Server("--input-token", "steer", "--token", "look", source="screen")
    try:
        server.wait_ready()
        yield server
    finally:
        server.stop()


class Hands:
    """A viewer's hands."""

    def __init__(self, server: Server, token: str) -> None:
        self.client = BareClient(server.url, token=token)

    async def __aenter__(self) -> "Hands":
        await self.client.connect()
        self.client.hello()
        await until(lambda: bool(self.said("source")))
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.client.close()

    def do(self, *events: InputEvent) -> None:
        self.client.peer.send_control(Input(events=list(events)).model_dump_json())

    def said(self, kind: str) -> list[dict[str, Any]]:
        """Messages of one type that the server has sent."""
        return [message for message in map(json.loads, self.client.control) if message["type"] == kind]


@pytest.mark.asyncio
async def test_what_a_viewer_does_reaches_the_program_and_nothing_stays_pressed(display: str, server: Server) -> None:
    with closing(Program(display, x=100, y=50, width=400, height=200)) as program:
        async with Hands(server, "steer") as hands, Hands(server, "look") as onlooker:
            assert hands.said("source")[-1]["drive"] is True
            assert onlooker.said("source")[-1]["drive"] is False

            # The screen takes 192x108 of the 192x128 pixels, from row 10 on.
            hands.do(Pointer(x=0.5, y=0.5), Button(button=1, pressed=True), Button(button=1, pressed=False))
            await until(lambda: len([s for s in program.look() if s.kind == "button"]) == 2)
            press = next(seen for seen in program.seen if seen.kind == "button")
            assert (press.detail, press.pressed) == (1, True)
            assert (abs(press.x - 320) <= 1, abs(press.y - 180) <= 1) == (True, True)

            hands.do(Key(code="KeyA", pressed=True), Key(code="KeyA", pressed=False), Text(text="Ab ü€"))
            await until(lambda: program.typed().endswith("€"))
            assert program.typed() == "aAb ü€"

            hands.do(Wheel(dy=-1.0), Wheel(dx=0.5), Wheel(dx=0.5))
            await until(lambda: {s.detail for s in program.look() if s.kind == "button"} == {1, 5, 7})

            # Far outside is the nearest pixel; of a program that ends there nothing is seen.
            hands.do(Pointer(x=-1000.0, y=1000.0))
            await until(lambda: program.display.screen().root.query_pointer().root_y == SCREEN[1] - 1)
            assert program.display.screen().root.query_pointer().root_x == 0

            onlooker.do(Key(code="KeyB", pressed=True))
            await until(lambda: bool(onlooker.said("notice")))
            assert "may watch but not drive" in onlooker.said("notice")[0]["message"]

            hands.do(Pointer(x=0.5, y=0.5), Key(code="ShiftLeft", pressed=True), Button(button=3, pressed=True))
            await until(lambda: program.held() == {("key", SHIFT), ("button", 3)})
        # Both have vanished without a word.
        await until(lambda: not program.held())
        assert Seen("key", A + 18, True) not in program.seen
        assert "b" not in program.typed()[6:]


@pytest.mark.asyncio
async def test_the_clipboard_goes_both_ways_to_the_driver_alone(display: str, server: Server) -> None:
    copied: list[str] = []
    refused: list[int] = []
    other = DesktopWatch(display, on_text=copied.append, on_refused=refused.append, on_cursor=lambda _: None)
    other.start()
    try:
        async with Hands(server, "steer") as hands, Hands(server, "look") as onlooker:
            for part, text in enumerate(("grüße ", "vom viewer")):
                hands.client.peer.send_control(Clipboard(id=1, part=part, parts=2, text=text).model_dump_json())
            await until(lambda: copied == ["grüße vom viewer"])

            other.put("from the machine")
            await until(lambda: bool(hands.said("clipboard")))
            assert hands.said("clipboard")[0]["text"] == "from the machine"

            other.put("x" * (10 << 20))
            await until(lambda: bool(hands.said("notice")))
            assert "at most 1.0 MiB" in hands.said("notice")[0]["message"]

            assert await asyncio.to_thread(other.put("last").wait, 5)
            await until(lambda: hands.said("clipboard")[-1]["text"] == "last")
            assert {message["type"] for message in map(json.loads, onlooker.client.control)} <= {
                "config",
                "source",
                "stats",
            }
            assert hands.said("cursor")
            hands.do(Release())
    finally:
        other.close()
