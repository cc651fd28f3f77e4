"""Scenario files: what the network does over time, who watches what, and what must hold (docs/scenarios.md).

A file is read whole and refused in one sentence when anything in it is not understood: a misspelt key would otherwise
be a condition that is never in force, or a check that never fails.
"""

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.network.conditions import Conditions, parse_conditions
from bench.network.measures import MEASURES, Measure, Unit
from bench.network.quantities import parse_rate, parse_share, parse_time
from bench.network.recording import PARTS
from codec.layout import MAX_HEIGHT, MAX_WIDTH, MIN_HEIGHT, MIN_WIDTH
from latentcast.errors import UserError
from server.renditions import MAX_RENDITIONS
from transport.deadline import PRESENTATION_DEADLINE_S

DEFAULT_SEEDS = 20
DEFAULT_START_BPS, DEFAULT_MIN_BPS, DEFAULT_MAX_BPS = 600e3, 100e3, 8e6
RUN_KEYS = {"description", "seconds", "seeds", "fps", "start", "min", "max", "renditions", "deadline"}
SCENARIO_KEYS = RUN_KEYS | {"source", "viewer", "check", "reference"}
SOURCE_KEYS = {"size", "encode", "decode", "part"}
PART_KEYS = {"at", "clip"}
VIEWER_KEYS = {"name", "join", "leave", "link"}
REFERENCE_KEYS = {"without", "viewers"}
CHECK_KEYS = {"measure", "viewer", "from", "until", "at_least", "at_most", "against", "skip", "share", "note"}
MAX_SECONDS, MAX_VIEWERS, MAX_SEEDS, MAX_FPS = 3600.0, 16, 1000, 120


@dataclass(frozen=True, slots=True)
class Part:
    """From `at_s` on the source shows this clip of the recording."""

    at_s: float
    clip: str


@dataclass(frozen=True, slots=True)
class Source:
    """What is filmed: recorded sizes of real coded frames. encode_s, decode_s: what one frame takes the codec."""

    width: int
    height: int
    parts: tuple[Part, ...]
    encode_s: float
    decode_s: float


@dataclass(frozen=True, slots=True)
class Viewer:
    """One viewer and the path to it. leave_s: None, it stays."""

    name: str
    join_s: float
    leave_s: float | None
    links: tuple[Mapping[str, Any], ...]
    """The tables that `conditions` was made of."""
    conditions: Conditions


@dataclass(frozen=True, slots=True)
class Reference:
    """The same scenario once more, to compare with: without some conditions, or with some of the viewers only."""

    name: str
    without: tuple[str, ...]
    viewers: tuple[str, ...] | None


@dataclass(frozen=True, slots=True)
class Check:
    """Something that must hold, for every seed."""

    measure: Measure
    viewer: str | None
    """None: all viewers; the worst counts."""
    start_s: float
    end_s: float
    at_least: float | None
    at_most: float | None
    against: str | None
    """Name of the reference run."""
    skip: int
    share: float
    note: str

    def holds(self, value: float | None) -> bool:
        """Whether a measured value is within the limit; None never is."""
        if value is None:
            return False
        return (self.at_least is None or value >= self.at_least) and (self.at_most is None or value <= self.at_most)


@dataclass(frozen=True, slots=True)
class Scenario:
    """One file. Times in seconds, rates in bit/s."""

    name: str
    description: str
    seconds: float
    seeds: int
    fps: float
    start_bps: float
    min_bps: float
    max_bps: float
    renditions: int
    deadline_s: float
    source: Source
    viewers: tuple[Viewer, ...]
    references: tuple[Reference, ...]
    checks: tuple[Check, ...]

    def reference(self, name: str) -> "Scenario":
        """The scenario of a reference run."""
        reference = next(r for r in self.references if r.name == name)
        chosen = [v for v in self.viewers if reference.viewers is None or v.name in reference.viewers]
        viewers = tuple(
            Viewer(v.name, v.join_s, v.leave_s, links, parse_conditions(links))
            for v in chosen
            for links in [tuple(_without(link, reference.without) for link in v.links)]
        )
        values = {field: getattr(self, field) for field in self.__slots__}
        return Scenario(**{**values, "name": f"{self.name}, {name}", "viewers": viewers})


