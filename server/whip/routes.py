"""WHIP over HTTP (RFC 9725), and the page that publishes.

POST    /v1/streams/{name}/whip   SDP offer -> 201, SDP answer, Location, ETag; ?size=1280x720&fps=30 of a new stream
PATCH   /v1/publishers/{id}       more ICE candidates -> 204
DELETE  /v1/publishers/{id}       ends it
GET     /v1/publishers/{id}       what the server gets of it, as JSON
OPTIONS of both, for pages of other sites
GET     /publish                  the page
"""

import re
from dataclasses import asdict
from pathlib import Path
from typing import Final

from aiohttp import web

from latentcast.config import ServeSettings
from latentcast.errors import UserError
from server.access import refusal, rights
from server.whip.fragment import FRAGMENT_TYPE, read_fragment
from server.whip.offer import OfferError, OfferRefused, read_offer
from server.whip.publisher import Publisher
from server.whip.publishers import NameBusy, NoPlace, Publishers

SDP_TYPE: Final = "application/sdp"
RETRY_AFTER_S: Final = 2
NAME: Final = re.compile(r"[A-Za-z0-9_.-]{1,64}")
PAGE: Final = Path(__file__).parent.parent / "publish"
PAGE_FILES: Final = {"publish.css": "text/css"} | dict.fromkeys(
    ("publish.js", "media.js", "theme.js", "whip.js"), "text/javascript"
)
PAGE_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; media-src 'self' blob:; "
    "img-src 'self' data:; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
)
"""Nothing from elsewhere, and nobody frames the page that may use the camera."""


def add_routes(router: web.UrlDispatcher, settings: ServeSettings, publishers: Publishers) -> None:
    """Add all of the above."""
    whip = _Whip(settings, publishers)
    router.add_post("/v1/streams/{name}/whip", whip.publish)
    router.add_options("/v1/streams/{name}/whip", whip.endpoint_options)
    router.add_get("/v1/publishers/{id}/status", whip.status)
    router.add_patch("/v1/publishers/{id}", whip.trickle)
    router.add_delete("/v1/publishers/{id}", whip.end)
    router.add_options("/v1/publishers/{id}", whip.session_options)
    router.add_get("/publish", _page)
    router.add_get("/publish/{file}", _page_file)


