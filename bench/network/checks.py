"""Runs a scenario with one seed, its reference runs too, and holds its checks against what happened."""

import time
from collections.abc import Iterable
from dataclasses import dataclass
from statistics import median

from bench.network.measures import Window
from bench.network.run_log import RunLog
from bench.network.scenario import Check, Scenario
from bench.network.simulation import Simulation

FIRST_SEED = 1


@dataclass(frozen=True, slots=True)
class SeedResult:
    """One seed. values: of each check in the scenario's order, None where there was nothing to measure."""

    scenario: str
    seed: int
    values: tuple[float | None, ...]
    cpu_s: float


@dataclass(frozen=True, slots=True)
class CheckResult:
    """One check over all seeds."""

    check: Check
    values: tuple[float | None, ...]

    @property
    def failures(self) -> int:
        """Seeds for which it does not hold."""
        return sum(not self.check.holds(value) for value in self.values)

    @property
    def median(self) -> float | None:
        """Over the seeds where it could be measured."""
        known = [value for value in self.values if value is not None]
        return median(known) if known else None

    @property
    def worst(self) -> float | None:
        """The value nearest to its limit, or furthest beyond it; None if it could not be measured for some seed."""
        return worst(self.check, self.values)


@dataclass(frozen=True, slots=True)
class ScenarioResult:
    """One scenario over all seeds."""

    scenario: Scenario
    seeds: tuple[int, ...]
    checks: tuple[CheckResult, ...]
    cpu_s: float

    @property
    def passed(self) -> bool:
        """Every check holds for every seed."""
        return not any(check.failures for check in self.checks)


def run_seed(scenario: Scenario, seed: int) -> SeedResult:
    """One seed of a scenario."""
    started = time.process_time()
    run, references = run_logs(scenario, seed)
    values = tuple(value_of(check, run, references) for check in scenario.checks)
    return SeedResult(scenario.name, seed, values, time.process_time() - started)


def run_logs(scenario: Scenario, seed: int) -> tuple[RunLog, dict[str, RunLog]]:
    """The run, and the reference runs that its checks need, by name."""
    needed = dict.fromkeys(check.against for check in scenario.checks if check.against is not None)
    references = {name: Simulation(scenario.reference(name), seed=seed).run() for name in needed}
    return Simulation(scenario, seed=seed).run(), references


def value_of(check: Check, run: RunLog, references: dict[str, RunLog]) -> float | None:
    """What a check measures, over all its viewers the worst. None where there is nothing to measure."""
    viewers = [run.viewers[check.viewer]] if check.viewer is not None else list(run.viewers.values())
    values = []
    for viewer in viewers:
        window = Window(
            run=run,
            viewer=viewer,
            start_s=max(check.start_s, viewer.joined_s),
            end_s=min(check.end_s, viewer.left_s),
            skip=check.skip,
            share=check.share,
            reference=references[check.against] if check.against is not None else None,
        )
        values.append(check.measure.of(window) if window.seconds > 0 else None)
    return worst(check, values)


def worst(check: Check, values: Iterable[float | None]) -> float | None:
    """The value with the least room to its limits."""
    least: float | None = None
    least_room = float("inf")
    for value in values:
        if value is None:
            return None
        room = min(
            value - check.at_least if check.at_least is not None else float("inf"),
            check.at_most - value if check.at_most is not None else float("inf"),
        )
        if least is None or room < least_room:
            least, least_room = value, room
    return least


def gather(scenario: Scenario, results: Iterable[SeedResult]) -> ScenarioResult:
    """The results of all seeds of one scenario, put together."""
    mine = sorted((r for r in results if r.scenario == scenario.name), key=lambda result: result.seed)
    checks = tuple(
        CheckResult(check, tuple(result.values[index] for result in mine))
        for index, check in enumerate(scenario.checks)
    )
    return ScenarioResult(scenario, tuple(r.seed for r in mine), checks, sum(r.cpu_s for r in mine))
