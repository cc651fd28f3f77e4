"""What was sent, matched with what the peer reports: each packet ends once, as delivered, as lost, or as untold.

on_sent(seq, size) ...  on_report(report) -> Outcome(delivered, lost, untold)
"""

from dataclasses import dataclass

from transport.serial import Unwrapper, serial_distance
from transport.wire import ArrivalReport

LOST_AFTER_S = 0.1
"""A packet is lost when one sent this much later was reported and it was not: two report intervals (a packet is in two
reports, so that one lost report hides nothing) and some reordering."""
_MAX_IN_FLIGHT = 8192
"""Packets remembered: 15 s at 5 Mbit/s. Feedback that stays away longer than that finds the oldest forgotten."""
_CLOCK_JUMP_S = 10.0
"""A report's newest arrival and the time it is read drift apart by this: the peer's clock has jumped. More than any
queue or outage that is worth measuring through."""


@dataclass(frozen=True, slots=True)
class Sent:
    """A packet on its way."""

    key: int
    """Transport sequence number, unwrapped: it only grows."""
    size_bytes: int
    sent_s: float
    """Server clock."""
    probe: int | None = None
    """The probe cluster it belongs to."""


@dataclass(frozen=True, slots=True)
class Delivered:
    """A packet that came in."""

    key: int
    """Transport sequence number, unwrapped: it only grows."""
    size_bytes: int
    sent_s: float
    """Server clock."""
    arrival_s: float
    """Client clock, less an offset that stays the same unless `Outcome.clock_jumped`."""
    probe: int | None = None
    """The probe cluster it belongs to."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one report has settled."""

    delivered: list[Delivered]
    """Packets reported for the first time, in sequence order."""
    lost: list[Sent]
    """Packets given up, in sequence order."""
    untold: list[Sent]
    """Packets that only lost reports spoke of: what became of them will never be known."""
    clock_jumped: bool = False
    """Arrival times of this report and later ones have another offset than those before."""


class SentHistory:
    """Packets on their way, oldest first. Sequence numbers must be given in the order they are sent."""

    def __init__(self) -> None:
        self._seqs = Unwrapper()
        self._in_flight: dict[int, Sent] = {}
        self._in_flight_bytes = 0
        self._newest_s: float | None = None
        self._newest_delivered: tuple[int, float] | None = None
        self._report_number: int | None = None
        self._epoch_us: int | None = None
        self._epoch_s = 0.0

    @property
    def in_flight_bytes(self) -> int:
        """Sent, and neither reported nor given up."""
        return self._in_flight_bytes

    @property
    def newest_s(self) -> float | None:
        """When the last packet was sent."""
        return self._newest_s

    @property
    def oldest_unreported_s(self) -> float | None:
        """When the oldest packet still on its way was sent."""
        return next(iter(self._in_flight.values())).sent_s if self._in_flight else None

    def on_sent(self, seq: int, size_bytes: int, now: float, *, probe: int | None = None) -> int:
        """Notes a packet that leaves now; returns its key."""
        key = self._seqs.unwrap(seq)
        self._in_flight[key] = Sent(key, size_bytes, now, probe)
        self._in_flight_bytes += size_bytes
        self._newest_s = now
        if len(self._in_flight) > _MAX_IN_FLIGHT:
            self._forget(next(iter(self._in_flight)))
        return key

    def on_report(self, report: ArrivalReport, now: float) -> Outcome:
        """Settles what the report tells. Numbers never sent, forgotten or settled before are passed over."""
        fresh: list[tuple[int, int]] = []
        for seq, arrival_us in report.arrivals():
            key = self._seqs.peek(seq)
            if key in self._in_flight:
                fresh.append((key, arrival_us))
        if not fresh:
            return Outcome([], [], [])
        jumped = self._follow_clock(fresh[-1][1], now)
        untold = self._untold(report, fresh[0][0])
        delivered = []
        # Subtracted as integers: a 63-bit clock as a float would lose its microseconds.
        epoch_us, epoch_s = self._epoch_us or 0, self._epoch_s
        for key, arrival_us in fresh:
            sent = self._forget(key)
            arrival_s = epoch_s + (arrival_us - epoch_us) / 1e6
            delivered.append(Delivered(key, sent.size_bytes, sent.sent_s, arrival_s, sent.probe))
        newest = delivered[-1]
        if self._newest_delivered is None or newest.key > self._newest_delivered[0]:
            self._newest_delivered = (newest.key, newest.sent_s)
        return Outcome(delivered, self._give_up(), untold, jumped)

    def _follow_clock(self, arrival_us: int, now: float) -> bool:
        """Keeps arrival times near the server's clock, whatever the client claims; whether they jumped."""
        if self._epoch_us is not None:
            ahead_s = self._epoch_s + (arrival_us - self._epoch_us) / 1e6 - now
            if abs(ahead_s) < _CLOCK_JUMP_S:
                return False
        first = self._epoch_us is None
        self._epoch_us, self._epoch_s = arrival_us, now
        return not first

    def _untold(self, report: ArrivalReport, first_key: int) -> list[Sent]:
        """After two or more reports missing in a row, what lies between them and this one was told to nobody."""
        previous = self._report_number
        steps = 1 if previous is None else serial_distance(previous, report.number)
        if steps > 0:
            self._report_number = report.number
        if steps <= 2 or self._newest_delivered is None:
            return []
        gone = []
        for key in self._in_flight:
            if key >= first_key:
                break
            if key > self._newest_delivered[0]:
                gone.append(key)
        return [self._forget(key) for key in gone]

    def _give_up(self) -> list[Sent]:
        if self._newest_delivered is None:
            return []
        newest, newest_sent_s = self._newest_delivered
        overdue = []
        for key, sent in self._in_flight.items():
            if key > newest or sent.sent_s > newest_sent_s - LOST_AFTER_S:
                break
            overdue.append(key)
        return [self._forget(key) for key in overdue]

    def _forget(self, key: int) -> Sent:
        sent = self._in_flight.pop(key)
        self._in_flight_bytes -= sent.size_bytes
        return sent
