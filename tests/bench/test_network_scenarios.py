"""Scenario files are understood or refused in a sentence, and the measures say what docs/scenarios.md says."""

import tomllib
from pathlib import Path

import pytest

from bench.network.checks import SeedResult, gather, value_of
from bench.network.command import SCENARIOS_FOLDER, run
from bench.network.conditions import Stage
from bench.network.link_argument import read_link
from bench.network.measures import MEASURES
from bench.network.run_log import Coded, Packet, RunLog, Sample, Shown, ViewerLog
from bench.network.scenario import (
    CHECK_KEYS,
    PART_KEYS,
    SCENARIO_KEYS,
    SOURCE_KEYS,
    VIEWER_KEYS,
    Scenario,
    load_scenario,
    parse_scenario,
)
from bench.network.tables import limit, results_table
from latentcast.errors import UserError

MINIMAL = """
seconds = "10s"
[[viewer]]
[[viewer.link]]
rate = "2M"
loss = "1%"
back = {loss = "30%"}
[[check]]
measure = "stall"
at_most = "500ms"
"""
# The rows of the table that the program is judged by, in words that a scenario file must still say.
LIMITS: dict[str, list[tuple[str, float | None, float | None]]] = {
    "steady": [
        ("link_use", 0.85, None),
        ("queue_p95", None, 0.06),
        ("queue_drops", None, 0),
        ("rate_accuracy", 0.95, None),
    ],
    "step-down": [("stall", None, 0.5), ("queue_max", None, 0.15)],
    "step-up": [("ramp", None, 5.0)],
    "loss-1": [("in_time", 0.995, None), ("intact", 0.98, None)],
    "loss-5": [("in_time", 0.99, None), ("intact", 0.95, None), ("added_delay_p95", None, 0.06)],
    "loss-bursts": [("in_time", 0.96, None), ("stall", None, 0.3)],
    "one-burst": [("recovery", None, 0.16), ("intra_frames", None, 0)],
    "outage": [("moving_again", None, 0.3), ("stale", None, 0), ("intra_frames", None, 0), ("stall", None, 0.3)],
    "jitter": [("rate_ratio", 0.9, 1.1)],
    "content": [("over_budget", None, 1.5)],
    "competing": [("cross_share", 0.25, 0.75)],
    "three-viewers": [("rate_ratio", 0.97, None), ("stall", None, 1.5)],
    # Not a goal but what holds: the intra frame that brings the one back costs the other.
    "outage-one": [("moving_again", None, 0.3), ("stall", None, 0.15), ("rate_ratio", 0.9, None)],
    "joins": [("rate_ratio", 0.97, None), ("intra_frames", None, 3)],
    "down-up": [("rate_ratio", 0.97, None), ("stall", None, 0.3), ("stall", None, 1.5)],
}
# And what they must hold on: (at, rate, loss, burst) of each stage of each viewer, and what happens once.
LINKS: dict[str, list[list[tuple[float, float, float, float | None]]]] = {
    "steady": [[(0, 2e6, 0, None)]],
    "step-down": [[(0, 5e6, 0, None), (15, 0.5e6, 0, None)]],
    "step-up": [[(0, 0.5e6, 0, None), (10, 5e6, 0, None)]],
    "loss-1": [[(0, 2e6, 0.01, None)]],
    "loss-5": [[(0, 2e6, 0.05, None)]],
    "loss-bursts": [[(0, 2e6, 0.1, 5)]],
    "one-burst": [[(0, 2e6, 0, None), (10, 2e6, 0, None)]],
    "outage": [[(0, 2e6, 0, None), (10, 2e6, 0, None)]],
    "jitter": [[(0, 2e6, 0, None)]],
    "content": [[(0, 2e6, 0, None)]],
    "competing": [[(0, 4e6, 0, None), (5, 4e6, 0, None)]],
    "three-viewers": [[(0, 5e6, 0, None)], [(0, 2e6, 0, None)], [(0, 0.4e6, 0, None)]],
    "outage-one": [[(0, 2e6, 0, None)], [(0, 2e6, 0, None), (10, 2e6, 0, None)]],
    "joins": [[(0, 5e6, 0, None)], [(0, 2e6, 0, None)], [(0, 0.4e6, 0, None)]],
    "down-up": [[(0, 4e6, 0, None)], [(0, 4e6, 0, None), (10, 0.4e6, 0, None), (20, 4e6, 0, None)]],
}
# Checks of the whole run: what is left out of it is the start, and no more than 3 s of that.
WHOLE_RUN = ("steady", "loss-1", "loss-5", "loss-bursts", "jitter")


