"""CoDel, the drop rule that bounds how long packets wait rather than how many do (RFC 8289, section 5).

While packets have waited longer than TARGET for a whole INTERVAL, one is dropped, and more and more often: the n-th
INTERVAL / sqrt(n) after the one before.
"""

from math import sqrt

from transport.netsim.queue import Packet, Queue

# RFC 8289, sections 4.3 and 4.4: constants for paths over the Internet.
TARGET_S = 0.005
INTERVAL_S = 0.1
# A queue of one packet is no standing queue (section 5.4).
MTU_BYTES = 1500


class CoDel:
    """The state of the rule for one queue. The names are those of the RFC's pseudo-code."""

    def __init__(self) -> None:
        self._first_above: float | None = None
        self._drop_next = 0.0
        self._count = 0
        self._last_count = 0
        self._dropping = False

    def take(self, queue: Queue, now: float) -> tuple[Packet | None, list[Packet]]:
        """(the packet to send, those dropped before it)."""
        dropped: list[Packet] = []
        packet, late = self._examine(queue, now)
        if self._dropping:
            self._dropping = late
            while packet is not None and self._dropping and now >= self._drop_next:
                dropped.append(packet)
                self._count += 1
                packet, self._dropping = self._examine(queue, now)
                if self._dropping:
                    self._drop_next += INTERVAL_S / sqrt(self._count)
        elif late and packet is not None:
            dropped.append(packet)
            packet, _ = self._examine(queue, now)
            self._dropping = True
            # The rate that was right a moment ago is a better start than one.
            recent = self._count - self._last_count
            self._count = recent if recent > 1 and now - self._drop_next < 16 * INTERVAL_S else 1
            self._last_count = self._count
            self._drop_next = now + INTERVAL_S / sqrt(self._count)
        return packet, dropped

    def _examine(self, queue: Queue, now: float) -> tuple[Packet | None, bool]:
        """The first packet, and whether packets have waited too long for long enough."""
        packet = queue.take()
        if packet is None or now - packet.entered < TARGET_S or queue.bytes <= MTU_BYTES:
            self._first_above = None
            return packet, False
        if self._first_above is None:
            self._first_above = now + INTERVAL_S
            return packet, False
        return packet, now >= self._first_above
