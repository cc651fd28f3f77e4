"""A browser that publishes through the page /publish, as a person would."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bench.load.browser import running
from latentcast.errors import LatentcastError

if TYPE_CHECKING:
    from playwright.async_api import Page

FAKE_CAMERA = ("--use-fake-device-for-media-stream=fps=30", "--use-fake-ui-for-media-stream")
"""Chromium's own: a pie that fills and empties, 30 pictures a second."""
START_TIMEOUT_S = 20.0
_PINGS = 30


@dataclass(frozen=True, slots=True)
class Started:
    """A publisher that runs."""

    clicked_s: float
    """When Start was clicked, monotonic."""
    live_s: float
    """From then until the page said that it publishes."""
    clock_error_ms: float
    """Of the times in the bar code: half the fastest exchange with the browser; 0 with the camera."""


@asynccontextmanager
async def publisher(
    browser: str, url: str, *, stream: str, size: tuple[int, int], fps: int, barcode: bool, codec: str
) -> AsyncIterator[Started]:
    """Open the page, choose, click Start; stopped at the end. Raises LatentcastError when the page says why not."""
    # Without the fake camera nothing grants the page anything: its addresses are hidden behind mDNS names.
    async with running(browser, more=() if barcode else FAKE_CAMERA) as chromium:
        page = await chromium.new_page()
        await page.goto(f"{url}/publish?stream={stream}&size={size[0]}x{size[1]}&fps={fps}")
        error_ms = 0.0
        if barcode:
            offset_ms, error_ms = await _clock(page)
            script = (Path(__file__).parent / "barcode.js").read_text()
            width, height = size
            constants = f"const OFFSET_MS = {offset_ms}, WIDTH = {width}, HEIGHT = {height}, FPS = {fps};"
            # Through the debugger: the page's own policy forbids scripts from elsewhere.
            await page.evaluate(f"(() => {{ {constants} {script} }})()")
        await page.select_option("#codec", codec)
        clicked = time.monotonic()
        await page.click("#start")
        await page.wait_for_selector(
            "#state[data-state=live], #state[data-state=failed]", timeout=START_TIMEOUT_S * 1000
        )
        live_s = time.monotonic() - clicked
        if await page.is_visible("#error"):
            raise LatentcastError(f"the page cannot publish: {await page.inner_text('#error')}")
        yield Started(clicked, live_s, error_ms)
        await page.click("#stop")
        await page.wait_for_selector("#state[data-state=idle]")


async def _clock(page: "Page") -> tuple[float, float]:
    """(monotonic clock minus the page's performance.now(), error of that), milliseconds."""
    best = (float("inf"), 0.0)
    for _ in range(_PINGS):
        before = time.monotonic()
        there_ms: float = await page.evaluate("performance.now()")
        after = time.monotonic()
        best = min(best, (after - before, (before + after) / 2 * 1000 - there_ms))
    return best[1], best[0] / 2 * 1000