def _without(link: Mapping[str, Any], keys: Sequence[str]) -> dict[str, Any]:
    out: dict[str, Any] = {}
    for key, value in link.items():
        if key not in keys:
            out[key] = _without(value, keys) if isinstance(value, Mapping) else value
    return out


def load_scenario(path: Path) -> Scenario:
    """Reads a scenario file. Raises UserError, which names the file, the key, what was seen and what is allowed."""
    try:
        table = tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise UserError(f"the scenario {path} cannot be read ({error.strerror}): check the name.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"the scenario {path} is not TOML: {error}.") from error
    try:
        return parse_scenario(table, name=path.stem)
    except UserError as error:
        raise UserError(f"{path}: {error}") from error


def parse_scenario(table: Mapping[str, Any], *, name: str) -> Scenario:
    """The scenario that a TOML document describes. Raises UserError."""
    _known(table, SCENARIO_KEYS, "the scenario")
    seconds = _time(table, "seconds", None)
    if not 0 < seconds <= MAX_SECONDS:
        raise UserError(f"seconds is {seconds:g}; it must be above 0 and at most {MAX_SECONDS:g}.")
    viewers = _viewers(_tables(table, "viewer"), seconds)
    references = tuple(_reference(key, value, viewers) for key, value in _table(table, "reference").items())
    deadline_s = _time(table, "deadline", PRESENTATION_DEADLINE_S)
    if deadline_s == 0:
        raise UserError("deadline is 0; it must be above 0, such as 250ms.")
    fps = _count(table, "fps", 30, least=1, most=MAX_FPS)
    rates = (
        _rate(table, "start", DEFAULT_START_BPS),
        _rate(table, "min", DEFAULT_MIN_BPS),
        _rate(table, "max", DEFAULT_MAX_BPS),
    )
    if not rates[1] <= rates[0] <= rates[2]:
        raise UserError(
            f"start is {rates[0]:g}, min {rates[1]:g} and max {rates[2]:g} bit/s; start must lie between the others."
        )
    scenario = Scenario(
        name=name,
        description=_text(table, "description", ""),
        seconds=seconds,
        seeds=_count(table, "seeds", DEFAULT_SEEDS, least=1, most=MAX_SEEDS),
        fps=float(fps),
        start_bps=rates[0],
        min_bps=rates[1],
        max_bps=rates[2],
        renditions=_count(table, "renditions", 1, least=1, most=MAX_RENDITIONS),
        deadline_s=deadline_s,
        source=_source(_table(table, "source"), seconds, fps),
        viewers=viewers,
        references=references,
        checks=tuple(_check(entry, seconds, viewers, references) for entry in _tables(table, "check")),
    )
    if not viewers or not scenario.checks:
        raise UserError("a scenario needs at least one [[viewer]] and one [[check]].")
    return scenario


def _source(table: Mapping[str, Any], seconds: float, fps: int) -> Source:
    _known(table, SOURCE_KEYS, "[source]")
    size = _text(table, "size", "960x540")
    sides = size.split("x")
    if len(sides) != 2 or not all(side.isascii() and side.isdecimal() and len(side) <= 5 for side in sides):
        raise UserError(f"[source] size is {size!r}; write it as WIDTHxHEIGHT, such as 960x540.")
    width, height = map(int, sides)
    if not (MIN_WIDTH <= width <= MAX_WIDTH and MIN_HEIGHT <= height <= MAX_HEIGHT):
        allowed = f"{MIN_WIDTH}x{MIN_HEIGHT} to {MAX_WIDTH}x{MAX_HEIGHT}"
        raise UserError(f"[source] size is {size!r}; sizes from {allowed} can be coded.")
    parts = []
    for entry in _tables(table, "part"):
        _known(entry, PART_KEYS, "[[source.part]]")
        parts.append(Part(_time(entry, "at", 0.0), _text(entry, "clip", None)))
        if parts[-1].clip not in PARTS:
            raise UserError(f"[[source.part]] clip is {parts[-1].clip!r}; known are {', '.join(PARTS)}.")
    starts = [round(part.at_s * fps) for part in parts]
    if starts != sorted(set(starts)) or (parts and parts[0].at_s > 0):
        raise UserError("[[source.part]] entries must be in the order of `at`, a frame or more apart, the first at 0.")
    if parts and parts[-1].at_s >= seconds:
        raise UserError(f"[[source.part]] has at = {parts[-1].at_s:g} s, but the run ends at {seconds:g} s.")
    return Source(
        width,
        height,
        tuple(parts),
        _time(table, "encode", 0.015),
        _time(table, "decode", 0.013),
    )


def _viewers(tables: Sequence[Mapping[str, Any]], seconds: float) -> tuple[Viewer, ...]:
    viewers = []
    for number, entry in enumerate(tables, 1):
        name = _text(entry, "name", f"viewer{number}" if len(tables) > 1 else "viewer")
        _known(entry, VIEWER_KEYS, f"[[viewer]] {name}")
        join_s = _time(entry, "join", 0.0)
        leave_s = _time(entry, "leave", 0.0) if "leave" in entry else None
        if leave_s is not None and leave_s <= join_s:
            raise UserError(f"viewer {name} leaves at {leave_s:g} s, which is not after it joins at {join_s:g} s.")
        end_s = seconds if leave_s is None else min(leave_s, seconds)
        if join_s >= end_s:
            raise UserError(f"viewer {name} joins at {join_s:g} s, but the run ends at {seconds:g} s.")
        links = tuple(_tables(entry, "link"))
        conditions = parse_conditions(links)
        last_s = join_s + conditions.stages[-1].at_s
        if last_s >= end_s:
            raise UserError(
                f"viewer {name} has a link with at = {conditions.stages[-1].at_s:g} s after it joins, which is never "
                f"in force: it is gone at {end_s:g} s."
            )
        viewers.append(Viewer(name, join_s, leave_s, links, conditions))
    if len({viewer.name for viewer in viewers}) < len(viewers):
        raise UserError("two viewers have the same name: give each its own.")
    if len(viewers) > MAX_VIEWERS:
        raise UserError(f"there are {len(viewers)} viewers; at most {MAX_VIEWERS} are simulated.")
    return tuple(viewers)


def _reference(name: str, table: Any, viewers: Sequence[Viewer]) -> Reference:
    if not isinstance(table, Mapping):
        raise UserError(f"reference.{name} is {table!r}; it must be a table with `without` or `viewers`.")
    _known(table, REFERENCE_KEYS, f"[reference.{name}]")
    without = _texts(table, "without")
    if unused := [key for key in without if not any(_has(link, key) for viewer in viewers for link in viewer.links)]:
        raise UserError(f"[reference.{name}] without names {unused[0]!r}, which no [[viewer.link]] has.")
    names = _texts(table, "viewers") if "viewers" in table else None
    for chosen in names or ():
        if chosen not in [viewer.name for viewer in viewers]:
            raise UserError(f"[reference.{name}] viewers names {chosen!r}, which is no [[viewer]].")
    return Reference(name, without, names)


def _has(link: Mapping[str, Any], key: str) -> bool:
    back = link.get("back", {})
    return key in link or (isinstance(back, Mapping) and key in back)


def _check(
    table: Mapping[str, Any], seconds: float, viewers: Sequence[Viewer], references: Sequence[Reference]
) -> Check:
    name = _text(table, "measure", None)
    where = f"[[check]] {name}"
    if name not in MEASURES:
        raise UserError(f"[[check]] measure is {name!r}; known are {', '.join(MEASURES)}.")
    measure = MEASURES[name]
    _known(table, CHECK_KEYS, where)
    viewer = _text(table, "viewer", "") or None
    if viewer is not None and viewer not in [v.name for v in viewers]:
        raise UserError(f"{where}: viewer is {viewer!r}, which is no [[viewer]].")
    against = _text(table, "against", "") or None
    if measure.against != (against is not None) or (against and against not in [r.name for r in references]):
        wanted = f"one of {[r.name for r in references]}" if measure.against else "absent: it compares with nothing"
        raise UserError(f"{where}: against is {against!r}; it must be {wanted}.")
    start_s, end_s = _time(table, "from", 0.0), _time(table, "until", seconds)
    if not 0 <= start_s < end_s <= seconds:
        raise UserError(f"{where}: from {start_s:g} s until {end_s:g} s is not within the {seconds:g} s of the run.")
    limits = [_limit(table, key, measure.unit, where) for key in ("at_least", "at_most")]
    if limits == [None, None]:
        raise UserError(f"{where} has no limit: add at_least or at_most.")
    if limits[0] is not None and limits[1] is not None and limits[0] > limits[1]:
        least, most = table["at_least"], table["at_most"]
        raise UserError(f"{where}: at_least is {least!r}, above at_most, which is {most!r}: nothing can hold.")
    return Check(
        measure, viewer, start_s, end_s, limits[0], limits[1], against,
        _count(table, "skip", 0), _share(table, "share", 0.8), _text(table, "note", ""),
    )  # fmt: skip


def _limit(table: Mapping[str, Any], key: str, unit: Unit, where: str) -> float | None:
    if key not in table:
        return None
    value = table[key]
    if unit == "number":
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise UserError(f"{where}: {key} is {value!r}; it must be a number.")
        return float(value)
    parse = {"share": _share, "time": _time, "rate": _rate}[unit]
    return parse(table, key, None)


def _known(table: Mapping[str, Any], allowed: set[str], where: str) -> None:
    for key in table:
        if key not in allowed:
            raise UserError(
                f"{where} has the key {key!r}, which is not known: allowed are {', '.join(sorted(allowed))}."
            )


def _tables(table: Mapping[str, Any], key: str) -> Sequence[Mapping[str, Any]]:
    value = table.get(key, [])
    if not isinstance(value, list) or not all(isinstance(entry, Mapping) for entry in value):
        raise UserError(f"{key} must be written as [[{key}]] tables.")
    return value


def _table(table: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = table.get(key, {})
    if not isinstance(value, Mapping):
        raise UserError(f"{key} is {value!r}; it must be a table.")
    return value


def _required(table: Mapping[str, Any], key: str, default: object) -> Any:
    value = table.get(key, default)
    if value is None:
        raise UserError(f"the key {key!r} is missing.")
    return value


def _text(table: Mapping[str, Any], key: str, default: str | None) -> str:
    value = _required(table, key, default)
    if not isinstance(value, str):
        raise UserError(f"{key} is {value!r}; it must be text in quotes.")
    return value


def _texts(table: Mapping[str, Any], key: str) -> tuple[str, ...]:
    value = table.get(key, [])
    if not isinstance(value, list) or not all(isinstance(entry, str) for entry in value):
        raise UserError(f"{key} is {value!r}; it must be a list of texts.")
    return tuple(value)


def _count(table: Mapping[str, Any], key: str, default: int, *, least: int = 0, most: int = 1000) -> int:
    value = _required(table, key, default)
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise UserError(f"{key} is {value!r}; it must be a whole number from {least} to {most}.")
    return value


def _time(table: Mapping[str, Any], key: str, default: float | None) -> float:
    if key not in table and default is not None:
        return default
    return parse_time(key, _required(table, key, None))


def _rate(table: Mapping[str, Any], key: str, default: float | None) -> float:
    if key not in table and default is not None:
        return default
    return parse_rate(key, _required(table, key, None))


def _share(table: Mapping[str, Any], key: str, default: float | None) -> float:
    if key not in table and default is not None:
        return default
    # Without the last bits of a division by 100, which would make 95 of 100 less than 95 %.
    return round(parse_share(key, _required(table, key, None)), 12)
