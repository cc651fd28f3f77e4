"""The datagrams of one viewer, in real time: two sockets on loopback and a simulated path between them.

    server <──> server leg ── path.forward ──▶ viewer leg <──> viewer
                           ◀── path.back ────

Each leg is the other end's face: the viewer believes it talks to the server and the other way round. Whatever is inside
the datagrams (STUN, DTLS), all of them meet the conditions.
"""

import asyncio
import socket
import sys
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict
from typing import Any

from bench.network.media_start import MediaStart
from bench.network.schedule import Schedule
from bench.network.sdp import Address

LOOPBACK = "127.0.0.1"
# What the system allows of it; a burst must not be lost in the relay, where no condition says so.
SOCKET_BUFFER_BYTES = 4 << 20
# SO_SNDBUFFORCE and SO_RCVBUFFORCE of Linux, for the administrator: without the system's limit.
_FORCED_BUFFERS = (32, 33) if sys.platform == "linux" else ()
# Datagrams read at one go before others get their turn.
_READ_AT_ONCE = 64
_MAX_DATAGRAM = 65536
# A link without a rate limit or with an endless queue holds no more than this.
MAX_PENDING = 20_000
# Queue delays kept for the percentiles: minutes at a few hundred packets a second.
_KEPT_DELAYS = 200_000


class Leg:
    """One socket and the end that it talks to."""

    def __init__(self, on_datagram: Callable[[bytes], None]) -> None:
        self._on_datagram = on_datagram
        self._heard = False
        self._peer: Address | None = None
        self.ignored = 0
        """Datagrams from somebody else."""
        self.unsent = 0
        """Datagrams that the system did not take, or that came before anybody was there."""
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        for option in (socket.SO_RCVBUF, socket.SO_SNDBUF, *_FORCED_BUFFERS):
            with suppress(OSError):
                self._socket.setsockopt(socket.SOL_SOCKET, option, SOCKET_BUFFER_BYTES)
        self._socket.bind((LOOPBACK, 0))
        self.address: Address = self._socket.getsockname()
        """Where the peer sends."""
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._socket, self._on_readable)

    def expect(self, peer: Address | None) -> None:
        """Where the peer says it is. Where it was heard from is worth more."""
        if not self._heard:
            self._peer = peer

    def send(self, data: bytes) -> None:
        """To the peer."""
        if self._peer is None:
            self.unsent += 1
            return
        try:
            self._socket.sendto(data, self._peer)
        except OSError:
            # Full, or nobody listens there any more: a network loses it as well.
            self.unsent += 1

    def close(self) -> None:
        """Nothing comes or goes any more."""
        if self._socket.fileno() >= 0:
            self._loop.remove_reader(self._socket)
            self._socket.close()

    def _on_readable(self) -> None:
        for _ in range(_READ_AT_ONCE):
            try:
                data, source = self._socket.recvfrom(_MAX_DATAGRAM)
            except BlockingIOError:
                return
            except OSError:
                # The system reports an earlier datagram that nobody took.
                continue
            if not self._heard:
                self._heard, self._peer = True, source
            if source == self._peer:
                self._on_datagram(data)
            else:
                self.ignored += 1


class RelaySession:
    """One viewer's connection. on_media(began) is called once, when it is clear when media began."""

    def __init__(self, schedule: Schedule, *, on_media: Callable[[float], None]) -> None:
        self._schedule = schedule
        self._path = schedule.path
        self._on_media = on_media
        self._media = MediaStart()
        self.server_leg = Leg(self._from_server)
        self.viewer_leg = Leg(self._from_viewer)
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = float("inf")
        self._overflow = 0
        self._delays_s: deque[float] = deque(maxlen=_KEPT_DELAYS)
        self._delivered_before_media = 0
        self.last_heard = time.monotonic()
        self.closed = False

    def close(self) -> None:
        """Safe to call twice."""
        self.closed = True
        if self._timer is not None:
            self._timer.cancel()
        self.server_leg.close()
        self.viewer_leg.close()

    def statistics(self) -> dict[str, Any]:
        """What the links did so far; docs/network.md defines the fields."""
        forward = self._path.forward.statistics()
        seconds = 0.0 if self._media.began is None else self.last_heard - self._media.began
        media_bytes = forward.delivered_bytes - self._delivered_before_media
        delays = sorted(self._delays_s)
        return {
            "seconds": round(seconds, 3),
            "delivered_bps": round(media_bytes * 8 / seconds) if seconds > 0 else 0,
            "queue_ms": {
                f"p{percent}": round(delays[len(delays) * percent // 100] * 1e3, 1) if delays else 0.0
                for percent in (50, 95, 99)
            },
            "forward": asdict(forward),
            "back": asdict(self._path.back.statistics()),
            "cross": [asdict(flow.statistics()) for flow in self._schedule.flows],
            "overflow": self._overflow,
            "ignored": self.server_leg.ignored + self.viewer_leg.ignored,
            "unsent": self.server_leg.unsent + self.viewer_leg.unsent,
        }

    def _from_server(self, data: bytes) -> None:
        now = time.monotonic()
        if self._media.on_datagram(data, now):
            assert self._media.began is not None
            self._on_media(self._media.began)
            self._delivered_before_media = self._path.forward.statistics().delivered_bytes
        self._schedule.poll(now)
        link = self._path.forward
        if link.pending >= MAX_PENDING:
            self._overflow += 1
        else:
            if self._media.began is not None:
                self._delays_s.append(link.queue_delay_s(now))
            link.send(data, now)
        self._after(now)

    def _from_viewer(self, data: bytes) -> None:
        now = time.monotonic()
        self._schedule.poll(now)
        if self._path.back.pending >= MAX_PENDING:
            self._overflow += 1
        else:
            self._path.back.send(data, now)
        self._after(now)

    def _after(self, now: float) -> None:
        self.last_heard = now
        self._deliver(now)

    def _on_timer(self) -> None:
        self._timer, self._timer_at = None, float("inf")
        now = time.monotonic()
        self._schedule.poll(now)
        self._deliver(now)

    def _deliver(self, now: float) -> None:
        for data, _ in self._path.forward.poll(now):
            self.viewer_leg.send(data)
        for data, _ in self._path.back.poll(now):
            self.server_leg.send(data)
        times = [at for at in (self._path.next_event(), self._schedule.next_event()) if at is not None]
        at = min(times, default=float("inf"))
        if at < self._timer_at and not self.closed:
            if self._timer is not None:
                self._timer.cancel()
            self._timer_at = at
            # The loop's clock may be coarser than ours.
            self._timer = self._loop.call_later(max(0.0, at - time.monotonic()), self._on_timer)
