"""ICE candidates in an SDP offer or answer (RFC 8839): where the peer can be reached, and another place instead.

Only what one bundled transport needs: every candidate of every section is replaced by one.
"""

import ipaddress
import re

Address = tuple[str, int]

# candidate:FOUNDATION COMPONENT TRANSPORT PRIORITY ADDRESS PORT typ TYPE, RFC 8839 section 5.1.
_CANDIDATE = re.compile(r"a=candidate:\S+ 1 udp \d{1,10} (\S+) (\d{1,5}) typ \S+.*", re.IGNORECASE)
_MEDIA = re.compile(r"m=(\S+) (\d+) (.+)")
_USER = re.compile(r"a=ice-ufrag:(\S+)")
# Highest priority of a host candidate, RFC 8445 section 5.1.2.
_PRIORITY = 2130706431


def reachable_at(sdp: str) -> Address | None:
    """The IPv4 address of one of its UDP candidates, one on loopback if there is one. None: it has none."""
    found: list[Address] = []
    for line in sdp.splitlines():
        match = _CANDIDATE.fullmatch(line.strip())
        if match is None or not 0 < int(match[2]) < 65536:
            continue
        try:
            host = ipaddress.IPv4Address(match[1])
        except ValueError:
            continue
        found.append((str(host), int(match[2])))
    return min(found, key=lambda address: not ipaddress.IPv4Address(address[0]).is_loopback, default=None)


def redirect(sdp: str, to: Address) -> str | None:
    """The same with one candidate, `to`, in place of all others. None when it has no candidates or several transports.

    The rest of the text, its line ends included, stays as it is.
    """
    lines = sdp.splitlines(keepends=True)
    users = {match[1] for line in lines if (match := _USER.fullmatch(line.strip()))}
    if len(users) != 1 or not any(line.startswith("a=candidate:") for line in lines):
        return None
    host, port = to
    ours = f"a=candidate:relay 1 udp {_PRIORITY} {host} {port} typ host"
    out: list[str] = []
    in_media = replaced = False
    for line in lines:
        text = line.rstrip("\r\n")
        end = line[len(text) :]
        media = _MEDIA.fullmatch(text)
        if media is not None:
            in_media, replaced = True, False
            # Port 0 means a rejected section.
            text = text if media[2] == "0" else f"m={media[1]} {port} {media[3]}"
        elif text.startswith("c=") and in_media:
            text = f"c=IN IP4 {host}"
        elif text.startswith("a=candidate:"):
            if replaced:
                continue
            text, replaced = ours, True
        out.append(text + end)
    return "".join(out)
