"""WHIP as publishers speak it, with a real one in the same process, and what they are told when it cannot be."""

import asyncio
from collections.abc import Callable

import pytest

from server.whip import publisher as publisher_module
from tests.server.whip.offers import CHROMIUM, OBS
from tests.server.whip.publishing import ENDPOINT, FRAGMENT, SDP, camera, picture, serving, until, why

pytestmark = [pytest.mark.asyncio, pytest.mark.net]


async def test_what_is_published_comes_out_of_the_source_and_delete_ends_it() -> None:
    async with serving() as server, camera(audio=True) as it:
        location = await it.publish(server)
        planes, captured_us = await picture(server.source(), count=3)
        # aiortc's test picture is all zeros, which is green; 4:3 lies in the middle of 128x64, black beside it.
        assert planes[0, 32, 30] == planes[0, 32, 64] > 16
        assert planes[1:, 32, 64].max() < 16
        assert planes[:, 32, 2].tolist() == [0, 128, 128]
        assert captured_us > 0
        source = server.source()
        assert source.audio is not None
        await until(lambda: source.audio is not None and source.audio.statistics().put > 0, what="sound")
        status = await (await server.client.get(f"{location}/status")).json()
        assert (status["state"], status["codec"], status["size"]) == ("live", "VP8", [640, 480])
        assert 0 < status["round_trip_ms"] < 1000

        assert (await server.client.delete(location)).status == 200
        assert not source.attached
        assert (await server.client.delete(location)).status == 404
        assert (await server.client.patch(location)).status == 404
        assert (await server.client.get(f"{location}/status")).status == 404


async def test_the_answer_says_where_the_session_is_and_other_sites_may_read_it() -> None:
    async with serving() as server:
        response = await server.client.post(ENDPOINT, data=CHROMIUM, headers=SDP)
        assert response.status == 201
        assert response.content_type == "application/sdp"
        assert response.headers["Location"].startswith("/v1/publishers/")
        assert response.headers["ETag"].startswith('"')
        assert response.headers["Access-Control-Allow-Origin"] == "*"
        answer = await response.text()
        assert answer.count("\r\nm=") == CHROMIUM.count("\r\nm=")
        assert "m=application 0 " in answer
        assert "a=rtpmap:96 VP8/90000" in answer

        options = await server.client.options(ENDPOINT)
        assert options.status == 204
        assert "POST" in options.headers["Access-Control-Allow-Methods"]
        assert options.headers["Accept-Post"] == "application/sdp"
        session = await server.client.options(response.headers["Location"])
        assert "PATCH" in session.headers["Access-Control-Allow-Methods"]
        assert "If-Match" in session.headers["Access-Control-Allow-Headers"]
        for url in (ENDPOINT, response.headers["Location"]):
            assert [(await server.client.request(m, url)).status for m in ("GET", "HEAD", "PUT")] == [405] * 3


async def test_publishers_are_told_which_ice_servers_to_use() -> None:
    async with serving(ice_servers=("stun:a.example", "stun:b.example")) as server:
        options = await server.client.options(ENDPOINT)
        assert options.headers.getall("Link") == [f'<stun:{a}.example>; rel="ice-server"' for a in "ab"]


async def test_candidates_may_come_later() -> None:
    async with serving() as server, camera() as it:
        whole = await it.offer()
        candidates = [line for line in whole.splitlines() if line.startswith("a=candidate")]
        bare = "\r\n".join(line for line in whole.splitlines() if "candidate" not in line) + "\r\n"
        response = await server.client.post(ENDPOINT, data=bare, headers=SDP)
        location, etag = response.headers["Location"], response.headers["ETag"]
        ufrag = next(line for line in whole.splitlines() if line.startswith("a=ice-ufrag"))
        body = "\r\n".join([ufrag, "m=video 9 UDP/TLS/RTP/SAVPF 0", "a=mid:0", *candidates, "a=end-of-candidates", ""])

        async def patch(body: str, headers: dict[str, str]) -> tuple[int, str]:
            patched = await server.client.patch(location, data=body, headers=headers)
            return patched.status, await patched.text()

        assert await patch(body, {"Content-Type": "text/plain"}) == (
            415,
            "the body is text/plain, expected application/trickle-ice-sdpfrag.",
        )
        assert (await patch(body, FRAGMENT))[0] == 428
        status, text = await patch(body, FRAGMENT | {"If-Match": '"stale"'})
        assert (status, "publish anew" in text) == (412, True)
        restart = FRAGMENT | {"If-Match": etag}
        assert (await patch(body.replace(ufrag, "a=ice-ufrag:other"), restart))[0] == 501
        assert (await patch(body, FRAGMENT | {"If-Match": "*"}))[0] == 501
        assert (await patch("rubbish", restart))[0] == 400
        assert await patch(body, restart) == (204, "")
        await it.accept(await response.text())
        await picture(server.source())


