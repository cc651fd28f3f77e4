"""Letterbox geometry and labels that move apart."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from client.fit import Box, letterbox, shrunk_to_fit, spread

SIDE = st.integers(1, 8192)
SIZE = st.tuples(SIDE, SIDE)


@pytest.mark.parametrize(
    ("content", "bounds", "box"),
    [
        ((640, 360), (1280, 720), Box(0, 0, 1280, 720)),
        ((640, 360), (1280, 1024), Box(0, 152, 1280, 720)),
        ((640, 480), (1280, 720), Box(160, 0, 960, 720)),
        ((360, 640), (100, 100), Box(22, 0, 56, 100)),
        ((1920, 1080), (160, 120), Box(0, 15, 160, 90)),
        ((4000, 1), (100, 100), Box(0, 49, 100, 1)),
    ],
)
def test_known_boxes(content: tuple[int, int], bounds: tuple[int, int], box: Box) -> None:
    assert letterbox(content, bounds) == box


@given(content=SIZE, bounds=SIZE)
def test_largest_centred_box_of_the_same_shape(content: tuple[int, int], bounds: tuple[int, int]) -> None:
    left, top, width, height = letterbox(content, bounds)
    assert width == bounds[0] or height == bounds[1]
    assert 1 <= width <= bounds[0]
    assert 1 <= height <= bounds[1]
    assert 0 <= bounds[0] - width - 2 * left <= 1
    assert 0 <= bounds[1] - height - 2 * top <= 1
    exact = width * content[1] / content[0] if width == bounds[0] else height * content[0] / content[1]
    fitted = height if width == bounds[0] else width
    # With both sides touching, either may be the one that was computed.
    both_touch = (width, height) == bounds
    assert abs(fitted - exact) <= 0.5 + 1e-9 or fitted == 1 or both_touch


@pytest.mark.parametrize("empty", [((0, 9), (9, 9)), ((9, 9), (9, 0)), ((9, -1), (9, 9))])
def test_an_empty_size_is_refused(empty: tuple[tuple[int, int], tuple[int, int]]) -> None:
    with pytest.raises(ValueError, match="has no pixels"):
        letterbox(*empty)


def test_only_what_is_too_large_shrinks() -> None:
    assert shrunk_to_fit((640, 360), (640, 400)) == (640, 360)
    assert shrunk_to_fit((1920, 1080), (960, 900)) == (960, 540)


def test_labels_that_do_not_touch_stay() -> None:
    assert spread([10.0, 60.0, 90.0], distance=20, low=0, high=100) == [10.0, 60.0, 90.0]


def test_close_labels_part_around_their_middle_and_keep_their_order() -> None:
    assert spread([52.0, 50.0], distance=20, low=0, high=100) == [61.0, 41.0]


@given(wanted=st.lists(st.floats(0, 100), max_size=5))
def test_labels_keep_distance_and_bounds(wanted: list[float]) -> None:
    placed = spread(wanted, distance=20, low=0, high=100)
    in_order = [place for _, place in sorted(zip(wanted, placed, strict=True))]
    assert all(after - before >= 20 - 1e-6 for before, after in pairwise(in_order))
    assert all(-1e-6 <= place <= 100 + 1e-6 for place in placed)
