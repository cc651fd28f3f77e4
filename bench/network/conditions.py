"""The conditions of a path over time, declared: in TOML tables or in the text of `--link` (docs/network.md).

    [[link]]                              --link "rate=5M,delay=20ms,queue=200ms; at=10s,rate=500k,back.loss=10%"
    rate = "5M"
    delay = "20ms"
    queue = "200ms"
    [[link]]
    at = "10s"
    rate = "500k"
    back.loss = "10%"

Both are read into the same pure data; `Schedule` puts it in force on a simulated path, in simulated or in real time.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from bench.network.quantities import (
    parse_count,
    parse_flag,
    parse_rate,
    parse_share,
    parse_size,
    parse_time,
    refuse,
)
from latentcast.errors import UserError

__all__ = [
    "Conditions",
    "Cross",
    "Direction",
    "Stage",
    "parse_conditions",
    "parse_link",
    "parse_rate",
    "parse_share",
    "parse_time",
]

DEFAULT_QUEUE_S = 0.2
_LASTING = ("rate", "delay", "jitter", "reorder", "loss", "burst", "duplicate", "queue", "aqm")
_ONCE = ("lose", "outage", "stall")
_DIRECTION_KEYS = (*_LASTING, *_ONCE)
# What is true of the way there is true of the way back, unless said: a cable has one length and is cut once.
_BOTH_WAYS = ("delay", "outage", "stall")
_LINK_KEYS = ("at", *_DIRECTION_KEYS, "cross", "back")
_CROSS_KEYS = ("kind", "rate", "for", "on", "off")


@dataclass(frozen=True, slots=True)
class Direction:
    """Everything that lasts about one direction; the fields are those of `transport.netsim.Link`."""

    rate_bps: float | None = None
    delay_s: float = 0.0
    jitter_s: float = 0.0
    reorder: bool = False
    loss: float = 0.0
    burst: float | None = None
    duplicate: float = 0.0
    queue_s: float | None = DEFAULT_QUEUE_S
    queue_bytes: int | None = None
    codel: bool = False


@dataclass(frozen=True, slots=True)
class Event:
    """What happens once to one direction, when its stage begins: packets lost, seconds of outage, seconds of stall."""

    lose: int = 0
    outage_s: float = 0.0
    stall_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Cross:
    """One flow of cross traffic in the forward direction, from the beginning of its stage."""

    kind: Literal["tcp", "constant"]
    rate_bps: float | None
    """Of a constant flow."""
    seconds: float | None
    """How long; None: to the end."""
    on_s: float | None
    off_s: float


@dataclass(frozen=True, slots=True)
class Stage:
    """What holds from `at_s` until the next stage: all of it, not just what changed."""

    at_s: float
    forward: Direction
    back: Direction
    forward_event: Event
    back_event: Event
    cross: tuple[Cross, ...]


@dataclass(frozen=True, slots=True)
class Conditions:
    """Stages in the order of time. The first is at 0."""

    stages: tuple[Stage, ...]


def parse_conditions(tables: Sequence[Mapping[str, Any]]) -> Conditions:
    """The conditions that `[[link]]` tables describe; no table: an ideal path.

    Each table says what changes `at` its time (default 0), and everything not named stays as it was. In the order of
    time. Keys of the forward direction (server to viewer), and inside `back` of the other:

    `rate` ("2M", "unlimited"), `queue` ("200ms" at the present rate, "64kB" or "unlimited"; default 200ms), `aqm`
    ("droptail", "codel"), `delay` (one way), `jitter` (standard deviation), `reorder` (true, false), `loss` ("5%"),
    `burst` (mean packets lost in a row; 0: each on its own), `duplicate` ("1%"); and once: `lose` (the next so many
    packets), `outage` ("1s": everything is lost), `stall` ("1s": nothing moves, the queue fills).

    `delay`, `outage` and `stall` hold for both directions unless `back` says otherwise, all others for the forward one
    only. `cross` is a flow or a list of flows that start now: "tcp", "1M", or a table with `kind` ("tcp", "constant"),
    `rate`, `for`, `on`, `off`.

    Raises UserError that names the key, what was seen and what is allowed.
    """
    stages: list[Stage] = []
    for table in tables:
        if not isinstance(table, Mapping):
            raise UserError(f"link is {table!r}; write it as [[link]] tables.")
        _known(table, _LINK_KEYS, "a link")
        stage = _stage(table, stages[-1] if stages else _IDEAL)
        if stages and stage.at_s <= stages[-1].at_s:
            raise UserError(
                f"a link has at = {stage.at_s:g} s after one at {stages[-1].at_s:g} s; put them in the order of time, "
                "each later than the one before."
            )
        if not stages and stage.at_s > 0:
            stages.append(_IDEAL)
        stages.append(stage)
    _check_downloads(stages)
    return Conditions(tuple(stages) or (_IDEAL,))


def parse_link(text: str) -> Conditions:
    """The conditions that the text of `--link` describes: `key=value` by commas, stages by semicolons.

    The keys are those of `parse_conditions`, `back.loss` for one of the way back; `reorder` alone means true. Raises
    UserError.
    """
    tables: list[dict[str, Any]] = []
    for part in text.split(";"):
        table: dict[str, Any] = {}
        back: dict[str, Any] = {}
        for item in filter(None, (item.strip() for item in part.split(","))):
            key, equals, value = (piece.strip() for piece in item.partition("="))
            if not equals and key.removeprefix("back.") != "reorder":
                raise UserError(f"the link has {item!r}; expected key=value, such as rate=2M or delay=30ms.")
            if key == "back":
                raise UserError(f"the link has {item!r}; name what changes on the way back, such as back.loss=5%.")
            target, name = (back, key.removeprefix("back.")) if key.startswith("back.") else (table, key)
            if name == "cross" and "cross" in target:
                target["cross"].append(value)
                continue
            if name in target:
                raise UserError(
                    f"the link names {key} twice in one stage; name it once, or begin another with `; at=`."
                )
            target[name] = [value] if name == "cross" else (value if equals else True)
        if table or back:
            tables.append(table | ({"back": back} if back else {}))
    if not tables:
        raise UserError(f"the link {text!r} says nothing; expected something like rate=2M,delay=30ms,loss=5%.")
    return parse_conditions(tables)


_IDEAL = Stage(0.0, Direction(), Direction(), Event(), Event(), ())


def _stage(table: Mapping[str, Any], before: Stage) -> Stage:
    back = table.get("back", {})
    if not isinstance(back, Mapping):
        raise refuse("back", back, "a table, such as back = {loss = '5%'} or back.loss = '5%'")
    _known(back, _DIRECTION_KEYS, "back")
    both = {key: table[key] for key in _BOTH_WAYS if key in table}
    cross = table.get("cross", [])
    return Stage(
        at_s=parse_time("at", table.get("at", 0)),
        forward=_direction(table, before.forward, ""),
        back=_direction(both | dict(back), before.back, "back."),
        forward_event=_event(table, ""),
        back_event=_event(both | dict(back), "back."),
        cross=tuple(_cross(entry) for entry in (cross if isinstance(cross, list) else [cross])),
    )


def _direction(table: Mapping[str, Any], before: Direction, prefix: str) -> Direction:
    changes: dict[str, Any] = {}
    for key in _LASTING:
        if key not in table:
            continue
        value, name = table[key], prefix + key
        if key == "rate":
            changes["rate_bps"] = None if value == "unlimited" else parse_rate(name, value)
        elif key == "queue":
            changes["queue_s"], changes["queue_bytes"] = _queue(name, value)
        elif key == "aqm":
            if value not in ("droptail", "codel"):
                raise refuse(name, value, "droptail or codel")
            changes["codel"] = value == "codel"
        elif key == "burst":
            changes["burst"] = float(parse_count(name, value)) or None
        elif key == "reorder":
            changes["reorder"] = parse_flag(name, value)
        elif key in ("delay", "jitter"):
            changes[f"{key}_s"] = parse_time(name, value)
        else:
            changes[key] = parse_share(name, value)
    direction = replace(before, **changes)
    burst, loss = direction.burst, direction.loss
    if burst is not None and burst / (burst + 1) < loss < 1:
        raise UserError(
            f"{prefix}loss is {loss:.0%} in bursts of {burst:g} on average; that is at most {burst / (burst + 1):.0%}, "
            f"because a packet arrives between two bursts: name a longer {prefix}burst."
        )
    return direction


def _queue(name: str, value: object) -> tuple[float | None, int | None]:
    if value == "unlimited":
        return None, None
    if isinstance(value, str) and value.strip().endswith("B"):
        return None, parse_size(name, value)
    try:
        return parse_time(name, value), None
    except UserError:
        raise refuse(name, value, "a time such as 200ms, a size such as 64kB, or unlimited") from None


def _event(table: Mapping[str, Any], prefix: str) -> Event:
    return Event(
        lose=parse_count(f"{prefix}lose", table.get("lose", 0)),
        outage_s=parse_time(f"{prefix}outage", table.get("outage", 0)),
        stall_s=parse_time(f"{prefix}stall", table.get("stall", 0)),
    )


def _cross(value: object) -> Cross:
    if value == "tcp":
        return Cross("tcp", None, None, None, 0.0)
    if not isinstance(value, Mapping):
        try:
            return Cross("constant", parse_rate("cross", value), None, None, 0.0)
        except UserError:
            raise refuse("cross", value, "tcp, a rate such as 1M, or a table with a kind") from None
    _known(value, _CROSS_KEYS, "cross")
    kind = value.get("kind", "constant" if "rate" in value else None)
    if kind not in ("tcp", "constant"):
        raise refuse("cross.kind", kind, "tcp or constant")
    if kind == "tcp" and not {"rate", "on", "off"}.isdisjoint(value):
        raise UserError("cross has kind tcp with a rate, on or off; those are for kind constant.")
    if kind == "constant" and "rate" not in value:
        raise UserError("cross has kind constant without a rate; add one, such as rate = '1M'.")
    times = {key: parse_time(f"cross.{key}", value[key]) for key in ("for", "on", "off") if key in value}
    if ("on" in times) != ("off" in times) or times.get("on") == 0:
        raise UserError("cross pauses with both `on` and `off`, and sends for more than no time; give both.")
    rate_bps = parse_rate("cross.rate", value["rate"]) if kind == "constant" else None
    return Cross(kind, rate_bps, times.get("for"), times.get("on"), times.get("off", 0.0))


def _check_downloads(stages: Sequence[Stage]) -> None:
    """A download takes all that there is: on a link without a rate, endlessly much."""
    ends_s = [
        stage.at_s + (float("inf") if cross.seconds is None else cross.seconds)
        for stage in stages
        for cross in stage.cross
        if cross.kind == "tcp"
    ]
    starts_s = [stage.at_s for stage in stages for cross in stage.cross if cross.kind == "tcp"]
    for stage in stages:
        running = any(start <= stage.at_s < end for start, end in zip(starts_s, ends_s, strict=True))
        if running and stage.forward.rate_bps is None:
            raise UserError(
                f"cross is tcp at {stage.at_s:g} s while rate is unlimited; a download fills any link: name a rate."
            )


def _known(table: Mapping[str, Any], allowed: Sequence[str], where: str) -> None:
    for key in table:
        if key not in allowed:
            raise UserError(f"{where} has the key {key!r}, which is not known; allowed are {', '.join(allowed)}.")