@pytest.mark.parametrize(
    ("status", "says", "change", "headers"),
    [
        (415, "expected application/sdp", lambda sdp: sdp, {"Content-Type": "text/plain"}),
        (400, "no SDP offer", lambda sdp: "hello", SDP),
        (400, "not UTF-8", lambda sdp: b"v=0\xff", SDP),
        (400, "cannot be used", lambda sdp: sdp.replace("a=rtcp-mux", "a=x"), SDP),
        (400, "cannot be used", lambda sdp: sdp.replace("a=ice-pwd", "a=x"), SDP),
        (406, "video in AV1, expected VP8 or H264", lambda sdp: sdp.replace("H264", "AV1"), SDP),
        (413, "", lambda sdp: sdp + "a=x:" + "y" * 70_000, SDP),
    ],
)
async def test_what_cannot_be_taken_is_said_and_leaves_nothing(
    status: int, says: str, change: Callable[[str], str | bytes], headers: dict[str, str]
) -> None:
    async with serving() as server:
        response = await server.client.post(ENDPOINT, data=change(OBS), headers=headers)
        assert response.status == status
        assert says in await response.text()
        assert len(server.publishers) == 0
        assert not server.source().attached


async def test_an_offer_that_cannot_be_answered_makes_no_stream() -> None:
    async with serving(source=()) as server:
        response = await server.client.post(ENDPOINT, data=OBS.replace("a=ice-pwd", "a=x"), headers=SDP)
        assert response.status == 400
        assert server.streams.get("live") is None


async def test_publishing_wants_the_token_that_manages() -> None:
    async with serving(token="look", manage_token="do") as server:
        look, do = ({"Authorization": f"Bearer {token}"} for token in ("look", "do"))
        assert (await server.client.post(ENDPOINT, data=OBS, headers=SDP)).status == 401
        refused = await server.client.post(ENDPOINT, data=OBS, headers=SDP | look)
        assert (refused.status, await refused.text()) == (403, "this token does not allow to publish.")
        taken = await server.client.post(ENDPOINT, data=OBS, headers=SDP | do)
        assert taken.status == 201
        location = taken.headers["Location"]
        assert (await server.client.delete(location)).status == 401
        assert (await server.client.patch(location, headers=look)).status == 403
        assert (await server.client.delete(location, headers=do)).status == 200
        # Browsers ask without a token whether they may send one.
        assert (await server.client.options(ENDPOINT)).status == 204


async def test_a_second_publisher_is_told_and_the_first_goes_on() -> None:
    async with serving() as server, camera() as first, camera() as second:
        await first.publish(server)
        await picture(server.source())
        refused = await server.client.post(ENDPOINT, data=await second.offer(), headers=SDP)
        assert refused.status == 409
        assert "somebody publishes to 'live' already, and goes on" in await refused.text()
        await picture(server.source(), count=2)


async def test_a_publisher_that_vanished_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("server.whip.publishers.QUIET_S", 0.3)
    async with serving() as server, camera() as first, camera() as second:
        old = await first.publish(server)
        await picture(server.source())
        await first.vanish()
        gone = server.publishers.of("live")
        assert gone is not None
        await until(lambda: gone.quiet_s > 0.3, what="silence")
        await second.publish(server)
        await picture(server.source())
        assert (await server.client.delete(old)).status == 404


