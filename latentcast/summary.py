"""What the terminal shows: the summary of a report, and a progress bar."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from latentcast.report import Report

T = TypeVar("T")


def summary_table(report: Report) -> Table:
    """The report's main figures."""
    table = Table(title=f"{report.stream}: {report.width}x{report.height}, {report.profile}, {report.presenter}")
    table.add_column("measured")
    table.add_column("value", justify="right")
    frames, total = report.frames, report.latency_ms.total
    share = 100 * frames.presented / frames.captured if frames.captured else 0.0
    table.add_row("presented", f"{report.fps_presented:.1f} fps for {report.seconds:.1f} s")
    table.add_row("frames presented / captured", f"{frames.presented} / {frames.captured} ({share:.1f} %)")
    table.add_row("within 250 ms of capture", f"{frames.in_time}, longest stall {report.longest_stall_ms:.0f} ms")
    table.add_row(
        "intra / intact / damaged / lost frames",
        f"{frames.intra} / {frames.intact} / {frames.damaged} / {frames.lost}",
    )
    table.add_row(
        "latency, capture to display",
        f"p50 {total.p50:.0f}, p95 {total.p95:.0f}, p99 {total.p99:.0f}, max {total.max:.0f} ms",
    )
    stages = ", ".join(f"{name} {stage.p50:.1f}" for name, stage in report.latency_ms.stages.items())
    table.add_row("its stages, p50", f"{stages} ms")
    table.add_row("clock error, round trip", f"{report.clock_error_ms:.2f} ms, {report.rtt_ms:.2f} ms")
    table.add_row(
        "bitrate, target", f"{report.bitrate_bps.sent / 1e3:.0f}, {report.bitrate_bps.target / 1e3:.0f} kbit/s"
    )
    table.add_row("QP", f"mean {report.qp.mean:.1f}, {report.qp.min} to {report.qp.max}")
    table.add_row("packet loss", f"{100 * report.loss:.2f} %")
    repair = report.repair
    table.add_row(
        "parity / rebuilt / sent again / probes",
        f"{repair.parity} / {repair.recovered} / {repair.resent} / {repair.probes} packets",
    )
    if report.psnr_y_db is not None:
        psnr = report.psnr_y_db
        table.add_row("PSNR-Y, presented to captured", f"mean {psnr.mean:.2f}, min {psnr.min:.2f} dB")
    if report.sound is not None:
        sound, late = report.sound, report.sound.sync_ms
        table.add_row("sound after picture", f"p50 {late.p50:.0f}, p95 {late.p95:.0f} ms, {sound.underruns} holes")
    lag = report.loop_lag_ms
    table.add_row("event loop lag", f"p50 {lag.p50:.1f}, p99 {lag.p99:.1f}, max {lag.max:.1f} ms")
    memory = report.memory_mb
    table.add_row("memory, server / viewer", f"{memory.server.end:.0f} / {memory.client.end:.0f} MB")
    first = report.first_picture_s
    table.add_row("first picture", "-" if first is None else f"{first:.1f} s after the viewer's start")
    return table


def print_summary(report: Report, *, folder: Path | None, to_stderr: bool = False) -> None:
    """The table, and where the files are."""
    console = Console(stderr=to_stderr)
    console.print(summary_table(report))
    if folder is not None:
        names = [path for path in ("report.json", "latency.png", "still.png", "frames.csv") if (folder / path).exists()]
        console.print(f"In {folder}/: {', '.join(names)}", highlight=False)


class ProgressBar:
    """Wraps an iterable of frames: `for frame in bar(frames, total=n)`. Shown on a terminal only."""

    def __init__(self, what: str) -> None:
        self._what = what

    def __call__(self, items: Iterable[T], *, total: int | None) -> Iterator[T]:
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
            task = progress.add_task(self._what, total=total)
            for item in items:
                yield item
                progress.advance(task)
