"""`latentcast bench network`: runs scenarios in simulated time and says which of their checks hold."""

import os
import shlex
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path

from rich.console import Console

from bench.network.checks import FIRST_SEED, ScenarioResult, SeedResult, gather, run_logs, run_seed
from bench.network.document import check_place, write_json, write_markdown, write_trace
from bench.network.scenario import Scenario, load_scenario
from bench.network.tables import results_table
from latentcast.errors import UserError
from latentcast.summary import ProgressBar

SCENARIOS_FOLDER = Path(__file__).parent / "scenarios"
_FILE_COLUMNS = 120
"""Where the output is no terminal."""


def run(
    *,
    files: Sequence[Path] = (),
    seeds: int | None = None,
    jobs: int | None = None,
    json: Path | None = None,
    markdown: Path | None = None,
    trace: Path | None = None,
    trace_seed: int = FIRST_SEED,
) -> bool:
    """Runs them, prints the table, writes the files asked for. Returns whether every check holds for every seed.

    files: scenarios, by default all of ours. seeds: how many, instead of what each scenario says. jobs: processes, by
    default one a core. trace: CSV of one run of one scenario, with `trace_seed`, and nothing else.

    Raises UserError.
    """
    for place in (json, markdown, trace):
        if place is not None:
            check_place(place)
    scenarios = [load_scenario(path) for path in files or sorted(SCENARIOS_FOLDER.glob("*.toml"))]
    names = [scenario.name for scenario in scenarios]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise UserError(f"two scenarios are called {twice!r}; give each file its own name.")
    if trace is not None:
        if len(scenarios) != 1:
            raise UserError(f"a trace is of one scenario, but there are {len(scenarios)}; name one file.")
        write_trace(run_logs(scenarios[0], trace_seed)[0], trace)
        return True
    results = run_scenarios(scenarios, seeds=seeds, jobs=jobs or os.cpu_count() or 1)
    console = Console(highlight=False, markup=False)
    if not console.is_terminal:
        console.width = _FILE_COLUMNS
    console.print(results_table(results).rich())
    command = shlex.join(["latentcast", *sys.argv[1:]])
    if json is not None:
        write_json(results, json, command=command)
    if markdown is not None:
        write_markdown(results, markdown, command=command)
    return all(result.passed for result in results)


def run_scenarios(scenarios: Sequence[Scenario], *, seeds: int | None, jobs: int) -> list[ScenarioResult]:
    """All seeds of all scenarios, spread over `jobs` processes. The results do not depend on how many there are."""
    work = [
        (scenario, FIRST_SEED + number)
        for scenario in scenarios
        for number in range(scenario.seeds if seeds is None else seeds)
    ]
    # The longest first, so that no core is left with one of them at the end.
    work.sort(key=lambda item: -item[0].seconds * len(item[0].viewers))
    done = list(ProgressBar("simulating")(_seed_results(work, jobs), total=len(work)))
    return [gather(scenario, done) for scenario in scenarios]


def _seed_results(work: Sequence[tuple[Scenario, int]], jobs: int) -> Iterator[SeedResult]:
    if jobs == 1 or len(work) == 1:
        for scenario, seed in work:
            yield run_seed(scenario, seed)
        return
    with ProcessPoolExecutor(min(jobs, len(work)), mp_context=get_context("spawn")) as pool:
        futures = [pool.submit(run_seed, scenario, seed) for scenario, seed in work]
        for future in as_completed(futures):
            yield future.result()
