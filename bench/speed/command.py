"""`latentcast bench speed`: measure, show, write."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from bench.rd.tables import Table
from bench.speed.candidates import Candidate, Size, choose_candidates
from bench.speed.ceilings import measure_ceilings
from bench.speed.document import write_json, write_markdown
from bench.speed.entropy import measure_entropy
from bench.speed.growth import measure_growth
from bench.speed.results import EngineResult, Results
from bench.speed.roofline import FrameKind
from bench.speed.stages import clip, measure, measure_stages
from bench.speed.tables import (
    all_tables,
    ceilings_table,
    default_table,
    entropy_table,
    growth_table,
    module_tables,
    stages_table,
)
from client.measurement import describe_machine
from codec.profiles import open_encoder
from codec.quality_cycle import inter_row
from latentcast.errors import UserError

SLOW_SIZE: Size = (320, 180)
"""Where an engine takes the better part of a second for a frame that others code in real time."""

_COLUMNS = 100


@dataclass(frozen=True, slots=True)
class _Effort:
    """Frames of each kind of measurement, of fast engines and slow ones; the largest picture of `growth`."""

    stages: int
    modules: int
    growth: int
    slow: int
    largest: int


_FULL = _Effort(stages=40, modules=20, growth=8, slow=5, largest=1280 * 720)
_QUICK = _Effort(stages=10, modules=6, growth=3, slow=2, largest=640 * 360)


def run(
    *,
    size: Size,
    frames: int,
    qp: int,
    json: Path | None = None,
    markdown: Path | None = None,
    plot: Path | None = None,
    profiles: Sequence[str] = (),
    engines: Sequence[str] = (),
    weights_image: Path | None = None,
    weights_video: Path | None = None,
    slow_size: Size = SLOW_SIZE,
    intra: bool = False,
    quick: bool = False,
) -> None:
    """Measure, print each table as it is done, and write the files asked for.

    size: of the pictures, (width, height); slow_size: instead, of engines that take the better part of a second.
    frames: of the first table. profiles, engines: names; none means all. intra: tables of intra frames' modules too.
    quick: fewer frames and sizes, for a look. Raises UserError.
    """
    effort = _QUICK if quick else _FULL
    chosen = choose_candidates(profiles=profiles, engines=engines, checkpoints=(weights_image, weights_video))
    runnable = [candidate for candidate in chosen if candidate.reason is None]
    missing = [candidate for candidate in chosen if candidate.reason is not None]
    console = Console(highlight=False, markup=False)
    if not console.is_terminal:
        console.width = _COLUMNS
    nano = any(candidate.profile == "nano" for candidate in runnable)
    speed = measure(size=size, frames=min(frames, effort.stages) if quick else frames, qp=qp) if nano else None
    entropy = measure_entropy(_coded_frame(size, qp)) if nano else []
    if speed is not None:
        _show(console, default_table(speed))
        _show(console, entropy_table(entropy))
    notes = _notes(missing)
    for note in notes:
        console.print(f"* {note}")
    console.print()
    ceilings = measure_ceilings()
    _show(console, ceilings_table(ceilings))
    kinds: tuple[FrameKind, ...] = ("P", "I") if intra else ("P",)
    found: list[EngineResult] = []
    for candidate in runnable:
        with console.status(f"measuring {candidate.name}"):
            found.append(_measure_engine(candidate, slow_size if candidate.slow else size, qp, effort, kinds))
        for table in module_tables(found[-1], ceilings):
            _show(console, table)
    if found:
        _show(console, stages_table(found))
    if growth := growth_table(found):
        _show(console, growth)
    results = Results(qp, speed, entropy, ceilings, found, missing)
    if plot is not None:
        _plot(results, plot)
    if markdown is not None:
        write_markdown(all_tables(results), notes, markdown, plot=plot)
    if json is not None:
        write_json(results, json)
    if not found:
        raise UserError("none of the engines asked for can run here: see the reasons above.")


def _measure_engine(
    candidate: Candidate, size: Size, qp: int, effort: _Effort, kinds: Sequence[FrameKind]
) -> EngineResult:
    opened = candidate.open()
    width, height = size
    slow = candidate.slow
    stages = measure_stages(
        opened.encoder(width=width, height=height),
        opened.decoder(width=width, height=height),
        qp=qp,
        frames=effort.slow if slow else effort.stages,
        warm_up=1 if slow else min(10, effort.stages),
        intra_frames=2 if slow else 5,
    )
    networks = opened.modules(clip(width, height), qp=qp, frames=effort.slow if slow else effort.modules, kinds=kinds)
    sizes = [each for each in candidate.growth_sizes if each[0] * each[1] <= effort.largest]
    growth = measure_growth(opened, sizes, qp=qp, frames=min(3, effort.slow) if slow else effort.growth)
    return EngineResult(candidate, stages, networks, growth)


def _coded_frame(size: Size, qp: int) -> bytes:
    """The second P frame of the clip, coded with `nano`."""
    encoder = open_encoder(width=size[0], height=size[1])
    pictures = clip(*size)
    state, frame = encoder.encode(None, pictures[0], qp=qp, frame_id=0)
    for number in (1, 2):
        state, frame = encoder.encode(state, pictures[number], qp=inter_row(qp, number), frame_id=number)
    return frame.data


def _notes(missing: Sequence[Candidate]) -> list[str]:
    machine = describe_machine()
    notes = [
        f"{machine.cpu}, {machine.cores} cores, {machine.system}, Python {machine.python}, "
        f"ONNX Runtime {machine.onnxruntime}; one thread each"
    ]
    return notes + [f"not measured: {candidate.name}: {candidate.reason}" for candidate in missing]


def _show(console: Console, table: Table) -> None:
    console.print(table.rich())
    for note in table.notes:
        console.print(f"* {note}")
    console.print()


def _plot(results: Results, path: Path) -> None:
    # Not at the top: it needs the library that draws the window.
    from bench.speed.plot import Curve, plot_growth

    machine = describe_machine()
    curves = [Curve(engine.candidate.name, engine.growth) for engine in results.engines]
    plot_growth(
        path,
        curves,
        title="Time of a P frame against picture size",
        subtitle=f"{machine.cpu}, one thread, base QP {results.qp}, from planes to bytes and back, medians",
    )