def scenario(text: str = MINIMAL) -> Scenario:
    return parse_scenario(tomllib.loads(text), name="test")


@pytest.mark.parametrize("path", sorted(SCENARIOS_FOLDER.glob("*.toml")), ids=lambda path: path.stem)
def test_every_scenario_of_ours_is_understood(path: Path) -> None:
    loaded = load_scenario(path)
    assert loaded.description.endswith(".")
    assert loaded.seeds == 20
    assert loaded.fps == 30


@pytest.mark.parametrize("name", LIMITS)
def test_goals_are_not_softened(name: str) -> None:
    checks = load_scenario(SCENARIOS_FOLDER / f"{name}.toml").checks
    found = [(check.measure.name, check.at_least, check.at_most) for check in checks]
    for goal in LIMITS[name]:
        assert goal in found


@pytest.mark.parametrize("name", LINKS)
def test_the_networks_are_not_softened(name: str) -> None:
    loaded = load_scenario(SCENARIOS_FOLDER / f"{name}.toml")
    stages = [viewer.conditions.stages for viewer in loaded.viewers]
    found = [
        [(stage.at_s, stage.forward.rate_bps, stage.forward.loss, stage.forward.burst) for stage in viewer]
        for viewer in stages
    ]
    assert found == LINKS[name]
    for stage in (stage for viewer in stages for stage in viewer):
        # The round trip of 60 ms is the goal's own; both directions are as long.
        assert stage.forward.delay_s == stage.back.delay_s == (0.03 if name == "loss-5" else 0.02)
        assert (stage.forward.queue_s, stage.forward.queue_bytes, stage.forward.codel) == (0.2, None, False)
    assert (loaded.start_bps, loaded.deadline_s) == (600e3, 0.25)
    assert (loaded.source.encode_s, loaded.source.decode_s) == (0.015, 0.013)


def test_what_happens_once_happens() -> None:
    def last(name: str, viewer: int = 0) -> Stage:
        return load_scenario(SCENARIOS_FOLDER / f"{name}.toml").viewers[viewer].conditions.stages[-1]

    assert last("one-burst").forward_event.lose == 10
    for name, viewer in (("outage", 0), ("outage-one", 1)):
        stage = last(name, viewer)
        assert stage.forward_event.outage_s == stage.back_event.outage_s == 1.0
    assert (last("jitter").forward.jitter_s, last("jitter").forward.reorder) == (0.015, True)
    assert [flow.kind for flow in last("competing").cross] == ["tcp"]
    joins = load_scenario(SCENARIOS_FOLDER / "joins.toml")
    assert [viewer.join_s for viewer in joins.viewers] == [0, 10, 12]


