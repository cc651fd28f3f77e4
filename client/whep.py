"""WHEP's client side: post an SDP offer, get the answer, delete the session.

What the server says is turned into one of two things: `Retry` (it may work later) or `Refusal` (it will not).
"""

import asyncio
from dataclasses import dataclass
from urllib.parse import urljoin, urlsplit

import aiohttp

from latentcast.errors import PeerError, UserError

# A server on a bad path needs a second; one that takes longer is not there.
REQUEST_TIMEOUT_S = 8.0
# Nobody waits long for a goodbye.
DELETE_TIMEOUT_S = 1.0
# Longest text of a refusal that is shown to the user.
_MAX_REASON = 300
_MAX_ANSWER_BYTES = 256 * 1024


class Retry(PeerError):
    """The server cannot be reached or has no place now. after_s: when to try again, if it said so."""

    def __init__(self, message: str, *, after_s: float | None = None) -> None:
        super().__init__(message)
        self.after_s = after_s


class Refusal(UserError):
    """The server answered, and the answer is no: an unknown stream, a wrong token. status: HTTP's."""

    def __init__(self, message: str, *, status: int = 400) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True, slots=True)
class Answer:
    """sdp: the answer. session_url: what to DELETE."""

    sdp: str
    session_url: str


def endpoint_of(url: str, stream: str) -> str:
    """The WHEP endpoint: `url` itself when it is one, else that of `stream` on the server `url`. Raises UserError."""
    not_one = UserError(f"{url!r} is not the address of a server; expected something like http://127.0.0.1:8470")
    try:
        parts = urlsplit(url if "://" in url else f"http://{url}")
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        # An unclosed bracket, or a port out of range.
        raise not_one from None
    if not usable:
        raise not_one
    base = f"{parts.scheme}://{parts.netloc}"
    path = parts.path.rstrip("/")
    return f"{base}{path}" if path.endswith("/whep") else f"{base}{path}/v1/streams/{stream}/whep"


class WhepClient:
    """One endpoint. Close it when done."""

    def __init__(self, endpoint: str, *, token: str | None) -> None:
        self.endpoint = endpoint
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        timeout = aiohttp.ClientTimeout(total=REQUEST_TIMEOUT_S)
        self._http = aiohttp.ClientSession(headers=headers, timeout=timeout)

    async def post(self, offer: str) -> Answer:
        """Ask for a session. Raises Retry or Refusal."""
        try:
            async with self._http.post(
                self.endpoint, data=offer.encode(), headers={"Content-Type": "application/sdp"}
            ) as response:
                body = (await response.content.read(_MAX_ANSWER_BYTES)).decode(errors="replace")
                if response.status == 201 and "Location" in response.headers:
                    return Answer(body, urljoin(self.endpoint, response.headers["Location"]))
                reason = " ".join(body.split())[:_MAX_REASON] or response.reason or "no reason given"
                if response.status in (429, 500, 502, 503, 504):
                    raise Retry(f"{self._server} says: {reason}", after_s=_seconds(response.headers.get("Retry-After")))
                raise Refusal(
                    f"{self._server} refused the session ({response.status}): {reason}", status=response.status
                )
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            raise Retry(f"no server answers at {self._server} ({cause_of(error)})") from error

    async def delete(self, session_url: str) -> None:
        """End a session; a server that is gone needs no telling."""
        try:
            async with self._http.delete(session_url, timeout=aiohttp.ClientTimeout(total=DELETE_TIMEOUT_S)):
                pass
        except (TimeoutError, aiohttp.ClientError, OSError):
            pass

    async def close(self) -> None:
        await self._http.close()

    @property
    def _server(self) -> str:
        parts = urlsplit(self.endpoint)
        return f"{parts.scheme}://{parts.netloc}"


def _seconds(header: str | None) -> float | None:
    try:
        return min(60.0, max(0.0, float(header))) if header is not None else None
    except ValueError:
        return None


def cause_of(error: BaseException) -> str:
    """Why a server could not be asked, in a word or two where that is known."""
    os_error = getattr(error, "os_error", None)
    if isinstance(os_error, ConnectionRefusedError):
        return "connection refused"
    if isinstance(error, TimeoutError | asyncio.TimeoutError):
        return "timed out"
    return str(error) or type(error).__name__
