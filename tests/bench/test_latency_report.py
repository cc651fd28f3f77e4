"""What a measurement leaves behind: a page that needs nobody, a trace that Perfetto reads, data that round-trips."""

import csv
import json
import re
import shutil
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from bench.latency import findings
from bench.latency.document import FILES, prepare_folder, write_all
from bench.latency.page import page
from bench.latency.pairing import pair
from bench.latency.schema import LatencyDocument, read_document
from bench.latency.trace import trace_events
from latentcast.errors import UserError
from latentcast.report import STAGES
from tests.bench.latency_samples import OFFSET_US, document, frame

SECTIONS = (
    "agreement",
    "stages",
    "frame",
    "time",
    "histogram",
    "conditions",
    "input",
    "camera",
    "clock",
    "reading",
    "machine",
)
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


class Page(HTMLParser):
    """Elements and their attributes; complains of tags that are never closed."""

    VOID = ("meta", "input", "link", "br", "img")

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: dict[str, str] = {}
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert not self._open, f"never closed: {self._open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self._open and self._open[-1] == "script":
            self.texts[self.elements[-1][1].get("id") or "code"] = data


@pytest.mark.parametrize("full", [True, False])
def test_the_page_is_one_file_that_loads_nothing(full: bool) -> None:
    made, _ = document(full=full)
    text = page(made)
    parsed = Page(text)
    for tag, attributes in parsed.elements:
        assert not {"src", "href", "srcset", "action", "poster"} & set(attributes), (tag, attributes)
        assert tag not in ("link", "iframe", "base", "object", "embed")
    outside = text.replace(parsed.texts["data"], "")
    assert not re.search(r"https?://|url\((?!#)|@import|\bfetch\(|XMLHttpRequest|\bimport\b", outside)
    ids = [attributes["id"] for _, attributes in parsed.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert [name for tag, attributes in parsed.elements if tag == "section" for name in [attributes["id"]]] == list(
        SECTIONS
    )
    assert LatencyDocument.model_validate_json(parsed.texts["data"]) == made


def test_every_file_is_written_and_says_the_same(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "folder"
    prepare_folder(folder)
    made, pairs = document(full=True)
    write_all(folder, made, pairs)
    assert {path.name for path in folder.iterdir()} == set(FILES)
    assert read_document(folder / "latency.json") == made
    with (folder / "frames.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == made.timestamps.frames
    for row in rows:
        assert sum(float(row[f"{stage}_ms"]) for stage in STAGES) == pytest.approx(float(row["total_ms"]), abs=0.002)
    assert rows[0]["pixels_ms"] == "", "no grab shows every tenth frame"
    prepare_folder(folder)
    assert not list(folder.iterdir()), "an old result never passes for a new one"


def test_a_folder_that_cannot_be_made_is_said_before_measuring(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="--out"):
        prepare_folder(tmp_path / "file" / "folder")


def check_trace(events: list[dict[str, Any]]) -> None:
    """The rules of the trace event format that viewers rely on."""
    open_flows: dict[int, list[str]] = {}
    ends: dict[tuple[int, int], float] = {}
    named = {(event["pid"], event["tid"]) for event in events if event["name"] == "thread_name"}
    processes = {event["pid"] for event in events if event["name"] == "process_name"}
    slices = [event for event in events if event["ph"] == "X"]
    for event in events:
        assert {"ph", "name", "pid", "tid", "ts"} <= set(event)
        assert event["ph"] in ("X", "M", "s", "t", "f")
        assert isinstance(event["pid"], int)
        assert isinstance(event["tid"], int)
        assert event["ts"] >= 0
        if event["ph"] == "M":
            assert event["name"] in ("process_name", "process_sort_index", "thread_name", "thread_sort_index")
            continue
        assert event["pid"] in processes
        assert (event["pid"], event["tid"]) in named
        if event["ph"] == "X":
            assert event["dur"] >= 0
            track = event["pid"], event["tid"]
            assert event["ts"] >= ends.get(track, 0.0) - 1e-6, "slices of a thread must not overlap"
            ends[track] = event["ts"] + event["dur"]
        else:
            open_flows.setdefault(event["id"], []).append(event["ph"])
            assert any(
                (one["pid"], one["tid"]) == (event["pid"], event["tid"])
                and one["ts"] <= event["ts"] <= one["ts"] + one["dur"]
                for one in slices
                if one["args"]["frame"] == event["id"]
            ), "a flow binds to a slice of its thread"
            assert event["ph"] != "f" or event["bp"] == "e"
    for phases in open_flows.values():
        assert phases[0] == "s"
        assert phases[-1] == "f"
        assert set(phases[1:-1]) == {"t"}


def test_the_trace_has_every_frame_in_every_stage(tmp_path: Path) -> None:
    made, pairs = document(full=False)
    events = trace_events(made.frames, pairs)
    check_trace(events)
    for stage in STAGES:
        assert sum(event.get("cat") == stage for event in events) == made.timestamps.frames
    assert sum(event.get("cat") == "visible" for event in events) == len(pairs.pairs)
    first = pairs.pairs[0]
    shown = next(e for e in events if e.get("cat") == "visible" and e["args"]["frame"] == first.frame.number)
    origin_us = min(made.frames.captured_us)
    assert shown["ts"] == first.sighting.after_us + OFFSET_US - origin_us, "all on the server's clock"
    present = next(e for e in events if e.get("cat") == "present" and e["args"]["frame"] == first.frame.number)
    total_us = first.frame.captured_us - origin_us + 1e3 * first.frame.total_ms
    assert present["ts"] + present["dur"] == pytest.approx(total_us, abs=2)
    write_all(tmp_path, made, pairs)
    written = json.loads((tmp_path / "trace.json").read_text())
    assert written["traceEvents"] == json.loads(json.dumps(events))
    assert written["otherData"]["clock_error_ms"] == made.timestamps.clock_error_ms


def test_frames_that_are_in_a_stage_at_once_get_lanes_of_their_own() -> None:
    """A decoder that is behind: three frames wait for it at any time."""
    late = [replace(frame(i), stages_ms=(2.0, 12.0, 14.0, 0.5, 90.0, 9.0, 2.5)) for i in range(20)]
    events = trace_events(findings.columns(late, pair(late, [])), pair(late, []))
    check_trace(events)
    threads = [event["args"]["name"] for event in events if event["name"] == "thread_name"]
    assert [name for name in threads if name.startswith("queue")] == ["queue", "queue (2)", "queue (3)"]
    assert not [name for name in threads if name.startswith("visible")], "nobody looked at the screen"


@pytest.mark.browser
@pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium")
def test_a_browser_draws_it_from_the_file(tmp_path: Path) -> None:
    playwright = pytest.importorskip("playwright.sync_api")
    made, pairs = document(full=True)
    write_all(tmp_path, made, pairs)
    errors: list[str] = []
    requests: list[str] = []
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        try:
            for width, scheme in ((1280, "light"), (400, "dark")):
                view = browser.new_page(viewport={"width": width, "height": 800}, color_scheme=scheme)
                view.on("pageerror", lambda error: errors.append(str(error)))
                view.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
                view.on("request", lambda request: requests.append(request.url))
                view.goto((tmp_path / "latency.html").as_uri())
                for chart in view.locator(".chart").all():
                    shapes = chart.locator("path, rect, circle, line").count()
                    assert shapes > 3, chart.get_attribute("id")
                assert view.evaluate("document.documentElement.scrollWidth <= innerWidth"), "nothing sticks out"
                assert "NaN" not in view.locator("main").inner_html()
                assert view.locator("#number").inner_text().startswith(f"{made.headline.ms:.1f}")
                assert "They agree" in view.locator("#verdict").inner_text()
                assert "<b>a processor" in view.locator("#facts").inner_text(), "data is text, never markup"
                before = view.locator("#frame-text").inner_text()
                view.locator("#frame-slowest").click()
                assert view.locator("#frame-text").inner_text() != before
                with view.expect_download() as download:
                    view.locator("#save-json").click()
                assert read_document(Path(download.value.path())) == made
        finally:
            browser.close()
    assert errors == []
    assert [url for url in requests if not url.startswith(("file:", "blob:"))] == []
