"""The page in a real Chromium, against a real server with a real encoder and viewers that watch."""

import asyncio
import re
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Literal

import pytest
import pytest_asyncio
from aiohttp import web
from playwright.async_api import Browser, Page, Request, expect

from bench.load.browser import find_browser, running
from bench.load.viewer import LoadViewer, load_hello, stop_all
from latentcast.config import ServeSettings
from latentcast.control import Hello
from latentcast.vitals import LoopLag
from server.app import Application
from server.rendition import Rendition
from server.stream import Stream
from server.streams import Streams
from transport.webrtc import use_host_addresses

CHROMIUM = find_browser()
PATIENCE_MS = 15_000
"""A browser on two busy cores; nothing here is a measurement."""

pytestmark = [
    pytest.mark.browser,
    pytest.mark.net,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium that playwright could drive is here"),
    pytest.mark.asyncio(loop_scope="module"),
]


@dataclass
class Site:
    """A server, and the pages that look at it."""

    url: str
    streams: Streams
    hello: Hello
    viewers: list[LoadViewer] = field(default_factory=list)

    def stream(self, name: str = "live") -> Stream:
        found = self.streams.get(name)
        assert found is not None
        return found

    async def watch(self, stream: str = "live", *, token: str | None = None) -> LoadViewer:
        viewer = LoadViewer(self.url, stream, self.hello, token=token)
        self.viewers.append(viewer)
        await viewer.start()
        return viewer


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    assert CHROMIUM is not None
    async with running(CHROMIUM) as found:
        yield found


@asynccontextmanager
async def serving(hello: Hello, **settings: object) -> AsyncIterator[Site]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    use_host_addresses(["127.0.0.1"])
    config = ServeSettings.model_validate({"size": (128, 64), "fps": 15, "port": port, "renditions": 1, **settings})
    lag = LoopLag()
    streams = Streams(config, lag=lag)
    runner = web.AppRunner(Application(config, streams, lag).web)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", config.port).start()
    if not config.starts_empty:
        await streams.start(config)
    site = Site(f"http://127.0.0.1:{config.port}", streams, hello)
    try:
        yield site
    finally:
        await stop_all(site.viewers)
        await streams.close()
        await runner.cleanup()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def site() -> AsyncIterator[Site]:
    """One server for all tests that leave its stream as it was."""
    async with serving(await asyncio.to_thread(load_hello)) as found:
        await found.watch()
        await found.watch()
        yield found


@asynccontextmanager
async def looking(
    browser: Browser, site: Site, *, faults: tuple[str, ...] = (), scheme: Literal["light", "dark"] = "light"
) -> AsyncIterator[Page]:
    """A page of its own; afterwards: no error but `faults` in its console, and nothing was asked of anybody else."""
    seen: list[str] = []
    asked: list[str] = []

    def on_request(request: Request) -> None:
        asked.append(request.url)

    context = await browser.new_context(color_scheme=scheme, viewport={"width": 1440, "height": 900})
    context.set_default_timeout(PATIENCE_MS)
    page = await context.new_page()
    page.on("console", lambda message: seen.append(message.text) if message.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: seen.append(str(error)))
    page.on("request", on_request)
    await page.goto(site.url)
    yield page
    await context.close()
    assert [text for text in seen if not any(re.search(fault, text) for fault in faults)] == []
    assert {url for url in asked if not url.startswith(site.url)} == set()


async def until(condition: Callable[[], bool | Awaitable[bool]]) -> None:
    async with asyncio.timeout(PATIENCE_MS / 1000):
        while True:
            found = condition()
            if found if isinstance(found, bool) else await found:
                return
            await asyncio.sleep(0.05)


expect.set_options(timeout=PATIENCE_MS)

