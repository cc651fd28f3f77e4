"""The simulation is the product on a simulated network: it repeats, adds up, and every scenario of ours holds once."""

import json
import tomllib
from pathlib import Path

import pytest

from bench.network.checks import FIRST_SEED, run_seed
from bench.network.command import SCENARIOS_FOLDER, run
from bench.network.document import TRACE_COLUMNS
from bench.network.run_log import RunLog
from bench.network.scenario import Scenario, load_scenario, parse_scenario
from bench.network.simulation import Simulation
from latentcast.errors import UserError

SHORT = """
description = "A short one."
seconds = "3s"
seeds = 2
[source]
size = "480x272"
[[viewer]]
[[viewer.link]]
rate = "1M"
delay = "20ms"
[[check]]
measure = "stall"
from = "1s"
at_most = "1s"
"""


def scenario(text: str = SHORT) -> Scenario:
    return parse_scenario(tomllib.loads(text), name="short")


def simulate(text: str = SHORT, *, seed: int = 1) -> RunLog:
    return Simulation(scenario(text), seed=seed).run()


def test_a_clean_link_shows_every_picture_intact() -> None:
    log = simulate()
    viewer = log.viewers["viewer"]
    assert len(log.captured_s) == 90
    assert 0 <= log.captured_s[0] < 1 / 30
    assert [frame.frame_id for frame in viewer.shown] == sorted(frame.frame_id for frame in viewer.shown)
    assert len(viewer.shown) >= 85
    assert all(frame.intact for frame in viewer.shown)
    assert viewer.intra_offered == pytest.approx([log.captured_s[0] + 0.015])
    # Capture, encoder, delay, decoder: no frame is quicker than the sum of what is certain.
    assert min(f.shown_s - log.captured_s[f.frame_id] for f in viewer.shown) > 0.015 + 0.020 + 0.013


def test_what_is_sent_is_what_arrives_on_a_link_that_loses_nothing() -> None:
    viewer = simulate().viewers["viewer"]
    settled = [packet for packet in viewer.packets if packet.sent_s < 2.5]
    assert all(packet.arrived_s is not None for packet in settled)
    assert viewer.queue_drops == []
    assert viewer.counts["malformed"] == 0
    assert sum(packet.frame_id is not None for packet in viewer.packets) >= len(viewer.shown)


def test_the_same_seed_is_the_same_run_and_another_is_not() -> None:
    lossy = SHORT.replace('delay = "20ms"', 'delay = "20ms"\nloss = "5%"')
    first, again, other = simulate(lossy), simulate(lossy), simulate(lossy, seed=2)
    assert first == again
    assert first.viewers["viewer"].packets != other.viewers["viewer"].packets


def test_a_dead_link_shows_nothing_and_costs_no_exception() -> None:
    log = simulate(SHORT.replace('delay = "20ms"', 'delay = "20ms"\nloss = "100%"'))
    assert log.viewers["viewer"].shown == []
    assert not scenario().checks[0].holds(run_seed(scenario(SHORT.replace("20ms", "20s")), 1).values[0])


def test_viewers_come_and_go() -> None:
    late = '[[viewer]]\nname = "late"\njoin = "1s"\nleave = "2s"\n[[viewer.link]]\nrate = "1M"\ndelay = "20ms"\n'
    log = simulate(SHORT + late)
    viewer = log.viewers["late"]
    assert len(viewer.shown) > 20
    assert viewer.shown[0].intact
    assert viewer.shown[0].shown_s > 1.0
    assert viewer.shown[-1].shown_s < 2.0


def test_a_slow_viewer_gets_a_rendition_of_its_own() -> None:
    slow = '[[viewer]]\nname = "slow"\n[[viewer.link]]\nrate = "0.2M"\ndelay = "20ms"\n'
    log = simulate(SHORT.replace('"3s"', '"8s"').replace("seeds = 2", "renditions = 2") + slow)
    assert {sample.rendition for sample in log.viewers["slow"].samples[-30:]} == {1}
    assert {sample.rendition for sample in log.viewers["viewer1"].samples} == {0}
    assert log.viewers["slow"].shown[-1].shown_s > 7.5
    sizes = {(frame.rendition, frame.width, frame.height) for frame in log.coded}
    assert (0, 480, 272) in sizes
    assert (1, 320, 176) in sizes


def test_the_command_writes_what_it_found(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "short.toml"
    path.write_text(SHORT)
    assert run(files=[path], jobs=2, json=tmp_path / "out.json", markdown=tmp_path / "out.md")
    document = json.loads((tmp_path / "out.json").read_text())
    (found,) = document["scenarios"]
    assert document["passed"]
    assert found["seeds"] == [1, 2]
    assert len(found["checks"][0]["values"]) == 2
    assert "| short | stall |" in (tmp_path / "out.md").read_text()
    assert "stall" in capsys.readouterr().out
    path.write_text(SHORT.replace('at_most = "1s"', 'at_most = "1ms"'))
    assert not run(files=[path], seeds=1, jobs=1)
    assert "FAILS 1 of 1" in capsys.readouterr().out


def test_a_trace_has_a_row_for_each_picture(tmp_path: Path) -> None:
    path = tmp_path / "short.toml"
    path.write_text(SHORT)
    assert run(files=[path], trace=tmp_path / "trace.csv")
    lines = (tmp_path / "trace.csv").read_text().splitlines()
    assert lines[0].split(",") == list(TRACE_COLUMNS)
    assert len(lines) == 91
    with pytest.raises(UserError, match="a trace is of one scenario"):
        run(files=[path, SCENARIOS_FOLDER / "steady.toml"], trace=tmp_path / "trace.csv")


@pytest.mark.parametrize("path", sorted(SCENARIOS_FOLDER.glob("*.toml")), ids=lambda path: path.stem)
def test_our_scenarios_hold_for_one_seed(path: Path) -> None:
    loaded = load_scenario(path)
    result = run_seed(loaded, FIRST_SEED)
    failed = [
        (check.measure.name, check.viewer, value)
        for check, value in zip(loaded.checks, result.values, strict=True)
        if not check.holds(value)
    ]
    assert not failed
