"""The relay between real sockets: what goes in comes out after the links' delay and losses, from its own address."""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import cast

import aiohttp
import aioice
import pytest
from aiohttp import web

from bench.network.conditions import Conditions, parse_link
from bench.network.media_start import COUNT, WITHIN_S, MediaStart
from bench.network.relay import SDP_TYPE, Relay
from bench.network.relay_process import RelayProcess
from transport.webrtc import Peer, use_host_addresses

pytestmark = pytest.mark.net

TIMEOUT_S = 30.0
HANDSHAKE, MEDIA = b"\x16" + bytes(200), b"\x17" + bytes(200)
SDP = (
    "v=0\r\nm=application {port} UDP/DTLS/SCTP webrtc-datachannel\r\nc=IN IP4 127.0.0.1\r\n"
    "a=candidate:x 1 udp 2130706431 127.0.0.1 {port} typ host\r\na=ice-ufrag:abcd\r\n"
)


class End(asyncio.DatagramProtocol):
    """One UDP socket that keeps what comes, with its time."""

    def __init__(self) -> None:
        self.came: list[tuple[bytes, tuple[str, int], float]] = []
        self._more = asyncio.Event()
        self._gone = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.DatagramTransport, transport)
        self.port: int = transport.get_extra_info("sockname")[1]

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self.came.append((data, addr, time.monotonic()))
        self._more.set()

    async def count(self, number: int) -> None:
        """Until so many have come."""
        async with asyncio.timeout(TIMEOUT_S):
            while len(self.came) < number:
                self._more.clear()
                await self._more.wait()

    def connection_lost(self, exc: Exception | None) -> None:
        self._gone.set()

    async def close(self) -> None:
        self.transport.close()
        await self._gone.wait()

    @classmethod
    async def open(cls) -> "End":
        _, end = await asyncio.get_running_loop().create_datagram_endpoint(cls, local_addr=("127.0.0.1", 0))
        return end


class FakeServer:
    """Signalling as the real one has it, with a bare socket behind."""

    def __init__(self) -> None:
        self.offers: list[bytes] = []
        self.requests: list[tuple[str, str, Mapping[str, str]]] = []
        self.media: End
        self.peer: Peer | None = None
        """Answers offers, if there is one."""
        self.status = 201

    async def whep(self, request: web.Request) -> web.Response:
        self.offers.append(await request.read())
        self.requests.append((request.method, request.path_qs, request.headers))
        if self.status != 201 or b"m=" not in self.offers[-1]:
            return web.Response(status=400, text="not an offer")
        headers = {"Location": f"/v1/sessions/{len(self.offers)}"}
        text = (
            SDP.format(port=self.media.port) if self.peer is None else await self.peer.answer(self.offers[-1].decode())
        )
        return web.Response(status=201, text=text, content_type=SDP_TYPE, headers=headers)

    async def other(self, request: web.Request) -> web.Response:
        self.requests.append((request.method, request.path_qs, request.headers))
        return web.Response(status=418, text="a teapot", headers={"X-Kind": "pot"})


@asynccontextmanager
async def relayed(conditions: Conditions | Mapping[str, Conditions]) -> AsyncIterator[tuple[FakeServer, Relay]]:
    server = FakeServer()
    server.media = await End.open()
    application = web.Application()
    application.router.add_post("/v1/streams/{name}/whep", server.whep)
    application.router.add_route("*", "/{path:.*}", server.other)
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    relay = Relay(f"http://127.0.0.1:{runner.addresses[0][1]}", conditions, seed=1)
    await relay.start()
    try:
        yield server, relay
    finally:
        await relay.stop()
        await runner.cleanup()
        await server.media.close()


def candidate(sdp: str) -> tuple[str, int]:
    line = next(line for line in sdp.splitlines() if line.startswith("a=candidate"))
    return line.split()[4], int(line.split()[5])


class Connected:
    """A viewer whose signalling is done, and the two relay addresses."""

    def __init__(self, viewer: End, location: str, for_viewer: tuple[str, int], for_server: tuple[str, int]) -> None:
        self.viewer, self.location, self.for_viewer, self.for_server = viewer, location, for_viewer, for_server

    def to_server(self, data: bytes) -> None:
        self.viewer.transport.sendto(data, self.for_viewer)


@asynccontextmanager
async def connected(server: FakeServer, url: str) -> AsyncIterator[Connected]:
    viewer = await End.open()
    try:
        offer = SDP.format(port=viewer.port)
        async with (
            aiohttp.ClientSession() as http,
            http.post(f"{url}/v1/streams/live/whep", data=offer, headers={"Content-Type": SDP_TYPE}) as answer,
        ):
            assert answer.status == 201
            for_viewer = candidate(await answer.text())
            yield Connected(viewer, answer.headers["Location"], for_viewer, candidate(server.offers[-1].decode()))
    finally:
        await viewer.close()


