"""The HTTP interface and the life of the server.

    POST   /v1/streams/{name}/whep   SDP offer -> 201, SDP answer, Location (WHEP's shape, draft-ietf-wish-whep)
    DELETE /v1/sessions/{id}         ends the session
    GET    /v1/streams, /healthz, /readyz, /metrics

What else there is adds its own routes. Who may do what is in server/access.py.

The viewer's side of WHEP is a Latentcast client: a browser's WHEP player can connect but cannot decode this stream.
"""

import asyncio
import logging
import os
import signal
from collections.abc import Awaitable, Callable

from aiohttp import web

from latentcast.config import ServeSettings
from latentcast.errors import UserError
from latentcast.net import addresses_for
from latentcast.vitals import LoopLag
from server import metrics, source_routes
from server.access import rights
from server.dashboard.routes import Dashboard
from server.stream import LAST_WORDS_S, Stream
from server.streams import Streams
from server.whip import routes as whip
from server.whip.publishers import Publishers
from transport.webrtc import use_host_addresses

log = logging.getLogger(__name__)

SDP_TYPE = "application/sdp"
# An offer with a hundred candidates is 10 kB.
MAX_OFFER_BYTES = 64 * 1024
# ICE gathering on a machine with many interfaces and slow STUN servers.
ANSWER_TIMEOUT_S = 10.0
RETRY_AFTER_S = 2
# A viewer that comes while the encoder starts is answered when it is warm, rather than sent away.
START_WAIT_S = 5.0

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Application:
    """The aiohttp application around the streams."""

    def __init__(self, settings: ServeSettings, streams: Streams, lag: LoopLag) -> None:
        self._settings = settings
        self._streams = streams
        self.publishers = Publishers(streams, settings)
        dashboard = Dashboard(streams, self.publishers, settings, lag)
        feed = dashboard.feed
        self._collector = metrics.StreamCollector(streams, lag, dashboards=lambda: (feed.subscriptions, feed.cpu_s))
        self.web = web.Application(client_max_size=MAX_OFFER_BYTES, middlewares=[self._authorise])
        routes = self.web.router
        routes.add_post("/v1/streams/{name}/whep", self._whep)
        routes.add_options("/v1/streams/{name}/whep", self._options)
        routes.add_delete("/v1/sessions/{id}", self._delete)
        routes.add_get("/v1/streams", self._list)
        routes.add_get("/healthz", self._healthz)
        routes.add_get("/readyz", self._readyz)
        routes.add_get("/metrics", self._metrics)
        dashboard.add_to(self.web)
        whip.add_routes(routes, settings, self.publishers)
        source_routes.add_routes(routes, settings)
        self.web.on_shutdown.append(self._close_publishers)

    async def _close_publishers(self, _: web.Application) -> None:
        await self.publishers.close()

    @web.middleware
    async def _authorise(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Everything below /v1/ wants the right to view; what wants more asks for it itself."""
        if request.path.startswith("/v1/") and request.method != "OPTIONS" and not rights(request, self._settings).view:
            if self._settings.token is None:
                return web.Response(
                    status=403,
                    text="this server answers no pages of other sites, and no other names than this machine's; "
                    "behind a proxy, start it with --token.",
                )
            return web.Response(
                status=401,
                text="this server wants a token; give the viewer the one it was started with (--token).",
                headers={"WWW-Authenticate": "Bearer"},
            )
        return await handler(request)

    async def _whep(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        stream = await self._streams.expect(name, START_WAIT_S)
        if stream is None:
            return web.Response(status=404, text=f"there is no stream {name!r} here; {self._names()}.")
        if request.content_type != SDP_TYPE:
            return web.Response(status=415, text=f"the body is {request.content_type}, expected {SDP_TYPE}.")
        if stream.failure is not None:
            return self._later(f"the stream has ended: {stream.failure}")
        if stream.stopping:
            return self._later("the server is stopping.")
        try:
            offer = await request.text()
        except UnicodeDecodeError:
            return web.Response(status=400, text="the SDP offer is not UTF-8 text.")
        if not await stream.wait_ready(START_WAIT_S):
            return self._later(stream.failure or "the encoder is still starting; try again.")
        if stream.stopping:
            return self._later("the stream was stopped meanwhile.")
        if len(self._streams.sessions) >= self._settings.max_viewers:
            return self._later(f"all {self._settings.max_viewers} places are taken; try again later.")
        session = stream.new_session(may_drive=rights(request, self._settings).drive)
        session.address = request.remote
        try:
            async with asyncio.timeout(ANSWER_TIMEOUT_S):
                answer = await session.answer(offer)
        except ValueError as error:
            await session.close()
            return web.Response(status=400, text=f"{error}.")
        except TimeoutError:
            await session.close()
            return self._later("no answer could be made in time; try again.")
        except BaseException:
            await session.close()
            raise
        headers = {"Location": f"/v1/sessions/{session.id}", "ETag": f'"{session.id[:8]}"', **self._cors()}
        response = web.Response(status=201, text=answer, content_type=SDP_TYPE, headers=headers)
        for url in self._settings.ice_servers:
            response.headers.add("Link", f'<{url}>; rel="ice-server"')
        return response

    async def _options(self, request: web.Request) -> web.Response:
        headers = self._cors() | {
            "Access-Control-Allow-Methods": "POST, DELETE, OPTIONS",
            "Access-Control-Allow-Headers": "Authorization, Content-Type",
        }
        return web.Response(status=204, headers=headers)

    async def _delete(self, request: web.Request) -> web.Response:
        session = self._streams.session(request.match_info["id"])
        if session is None:
            return web.Response(status=404, text="there is no such session.")
        await session.close()
        return web.Response(status=200)

    async def _list(self, request: web.Request) -> web.Response:
        return web.json_response([_described(stream) for stream in self._streams])

    def _names(self) -> str:
        names = [repr(stream.name) for stream in self._streams]
        return f"there is {', '.join(names)}" if names else "there is none at all"

    async def _healthz(self, request: web.Request) -> web.Response:
        """The event loop answers, and not every stream has failed for good."""
        failures = [f"{stream.name}: {stream.failure}" for stream in self._streams if stream.failure is not None]
        if failures and len(failures) == len(self._streams):
            return web.Response(status=500, text="; ".join(failures))
        return web.Response(text="ok")

    async def _readyz(self, request: web.Request) -> web.Response:
        """Every stream's encoder is warm."""
        ready = self._streams.ready
        return web.Response(status=200 if ready else 503, text="ready" if ready else "starting")

    async def _metrics(self, request: web.Request) -> web.Response:
        return web.Response(body=metrics.render(self._collector), headers={"Content-Type": metrics.CONTENT_TYPE})

    def _later(self, why: str) -> web.Response:
        return web.Response(status=503, text=why, headers={"Retry-After": str(RETRY_AFTER_S)})

    @staticmethod
    def _cors() -> dict[str, str]:
        return {"Access-Control-Allow-Origin": "*", "Access-Control-Expose-Headers": "Location, ETag, Link"}


def media_addresses(settings: ServeSettings) -> list[str] | None:
    """Addresses to offer for media: those set, else the one listened on, else (None) all of them."""
    if settings.ice_addresses:
        return list(settings.ice_addresses)
    return addresses_for(settings.host)


async def serve(settings: ServeSettings, *, announce: Callable[[str], None]) -> None:
    """Run until SIGINT or SIGTERM. announce(url) is called once viewers can connect to the port.

    Ends by itself when the stream of the settings fails and no other runs. Raises UserError then, and when the source
    cannot be opened or the port cannot be had.
    """
    use_host_addresses(media_addresses(settings))
    loop = asyncio.get_running_loop()
    stopping = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopping.set)
    lag = LoopLag()
    failed: list[str] = []

    def on_failure(stream: Stream) -> None:
        # A server that was started for one stream ends with it; one that is managed stays, and says why it failed.
        own = stream.name == settings.stream and not settings.starts_empty
        if own and all(other.failure is not None for other in streams):
            failed.append(stream.failure or "")
            stopping.set()

    streams = Streams(settings, lag=lag, on_failure=on_failure)
    runner = web.AppRunner(Application(settings, streams, lag).web, access_log=None)
    await runner.setup()
    measuring = asyncio.create_task(lag.run(), name="loop lag")
    try:
        site = web.TCPSite(runner, settings.host, settings.port)
        try:
            await site.start()
        except OSError as error:
            raise UserError(
                f"cannot listen on {settings.host} port {settings.port} ({_cause(error)}); choose another "
                f"with --port, or 0 for any free one."
            ) from error
        if not settings.starts_empty:
            await streams.start(settings)
        port = runner.addresses[0][1]
        host = f"[{settings.host}]" if ":" in settings.host else settings.host
        announce(f"http://{host}:{port}")
        await stopping.wait()
        if failed:
            # The last words to the viewers need a moment on the wire.
            await asyncio.sleep(LAST_WORDS_S)
            raise UserError(failed[0])
    finally:
        measuring.cancel()
        await asyncio.wait([measuring])
        await streams.close()
        await runner.cleanup()


def _described(stream: Stream) -> dict[str, object]:
    status = stream.source_status
    return {
        "name": stream.name,
        "width": stream.width,
        "height": stream.height,
        "fps": stream.fps,
        "viewers": sum(session.live for session in stream.sessions.values()),
        "ready": stream.ready,
        "source": {"kind": status.kind, "state": status.state, "reason": status.reason},
    }


def _cause(error: OSError) -> str:
    """asyncio wraps the system's words in its own; the user needs the former."""
    return os.strerror(error.errno).lower() if error.errno is not None and error.errno > 0 else str(error)
