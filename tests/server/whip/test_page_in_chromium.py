"""The page in a real browser with its fake camera: what it publishes arrives, and what cannot be is said."""

import shutil
import statistics
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from bench.whip.publishing import publisher
from latentcast import barcode
from tests.server.whip.publishing import SDP, Server, camera, picture, serving, until

if TYPE_CHECKING:
    from playwright.async_api import Page

playwright = pytest.importorskip("playwright.async_api", reason="the Python package playwright is not installed")

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
    "--auto-select-desktop-capture-source=Entire screen",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]

pytestmark = [
    pytest.mark.asyncio,
    pytest.mark.browser,
    pytest.mark.net,
    pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed"),
]


@asynccontextmanager
async def page(server: Server, query: str = "") -> AsyncIterator["Page"]:
    errors: list[str] = []
    async with playwright.async_playwright() as driver:
        browser = await driver.chromium.launch(executable_path=CHROMIUM, headless=True, args=FLAGS)
        try:
            it = await browser.new_page()
            it.on("pageerror", lambda error: errors.append(str(error)))
            await it.goto(str(server.client.make_url(f"/publish{query}")))
            yield it
        finally:
            await browser.close()
    assert errors == []


async def state(it: "Page", wanted: str) -> None:
    await it.wait_for_selector(f"#state[data-state={wanted}]", timeout=20_000)


async def test_a_camera_is_published_shown_and_stopped() -> None:
    async with serving(size=(320, 180)) as server, page(server, "?size=640x360") as it, camera() as other:
        await it.click("#start")
        await state(it, "live")
        # The fake camera: a green (luma 41 of limited range, chroma 0) with a lighter disc, fitted into 320x180.
        planes, captured_us = await picture(server.source(), count=20)
        assert 23 <= planes[0, 5, 5] <= 35
        assert planes[1:, 5, 5].max() < 20
        publisher = server.publishers.of("live")
        assert publisher is not None
        assert publisher.status().size == (640, 360)
        await until(lambda: publisher.status().capture_clock == "sender", what="a sender report")
        _, later_us = await picture(server.source())
        assert later_us > captured_us
        source = server.source()
        assert source.audio is not None
        assert source.audio.statistics().put > 0

        assert "--stream live" in await it.inner_text("#command")
        await it.wait_for_selector("#fact-server:has-text('fps')", timeout=10_000)
        assert (await it.inner_text("#fact-rate")).endswith("kbit/s")

        # While it goes on, nobody else gets the name; afterwards anybody.
        refused = await server.client.post("/v1/streams/live/whip", data=await other.offer(), headers=SDP)
        assert refused.status == 409
        await it.click("#stop")
        await state(it, "idle")
        await until(lambda: len(server.publishers) == 0, what="the end of the publisher")


async def test_the_page_says_why_it_cannot_publish_and_goes_on_when_it_can() -> None:
    async with serving(manage_token="secret") as server, page(server) as it:
        await it.click("#start")
        await state(it, "failed")
        assert "wants a token" in await it.inner_text("#error")
        await it.fill("#token", "wrong")
        await it.click("#start")
        await it.wait_for_selector("#error:has-text('does not allow')")
        await it.fill("#token", "secret")
        await it.fill("#stream", "no spaces here")
        await it.click("#start")
        assert "64 letters" in await it.inner_text("#error")
        await it.fill("#stream", "live")
        await it.select_option("#codec", "VP8")
        await it.click("#start")
        await state(it, "live")
        await picture(server.source())
        assert "--token TOKEN" in await it.inner_text("#command")

        # The server ends the session: the page comes back by itself.
        first = server.publishers.of("live")
        assert first is not None
        await first.close("for the test")
        await until(lambda: server.publishers.of("live") not in (None, first), what="another try")
        await state(it, "live")

        # A page that goes away leaves the name free at once.
        await it.reload()
        await until(lambda: len(server.publishers) == 0, what="the end of the publisher")

        # Somebody stops the stream: the page does not start it again.
        await it.click("#start")
        await state(it, "live")
        await server.streams.stop("live")
        await state(it, "failed")
        assert await it.inner_text("#error") == "The stream was stopped."
        assert server.streams.get("live") is None


async def test_h264_of_a_browser_that_hides_its_addresses_arrives_with_its_times() -> None:
    assert CHROMIUM is not None
    async with serving(size=(640, 360)) as server:
        url = str(server.client.make_url("")).rstrip("/")
        async with publisher(
            CHROMIUM, url, stream="live", size=(640, 360), fps=30, barcode=True, codec="H264"
        ) as started:
            late_us = []
            status = server.publishers.of("live")
            assert status is not None
            await until(lambda: status.status().capture_clock == "sender", what="a sender report")
            for _ in range(10):
                planes, captured_us = await picture(server.source())
                code = barcode.read(planes[0])
                assert code is not None
                late_us.append(captured_us - code.captured_us)
            assert status.status().codec == "H264"
    # The capture time is the instant of drawing, give or take a frame: the browser composes at its own pace.
    assert abs(statistics.median(late_us)) / 1000 < 34 + started.clock_error_ms


async def test_without_a_secure_context_the_page_says_what_to_do() -> None:
    async with serving() as server, page(server) as it:
        await it.add_init_script("Object.defineProperty(window, 'isSecureContext', { value: false })")
        await it.reload()
        assert "https or localhost" in await it.inner_text("#insecure")
        assert await it.is_disabled("#start")
