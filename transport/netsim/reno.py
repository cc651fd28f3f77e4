"""Cross traffic that fills the queue until it loses: TCP with Reno's window (RFC 5681) and as much data as it can send.

Slow start, then one segment more per round trip; half after a loss, once per window. A segment is lost when three
later ones have been acknowledged, or nothing is heard for a timeout. Every segment is acknowledged on its own, and
acknowledgements are not lost. What is sent again counts as new data: only the load on the link matters here.
"""

import heapq
from collections import deque

from transport.netsim.flow import Flow

# A segment of 1200 bytes payload and 40 of headers, on the wire.
SEGMENT_BYTES = 1240
# RFC 6928.
INITIAL_WINDOW = 10.0
# RFC 5681, section 3.2.
DUPLICATE_ACKS = 3
# Linux's lower limit; RFC 6298 would have a second.
MIN_TIMEOUT_S = 0.2
MAX_TIMEOUT_S = 5.0
# Less than any network has; without it a round trip could take no time at all, and so many that time stands still.
MIN_BACK_DELAY_S = 0.001
# About 5 MB under way: receivers offer no more by default.
MAX_WINDOW = 4000.0


class RenoFlow(Flow):
    """One long download."""

    def __init__(self, *, back_delay_s: float = 0.0, start: float = 0.0, end: float = float("inf")) -> None:
        """`back_delay_s`: one-way delay of the acknowledgements, at least 1 ms. Sends from `start` to `end`.

        The link it is put on must have a rate: a download takes all that there is.
        """
        super().__init__(packet_bytes=SEGMENT_BYTES)
        self._back_delay_s = max(back_delay_s, MIN_BACK_DELAY_S)
        self._start, self._end = start, end
        self._window = INITIAL_WINDOW
        self._threshold = float("inf")
        self._srtt: float | None = None
        self._timeout_s = 1.0
        self._number = 0
        self._highest = 0
        self._recover = 0
        # Segments not yet known lost, oldest first; an acknowledged one stays until it is the oldest.
        self._order: deque[int] = deque()
        self._sent_at: dict[int, float] = {}
        self._acks: list[tuple[float, int]] = []
        self._heard = start
        self._started = False

    @property
    def window(self) -> float:
        """Congestion window in segments."""
        return self._window

    def next_event(self) -> float | None:
        if not self._started:
            return self._start
        times = []
        if self._acks:
            times.append(self._acks[0][0])
        if self._sent_at:
            times.append(self._heard + self._timeout_s)
        return min(times, default=None)

    def run(self, now: float) -> list[int]:
        if not self._started:
            if now < self._start:
                return []
            self._started, self._heard = True, now
        while self._acks and self._acks[0][0] <= now:
            self._acknowledge(heapq.heappop(self._acks)[1], now)
        if self._sent_at and now >= self._heard + self._timeout_s:
            self._time_out(now)
        return self._fill(now)

    def on_arrival(self, number: int, at: float) -> None:
        heapq.heappush(self._acks, (at + self._back_delay_s, number))

    def _acknowledge(self, number: int, now: float) -> None:
        sent_at = self._sent_at.pop(number, None)
        if sent_at is None:
            return  # A duplicate, or given up before.
        rtt = now - sent_at
        self._srtt = rtt if self._srtt is None else self._srtt + 0.125 * (rtt - self._srtt)
        self._timeout_s = min(MAX_TIMEOUT_S, max(MIN_TIMEOUT_S, 2 * self._srtt))
        self._heard = now
        if self._window < self._threshold:
            self._window += 1.0
        else:
            self._window += 1.0 / self._window
        self._window = min(self._window, MAX_WINDOW)
        self._highest = max(self._highest, number)
        while self._order and (self._order[0] not in self._sent_at or self._order[0] <= self._highest - DUPLICATE_ACKS):
            oldest = self._order.popleft()
            if self._sent_at.pop(oldest, None) is not None and oldest > self._recover:
                self._threshold = self._window = max(2.0, self._window / 2)
                self._recover = self._number

    def _time_out(self, now: float) -> None:
        self._threshold = max(2.0, self._window / 2)
        self._window = 1.0
        self._recover = self._number
        self._order.clear()
        self._sent_at.clear()
        self._heard = now
        self._timeout_s = min(MAX_TIMEOUT_S, 2 * self._timeout_s)

    def _fill(self, now: float) -> list[int]:
        numbers: list[int] = []
        if now >= self._end:
            return numbers
        if not self._sent_at:
            # The timeout counts from the first segment under way.
            self._heard = now
        while len(self._sent_at) < int(self._window):
            self._number += 1
            self._order.append(self._number)
            self._sent_at[self._number] = now
            numbers.append(self._number)
        return numbers
