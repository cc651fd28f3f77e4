"""What the dashboard is told of streams and viewers."""

import json

import pytest

from latentcast.control import Viewer
from latentcast.report import STAGES
from latentcast.vitals import LoopLag
from server.dashboard.model import Snapshot, StreamState
from server.dashboard.snapshot import ID_CHARACTERS, SnapshotBuilder
from server.remote.desktop import RemoteStatistics
from server.sources.base import SourceStatus
from server.streams import Streams
from tests.server.dashboard_double import IdleStream, streams_of


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def only(streams: Streams) -> IdleStream:
    (stream,) = streams
    assert isinstance(stream, IdleStream)
    return stream


def state_of(builder: SnapshotBuilder) -> StreamState:
    (state,) = builder.build().streams
    return state


@pytest.mark.asyncio
async def test_rates_are_counts_since_the_snapshot_before() -> None:
    async with streams_of("live") as streams:
        clock, stream = Clock(), only(streams)
        builder = SnapshotBuilder(streams, LoopLag(), clock=clock)
        first = state_of(builder)
        assert first.captured_fps is None
        assert first.renditions[0].fps is None
        assert first.renditions[0].qp is None, "never 0 for what is not known"
        stream.captured, stream.dropped = 15, 3
        stream.code(1000, 2000, 3000, 4000, 5000)
        clock.now += 0.5
        second = state_of(builder)
        assert (second.captured_fps, second.dropped_fps) == (30, 6)
        best = second.renditions[0]
        assert (best.fps, best.bps, best.qp) == (10, 8 * 15_000 / 0.5, 32)
        assert (best.wait_ms, best.encode_ms) == (2, 15)
        clock.now += 0.5
        third = state_of(builder)
        assert (third.captured_fps, third.renditions[0].fps, third.renditions[0].qp) == (0, 0, None)


@pytest.mark.asyncio
async def test_every_frame_is_told_once_with_its_age() -> None:
    async with streams_of("live") as streams:
        clock, stream = Clock(), only(streams)
        builder = SnapshotBuilder(streams, LoopLag(), clock=clock)
        stream.code(111)
        assert state_of(builder).frames == (), "what was coded while nobody looked is not told"
        stream.code(4000, intra=True, qp=40, at_us=100_100_000)
        stream.code(900, qp=41, at_us=100_300_000)
        clock.now += 0.5
        assert state_of(builder).frames == ((0, 400, 4000, 40, 1), (0, 200, 900, 41, 0))
        clock.now += 0.5
        assert state_of(builder).frames == ()


@pytest.mark.asyncio
async def test_more_frames_than_are_remembered_are_told_as_far_as_they_are() -> None:
    async with streams_of("live") as streams:
        clock, stream = Clock(), only(streams)
        builder = SnapshotBuilder(streams, LoopLag(), clock=clock)
        builder.build()
        stream.code(*range(1000, 2000))
        clock.now += 5
        frames = state_of(builder).frames
        assert 0 < len(frames) == stream.renditions[0].recent.maxlen
        assert frames[-1][2] == 1999


@pytest.mark.asyncio
async def test_a_viewer_is_shown_with_what_it_said_and_without_its_secret() -> None:
    async with streams_of("live") as streams:
        clock, stream = Clock(), only(streams)
        builder = SnapshotBuilder(streams, LoopLag(), clock=clock)
        session = stream.new_session(may_drive=True)
        session.address = "192.0.2.7"
        (viewer,) = state_of(builder).viewers
        assert (viewer.state, viewer.address, viewer.figures, viewer.sent_bps) == (
            "connecting",
            "192.0.2.7",
            None,
            None,
        )
        session.live, session.program = True, "latentcast 1.2.3"
        session.seen = Viewer(
            fps=29.5,
            presented=100,
            lost=1,
            latency_p50_ms=50,
            latency_p95_ms=70,
            stages_ms=dict.fromkeys(STAGES, 7.0),
            rtt_ms=20,
        )
        clock.now += 0.5
        snapshot = builder.build()
        (viewer,) = snapshot.streams[0].viewers
        assert (viewer.state, viewer.program, viewer.drives) == ("live", "latentcast 1.2.3", "no")
        assert viewer.figures is not None
        assert (viewer.figures.p50_ms, viewer.figures.stages_ms["decode"]) == (50, 7)
        assert viewer.sent_bps == 0
        assert viewer.id == session.id[:ID_CHARACTERS]
        assert session.id not in snapshot.model_dump_json(), "the whole id ends the session"
        session.live = False
        assert state_of(builder).viewers[0].state == "leaving"
        await session.close()
        assert state_of(builder).viewers == ()


