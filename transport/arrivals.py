"""The client's record of when packets came in, sent to the server as arrival reports.

Each packet is in two consecutive reports: one report lost in the network loses nothing. A report goes out every
`interval_s`, or earlier when half of it is full of packets not reported yet.
"""

from collections import deque
from dataclasses import dataclass

from transport.serial import serial_distance
from transport.wire import MAX_REPORT_ENTRIES, ArrivalReport

_NEW_PER_REPORT = MAX_REPORT_ENTRIES // 2
"""The other half of a report repeats the packets of the one before."""
_MAX_UNREPORTED = 1024
"""Packets kept until a poll: 2 s at 5 Mbit/s. Beyond it the oldest go, as if they had been lost on the way."""
_MAX_SEQ_SPAN = 0xFFFF
_MAX_TIME_SPAN_US = 0x7FFFFFFF


@dataclass(frozen=True, slots=True)
class ArrivalStatistics:
    """Counts since the start, and how full it is now."""

    packets: int
    reports: int
    dropped: int
    """Never reported: nobody polled for too long, or too far from the rest to share a report with it."""
    unreported: int
    """Waiting for their first report."""
    capacity: int


class ArrivalRecorder:
    """Collects arrivals and makes reports of them."""

    def __init__(self, interval_s: float = 0.04) -> None:
        """`interval_s`: time between reports; 30-50 ms keeps the estimator's reaction within two frames."""
        self._interval_s = interval_s
        self._new: deque[tuple[int, int]] = deque()
        self._previous: list[tuple[int, int]] = []
        self._last_report: float | None = None
        self._number = 0
        self._packets = self._dropped = 0

    def on_packet(self, seq: int, now_us: int) -> None:
        """Notes that transport sequence number `seq` (u32) came in at `now_us` of the client's clock."""
        self._packets += 1
        if len(self._new) >= _MAX_UNREPORTED:
            self._new.popleft()
            self._dropped += 1
        self._new.append((seq, now_us))

    def poll(self, now: float) -> ArrivalReport | None:
        """The report that is due, if any. Call until it returns None."""
        due = self.next_report_time(now)
        if due is None or now < due:
            return None
        fresh = [self._new.popleft() for _ in range(min(_NEW_PER_REPORT, len(self._new)))]
        report = self._report(self._previous + fresh)
        self._previous = fresh
        self._last_report = now
        return report

    def next_report_time(self, now: float) -> float | None:
        """When to poll next, if no packet comes in before. None: nothing to report."""
        if not self._new and not self._previous:
            return None
        if self._last_report is None or len(self._new) >= _NEW_PER_REPORT:
            return now
        return self._last_report + self._interval_s

    def statistics(self) -> ArrivalStatistics:
        """Counts so far."""
        return ArrivalStatistics(self._packets, self._number, self._dropped, len(self._new), _MAX_UNREPORTED)

    def _report(self, arrivals: list[tuple[int, int]]) -> ArrivalReport:
        # The newest packet is always reported; what cannot share a report with it is from another time.
        newest_seq, newest_us = arrivals[-1]
        first_arrival: dict[int, int] = {}
        for seq, arrived_us in arrivals:
            distance = serial_distance(newest_seq, seq)
            if abs(distance) > _MAX_SEQ_SPAN // 2 or abs(arrived_us - newest_us) > _MAX_TIME_SPAN_US // 2:
                self._dropped += 1
            else:
                first_arrival.setdefault(distance, arrived_us)
        base_distance = min(first_arrival)
        base_us = first_arrival[base_distance]
        entries = tuple((d - base_distance, us - base_us) for d, us in sorted(first_arrival.items()))
        number = self._number
        self._number += 1
        return ArrivalReport(number & 0xFFFFFFFF, (newest_seq + base_distance) & 0xFFFFFFFF, base_us, entries)
