"""The client's estimate of the server's clock, with a bound on its error.

Each ping exchange gives four times (RFC 5905 section 8): t0 client send, t1 server receive, t2 server send, t3 client
receive. offset = ((t1 - t0) + (t2 - t3)) / 2 is right if both ways took equally long, and off by at most half the
round trip (t3 - t0) - (t2 - t1) whatever they took. So the exchange with the shortest round trip wins; its bound grows
with its age, because two crystals drift apart.
"""

from collections import OrderedDict, deque
from dataclasses import dataclass

from transport.wire import Ping, Pong

DRIFT_PPM = 50
"""Allowance for two clocks drifting apart: quartz crystals are specified to 20-50 parts per million."""
_WINDOW = 64
"""Exchanges remembered: a minute at one a second, over which 50 ppm add 3 ms to the bound."""
_MAX_PENDING = 16
"""Pings awaiting an answer; the oldest goes. At one a second, far longer than `_MAX_ROUND_TRIP_US`."""
_MAX_ROUND_TRIP_US = 10_000_000
"""A longer round trip says nothing useful about the clock: the path, or one of the computers, was asleep."""
_FAST_INTERVAL_S, _INTERVAL_S, _FAST_PERIOD_S = 0.2, 1.0, 1.0
_SRTT_GAIN = 1 / 8
"""RFC 6298 section 2.3, alpha."""


@dataclass(frozen=True, slots=True)
class ClockStatistics:
    """Counts since the start."""

    pings: int
    pongs: int
    ignored: int
    """Pongs that answered no ping of ours, came twice, or claimed the impossible."""
    steps: int
    """Times that a pong and the estimate excluded each other: one of the clocks jumped, and all before was dropped."""


@dataclass(frozen=True, slots=True)
class _Sample:
    offset_us: int
    round_trip_us: int
    taken_us: int

    def error_us(self, now_us: int) -> int:
        """Half the round trip, rounded up, plus drift since, plus 1 us for the halving of the offset."""
        return -(-self.round_trip_us // 2) + max(now_us - self.taken_us, 0) * DRIFT_PPM // 1_000_000 + 1


class ClockSync:
    """Send what `ping` returns at `next_ping_time`; feed answers to `on_pong`. Nothing is known before the first."""

    def __init__(self) -> None:
        self._samples: deque[_Sample] = deque(maxlen=_WINDOW)
        self._pending: OrderedDict[int, int] = OrderedDict()
        self._next_id = 0
        self._first_ping_us: int | None = None
        self._last_ping_us = 0
        self._now_us = 0
        self._best: _Sample | None = None
        self._srtt_us: float | None = None
        self._pings = self._pongs = self._ignored = self._steps = 0

    @property
    def next_ping_time(self) -> float:
        """When to ping next, in seconds of the client's clock: five a second in the first second, then one a second."""
        if self._first_ping_us is None:
            return 0.0
        fast = self._last_ping_us - self._first_ping_us < _FAST_PERIOD_S * 1e6
        return self._last_ping_us / 1e6 + (_FAST_INTERVAL_S if fast else _INTERVAL_S)

    @property
    def offset_us(self) -> int | None:
        """Server clock minus client clock. None before the first exchange."""
        return None if self._best is None else self._best.offset_us

    @property
    def error_us(self) -> int | None:
        """`offset_us` is off by at most this, as of the last ping or pong. None before the first exchange."""
        return None if self._best is None else self._best.error_us(self._now_us)

    @property
    def rtt_us(self) -> int | None:
        """Smoothed round trip (RFC 6298). None before the first exchange."""
        return None if self._srtt_us is None else round(self._srtt_us)

    def ping(self, now_us: int) -> Ping:
        """A new ping, to be sent at once."""
        if self._first_ping_us is None:
            self._first_ping_us = now_us
        self._last_ping_us = self._now_us = now_us
        self._pings += 1
        ping = Ping(self._next_id, now_us)
        self._next_id = (self._next_id + 1) & 0xFFFFFFFF
        self._pending[ping.ping_id] = now_us
        while len(self._pending) > _MAX_PENDING:
            self._pending.popitem(last=False)
        return ping

    def on_pong(self, pong: Pong, now_us: int) -> None:
        """Takes an answer that came in at `now_us`. Wrong ones are counted and change nothing."""
        round_trip_us = (now_us - pong.t0_us) - (pong.t2_us - pong.t1_us)
        if self._pending.get(pong.ping_id) != pong.t0_us or not 0 <= round_trip_us <= _MAX_ROUND_TRIP_US:
            self._ignored += 1
            return
        del self._pending[pong.ping_id]
        self._pongs += 1
        self._now_us = max(self._now_us, now_us)
        offset_us = ((pong.t1_us - pong.t0_us) + (pong.t2_us - now_us)) // 2
        sample = _Sample(offset_us, round_trip_us, now_us)
        best = self._best
        # Both say where the true offset lies. Two ranges that do not meet: one of the clocks has jumped.
        if best is not None and abs(best.offset_us - offset_us) > best.error_us(now_us) + sample.error_us(now_us):
            self._samples.clear()
            self._steps += 1
        self._samples.append(sample)
        self._best = min(self._samples, key=lambda s: s.error_us(now_us))
        previous = round_trip_us if self._srtt_us is None else self._srtt_us
        self._srtt_us = previous + _SRTT_GAIN * (round_trip_us - previous)

    def to_client_us(self, server_us: int) -> int | None:
        """A time of the server's clock on the client's, off by at most `error_us`. None before the first exchange."""
        return None if self._best is None else server_us - self._best.offset_us

    def statistics(self) -> ClockStatistics:
        """Counts so far."""
        return ClockStatistics(self._pings, self._pongs, self._ignored, self._steps)