@pytest.mark.asyncio
async def test_who_may_drive_and_who_does(monkeypatch: pytest.MonkeyPatch) -> None:
    async with streams_of("live") as streams:
        stream = only(streams)
        driver, watcher = stream.new_session(may_drive=True), stream.new_session()

        def drives() -> list[str]:
            return [viewer.drives for viewer in state_of(SnapshotBuilder(streams, LoopLag())).viewers]

        assert drives() == ["no", "no"], "a pattern cannot be driven"
        monkeypatch.setattr(stream.remote, "drivable", True)
        assert drives() == ["may", "no"]
        monkeypatch.setattr(stream.remote, "statistics", lambda: RemoteStatistics(driver=driver.id))
        assert drives() == ["now", "no"]
        await watcher.close()


@pytest.mark.asyncio
async def test_a_stream_says_why_it_has_no_picture() -> None:
    async with streams_of("live") as streams:
        stream = only(streams)
        builder = SnapshotBuilder(streams, LoopLag())
        assert (state_of(builder).state, state_of(builder).reason) == ("live", "")
        stream.renditions[0].arithmetic = None
        stream._update_ready()
        assert (state_of(builder).state, state_of(builder).reason) == ("starting", "the encoder is starting")
        stream.source_status = SourceStatus("url", "waiting", "rtsp://me:secret@camera/1 does not answer")
        state = state_of(builder)
        assert (state.kind, state.state) == ("url", "waiting")
        assert state.reason == "rtsp://***@camera/1 does not answer"
        stream.fail("the camera was unplugged")
        assert (state_of(builder).state, state_of(builder).reason) == ("ended", "the camera was unplugged")


@pytest.mark.asyncio
async def test_passwords_in_sources_are_left_out() -> None:
    async with streams_of("live") as streams:
        stream = only(streams)
        stream._settings = stream._settings.model_copy(update={"source": ("rtsp://me:secret@camera/1",)})
        assert state_of(SnapshotBuilder(streams, LoopLag())).source == "rtsp://***@camera/1"


@pytest.mark.asyncio
async def test_what_was_counted_for_somebody_who_left_is_forgotten() -> None:
    async with streams_of("live", "other") as streams:
        clock = Clock()
        builder = SnapshotBuilder(streams, LoopLag(), clock=clock)
        builder.build()
        await streams.stop("other")
        clock.now += 1
        assert [state.name for state in builder.build().streams] == ["live"]
        assert builder._before is not None
        assert set(builder._before.streams) == set(streams)
        builder.forget()
        clock.now += 1
        assert state_of(builder).captured_fps is None


@pytest.mark.asyncio
async def test_viewers_are_not_told_each_others_addresses() -> None:
    async with streams_of("live") as streams:
        stream = only(streams)
        stream._settings = stream._settings.model_copy(update={"source": ("/srv/secret/clip.mp4",)})
        session = stream.new_session()
        session.address = "192.0.2.7"
        managing, looking = SnapshotBuilder(streams, LoopLag()).lines()
        assert b"192.0.2.7" in managing
        assert b"/srv/secret/clip.mp4" in managing
        assert b"192.0.2.7" not in looking
        assert b"secret" not in looking
        (state,) = Snapshot.model_validate_json(looking).streams
        assert (state.source, len(state.viewers)) == ("pattern", 1)


@pytest.mark.asyncio
async def test_a_line_is_one_line_and_the_model_again() -> None:
    async with streams_of("live") as streams:
        only(streams).fail("two\nlines")
        for line in SnapshotBuilder(streams, LoopLag()).lines():
            assert line.endswith(b"\n")
            assert line.count(b"\n") == 1
            assert Snapshot.model_validate(json.loads(line)).streams[0].reason == "two\nlines"