class _Whip:
    def __init__(self, settings: ServeSettings, publishers: Publishers) -> None:
        self._settings = settings
        self._publishers = publishers

    async def publish(self, request: web.Request) -> web.Response:
        if not rights(request, self._settings).manage:
            return _open(refusal(request, "publish"))
        name = request.match_info["name"]
        if NAME.fullmatch(name) is None:
            return _say(
                400, f"the stream's name is {name[:80]!r}; use 1 to 64 letters, digits, dots, dashes, underscores"
            )
        if request.content_type != SDP_TYPE:
            return _say(415, f"the body is {request.content_type}, expected {SDP_TYPE}", {"Accept-Post": SDP_TYPE})
        try:
            size, fps = _wanted(request)
            publisher, answer = await self._publishers.publish(
                name, read_offer(await request.text()), size=size, fps=fps
            )
        except UnicodeDecodeError:
            return _say(400, "the SDP offer is not UTF-8 text")
        except (OfferError, UserError) as error:
            return _say(400, str(error))
        except OfferRefused as error:
            return _say(406, str(error))
        except NameBusy as error:
            return _say(409, str(error))
        except NoPlace as error:
            return _say(503, str(error), {"Retry-After": str(RETRY_AFTER_S)})
        except TimeoutError:
            return _say(503, "no answer could be made in time; try again", {"Retry-After": str(RETRY_AFTER_S)})
        response = web.Response(status=201, text=answer, content_type=SDP_TYPE)
        response.headers["Location"] = f"/v1/publishers/{publisher.id}"
        response.headers["ETag"] = publisher.etag
        self._link(response)
        return _open(response)

    async def trickle(self, request: web.Request) -> web.Response:
        publisher = self._publishers.get(request.match_info["id"])
        if (refused := self._refused(request, publisher)) is not None:
            return refused
        assert publisher is not None
        if request.content_type != FRAGMENT_TYPE:
            return _say(
                415, f"the body is {request.content_type}, expected {FRAGMENT_TYPE}", {"Accept-Patch": FRAGMENT_TYPE}
            )
        etag = request.headers.get("If-Match")
        if etag is None:
            return _say(428, "the request has no If-Match, expected the ETag of the answer to the offer")
        restart = "ICE restarts are not supported; end this session and publish anew"
        if etag.strip() == "*":
            return _say(501, restart)
        if publisher.etag not in [tag.strip() for tag in etag.split(",")]:
            return _say(412, f"If-Match is {etag[:80]}, but the ICE session is {publisher.etag}; publish anew")
        try:
            fragment = read_fragment(await request.text())
            if fragment.ufrag is not None and fragment.ufrag != publisher.ufrag:
                return _say(501, restart)
            await publisher.trickle(fragment)
        except UnicodeDecodeError:
            return _say(400, "the fragment is not UTF-8 text")
        except OfferError as error:
            return _say(400, str(error))
        return _open(web.Response(status=204))

    async def end(self, request: web.Request) -> web.Response:
        publisher = self._publishers.get(request.match_info["id"])
        if (refused := self._refused(request, publisher)) is not None:
            return refused
        assert publisher is not None
        await publisher.close()
        return _open(web.Response(status=200))

    async def status(self, request: web.Request) -> web.Response:
        """410 with the reason after it was sent away; after a loss 404, as of sessions that never were."""
        publisher = self._publishers.get(request.match_info["id"])
        reason = self._publishers.dismissal(request.match_info["id"])
        if reason is not None and rights(request, self._settings).manage:
            return _say(410, reason)
        if (refused := self._refused(request, publisher)) is not None:
            return refused
        assert publisher is not None
        return _open(web.json_response(asdict(publisher.status())))

    async def endpoint_options(self, request: web.Request) -> web.Response:
        response = _open(web.Response(status=204, headers={"Accept-Post": SDP_TYPE}), methods="POST, OPTIONS")
        self._link(response)
        return response

    async def session_options(self, request: web.Request) -> web.Response:
        headers = {"Accept-Patch": FRAGMENT_TYPE}
        return _open(web.Response(status=204, headers=headers), methods="PATCH, DELETE, OPTIONS")

    def _refused(self, request: web.Request, publisher: Publisher | None) -> web.Response | None:
        if not rights(request, self._settings).manage:
            return _open(refusal(request, "publish"))
        if publisher is None:
            return _say(404, "there is no such publisher: it has ended, or never was")
        return None

    def _link(self, response: web.Response) -> None:
        for url in self._settings.ice_servers:
            response.headers.add("Link", f'<{url}>; rel="ice-server"')


def _wanted(request: web.Request) -> tuple[tuple[int, int] | None, float | None]:
    """Size and rate that the URL asks for, if it does. Raises UserError; ranges are the source's business."""
    size, fps = request.query.get("size"), request.query.get("fps")
    pair = None
    if size is not None:
        found = re.fullmatch(r"(\d{1,5})x(\d{1,5})", size)
        if found is None:
            raise UserError(f"the URL asks for the size {size[:20]!r}, expected WIDTHxHEIGHT, such as 1280x720")
        # The codec takes even sides (chroma of what is decoded elsewhere).
        pair = int(found[1]) & ~1, int(found[2]) & ~1
    if fps is None:
        return pair, None
    if re.fullmatch(r"\d{1,3}(\.\d{1,6})?", fps) is None:
        raise UserError(f"the URL asks for {fps[:20]!r} frames a second, expected a number such as 30")
    return pair, float(fps)


def _say(status: int, text: str, headers: dict[str, str] | None = None) -> web.Response:
    return _open(web.Response(status=status, text=f"{text}.", headers=headers))


def _open(response: web.Response, *, methods: str | None = None) -> web.Response:
    """Let pages of other sites read the response; what they may do is a matter of their token."""
    response.headers["Access-Control-Allow-Origin"] = "*"
    response.headers["Access-Control-Expose-Headers"] = "Location, ETag, Link, Retry-After"
    if methods is not None:
        response.headers["Access-Control-Allow-Methods"] = methods
        response.headers["Access-Control-Allow-Headers"] = "Authorization, Content-Type, If-Match"
        response.headers["Access-Control-Max-Age"] = "600"
    return response


async def _page(request: web.Request) -> web.StreamResponse:
    return web.FileResponse(
        PAGE / "index.html", headers={"Content-Security-Policy": PAGE_POLICY, "Cache-Control": "no-cache"}
    )


async def _page_file(request: web.Request) -> web.StreamResponse:
    kind = PAGE_FILES.get(request.match_info["file"])
    if kind is None:
        raise web.HTTPNotFound
    return web.FileResponse(
        PAGE / request.match_info["file"], headers={"Content-Type": kind, "Cache-Control": "no-cache"}
    )
