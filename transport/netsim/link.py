"""One direction of a simulated path: queue, rate, loss, delay and jitter, in that order.

    send(data, now) -> | queue: drop-tail or CoDel -> rate | -> lost? twice? -> delay + jitter -> poll(now)
    cross traffic   -> |                                   |

All randomness is drawn when a packet enters, from one seed: the same packets meet the same fate however often the link
is polled.
"""

import heapq
import random

from transport.netsim.codel import CoDel
from transport.netsim.flow import Flow
from transport.netsim.loss import LossProcess
from transport.netsim.queue import Packet, Queue
from transport.netsim.statistics import LinkStatistics


class Link:
    """One direction. Every condition may be changed at any time, and holds from the next packet on.

    A change is exact when the link was advanced to that moment before (`advance`, `send` or `poll`).
    """

    def __init__(
        self,
        *,
        rate_bps: float | None = None,
        delay_s: float = 0.0,
        queue_s: float | None = None,
        queue_bytes: int | None = None,
        jitter_s: float = 0.0,
        loss: float = 0.0,
        burst: float | None = None,
        reorder: bool = False,
        duplicate: float = 0.0,
        codel: bool = False,
        seed: int = 0,
    ) -> None:
        """An ideal link unless told otherwise; the parameters are those of the attributes.

        `loss`: share of packets lost behind the bottleneck, 0..1. `burst`: mean number of packets lost in a row (see
        `LossProcess`); None: independently. `codel`: CoDel drops from a queue whose packets wait too long; the limits
        of the queue hold as well.
        """
        self.rate_bps = rate_bps
        """Bottleneck rate, > 0; None: infinite. A new value holds from the packet after the one being sent."""
        self.delay_s = delay_s
        """Fixed part of the delay."""
        self.queue_s = queue_s
        """Room before the bottleneck, in time at its present rate; unlimited if `queue_bytes` is None too."""
        self.queue_bytes = queue_bytes
        """Room in bytes; goes before `queue_s`."""
        self.jitter_s = jitter_s
        """Standard deviation of the normal distribution whose magnitude is added to each delay."""
        self.reorder = reorder
        """Whether jitter may let packets overtake each other."""
        self.duplicate = duplicate
        """Share of packets that arrive twice, 0..1."""
        self._random = random.Random(seed)
        self._duplicate_random = random.Random(~seed)
        self._loss = LossProcess(self._random)
        self._loss.set(loss, burst)
        self._codel = CoDel() if codel else None
        self._flows: list[Flow] = []
        self._queue = Queue()
        self._sending: Packet | None = None
        self._own = 0
        """Packets that were sent here, in the queue or being sent."""
        self._done: float | None = None
        self._now = 0.0
        self._stalled_until = self._outage_until = self._last_arrival = float("-inf")
        self._arriving: list[tuple[float, int, bytes]] = []
        self._pushed = 0
        self._sent = self._sent_bytes = self._delivered = self._delivered_bytes = self._duplicated = 0
        self._dropped_queue = self._dropped_random = self._dropped_outage = 0

    @property
    def codel(self) -> bool:
        """Whether CoDel minds the queue."""
        return self._codel is not None

    @codel.setter
    def codel(self, on: bool) -> None:
        if on != self.codel:
            self._codel = CoDel() if on else None

    def set_loss(self, share: float, burst: float | None = None) -> None:
        """Loss from the next packet on. Raises ValueError, see `LossProcess.set`."""
        self._loss.set(share, burst)

    def lose_next(self, count: int) -> None:
        """The next `count` packets to enter are lost, cross traffic's included."""
        self._loss.lose_next(count)

    def outage(self, now: float, seconds: float) -> None:
        """From now on for so long, whatever leaves the bottleneck is lost. The queue moves on."""
        self.advance(now)
        self._outage_until = max(self._outage_until, now + seconds)

    def stall(self, now: float, seconds: float) -> None:
        """From now on for so long, nothing leaves the bottleneck: the queue fills and keeps what it holds."""
        self.advance(now)
        self._stalled_until = max(self._stalled_until, now + seconds)

    def add_flow(self, flow: Flow) -> None:
        """Another sender shares this link from now on."""
        self._flows.append(flow)

    def send(self, data: bytes, now: float) -> None:
        """Puts one packet on the link."""
        self.advance(now)
        self._sent += 1
        self._sent_bytes += len(data)
        self._enter(data, len(data), now, None, 0)
        if self.rate_bps is None:
            self.advance(now)

    def poll(self, now: float) -> list[tuple[bytes, float]]:
        """What has come out by `now`, each with the time it did, in that order."""
        self.advance(now)
        out = []
        while self._arriving and self._arriving[0][0] <= now:
            arrival, _, data = heapq.heappop(self._arriving)
            self._delivered_bytes += len(data)
            out.append((data, arrival))
        self._delivered += len(out)
        return out

    def next_arrival(self) -> float | None:
        """A time before which `poll` has nothing, as long as nothing is sent and no condition changes; None: never.

        At that time something comes out, or a later time is known. `next_event` also has what only the link needs to
        know: it may be left alone until then, and makes up for it.
        """
        arrival = self._arriving[0][0] if self._arriving else None
        if not self._own:
            return arrival
        coming = self._first_out()
        if coming is None:
            return arrival
        coming += self.delay_s
        if not self.reorder:
            coming = max(coming, self._last_arrival)
        return coming if arrival is None or coming < arrival else arrival

    def next_event(self) -> float | None:
        """When to poll next. None: the link is empty, and no other flow wants to send."""
        event = self._done
        if self._arriving and (event is None or self._arriving[0][0] < event):
            event = self._arriving[0][0]
        for flow in self._flows:
            at = flow.next_event()
            if at is not None and (event is None or at < event):
                event = at
        return event

    def queue_delay_s(self, now: float) -> float:
        """How long a packet that enters now waits before it is sent, at the present rate; 0 at an infinite one."""
        self.advance(now)
        stalled = max(0.0, self._stalled_until - now)
        if self.rate_bps is None or self._done is None:
            return stalled
        return max(self._done - now, 0.0) + self._queue.bytes * 8 / self.rate_bps

    @property
    def dropped_queue(self) -> int:
        """Packets dropped before the bottleneck so far: for want of room, or by CoDel."""
        return self._dropped_queue

    @property
    def pending(self) -> int:
        """Packets in the queue and on their way."""
        return len(self._queue.packets) + (self._sending is not None) + len(self._arriving)

    def statistics(self) -> LinkStatistics:
        """Counts so far."""
        return LinkStatistics(
            sent=self._sent,
            delivered=self._delivered,
            dropped_queue=self._dropped_queue,
            dropped_random=self._dropped_random,
            queued_packets=len(self._queue.packets) + (self._sending is not None),
            queued_bytes=self._queue.bytes + (self._sending.size if self._sending is not None else 0),
            dropped_outage=self._dropped_outage,
            duplicated=self._duplicated,
            sent_bytes=self._sent_bytes,
            delivered_bytes=self._delivered_bytes,
        )

    def advance(self, now: float) -> None:
        """Lets happen what happens up to `now`; a time that has passed already changes nothing."""
        if now > self._now:
            self._now = now
        if not self._flows:
            while self._done is not None and self._done <= self._now:
                self._leave(self._done)
            return
        while True:
            flow, at = self._next_flow()
            if self._done is not None and self._done <= self._now and self._done <= at:
                self._leave(self._done)
            elif flow is not None and at <= self._now:
                for number in flow.run(at):
                    flow.count_sent()
                    self._enter(b"", flow.packet_bytes, at, flow, number)
            else:
                return

    def _next_flow(self) -> tuple[Flow | None, float]:
        first, at = None, float("inf")
        for flow in self._flows:
            event = flow.next_event()
            if event is not None and event < at:
                first, at = flow, event
        return first, at

    def _enter(self, data: bytes, size: int, now: float, flow: Flow | None, number: int) -> None:
        lost = self._loss.next()
        jitter_s = abs(self._random.gauss(0.0, self.jitter_s))
        again_s = self._draw_duplicate() if self.duplicate else None
        packet = Packet(data, size, now, lost, jitter_s, again_s, flow, number)
        if flow is None:
            self._own += 1
        if self._sending is None and self._codel is None:
            self._start(packet, now)
        elif self._sending is None:
            self._queue.push(packet)
            self._serve(now)
        elif self._queue.bytes + self._sending.size + size > self._room_bytes():
            self._drop(packet)
        else:
            self._queue.push(packet)

    def _first_out(self) -> float | None:
        """A time before which none of our packets that are not lost is through the bottleneck; None: all are lost."""
        out = self._done
        if out is None or self._sending is None:
            return None
        if self._codel is not None or self._is_ours(self._sending):
            # CoDel may drop what is in between.
            return out
        for packet in self._queue.packets:
            out += 0.0 if self.rate_bps is None else packet.size * 8 / self.rate_bps
            if self._is_ours(packet):
                return out
        return None

    @staticmethod
    def _is_ours(packet: Packet) -> bool:
        return packet.flow is None and not packet.lost

    def _draw_duplicate(self) -> float | None:
        lucky = self._duplicate_random.random() < self.duplicate
        jitter_s = abs(self._duplicate_random.gauss(0.0, self.jitter_s))
        return jitter_s if lucky else None

    def _room_bytes(self) -> float:
        if self.queue_bytes is not None:
            return self.queue_bytes
        if self.queue_s is None or self.rate_bps is None:
            return float("inf")
        return self.queue_s * self.rate_bps / 8

    def _serve(self, start: float) -> None:
        """Starts sending the head of the queue, if there is one."""
        if self._codel is None:
            packet = self._queue.take()
        else:
            packet, dropped = self._codel.take(self._queue, start)
            for unlucky in dropped:
                self._drop(unlucky)
        if packet is None:
            self._sending = self._done = None
        else:
            self._start(packet, start)

    def _start(self, packet: Packet, start: float) -> None:
        self._sending = packet
        seconds = 0.0 if self.rate_bps is None else packet.size * 8 / self.rate_bps
        self._done = max(start, self._stalled_until) + seconds

    def _drop(self, packet: Packet) -> None:
        if packet.flow is not None:
            packet.flow.count_dropped()
        else:
            self._own -= 1
            self._dropped_queue += 1

    def _leave(self, done: float) -> None:
        """The packet being sent is through the bottleneck."""
        packet = self._sending
        assert packet is not None
        if packet.flow is None:
            self._own -= 1
        self._serve(done)
        away = done < self._outage_until
        if away or packet.lost:
            if packet.flow is not None:
                packet.flow.count_dropped()
            elif away:
                self._dropped_outage += 1
            else:
                self._dropped_random += 1
            return
        self._arrive(packet, done + self.delay_s + packet.jitter_s)
        if packet.duplicate_jitter_s is not None and packet.flow is None:
            self._duplicated += 1
            self._arrive(packet, done + self.delay_s + packet.duplicate_jitter_s)

    def _arrive(self, packet: Packet, at: float) -> None:
        if at > self._last_arrival:
            self._last_arrival = at
        elif not self.reorder:
            at = self._last_arrival
        if packet.flow is not None:
            packet.flow.deliver(packet.number, at)
            return
        # The running number keeps packets of equal arrival time in order.
        self._pushed += 1
        heapq.heappush(self._arriving, (at, self._pushed, packet.data))
