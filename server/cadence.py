"""How soon after one frame the next may be begun, of streams at more than 30 frames a second.

A source at 120 frames a second would keep the encoder busy all the time, and with it every decoder that is no faster:
pictures then queue before the decoder, and each is older than it need be. So both get some rest, as long as what is
left is at least 30 frames a second; the picture that is taken then is the newest, as always.
"""

from collections.abc import Iterable

BUSY_SHARE = 0.8
"""Of the time, spent on frames, from which on a queue builds up: times vary by about a fifth from frame to frame."""
SLOWEST_FPS = 30.0
"""Streams up to this rate are coded frame by frame, whatever it takes: there is nothing to spare."""
_GAIN = 0.1
"""Of the moving mean of encode times: about the last ten frames."""


class Cadence:
    """Of one encoder. Seconds; `now` is an argument."""

    def __init__(self, fps: float) -> None:
        """fps: of the source."""
        self._interval_s = 1 / fps
        self._limit_s = 1 / SLOWEST_FPS
        self._encode_s: float | None = None
        self._begun = float("-inf")

    def begin(self, now: float) -> None:
        """A frame is given to the encoder."""
        self._begun = now

    def done(self, now: float) -> None:
        """It is coded, a second try included."""
        took = now - self._begun
        self._encode_s = took if self._encode_s is None else self._encode_s + _GAIN * (took - self._encode_s)

    def wait_s(self, now: float, decode_ms: Iterable[float]) -> float:
        """How long the next frame has to wait. decode_ms: what a frame takes each viewer's decoder, where that is
        known; the fastest counts, since a slow one must not hold the others back."""
        if self._interval_s >= self._limit_s:
            return 0.0
        needed_s = max(self._encode_s or 0.0, min(decode_ms, default=0.0) / 1e3) / BUSY_SHARE
        # Nearly due is due: the pictures come at the source's rate, and the next one would be that much later.
        interval_s = min(max(needed_s, self._interval_s), self._limit_s) - self._interval_s / 4
        return max(0.0, self._begun + interval_s - now)
