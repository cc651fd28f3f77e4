"""Load viewers: what they say of frames, what they measure, what the commands print."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from bench.load.command import Load, served, summary, table, write_json
from bench.load.dashboard import Cost
from bench.load.dashboard import summary as cost_summary
from bench.load.probe import Probe
from bench.load.viewer import MAX_STATES, Figures, LoadViewer, load_hello, stop_all
from client.whep import Refusal
from latentcast.config import ServeSettings
from latentcast.control import Config, Hello
from latentcast.errors import PeerError, UserError
from latentcast.vitals import LoopLag
from server.app import Application
from server.streams import Streams
from transport.reassembly import FrameReady
from transport.receiver import MediaReceiver
from transport.webrtc import use_host_addresses
from transport.wire import FrameStatus

HELLO = Hello(protocol=2, wire=1, bitstream=1, profile="nano", weights="0" * 64, fingerprint="0" * 32, program="test")


def frame(number: int, reference: int | None, *, epoch: int = 0, intact: bool = True) -> FrameReady:
    return FrameReady(
        frame_id=number,
        reference_id=reference,
        epoch=epoch,
        captured_us=1_000_000,
        wait_us=2_000,
        encode_us=15_000,
        sent_us=1_030_000,
        first_received=1.0,
        received=1.0,
        data=b"",
        holes=() if intact else ((0, 10),),
        packets=1,
        packets_missing=0 if intact else 1,
        recovered=0,
        resent=0,
    )


class Acks(MediaReceiver):
    """Notes what the server would be told."""

    def __init__(self) -> None:
        super().__init__()
        self.said: list[tuple[int, str]] = []

    def on_decoded(self, frame_id: int, status: FrameStatus, missing_slices: tuple[int, ...] = ()) -> None:
        self.said.append((frame_id, status.name))


class Judged(LoadViewer):
    """A viewer that is given its frames by the test."""

    def __init__(self) -> None:
        super().__init__("http://127.0.0.1:1", "live", HELLO)
        acks = Acks()
        self._transport = acks
        self.said = acks.said

    def configure(self, epoch: int) -> None:
        config = Config(epoch=epoch, stream="live", profile="nano", weights="0" * 64, width=64, height=64, fps=30)
        self._on_control(config.model_dump_json())


@pytest.mark.asyncio
async def test_a_frame_is_worth_what_a_decoder_would_make_of_it() -> None:
    viewer = Judged()
    viewer._take(frame(0, None))
    viewer.configure(0)
    for event in (
        frame(1, None),
        frame(2, 1),
        frame(3, 2, intact=False),
        frame(4, 3),
        frame(5, 2),
        frame(6, 99),
        frame(7, None, epoch=255),
    ):
        viewer._take(event)
    assert viewer.said == [
        (0, "LOST"),  # nobody has said what is streamed
        (1, "INTACT"),
        (2, "INTACT"),
        (3, "CONCEALED"),
        (4, "CONCEALED"),  # built on what was damaged
        (5, "INTACT"),
        (6, "LOST"),  # coded from what is not here
        (7, "LOST"),  # of another config
    ]
    viewer.configure(1)
    assert viewer._transport.waiting_for_intra
    viewer._take(frame(8, 5, epoch=1))
    assert viewer.said[-1] == (8, "LOST"), "states of another size are of no use"
    viewer._take(frame(9, None, epoch=2))
    assert viewer.said[-1] == (8, "LOST"), "it may be the next config's, which is on its way"
    viewer.configure(2)
    assert viewer.said[-1] == (9, "INTACT")
    assert not viewer._transport.waiting_for_intra
    await viewer.stop()


@pytest.mark.asyncio
async def test_states_are_bounded() -> None:
    viewer = Judged()
    viewer.configure(0)
    viewer._take(frame(0, None))
    for number in range(1, 4 * MAX_STATES):
        viewer._take(frame(number, number - 1))
    assert len(viewer._states) == MAX_STATES
    assert {status for _, status in viewer.said} == {"INTACT"}
    await viewer.stop()


@pytest.mark.asyncio
async def test_a_server_that_is_not_there_or_says_nothing_is_an_error_in_words() -> None:
    async def nothing(request: web.Request) -> web.Response:
        return web.Response(text="hello 1\n")

    app = web.Application()
    app.router.add_get("/metrics", nothing)
    async with TestServer(app) as server, Probe(str(server.make_url("/"))) as probe:
        with pytest.raises(PeerError, match="is it a Latentcast server"):
            await probe.vitals()
    async with Probe("http://127.0.0.1:1") as probe:
        with pytest.raises(PeerError, match="no server answers"):
            await probe.vitals()


def test_an_address_is_taken_as_it_is_and_no_server_started() -> None:
    with served("http://server.example:8470", ["--nonsense"]) as url:
        assert url == "http://server.example:8470"


FIGURES = Figures(300, 29.9, 650_000, 0.001, 2, 45.0, 60.0, 0.3, 1)


def test_the_load_is_printed_and_written(tmp_path: Path) -> None:
    load = Load((FIGURES, FIGURES), 10.0, 0.213, 480.0)
    assert summary(load) == (
        "2 viewers for 10 s, the slowest at 29.9 fps; the server process took 21.3 % of a core, with its encoders "
        "480 MB."
    )
    assert table(load).row_count == 2
    write_json(tmp_path / "load.json", {"url": None}, load)
    assert '"server_cpu": 0.213' in (tmp_path / "load.json").read_text()
    with pytest.raises(UserError, match="choose another place"):
        write_json(tmp_path / "none" / "load.json", {}, load)


def test_the_cost_is_the_median_of_differences() -> None:
    cost = Cost(
        "stream",
        4,
        without=(0.20, 0.25, 0.30, 0.20),
        with_it=(0.21, 0.27, 0.33, 0.24),
        snapshots=(0.01,) * 4,
        fps_without=30,
        fps_with_it=29,
    )
    assert cost.differences == pytest.approx((0.01, 0.02, 0.03, 0.04))
    assert cost.median == pytest.approx(0.025)
    assert "2.50 % of a core (median of 4 pairs, 1.00 to 4.00)" in cost_summary(cost)
    odd = Cost(
        "stream",
        4,
        without=(0.2, 0.2, 0.2),
        with_it=(0.21, 0.29, 0.22),
        snapshots=(0.01,) * 3,
        fps_without=30,
        fps_with_it=29,
    )
    assert odd.median == pytest.approx(0.02)


@asynccontextmanager
async def running(**settings: object) -> AsyncIterator[str]:
    use_host_addresses(["127.0.0.1"])
    config = ServeSettings.model_validate({"size": (128, 64), "fps": 20, "renditions": 1, **settings})
    streams = Streams(config, lag=LoopLag())
    async with TestServer(Application(config, streams, LoopLag()).web) as server:
        await streams.start(config)
        yield str(server.make_url("/"))
        await streams.close()


@pytest.mark.net
@pytest.mark.asyncio
async def test_a_real_server_takes_them_for_viewers_that_see_everything() -> None:
    hello = await asyncio.to_thread(load_hello)
    async with running(token="secret") as url:
        refused = LoadViewer(url, "live", hello, token="wrong")
        with pytest.raises(Refusal, match="401"):
            await refused.start()
        viewers = [LoadViewer(url, "live", hello, token="secret") for _ in range(2)]
        async with Probe(url) as probe:
            await probe.ready()
            for viewer in viewers:
                await viewer.start()
            async with asyncio.timeout(30):
                while min(viewer.figures().frames for viewer in viewers) < 15:  # noqa: ASYNC110
                    await asyncio.sleep(0.05)
            vitals = await probe.vitals()
        figures = viewers[0].figures()
        assert viewers[0].failure is None
        assert (figures.loss, figures.lost_frames) == (0, 0)
        assert 0 < figures.latency_p50_ms <= figures.latency_p95_ms
        assert figures.bps > 0
        assert vitals.cpu_s > 0
        assert vitals.memory_mb > 50
        assert viewers[0]._transport.waiting_for_intra is False
        viewers[0].restart()
        assert viewers[0].figures().frames == 0
        await stop_all([*viewers, refused])
