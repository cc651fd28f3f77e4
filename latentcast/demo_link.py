"""What lies between the demo's server and its viewers: a relay with the conditions of a link, or nothing.

--link "rate=2M,delay=30ms,loss=5%"      one viewer behind such a link (docs/network.md)
--link link.toml                         the same, from a file with [[link]] tables
--link scenario.toml                     the viewers of a scenario, each behind its own (docs/scenarios.md)
"""

import subprocess
import sys
import threading
import tomllib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer

from latentcast.cli_options import load_module

STOP_TIMEOUT_S = 5.0


@dataclass(frozen=True, slots=True)
class Plan:
    """The viewers, and for how long; conditions are those of `bench.network`."""

    conditions: dict[str, Any]
    """By the viewer's name; the first one is the demo's own."""
    joins_s: dict[str, float]
    leaves_s: dict[str, float | None]
    seconds: float | None


@dataclass(frozen=True, slots=True)
class Way:
    """One viewer's way to the server. leave_s: None, it stays."""

    name: str
    url: str
    join_s: float
    leave_s: float | None


def read_link(link: str) -> Plan:
    """A scenario file, or the text of a link. Raises UserError that says what was not understood."""
    if _is_scenario(link):
        scenario = load_module("bench.network.scenario").load_scenario(Path(link))
        viewers = scenario.viewers
        return Plan(
            {viewer.name: viewer.conditions for viewer in viewers},
            {viewer.name: viewer.join_s for viewer in viewers},
            {viewer.name: viewer.leave_s for viewer in viewers},
            scenario.seconds,
        )
    conditions = load_module("bench.network.link_argument").read_link(link)
    return Plan({"viewer": conditions}, {"viewer": 0.0}, {"viewer": None}, None)


def _is_scenario(link: str) -> bool:
    """Whether it is a file that names viewers, not just one link. A file that cannot be read is left to its reader."""
    try:
        return "viewer" in tomllib.loads(Path(link).read_text("utf-8"))
    except (OSError, ValueError):
        return False


@contextmanager
def relayed(url: str, plan: Plan | None) -> Iterator[list[Way]]:
    """The ways to the server at `url`, the demo's own first; says at the end what the links did."""
    if plan is None:
        yield [Way("viewer", url, 0.0, None)]
        return
    with load_module("bench.network.relay_process").RelayProcess(url, plan.conditions) as relay:
        yield [Way(name, relay.urls[name], plan.joins_s[name], plan.leaves_s[name]) for name in plan.conditions]
        for line in load_module("bench.network.relay_report").lines(relay.stop()):
            typer.echo(line)


@contextmanager
def others(ways: Sequence[Way], *, seconds: float, report: Path, codec: Sequence[str]) -> Iterator[None]:
    """Headless viewers beside the demo's own, each with a report in a folder of its name."""
    viewers: list[subprocess.Popen[bytes]] = []
    lock = threading.Lock()
    ended = False

    def start(way: Way) -> None:
        until = seconds if way.leave_s is None else min(way.leave_s, seconds)
        flags = [way.url, *codec, "--stream", "demo", "--headless", "--seconds", f"{max(1.0, until - way.join_s):g}"]
        with lock:
            if not ended:
                viewers.append(
                    subprocess.Popen(
                        [sys.executable, "-P", "-m", "latentcast", "view", *flags, "--report", str(report / way.name)],
                        stdout=subprocess.DEVNULL,
                        stderr=subprocess.DEVNULL,
                        start_new_session=True,
                    )
                )

    timers = [threading.Timer(way.join_s, start, [way]) for way in ways]
    for timer in timers:
        timer.start()
    try:
        yield
    finally:
        with lock:
            ended = True
        for timer in timers:
            timer.cancel()
        for viewer in viewers:
            viewer.terminate()
        for viewer in viewers:
            try:
                viewer.wait(STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                viewer.kill()
                viewer.wait()
