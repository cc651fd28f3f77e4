"""How a process is doing: how late its event loop runs, how much memory it holds."""

import asyncio
from collections.abc import Iterable
from contextlib import suppress

import psutil

from latentcast.report import Percentiles
from latentcast.statistics import Window

# A timer every 20 ms notices any stall that would hurt a packet; the last minute of them is kept.
LAG_INTERVAL_S = 0.02
_LAG_SAMPLES = 3_000


class LoopLag:
    """Measures how late the running loop fires its timers."""

    def __init__(self) -> None:
        self._lags_ms = Window(_LAG_SAMPLES)

    async def run(self) -> None:
        """Measure until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + LAG_INTERVAL_S
            await asyncio.sleep(LAG_INTERVAL_S)
            self._lags_ms.add(max(0.0, loop.time() - due) * 1e3)

    def percentiles(self) -> Percentiles:
        return self._lags_ms.percentiles()


def resident_mb(pids: Iterable[int | None]) -> float:
    """Resident memory of the given processes, 10^6 bytes; those that are gone count nothing."""
    total = 0
    for pid in pids:
        if pid is not None:
            with suppress(psutil.Error):
                total += psutil.Process(pid).memory_info().rss
    return total / 1e6
