"""Streams by name: started, stopped, failed and started anew while the server runs."""

import asyncio
from typing import Any

import pytest

from codec.arithmetic import Arithmetic
from latentcast.config import ServeSettings
from latentcast.errors import UserError
from latentcast.vitals import LoopLag
from server.audio_broadcast import AUDIO_BPS
from server.sources import open_source
from server.sources.base import Source
from server.stream import Stream
from server.streams import NameTaken, Streams, TooManyStreams
from transport.webrtc import Peer, use_host_addresses


class QuietStream(Stream):
    """Without its processes and threads."""

    def start(self) -> None:
        """Nothing runs."""


def settings(name: str, **more: object) -> ServeSettings:
    return ServeSettings.model_validate({"stream": name, "size": (64, 64), "max_streams": 2, **more})


def streams() -> Streams:
    return Streams(settings("live"), lag=LoopLag(), make=QuietStream)


@pytest.mark.asyncio
async def test_streams_come_and_go_by_name() -> None:
    all_of_them = streams()
    first = await all_of_them.start(settings("one"))
    second = await all_of_them.start(settings("two"))
    assert [stream.name for stream in all_of_them] == ["one", "two"]
    assert all_of_them.get("one") is first
    assert await all_of_them.stop("one")
    assert not await all_of_them.stop("one")
    assert list(all_of_them) == [second]
    await all_of_them.close()
    assert len(all_of_them) == 0


@pytest.mark.asyncio
async def test_a_name_is_taken_until_its_stream_has_failed() -> None:
    all_of_them = streams()
    first = await all_of_them.start(settings("one"))
    with pytest.raises(NameTaken, match="'one'"):
        await all_of_them.start(settings("one"))
    first.failure = "the disk was full"
    assert await all_of_them.start(settings("one")) is not first
    await all_of_them.close()


@pytest.mark.asyncio
async def test_two_who_start_the_same_name_at_once_get_one_stream() -> None:
    all_of_them = streams()
    results = await asyncio.gather(*(all_of_them.start(settings("one")) for _ in range(3)), return_exceptions=True)
    assert sorted(type(result).__name__ for result in results) == ["NameTaken", "NameTaken", "QuietStream"]
    await all_of_them.close()


@pytest.mark.asyncio
async def test_no_more_than_allowed_and_an_unusable_source_leaves_no_trace() -> None:
    all_of_them = streams()
    await all_of_them.start(settings("one"))
    with pytest.raises(UserError, match="missing"):
        await all_of_them.start(settings("two", source=("missing.mp4",)))
    await all_of_them.start(settings("two"))
    with pytest.raises(TooManyStreams, match="2 streams"):
        await all_of_them.start(settings("three"))
    await all_of_them.close()
    with pytest.raises(UserError, match="stopping"):
        await all_of_them.start(settings("late"))


@pytest.mark.asyncio
async def test_a_stream_that_fails_stays_to_say_why() -> None:
    failed: list[str] = []
    all_of_them = Streams(
        settings("live"), lag=LoopLag(), make=QuietStream, on_failure=lambda stream: failed.append(stream.name)
    )
    stream = await all_of_them.start(settings("one"))
    stream._fail("the last clip was deleted")
    assert failed == ["one"]
    assert all_of_them.get("one") is stream
    assert (stream.source_status.state, stream.source_status.reason) == ("ended", "the last clip was deleted")
    await all_of_them.close()


@pytest.mark.asyncio
async def test_a_stream_that_cannot_be_made_closes_its_source() -> None:
    closed: list[Source] = []

    def refuse(_: ServeSettings, source: Source, **__: object) -> Stream:
        source.close = lambda: closed.append(source)  # type: ignore[method-assign]
        raise UserError("no such weights")

    with pytest.raises(UserError, match="weights"):
        await Streams(settings("live"), lag=LoopLag(), make=refuse).start(settings("one"))
    assert len(closed) == 1


@pytest.mark.asyncio
async def test_a_rate_limit_holds_for_viewers_present_and_to_come() -> None:
    all_of_them = streams()
    stream = await all_of_them.start(settings("one", max_bitrate=2_000_000, start_bitrate=600_000))
    stream.renditions[0].arithmetic = Arithmetic("0" * 32, "float32")
    present = stream.new_session()
    assert present.sender.target_bps == 600_000
    stream.set_max_bitrate(100_000)
    assert present.sender.target_bps == 100_000
    assert stream.new_session().sender.target_bps == 100_000
    await all_of_them.close()


@pytest.mark.net
@pytest.mark.asyncio
async def test_sound_comes_out_of_the_rate_of_those_who_listen() -> None:
    use_host_addresses(["127.0.0.1"])
    all_of_them = streams()
    stream = await all_of_them.start(
        settings("one", source=("whip",), max_bitrate=500_000, start_bitrate=500_000, min_bitrate=50_000)
    )
    stream.renditions[0].arithmetic = Arithmetic("0" * 32, "float32")
    listener, watcher = stream.new_session(), stream.new_session()
    peers = [Peer(on_open=lambda: None, on_closed=lambda _: None) for _ in range(2)]
    await listener.answer(await peers[0].offer(on_audio=lambda *_: None))
    await watcher.answer(await peers[1].offer())
    assert listener.sender.target_bps == 500_000 - AUDIO_BPS
    assert watcher.sender.target_bps == 500_000
    stream.set_max_bitrate(100_000)
    assert (listener.sender.target_bps, watcher.sender.target_bps) == (50_000, 100_000), "half at least is for pictures"
    for peer in peers:
        await peer.close()
    await all_of_them.close()


class Stillborn(QuietStream):
    """Its encoder process cannot be had."""

    def start(self) -> None:
        raise OSError("no more processes")


@pytest.mark.asyncio
async def test_a_stream_that_cannot_be_started_leaves_neither_its_name_nor_its_source() -> None:
    closed: list[str] = []

    def make(given: ServeSettings, source: Source, **rest: Any) -> Stream:
        source.close = lambda: closed.append(given.stream)  # type: ignore[method-assign]
        return Stillborn(given, source, **rest)

    all_of_them = Streams(settings("live"), lag=LoopLag(), make=make)
    with pytest.raises(OSError, match="no more processes"):
        await all_of_them.start(settings("one"))
    assert closed == ["one"]
    assert all_of_them.get("one") is None
    await all_of_them.close()


@pytest.mark.asyncio
async def test_a_source_that_opens_while_the_server_stops_is_closed_again(monkeypatch: pytest.MonkeyPatch) -> None:
    all_of_them = streams()

    def open_slowly(*given: Any, **rest: Any) -> Source:
        all_of_them._stopping = True
        return open_source(*given, **rest)

    monkeypatch.setattr("server.streams.open_source", open_slowly)
    with pytest.raises(UserError, match="stopping"):
        await all_of_them.start(settings("one"))
    assert len(all_of_them) == 0


@pytest.mark.asyncio
async def test_who_asks_for_a_stream_whose_source_is_being_opened_waits_for_it() -> None:
    all_of_them = streams()
    starting = asyncio.create_task(all_of_them.start(settings("one")))
    await asyncio.sleep(0)
    assert all_of_them.get("one") is None
    assert not all_of_them.ready
    found = await all_of_them.expect("one", 20.0)
    assert found is await starting
    assert await all_of_them.expect("two", 20.0) is None, "at once: nobody starts that"
    await all_of_them.close()