def test_windows_leave_out_no_more_than_the_start() -> None:
    for name in WHOLE_RUN:
        loaded = load_scenario(SCENARIOS_FOLDER / f"{name}.toml")
        assert all(check.start_s <= 3 and check.end_s == loaded.seconds for check in loaded.checks), name
    three = load_scenario(SCENARIOS_FOLDER / "three-viewers.toml").checks
    assert all(check.start_s <= 3 for check in three if check.measure.name == "rate_ratio" or check.at_most == 1.5)
    competing = load_scenario(SCENARIOS_FOLDER / "competing.toml").checks[0]
    assert competing.end_s - competing.start_s == 60


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("seconds =", "second =", "'second', which is not known"),
        ('"10s"', '"10"', "expected a time"),
        ('rate = "2M"', 'rate = "fast"', "expected a rate"),
        ('rate = "2M"', 'speed = "2M"', "'speed'"),
        ('"stall"', '"beauty"', "known are link_use"),
        ('at_most = "500ms"', "", "no limit"),
        ('at_most = "500ms"', "at_most = 500", "expected a time"),
        ('at_most = "500ms"', 'at_most = "500ms"\nfrom = "12s"', "not within the 10 s"),
        ('at_most = "500ms"', 'at_most = "500ms"\nviewer = "bob"', "no \\[\\[viewer\\]\\]"),
        ('at_most = "500ms"', 'at_most = "500ms"\nagainst = "clean"', "compares with nothing"),
        ("[[check]]", "[check]", r"written as \[\[check\]\] tables"),
        ("[[viewer]]", '[source]\nsize = "big"\n[[viewer]]', "WIDTHxHEIGHT"),
        ("[[viewer]]", '[source]\nsize = "0x0"\n[[viewer]]', "sizes from 64x64"),
        ("[[viewer]]", '[source]\nsize = "16x16"\n[[viewer]]', "sizes from 64x64"),
        ("[[viewer]]", '[source]\nsize = "640x"\n[[viewer]]', "WIDTHxHEIGHT"),
        ("[[viewer]]", '[source]\n[[source.part]]\nclip = "nosuch"\n[[viewer]]', "clip is 'nosuch'; known are signing"),
        (
            "[[viewer]]",
            '[source]\n[[source.part]]\nclip = "water"\n[[source.part]]\nclip = "static"\n[[viewer]]',
            "apart",
        ),
        (
            "[[viewer]]",
            '[source]\n[[source.part]]\nclip = "water"\n[[source.part]]\nat = "10s"\nclip = "static"\n[[viewer]]',
            "the run ends at 10 s",
        ),
        ("[[viewer]]", "fps = 0\n[[viewer]]", "from 1 to 120"),
        ("[[viewer]]", "fps = 29.97\n[[viewer]]", "a whole number"),
        ("[[viewer]]", "renditions = 0\n[[viewer]]", "from 1 to 3"),
        ("[[viewer]]", "renditions = 7\n[[viewer]]", "from 1 to 3"),
        ("[[viewer]]", "seeds = 0\n[[viewer]]", "from 1 to 1000"),
        ("[[viewer]]", 'start = "9M"\n[[viewer]]', "start must lie between"),
        ("[[viewer]]", 'min = "5M"\nmax = "1M"\n[[viewer]]', "start must lie between"),
        ("[[viewer]]", 'deadline = "0s"\n[[viewer]]', "must be above 0"),
        ("[[viewer]]", '[[viewer]]\njoin = "10s"', "the run ends at 10 s"),
        ('rate = "2M"', 'at = "10s"\nrate = "2M"', "never in force"),
        (
            "[[viewer]]",
            '[[viewer]]\njoin = "4s"\nleave = "6s"\nlink = [{at = "2s", loss = "1%"}]\n[[viewer]]',
            "never in",
        ),
        ("[[viewer]]", '[reference.clean]\nwithout = ["los"]\n[[viewer]]', "'los', which no"),
        ('at_most = "500ms"', 'at_most = "500ms"\nat_least = "1s"', "nothing can hold"),
        ("[[viewer]]", "[[viewer]]\nname = 3", "text in quotes"),
        ("[[viewer]]", '[[viewer]]\njoin = "5s"\nleave = "4s"', "not after it joins"),
        ("[[viewer]]", '[reference.alone]\nviewers = ["bob"]\n[[viewer]]', "'bob', which is no"),
        ("[[viewer]]", "seeds = true\n[[viewer]]", "a whole number"),
        ("[[viewer]]", '[source]\n[[source.part]]\nat = "1s"\nclip = "water"\n[[viewer]]', "the first at 0"),
    ],
)
def test_what_is_not_understood_is_refused_in_a_sentence(old: str, new: str, message: str) -> None:
    with pytest.raises(UserError, match=message) as error:
        scenario(MINIMAL.replace(old, new, 1))
    assert "\n" not in str(error.value)


def test_every_measure_and_key_is_documented() -> None:
    text = (Path(__file__).parents[2] / "docs" / "scenarios.md").read_text()
    for name in (*MEASURES, *SCENARIO_KEYS, *SOURCE_KEYS, *PART_KEYS, *VIEWER_KEYS, *CHECK_KEYS):
        assert f"`{name}`" in text or f"[{name}]" in text or f"[{name}." in text or f".{name}]" in text, name


