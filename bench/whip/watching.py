"""The viewer: in this process, so that the bar code can be read out of what it shows."""

import asyncio
import time
from dataclasses import dataclass, field
from pathlib import Path

from client.measurement import Measurement
from client.picture import Picture
from client.viewer import Viewer
from latentcast import barcode
from latentcast.config import ViewSettings
from latentcast.errors import LatentcastError
from latentcast.report import Report

CONNECT_TIMEOUT_S = 30.0
ALIGN_S = 1.0
"""The first five pings take a second."""


@dataclass(slots=True)
class Seen:
    """What came out since `begin`."""

    after_s: float = float("inf")
    """Pictures count from here on, monotonic."""
    first_s: float | None = None
    """When the first picture came that was captured after `after_s`."""
    pixels_ms: list[float] = field(default_factory=list)
    """Delay by the bar code, of every picture that has one."""
    timestamps_ms: list[float] = field(default_factory=list)
    """Delay of the same pictures by their timestamps."""
    all_ms: list[float] = field(default_factory=list)
    """Delay of all by timestamps."""


class Watcher:
    """A headless viewer; `run` it as a task."""

    def __init__(self, url: str, stream: str) -> None:
        self._settings = ViewSettings(url=url, stream=stream, headless=True)
        self.seen = Seen()
        self._measurement = Measurement(started=time.monotonic(), ring_path=None, psnr=False)
        self._viewer = Viewer(
            self._settings, measurement=self._measurement, on_picture=self._picture, on_notice=lambda _: None
        )

    async def run(self) -> None:
        """Watch until `stop`. Raises UserError when the server refuses."""
        await self._viewer.run()

    def stop(self) -> None:
        self._viewer.stop()

    async def connected(self) -> None:
        """The server has taken the viewer, and both clocks are aligned. Raises LatentcastError."""
        deadline = time.monotonic() + CONNECT_TIMEOUT_S
        while self._viewer.config is None or self._viewer.source is None:
            if time.monotonic() > deadline:
                raise LatentcastError(f"the viewer was not taken within {CONNECT_TIMEOUT_S:.0f} s.")
            await asyncio.sleep(0.05)
        await asyncio.sleep(ALIGN_S)

    def report(self, folder: Path) -> Report:
        """What the viewer measured, as `latentcast view --report` writes it."""
        config = self._viewer.config
        assert config is not None
        return self._measurement.finish(
            folder, config=config, client_lag=self._viewer.lag.percentiles(), presenter="headless"
        )

    def _picture(self, picture: Picture) -> None:
        now_us = time.monotonic_ns() // 1000
        self._viewer.presented(picture, now_us)
        seen = self.seen
        # One machine, one monotonic clock: no alignment is needed.
        captured_us = picture.timeline.captured_us
        if captured_us / 1e6 < seen.after_s:
            return
        if seen.first_s is None:
            seen.first_s = now_us / 1e6
        seen.all_ms.append((now_us - captured_us) / 1000)
        code = barcode.read(picture.planes[0])
        if code is not None:
            seen.pixels_ms.append((now_us - code.captured_us) / 1000)
            seen.timestamps_ms.append((now_us - captured_us) / 1000)
