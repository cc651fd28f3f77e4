"""One stream and everybody who gets its pictures, with a double of the viewer."""

import asyncio
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import client.watching
from client.picture import Picture, PictureMailbox
from client.sinks import VideoFormat
from client.sinks.base import SinkEnded
from client.view import _names, _report_folder, view
from client.watching import Watching
from latentcast.config import ViewSettings
from latentcast.control import Config, SourceState
from latentcast.errors import UserError
from tests.client.watched_window import grey

CONFIG = Config(epoch=0, stream="live", profile="nano", weights="0" * 64, width=640, height=360, fps=30)


class Double:
    """A viewer that shows what the test tells it to."""

    def __init__(self, settings: ViewSettings, **options: Any) -> None:
        self.on_picture: Callable[[Picture], None] = options["on_picture"]
        self.patient: bool = options["patient"]
        self.endpoint = "http://server/whep"
        self.config: Config | None = CONFIG
        self.source: SourceState | None = None
        self.presented_ids: list[int] = []
        self._stop = asyncio.Event()
        self._loop = asyncio.get_running_loop()

    async def run(self) -> None:
        await self._stop.wait()

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)

    def presented(self, picture: Picture, now_us: int) -> None:
        self.presented_ids.append(picture.frame_id)


class Taker:
    """A sink that keeps times, or fails at the first picture."""

    capacity = 10
    size_bytes = None

    def __init__(self, failure: Exception | None = None, *, place: str = "a sink") -> None:
        self.place = place
        self.failure = failure
        self.times_us: list[int] = []
        self.format: VideoFormat | None = None

    def open(self, video: VideoFormat) -> None:
        self.format = video

    def write(self, planes: NDArray[np.uint8], at_us: int) -> None:
        if self.failure is not None:
            raise self.failure
        self.times_us.append(at_us)

    def wait(self, now_us: int) -> None: ...

    def close(self, now_us: int) -> None: ...


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.setattr(client.watching, "Viewer", Double)
    return []


def watching(said: list[str], *sinks: Taker, settings: ViewSettings | None = None, **options: Any) -> Watching:
    return Watching(settings or ViewSettings(), sinks=sinks, started=0.0, say=said.append, **options)


def double(watched: Watching) -> Double:
    viewer = watched.viewer
    assert isinstance(viewer, Double)
    return viewer


@pytest.mark.asyncio
async def test_headless_pictures_are_presented_and_go_into_every_sink(said: list[str]) -> None:
    sinks = Taker(), Taker(place="another")
    watched = watching(said, *sinks)
    for index in range(3):
        double(watched).on_picture(grey(index))
    watched.close()
    assert double(watched).presented_ids == [0, 1, 2]
    for sink in sinks:
        assert sink.times_us == [grey().timeline.decoded_us] * 3
        assert sink.format == VideoFormat(640, 360, fps=30)
    assert [text.split(", ")[0] for text in said] == ["a sink: 3 pictures", "another: 3 pictures"]


@pytest.mark.asyncio
async def test_with_a_window_it_is_the_window_that_presents(said: list[str], tmp_path: Path) -> None:
    mailbox = PictureMailbox()
    watched = watching(said, mailbox=mailbox, folder=tmp_path)
    double(watched).on_picture(grey(7))
    assert double(watched).presented_ids == []
    assert mailbox.take(0) is not None
    assert watched.recorder is not None
    watched.recorder.toggle()
    double(watched).on_picture(grey(8))
    watched.close()
    [text] = said
    assert watched.notice() == text
    assert watched.notice() is None
    assert text.startswith(f"{tmp_path}/live-")


@pytest.mark.asyncio
@pytest.mark.parametrize("failure", [UserError("The disk is full."), SinkEnded("the reader left")])
async def test_headless_it_ends_when_nobody_takes_the_pictures_any_more(said: list[str], failure: Exception) -> None:
    watched = watching(said, Taker(failure))
    running = asyncio.create_task(watched.run())
    await asyncio.sleep(0)
    double(watched).on_picture(grey())
    async with asyncio.timeout(10):
        if isinstance(failure, UserError):
            with pytest.raises(UserError, match="The disk is full"):
                await running
            assert said == []
        else:
            await running
            assert said == ["a sink: no picture came"]
    watched.close()
    assert len(said) <= 1, "it is said once"


@pytest.mark.asyncio
async def test_a_sink_that_fails_leaves_the_window_and_the_other_sinks_alone(said: list[str]) -> None:
    good = Taker()
    bad = Taker(UserError("The disk is full."), place="bad")
    told = threading.Event()

    def say(text: str) -> None:
        said.append(text)
        told.set()

    watched = Watching(ViewSettings(), sinks=[bad, good], started=0.0, say=say, mailbox=PictureMailbox())
    running = asyncio.create_task(watched.run())
    double(watched).on_picture(grey())
    assert await asyncio.to_thread(told.wait, 10)
    assert said == ["The disk is full."] == [watched.notice()]
    double(watched).on_picture(grey(1))
    watched.close()
    assert len(good.times_us) == 2
    assert not running.done()
    double(watched).stop()
    await running


@pytest.mark.asyncio
async def test_seconds_count_from_the_first_picture(said: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    watched = watching(said, settings=ViewSettings(seconds=5.0))
    running = asyncio.create_task(watched.run())
    await asyncio.sleep(0.1)
    assert not running.done()
    monkeypatch.setattr(type(watched.measurement), "first_presented", -1000.0)
    async with asyncio.timeout(10):
        await running


@pytest.mark.asyncio
async def test_only_a_window_that_somebody_looks_at_is_patient(said: list[str], tmp_path: Path) -> None:
    mailbox = PictureMailbox()
    patience = [
        double(watching(said, mailbox=box, settings=ViewSettings(**options))).patient
        for box, options in (
            (mailbox, {}),
            (None, {}),
            (mailbox, {"seconds": 5.0}),
            (mailbox, {"report": tmp_path}),
        )
    ]
    assert patience == [True, False, False, False]


def test_which_streams_are_watched() -> None:
    assert _names(ViewSettings(stream="door")) == ("door",)
    assert _names(ViewSettings(streams=("a", "b", "a"))) == ("a", "b")
    with pytest.raises(UserError, match="is one stream already"):
        _names(ViewSettings(url="http://x/v1/streams/a/whep", streams=("a", "b")))


def test_each_of_several_streams_has_a_folder_for_its_report(tmp_path: Path) -> None:
    assert _report_folder(tmp_path / "r", "a", several=False) == tmp_path / "r"
    assert _report_folder(tmp_path / "r", "a", several=True) == tmp_path / "r" / "a"
    assert (tmp_path / "r" / "a").is_dir()
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot be made"):
        _report_folder(tmp_path / "file", "a", several=True)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"psnr": True}, "--psnr compares"),
        ({"streams": ("a", "b"), "compare": "ring"}, "--compare holds the pictures of one stream"),
        ({"sinks": ("out.avi",)}, "there is no sink"),
        ({"streams": ("a", "b"), "sinks": ("virtualcam",)}, "cannot take 2 streams"),
    ],
)
def test_what_cannot_work_is_said_before_anything_starts(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        view(ViewSettings(**settings), notice=lambda _: None)