@pytest.mark.asyncio
async def test_datagrams_pass_both_ways_with_the_links_delay_and_from_the_relays_address() -> None:
    async with relayed(parse_link("delay=30ms,back.delay=50ms")) as (server, relay), connected(server, relay.url) as c:
        sent = time.monotonic()
        server.media.transport.sendto(MEDIA + b"picture", c.for_server)
        c.to_server(b"feedback")
        await c.viewer.count(1)
        await server.media.count(1)
        data, source, at = c.viewer.came[0]
        assert (data, source) == (MEDIA + b"picture", c.for_viewer)
        assert at - sent >= 0.03
        data, source, at = server.media.came[0]
        assert (data, source) == (b"feedback", c.for_server)
        assert at - sent >= 0.05
        assert {c.for_viewer[1], c.for_server[1]}.isdisjoint({server.media.port, c.viewer.port})


@pytest.mark.asyncio
async def test_losses_have_their_share_and_are_counted() -> None:
    async with relayed(parse_link("loss=30%")) as (server, relay), connected(server, relay.url) as c:
        for i in range(50):
            for j in range(20):
                server.media.transport.sendto(MEDIA + (20 * i + j).to_bytes(2, "big"), c.for_server)
            async with asyncio.timeout(TIMEOUT_S):
                while (seen := relay.statistics()["sessions"][0]["forward"])["sent"] < 20 * (i + 1):  # noqa: ASYNC110
                    await asyncio.sleep(0.001)
            await c.viewer.count(seen["delivered"])
        assert seen["delivered"] + seen["dropped_random"] == 1000
        assert 620 < seen["delivered"] < 780
        numbers = [data[-2:] for data, _, _ in c.viewer.came]
        assert numbers == sorted(numbers)


@pytest.mark.asyncio
async def test_the_rate_holds_datagrams_up() -> None:
    async with relayed(parse_link("rate=1M,queue=1s")) as (server, relay), connected(server, relay.url) as c:
        sent = time.monotonic()
        for _ in range(50):
            server.media.transport.sendto(MEDIA + bytes(799), c.for_server)
        await c.viewer.count(50)
        assert c.viewer.came[-1][2] - sent >= 50 * 0.008
        assert relay.statistics()["sessions"][0]["queue_ms"]["p99"] > 300


def test_media_begins_with_what_comes_often() -> None:
    start = MediaStart()
    # Handshakes, acknowledgements, and a message a second.
    assert not any(start.on_datagram(HANDSHAKE, 0.01 * i) for i in range(50))
    assert not any(start.on_datagram(MEDIA[:90], 0.01 * i) for i in range(50))
    assert not any(start.on_datagram(MEDIA, i * 1.0) for i in range(20))
    assert [start.on_datagram(MEDIA, 30 + i * WITHIN_S / COUNT) for i in range(COUNT)] == [False] * (COUNT - 1) + [True]
    assert start.began == 30.0
    assert not start.on_datagram(MEDIA, 40.0)
    assert not MediaStart().on_datagram(b"", 0.0)


@pytest.mark.asyncio
async def test_time_counts_from_the_first_media_datagram_and_goes_on_for_who_comes_back() -> None:
    conditions = parse_link("loss=0%; at=1ms,loss=100%")
    async with relayed({"a": conditions, "b": conditions}) as (server, relay):
        async with connected(server, relay.urls["a"]) as c:
            for i in range(3):
                server.media.transport.sendto(HANDSHAKE, c.for_server)
                await c.viewer.count(i + 1)
                await asyncio.sleep(0.005)
            for _ in range(COUNT):
                server.media.transport.sendto(MEDIA, c.for_server)
            await asyncio.sleep(0.02)
            server.media.transport.sendto(MEDIA, c.for_server)
            await asyncio.sleep(0.02)
            assert COUNT - 1 <= len(c.viewer.came) - 3 <= COUNT
        async with connected(server, relay.urls["a"]) as again, connected(server, relay.urls["b"]) as other:
            server.media.transport.sendto(HANDSHAKE, again.for_server)
            server.media.transport.sendto(HANDSHAKE, other.for_server)
            await other.viewer.count(1)
            await asyncio.sleep(0.02)
            assert again.viewer.came == []
        dropped = [(s["viewer"], s["forward"]["dropped_random"] > 0) for s in relay.statistics()["sessions"]]
        assert dropped == [("a", True), ("a", True), ("b", False)]


