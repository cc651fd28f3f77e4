"""A simulated one-way network link, in simulated time: rate, queue, loss, delay, jitter, in that order.

    send(data, now) -> | drop-tail queue -> rate | -> lost? -> delay + jitter -> poll(now)

All randomness is drawn in `send`, from one seed: the same packets meet the same fate however often the link is polled.
"""

import heapq
import random
from collections import deque
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class LinkStatistics:
    """Counts since the start, and how full the queue is now."""

    sent: int
    delivered: int
    dropped_queue: int
    """The queue was full."""
    dropped_random: int
    queued_packets: int
    queued_bytes: int


@dataclass(frozen=True, slots=True)
class _Packet:
    data: bytes
    entered: float
    lost: bool
    jitter_s: float


class Link:
    """One direction of a path. `rate_bps` may be changed at any time."""

    def __init__(
        self,
        *,
        rate_bps: float | None = None,
        delay_s: float = 0.0,
        queue_s: float | None = None,
        queue_bytes: int | None = None,
        jitter_s: float = 0.0,
        loss: float = 0.0,
        reorder: bool = False,
        seed: int = 0,
    ) -> None:
        """An ideal link unless told otherwise.

        `rate_bps`: bottleneck rate; None: infinite. `delay_s`: fixed part of the delay. `queue_s` or `queue_bytes`:
        room before the bottleneck, in time at its present rate or in bytes; unlimited if neither is given. `jitter_s`:
        standard deviation of the normal distribution whose magnitude is added to each delay. `loss`: share of packets
        lost at random behind the bottleneck, 0..1. `reorder`: whether jitter may let packets overtake each other.
        """
        self._rate_bps = rate_bps
        self._delay_s = delay_s
        self._queue_s = queue_s
        self._queue_limit_bytes = queue_bytes
        self._jitter_s = jitter_s
        self._loss = loss
        self._reorder = reorder
        self._random = random.Random(seed)
        self._queue: deque[_Packet] = deque()
        self._queued_bytes = 0
        self._now = 0.0
        self._head_done: float | None = None
        self._last_delivery = float("-inf")
        self._arriving: list[tuple[float, int, bytes]] = []
        self._sent = self._served = self._delivered = self._dropped_queue = self._dropped_random = 0

    @property
    def rate_bps(self) -> float | None:
        """Bottleneck rate, > 0; None: infinite. A new value holds from the packet after the one being sent."""
        return self._rate_bps

    @rate_bps.setter
    def rate_bps(self, rate_bps: float | None) -> None:
        self._rate_bps = rate_bps

    def send(self, data: bytes, now: float) -> None:
        """Puts one packet on the link."""
        self._advance(now)
        self._sent += 1
        packet = _Packet(data, now, self._random.random() < self._loss, abs(self._random.gauss(0.0, self._jitter_s)))
        if self._queue and self._queued_bytes + len(data) > self._room_bytes():
            self._dropped_queue += 1
            return
        self._queue.append(packet)
        self._queued_bytes += len(data)
        if self._head_done is None:
            self._serve(now)
        self._advance(now)

    def poll(self, now: float) -> list[tuple[bytes, float]]:
        """What has come out by `now`, each with the time it did, in that order."""
        self._advance(now)
        out = []
        while self._arriving and self._arriving[0][0] <= now:
            arrival, _, data = heapq.heappop(self._arriving)
            out.append((data, arrival))
        self._delivered += len(out)
        return out

    def next_event(self) -> float | None:
        """When to poll next. None: the link is empty."""
        times = [t for t in (self._head_done, self._arriving[0][0] if self._arriving else None) if t is not None]
        return min(times, default=None)

    def statistics(self) -> LinkStatistics:
        """Counts so far."""
        return LinkStatistics(
            self._sent,
            self._delivered,
            self._dropped_queue,
            self._dropped_random,
            len(self._queue),
            self._queued_bytes,
        )

    def _room_bytes(self) -> float:
        if self._queue_limit_bytes is not None:
            return self._queue_limit_bytes
        if self._queue_s is None or self._rate_bps is None:
            return float("inf")
        return self._queue_s * self._rate_bps / 8

    def _serve(self, start: float) -> None:
        """Starts sending the head of the queue."""
        seconds = 0.0 if self._rate_bps is None else len(self._queue[0].data) * 8 / self._rate_bps
        self._head_done = start + seconds

    def _advance(self, now: float) -> None:
        self._now = max(self._now, now)
        while self._head_done is not None and self._head_done <= self._now:
            done = self._head_done
            packet = self._queue.popleft()
            self._queued_bytes -= len(packet.data)
            self._head_done = None
            if self._queue:
                self._serve(done)
            if packet.lost:
                self._dropped_random += 1
                continue
            arrival = done + self._delay_s + packet.jitter_s
            if not self._reorder:
                arrival = max(arrival, self._last_delivery)
                self._last_delivery = arrival
            # The running number keeps packets of equal arrival time in order.
            self._served += 1
            heapq.heappush(self._arriving, (arrival, self._served, packet.data))
