"""The names of the streams that a server has, for a viewer that wants all of them."""

import json
import re

import aiohttp

from client.whep import cause_of, endpoint_of
from latentcast.errors import UserError

_TIMEOUT_S = 8.0
_MAX_ANSWER_BYTES = 256 * 1024


_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")


async def stream_names(url: str, *, token: str | None) -> list[str]:
    """Names in the server's order. Raises UserError when there is no server, no stream, or no permission."""
    address = endpoint_of(url, "x").rpartition("/v1/streams/")[0] + "/v1/streams"
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    try:
        async with (
            aiohttp.ClientSession(headers=headers, timeout=aiohttp.ClientTimeout(total=_TIMEOUT_S)) as http,
            http.get(address) as response,
        ):
            body = await response.content.read(_MAX_ANSWER_BYTES)
            if response.status != 200:
                reason = " ".join(body.decode(errors="replace").split())[:300] or response.reason
                raise UserError(f"{address} does not list its streams ({response.status}): {reason}")
            names = _names(json.loads(body))
    except ValueError as error:
        raise UserError(f"{address} is no list of streams; is it a Latentcast server?") from error
    except (TimeoutError, aiohttp.ClientError, OSError) as error:
        raise UserError(f"no server answers at {address} ({cause_of(error)}); is it running?") from error
    if not names:
        raise UserError(f"{address} lists no stream; start one, or name one that is to come with --stream.")
    return names


def _names(answer: object) -> list[str]:
    """The names in what the server said. Raises ValueError when it is no list of streams."""
    if not isinstance(answer, list):
        raise ValueError("no list")
    names = [entry.get("name") if isinstance(entry, dict) else None for entry in answer]
    good = [name for name in names if isinstance(name, str) and _NAME.fullmatch(name)]
    if len(good) < len(names):
        raise ValueError("entries without a name")
    return good
