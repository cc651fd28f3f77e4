"""What `bench whip` prints and writes; that it measures is the business of the tests in Chromium."""

import json
from pathlib import Path

import pytest
from rich.console import Console

from bench.whip import command
from bench.whip.command import Figures, met, run, table, write_json
from latentcast.errors import UserError
from latentcast.report import STAGES
from latentcast.statistics import percentiles


def figures(*, p50_ms: float = 100.0, first_s: float = 0.5, barcode: bool = False) -> Figures:
    spread = percentiles([p50_ms, p50_ms, p50_ms + 50])
    return Figures(
        picture="bar code" if barcode else "camera",
        first_picture_s=first_s,
        publishing_s=0.3,
        pictures=3,
        fps=30.0,
        timestamps_ms=spread,
        stages_p50_ms=dict.fromkeys(STAGES, 5.0),
        pixels_ms=spread if barcode else None,
        difference_ms=percentiles([1.0]) if barcode else None,
        clock_error_ms=0.4 if barcode else 0.0,
    )


def test_the_goals_are_about_the_camera() -> None:
    assert met(figures(p50_ms=250, first_s=3.0))
    assert not met(figures(p50_ms=251))
    assert not met(figures(first_s=3.1))


def test_table_and_file_hold_both_publishers(tmp_path: Path) -> None:
    found = [figures(), figures(barcode=True)]
    console = Console(width=120)
    with console.capture() as printed:
        console.print(table(found))
    assert "p50 100, p95 150, max 150 ms" in printed.get()
    assert all(stage in printed.get() for stage in STAGES)
    write_json(tmp_path / "whip.json", found, {"fps": 30})
    written = json.loads((tmp_path / "whip.json").read_text())
    assert [publisher["picture"] for publisher in written["publishers"]] == ["camera", "bar code"]
    assert written["goals"]["met"]
    assert written["publishers"][1]["difference_ms"]["p50"] == 1.0
    with pytest.raises(UserError, match="cannot be written"):
        write_json(tmp_path / "none" / "whip.json", found, {})


@pytest.mark.parametrize(
    ("browser", "size", "codec", "says"),
    [
        (None, (640, 360), "", "install chromium"),
        ("/usr/bin/chromium", (640, 360), "AV1", "expected VP8 or H264"),
        ("/usr/bin/chromium", (320, 180), "", "640 wide or more"),
    ],
)
def test_what_cannot_be_measured_is_said_first(
    monkeypatch: pytest.MonkeyPatch, browser: str | None, size: tuple[int, int], codec: str, says: str
) -> None:
    monkeypatch.setattr(command, "find_browser", lambda: browser)
    with pytest.raises(UserError, match=says):
        run(size=size, fps=30, seconds=2, codec=codec, json=None)
