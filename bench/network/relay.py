"""A bad network for the real programs: a relay in user space between a server and its viewers, on this machine.

    viewer ── HTTP ──▶ Relay ── HTTP ──▶ server          offers and answers pass with the relay's own address in them,
    viewer ◀── UDP ──▶ RelaySession ◀── UDP ──▶ server   so all media passes the simulated links of that viewer

A viewer is told its conditions by the URL it uses: `{relay}` or `{relay}/via/{name}`. Everything else the server can be
asked passes through as it is.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import aiohttp
from aiohttp import web

from bench.network.conditions import Conditions
from bench.network.relay_session import LOOPBACK, RelaySession
from bench.network.schedule import Schedule
from bench.network.sdp import reachable_at, redirect

log = logging.getLogger(__name__)

SDP_TYPE = "application/sdp"
MAX_BODY_BYTES = 1 << 20
REQUEST_TIMEOUT_S = 20.0
MAX_SESSIONS = 64
# A session that was ended has a goodbye under way.
LINGER_S = 1.0
# ICE gives up after half a minute of silence.
IDLE_TIMEOUT_S = 60.0
_SWEEP_S = 5.0
_KEPT_SUMMARIES = 1000
# Of the connection, not of the message (RFC 9110 section 7.6.1), or made anew by the next hop.
_OWN_HEADERS = {
    "connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "te", "trailer", "transfer-encoding",
    "upgrade", "host", "content-length", "content-encoding", "accept-encoding",
}  # fmt: skip


@dataclass(slots=True)
class _Route:
    """Viewers of one name. started: when its media began, from which `at` counts, also after a reconnection."""

    name: str
    conditions: Conditions
    started: float | None = None


@dataclass(frozen=True, slots=True, eq=False)
class _Connection:
    number: int
    route: _Route
    session: RelaySession

    def summary(self) -> dict[str, Any]:
        return {"viewer": self.route.name, "number": self.number, **self.session.statistics()}


class Relay:
    """Starts with `start`, ends with `stop`. All methods belong to one event loop."""

    def __init__(self, server_url: str, conditions: Conditions | Mapping[str, Conditions], *, seed: int = 0) -> None:
        """`conditions`: of every viewer, or by name; the first is that of viewers who use no name."""
        self._server_url = server_url.rstrip("/")
        named = {"viewer": conditions} if isinstance(conditions, Conditions) else conditions
        self._routes = {name: _Route(name, value) for name, value in named.items()}
        self._seed = seed
        self._connections: list[_Connection] = []
        self._by_location: dict[str, _Connection] = {}
        self._finished: deque[dict[str, Any]] = deque(maxlen=_KEPT_SUMMARIES)
        self._opened = 0
        self._runner: web.AppRunner | None = None
        self._http: aiohttp.ClientSession | None = None
        self._sweeper: asyncio.Task[None] | None = None
        self.url = ""
        """Address of the relay once started: use it in place of the server's."""

    @property
    def urls(self) -> dict[str, str]:
        """The address of each name."""
        return {name: f"{self.url}/via/{name}" for name in self._routes}

    async def start(self) -> str:
        """Listens on a free port of loopback; returns the URL."""
        application = web.Application(client_max_size=MAX_BODY_BYTES)
        application.router.add_route("*", "/{path:.*}", self._handle)
        self._runner = web.AppRunner(application, access_log=None)
        await self._runner.setup()
        self._http = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=REQUEST_TIMEOUT_S))
        await web.TCPSite(self._runner, LOOPBACK, 0).start()
        self.url = f"http://{LOOPBACK}:{self._runner.addresses[0][1]}"
        self._sweeper = asyncio.create_task(self._sweep(), name="relay sweep")
        return self.url

    async def stop(self) -> dict[str, Any]:
        """Ends everything; returns the statistics."""
        if self._sweeper is not None:
            self._sweeper.cancel()
            await asyncio.wait([self._sweeper])
        if self._http is not None:
            await self._http.close()
        if self._runner is not None:
            await self._runner.cleanup()
        for connection in list(self._connections):
            self._finish(connection)
        return self.statistics()

    def statistics(self) -> dict[str, Any]:
        """`sessions`: of each connection so far, its `viewer`, its running `number` and what its links did."""
        summaries = [*self._finished, *(connection.summary() for connection in self._connections)]
        return {"sessions": sorted(summaries, key=lambda summary: int(summary["number"]))}

    async def _handle(self, request: web.Request) -> web.Response:
        path = request.rel_url.raw_path
        route = next(iter(self._routes.values()))
        if path.startswith("/via/"):
            name, slash, rest = path.removeprefix("/via/").partition("/")
            if name not in self._routes:
                return web.Response(status=404, text=f"no conditions for {name!r}, only for {list(self._routes)}.")
            route, path = self._routes[name], slash + rest
        body = await request.read()
        if request.method == "POST" and path.endswith("/whep") and request.content_type == SDP_TYPE:
            return await self._offer(request, path, body, route)
        response = await self._forward(request, path, body)
        connection = self._by_location.pop(path, None) if request.method == "DELETE" else None
        if connection is not None:
            asyncio.get_running_loop().call_later(LINGER_S, self._finish, connection)
        return response

    async def _offer(self, request: web.Request, path: str, body: bytes, route: _Route) -> web.Response:
        """Signalling: both sides learn our addresses instead of each other's."""
        if len(self._connections) >= MAX_SESSIONS:
            return web.Response(status=503, text="the relay is full.", headers={"Retry-After": "5"})
        connection = self._open(route)
        session = connection.session
        passed = False
        try:
            offer = _text(body)
            to_server = redirect(offer, session.server_leg.address)
            if to_server is None:
                return await self._forward(request, path, body)
            session.viewer_leg.expect(reachable_at(offer))
            response = await self._forward(request, path, to_server.encode())
            answer = _text(response.body) if isinstance(response.body, bytes) else ""
            to_viewer = redirect(answer, session.viewer_leg.address) if response.status == 201 else None
            if to_viewer is None:
                return response
            session.server_leg.expect(reachable_at(answer))
            response.body = to_viewer.encode()
            self._by_location[urlsplit(response.headers.get("Location", "")).path] = connection
            passed = True
            return response
        finally:
            if not passed:
                session.close()
                self._connections.remove(connection)

    def _open(self, route: _Route) -> _Connection:
        now = time.monotonic()
        schedule = Schedule(route.conditions, seed=self._seed + self._opened, start=route.started, since=now)

        def begin(began: float) -> None:
            if route.started is None:
                route.started = began
                log.debug("the conditions of %s begin", route.name)
            schedule.begin(route.started)

        connection = _Connection(self._opened, route, RelaySession(schedule, on_media=begin))
        self._connections.append(connection)
        self._opened += 1
        return connection

    def _finish(self, connection: _Connection) -> None:
        connection.session.close()
        if connection in self._connections:
            self._connections.remove(connection)
            self._finished.append(connection.summary())
        self._by_location = {path: other for path, other in self._by_location.items() if other is not connection}

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(_SWEEP_S)
            limit = time.monotonic() - IDLE_TIMEOUT_S
            for connection in [c for c in self._connections if c.session.last_heard < limit]:
                self._finish(connection)

    async def _forward(self, request: web.Request, path: str, body: bytes) -> web.Response:
        """Asks the server the same question and gives its answer."""
        assert self._http is not None
        query = request.rel_url.raw_query_string
        url = self._server_url + path + (f"?{query}" if query else "")
        headers = [(name, value) for name, value in request.headers.items() if name.lower() not in _OWN_HEADERS]
        try:
            async with self._http.request(
                request.method, url, data=body or None, headers=headers, allow_redirects=False
            ) as answer:
                content = await answer.read()
                response = web.Response(status=answer.status, reason=answer.reason, body=content)
                for name, value in answer.headers.items():
                    if name.lower() not in _OWN_HEADERS:
                        if name.lower() == "content-type":
                            response.headers[name] = value
                        else:
                            response.headers.add(name, value)
                return response
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            return web.Response(status=502, text=f"no server answers the relay at {self._server_url} ({error}).")


def _text(body: bytes) -> str:
    # What is not text has no candidates, and passes as it came.
    return body.decode(errors="replace")
