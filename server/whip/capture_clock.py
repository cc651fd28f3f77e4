"""When a picture was taken, from its RTP timestamp. Plain: times are arguments.

A sender report (RFC 3550, section 6.4.1) pairs an RTP timestamp with the sender's wall clock. In browsers the RTP
timestamp of a frame is the instant it was captured, so

    captured = wall clock of the report + (timestamp - timestamp of the report) / 90 kHz, on the sender's clock
             + the smallest (arrival - wall clock) among the reports of the last 30 s
             - half the shortest round trip, to ours

The smallest difference is that of the report that travelled fastest, which took about half the shortest round trip: at
worst all of it, or nothing, so that the error is at most half the shortest round trip. Before the first report, and
where the answer makes no sense, it is the arrival of the frame's first packet.
"""

from collections import deque
from typing import Final

VIDEO_CLOCK_HZ: Final = 90_000
WINDOW_S: Final = 30.0
"""Reports come about once a second; clocks of two machines drift apart by 50 ppm, 1.5 ms in this time."""
MAX_REPORTS: Final = 64
ROUND_TRIPS: Final = 10
"""Of the newest so many the shortest counts: paths change."""
JUMP_S: Final = 0.5
"""A report that says something so far off from the others is from a clock that was set."""
MAX_DELAY_S: Final = 2.0
"""No picture is older than this when it arrives: the timestamps do not mean what they should."""
MAX_AHEAD_S: Final = 0.25
"""Nor younger than not yet taken by so much, clocks that drift between two reports included."""


class CaptureClock:
    """`report` every sender report, then ask `captured_s` for every frame. Seconds of one monotonic clock of ours."""

    def __init__(self, *, clock_hz: int = VIDEO_CLOCK_HZ) -> None:
        self._hz = clock_hz
        self._offsets: deque[tuple[float, float]] = deque(maxlen=MAX_REPORTS)
        """(arrival, arrival - sender's wall clock)."""
        self._last: tuple[int, float] | None = None
        """(RTP timestamp, sender's wall clock in seconds) of the newest report."""
        self._round_trips: deque[float] = deque(maxlen=ROUND_TRIPS)
        self.guessed = 0
        """Frames whose arrival had to do."""

    @property
    def known(self) -> bool:
        """A report has come."""
        return self._last is not None

    def report(self, *, ntp: int, timestamp: int, arrived_s: float) -> None:
        """A sender report that came at `arrived_s`; `ntp` is its 64-bit NTP time (32.32 s), 0 when it has no clock."""
        if ntp == 0:
            return
        wall_s = ntp / (1 << 32)
        offset = arrived_s - wall_s
        while self._offsets and arrived_s - self._offsets[0][0] > WINDOW_S:
            self._offsets.popleft()
        if self._offsets and abs(offset - self._offsets[-1][1]) > JUMP_S:
            self._offsets.clear()
        self._offsets.append((arrived_s, offset))
        self._last = (timestamp, wall_s)

    def round_trip(self, seconds: float) -> None:
        """The way to the sender and back took so long."""
        self._round_trips.append(seconds)

    @property
    def round_trip_s(self) -> float | None:
        """The shortest of late, in seconds; None before the first."""
        return min(self._round_trips, default=None)

    def captured_s(self, timestamp: int, *, arrived_s: float) -> float:
        """When the frame of this RTP timestamp, which began to arrive at `arrived_s`, was captured."""
        if self._last is not None and self._offsets:
            since = ((timestamp - self._last[0] + (1 << 31)) & 0xFFFFFFFF) - (1 << 31)
            captured = self._last[1] + since / self._hz + self._offset_s()
            if arrived_s - MAX_DELAY_S <= captured <= arrived_s + MAX_AHEAD_S:
                return min(captured, arrived_s)
        self.guessed += 1
        return arrived_s

    def _offset_s(self) -> float:
        travel = (self.round_trip_s or 0.0) / 2
        return min(offset for _, offset in self._offsets) - travel
