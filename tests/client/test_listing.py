"""The list of a server's streams: what is taken, and what is said when there is none."""

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from client.listing import stream_names
from latentcast.errors import UserError

pytestmark = [pytest.mark.net, pytest.mark.asyncio]


async def asked(body: str, *, status: int = 200, path: str = "", token: str | None = None) -> list[str]:
    """What a viewer makes of a server that answers so."""

    async def answer(request: web.Request) -> web.Response:
        assert request.headers.get("Authorization") == (None if token is None else f"Bearer {token}")
        return web.Response(text=body, status=status)

    app = web.Application()
    app.router.add_get(f"{path}/v1/streams", answer)
    async with TestServer(app) as server:
        return await stream_names(str(server.make_url(path or "/")), token=token)


async def test_names_come_in_the_servers_order() -> None:
    assert await asked('[{"name": "b", "viewers": 1}, {"name": "a"}]', token="secret") == ["b", "a"]
    assert await asked('[{"name": "a"}]', path="/behind/a/proxy") == ["a"]


@pytest.mark.parametrize("body", ["", "{}", "[1]", '[{"id": 1}]', '[{"name": "../x"}]', '[{"name": 5}]', "<html>"])
async def test_something_else_is_no_list(body: str) -> None:
    with pytest.raises(UserError, match=r"is no list of streams; is it a Latentcast server\?"):
        await asked(body)


async def test_an_empty_list_is_said() -> None:
    with pytest.raises(UserError, match="lists no stream; start one"):
        await asked("[]")


async def test_a_refusal_is_said_with_its_reason() -> None:
    with pytest.raises(UserError, match=r"does not list its streams \(401\): a token is needed"):
        await asked("a token\nis needed", status=401)


async def test_no_server_is_said() -> None:
    with pytest.raises(UserError, match=r"no server answers at http://127.0.0.1:1/v1/streams \(connection refused\)"):
        await stream_names("http://127.0.0.1:1", token=None)
