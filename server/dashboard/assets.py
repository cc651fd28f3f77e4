"""The page's files, read once and served from memory, with the headers that keep the page to itself.

They live under a path that carries the hash of them all: `/dashboard/<hash>/app.js` may be cached for ever, since
another version has another path. The page itself is asked for every time.
"""

import hashlib
from pathlib import Path

from aiohttp import web

STATIC = Path(__file__).parent / "static"
TYPES = {
    ".html": "text/html",
    ".css": "text/css",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
    ".LICENSE": "text/plain",
}
# The page loads nothing from elsewhere, sends nothing elsewhere, and cannot be framed (clickjacking its buttons).
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
SECURITY_HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
}
FOR_EVER = "public, max-age=31536000, immutable"
_HASH_DIGITS = 12


class Assets:
    """All files of the page. Raises OSError where the installation lacks them."""

    def __init__(self, folder: Path = STATIC) -> None:
        files = {
            path.relative_to(folder).as_posix(): path.read_bytes()
            for path in sorted(folder.rglob("*"))
            if path.is_file() and path.suffix in TYPES
        }
        digest = hashlib.sha256()
        for name, data in files.items():
            digest.update(name.encode() + b"\0" + data)
        self.version = digest.hexdigest()[:_HASH_DIGITS]
        self.base = f"/dashboard/{self.version}"
        """Path of the files; relative names in them stay inside it."""
        self._page = files.pop("index.html").replace(b"@assets@", self.base.encode())
        self._files = files

    async def page(self, request: web.Request) -> web.Response:
        """`GET /`."""
        return self._response("index.html", self._page, cache="no-cache")

    async def file(self, request: web.Request) -> web.Response:
        """`GET /dashboard/{version}/{name}`."""
        data = self._files.get(request.match_info["name"])
        if data is None or request.match_info["version"] != self.version:
            return web.Response(status=404, text="there is no such file; load the page again.")
        return self._response(request.match_info["name"], data, cache=FOR_EVER)

    @staticmethod
    def _response(name: str, data: bytes, *, cache: str) -> web.Response:
        headers = SECURITY_HEADERS | {"Cache-Control": cache}
        return web.Response(body=data, content_type=TYPES[Path(name).suffix], charset="utf-8", headers=headers)
