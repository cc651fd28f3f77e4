"""What viewers may drive, by source and settings; and the devices that are opened for it."""

import asyncio
from collections.abc import Iterator
from contextlib import closing

import pytest
from pydantic import SecretStr

from latentcast.config import ServeSettings
from latentcast.control import Button, Input, InputEvent, Key, Pointer
from server.remote.desktop import NoDesktop, RemoteDesktop
from server.remote.opening import open_remote
from server.sources.pattern import PatternSource
from server.sources.screen import ScreenSource
from tests.server.test_remote_session import Viewer
from tests.server.test_uinput import Device
from tests.xvfb import Program, until, xvfb

TOKEN = SecretStr("steer")


class Told(Viewer):
    """A viewer that waits for a notice."""

    async def wait(self) -> None:
        async with asyncio.timeout(10):
            while not self.notices:  # noqa: ASYNC110  # another thread tells
                await asyncio.sleep(0.005)


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch) -> Iterator[ScreenSource]:
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    with xvfb() as name:
        monkeypatch.setenv("DISPLAY", name)
        with closing(ScreenSource("screen:region=320x180+100+50", size=(192, 128))) as source:
            yield source


@pytest.mark.asyncio
async def test_nobody_may_drive_without_a_token_for_it(screen: ScreenSource) -> None:
    remote = open_remote(screen, ServeSettings(token=TOKEN, manage_token=TOKEN))
    assert isinstance(remote, NoDesktop)
    viewer = Viewer("with every right")
    remote.on_message(viewer, Input(events=[Key(code="KeyA", pressed=True)]))
    assert "started without a token for input" in viewer.notices[0]


@pytest.mark.asyncio
async def test_a_stream_without_a_screen_cannot_be_driven() -> None:
    remote = open_remote(PatternSource(size=(64, 64), fps=30), ServeSettings(input_token=TOKEN))
    viewer = Viewer("driver")
    remote.on_message(viewer, Input(events=[Key(code="KeyA", pressed=True)]))
    assert viewer.notices == ["this stream shows no screen that could be driven."]


@pytest.mark.asyncio
async def test_a_screen_is_driven_where_its_region_lies(screen: ScreenSource) -> None:
    remote = open_remote(screen, ServeSettings(input_token=TOKEN))
    assert isinstance(remote, RemoteDesktop)
    with closing(Program(screen.display_name, x=0, y=0, width=640, height=360)) as program:
        press: list[InputEvent] = [Pointer(x=5.0, y=0.5), Button(button=1, pressed=True)]
        remote.on_message(Viewer("driver"), Input(events=press))
        until(lambda: program.held() == {("button", 1)})
        pressed = next(seen for seen in program.seen if seen.kind == "button")
        assert (pressed.x, pressed.y) == (419, 140), "the last column of the region, not of the screen"
        await remote.stop()
        until(lambda: not program.held())


@pytest.mark.asyncio
async def test_without_xtest_it_goes_through_the_kernel_over_the_whole_desktop(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    devices: list[Device] = []

    def make(events: dict[int, list[object]], name: str) -> Device:
        devices.append(Device(events, name))
        return devices[-1]

    monkeypatch.setattr("server.remote.uinput._make_device", make)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    with xvfb(arguments=("-extension", "XTEST")) as name:
        monkeypatch.setenv("DISPLAY", name)
        with closing(ScreenSource("screen:region=320x180+320+180", size=(320, 180))) as source:
            remote = open_remote(source, ServeSettings(input_token=TOKEN))
            remote.on_message(Viewer("driver"), Input(events=[Pointer(x=0.0, y=0.0)]))
            until(lambda: len(devices) == 2 and len(devices[0].written) == 2)
            assert [value / 65535 for _, _, value in devices[0].written] == pytest.approx([0.5, 0.5], abs=0.002)
            await remote.stop()
            assert all(device.closed for device in devices)

            strict = open_remote(source, ServeSettings(input_token=TOKEN, input_device="xtest"))
            assert isinstance(strict, RemoteDesktop)
            viewer = Told("driver")
            strict.on_message(viewer, Input(events=[Pointer(x=0.0, y=0.0)]))
            await viewer.wait()
            assert "no XTEST extension" in viewer.notices[0]
            await strict.stop()


@pytest.mark.asyncio
async def test_any_source_is_driven_through_the_kernel_when_that_is_asked_for() -> None:
    source = PatternSource(size=(64, 64), fps=30)
    remote = open_remote(source, ServeSettings(input_token=TOKEN, input_device="uinput"))
    assert isinstance(remote, RemoteDesktop)
    await remote.stop()
