"""The HTTP interface: each status it gives, and what it says."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import pytest
from aiohttp.test_utils import TestClient, TestServer
from aiohttp.web import Application as WebApplication
from aiohttp.web import Request
from prometheus_client.parser import text_string_to_metric_families

from codec.arithmetic import Arithmetic
from latentcast.config import ServeSettings
from latentcast.vitals import LoopLag
from server.app import MAX_OFFER_BYTES, Application
from server.sources import Source
from server.stream import Stream
from server.streams import Streams
from transport.webrtc import Peer, use_host_addresses

WHEP = "/v1/streams/live/whep"
SDP = {"Content-Type": "application/sdp"}
Client = TestClient[Request, WebApplication]
Serve = Callable[..., AbstractAsyncContextManager[Client]]


class IdleStream(Stream):
    """A stream without its encoder process and capture thread; `ready` is what a test says it is."""

    is_ready = True

    def __init__(
        self, settings: ServeSettings, source: Source, *, lag: LoopLag, on_failure: Callable[[str], None]
    ) -> None:
        super().__init__(settings, source, lag=lag, on_failure=on_failure)
        self.renditions[0].arithmetic = Arithmetic("0" * 32, "float32")
        # Nobody waits for an encoder that does not come.
        self._ready.set()

    def start(self) -> None:
        """Nothing runs."""

    @property
    def ready(self) -> bool:
        return self.is_ready and self.failure is None


streams: list[Stream] = []
"""The stream of the server now running."""


@asynccontextmanager
async def serving(**settings: object) -> AsyncIterator[Client]:
    use_host_addresses(["127.0.0.1"])
    config = ServeSettings.model_validate({"size": (128, 64), **settings})
    lag = LoopLag()
    everything = Streams(config, lag=lag, make=IdleStream)
    streams[:] = [await everything.start(config)]
    async with TestClient(TestServer(Application(config, everything, lag).web)) as client:
        yield client
        await everything.close()


@asynccontextmanager
async def offer() -> AsyncIterator[str]:
    peer = Peer(on_open=lambda: None, on_closed=lambda _: None)
    yield await peer.offer()
    await peer.close()


@pytest.mark.net
@pytest.mark.asyncio
async def test_an_offer_is_answered_with_a_session_that_delete_ends() -> None:
    async with serving(ice_servers=("stun:127.0.0.1:9",)) as client, offer() as sdp:
        response = await client.post(WHEP, data=sdp, headers=SDP)
        assert response.status == 201
        assert response.content_type == "application/sdp"
        assert response.headers["Access-Control-Allow-Origin"] == "*"
        assert "Location" in response.headers["Access-Control-Expose-Headers"]
        assert response.headers["Link"] == '<stun:127.0.0.1:9>; rel="ice-server"'
        assert "m=application" in await response.text()
        location = response.headers["Location"]
        assert list(streams[0].sessions) == [location.rsplit("/", 1)[1]]
        assert (await client.patch(location)).status == 405
        assert (await client.delete(location)).status == 200
        assert streams[0].sessions == {}
        assert (await client.delete(location)).status == 404


@pytest.mark.asyncio
async def test_each_unusable_request_is_refused_for_what_it_is() -> None:
    async with serving() as client:
        response = await client.post("/v1/streams/other/whep", data="v=0", headers=SDP)
        assert response.status == 404
        assert "'other'" in await response.text()
        assert "'live'" in await response.text(), "says what there is"
        assert (await client.post(WHEP, data="v=0", headers={"Content-Type": "text/plain"})).status == 415
        assert (await client.patch(WHEP, data="v=0", headers=SDP)).status == 405
        assert (await client.get(WHEP)).status == 405
        assert (await client.post(WHEP, data="v" * (MAX_OFFER_BYTES + 1), headers=SDP)).status == 413
        assert streams[0].sessions == {}


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "sdp",
    [b"", b"hello", b"\xff\xfe", b"v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\n", b"m=application x y z\r\n"],
)
async def test_an_offer_that_is_none_is_refused_and_leaves_no_session(sdp: bytes) -> None:
    async with serving() as client:
        response = await client.post(WHEP, data=sdp, headers=SDP)
        assert response.status == 400
        assert (await response.text()).endswith(".")
        assert streams[0].sessions == {}


@pytest.mark.net
@pytest.mark.asyncio
async def test_more_viewers_than_places_are_told_to_come_back() -> None:
    async with serving(max_viewers=1) as client, offer() as first, offer() as second:
        taken = await client.post(WHEP, data=first, headers=SDP)
        assert taken.status == 201
        response = await client.post(WHEP, data=second, headers=SDP)
        assert response.status == 503
        assert int(response.headers["Retry-After"]) > 0
        assert "1 places" in await response.text()
        await client.delete(taken.headers["Location"])
        assert (await client.post(WHEP, data=second, headers=SDP)).status == 201


@pytest.mark.asyncio
async def test_a_stream_that_is_starting_or_has_ended_says_so() -> None:
    async with serving() as client:
        stream = streams[0]
        assert isinstance(stream, IdleStream)
        stream.is_ready = False
        response = await client.post(WHEP, data="v=0", headers=SDP)
        assert (response.status, "Retry-After" in response.headers) == (503, True)
        assert "starting" in await response.text()
        assert (await client.get("/readyz")).status == 503
        assert (await client.get("/healthz")).status == 200, "starting is healthy"
        stream.is_ready = True
        assert (await client.get("/readyz")).status == 200
        streams[0].failure = "the camera was unplugged"
        assert (await client.get("/healthz")).status == 500
        response = await client.post(WHEP, data="v=0", headers=SDP)
        assert response.status == 503
        assert "unplugged" in await response.text()


@pytest.mark.asyncio
async def test_a_token_is_asked_for_where_there_is_something_to_see() -> None:
    async with serving(token="open sesame") as client:
        for headers in ({}, {"Authorization": "Bearer open"}, {"Authorization": "open sesame"}):
            response = await client.post(WHEP, data="v=0", headers={**SDP, **headers})
            assert response.status == 401
            assert response.headers["WWW-Authenticate"] == "Bearer"
            assert (await client.get("/v1/streams", headers=headers)).status == 401
            assert (await client.delete("/v1/sessions/x", headers=headers)).status == 401
        right = {"Authorization": "Bearer open sesame"}
        assert (await client.post(WHEP, data="v=0", headers={**SDP, **right})).status == 400
        assert (await client.get("/v1/streams", headers=right)).status == 200
        for path in ("/healthz", "/readyz", "/metrics"):
            assert (await client.get(path)).status == 200, "orchestrators have no token"
        # Browsers send no credentials with a preflight.
        assert (await client.options(WHEP)).status == 204


@pytest.mark.asyncio
async def test_a_page_from_elsewhere_may_ask() -> None:
    async with serving() as client:
        response = await client.options(WHEP)
        assert response.status == 204
        assert response.headers["Access-Control-Allow-Origin"] == "*"
        assert "POST" in response.headers["Access-Control-Allow-Methods"]
        assert "Authorization" in response.headers["Access-Control-Allow-Headers"]


@pytest.mark.asyncio
async def test_the_list_of_streams_tells_what_there_is_to_watch() -> None:
    async with serving(fps=25) as client:
        listed = await (await client.get("/v1/streams")).json()
    (stream,) = listed
    source = stream.pop("source")
    assert stream == {"name": "live", "width": 128, "height": 64, "fps": 25.0, "viewers": 0, "ready": True}
    assert (source["kind"], source["state"]) == ("pattern", "waiting")


@pytest.mark.asyncio
async def test_metrics_are_in_prometheus_format_with_the_stream_as_their_only_label() -> None:
    async with serving() as client:
        streams[0].renditions[0].coded.frames = 12
        response = await client.get("/metrics")
        assert response.headers["Content-Type"].startswith("text/plain; version=0.0.4")
        families = {family.name: family for family in text_string_to_metric_families(await response.text())}
    assert families["latentcast_frames_encoded"].type == "counter"
    assert families["latentcast_frames_encoded"].samples[0].value == 12
    assert families["latentcast_viewers"].type == "gauge"
    assert len(families) > 10
    for name in (
        "server_cpu_seconds",
        "memory_bytes",
        "dashboard_cpu_seconds",
        "dashboards",
        "streams",
        "loop_lag_seconds_p99",
    ):
        family = families.pop(f"latentcast_{name}")
        assert [sample.labels for sample in family.samples] == [{}], "of the whole server"
    for family in families.values():
        assert family.documentation
        assert [sample.labels for sample in family.samples] == [{"stream": "live"}]


@pytest.mark.asyncio
async def test_a_server_without_a_stream_is_well_and_says_that_there_is_none() -> None:
    config = ServeSettings(source=("none",))
    assert config.starts_empty
    assert not ServeSettings(source=("none", "pattern")).starts_empty
    lag = LoopLag()
    async with TestClient(TestServer(Application(config, Streams(config, lag=lag), lag).web)) as client:
        for path in ("/healthz", "/readyz", "/metrics"):
            assert (await client.get(path)).status == 200
        assert await (await client.get("/v1/streams")).json() == []
        response = await client.post(WHEP, data="v=0", headers=SDP)
        assert response.status == 404
        assert "none at all" in await response.text()
