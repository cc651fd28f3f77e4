"""What is compared: codecs and repairs, loss rates, seeds; and the runs of all of them, in several processes.

Every series sees the same films, the same links with the same losses drawn from the same seeds, and chooses its parity
by the same rule from the loss that its sender measures.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from itertools import product
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

from bench.loss.ends import LiveCoder, LiveViewer
from bench.loss.film import Film, open_film
from bench.loss.nano_ends import NanoCoder, NanoViewer
from bench.loss.quality import Watched, watch
from bench.loss.simulation import REPAIRS, Conditions, Played, Repair, play
from bench.loss.x264_ends import X264Coder, X264Viewer
from codec.profiles import Profile, open_codec
from transport.deadline import PRESENTATION_DEADLINE_S
from transport.packetiser import MAX_SLICE_BYTES

Kind = Literal["nano", "x264", "x264 held"]
KINDS: tuple[Kind, ...] = ("nano", "x264", "x264 held")
LOSSES = (0.0, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3)
WARM_UP_S = 1.5
"""Start of each film that does not count: the sender measures the loss, the rate controller the content."""


@dataclass(frozen=True, slots=True)
class Series:
    """A line of the plot."""

    kind: Kind
    repair: Repair

    @property
    def name(self) -> str:
        """For tables."""
        return f"{self.kind}, {'no repair' if self.repair == 'none' else self.repair}"


ALL_SERIES = tuple(Series(kind, repair) for repair, kind in product(REPAIRS, KINDS))


@dataclass(frozen=True, slots=True)
class Plan:
    """A whole measurement. seconds: of each film that count; seeds: one run of each film for each."""

    clips: tuple[Path, ...]
    size: tuple[int, int]
    seconds: float
    rate_bps: float
    losses: tuple[float, ...] = LOSSES
    series: tuple[Series, ...] = ALL_SERIES
    seeds: tuple[int, ...] = (1,)
    deadline_s: float = PRESENTATION_DEADLINE_S
    warm_up_s: float = WARM_UP_S


@dataclass(frozen=True, slots=True)
class Run:
    """One film through one link."""

    series: Series
    loss: float
    clip: str
    seed: int
    fps: float
    watched: Watched
    packets: int
    bytes: int
    parity_bytes: int
    resent_bytes: int
    intra_frames: int


@dataclass(frozen=True, slots=True)
class _Task:
    """What travels to a process."""

    series: Series
    loss: float
    clip: Path
    seed: int
    plan: Plan


def measure(plan: Plan, *, jobs: int | None = None, done: Callable[[], None] = lambda: None) -> list[Run]:
    """Every series at every loss. jobs: processes, one per core by default; 1: this one only.

    Raises UserError for a clip that cannot be read or coded.
    """
    tasks = [
        _Task(series, loss, clip, seed, plan)
        for series, loss, clip, seed in product(plan.series, plan.losses, plan.clips, plan.seeds)
    ]
    jobs = min(jobs or os.cpu_count() or 1, len(tasks))
    runs = []
    for run in _spread(tasks, jobs):
        runs.append(run)
        done()
    return runs


def _spread(tasks: Sequence[_Task], jobs: int) -> Iterator[Run]:
    if jobs == 1:
        yield from map(_run, tasks)
        return
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
        yield from pool.map(_run, tasks)


def _run(task: _Task) -> Run:
    plan = task.plan
    with TemporaryDirectory(prefix="latentcast-loss-") as folder:
        film = open_film(task.clip, Path(folder), size=plan.size, seconds=plan.warm_up_s + plan.seconds)
        coder, viewer = _ends(task.series.kind, film, plan.rate_bps)
        conditions = Conditions(task.loss, plan.rate_bps, task.series.repair, task.seed, plan.deadline_s)
        skipped = round(plan.warm_up_s * film.fps)
        played: Played = play(film, coder, viewer, conditions, skipped=skipped)
        watched = watch(film, played.seen, deadline_s=plan.deadline_s, skipped=skipped)
    counts = (played.packets, played.bytes, played.parity_bytes, played.resent_bytes, played.intra_frames)
    return Run(task.series, task.loss, film.name, task.seed, film.fps, watched, *counts)


def _ends(kind: Kind, film: Film, rate_bps: float) -> tuple[LiveCoder, LiveViewer]:
    if kind == "nano":
        codec = open_codec(Profile(device="cpu"))
        encoder = codec.encoder(width=film.width, height=film.height, max_slice_bytes=MAX_SLICE_BYTES)
        decoder = codec.decoder(width=film.width, height=film.height)
        return NanoCoder(encoder, fps=film.fps), NanoViewer(decoder)
    coder = X264Coder(width=film.width, height=film.height, fps=film.fps, max_bps=rate_bps)
    return coder, X264Viewer(holds=kind == "x264 held")
