"""`GET /v1/sources`: what this machine can stream, as JSON (`server/sources/listing.py`); wants the right to manage."""

import asyncio
from collections.abc import Callable

from aiohttp import web

from latentcast.config import ServeSettings
from server.access import refusal, rights
from server.sources.listing import SourceListing, list_sources


def add_routes(
    router: web.UrlDispatcher, settings: ServeSettings, *, ask: Callable[[], SourceListing] = list_sources
) -> None:
    """Add the route. Cameras and the display are asked in a thread, once at a time."""
    asking = asyncio.Lock()

    async def sources(request: web.Request) -> web.Response:
        if not rights(request, settings).manage:
            return refusal(request, "list this machine's sources")
        async with asking:
            listing = await asyncio.to_thread(ask)
        return web.json_response(listing.as_json(), headers={"Cache-Control": "no-store"})

    router.add_get("/v1/sources", sources)
