"""What was sent, matched with what the peer reports: each packet ends as delivered or as lost, once.

on_sent(seq, size) ...  on_report(report) -> Outcome(delivered, lost)
"""

from dataclasses import dataclass

from transport.serial import Unwrapper
from transport.wire import ArrivalReport

LOST_AFTER_S = 0.1
"""A packet is lost when one sent this much later was reported and it was not: two report intervals (a packet is in two
reports, so that one lost report hides nothing) and some reordering."""
_MAX_IN_FLIGHT = 8192
"""Packets remembered: 15 s at 5 Mbit/s. Feedback that stays away longer than that finds the oldest forgotten."""


@dataclass(frozen=True, slots=True)
class Sent:
    """A packet on its way."""

    size_bytes: int
    sent_s: float
    """Server clock."""


@dataclass(frozen=True, slots=True)
class Delivered:
    """A packet that came in."""

    size_bytes: int
    sent_s: float
    """Server clock."""
    arrival_s: float
    """Client clock, less an offset that stays the same for the life of the history."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one report has settled."""

    delivered: list[Delivered]
    """Packets reported for the first time, in sequence order."""
    lost: list[Sent]
    """Packets given up, in sequence order."""


class SentHistory:
    """Packets on their way, oldest first. Sequence numbers must be given in the order they are sent."""

    def __init__(self) -> None:
        self._seqs = Unwrapper()
        self._in_flight: dict[int, Sent] = {}
        self._in_flight_bytes = 0
        self._newest_s: float | None = None
        self._newest_delivered: tuple[int, float] | None = None
        self._epoch_us: int | None = None

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

    def on_sent(self, seq: int, size_bytes: int, now: float) -> None:
        """Notes a packet that leaves now."""
        self._in_flight[self._seqs.unwrap(seq)] = Sent(size_bytes, now)
        self._in_flight_bytes += size_bytes
        self._newest_s = now
        if len(self._in_flight) > _MAX_IN_FLIGHT:
            self._forget(next(iter(self._in_flight)))

    def on_report(self, report: ArrivalReport) -> Outcome:
        """Settles what the report tells. Numbers never sent, forgotten or settled before are passed over."""
        delivered = []
        for seq, arrival_us in report.arrivals():
            key = self._seqs.peek(seq)
            if key not in self._in_flight:
                continue
            sent = self._forget(key)
            # Subtracted as integers: a 63-bit clock as a float would lose its microseconds.
            if self._epoch_us is None:
                self._epoch_us = arrival_us
            delivered.append(Delivered(sent.size_bytes, sent.sent_s, (arrival_us - self._epoch_us) / 1e6))
            if self._newest_delivered is None or key > self._newest_delivered[0]:
                self._newest_delivered = (key, sent.sent_s)
        return Outcome(delivered, self._give_up())

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
