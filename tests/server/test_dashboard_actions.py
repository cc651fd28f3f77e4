"""What a page may change, and what it is told when it may not."""

import pytest

from server.encode_control import EncodeControl
from tests.server.dashboard_double import serving

LOOPBACK_NAMES = ("127.0.0.1", "localhost", "[::1]")


@pytest.mark.asyncio
async def test_streams_are_started_limited_and_stopped() -> None:
    async with serving() as running:
        client = running.client
        body = {"name": "second", "source": "pattern", "size": [96, 64], "fps": 12.5, "max_bitrate": 300_000}
        response = await client.post("/v1/streams", json=body)
        assert (response.status, response.headers["Location"]) == (201, "/v1/streams/second")
        assert await response.json() == {
            "name": "second",
            "width": 96,
            "height": 64,
            "fps": 12.5,
            "max_bitrate": 300_000,
        }
        response = await client.patch("/v1/streams/second", json={"max_bitrate": 500_000})
        assert (response.status, running.stream("second").max_bitrate) == (200, 500_000)
        assert running.stream().max_bitrate != 500_000
        assert (await client.delete("/v1/streams/second")).status == 204
        assert [stream.name for stream in running.streams] == ["live"]


@pytest.mark.asyncio
async def test_what_is_not_given_is_the_servers_setting(tmp_path: object) -> None:
    async with serving(max_bitrate=700_000, capture_ring=f"{tmp_path}/ring") as running:
        await running.client.post("/v1/streams", json={"name": "second", "source": ["pattern"]})
        stream = running.stream("second")
        assert (stream.max_bitrate, stream.width, stream.height, stream.fps) == (700_000, 640, 360, 30)
        assert stream._settings.capture_ring is None, "a ring is of one stream"


@pytest.mark.asyncio
async def test_an_intra_frame_is_asked_of_every_rendition(monkeypatch: pytest.MonkeyPatch) -> None:
    forced: list[EncodeControl] = []
    monkeypatch.setattr(EncodeControl, "force_intra", lambda control: forced.append(control))
    async with serving() as running:
        assert (await running.client.post("/v1/streams/live/intra")).status == 204
        assert forced == [rendition.control for rendition in running.stream().renditions]


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"{", "not JSON"),
        (b"\xff", "not JSON"),
        (b"[]", "not a JSON object"),
        (b'{"source": "pattern"}', "'name' is missing"),
        (b'{"name": "x"}', "'source' is missing"),
        (b'{"name": "a b", "source": "pattern"}', "letters, digits"),
        (b'{"name": "x", "source": ""}', "source"),
        (b'{"name": "x", "source": []}', "source"),
        (b'{"name": "x", "source": 5}', "source"),
        (b'{"name": "x", "source": "nothing.mp4"}', "there is no file nothing.mp4"),
        (b'{"name": "x", "source": "pattern", "size": [10, 10]}', "10x10"),
        (b'{"name": "x", "source": "pattern", "size": "640x360"}', "[640, 360]"),
        (b'{"name": "x", "source": "pattern", "fps": 0}', "'fps' is 0"),
        (b'{"name": "x", "source": "pattern", "fps": NaN}', "fps"),
        (b'{"name": "x", "source": "pattern", "max_bitrate": 5}', "'max_bitrate' is 5"),
        (b'{"name": "x", "source": "pattern", "colour": "red"}', "no field 'colour'"),
    ],
)
async def test_what_is_wrong_with_a_source_is_said(body: bytes, words: str) -> None:
    async with serving() as running:
        response = await running.client.post("/v1/streams", data=body, headers={"Content-Type": "application/json"})
        text = await response.text()
        assert response.status == 422, text
        assert words in text
        assert text.endswith(".")
        assert [stream.name for stream in running.streams] == ["live"]


@pytest.mark.asyncio
async def test_a_body_that_says_it_is_something_else_is_refused() -> None:
    async with serving() as running:
        response = await running.client.post("/v1/streams", data=b'{"name": "x", "source": "pattern"}')
        assert response.status == 415
        assert "application/json" in await response.text()


@pytest.mark.asyncio
async def test_conflicts_and_unknown_names_are_told_apart() -> None:
    async with serving(max_streams=1) as running:
        client = running.client
        taken = await client.post("/v1/streams", json={"name": "live", "source": "pattern"})
        assert taken.status == 409
        assert "'live' already" in await taken.text()
        many = await client.post("/v1/streams", json={"name": "other", "source": "pattern"})
        assert many.status == 409
        assert "no more are allowed" in await many.text()
        for response in (
            await client.delete("/v1/streams/other"),
            await client.patch("/v1/streams/other", json={"max_bitrate": 100_000}),
            await client.post("/v1/streams/other/intra"),
        ):
            assert response.status == 404
            assert await response.text() == "there is no stream 'other' here; there is 'live'."


@pytest.mark.asyncio
async def test_a_stream_that_has_ended_can_be_removed_and_started_again_but_not_changed() -> None:
    async with serving() as running:
        client = running.client
        running.stream().fail("the camera was unplugged")
        assert (await client.post("/v1/streams/live/intra")).status == 409
        assert (await client.patch("/v1/streams/live", json={"max_bitrate": 100_000})).status == 409
        again = await client.post("/v1/streams", json={"name": "live", "source": "pattern"})
        assert (again.status, running.stream().failure) == (201, None)
        running.stream().fail("again")
        assert (await client.delete("/v1/streams/live")).status == 204
        assert len(running.streams) == 0


@pytest.mark.asyncio
async def test_looking_is_not_touching() -> None:
    async with serving(token="look", manage_token="touch") as running:
        client = running.client

        async def statuses(**headers: str) -> list[int]:
            body = {"max_bitrate": 600_000}
            return [
                (await client.post("/v1/streams", json={"name": "x", "source": "?"}, headers=headers)).status,
                (await client.patch("/v1/streams/live", json=body, headers=headers)).status,
                (await client.post("/v1/streams/live/intra", headers=headers)).status,
                (await client.delete("/v1/streams/live", headers=headers)).status,
            ]

        assert await statuses() == [401] * 4
        assert await statuses(Authorization="Bearer wrong") == [401] * 4
        assert await statuses(Authorization="Bearer look") == [403] * 4
        refused = await client.delete("/v1/streams/live", headers={"Authorization": "Bearer look"})
        assert await refused.text() == "this token does not allow to stop streams."
        assert await statuses(Authorization="Bearer touch") == [422, 200, 204, 204]


@pytest.mark.asyncio
async def test_without_tokens_only_this_machine_manages_and_no_page_of_another_site() -> None:
    async with serving() as running:
        client = running.client
        for headers in (
            {"Host": "evil.example"},
            {"Sec-Fetch-Site": "cross-site"},
            {"Sec-Fetch-Site": "same-site"},
        ):
            # They may not even look.
            assert (await client.get("/v1/streams", headers=headers)).status == 403, headers
            response = await client.delete("/v1/streams/live", headers=headers)
            assert response.status == 403, headers
            assert "--token" in await response.text()
        for name in LOOPBACK_NAMES:
            headers = {"Host": f"{name}:8470", "Sec-Fetch-Site": "same-origin"}
            assert (await client.post("/v1/streams/live/intra", headers=headers)).status == 204
    async with serving(host="0.0.0.0") as running:
        assert (await running.client.delete("/v1/streams/live")).status == 401
