"""The ladder: down when QP is at its end, up when there is room, and not to and fro."""

from dataclasses import replace
from itertools import pairwise

import pytest

from server.ladder import Ladder
from server.rate_controller import Choice

CHOICE = Choice(intra_qp=0, inter_qp=0, position=0, budget_bytes=1000.0, intra_budget_bytes=3000.0, age=1)


def feed(ladder: Ladder, *, qp: int, seconds: float, now: float, size_bytes: int = 1500) -> list[float]:
    """Times of the changes while every frame has this QP."""
    changes = []
    until = now + seconds
    while now < until:
        if ladder.on_frame(replace(CHOICE, inter_qp=qp), size_bytes=size_bytes, now=now):
            changes.append(now)
        now += ladder.divisor / 30
    return changes


def at_the_bottom() -> Ladder:
    ladder = Ladder(fps=30, size=(480, 272))
    feed(ladder, qp=0, seconds=20, now=0)
    return ladder


def test_the_rungs_go_down_in_order() -> None:
    ladder = Ladder(fps=30, size=(480, 272))
    rungs = [(ladder.divisor, ladder.size)]
    now = 0.0
    while now < 30:
        if ladder.on_frame(CHOICE, size_bytes=1500, now=now):
            rungs.append((ladder.divisor, ladder.size))
        now += 1 / 30
    full = (480, 272)
    assert rungs == [(1, full), (2, full), (3, full), (3, (320, 176)), (3, (240, 144))]


def test_one_starved_moment_changes_nothing() -> None:
    ladder = Ladder(fps=30, size=(480, 272))
    now = 0.0
    for _ in range(10):
        assert not feed(ladder, qp=0, seconds=0.8, now=now)
        assert not feed(ladder, qp=20, seconds=0.2, now=now + 0.8)
        now += 1.0
    assert ladder.rung == 0


def test_frames_at_the_lowest_qp_that_fit_are_no_reason_to_go_down() -> None:
    ladder = Ladder(fps=30, size=(480, 272))
    assert not feed(ladder, qp=0, seconds=10, now=0, size_bytes=300)


def test_room_leads_back_to_the_top_slower_than_down() -> None:
    ladder = at_the_bottom()
    assert ladder.size == (240, 144)
    changes = feed(ladder, qp=45, seconds=60, now=20)
    assert (ladder.divisor, ladder.size) == (1, (480, 272))
    assert len(changes) == 4
    gaps = [later - earlier for earlier, later in zip([20.0, *changes], changes, strict=False)]
    assert min(gaps) > 2.9
    assert min(gaps[:2]) > 5.9, "a change of size waits longer"


def test_a_little_room_is_not_enough() -> None:
    ladder = at_the_bottom()
    assert not feed(ladder, qp=9, seconds=60, now=20)


def test_a_climb_that_fails_is_tried_less_and_less_often() -> None:
    ladder = at_the_bottom()
    bottom = ladder.rung
    climbs = []
    now = 20.0
    while now < 400:
        qp = 30 if ladder.rung == bottom else 0
        before = ladder.rung
        if ladder.on_frame(replace(CHOICE, inter_qp=qp), size_bytes=1500, now=now) and ladder.rung < before:
            climbs.append(now)
        now += 0.1
    gaps = [later - earlier for earlier, later in pairwise(climbs)]
    assert gaps[-1] > 3 * gaps[0]
    assert gaps[-1] < 60, "but it is tried"


def test_size_changes_are_seconds_apart() -> None:
    ladder = Ladder(fps=30, size=(960, 540))
    sizes = []
    now = 0.0
    qp = 0
    while now < 300:
        size = ladder.size
        ladder.on_frame(replace(CHOICE, inter_qp=qp), size_bytes=1500, now=now)
        if ladder.size != size:
            sizes.append(now)
            qp = 45 - qp
        now += 1 / 30
    assert min(later - earlier for earlier, later in pairwise(sizes)) >= 4


@pytest.mark.parametrize("size", [(64, 64), (80, 64), (1920, 1080), (100, 70)])
@pytest.mark.parametrize("fps", [1.0, 8.0, 25.0, 120.0])
def test_every_rung_can_be_coded(size: tuple[int, int], fps: float) -> None:
    ladder = Ladder(fps=fps, size=size)
    now = 0.0
    seen = set()
    while now < 40:
        ladder.on_frame(CHOICE, size_bytes=1500, now=now)
        width, height = ladder.size
        assert 64 <= width <= size[0]
        assert 64 <= height <= size[1]
        assert fps / ladder.divisor >= min(5, fps)
        seen.add((ladder.divisor, ladder.size))
        now += 0.05
    assert len(seen) == ladder.rung + 1, "no rung is like another"
