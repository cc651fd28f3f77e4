"""`latentcast bench loss`: measure, show, write."""

import shlex
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from rich.console import Console

from bench.loss.document import Report, write_json, write_markdown
from bench.loss.results import curves
from bench.loss.series import ALL_SERIES, LOSSES, WARM_UP_S, Plan, measure
from bench.loss.tables import all_tables
from codec.profiles import Profile, open_codec
from latentcast.demo import CLIPS_FOLDER
from latentcast.errors import UserError
from latentcast.summary import ProgressBar

DEFAULT_CLIPS = tuple(CLIPS_FOLDER / name for name in ("flower.mp4", "signing.mkv"))
DEFAULT_SIZE = (480, 272)
DEFAULT_SECONDS = 4.0
DEFAULT_RATE_BPS = 600_000.0

_FILE_COLUMNS = 120


def run(
    *,
    clips: Sequence[Path] = (),
    size: tuple[int, int] | None = None,
    seconds: float = DEFAULT_SECONDS,
    rate_bps: float = DEFAULT_RATE_BPS,
    losses: Sequence[float] = (),
    seeds: int = 1,
    json: Path | None = None,
    markdown: Path | None = None,
    plot: Path | None = None,
    jobs: int | None = None,
    warm_up_s: float = WARM_UP_S,
) -> None:
    """Stream each clip with each codec through each loss rate, print the tables, and write the files asked for.

    clips: videos, by default two of the demo clips; played forth and back. size: what they are shrunk to fit. seconds:
    of each, after `warm_up_s` that do not count. rate_bps: of all that is sent. losses: shares 0..1, by default 0 to
    0.3. seeds: runs of each with other losses. jobs: processes, by default one per core. Raises UserError.
    """
    # Not "loss < 0 or loss >= 1", which what is no number passes.
    if wrong := [loss for loss in losses if not 0 <= loss < 1]:
        raise UserError(f"a loss of {100 * wrong[0]:g} % cannot be simulated; expected 0 to less than 100 %.")
    clips = tuple(clips) or DEFAULT_CLIPS
    if missing := [clip for clip in clips if not clip.is_file()]:
        raise UserError(f"there is no file {missing[0]}: check the name.")
    chosen = tuple(sorted(set(losses))) or LOSSES
    plan = Plan(
        clips=clips,
        size=size or DEFAULT_SIZE,
        seconds=seconds,
        rate_bps=rate_bps,
        losses=chosen,
        seeds=tuple(range(1, seeds + 1)),
        warm_up_s=warm_up_s,
    )
    total = len(ALL_SERIES) * len(chosen) * len(clips) * seeds
    steps: Iterator[int] = iter(ProgressBar("measuring")(range(total), total=total))

    def step() -> None:
        next(steps, None)

    runs = measure(plan, jobs=jobs, done=step)
    step()
    command = shlex.join(["latentcast", *sys.argv[1:]])
    report = Report(command, plan, open_codec(Profile(device="cpu")).precision, runs, curves(runs))
    _show(report)
    if plot is not None:
        _plot(report, plot)
    if markdown is not None:
        write_markdown(report, markdown, plot=plot)
    if json is not None:
        write_json(report, json)


def parse_losses(text: str | None) -> tuple[float, ...]:
    """`0,1,2.5`, in per cent, as shares; none for None. Raises UserError."""
    if text is None:
        return ()
    try:
        percents = [float(part) for part in text.split(",")]
    except ValueError:
        raise UserError(f"the losses {text!r} were not understood; write per cents, such as 0,1,5,20.") from None
    return tuple(percent / 100 for percent in percents)


def _show(report: Report) -> None:
    console = Console(highlight=False, markup=False)
    if not console.is_terminal:
        console.width = _FILE_COLUMNS
    for line in report.conditions():
        console.print(f"* {line}")
    for table in all_tables(report.curves):
        console.print(table.rich())
        for note in table.notes:
            console.print(f"* {note}")
        console.print()


def _plot(report: Report, path: Path) -> None:
    # Not at the top: it needs the library that draws the window.
    from bench.loss.plot import plot_curves

    plan = report.plan
    names = ", ".join(clip.stem for clip in plan.clips)
    plot_curves(
        path,
        report.curves,
        title=f"Quality under loss at {plan.rate_bps / 1000:g} kbit/s",
        subtitle=f"{names} within {plan.size[0]}x{plan.size[1]}, round trip 60 ms, parity and repeats within the rate",
    )
