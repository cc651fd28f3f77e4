"""The table of a run of scenarios, for a terminal and as Markdown."""

from collections.abc import Sequence

from bench.network.checks import CheckResult, ScenarioResult
from bench.network.measures import Unit
from bench.network.scenario import Check
from bench.rd.tables import ABSENT, Table

_COLUMNS = ("scenario", "check", "seconds", "limit", "median", "worst", "")


def results_table(results: Sequence[ScenarioResult]) -> Table:
    """A row for each check."""
    rows = [_row(result, check) for result in results for check in result.checks]
    seeds = sorted({len(result.seeds) for result in results})
    title = f"scenarios in simulated time, {' or '.join(map(str, seeds))} seed{'s' if seeds != [1] else ''}"
    notes = tuple(f"{result.scenario.name}: {result.scenario.description}" for result in results)
    return Table(title, _COLUMNS, 4, rows, notes)


def shown(value: float | None, unit: Unit) -> str:
    """A value with its unit."""
    if value is None:
        return ABSENT
    if unit == "share":
        return f"{value * 100:.1f} %"
    if unit == "time":
        return f"{value * 1e3:.0f} ms"
    if unit == "rate":
        return f"{value / 1e6:.3f} Mbit/s"
    return f"{value:.3g}"


def limit(check: Check) -> str:
    """The limit of a check, as in `85.0 % or more`."""
    low, high = (
        None if value is None else shown(value, check.measure.unit) for value in (check.at_least, check.at_most)
    )
    if low is not None and high is not None:
        return f"{low} to {high}"
    return f">= {low}" if low is not None else f"<= {high}"


def _row(result: ScenarioResult, check: CheckResult) -> tuple[str, ...]:
    name = check.check.measure.name
    if check.check.viewer is not None:
        name = f"{name}, {check.check.viewer}"
    unit = check.check.measure.unit
    verdict = "ok" if not check.failures else f"FAILS {check.failures} of {len(check.values)}"
    if None in check.values:
        unmeasured = check.values.count(None)
        verdict += f", {unmeasured} not measured: {check.check.measure.absent}"
    window = f"{check.check.start_s:g} to {check.check.end_s:g}"
    values = (shown(check.median, unit), shown(check.worst, unit))
    return (result.scenario.name, name, window, limit(check.check), *values, verdict)
