"""Serial arithmetic at the places where plain comparison goes wrong."""

import pytest

from transport.serial import Unwrapper, serial_distance, serial_newer


@pytest.mark.parametrize(
    ("start", "end", "distance"),
    [
        (0, 0, 0),
        (0, 1, 1),
        (0xFFFFFFFF, 0, 1),
        (0, 0xFFFFFFFF, -1),
        (0xFFFFFFF0, 0x10, 0x20),
        (0, 0x7FFFFFFF, 0x7FFFFFFF),
        (0, 0x80000000, -0x80000000),
        (0x80000000, 0, -0x80000000),
    ],
)
def test_distance_takes_the_short_way_round(start: int, end: int, distance: int) -> None:
    assert serial_distance(start, end) == distance


def test_distance_in_eight_bits() -> None:
    assert serial_distance(250, 3, bits=8) == 9
    assert serial_newer(3, 250, bits=8)


def test_half_the_circle_is_newer_in_neither_direction() -> None:
    assert not serial_newer(0x80000000, 0)
    assert not serial_newer(0, 0x80000000)


def test_unwrapper_counts_on_past_the_wrap_and_back_over_it() -> None:
    ids = Unwrapper()
    assert ids.unwrap(0xFFFFFFFE) == 0xFFFFFFFE
    assert ids.unwrap(1) == 0x100000001
    assert ids.unwrap(0xFFFFFFFF) == 0xFFFFFFFF
    assert ids.unwrap(2) == 0x100000002


def test_unwrapper_before_the_first_number_goes_negative() -> None:
    ids = Unwrapper()
    assert ids.unwrap(2) == 2
    assert ids.unwrap(0xFFFFFFFF) == -1


def test_peek_changes_nothing() -> None:
    ids = Unwrapper()
    ids.unwrap(10)
    assert ids.peek(0x70000000) == 0x70000000
    assert ids.peek(0xE0000000) == 0xE0000000 - (1 << 32)
    assert ids.unwrap(11) == 11
