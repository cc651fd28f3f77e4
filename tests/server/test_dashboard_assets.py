"""The page's files: all there, all ours, nothing from elsewhere."""

import re
from pathlib import Path

import pytest

from server.dashboard.assets import CONTENT_SECURITY_POLICY, STATIC, TYPES, Assets
from tests.server.dashboard_double import serving

FILES = sorted(path for path in STATIC.rglob("*") if path.is_file())
# A name space is no address, and a licence's header is no request.
HARMLESS = re.compile(r'xmlns="http://www\.w3\.org/2000/svg"|https://github\.com/leeoniya/uPlot \(v')


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(STATIC).as_posix())
def test_no_file_asks_for_anything_elsewhere(path: Path) -> None:
    text = HARMLESS.sub("", path.read_text())
    assert not re.findall(r"https?://[^\s'\"`]+", text)
    assert not re.findall(r"""["'(]//\w""", text)
    assert path.suffix in TYPES


def test_every_file_that_is_named_is_there() -> None:
    named = set(re.findall(r'@assets@/([\w./-]+)"', (STATIC / "index.html").read_text()))
    for script in STATIC.glob("*.js"):
        named |= set(re.findall(r'from "\./([\w./-]+)"', script.read_text()))
    assert len(named) > 10
    assert {name for name in named if not (STATIC / name).is_file()} == set()
    ours = {path.relative_to(STATIC).as_posix() for path in FILES if path.suffix in (".js", ".css", ".svg")}
    assert ours == named, "a file that nobody loads"


def test_nothing_in_the_page_runs_inline() -> None:
    page = (STATIC / "index.html").read_text()
    assert not re.findall(r"<script(?![^>]*\bsrc=)", page)
    assert not re.findall(r"\son\w+=|\sstyle=|<style", page)
    assert "unsafe" not in CONTENT_SECURITY_POLICY


def test_every_field_and_button_has_a_name() -> None:
    page = (STATIC / "index.html").read_text()
    labelled = set(re.findall(r'<label for="([\w-]+)"', page))
    for field in re.findall(r"<input[^>]*>", page):
        found = re.search(r'id="([\w-]+)"', field)
        assert found
        assert found.group(1) in labelled, field
    for attributes, text in re.findall(r"<button([^>]*)>(.*?)</button>", page, re.S):
        assert re.sub(r"<[^>]*>", "", text).strip() or "aria-label=" in attributes


def luminance(colour: str) -> float:
    """Of a colour such as #1a2129, as WCAG 2.2 defines it."""
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_text_stands_out_from_its_ground(theme: str) -> None:
    block = re.search(rf'data-theme="{theme}"\] {{(.*?)}}', (STATIC / "app.css").read_text(), re.S)
    assert block
    colours = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", block.group(1)))
    grounds = {
        "page": ("text", "muted"),
        "card": ("text", "muted", "accent", "danger", "good", "warn"),
        "hover": ("text", "muted", "good", "warn"),
        "field": ("text", "muted"),
        "accent": ("on-accent",),
        "danger-ground": ("danger",),
        "warn-ground": ("warn",),
        "good-ground": ("good",),
    }
    for ground, texts in grounds.items():
        for text in texts:
            darker, lighter = sorted((luminance(colours[text]), luminance(colours[ground])))
            assert (lighter + 0.05) / (darker + 0.05) >= 4.5, f"{text} on {ground}"


@pytest.mark.asyncio
async def test_files_may_be_kept_for_ever_and_the_page_never() -> None:
    async with serving(token="secret") as running:
        client = running.client
        page = await client.get("/")
        assert page.status == 200, "a page without a token asks for one"
        assert page.headers["Cache-Control"] == "no-cache"
        base = Assets().base
        assert f'src="{base}/app.js"' in await page.text()
        for name in ("app.js", "app.css", "vendor/uPlot.iife.min.js", "vendor/uPlot.LICENSE", "icon.svg"):
            response = await client.get(f"{base}/{name}")
            assert (response.status, "immutable" in response.headers["Cache-Control"]) == (200, True)
            assert response.headers["X-Content-Type-Options"] == "nosniff"
            assert response.headers["Content-Security-Policy"] == CONTENT_SECURITY_POLICY
        assert (await client.get("/dashboard/000000000000/app.js")).status == 404
        assert (await client.get(f"{base}/../app.py")).status == 404
        assert (await client.get(f"{base}/nothing.js")).status == 404


def test_another_file_is_another_version(tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text("@assets@")
    (tmp_path / "a.js").write_text("1")
    before = Assets(tmp_path).version
    (tmp_path / "a.js").write_text("2")
    assert Assets(tmp_path).version != before
