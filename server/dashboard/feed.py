"""One snapshot for everybody who looks: made twice a second while there is somebody, and never otherwise.

    lines() -> every subscription's slot -> its page
           \\-> history, for the next page that opens

A slot holds one line: who reads slowly skips snapshots, and costs nobody anything. There are two lines of a snapshot:
one for those who manage, and one without what is nobody else's business.
"""

import asyncio
import logging
import time
from collections import deque
from typing import NamedTuple, Protocol

log = logging.getLogger(__name__)

INTERVAL_S = 0.5
HISTORY_S = 120.0
MAX_HISTORY_BYTES = 2_000_000
"""A stream with four viewers takes 5 kB a snapshot, so two minutes are below it; of more the newest are kept."""
MAX_SUBSCRIPTIONS = 32
"""Pages that are open at the same time; each costs what writing a few kilobytes twice a second costs."""


class Lines(NamedTuple):
    """One snapshot as lines of JSON, each with its newline."""

    managing: bytes
    """For those who may manage."""
    looking: bytes
    """For those who may only view."""


class Builder(Protocol):
    """What makes the lines."""

    def lines(self) -> Lines:
        """A snapshot of now."""
        ...

    def forget(self) -> None:
        """Nobody looks any more."""
        ...


class Subscription:
    """One reader. `next` waits for the newest line."""

    def __init__(self, *, manage: bool) -> None:
        self.manage = manage
        """Which of the two lines it gets."""
        self.skipped = 0
        """Lines that a newer one replaced before they were read."""
        self._line: bytes | None = None
        self._ended = False
        self._there = asyncio.Event()

    def put(self, lines: Lines) -> None:
        """Offer a snapshot; it replaces one that was not read."""
        self.skipped += self._line is not None
        self._line = self.line_of(lines)
        self._there.set()

    def line_of(self, lines: Lines) -> bytes:
        """The one for this reader."""
        return lines.managing if self.manage else lines.looking

    def end(self) -> None:
        """No more lines: `next` returns None from now on."""
        self._ended = True
        self._there.set()

    async def next(self) -> bytes | None:
        """The newest line that was not read yet, as soon as there is one; None at the end."""
        await self._there.wait()
        if self._ended:
            return None
        line, self._line = self._line, None
        self._there.clear()
        return line


class Feed:
    """`subscribe` and `unsubscribe` from the event loop's thread; `close` at the end."""

    def __init__(self, builder: Builder, *, interval_s: float = INTERVAL_S) -> None:
        self.cpu_s = 0.0
        """Processor time that making snapshots took so far."""
        self._builder = builder
        self._interval_s = interval_s
        self._history: deque[Lines] = deque(maxlen=max(1, round(HISTORY_S / interval_s)))
        self._history_bytes = 0
        self._subscriptions: set[Subscription] = set()
        self._ticking: asyncio.Task[None] | None = None
        self._closed = False

    @property
    def subscriptions(self) -> int:
        """How many look now."""
        return len(self._subscriptions)

    @property
    def full(self) -> bool:
        """No more fit."""
        return self._closed or len(self._subscriptions) >= MAX_SUBSCRIPTIONS

    def subscribe(self, *, manage: bool) -> tuple[Subscription, bytes]:
        """A new reader, and the lines of the last minutes for it to start with. manage: it has that right."""
        subscription = Subscription(manage=manage)
        self._subscriptions.add(subscription)
        if self._ticking is None:
            self._ticking = asyncio.get_running_loop().create_task(self._tick(), name="dashboard")
        return subscription, b"".join(map(subscription.line_of, self._history))

    def unsubscribe(self, subscription: Subscription) -> None:
        """The reader is gone; with the last one the work ends."""
        self._subscriptions.discard(subscription)
        if not self._subscriptions and self._ticking is not None:
            self._ticking.cancel()
            self._ticking = None
            self._builder.forget()

    async def close(self) -> None:
        """End all subscriptions."""
        self._closed = True
        for subscription in list(self._subscriptions):
            subscription.end()
        if self._ticking is not None:
            self._ticking.cancel()
            await asyncio.wait([self._ticking])
            self._ticking = None

    async def _tick(self) -> None:
        while True:
            try:
                self.publish()
            except Exception:
                # A page without a snapshot says so; the streams must not notice.
                log.exception("no snapshot for the dashboard")
            await asyncio.sleep(self._interval_s)

    def publish(self) -> None:
        """Make a snapshot and give it to everybody."""
        started = time.thread_time()
        lines = self._builder.lines()
        self._remember(lines)
        for subscription in self._subscriptions:
            subscription.put(lines)
        self.cpu_s += time.thread_time() - started

    def _remember(self, lines: Lines) -> None:
        if len(self._history) == self._history.maxlen:
            self._forget_oldest()
        self._history.append(lines)
        self._history_bytes += sum(map(len, lines))
        while self._history_bytes > MAX_HISTORY_BYTES:
            self._forget_oldest()

    def _forget_oldest(self) -> None:
        self._history_bytes -= sum(map(len, self._history.popleft()))
