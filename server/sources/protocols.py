"""Which network protocols the FFmpeg in use can receive, found out without a packet on the wire.

FFmpeg looks a protocol up before it holds it against its white list: an open with a list that allows nothing fails with
"not found" for a protocol that is not there, and with "not permitted" for one that is.
"""

from functools import lru_cache

import av
from av.format import formats_available

NAMES = ("rtsp", "rtsps", "rtmp", "rtmps", "http", "https", "srt", "udp", "rtp", "tcp", "tls")
_DEMUXED = {"rtsp": "rtsp", "rtsps": "rtsp"}
"""Schemes that a demuxer handles, not a protocol."""
_NEEDS_TLS = frozenset({"rtsps", "rtmps", "https", "tls"})


@lru_cache
def has_protocol(scheme: str) -> bool:
    """Whether this FFmpeg receives `scheme`://."""
    if scheme in _NEEDS_TLS and not _registered("tls"):
        return False
    if scheme in _DEMUXED:
        return _DEMUXED[scheme] in formats_available
    return _registered(scheme)


def _registered(scheme: str) -> bool:
    try:
        av.open(f"{scheme}://127.0.0.1:9/", options={"protocol_whitelist": "none"}).close()
    except av.error.ProtocolNotFoundError:
        return False
    except (av.error.FFmpegError, OSError, ValueError):
        return True
    return True
