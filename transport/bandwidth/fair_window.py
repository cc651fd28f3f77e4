"""The rate while competing: what a TCP flow would send here, so that neither starves.

Additive increase and multiplicative decrease of a window, as in Reno (RFC 5681): one packet more in each round trip,
half after a loss, at most once in a round trip; sent as a rate, window over round trip. Equal windows on an equal path
are equal rates.
"""

SEGMENT_BYTES = 1240
"""A TCP segment as it usually is on the wire of a tunnelled path; ours are 1150 and 60 of headers."""
DECREASE = 0.5
_MIN_SEGMENTS = 2
_MAX_QUEUE_S = 0.5
"""A queue beyond this counts as a loss: nobody watches a picture that old, whoever fills the queue."""


class FairWindow:
    """Start with a rate, then feed reports."""

    def __init__(self) -> None:
        self._bytes = 0.0
        self._cut_at = float("-inf")

    @property
    def cut_at(self) -> float:
        """When it was last halved. -inf: never."""
        return self._cut_at

    def start(self, *, rate_bps: float, round_trip_s: float, now: float) -> None:
        """Begins with the window that gives `rate_bps`."""
        self._bytes = rate_bps / 8 * round_trip_s
        self._cut_at = now

    def on_report(
        self, *, lost_sent_s: float | None, queue_s: float, round_trip_s: float, step_s: float, now: float
    ) -> None:
        """Takes when the newest lost packet of a report was sent, if any, and the time since the last report."""
        fresh_loss = lost_sent_s is not None and lost_sent_s > self._cut_at
        if fresh_loss or (queue_s > _MAX_QUEUE_S and now - self._cut_at > round_trip_s):
            self._bytes *= DECREASE
            self._cut_at = now
        else:
            self._bytes += SEGMENT_BYTES * step_s / round_trip_s
        self._bytes = max(self._bytes, _MIN_SEGMENTS * SEGMENT_BYTES)

    def bps(self, round_trip_s: float) -> float:
        """The rate that the window gives."""
        return self._bytes * 8 / round_trip_s
