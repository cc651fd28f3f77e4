"""A headless Chromium, driven by playwright, where both are installed: pages as a person's browser shows them.

Only a browser that is on this machine is used; nothing is downloaded.
"""

import importlib.util
import shutil
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from playwright.async_api import Browser

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
# A container has no user namespaces and no GPU; and a browser under test calls nobody.
ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
)


def find_browser() -> str | None:
    """The path of a Chromium on this machine that can be driven; None when there is none."""
    if importlib.util.find_spec("playwright") is None:
        return None
    return next((path for name in NAMES if (path := shutil.which(name)) is not None), None)


@asynccontextmanager
async def running(executable: str, *, more: Sequence[str] = ()) -> AsyncIterator["Browser"]:
    """A browser without a window. more: arguments besides `ARGUMENTS`."""
    from playwright.async_api import async_playwright

    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=executable, args=[*ARGUMENTS, *more])
        try:
            yield browser
        finally:
            await browser.close()