HAS_COLOUR = """
([chart, red, green, blue]) => {
  const canvas = document.querySelector(`#chart-${chart} canvas`);
  const data = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
  const near = (i, value) => Math.abs(data[i] - value) <= 8;
  for (let i = 0; i < data.length; i += 4) {
    if (data[i + 3] > 60 && near(i, red) && near(i + 1, green) && near(i + 2, blue)) return true;
  }
  return false;
}
"""
"""Whether a chart has a pixel of that colour. Edges are smoothed: they keep the colour and lose opacity."""


async def holds(page: Page, chart: str, colour: str) -> bool:
    channels = [int(colour[i : i + 2], 16) for i in (1, 3, 5)]
    return bool(await page.evaluate(HAS_COLOUR, [chart, *channels]))


async def test_the_charts_draw_what_is_streamed(browser: Browser, site: Site) -> None:
    # Chromium warns that reading a canvas back is slow: that is the test's doing.
    async with looking(browser, site, faults=("getImageData",)) as page:
        await expect(page.locator("#stream-name")).to_have_text("live")
        await expect(page.locator("#stream-state")).to_have_text("live")
        await expect(page.locator("#viewers tbody tr")).to_have_count(2)
        first = site.viewers[0]
        for chart in ("bitrate", "loss", "queue"):
            await expect(page.locator(f"#chart-{chart} .legend .label").first).to_have_text(re.compile(r"^[\w-]{6}$"))
        for chart, unit in (("bitrate", "bit/s"), ("queue", "ms"), ("loss", "%"), ("frames", "B"), ("latency", "ms")):
            await expect(page.locator(f"#chart-{chart} .legend .value").first).to_contain_text(unit)
        await expect(page.locator("#chart-qp .legend .value")).to_have_text(re.compile(r"^\d+$"))
        stages = page.locator("#chart-latency .legend .label")
        await expect(stages).to_have_text(["network", "send", "encode", "wait"])
        # Both viewers get the same, and the second one's line lies over the first one's.
        for chart, drawn in (
            ("bitrate", "#d9822b"),
            ("queue", "#d9822b"),
            ("frames", "#2f7ed8"),
            ("latency", "#2f7ed8"),
        ):
            await until(partial(holds, page, chart, drawn))
        assert not await holds(page, "bitrate", "#00ff00")
        description = await page.locator("#chart-bitrate .canvas").get_attribute("aria-label")
        assert description is not None
        assert description.startswith("Bitrate: ")
        assert first.failure is None


async def test_a_viewer_can_be_looked_at_alone(browser: Browser, site: Site) -> None:
    async with looking(browser, site) as page:
        row = page.locator("#viewers tbody tr").nth(1)
        name = await row.locator("button").inner_text()
        await row.locator("button").click()
        await expect(page.locator("#scope")).to_have_text(f"viewer {name} alone")
        await expect(page.locator("#chart-loss .legend .label")).to_have_text([name])
        await expect(row.locator("button")).to_have_attribute("aria-pressed", "true")
        await expect(row.locator("td").nth(1)).to_have_text("live")
        await expect(row.locator("td").nth(2)).to_contain_text("latentcast")
        await expect(row.locator("td").nth(3)).to_have_text("127.0.0.1")
        await expect(row.locator("td").nth(4)).to_have_text("128\u00d764")
        await expect(row.locator("td").nth(11)).to_have_text(re.compile(r"^\d+ / \d+ ms$"))
        await page.get_by_role("button", name="Show all viewers").click()
        await expect(page.locator("#chart-loss .legend .label")).to_have_count(2)


async def test_an_intra_frame_and_a_rate_limit_by_clicking(browser: Browser, site: Site) -> None:
    def intra() -> int:
        best: Rendition = site.stream().renditions[0]
        return best.coded.intra

    async with looking(browser, site) as page:
        await expect(page.get_by_label("Rate limit", exact=True)).to_have_value("2000")
        before = intra()
        await page.get_by_role("button", name="Force intra frame").click()
        await expect(page.get_by_role("status")).to_have_text("The next frame is an intra frame.")
        await until(lambda: intra() > before)
        await page.get_by_label("Rate limit", exact=True).fill("300")
        await page.get_by_role("button", name="Set").click()
        await expect(page.get_by_role("status")).to_have_text("At most 300 kbit/s from now on.")
        assert site.stream().max_bitrate == 300_000
        assert all(session.sender.target_bps <= 300_000 for session in site.stream().sessions.values())
        site.stream().set_max_bitrate(2_000_000)
        await expect(page.get_by_label("Rate limit", exact=True)).to_have_value("2000")


