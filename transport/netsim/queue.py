"""The packets that wait before a bottleneck: first in, first out, with room decided by the link."""

from collections import deque

from transport.netsim.flow import Flow


class Packet:
    """One packet on its way, with the fate that was drawn when it entered."""

    __slots__ = ("data", "duplicate_jitter_s", "entered", "flow", "jitter_s", "lost", "number", "size")

    def __init__(
        self,
        data: bytes,
        size: int,
        entered: float,
        lost: bool,
        jitter_s: float,
        duplicate_jitter_s: float | None,
        flow: Flow | None = None,
        number: int = 0,
    ) -> None:
        self.data = data
        self.size = size
        self.entered = entered
        self.lost = lost
        self.jitter_s = jitter_s
        self.duplicate_jitter_s = duplicate_jitter_s
        """None: it arrives once."""
        self.flow = flow
        """Whose it is; None: the link's user's."""
        self.number = number


class Queue:
    """Plain queue. What is dropped for want of room never enters it."""

    def __init__(self) -> None:
        self.packets: deque[Packet] = deque()
        self.bytes = 0

    def push(self, packet: Packet) -> None:
        """At the end."""
        self.packets.append(packet)
        self.bytes += packet.size

    def take(self) -> Packet | None:
        """The first packet, if there is one."""
        if not self.packets:
            return None
        packet = self.packets.popleft()
        self.bytes -= packet.size
        return packet