async def test_a_publisher_that_is_silent_is_given_up_and_the_stream_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(publisher_module, "SILENCE_TIMEOUT_S", 0.3)
    async with serving() as server, camera() as it:
        await it.publish(server)
        await picture(server.source())
        await it.vanish()
        await until(lambda: not server.source().attached, what="the end of the publisher")
        reason = await why(server.source())
        assert reason.startswith("nothing was heard from the publisher for ")
        assert "; waiting for a publisher" in reason


async def test_a_publisher_that_never_connects_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(publisher_module, "SETUP_TIMEOUT_S", 0.2)
    async with serving() as server:
        assert (await server.client.post(ENDPOINT, data=OBS, headers=SDP)).status == 201
        await until(lambda: len(server.publishers) == 0, what="the end of the publisher")


async def test_publishing_makes_a_stream_that_ends_after_its_publisher() -> None:
    async with serving(source=(), publisher_wait=0.2) as server, camera() as it:
        location = await it.publish(server, "/v1/streams/cam.1/whip?size=256x145&fps=15")
        stream = server.streams.get("cam.1")
        assert stream is not None
        assert (stream.width, stream.height, stream.fps) == (256, 144, 15)
        await picture(server.source("cam.1"))
        await server.client.delete(location)
        assert server.streams.get("cam.1") is stream
        await until(lambda: server.streams.get("cam.1") is None, what="the end of the stream")


async def test_a_publisher_that_comes_back_finds_its_stream_and_keeps_it() -> None:
    async with serving(source=(), publisher_wait=0.3) as server, camera() as first, camera() as second:
        await server.client.delete(await first.publish(server))
        stream = server.streams.get("live")
        await second.publish(server)
        await picture(server.source())
        await asyncio.sleep(0.4)
        assert server.streams.get("live") is stream


async def test_a_stream_that_was_started_for_publishing_stays() -> None:
    async with serving(publisher_wait=0) as server, camera() as it:
        await server.client.delete(await it.publish(server))
        await asyncio.sleep(0.05)
        assert server.streams.get("live") is not None


async def test_stopping_the_stream_ends_its_publisher() -> None:
    async with serving() as server, camera() as it:
        location = await it.publish(server)
        await picture(server.source())
        await server.streams.stop("live")
        await until(lambda: len(server.publishers) == 0, what="the end of the publisher")
        status = await server.client.get(f"{location}/status")
        assert (status.status, await status.text()) == (410, "the stream was stopped.")


@pytest.mark.parametrize(
    ("settings", "endpoint", "status", "says"),
    [
        ({"source": ("pattern",)}, ENDPOINT, 409, "the stream 'live' shows pattern, not what is published"),
        ({"max_streams": 1}, "/v1/streams/other/whip", 503, "no more are allowed"),
        ({}, "/v1/streams/a%20b/whip", 400, "'a b'"),
        ({}, "/v1/streams/x/whip?size=huge", 400, "WIDTHxHEIGHT"),
        ({}, "/v1/streams/x/whip?size=9000x16", 400, "9000x16"),
        ({}, "/v1/streams/x/whip?fps=many", 400, "a number such as 30"),
    ],
)
async def test_names_and_sizes_that_cannot_be(
    settings: dict[str, object], endpoint: str, status: int, says: str
) -> None:
    async with serving(**settings) as server:
        response = await server.client.post(endpoint, data=OBS, headers=SDP)
        assert (response.status, says in await response.text()) == (status, True)
        assert len(server.publishers) == 0


async def test_there_are_only_so_many_places() -> None:
    async with serving(source=(), max_publishers=1) as server:
        assert (await server.client.post("/v1/streams/a/whip", data=OBS, headers=SDP)).status == 201
        response = await server.client.post("/v1/streams/b/whip", data=OBS, headers=SDP)
        assert response.status == 503
        assert response.headers["Retry-After"]
        assert server.streams.get("b") is None


async def test_the_page_and_its_files_are_served_and_nothing_else() -> None:
    async with serving() as server:
        page = await server.client.get("/publish")
        assert page.content_type == "text/html"
        assert "default-src 'none'" in page.headers["Content-Security-Policy"]
        for name in ("publish.css", "publish.js", "media.js", "theme.js", "whip.js"):
            assert (await server.client.get(f"/publish/{name}")).status == 200
        assert (await server.client.get("/publish/index.html")).status == 404
        assert (await server.client.get("/publish/..%2fapp.py")).status == 404
