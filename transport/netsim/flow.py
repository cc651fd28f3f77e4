"""Cross traffic: somebody else's packets in the same queue."""

from abc import ABC, abstractmethod

from transport.netsim.statistics import FlowStatistics


class Flow(ABC):
    """One flow. The link asks it when it wants to send, and tells it what arrives.

    What is lost it is not told: it has to notice, like everybody else.
    """

    def __init__(self, *, packet_bytes: int) -> None:
        self.packet_bytes = packet_bytes
        self._sent = self._delivered = self._dropped = 0

    @abstractmethod
    def next_event(self) -> float | None:
        """When `run` has something to do; None: never again."""

    @abstractmethod
    def run(self, now: float) -> list[int]:
        """Does what is due at `now` = `next_event()`: the numbers of the packets it puts on the link."""

    @abstractmethod
    def on_arrival(self, number: int, at: float) -> None:
        """The far end will have this packet at `at`, which may lie ahead."""

    def statistics(self) -> FlowStatistics:
        """Counts so far."""
        size = self.packet_bytes
        return FlowStatistics(self._sent, self._delivered, self._dropped, self._sent * size, self._delivered * size)

    def count_sent(self) -> None:
        """For the link: one packet was put on it."""
        self._sent += 1

    def count_dropped(self) -> None:
        """For the link: one packet was dropped or lost."""
        self._dropped += 1

    def deliver(self, number: int, at: float) -> None:
        """For the link: one packet got through and arrives at `at`."""
        self._delivered += 1
        self.on_arrival(number, at)
