"""Who drives a desktop, in simulated time, with viewers that only note what they are sent."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
import pytest_asyncio

from latentcast.control import (
    Clipboard,
    Cursor,
    Input,
    InputEvent,
    Key,
    Notice,
    Pointer,
    Release,
    ServerMessage,
)
from server.remote.desktop import IDLE_S, NOTICE_INTERVAL_S, SILENCE_S, NoDesktop, RemoteDesktop
from server.remote.injector import Injector
from tests.server.test_injector import PATIENCE_S, Devices

ARROW = Cursor(visible=True, hot_x=3)


class Viewer:
    """A session."""

    def __init__(self, name: str, *, may_drive: bool = True) -> None:
        self.id = name
        self.may_drive = may_drive
        self.silent_s = 0.0
        self.control_backlog = 0
        self.target_bps = 1_000_000.0
        self.got: list[ServerMessage] = []

    def send(self, message: ServerMessage) -> bool:
        self.got.append(message)
        return True

    @property
    def notices(self) -> list[str]:
        return [message.message for message in self.got if isinstance(message, Notice)]


class Watched:
    """A desktop's clipboard and cursor."""

    def __init__(self, **callbacks: Callable[[Any], None]) -> None:
        self.tell = callbacks
        self.put_texts: list[str] = []
        self.closed = False

    def start(self) -> None:
        pass

    def put(self, text: str) -> threading.Event:
        self.put_texts.append(text)
        done = threading.Event()
        done.set()
        return done

    def close(self) -> None:
        self.closed = True


class Room:
    """A desktop and what happens around it."""

    def __init__(self) -> None:
        self.now = 100.0
        self.devices = Devices()
        self.drawn: list[bool] = []
        self.watches: list[Watched] = []
        self.injector = Injector(self.devices, clock=lambda: self.now)
        self.desktop = RemoteDesktop(
            self.injector, make_watch=self._watch, draw_cursor=self.drawn.append, clock=lambda: self.now
        )
        self.injector.on_problem = self.desktop.on_problem

    def _watch(self, **callbacks: Callable[[Any], None]) -> Watched:
        self.watches.append(Watched(**callbacks))
        return self.watches[-1]

    def do(self, viewer: Viewer, *events: InputEvent) -> None:
        self.desktop.on_message(viewer, Input(events=list(events)))

    def told(self) -> list[tuple[Any, ...]]:
        """What the devices were told."""
        assert self.injector.drain(PATIENCE_S)
        return self.devices.told

    async def report(self, what: str, value: object) -> None:
        """The thread that watches the desktop says something."""
        self.watches[0].tell[what](value)
        await asyncio.sleep(0)


@pytest_asyncio.fixture
async def room() -> AsyncIterator[Room]:
    room = Room()
    yield room
    await room.desktop.stop()


def press(code: str) -> Key:
    return Key(code=code, pressed=True)


@pytest.mark.asyncio
async def test_who_may_not_drive_causes_nothing_and_is_told_once_in_a_while(room: Room) -> None:
    onlooker = Viewer("onlooker", may_drive=False)
    for _ in range(1000):
        room.do(onlooker, Pointer(x=0.5, y=0.5), press("KeyA"))
        room.desktop.on_message(onlooker, Clipboard(id=1, part=0, parts=1, text="x"))
    assert room.desktop.driver is None
    assert room.watches == []
    assert room.devices.opened == 0
    assert len(onlooker.notices) == 1
    assert "may watch but not drive" in onlooker.notices[0]
    assert room.desktop.statistics().denied == 2000
    room.now += NOTICE_INTERVAL_S
    room.do(onlooker, press("KeyA"))
    assert len(onlooker.notices) == 2


@pytest.mark.asyncio
async def test_where_there_is_nothing_to_drive_everybody_is_told_why() -> None:
    desktop, viewer = NoDesktop("there is no screen."), Viewer("anybody")
    desktop.on_message(viewer, Input(events=[press("KeyA")]))
    assert viewer.notices == ["there is no screen."]
    desktop.on_closed(viewer)
    assert desktop.statistics().denied == 1
    assert not desktop.drivable
    await desktop.stop()


@pytest.mark.asyncio
async def test_one_drives_at_a_time_and_the_next_when_that_one_rests(room: Room) -> None:
    first, second = Viewer("first"), Viewer("second")
    room.do(first, press("KeyA"))
    room.do(second, press("KeyB"))
    assert room.told() == [("key", "KeyA", True)]
    assert "another viewer is driving" in second.notices[0]
    room.now += IDLE_S + 0.1
    room.do(second, press("KeyB"))
    assert room.desktop.driver is first, "it holds a key"
    room.do(first, Key(code="KeyA", pressed=False))
    room.now += IDLE_S + 0.1
    room.do(second, press("KeyB"))
    assert room.desktop.driver is second
    assert room.told()[1:] == [("key", "KeyA", False), ("key", "KeyB", True)]


@pytest.mark.asyncio
async def test_a_release_gives_the_desktop_back_and_takes_none(room: Room) -> None:
    first, second = Viewer("first"), Viewer("second")
    room.do(second, Release())
    assert room.desktop.driver is None
    room.do(first, press("KeyA"))
    room.do(second, Release())
    assert room.desktop.driver is first
    assert second.notices == []
    room.do(first, press("KeyB"), Release())
    assert room.desktop.driver is None
    room.do(second, press("KeyC"))
    assert room.told() == [
        ("key", "KeyA", True),
        ("key", "KeyB", True),
        ("key", "KeyB", False),
        ("key", "KeyA", False),
        ("key", "KeyC", True),
    ]


