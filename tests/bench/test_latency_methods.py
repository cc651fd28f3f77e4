"""Timestamps and screen grabs: bounds that hold, pairs that belong together, figures made of them."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.latency import findings
from bench.latency.display import Display
from bench.latency.frames import after_warm_up, read_frames
from bench.latency.grab import strip_of
from bench.latency.pairing import pair, pair_by_time
from bench.latency.remote.command import as_result, in_window
from bench.latency.remote.window import WindowPress
from bench.latency.schema import Agreement, NotRun, Pixels, Sweep, WindowInput
from bench.latency.session import Measured, Setup
from bench.latency.sightings import SightingLog
from bench.latency.spread import median_interval
from bench.latency.sweeps import LOSSES_PERCENT, RUNS, run_sweeps
from bench.latency.x_window import Place
from client.fit import letterbox
from latentcast import barcode
from latentcast.barcode import BarCode
from latentcast.errors import LatentcastError
from latentcast.report import STAGES
from tests.bench.latency_samples import (
    OFFSET_US,
    SETUP,
    frame,
    frames,
    presses,
    report,
    sighting,
    watched,
    window_presses,
)


@given(
    appeared=st.lists(st.integers(1_000, 60_000), min_size=2, max_size=12),
    grabs=st.lists(st.tuples(st.integers(1, 9_000), st.integers(1, 900)), min_size=20, max_size=60),
    unreadable=st.sets(st.integers(0, 59)),
)
def test_the_true_instant_lies_within_every_interval(
    appeared: list[int], grabs: list[tuple[int, int]], unreadable: set[int]
) -> None:
    """Pictures appear whenever; grabs start and last as they like, and copy the screen at any instant within."""
    instants = [sum(appeared[: i + 1]) for i in range(len(appeared))]
    log, now = SightingLog(), 0
    for index, (pause, length) in enumerate(grabs):
        start, now = now + pause, now + pause + length
        copied = start + (index * 7919) % (length + 1)
        shown = sum(instant <= copied for instant in instants)
        code = None if index in unreadable or not shown else BarCode(shown - 1, 0)
        seen = log.add(code, start_us=start, end_us=now)
        if seen is not None:
            true = instants[seen.frame_number]
            assert seen.after_us <= true <= seen.before_us
            assert abs(seen.visible_us - true) <= 1e3 * seen.bound_ms
    assert log.unreadable <= log.grabs == len(grabs)


def test_the_picture_that_was_there_first_has_no_instant() -> None:
    log = SightingLog()
    assert log.add(BarCode(4, 1), start_us=0, end_us=10) is None
    assert log.add(BarCode(4, 1), start_us=20, end_us=30) is None
    assert log.add(None, start_us=40, end_us=50) is None
    seen = log.add(BarCode(5, 2), start_us=60, end_us=70)
    assert seen is not None
    assert (seen.after_us, seen.before_us) == (20, 70), "a grab without a bar code narrows nothing"


def test_frames_are_paired_by_number_and_must_tell_the_same_capture_time() -> None:
    shown = frames(10)
    seen = [sighting(one) for one in shown if one.number not in (3, 4)]
    seen[0] = replace(seen[0], captured_us=seen[0].captured_us + 1)
    found = pair(shown, seen)
    assert [one.frame.number for one in found.pairs] == [1, 2, 5, 6, 7, 8, 9]
    assert (found.unseen, found.contradicting) == (2, 1)
    for one in found.pairs:
        assert one.pixels_ms - one.frame.total_ms == pytest.approx(1.0, abs=1e-3)
        assert one.difference_ms == pytest.approx(1.0, abs=1e-3)
    assert pair(shown, []).unseen == 0, "nobody looked"


def test_pictures_of_a_shared_screen_are_paired_by_when_they_appear() -> None:
    shown = frames(10)
    # The screen counts its own pictures, each drawn 9 ms before it was captured; one of them is not seen.
    seen = [
        replace(sighting(one), frame_number=500 + one.number, captured_us=one.captured_us - 9_000)
        for one in shown
        if one.number != 4
    ]
    found = pair_by_time(shown, seen)
    assert [one.frame.number for one in found.pairs] == [0, 1, 2, 3, 5, 6, 7, 8, 9]
    for one in found.pairs:
        assert one.pixels_ms == pytest.approx(one.frame.total_ms + 1.0 + 9.0, abs=1e-3)
    both = findings.agreement(found, None)
    assert isinstance(both, NotRun)
    assert "9.0 ms at p50" in both.why
    assert pair_by_time([], seen).pairs == ()
    far = [replace(one, after_us=one.after_us + 900_000, before_us=one.before_us + 900_000) for one in seen]
    assert pair_by_time(shown, far).pairs == (), "nothing was presented then"


def test_large_frame_numbers_and_times_are_paired_modulo_what_the_bar_code_holds() -> None:
    late = replace(frame(1), number=(1 << 32) + 7, captured_us=(1 << 48) + 99)
    seen = replace(sighting(late), frame_number=7, captured_us=99)
    assert len(pair([late], [seen]).pairs) == 1


def test_figures_of_both_methods() -> None:
    shown = frames()
    pairs = pair(shown, [sighting(one, late_ms=3.0, bound_ms=2.0) for one in shown])
    one = findings.timestamps(shown, fps=30, clock_error_ms=0.2)
    assert one.total.p50 == pytest.approx(46.0)
    assert list(one.stages) == list(STAGES)
    assert one.residual_ms < 0.001
    two = findings.pixels(pairs, watched([sighting(frame) for frame in shown]), fps=30)
    assert isinstance(two, Pixels)
    assert two.total.p50 == pytest.approx(49.0, abs=0.01)
    assert two.p50_bound == pytest.approx((47.0, 51.0), abs=0.01)
    both = findings.agreement(pairs, None)
    assert isinstance(both, Agreement)
    assert both.p50_difference == pytest.approx(3.0, abs=0.01)
    assert both.agree
    assert both.within_bound == 0.0, "3 ms apart, and grabs tell 2 ms"
    top = findings.headline(one, two)
    assert top.method == "pixels"
    assert top.low <= two.p50_bound[0] < top.ms < two.p50_bound[1] <= top.high


def test_methods_that_differ_by_more_than_the_limit_do_not_agree() -> None:
    shown = frames()
    both = findings.agreement(pair(shown, [sighting(one, late_ms=-11.0) for one in shown]), None)
    assert isinstance(both, Agreement)
    assert not both.agree
    assert both.p50_difference == pytest.approx(-11.0, abs=0.01)


def test_without_bar_codes_the_timestamps_stand_alone_and_the_reason_is_told() -> None:
    shown = frames()
    nothing = pair(shown, [])
    two = findings.pixels(nothing, replace(watched([]), window=None), fps=30)
    assert isinstance(two, NotRun)
    assert "not found" in two.why
    assert isinstance(findings.agreement(nothing, two), NotRun)
    one = findings.timestamps(shown, fps=30, clock_error_ms=0.5)
    top = findings.headline(one, two)
    assert top.method == "timestamps"
    assert top.high - top.ms >= 0.5
    assert all(value is None for value in findings.columns(shown, nothing).pixels)


def test_stages_that_do_not_add_up_are_refused(tmp_path: Path) -> None:
    names = ",".join(f"{stage}_ms" for stage in STAGES)
    head = f"frame,presented_us,qp,intra,{names},psnr_y_db,captured_us,offset_us\n"
    good = f"7,{1_047_000 - OFFSET_US},30,0,1,10,14,1,1,17,3,,1000000,{OFFSET_US}\n"
    (tmp_path / "frames.csv").write_text(head + good)
    (read,) = read_frames(tmp_path / "frames.csv")
    assert read.total_ms == 47.0
    (tmp_path / "frames.csv").write_text(head + good.replace(",17,", ",16,"))
    with pytest.raises(LatentcastError, match=r"frame 7 add up to 46\.000 ms, but it took 47\.000"):
        read_frames(tmp_path / "frames.csv")


def test_the_warm_up_is_left_out() -> None:
    kept = after_warm_up(frames(120), 2.0)
    assert kept[0].presented_us - frames(1)[0].presented_us >= 2_000_000
    assert len(kept) == pytest.approx(60, abs=2)
    assert after_warm_up([], 2.0) == []


def test_the_interval_of_a_median_is_wider_for_frames_that_depend_on_each_other() -> None:
    seconds = [40.0 + 7 * second % 20 + 0.01 * frame for second in range(20) for frame in range(30)]
    (low, high), (near, far) = median_interval(seconds, block=30), median_interval(seconds, block=1)
    assert low < near < far < high
    assert high - low > 2 * (far - near)
    alone = median_interval([float(i % 100) for i in range(6000)], block=1)
    assert alone[0] < 49.5 < alone[1]
    assert alone[1] - alone[0] < 6
    assert median_interval([], block=30) == (0.0, 0.0)


@pytest.mark.parametrize(
    ("window", "picture"), [((960, 540), (640, 360)), ((1000, 400), (640, 360)), ((480, 700), (192, 128))]
)
def test_the_strip_is_where_the_letterboxed_picture_has_it(window: tuple[int, int], picture: tuple[int, int]) -> None:
    planes = np.full((3, picture[1], picture[0]), 120, np.uint8)
    barcode.draw(planes, frame_number=77, captured_us=123_456)
    box = letterbox(picture, window)
    rows = (np.arange(box.height) + 0.5) * picture[1] / box.height
    columns = (np.arange(box.width) + 0.5) * picture[0] / box.width
    screen = np.zeros((900, 1200), np.uint8)
    left, top = 30 + box.left, 20 + box.top
    screen[top : top + box.height, left : left + box.width] = planes[0][rows.astype(int)][:, columns.astype(int)]
    place = strip_of(Place(30, 20, *window), picture, (1200, 900))
    assert place is not None
    strip = screen[place.top : place.top + place.height, place.left : place.left + place.width]
    assert barcode.read(strip) == BarCode(77, 123_456)
    assert strip_of(Place(500, 20, *window), picture, (600, 900)) is None, "beyond the edge of the screen"


def test_sweeps_take_turns_and_keep_the_spread() -> None:
    asked: list[Setup] = []

    def run(setup: Setup, display: Display) -> Measured:
        asked.append(setup)
        return Measured(report(), tuple(frame(i, slower_ms=len(asked)) for i in range(30)), None)

    said: list[str] = []
    bitrates, losses = run_sweeps(SETUP, display=Display(":1", virtual=True), say=said.append, run=run)
    assert isinstance(bitrates, Sweep)
    assert len(asked) == len(said) == RUNS * (len(bitrates.points) + len(losses.points))
    assert asked[0] != asked[1], "conditions take turns"
    assert [point.value for point in losses.points] == list(LOSSES_PERCENT)
    assert asked[-1].link == "delay=10ms,loss=10%"
    point = losses.points[0]
    assert point.p50_spread[0] < point.p50 < point.p50_spread[1]
    assert point.presented == 1.0


def test_the_parts_of_a_key_press_add_up_to_it() -> None:
    pressed = presses(20)
    for press in pressed:
        shown_us = press.captured_us + 1e3 * sum(press.stages_ms)
        assert sum(press.parts_ms) == pytest.approx((shown_us - press.sent_us) / 1e3)
    found = as_result(pressed, lost=2, window=in_window([], 3))
    assert (found.presses, found.lost) == (20, 2)
    assert found.p50_interval[0] <= found.decoded.p50 <= found.p50_interval[1]
    assert [sum(sample) for sample in found.samples] == pytest.approx([press.total_ms for press in pressed])
    assert isinstance(found.window, NotRun)
    assert "3 keys" in found.window.why


def test_a_key_press_in_the_window_ends_between_two_grabs() -> None:
    press = WindowPress(pressed_us=1_000, key_us=3_500, after_us=61_000, before_us=65_000)
    assert (press.total_ms, press.bound_ms, press.to_desktop_ms) == (62.0, 2.0, 2.5)
    found = in_window(window_presses(), 1)
    assert isinstance(found, WindowInput)
    assert (found.presses, found.lost) == (20, 1)
    assert found.bound.max == 2.0
    assert found.to_desktop.p50 == 2.0
    assert found.p50_interval[0] <= found.total.p50 <= found.p50_interval[1]
