"""Conditions are read the same from TOML and from the command line, refused in one sentence, and put in force."""

import contextlib
import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.network.conditions import Conditions, Cross, Direction, Event, parse_conditions, parse_link
from bench.network.link_argument import read_link
from bench.network.quantities import parse_count, parse_rate, parse_share, parse_size, parse_time
from bench.network.schedule import Schedule
from latentcast.errors import UserError

TOML = """
[[link]]
rate = "5M"
delay = "20ms"
queue = "64kB"
loss = "5%"
burst = 5
reorder = true
back.loss = 0.1
[[link]]
at = "10s"
rate = "500k"
queue = "100ms"
outage = "1s"
back.delay = "50ms"
cross = ["tcp", "1M"]
[[link]]
at = "1min"
rate = "10M"
aqm = "codel"
burst = 0
lose = 10
"""
TEXT = (
    "rate=5M, delay=20ms, queue=64kB, loss=5%, burst=5, reorder, back.loss=10%;"
    "at=10s, rate=500k, queue=100ms, outage=1s, back.delay=50ms, cross=tcp, cross=1M;"
    "at=1min, rate=10M, aqm=codel, burst=0, lose=10"
)


def read(toml: str) -> Conditions:
    return parse_conditions(tomllib.loads(toml)["link"])


def test_both_notations_mean_the_same() -> None:
    assert read(TOML) == parse_link(TEXT)


def test_a_stage_keeps_what_it_does_not_name_and_repeats_no_event() -> None:
    first, second, third = read(TOML).stages
    assert first.forward == Direction(
        rate_bps=5e6, delay_s=0.02, queue_s=None, queue_bytes=64_000, loss=0.05, burst=5.0, reorder=True
    )
    assert first.back == Direction(delay_s=0.02, loss=0.1)
    assert (second.at_s, second.forward.rate_bps, second.forward.queue_s, second.forward.queue_bytes) == (
        10.0,
        500e3,
        0.1,
        None,
    )
    assert (second.forward.delay_s, second.back.delay_s, second.back.loss) == (0.02, 0.05, 0.1)
    assert (second.forward_event, second.back_event) == (Event(outage_s=1.0), Event(outage_s=1.0))
    assert second.cross == (Cross("tcp", None, None, None, 0.0), Cross("constant", 1e6, None, None, 0.0))
    assert (third.at_s, third.forward.rate_bps, third.forward.codel, third.forward.burst) == (60.0, 10e6, True, None)
    assert (third.forward_event, third.back_event, third.cross) == (Event(lose=10), Event(), ())