@pytest.mark.asyncio
async def test_everything_is_released_when_the_driver_leaves(room: Room) -> None:
    driver, other = Viewer("driver"), Viewer("other")
    room.do(driver, press("ShiftLeft"), press("KeyA"))
    room.desktop.on_closed(other)
    assert room.desktop.driver is driver
    room.desktop.on_closed(driver)
    assert room.told()[2:] == [("key", "KeyA", False), ("key", "ShiftLeft", False)]
    assert room.desktop.driver is None


@pytest.mark.asyncio
async def test_everything_is_released_when_the_driver_is_not_heard_of(room: Room) -> None:
    driver = Viewer("driver")
    room.do(driver, press("KeyA"))
    driver.silent_s = SILENCE_S
    room.desktop.tick()
    assert room.told() == [("key", "KeyA", True)]
    driver.silent_s = SILENCE_S + 0.1
    room.desktop.tick()
    assert room.told()[1:] == [("key", "KeyA", False)]
    room.do(driver, press("KeyB"))
    assert room.told()[-1] == ("key", "KeyB", True), "it may come back"


@pytest.mark.asyncio
async def test_everything_is_released_when_the_stream_stops() -> None:
    room = Room()
    driver = Viewer("driver")
    room.do(driver, press("KeyA"))
    await room.desktop.stop()
    assert room.devices.told == [("key", "KeyA", True), ("key", "KeyA", False), ("close",)]
    assert room.watches[0].closed
    room.do(driver, press("KeyB"))
    assert len(room.devices.told) == 3


@pytest.mark.asyncio
async def test_the_pointer_is_in_the_picture_but_for_while_somebody_drives(room: Room) -> None:
    driver = Viewer("driver")
    room.do(driver, Pointer(x=0.5, y=0.5))
    assert room.drawn == [False]
    room.now += IDLE_S + 0.1
    room.desktop.tick()
    assert room.drawn == [False, True]
    room.do(driver, Pointer(x=0.6, y=0.5))
    room.do(driver, Release())
    assert room.drawn == [False, True, False, True]


@pytest.mark.asyncio
async def test_cursor_and_clipboard_go_to_the_driver_alone(room: Room) -> None:
    driver, other = Viewer("driver"), Viewer("other")
    room.do(driver, Pointer(x=0.5, y=0.5))
    await room.report("on_cursor", ARROW)
    await room.report("on_text", "copied there")
    room.desktop.tick()
    assert driver.got == [ARROW, Clipboard(id=1, part=0, parts=1, text="copied there")]
    room.desktop.on_closed(driver)
    await room.report("on_text", "a secret, while nobody drives")
    room.do(other, Pointer(x=0.5, y=0.5))
    room.desktop.tick()
    assert other.got == [ARROW], "the shape at once, and no clipboard of before"


@pytest.mark.asyncio
async def test_a_long_clipboard_leaves_the_path_to_the_video(room: Room) -> None:
    driver = Viewer("driver")
    room.do(driver, Pointer(x=0.5, y=0.5))
    await room.report("on_text", "x" * 1_000_000)
    for _ in range(100):
        room.now += 0.1
        room.desktop.tick()
    sent = 2048 * len(driver.got)
    assert 0.8 < sent / (10 * driver.target_bps / 8 * 0.25) < 1.2
    driver.control_backlog = 100_000
    room.now += 10
    room.desktop.tick()
    assert 2048 * len(driver.got) == sent


@pytest.mark.asyncio
async def test_a_clipboard_that_is_too_large_is_told_of(room: Room) -> None:
    driver = Viewer("driver")
    room.do(driver, Pointer(x=0.5, y=0.5))
    await room.report("on_refused", 10 << 20)
    assert driver.notices == [
        "the server's clipboard holds 10.0 MiB of text, and at most 1.0 MiB are sent: it was left out; copy less, or "
        "send a file another way."
    ]


@pytest.mark.asyncio
async def test_what_the_driver_copied_is_there_before_its_next_key(room: Room) -> None:
    driver = Viewer("driver")
    room.desktop.on_message(driver, Clipboard(id=7, part=0, parts=2, text="from "))
    assert room.watches[0].put_texts == []
    room.desktop.on_message(driver, Clipboard(id=7, part=1, parts=2, text="here"))
    room.do(driver, press("KeyV"))
    assert room.watches[0].put_texts == ["from here"]
    assert room.told() == [("key", "KeyV", True)]


@pytest.mark.asyncio
async def test_the_driver_is_told_when_input_does_not_arrive(room: Room) -> None:
    driver = Viewer("driver")
    room.devices.problem = OSError("the display has gone")
    room.do(driver, press("KeyA"))
    room.told()
    await asyncio.sleep(0)
    assert "the display has gone" in driver.notices[0]
    room.devices.problem = None
    room.now += 2
    room.do(driver, press("KeyB"))
    room.told()
    async with asyncio.timeout(PATIENCE_S):
        while len(driver.notices) < 2:  # noqa: ASYNC110  # the thread tells after the key
            await asyncio.sleep(0.001)
    assert driver.notices[1] == "input arrives again."
