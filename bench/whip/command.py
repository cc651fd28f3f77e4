"""Server, viewer and browser together, the table and the file of what was measured."""

import asyncio
import json as jsonlib
import tempfile
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from bench.load.browser import find_browser
from bench.whip.publishing import publisher
from bench.whip.watching import Watcher
from client.measurement import describe_machine
from latentcast.errors import LatentcastError, UserError
from latentcast.report import STAGES, Percentiles
from latentcast.server_process import ServerProcess
from latentcast.statistics import percentiles

STREAM = "bench"
SETTLE_S = 3.0
"""The browser's and our bandwidth estimates climb: not counted in the delays."""
GOAL_P50_MS, GOAL_FIRST_S = 250.0, 3.0


@dataclass(frozen=True, slots=True)
class Figures:
    """Of one kind of publisher."""

    picture: str
    """`camera` or `bar code`."""
    first_picture_s: float
    """From the click on Start to the first picture at a viewer that waits."""
    publishing_s: float
    """From the click until the page says that it publishes."""
    pictures: int
    fps: float
    timestamps_ms: Percentiles
    """From the browser's capture (docs/publish.md) to presented."""
    stages_p50_ms: dict[str, float]
    """Of the whole run, after the server had the picture."""
    pixels_ms: Percentiles | None
    """The same by the time in the picture; None without a bar code."""
    difference_ms: Percentiles | None
    """Pixels minus timestamps, picture by picture: what the timestamps leave out."""
    clock_error_ms: float
    """Of the times in the bar code."""


async def _one(browser: str, *, barcode: bool, size: tuple[int, int], fps: int, seconds: float, codec: str) -> Figures:
    flags = ["--port", "0", "--stream", STREAM, "--source", "whip", "--size", f"{size[0]}x{size[1]}", "--fps", str(fps)]
    with ServerProcess(flags) as server, tempfile.TemporaryDirectory() as folder:
        url = await asyncio.to_thread(server.url)
        watcher = Watcher(url, STREAM)
        watching = asyncio.create_task(watcher.run(), name="viewer")
        try:
            await watcher.connected()
            async with publisher(
                browser, url, stream=STREAM, size=size, fps=fps, barcode=barcode, codec=codec
            ) as started:
                watcher.seen.after_s = started.clicked_s
                await asyncio.sleep(SETTLE_S)
                first = watcher.seen.first_s
                if first is None:
                    raise LatentcastError(f"no picture came out within {SETTLE_S:.0f} s of publishing.")
                seen = watcher.seen = type(watcher.seen)(after_s=started.clicked_s)
                await asyncio.sleep(seconds)
        finally:
            watcher.stop()
            await asyncio.wait([watching])
        report = await asyncio.to_thread(watcher.report, Path(folder))
    if not seen.all_ms or (barcode and not seen.pixels_ms):
        raise LatentcastError(
            "pictures came out, but none with a readable bar code." if seen.all_ms else "no pictures."
        )
    apart = [pixels - stamped for pixels, stamped in zip(seen.pixels_ms, seen.timestamps_ms, strict=True)]
    return Figures(
        picture="bar code" if barcode else "camera",
        first_picture_s=first - started.clicked_s,
        publishing_s=started.live_s,
        pictures=len(seen.all_ms),
        fps=len(seen.all_ms) / seconds,
        timestamps_ms=percentiles(seen.all_ms),
        stages_p50_ms={stage: report.latency_ms.stages[stage].p50 for stage in STAGES},
        pixels_ms=percentiles(seen.pixels_ms) if barcode else None,
        difference_ms=percentiles(apart) if barcode else None,
        clock_error_ms=started.clock_error_ms,
    )


def run(*, size: tuple[int, int], fps: int, seconds: float, codec: str, json: Path | None) -> None:
    """Measure both, print the table, write the file. Raises UserError without a browser, LatentcastError."""
    browser = find_browser()
    if browser is None:
        raise UserError("bench whip drives Chromium, and none was found; install chromium and the package playwright.")
    if codec not in ("", "VP8", "H264"):
        raise UserError(f"there is no codec {codec!r} for publishing; expected VP8 or H264.")
    if size[0] < 640:
        raise UserError(f"the bar code of this bench needs pictures 640 wide or more, not {size[0]}x{size[1]}.")
    found = [
        asyncio.run(_one(browser, barcode=barcode, size=size, fps=fps, seconds=seconds, codec=codec))
        for barcode in (False, True)
    ]
    console = Console()
    console.print(table(found))
    camera, coded = found
    assert coded.difference_ms is not None
    console.print(
        f"Goals: p50 <= {GOAL_P50_MS:.0f} ms, first picture <= {GOAL_FIRST_S:.0f} s with the camera: "
        f"{'met' if met(camera) else 'missed'}. Pixels say {coded.difference_ms.p50:+.1f} ms beside timestamps (p50), "
        f"clock error {coded.clock_error_ms:.1f} ms.",
        highlight=False,
    )
    if json is not None:
        write_json(json, found, {"size": list(size), "fps": fps, "seconds": seconds, "codec": codec or "automatic"})


def met(camera: Figures) -> bool:
    """The goals, by the figures of the camera."""
    return camera.timestamps_ms.p50 <= GOAL_P50_MS and camera.first_picture_s <= GOAL_FIRST_S


def table(found: list[Figures]) -> Table:
    """A column for each kind of publisher."""
    rows = Table("", *(figures.picture for figures in found))
    for column in rows.columns[1:]:
        column.justify = "right"

    def add(name: str, *cells: str) -> None:
        rows.add_row(name, *cells)

    add("first picture after Start", *(f"{f.first_picture_s:.2f} s" for f in found))
    add("pictures, a second", *(f"{f.pictures}, {f.fps:.1f}" for f in found))
    add("capture to presented, timestamps", *(_in_ms(f.timestamps_ms) for f in found))
    add("the same, by the pixels", *(_in_ms(f.pixels_ms) for f in found))
    add("pixels - timestamps", *(_in_ms(f.difference_ms) for f in found))
    for stage in STAGES:
        add(f"  {stage}, p50", *(f"{f.stages_p50_ms[stage]:.1f} ms" for f in found))
    return rows


def write_json(path: Path, found: list[Figures], about: dict[str, object]) -> None:
    """Everything that was measured. Raises UserError when the file cannot be written."""
    record = about | {
        "machine": describe_machine().model_dump(),
        "goals": {"p50_ms": GOAL_P50_MS, "first_picture_s": GOAL_FIRST_S, "met": met(found[0])},
        "publishers": [
            {name: value.model_dump() if isinstance(value, Percentiles) else value for name, value in _plain(f).items()}
            for f in found
        ],
    }
    try:
        path.write_text(jsonlib.dumps(record, indent=2) + "\n")
    except OSError as error:
        raise UserError(f"{path} cannot be written ({error.strerror}); choose another place.") from error


def _plain(figures: Figures) -> dict[str, object]:
    return {name: getattr(figures, name) for name in figures.__dataclass_fields__}


def _in_ms(p: Percentiles | None) -> str:
    return "" if p is None else f"p50 {p.p50:.0f}, p95 {p.p95:.0f}, max {p.max:.0f} ms"