def test_a_file_that_is_not_there_or_not_toml_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot be read"):
        load_scenario(tmp_path / "none.toml")
    (tmp_path / "bad.toml").write_text("seconds = ")
    with pytest.raises(UserError, match="is not TOML"):
        load_scenario(tmp_path / "bad.toml")


def test_results_that_could_not_be_written_are_refused_before_the_work(tmp_path: Path) -> None:
    for place in (tmp_path / "none" / "x.json", tmp_path):
        for option in ("json", "markdown", "trace"):
            with pytest.raises(UserError, match="cannot be written"):
                # No scenario of that name: the place is looked at first.
                run(files=[tmp_path / "none.toml"], **{option: place})  # type: ignore[arg-type]


def test_an_empty_link_is_refused() -> None:
    for text in ("", " "):
        with pytest.raises(UserError, match="the link is empty"):
            read_link(text)


def test_reference_leaves_out_conditions_and_viewers() -> None:
    text = MINIMAL + '[[viewer]]\nname = "two"\n[reference.clean]\nwithout = ["loss"]\nviewers = ["viewer1"]\n'
    clean = scenario(text).reference("clean")
    (viewer,) = clean.viewers
    (stage,) = viewer.conditions.stages
    assert viewer.name == "viewer1"
    assert stage.forward.loss == 0
    assert stage.back.loss == 0
    assert stage.forward.rate_bps == 2e6


def log(*, drop: tuple[int, ...] = (), late: tuple[int, ...] = (), torn: tuple[int, ...] = ()) -> RunLog:
    """Ten seconds at 10 pictures a second, each shown after 100 ms, but for those named; 1000 bytes each."""
    run = RunLog("test", 1, 10.0, 10.0, 0.25, captured_s=[i / 10 for i in range(100)])
    viewer = ViewerLog("viewer", 0.0, 10.0)
    run.viewers["viewer"] = viewer
    for i, captured_s in enumerate(run.captured_s):
        viewer.samples.append(Sample(captured_s, i, 80e3, 100e3, 0, 0.0, 0.0))
        run.coded.append(Coded(i, captured_s, captured_s, 0, 30, 1000, 1000.0, i - 1 if i else None, 1, 64, 64, 1))
        arrived_s = None if i in drop else captured_s + 0.05
        queue_s = None if i in drop else 0.01 if i % 10 else 0.04
        viewer.packets.append(Packet(captured_s, 1000, "data", i, arrived_s, queue_s))
        if i not in drop:
            delay_s = 0.3 if i in late else 0.1
            viewer.shown.append(Shown(i, captured_s + delay_s, i not in torn))
            viewer.fates[i] = "concealed" if i in torn else "intact"
    return run


def measured(measure: str, run: RunLog, more: str = "", reference: RunLog | None = None) -> float | None:
    limits = 'at_least = "0s"' if MEASURES[measure].unit == "time" else "at_least = 0"
    limits = "at_least = 1000" if MEASURES[measure].unit == "rate" else limits
    text = f'seconds = "10s"\n[[viewer]]\n[reference.r]\n[[check]]\nmeasure = "{measure}"\n{limits}\n{more}\n'
    text += 'against = "r"\n' if MEASURES[measure].against else ""
    (check,) = scenario(text).checks
    return value_of(check, run, {"r": reference or run})


def test_shares_are_of_captured_pictures_that_were_due() -> None:
    run = log(drop=(50, 51), late=(60,), torn=(70,))
    # Pictures captured in the last 250 ms are not due before the end.
    assert measured("in_time", run) == pytest.approx(95 / 98)
    assert measured("intact", run) == pytest.approx(94 / 98)
    assert measured("in_time", run, 'from = "5s"\nuntil = "6s"') == pytest.approx(0.8)


