"""The dashboard's routes.

    GET    /                             the page, and its files below /dashboard/
    GET    /v1/dashboard                 the feed: JSON, one object a line (server/dashboard/model.py)
    POST   /v1/streams                   start a stream
    PATCH  /v1/streams/{name}            change its rate limit
    DELETE /v1/streams/{name}            stop it
    POST   /v1/streams/{name}/intra      code its next frame from nothing

The page is read with fetch and an Authorization header, so tokens work as everywhere; EventSource cannot send one.
"""

import asyncio

from aiohttp import web

from latentcast import __version__
from latentcast.config import ServeSettings
from latentcast.vitals import LoopLag
from server.access import rights
from server.dashboard.actions import Actions
from server.dashboard.assets import Assets
from server.dashboard.feed import HISTORY_S, INTERVAL_S, Feed
from server.dashboard.model import Welcome
from server.dashboard.snapshot import SnapshotBuilder
from server.streams import Streams
from server.whip.publishers import Publishers

# A reader that takes nothing for so long is gone, or asleep; its page connects again by itself.
WRITE_TIMEOUT_S = 20.0


class Dashboard:
    """Page, feed and actions of a server. Raises OSError where the installation lacks the page's files."""

    def __init__(self, streams: Streams, publishers: Publishers, settings: ServeSettings, lag: LoopLag) -> None:
        self.feed = Feed(SnapshotBuilder(streams, lag, publisher_of=publishers.of))
        self._settings = settings
        self._assets = Assets()
        self._actions = Actions(streams, settings)

    def add_to(self, app: web.Application) -> None:
        """Add the routes; the feed ends when `app` shuts down."""
        router = app.router
        router.add_get("/", self._assets.page)
        router.add_get("/dashboard/{version}/{name:.+}", self._assets.file)
        router.add_get("/v1/dashboard", self._stream)
        router.add_post("/v1/streams", self._actions.start)
        router.add_patch("/v1/streams/{name}", self._actions.limit)
        router.add_delete("/v1/streams/{name}", self._actions.stop)
        router.add_post("/v1/streams/{name}/intra", self._actions.intra)
        app.on_shutdown.append(self._close)

    async def _close(self, app: web.Application) -> None:
        await self.feed.close()

    async def _stream(self, request: web.Request) -> web.StreamResponse:
        if self.feed.full:
            text = "too many dashboards are open; close one, or try again later."
            return web.Response(status=503, text=text, headers={"Retry-After": "5"})
        headers = {"Content-Type": "application/x-ndjson", "Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        response = web.StreamResponse(headers=headers)
        await response.prepare(request)
        manage = rights(request, self._settings).manage
        welcome = Welcome(
            version=__version__,
            manage=manage,
            token_wanted=self._settings.token is not None,
            interval_ms=round(INTERVAL_S * 1e3),
            history_ms=round(HISTORY_S * 1e3),
        )
        subscription, history = self.feed.subscribe(manage=manage)
        try:
            line: bytes | None = welcome.model_dump_json().encode() + b"\n" + history
            while line is not None:
                async with asyncio.timeout(WRITE_TIMEOUT_S):
                    await response.write(line)
                line = await subscription.next()
        except (TimeoutError, ConnectionError):
            pass
        finally:
            self.feed.unsubscribe(subscription)
        return response
