"""The ring of states: the newest ones by id, never more than it was made for."""

import pytest

from codec.state import RING_CAPACITY, State, StateRing


def test_the_oldest_goes_first() -> None:
    ring = StateRing(3)
    states = [State(i, object()) for i in range(5)]
    for state in states:
        ring.put(state)
    assert len(ring) == 3
    assert [ring.get(i) for i in range(5)] == [None, None, *states[2:]]
    assert ring.newest is states[4]


def test_an_id_put_again_replaces_and_becomes_the_newest() -> None:
    ring = StateRing(2)
    ring.put(State(7, "old"))
    ring.put(State(8, "other"))
    ring.put(State(7, "new", intact=False))
    assert len(ring) == 2
    assert ring.newest == State(7, "new", intact=False)
    ring.put(State(9, "third"))
    assert ring.get(8) is None
    assert ring.get(7) is not None


def test_ids_that_wrap_are_only_names() -> None:
    ring = StateRing(2)
    for state_id in (0xFFFFFFFE, 0xFFFFFFFF, 0):
        ring.put(State(state_id, None))
    assert ring.get(0xFFFFFFFE) is None
    assert ring.newest == State(0, None)


def test_clear_and_empty() -> None:
    ring = StateRing()
    assert ring.newest is None
    for i in range(RING_CAPACITY + 1):
        ring.put(State(i, None))
    assert len(ring) == RING_CAPACITY
    ring.clear()
    assert len(ring) == 0
    assert ring.newest is None
    assert ring.get(RING_CAPACITY) is None


def test_a_ring_that_holds_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="capacity 0"):
        StateRing(0)