def test_nothing_said_is_an_ideal_path() -> None:
    (stage,) = parse_conditions([]).stages
    assert (stage.forward, stage.back) == (Direction(), Direction())
    assert parse_link("rate=1M; at=1s,rate=unlimited").stages[1].forward.rate_bps is None
    assert [s.at_s for s in parse_conditions([{"at": "5s", "loss": "1%"}]).stages] == [0.0, 5.0]


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ({"rat": "5M"}, ["'rat'", "allowed are", "rate"]),
        ({"rate": "5Q"}, ["rate", "'5Q'", "2M"]),
        ({"rate": 0}, ["rate", "0"]),
        ({"delay": 30}, ["delay", "30", "unit"]),
        ({"delay": "-3ms"}, ["delay", "-3ms"]),
        ({"loss": "130%"}, ["loss", "130%"]),
        ({"loss": 5}, ["loss", "5", "0.05"]),
        ({"loss": True}, ["loss", "True"]),
        ({"burst": 2.5}, ["burst", "2.5", "whole number"]),
        ({"loss": "90%", "burst": 2}, ["loss", "90%", "67%", "burst"]),
        ({"back": {"loss": "90%", "burst": 2}}, ["back.loss", "90%", "back.burst"]),
        ({"queue": "lots"}, ["queue", "'lots'", "200ms", "64kB", "unlimited"]),
        ({"aqm": "red"}, ["aqm", "'red'", "codel"]),
        ({"reorder": 1}, ["reorder", "1", "true"]),
        ({"lose": -1}, ["lose", "-1"]),
        ({"back": "5%"}, ["back", "'5%'", "table"]),
        ({"back": {"at": "1s"}}, ["back", "'at'"]),
        ({"back": {"jitter": "x"}}, ["back.jitter", "'x'"]),
        ({"cross": "udp"}, ["cross", "'udp'", "tcp"]),
        ({"cross": {"kind": "udp"}}, ["cross.kind", "'udp'"]),
        ({"cross": {"kind": "constant"}}, ["rate"]),
        ({"cross": {"kind": "tcp", "rate": "1M"}}, ["tcp", "rate"]),
        ({"cross": {"rate": "1M", "on": "1s"}}, ["on", "off"]),
        ({"cross": ["1M", "tcp"]}, ["cross", "tcp", "unlimited", "rate"]),
        ({"at": "inf"}, ["at", "'inf'"]),
        ({"delay": float("nan")}, ["delay", "nan"]),
    ],
)
def test_an_error_names_the_key_what_was_seen_and_what_is_allowed(table: dict[str, Any], words: list[str]) -> None:
    with pytest.raises(UserError) as caught:
        parse_conditions([table])
    message = str(caught.value)
    assert not [word for word in words if word not in message], message
    assert "\n" not in message


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", ["says nothing"]),
        ("rate", ["'rate'", "key=value"]),
        ("rate=1M,rate=2M", ["rate", "twice"]),
        ("back=3", ["'back=3'", "back.loss"]),
        ("at=2s,loss=1%;at=1s,loss=0%", ["order of time"]),
        ("loss=1%;loss=2%", ["order of time"]),
        ("back.cross=tcp", ["'cross'"]),
        ("rate=1M,cross=tcp; at=5s,rate=unlimited", ["5 s", "unlimited", "name a rate"]),
    ],
)
def test_a_link_text_is_refused_in_words(text: str, words: list[str]) -> None:
    with pytest.raises(UserError) as caught:
        parse_link(text)
    assert not [word for word in words if word not in str(caught.value)], str(caught.value)


@given(
    st.text(max_size=40)
    | st.lists(st.sampled_from(["rate=2M", ",", ";", "at", "loss=%", "back.", "cross", "1s", "reorder"])).map("".join)
)
def test_any_text_is_conditions_or_a_user_error(text: str) -> None:
    with contextlib.suppress(UserError):
        assert parse_link(text).stages


def test_units() -> None:
    assert [parse_rate("x", v) for v in ("2M", "2.5 Mbit/s", "500k", 64000, "1G")] == [2e6, 2.5e6, 5e5, 64e3, 1e9]
    assert [parse_time("x", v) for v in ("30ms", "1.5s", "250us", "2min", 0, "0")] == [0.03, 1.5, 0.00025, 120, 0, 0]
    assert [parse_share("x", v) for v in ("5%", 0.05, "0.05", 1, "100%")] == [0.05, 0.05, 0.05, 1, 1]
    assert [parse_size("x", v) for v in ("64kB", "1500B", "1KiB")] == [64000, 1500, 1024]
    assert parse_count("x", "10") == 10


def test_a_schedule_puts_stages_in_force_when_their_time_comes() -> None:
    schedule = Schedule(
        parse_link("rate=5M,delay=20ms; at=2s,rate=1M,lose=3; at=4s,stall=1s,back.loss=100%"), start=100.0
    )
    path = schedule.path
    assert path.forward.rate_bps == 5e6
    schedule.poll(100.0)
    assert schedule.next_event() == 102.0
    schedule.poll(101.99)
    assert path.forward.rate_bps == 5e6
    schedule.poll(102.0)
    assert path.forward.rate_bps == 1e6
    for i in range(5):
        path.forward.send(bytes([i]), 102.5)
    assert [data for data, _ in path.forward.poll(103.5)] == [b"\3", b"\4"]
    # A late poll: the stall began at 104, not now.
    schedule.poll(104.5)
    assert schedule.next_event() is None
    path.forward.send(b"x", 104.5)
    path.back.send(b"y", 104.5)
    assert [round(at, 3) for _, at in path.forward.poll(110.0)] == [105.02]
    assert path.back.poll(110.0) == []


def test_a_stage_that_is_noticed_late_holds_from_its_own_time() -> None:
    schedule = Schedule(parse_link("rate=80k,queue=unlimited; at=450ms,rate=8M"))
    for _ in range(10):
        schedule.path.forward.send(bytes(1000), 0.0)
    schedule.poll(3.0)
    arrivals = [round(at, 3) for _, at in schedule.path.forward.poll(3.0)]
    assert arrivals == [0.1, 0.2, 0.3, 0.4, 0.5, 0.501, 0.502, 0.503, 0.504, 0.505]


