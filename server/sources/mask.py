"""URLs as they may be shown: no password, no key, in no message, log or listing."""

import re

HIDDEN = "***"

_SECRET_NAME = re.compile(r"pass|pwd|token|secret|key|auth|sig|credential|streamid", re.IGNORECASE)
"""Query parameters whose values are hidden: those of cameras, SRT (passphrase, streamid) and signed URLs."""


def mask_url(url: str) -> str:
    """`rtsp://user:secret@camera/1?token=abc` as `rtsp://***@camera/1?token=***`.

    People leave `/`, `?`, `#` and `@` in their passwords as they are, so everything up to the last `@` is hidden where
    that may be a name and a password, even if it is once too much.
    """
    scheme, separator, rest = url.partition("://")
    if not separator:
        return url
    before, at, after = rest.rpartition("@")
    if at and (":" in before or not re.search(r"[/?#]", before)):
        rest = f"{HIDDEN}@{after}"
    path, question, query = rest.partition("?")
    parts = [_mask_parameter(part) for part in query.split("&")] if question else []
    return f"{scheme}://{path}{question}{'&'.join(parts)}"


def server_of(url: str) -> str:
    """`rtsp://camera:554` of any URL: what viewers are told. Paths, too, often have a key in them."""
    scheme, separator, rest = mask_url(url).partition("://")
    host = re.split(r"[/?#]", rest.removeprefix(f"{HIDDEN}@"), maxsplit=1)[0]
    return f"{scheme}{separator}{host}"


def _mask_parameter(part: str) -> str:
    name, equals, _ = part.partition("=")
    return f"{name}={HIDDEN}" if equals and _SECRET_NAME.search(name) else part
