"""What a machine offers, for people, for programs and over HTTP."""

import errno
import json

import av
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from typer.testing import CliRunner

from latentcast.cli import app
from latentcast.config import ServeSettings
from latentcast.errors import UserError
from server.source_routes import add_routes
from server.sources import v4l2
from server.sources.listing import SourceListing, as_text, list_sources
from server.sources.screen_listing import ScreenEntry
from server.sources.v4l2 import Camera, FrameSize, PixelFormat

CAMERAS = [
    Camera("/dev/video0", "HD Cam", (PixelFormat("YUYV", (FrameSize(640, 480, (30.0, 29.97)),)),)),
    Camera("/dev/video2", "Strange", (PixelFormat("Y16", (FrameSize(64, 64, ()),)),)),
    Camera("/dev/video4", "video4", problem=errno.EACCES),
]


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(v4l2, "cameras", lambda: CAMERAS)
    entry = ScreenEntry("monitor", "screen:monitor=1", "HDMI-1", (0, 0, 1920, 1080))
    monkeypatch.setattr("server.sources.screen_listing.list_screens", lambda: [entry])


@pytest.mark.usefixtures("machine")
def test_people_are_shown_what_to_give_to_source() -> None:
    text = as_text(list_sources(platform="linux"))
    assert "webcam:/dev/video0       HD Cam\n    YUYV  640x480 (30/29.97 fps)" in text
    assert "/dev/video2 offers no format that can be used here" in text
    assert "the camera /dev/video4 may not be opened (permission denied); add this user to the group video" in text
    assert "screen:monitor=1         HDMI-1, 1920x1080 at 0,0" in text
    assert "  rtsp://                  rtsp://camera.example/stream1" in text


@pytest.mark.usefixtures("machine")
def test_the_command_prints_json() -> None:
    done = CliRunner().invoke(app, ["sources", "--json"])
    listing = json.loads(done.stdout)
    assert listing["cameras"][0]["formats"][0]["sizes"] == [{"width": 640, "height": 480, "fps": [30.0, 29.97]}]
    assert {"scheme": "rtsp", "available": True, "example": "rtsp://camera.example/stream1"} in listing["protocols"]


def test_a_machine_without_anything_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_display() -> list[ScreenEntry]:
        raise UserError("no display.")

    monkeypatch.setattr(v4l2, "cameras", list)
    monkeypatch.setattr("server.sources.screen_listing.list_screens", no_display)
    listing = list_sources(platform="linux")
    assert listing.notes["cameras"].startswith("no camera was found")
    assert listing.notes["screens"] == "no display."
    assert "no display." in as_text(listing)


def test_other_systems_list_names(monkeypatch: pytest.MonkeyPatch) -> None:
    device = av.DeviceInfo("0", "FaceTime HD", False, ["video"])
    microphone = av.DeviceInfo("1", "Microphone", False, ["audio"])
    monkeypatch.setattr(av, "enumerate_input_devices", lambda _: [device, microphone])
    mac, windows = list_sources(platform="darwin"), list_sources(platform="win32")
    assert [(one.spec, one.name) for one in mac.cameras] == [("webcam:0", "FaceTime HD")]
    assert [one.spec for one in windows.cameras] == ["webcam:FaceTime HD"]
    assert "cannot be listed on this system" in mac.notes["cameras"]
    assert "this is plan9" in list_sources(platform="plan9").notes["cameras"]


@pytest.mark.asyncio
async def test_only_those_who_manage_the_server_are_shown_its_machine() -> None:
    application = web.Application()
    settings = ServeSettings.model_validate({"token": "see", "manage_token": "run"})
    add_routes(application.router, settings, ask=lambda: SourceListing(notes={"cameras": "none"}))
    async with TestClient(TestServer(application)) as client:
        assert (await client.get("/v1/sources")).status == 401
        assert (await client.get("/v1/sources", headers={"Authorization": "Bearer see"})).status == 403
        answer = await client.get("/v1/sources", headers={"Authorization": "Bearer run"})
        assert (await answer.json())["notes"] == {"cameras": "none"}
