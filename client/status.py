"""What a viewer knows about its stream at one moment: what the window shows, and what it says when it shows nothing."""

from dataclasses import dataclass
from typing import Literal

Situation = Literal[
    "starting",  # the decoder gets ready
    "connecting",  # the server is asked
    "gone",  # no server, or no longer
    "refused",  # the server wants another token
    "missing",  # the server has no stream of that name
    "source",  # the server has no picture to send: camera unplugged, nobody publishes
    "ended",  # the stream is over
    "lost",  # frames were lost, an intra frame is on its way
    "still",  # nothing new for a while, nobody knows why
    "failed",  # this machine cannot decode it
]
"""Why there is no current picture: chooses the icon, and the words of the title bar."""

BUSY: frozenset[Situation] = frozenset(("starting", "connecting", "gone", "lost"))
"""Situations in which something is being done about it: a wheel turns."""


@dataclass(frozen=True, slots=True)
class ViewStatus:
    """What the viewer knows about its stream at one moment."""

    reason: str | None = None
    """Why there is no current picture, in words for the user; None while the stream plays."""
    detail: str | None = None
    """A second sentence: what is done about it, or what to do."""
    situation: Situation = "still"
    """The kind of `reason`; says nothing while the stream plays."""
    source: str = ""
    """Kind of the stream's source as the server names it (`webcam`, `screen`, `url`, ...); empty: not known."""
    fps: float = 0.0
    """Pictures presented in the last second."""
    bitrate_bps: float = 0.0
    """Media received in the last second, packet headers included, in bit/s."""
    qp: int | None = None
    """Quantisation parameter of the newest frame, 0 to 71 (above 63 in inter frames alone): higher is finer."""
    loss: float = 0.0
    """Share of media packets lost in the last second, 0 to 1, before repair."""
    latency_ms: float | None = None
    """Median time from capture to presentation over the last second."""
    rtt_ms: float | None = None
    """Round-trip time of the clock exchange."""
    clock_error_ms: float | None = None
    """Bound on the error that the alignment of the two clocks leaves in `latency_ms`."""
    size: tuple[int, int] | None = None
    """Width and height of the stream in pixels."""
    stream: str = ""
    """Name of the stream."""

    @property
    def word(self) -> str:
        """The state in a word or two, for title bars and tabs."""
        return _WORDS[self.situation] if self.reason else "live"


_WORDS: dict[Situation, str] = {
    "starting": "starting",
    "connecting": "connecting",
    "gone": "reconnecting",
    "refused": "refused",
    "missing": "no such stream",
    "source": "no picture",
    "ended": "ended",
    "lost": "recovering",
    "still": "stalled",
    "failed": "failed",
}
