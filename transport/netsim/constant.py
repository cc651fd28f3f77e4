"""Cross traffic at a constant rate, all the time or in periods: a call, a game, a backup that is throttled."""

from transport.netsim.flow import Flow

PACKET_BYTES = 1200


class ConstantFlow(Flow):
    """Sends evenly and never reacts."""

    def __init__(
        self,
        *,
        rate_bps: float,
        start: float = 0.0,
        end: float = float("inf"),
        on_s: float | None = None,
        off_s: float = 0.0,
    ) -> None:
        """`rate_bps` while it sends, from `start` to `end`; `on_s` sending then `off_s` pausing, if given.

        Raises ValueError when the rate is not positive or it would never send.
        """
        super().__init__(packet_bytes=PACKET_BYTES)
        if not rate_bps > 0:
            raise ValueError(f"a flow of {rate_bps} bit/s sends nothing")
        if on_s is not None and not on_s > 0:
            raise ValueError(f"a flow that sends for {on_s} s sends nothing")
        self._gap_s = PACKET_BYTES * 8 / rate_bps
        self._start, self._end = start, end
        self._on_s, self._period_s = on_s, (on_s or 0.0) + off_s
        self._next: float | None = start if start < end else None
        self._number = 0

    def next_event(self) -> float | None:
        return self._next

    def run(self, now: float) -> list[int]:
        if self._next is None or now < self._next:
            return []
        self._next += self._gap_s
        if self._on_s is not None:
            period, phase = divmod(self._next - self._start, self._period_s)
            if phase >= self._on_s:
                self._next = self._start + (period + 1) * self._period_s
        if self._next >= self._end:
            self._next = None
        self._number += 1
        return [self._number]

    def on_arrival(self, number: int, at: float) -> None:
        pass
