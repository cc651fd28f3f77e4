"""What a viewer says of itself: pictures, silence and its reasons, refusals that are waited out."""

import asyncio
import time
from dataclasses import dataclass
from typing import Any

import pytest

import client.viewer
from client.explain import STARTING, connecting
from client.measurement import Measurement
from client.standing import Standing
from client.viewer import Viewer
from client.whep import Refusal
from latentcast.config import ViewSettings
from latentcast.control import Config, SourceState
from latentcast.errors import UserError
from tests.client.watched_window import grey
from transport.clock import ClockSync

CONFIG = Config(epoch=0, stream="door", profile="nano", weights="0" * 64, width=640, height=360, fps=30)


@dataclass
class Counts:
    packets: int = 0
    bytes: int = 0


class Session:
    """A session that is up."""

    def __init__(self) -> None:
        self.counts = Counts()
        self.packets_expected = 0
        self.clock = ClockSync()
        self.waiting_for_intra = False


class Stand:
    """A standing, and what it said to the terminal."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        measurement = Measurement(started=0.0, ring_path=None, psnr=False)
        self.standing = Standing("live", measurement=measurement, on_notice=self.lines.append)
        self.session: Any = Session()

    def situation(self, *, source: SourceState | None = None, ready: bool = True) -> str:
        status = self.standing.status(self.session, config=CONFIG, source=source, decoder_ready=ready)
        return status.situation if status.reason else "live"


@pytest.fixture
def stand() -> Stand:
    return Stand()


def seen(stand: Stand, seconds_ago: float) -> None:
    stand.standing.passed(round((time.monotonic() - seconds_ago) * 1e6))


def test_it_begins_with_the_decoder(stand: Stand) -> None:
    assert stand.situation() == "starting"
    stand.standing.say(connecting("http://a/whep", 1))
    assert stand.situation(ready=False) == "starting"
    assert stand.situation() == "connecting"
    stand.session = None
    assert stand.situation(ready=False) == "connecting", "nobody waits for the decoder yet"


def test_the_terminal_hears_news_only(stand: Stand) -> None:
    stand.standing.say(STARTING)
    stand.standing.say(STARTING)
    stand.standing.say(connecting("http://a/whep", 1))
    assert stand.lines == ["Starting the decoder", "Connecting to http://a/whep"]


def test_a_silence_is_explained_by_what_is_known(stand: Stand) -> None:
    seen(stand, 0.1)
    assert stand.situation() == "live"
    seen(stand, 3.0)
    assert stand.situation() == "still"
    stand.session.waiting_for_intra = True
    assert stand.situation() == "lost"
    waiting = SourceState(kind="webcam", state="waiting", reason="unplugged")
    assert stand.situation(source=waiting) == "source"
    seen(stand, 0.1)
    assert stand.situation(source=waiting) == "live", "a picture says more"
    seen(stand, 3.0)
    stand.session = None
    assert stand.situation() == "live", "without a session it is told why there is none"


def test_pictures_become_numbers(stand: Stand) -> None:
    stand.session.clock = ClockSync()
    now_us = time.monotonic_ns() // 1000
    stand.standing.presented(grey(), now_us, stand.session.clock)
    status = stand.standing.status(stand.session, config=CONFIG, source=None, decoder_ready=True)
    assert (status.stream, status.size, status.reason) == ("door", (640, 360), None)
    assert status.fps == len(stand.standing.recent)


class NoWorker:
    """A decoder process that is never started."""

    ready = busy = refused = False
    pid = None

    def __init__(self, **options: Any) -> None: ...

    def start(self) -> None: ...

    async def stop(self) -> None: ...


@pytest.fixture
def no_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client.viewer, "Worker", NoWorker)
    monkeypatch.setattr(client.viewer, "FIRST_DELAY_S", 0.01)


def viewer(*, patient: bool, answers: list[Exception]) -> Viewer:
    """A viewer whose sessions end so, one after the other; the last one again and again."""
    measurement = Measurement(started=0.0, ring_path=None, psnr=False)
    watcher = Viewer(
        ViewSettings(headless=True),
        measurement=measurement,
        on_picture=lambda _: None,
        on_notice=lambda _: None,
        patient=patient,
    )

    async def session(whep: object) -> tuple[str, bool]:
        raise answers.pop(0) if len(answers) > 1 else answers[0]

    watcher._session = session  # type: ignore[method-assign]
    return watcher


async def when(watcher: Viewer, situation: str) -> None:
    async with asyncio.timeout(10):
        while watcher.status().situation != situation:  # noqa: ASYNC110 - a status has no event
            await asyncio.sleep(0.005)


@pytest.mark.asyncio
async def test_a_patient_viewer_waits_until_the_server_says_yes(no_process: None) -> None:
    answers: list[Exception] = [Refusal("no token", status=401), Refusal("no stream", status=404)]
    watcher = viewer(patient=True, answers=answers)
    running = asyncio.create_task(watcher.run())
    await when(watcher, "missing")
    assert isinstance(watcher.failure, Refusal)
    watcher.passed(grey(), 1)
    assert watcher.failure is None
    watcher.stop()
    await running


@pytest.mark.asyncio
async def test_what_can_never_work_stays_on_the_screen_until_the_user_leaves(no_process: None) -> None:
    watcher = viewer(patient=True, answers=[UserError("the decoder keeps failing: no memory")])
    running = asyncio.create_task(watcher.run())
    await when(watcher, "failed")
    assert (watcher.status().reason, watcher.status().detail) == ("The decoder keeps failing", "No memory")
    watcher.stop()
    await running
    assert str(watcher.failure) == "the decoder keeps failing: no memory"


@pytest.mark.asyncio
@pytest.mark.parametrize("answer", [Refusal("no stream", status=404), UserError("it fails")])
async def test_nobody_waits_headless(no_process: None, answer: UserError) -> None:
    with pytest.raises(type(answer), match=str(answer)):
        await viewer(patient=False, answers=[answer]).run()
