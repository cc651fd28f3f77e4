"""Trickled ICE candidates: `application/trickle-ice-sdpfrag` (RFC 8840, section 9)."""

import re
from dataclasses import dataclass
from typing import Final

from server.whip.offer import OfferError

FRAGMENT_TYPE: Final = "application/trickle-ice-sdpfrag"
MAX_FRAGMENT_CANDIDATES: Final = 32
_CANDIDATE: Final = re.compile(
    r"a=candidate:([A-Za-z0-9+/]{1,32} \d{1,5} (?i:udp) \d{1,10} [0-9A-Fa-f.:]{2,45} \d{1,5} typ [a-z]+.*)"
)


@dataclass(frozen=True, slots=True)
class Fragment:
    """What one PATCH says."""

    ufrag: str | None
    """ICE user name that it is about."""
    candidates: tuple[tuple[str, str], ...]
    """(mid, candidate without its `candidate:`): UDP with numeric addresses only."""
    complete: bool
    """No more candidates follow."""


def read_fragment(text: str) -> Fragment:
    """Raises OfferError for what is no fragment."""
    ufrag: str | None = None
    mid: str | None = None
    candidates: list[tuple[str, str]] = []
    complete = False
    for line in text.splitlines():
        if line.startswith("a=ice-ufrag:"):
            ufrag = line.partition(":")[2].strip()
        elif line.startswith("m="):
            mid = None
        elif line.startswith("a=mid:"):
            mid = line[6:].strip()
        elif line.startswith("a=candidate:"):
            if mid is None:
                raise OfferError("the fragment has a candidate before any a=mid: line, expected m= and a=mid: first")
            if found := _CANDIDATE.fullmatch(line):
                candidates.append((mid, found[1]))
        elif line == "a=end-of-candidates":
            complete = True
        elif line and not re.match(r"[a-z]=", line):
            raise OfferError(f"the fragment has the line {line[:60]!r}, expected SDP lines such as a=candidate:...")
    if len(candidates) > MAX_FRAGMENT_CANDIDATES:
        raise OfferError(f"the fragment has {len(candidates)} candidates, expected at most {MAX_FRAGMENT_CANDIDATES}")
    return Fragment(ufrag=ufrag, candidates=tuple(candidates), complete=complete)