def test_a_schedule_waits_for_its_beginning() -> None:
    schedule = Schedule(parse_link("rate=10M,loss=100%,cross=tcp; at=1s,loss=0%"), start=None)
    schedule.poll(50.0)
    assert (schedule.next_event(), schedule.flows) == (None, [])
    schedule.path.forward.send(b"lost", 50.0)
    schedule.begin(60.0)
    schedule.begin(70.0)
    schedule.poll(61.0)
    schedule.path.forward.send(b"kept", 61.0)
    assert [data for data, _ in schedule.path.forward.poll(62.0)] == [b"kept"]
    assert schedule.flows[0].statistics().sent > 0


def test_a_cross_flow_starts_and_ends_with_its_stage() -> None:
    schedule = Schedule(parse_conditions([{"rate": "2M"}, {"at": "1s", "cross": {"rate": "1M", "for": "2s"}}]))
    for i in range(50):
        schedule.poll(i * 0.1)
        schedule.path.forward.advance(i * 0.1)
    assert schedule.flows[0].statistics().sent_bytes * 8 == pytest.approx(2e6, rel=0.02)


def test_the_two_directions_and_two_seeds_meet_different_fates() -> None:
    def fates(seed: int) -> tuple[list[bytes], list[bytes]]:
        path = Schedule(parse_link("loss=50%,back.loss=50%"), seed=seed).path
        for i in range(64):
            path.forward.send(bytes([i]), 0.0)
            path.back.send(bytes([i]), 0.0)
        return [d for d, _ in path.forward.poll(0.0)], [d for d, _ in path.back.poll(0.0)]

    assert fates(1) == fates(1)
    all_of_them = [*fates(1), *fates(2)]
    assert all(a != b for i, a in enumerate(all_of_them) for b in all_of_them[:i])


def test_what_happened_before_a_viewer_came_is_not_made_up_for() -> None:
    schedule = Schedule(parse_link("rate=1M,lose=5; at=10s,rate=2M,outage=5s,lose=5"), start=0.0, since=12.0)
    schedule.poll(12.0)
    path = schedule.path
    assert path.forward.rate_bps == 2e6
    for i in range(10):
        path.forward.send(bytes([i]), 12.0 + i)
    # The outage lasts until 15 s.
    assert [data[0] for data, _ in path.forward.poll(40.0)] == [3, 4, 5, 6, 7, 8, 9]
    schedule = Schedule(parse_link("rate=1M,cross=1M"), start=0.0, since=12.0)
    schedule.poll(12.0)
    schedule.path.forward.advance(42.0)
    assert schedule.flows[0].statistics().sent_bytes * 8 == pytest.approx(30e6, rel=0.01)


@pytest.mark.parametrize(
    "toml",
    [
        TOML,
        "[[viewer]]\nname = 'a'\n[[viewer.link]]\nrate = '2M'\nloss = '5%'\n[[viewer]]\n[[viewer.link]]\nrate = '1M'",
    ],
)
def test_a_link_may_be_a_file_of_its_own_or_a_scenario(toml: str, tmp_path: Path) -> None:
    path = tmp_path / "a=b.toml"
    path.write_text(toml)
    expected = parse_link(TEXT) if toml is TOML else parse_link("rate=2M,loss=5%")
    assert read_link(str(path)) == expected
    assert read_link("rate=2M") == parse_link("rate=2M")


@pytest.mark.parametrize(
    ("toml", "words"),
    [
        (None, ["cannot be read", "rate=2M"]),
        ("rate = ", ["not TOML"]),
        ("link = 3", ["no [[link]]"]),
        ("viewer = [3]", ["no [[link]]"]),
        ("link = [3]", ["[[link]]", "3"]),
        ("[[link]]\nrate = '2X'", ["rate", "'2X'"]),
    ],
)
def test_a_link_file_is_refused_by_name(toml: str | None, words: list[str], tmp_path: Path) -> None:
    path = tmp_path / "link.toml"
    if toml is not None:
        path.write_text(toml)
    with pytest.raises(UserError) as caught:
        read_link(str(path))
    assert not [word for word in [str(path), *words] if word not in str(caught.value)], str(caught.value)
