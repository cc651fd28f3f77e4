"""What the simulated network counts."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class LinkStatistics:
    """Counts since the start, of the packets given to `Link.send` only, and how full the queue is now, of everybody's.

    sent + duplicated = delivered + dropped_* + what is on its way.
    """

    sent: int
    delivered: int
    """Handed out by `poll`, duplicates included."""
    dropped_queue: int
    """The queue was full, or CoDel decided."""
    dropped_random: int
    """Lost by the loss process, burst losses included."""
    queued_packets: int
    """The packet being sent included."""
    queued_bytes: int
    dropped_outage: int = 0
    duplicated: int = 0
    sent_bytes: int = 0
    delivered_bytes: int = 0


@dataclass(frozen=True, slots=True)
class FlowStatistics:
    """Counts of one flow of cross traffic since its start."""

    sent: int
    delivered: int
    """Packets that got past the bottleneck and were not lost."""
    dropped: int
    sent_bytes: int
    delivered_bytes: int