async def test_what_the_server_refuses_is_said_in_its_words(browser: Browser, site: Site) -> None:
    async with serving(site.hello) as passing, looking(browser, passing, faults=("404",)) as page:
        await expect(page.locator("#stream-state")).to_have_text("live")
        button = page.get_by_role("button", name="Force intra frame")
        await page.route("**/intra", lambda route: route.continue_(url=f"{passing.url}/v1/streams/gone/intra"))
        await button.click()
        await expect(page.get_by_role("alert")).to_have_text("There is no stream 'gone' here; there is 'live'.")
        await expect(button).to_be_enabled()


async def test_the_command_can_be_copied(browser: Browser, site: Site) -> None:
    async with looking(browser, site) as page:
        await page.context.grant_permissions(["clipboard-read", "clipboard-write"], origin=site.url)
        await page.get_by_role("button", name="Copy", exact=True).first.click()
        await expect(page.get_by_role("status")).to_have_text("Copied.")
        copied = await page.evaluate("navigator.clipboard.readText()")
        assert copied == f"latentcast view {site.url} --stream live"


async def test_dark_and_light(browser: Browser, site: Site) -> None:
    async with looking(browser, site, scheme="dark") as page:
        theme = "document.documentElement.dataset.theme"
        ground = "getComputedStyle(document.body).backgroundColor"
        assert await page.evaluate(theme) == "dark"
        dark = await page.evaluate(ground)
        toggle = page.get_by_role("button", name="Dark colours")
        await expect(toggle).to_have_attribute("aria-pressed", "true")
        await toggle.click()
        assert await page.evaluate(theme) == "light"
        assert await page.evaluate(ground) != dark
        await page.reload()
        assert await page.evaluate(theme) == "light", "it is remembered"
        await page.get_by_role("button", name="Dark colours").click()
        assert await page.evaluate(theme) == "dark"
        assert await page.evaluate("localStorage.length") == 0, "as the system says: nothing to remember"


async def test_it_fits_a_telephone(browser: Browser, site: Site) -> None:
    async with looking(browser, site) as page:
        await expect(page.locator("#viewers tbody tr")).to_have_count(2)
        for width in (900, 400, 320):
            await page.set_viewport_size({"width": width, "height": 800})
            await until(partial(fits, page, width))


async def fits(page: Page, width: int) -> bool:
    return bool(await page.evaluate("document.documentElement.scrollWidth") <= width)


async def test_a_source_is_started_and_stopped_by_clicking(browser: Browser, site: Site) -> None:
    async with looking(browser, site, faults=("422",)) as page:
        await page.get_by_role("button", name="Start a source").click()
        dialog = page.get_by_role("dialog", name="Start a source")
        assert await dialog.get_by_label("Name").input_value() == "live-2", "a name that is free"
        await dialog.get_by_label("Source").select_option("Video file")
        await dialog.get_by_role("button", name="Start").click()
        await expect(dialog.get_by_role("alert")).to_contain_text("Path is empty")
        await dialog.get_by_label("Path").fill("nothing.mp4")
        await dialog.get_by_role("button", name="Start").click()
        await expect(dialog.get_by_role("alert")).to_contain_text("There is no file nothing.mp4")
        await dialog.get_by_label("Source").select_option("Test pattern")
        await dialog.get_by_label("Name").fill("second")
        await dialog.get_by_label("Size").select_option("320\u00d7180")
        await dialog.get_by_label("Frames a second").fill("10")
        await dialog.get_by_role("button", name="Start").click()
        await expect(page.locator("#stream-name")).to_have_text("second")
        await expect(page.locator("#facts")).to_contain_text("320\u00d7180 at 10 fps")
        await expect(page.locator("#stream-state")).to_have_text("live")
        await expect(page.locator("#chart-bitrate .nothing")).to_have_text("Nobody is watching.")
        await page.get_by_role("button", name="Stop", exact=True).click()
        confirm = page.get_by_role("dialog", name="Stop second?")
        await expect(confirm).to_contain_text("Nobody is watching.")
        await confirm.get_by_role("button", name="Stop").click()
        await expect(page.get_by_role("status")).to_have_text("second is stopped.")
        await expect(page.locator("#tabs button")).to_have_count(1)
        assert [stream.name for stream in site.streams] == ["live"]


