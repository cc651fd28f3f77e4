"""Who may do what: tokens of a request against those of the settings.

    view     watch, list streams       `token`; without it everybody, but pages of other sites
    manage   publish, start, stop      `manage_token`, else `token`; without either only from this machine
    drive    remote input              `input_token`; without it nobody

`manage_token` and `input_token` open viewing too. "From this machine" means that the server listens on loopback and was
asked for by a loopback name, by no page or by one of its own, and by no proxy: a page of another site that posts here,
or resolves its own name to 127.0.0.1 (DNS rebinding), is not.
"""

import hmac
import ipaddress
from dataclasses import dataclass

from aiohttp import web
from pydantic import SecretStr

from latentcast.config import ServeSettings

_PROXY_HEADERS = ("Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Real-IP", "Via")
"""What a proxy adds (RFC 7239, RFC 9110 section 7.6.3, and custom): who asks is then somebody else, anywhere."""


@dataclass(frozen=True, slots=True)
class Rights:
    """What a request may do."""

    view: bool
    manage: bool
    drive: bool


def rights(request: web.Request, settings: ServeSettings) -> Rights:
    """The rights that the request's `Authorization: Bearer` gives."""
    given = request.headers.get("Authorization", "")
    scheme, _, credentials = given.partition(" ")
    token = credentials.strip() if scheme.lower() == "bearer" else None
    manages_with = settings.manage_token or settings.token
    drive = _is(token, settings.input_token)
    manage = _is(token, manages_with) if manages_with is not None else _from_here(request, settings)
    if settings.token is not None:
        view = manage or drive or _is(token, settings.token)
    else:
        view = manage or drive or _from_no_other_site(request, settings)
    return Rights(view=view, manage=manage, drive=drive)


def refusal(request: web.Request, what: str) -> web.Response:
    """The answer to a request without the right to `what`, such as "publish": 401 without a token, else 403."""
    if "Authorization" in request.headers:
        return web.Response(status=403, text=f"this token does not allow to {what}.")
    return web.Response(
        status=401,
        text=f"this server wants a token to {what}; give the one it was started with.",
        headers={"WWW-Authenticate": "Bearer"},
    )


def _is(given: str | None, wanted: SecretStr | None) -> bool:
    if given is None or wanted is None:
        return False
    # Header bytes that are not UTF-8 come as surrogates.
    return hmac.compare_digest(given.encode(errors="surrogateescape"), wanted.get_secret_value().encode())


def _from_no_other_site(request: web.Request, settings: ServeSettings) -> bool:
    """Not a page of another site, which a user's browser would let look into a server that only that user reaches."""
    # Browsers say which site the page that asks is of; other programs do not.
    if request.headers.get("Sec-Fetch-Site", "none") not in ("same-origin", "none"):
        return False
    return not _is_loopback(settings.host) or _is_loopback(request.url.host or "")


def _from_here(request: web.Request, settings: ServeSettings) -> bool:
    """A program of this machine, or a page that this server gave to a browser here; nobody behind a proxy."""
    passed_on = any(header in request.headers for header in _PROXY_HEADERS)
    return not passed_on and _is_loopback(settings.host) and _from_no_other_site(request, settings)


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
