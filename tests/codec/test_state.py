"""The rings of states: the newest ones by id, the few older ones that may still be needed, and never more."""

import pytest

from codec.state import RING_CAPACITY, DecoderRing, State, StateRing


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


def test_pinned_states_stay_until_others_are_named() -> None:
    ring = StateRing(2)
    for i in range(4):
        ring.pin((0, 99, None))
        ring.put(State(i, None))
    assert list(ring.ids) == [0, 2, 3]
    assert [state.id for state in ring] == [0, 2, 3]
    ring.pin((2,))
    assert list(ring.ids) == [2, 3], "an older one that is not named any more goes at once"
    ring.put(State(4, None))
    ring.put(State(5, None))
    assert list(ring.ids) == [2, 4, 5]


def test_the_newest_intra_state_stays_whatever_comes() -> None:
    ring = StateRing(2)
    ring.put(State(0, None), intra=True)
    for i in range(1, 6):
        ring.put(State(i, None))
    assert list(ring.ids) == [0, 4, 5]
    ring.put(State(6, None), intra=True)
    assert list(ring.ids) == [5, 6]
    for i in range(7, 10):
        ring.put(State(i, None))
    assert list(ring.ids) == [6, 8, 9]


def test_a_picture_coded_again_as_inter_is_no_intra_state() -> None:
    ring = StateRing(1)
    ring.put(State(0, None), intra=True)
    ring.put(State(0, None))
    ring.put(State(1, None))
    assert list(ring.ids) == [1]


def test_memory_is_bounded_by_capacity_pins_and_one() -> None:
    ring = StateRing(4)
    for i in range(1000):
        ring.pin((i - 100, i - 50))
        ring.put(State(i, None), intra=i % 30 == 0)
        assert len(ring) <= 4 + 2 + 1


def test_a_decoder_keeps_its_newest_intact_state_through_damage() -> None:
    ring = DecoderRing(2)
    ring.add(State(0, None), reference_id=None)
    ring.add(State(1, None), reference_id=0)
    for i in range(2, 8):
        ring.add(State(i, None, intact=False), reference_id=i - 1)
    assert list(ring.ids) == [0, 1, 6, 7]
    ring.add(State(8, None), reference_id=1)
    assert ring.get(1) is not None, "the newest frame was decoded from it"
    ring.add(State(9, None), reference_id=8)
    assert list(ring.ids) == [0, 8, 9]


def test_a_decoder_keeps_what_the_newest_frame_was_decoded_from() -> None:
    ring = DecoderRing(2)
    ring.add(State(0, None), reference_id=None)
    ring.add(State(1, None), reference_id=0)
    for i in range(2, 50):
        ring.add(State(i, None), reference_id=1)
        assert ring.get(1) is not None
    assert len(ring) <= 2 + 3
    ring.clear()
    assert len(ring) == 0