async def test_a_server_without_streams_invites_to_start_one(browser: Browser, site: Site) -> None:
    async with serving(site.hello, source=("none",)) as empty, looking(browser, empty) as page:
        await expect(page.get_by_role("heading", name="Nothing is streaming")).to_be_visible()
        await expect(page.locator("#stream")).to_be_hidden()


async def test_a_failed_source_says_why_and_can_be_removed(browser: Browser, site: Site) -> None:
    reason = "the camera /dev/video0 is gone; plug it in and start the source again"
    async with serving(site.hello, fps=5) as failing, looking(browser, failing) as page:
        await expect(page.locator("#stream-reason")).to_be_hidden()
        failing.stream()._fail(reason)
        await expect(page.locator("#stream-reason")).to_have_text(
            "The camera /dev/video0 is gone; plug it in and start the source again."
        )
        await expect(page.locator("#stream-state")).to_have_text("ended")
        await expect(page.get_by_role("button", name="Force intra frame")).to_be_hidden()
        await page.get_by_role("button", name="Remove").click()
        await page.get_by_role("dialog").get_by_role("button", name="Remove").click()
        await expect(page.get_by_role("heading", name="Nothing is streaming")).to_be_visible()


async def test_a_token_is_asked_for_and_kept_for_the_tab(browser: Browser, site: Site) -> None:
    async with (
        serving(site.hello, source=("none",), token="look", manage_token="touch") as guarded,
        looking(browser, guarded, faults=("401",)) as page,
    ):
        dialog = page.get_by_role("dialog", name="This server wants a token")
        await dialog.get_by_label("Token").fill("wrong")
        await dialog.get_by_role("button", name="Continue").click()
        await expect(dialog.get_by_role("alert")).to_contain_text("This server wants a token")
        await dialog.get_by_label("Token").fill("look")
        await dialog.get_by_role("button", name="Continue").click()
        await expect(dialog).to_be_hidden()
        await expect(page.locator("#server")).to_contain_text("Version")
        await expect(page.get_by_role("button", name="Start a source")).to_have_count(0)
        await page.reload()
        await expect(page.locator("#server")).to_contain_text("Version")
        await page.get_by_role("button", name="Token").click()
        await dialog.get_by_label("Token").fill("touch")
        await dialog.get_by_role("button", name="Continue").click()
        await expect(page.get_by_role("button", name="Start a source").first).to_be_visible()
        assert await page.evaluate("JSON.stringify([localStorage.length, sessionStorage.length])") == "[0,1]"


async def test_a_server_that_goes_away_is_waited_for(browser: Browser, site: Site) -> None:
    async with serving(site.hello, source=("none",)) as first:
        port = int(first.url.rsplit(":", 1)[1])
        context = await browser.new_context()
        page = await context.new_page()
        await page.goto(first.url)
        await expect(page.locator("#server")).to_contain_text("Version")
    await expect(page.get_by_role("alert")).to_contain_text("Trying again.")
    async with serving(site.hello, source=("none",), port=port) as second:
        assert second.url == first.url
        await expect(page.locator("#banner")).to_be_hidden()
    await context.close()
