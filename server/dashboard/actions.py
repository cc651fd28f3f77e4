"""What a page may change: start and stop streams, force an intra frame, limit the rate.

All of it wants the right to manage (server/access.py). The body is JSON; what is wrong with it is said in a sentence:
401 and 403 rights, 404 no such stream, 409 in conflict with what runs, 415 and 422 a body that cannot be used.
"""

from typing import Annotated, TypeVar

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from latentcast.config import Bps, ServeSettings
from latentcast.errors import UserError
from server.access import refusal, rights
from server.stream import Stream
from server.streams import NameTaken, Streams, TooManyStreams

MAX_SOURCES = 32
"""Files of one stream."""

Source = Annotated[str, Field(min_length=1, max_length=2048)]


class _Body(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class StartBody(_Body):
    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]{1,64}$")]
    source: Source | Annotated[tuple[Source, ...], Field(min_length=1, max_length=MAX_SOURCES)]
    """As `--source` takes it; several files as a list."""
    size: tuple[int, int] | None = None
    fps: Annotated[float, Field(gt=0, le=240)] | None = None
    max_bitrate: Bps | None = None


class LimitBody(_Body):
    max_bitrate: Bps


Body = TypeVar("Body", bound=_Body)


class Actions:
    """Request handlers."""

    def __init__(self, streams: Streams, settings: ServeSettings) -> None:
        self._streams = streams
        self._settings = settings

    async def start(self, request: web.Request) -> web.Response:
        """`POST /v1/streams`: 201 once the source is open; the encoder may still have to start."""
        self._check(request, "start streams")
        body = await _parsed(request, StartBody)
        changed = {
            "stream": body.name,
            "source": (body.source,) if isinstance(body.source, str) else body.source,
            "size": body.size,
            "fps": body.fps,
            # One ring file holds the pictures of one stream.
            "capture_ring": None,
        }
        if body.max_bitrate is not None:
            changed["max_bitrate"] = body.max_bitrate
        try:
            stream = await self._streams.start(self._settings.model_copy(update=changed))
        except (NameTaken, TooManyStreams) as error:
            raise _refuse(web.HTTPConflict, str(error)) from error
        except UserError as error:
            raise _refuse(web.HTTPUnprocessableEntity, str(error)) from error
        location = f"/v1/streams/{stream.name}"
        return web.json_response(_described(stream), status=201, headers={"Location": location})

    async def limit(self, request: web.Request) -> web.Response:
        """`PATCH /v1/streams/{name}`: from the next frame on."""
        stream = self._running(request, "limit the rate")
        stream.set_max_bitrate((await _parsed(request, LimitBody)).max_bitrate)
        return web.json_response(_described(stream))

    async def intra(self, request: web.Request) -> web.Response:
        """`POST /v1/streams/{name}/intra`."""
        self._running(request, "ask for intra frames").force_intra()
        return web.Response(status=204)

    async def stop(self, request: web.Request) -> web.Response:
        """`DELETE /v1/streams/{name}`: also removes one that has ended."""
        self._check(request, "stop streams")
        if not await self._streams.stop(request.match_info["name"]):
            raise self._unknown(request)
        return web.Response(status=204)

    def _check(self, request: web.Request, what: str) -> None:
        if not rights(request, self._settings).manage:
            answer = refusal(request, what)
            kind = web.HTTPUnauthorized if answer.status == 401 else web.HTTPForbidden
            raise kind(text=answer.text, headers={"WWW-Authenticate": "Bearer"})

    def _running(self, request: web.Request, what: str) -> Stream:
        self._check(request, what)
        stream = self._streams.get(request.match_info["name"])
        if stream is None:
            raise self._unknown(request)
        if stream.failure is not None:
            raise _refuse(web.HTTPConflict, f"the stream {stream.name!r} has ended; start it again first")
        return stream

    def _unknown(self, request: web.Request) -> web.HTTPException:
        names = ", ".join(repr(stream.name) for stream in self._streams)
        there = f"there is {names}" if names else "there is none at all"
        return _refuse(web.HTTPNotFound, f"there is no stream {request.match_info['name']!r} here; {there}")


async def _parsed(request: web.Request, kind: type[Body]) -> Body:
    if request.content_type != "application/json":
        raise _refuse(web.HTTPUnsupportedMediaType, f"the body is {request.content_type}, expected application/json")
    try:
        return kind.model_validate_json(await request.read())
    except ValidationError as error:
        raise _refuse(web.HTTPUnprocessableEntity, _in_words(error)) from error


def _in_words(error: ValidationError) -> str:
    """What is wrong with the first field that is."""
    first = error.errors(include_url=False)[0]
    if first["type"] == "json_invalid":
        return f"the body is not JSON ({first['ctx']['error']})"
    if not first["loc"]:
        return 'the body is not a JSON object; expected one such as {"name": "live", "source": "pattern"}'
    name = str(first["loc"][0])
    limits = first.get("ctx", {})
    if first["type"] == "extra_forbidden":
        return f"there is no field {name!r}; leave it out"
    if first["type"] == "missing":
        return f"the field {name!r} is missing; give it"
    if name == "name":
        return f"the name is {first['input']!r}; use 1 to 64 letters, digits, dots, dashes and underscores"
    if name == "size":
        return "the size cannot be used; give width and height in pixels, such as [640, 360]"
    if name == "source":
        return f"the source cannot be used; give what --source takes, or a list of up to {MAX_SOURCES} files"
    bounds = {"max_bitrate": "20000 to 100000000 bit/s, a whole number", "fps": "more than 0, up to 240"}
    expected = bounds.get(name, str(limits or first["msg"]))
    return f"the field {name!r} is {first['input']!r}; expected {expected}"


def _refuse(kind: type[web.HTTPException], sentence: str) -> web.HTTPException:
    return kind(text=sentence if sentence.endswith(".") else f"{sentence}.")


def _described(stream: Stream) -> dict[str, object]:
    return {
        "name": stream.name,
        "width": stream.width,
        "height": stream.height,
        "fps": stream.fps,
        "max_bitrate": stream.max_bitrate,
    }