@pytest.mark.asyncio
async def test_two_real_peers_meet_through_the_relay_and_only_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """ICE, DTLS and SCTP as both programs have them; the conditions begin only once they are through."""
    monkeypatch.setattr(aioice.ice, "get_host_addresses", aioice.ice.get_host_addresses)
    use_host_addresses(["127.0.0.1"])
    opened, came = [asyncio.Event(), asyncio.Event()], asyncio.Event()
    async with relayed(parse_link("delay=20ms,loss=5%; at=10s,outage=1s")) as (server, relay):
        server.peer = Peer(on_open=opened[0].set, on_closed=lambda _: None)
        viewer = Peer(on_open=opened[1].set, on_closed=lambda _: None, on_control=lambda _: came.set())
        try:
            offer = await viewer.offer()
            async with (
                aiohttp.ClientSession() as http,
                http.post(
                    f"{relay.url}/v1/streams/live/whep", data=offer, headers={"Content-Type": SDP_TYPE}
                ) as answer,
            ):
                await viewer.accept(await answer.text())
            async with asyncio.timeout(TIMEOUT_S):
                await asyncio.gather(*(event.wait() for event in opened))
                # Reliable: it comes whatever is lost.
                assert server.peer.send_control("hello")
                await came.wait()
            assert viewer.rtt_s >= 0.04
            seen = relay.statistics()["sessions"][0]
            assert seen["ignored"] == 0
            # A greeting is no media: the outage of the conditions is still to come.
            assert seen["seconds"] == 0
            assert min(seen["forward"]["delivered"], seen["back"]["delivered"]) > 5
        finally:
            await viewer.close()
            await server.peer.close()


@pytest.mark.asyncio
async def test_a_strangers_datagrams_go_nowhere() -> None:
    async with relayed(parse_link("delay=0")) as (server, relay), connected(server, relay.url) as c:
        c.to_server(b"one")
        await server.media.count(1)
        stranger = await End.open()
        stranger.transport.sendto(b"let me in", c.for_viewer)
        await stranger.close()
        c.to_server(b"two")
        await server.media.count(2)
        assert [data for data, _, _ in server.media.came] == [b"one", b"two"]
        assert relay.statistics()["sessions"][0]["ignored"] == 1


@pytest.mark.asyncio
async def test_a_deleted_session_ends_and_keeps_its_figures() -> None:
    async with relayed(parse_link("delay=1ms")) as (server, relay), connected(server, relay.url) as c:
        c.to_server(b"one")
        await server.media.count(1)
        async with aiohttp.ClientSession() as http:
            await http.delete(relay.url + c.location)
        assert server.requests[-1][:2] == ("DELETE", c.location)
        statistics = await relay.stop()
        assert [s["back"]["delivered"] for s in statistics["sessions"]] == [1]


@pytest.mark.asyncio
async def test_what_is_no_offer_passes_as_it_came() -> None:
    body = b"v=0\r\nm=application 9 nothing\xff\r\n"
    async with relayed(parse_link("delay=1ms")) as (server, relay), aiohttp.ClientSession() as http:
        headers = {"Content-Type": SDP_TYPE, "Authorization": "Bearer secret"}
        async with http.post(f"{relay.url}/v1/streams/live/whep?x=1", data=body, headers=headers) as answer:
            assert await answer.text() == SDP.format(port=server.media.port)
        assert server.offers == [body]
        method, path, seen = server.requests[-1]
        assert (method, path, seen["Authorization"]) == ("POST", "/v1/streams/live/whep?x=1", "Bearer secret")
        server.status = 400
        offer = SDP.format(port=9)
        async with http.post(f"{relay.url}/v1/streams/live/whep", data=offer, headers=headers) as answer:
            assert (answer.status, await answer.text()) == (400, "not an offer")
        assert relay.statistics() == {"sessions": []}


@pytest.mark.asyncio
async def test_other_requests_pass_through() -> None:
    async with relayed({"a": parse_link("delay=1ms")}) as (server, relay), aiohttp.ClientSession() as http:
        async with http.get(f"{relay.urls['a']}/metrics?q=%20") as answer:
            assert (answer.status, await answer.text(), answer.headers["X-Kind"]) == (418, "a teapot", "pot")
        assert server.requests[-1][:2] == ("GET", "/metrics?q=%20")
        async with http.get(f"{relay.url}/via/nobody/metrics") as answer:
            assert answer.status == 404
            assert "'a'" in await answer.text()


@pytest.mark.asyncio
async def test_a_server_that_is_gone_is_named() -> None:
    relay = Relay("http://127.0.0.1:9", parse_link("delay=1ms"))
    url = await relay.start()
    try:
        async with aiohttp.ClientSession() as http, http.get(f"{url}/healthz") as answer:
            assert answer.status == 502
            assert "http://127.0.0.1:9" in await answer.text()
    finally:
        await relay.stop()


@pytest.mark.asyncio
async def test_the_relay_runs_in_a_process_of_its_own() -> None:
    async with relayed(parse_link("delay=0")) as (server, inner):
        relay = await asyncio.to_thread(
            RelayProcess, inner.url, {"lost": parse_link("loss=100%"), "b": parse_link("delay=0")}
        )
        try:
            async with connected(server, relay.urls["b"]) as c:
                # Through both: the outer relay's candidates were the inner one's.
                c.to_server(b"hello")
                await server.media.count(1)
        finally:
            statistics = await asyncio.to_thread(relay.stop)
        assert [(s["viewer"], s["back"]["delivered"]) for s in statistics["sessions"]] == [("b", 1)]
        assert relay.stop() == statistics


def test_a_relay_that_is_left_in_the_middle_says_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(KeyboardInterrupt), RelayProcess("http://127.0.0.1:9", parse_link("delay=0")):
        raise KeyboardInterrupt
    assert capfd.readouterr().err == ""
