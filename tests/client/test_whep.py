"""The client's side of signalling against a small real server: what is worth another try, and what is not."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer, unused_port

from client.whep import Retry, WhepClient, endpoint_of
from latentcast.errors import UserError

PATH = "/v1/streams/live/whep"
Handler = Callable[[web.Request], Awaitable[web.Response]]


@asynccontextmanager
async def answering(handler: Handler, *, token: str | None = None) -> AsyncIterator[tuple[WhepClient, str]]:
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", handler)
    async with TestServer(application) as server:
        root = f"http://{server.host}:{server.port}"
        client = WhepClient(root + PATH, token=token)
        try:
            yield client, root
        finally:
            await client.close()


def reply(status: int, text: str = "", **headers: str) -> Handler:
    async def handler(request: web.Request) -> web.Response:
        return web.Response(status=status, text=text, headers={k.replace("_", "-"): v for k, v in headers.items()})

    return handler


@pytest.mark.parametrize(
    ("url", "endpoint"),
    [
        ("http://host:8470", "http://host:8470/v1/streams/live/whep"),
        ("host:8470/", "http://host:8470/v1/streams/live/whep"),
        ("https://host/behind/a/proxy", "https://host/behind/a/proxy/v1/streams/live/whep"),
        ("http://host/v1/streams/other/whep", "http://host/v1/streams/other/whep"),
        ("http://host/v1/streams/other/whep/", "http://host/v1/streams/other/whep"),
        ("http://[::1]:8470", "http://[::1]:8470/v1/streams/live/whep"),
    ],
)
def test_an_address_is_completed_to_an_endpoint(url: str, endpoint: str) -> None:
    assert endpoint_of(url, "live") == endpoint


@pytest.mark.parametrize(
    "url", ["", "ftp://host", "http://", "http:///path", "http://[::1", "http://host:99999", "http://host:port", "://"]
)
def test_what_is_no_address_is_said_to_be_none(url: str) -> None:
    with pytest.raises(UserError, match="expected something like http://"):
        endpoint_of(url, "live")


@pytest.mark.asyncio
async def test_the_offer_goes_out_and_the_answer_comes_back() -> None:
    seen: list[tuple[str, str, str | None, str]] = []

    async def handler(request: web.Request) -> web.Response:
        text = await request.text()
        seen.append((request.method, request.path, request.headers.get("Authorization"), text))
        if request.method == "DELETE":
            return web.Response(status=200)
        assert request.content_type == "application/sdp"
        return web.Response(status=201, text="the answer", headers={"Location": "/v1/sessions/abc"})

    async with answering(handler, token="word") as (client, root):
        answer = await client.post("the offer")
        assert (answer.sdp, answer.session_url) == ("the answer", f"{root}/v1/sessions/abc")
        await client.delete(answer.session_url)
    assert seen == [
        ("POST", PATH, "Bearer word", "the offer"),
        ("DELETE", "/v1/sessions/abc", "Bearer word", ""),
    ]


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("header", "after_s"), [("2", 2.0), ("0.5", 0.5), ("-3", 0.0), ("99999", 60.0), ("Sun, 1 Jan", None), (None, None)]
)
async def test_a_server_without_a_place_is_tried_again_when_it_says(header: str | None, after_s: float | None) -> None:
    headers = {} if header is None else {"Retry_After": header}
    async with answering(reply(503, "all 8 places are taken.", **headers)) as (client, _):
        with pytest.raises(Retry, match="all 8 places are taken") as caught:
            await client.post("offer")
    assert caught.value.after_s == after_s


@pytest.mark.asyncio
@pytest.mark.parametrize("status", [400, 401, 404, 405, 415])
async def test_a_refusal_is_final_and_in_the_servers_words(status: int) -> None:
    async with answering(reply(status, "no,\n\n  thank you " + "x" * 5000)) as (client, _):
        with pytest.raises(UserError, match=rf"\({status}\): no, thank you") as caught:
            await client.post("offer")
    assert len(str(caught.value)) < 500
    assert "\n" not in str(caught.value)


@pytest.mark.asyncio
async def test_a_success_without_a_session_is_not_one() -> None:
    async with answering(reply(201, "answer")) as (client, _):
        with pytest.raises(UserError, match="201"):
            await client.post("offer")


@pytest.mark.asyncio
async def test_nobody_at_the_address_is_worth_another_try() -> None:
    client = WhepClient(f"http://127.0.0.1:{unused_port()}{PATH}", token=None)
    with pytest.raises(Retry, match="connection refused"):
        await client.post("offer")
    await client.delete(f"http://127.0.0.1:{unused_port()}/v1/sessions/x")
    await client.close()


@pytest.mark.asyncio
async def test_a_connection_that_breaks_is_worth_another_try() -> None:
    async def handler(request: web.Request) -> web.Response:
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    async with answering(handler) as (client, _):
        with pytest.raises(Retry, match="no server answers"):
            await client.post("offer")