def test_a_stall_reaches_to_the_ends_of_its_window() -> None:
    run = log(drop=(50, 51, 52))
    assert measured("stall", run) == pytest.approx(0.4)
    assert measured("stall", run, 'from = "5s"\nuntil = "5.2s"') == pytest.approx(0.2)
    assert measured("stall", log(drop=tuple(range(100)))) == pytest.approx(10.0)
    assert measured("moving_again", run, 'from = "5.05s"') == pytest.approx(0.35)


def test_stale_and_recovery() -> None:
    run = log(late=(60, 61), drop=(40, 41), torn=(42, 43))
    assert measured("stale", run) == 2
    # From when 41 was sent until 44 was shown.
    assert measured("recovery", run, 'from = "3.5s"\nuntil = "5s"') == pytest.approx(0.4)
    # Nothing was lost: the event did not happen. Damaged to the end of the run: never.
    assert measured("recovery", run, 'from = "5s"\nuntil = "6s"') is None
    assert measured("recovery", log(drop=(50,), torn=tuple(range(51, 100))), 'from = "5s"') is None


def test_rates() -> None:
    run = log()
    assert measured("link_use", run, 'from = "1s"\nuntil = "9s"') == pytest.approx(0.8)
    assert measured("rate", run, 'from = "1s"\nuntil = "9s"') == pytest.approx(80e3)
    assert measured("rate_accuracy", run) == 1
    assert measured("rate_accuracy", log(), 'from = "9.5s"') is None
    assert measured("rate_ratio", log(drop=tuple(range(50, 60))), reference=run) == pytest.approx(90 / 100)
    assert measured("ramp", run, 'from = "2s"') == pytest.approx(1.0)
    assert measured("ramp", run, 'from = "2s"\nshare = "90%"') is None
    for sample in run.viewers["viewer"].samples:
        sample.link_bps = float("inf")
    assert measured("link_use", run) is None


def test_queue() -> None:
    run = log()
    run.viewers["viewer"].queue_drops = [1.0, 5.0]
    assert measured("queue_p95", run) == pytest.approx(0.04)
    assert measured("queue_max", run) == pytest.approx(0.04)
    assert measured("queue_drops", run, 'from = "2s"') == 1


def test_added_delay_pairs_the_same_pictures() -> None:
    run = log(late=tuple(range(0, 100, 10)))
    assert measured("added_delay_p95", run, reference=log(late=tuple(range(0, 100, 10)))) == pytest.approx(0)
    assert measured("added_delay_p95", run, reference=log()) == pytest.approx(0.2)
    # Never shown: as late as the deadline.
    never = log(drop=tuple(range(0, 100, 10)))
    assert measured("added_delay_p95", never, reference=log()) == pytest.approx(0.15)


def test_over_budget_skips_the_first_frames_and_intra() -> None:
    run = log()
    run.coded[0].size_bytes = 90_000
    run.coded[20].size_bytes, run.coded[21].size_bytes = 5000, 1400
    assert measured("over_budget", run) == pytest.approx(5)
    assert measured("over_budget", run, 'from = "2s"\nskip = 1') == pytest.approx(1.4)


def test_share_against_cross_traffic() -> None:
    run = log()
    run.viewers["viewer"].cross = [(0.0, 0), (5.0, 100_000), (10.0, 300_000)]
    assert measured("cross_share", run) == pytest.approx(0.25)
    assert measured("cross_share", log()) is None


def test_one_bad_seed_fails_a_check_and_shows_as_the_worst() -> None:
    good = scenario()
    results = [SeedResult("test", seed, (value,), 0.1) for seed, value in ((2, 0.1), (1, 0.6), (3, 0.2))]
    result = gather(good, results)
    (check,) = result.checks
    assert result.seeds == (1, 2, 3)
    assert not result.passed
    assert (check.failures, check.median, check.worst) == (1, 0.2, 0.6)
    assert gather(good, results[:1]).passed
    nothing = gather(good, [SeedResult("test", 1, (None,), 0.1)])
    assert not nothing.passed
    assert results_table([nothing]).rows[0][-1] == "FAILS 1 of 1, 1 not measured: nothing to measure"
    assert limit(check.check) == "<= 500 ms"
    assert results_table([result]).rows[0][-2:] == ("600 ms", "FAILS 1 of 3")
