"""Limits of remote input, in simulated time: what is let through, and that nothing stays pressed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from latentcast.control import Button, InputEvent, Key, Pointer, Release, Text, Wheel
from server.remote.gate import (
    CHARACTER_BURST,
    CHARACTERS_PER_S,
    MAX_QUEUE,
    NOTCH_BURST,
    PRESS_BURST,
    PRESSES_PER_S,
    Action,
    InputGate,
    Scroll,
)
from server.remote.keys import EVDEV

A, B = "KeyA", "KeyB"


def key(code: str, pressed: bool) -> Key:
    return Key(code=code, pressed=pressed)


def drain(gate: InputGate) -> list[Action]:
    actions = []
    while (action := gate.take()) is not None:
        actions.append(action)
    return actions


def held(actions: list[Action]) -> set[str | int]:
    """What is pressed after these; asserts that nothing is pressed twice or released for nothing."""
    down: set[str | int] = set()
    for action in actions:
        if isinstance(action, Key | Button):
            name = action.code if isinstance(action, Key) else action.button
            assert (name in down) is not action.pressed
            (down.add if action.pressed else down.discard)(name)
    return down


def test_keys_at_10_khz_are_limited_and_every_press_is_released() -> None:
    gate = InputGate()
    actions: list[Action] = []
    for tick in range(20_000):
        gate.offer(key(A, tick % 2 == 0), tick / 10_000)
        # A thread that keeps up.
        actions += drain(gate)
    assert len(actions) <= 2 * (PRESS_BURST + 2 * PRESSES_PER_S + 1)
    assert len(actions) >= 2 * 2 * PRESSES_PER_S
    assert held(actions) == set()
    assert gate.counts.limited == 10_000 - len(actions) // 2


def test_a_thread_that_hangs_finds_a_bounded_queue_and_all_releases() -> None:
    gate = InputGate()
    codes = sorted(EVDEV)
    for second in range(600):
        for code in codes[second % 100 : second % 100 + 10]:
            gate.offer(Pointer(x=0.5, y=0.5), second)
            gate.offer(key(code, True), second)
            gate.offer(Text(text="abc"), second)
            gate.offer(Wheel(dy=1.0), second)
            gate.offer(key(code, False), second)
        assert len(gate) <= 3 * MAX_QUEUE
    assert held(drain(gate)) == set()


EVENTS = st.one_of(
    st.builds(Key, code=st.sampled_from([A, B, "ShiftLeft", "NoSuchKey"]), pressed=st.booleans()),
    st.builds(Button, button=st.sampled_from([1, 2, 3, 8, 9]), pressed=st.booleans()),
    st.builds(Pointer, x=st.floats(-2, 2), y=st.floats(-2, 2)),
    st.builds(Wheel, dx=st.floats(-3, 3), dy=st.floats(-100, 100)),
    st.builds(Text, text=st.text(min_size=1, max_size=64)),
    st.builds(Release),
)


@given(st.lists(st.tuples(EVENTS, st.floats(0, 0.2), st.booleans()), max_size=200))
def test_whatever_comes_nothing_stays_pressed_once_the_viewer_has_gone(
    steps: list[tuple[InputEvent, float, bool]],
) -> None:
    gate, now, actions = InputGate(), 0.0, []
    for event, pause, taken in steps:
        now += pause
        gate.offer(event, now)
        if taken:
            actions += drain(gate)
    gate.release_all()
    actions += drain(gate)
    assert held(actions) == set()
    assert not gate.holds


def test_the_newest_of_neighbouring_pointers_is_kept() -> None:
    gate = InputGate()
    for x in range(1000):
        gate.offer(Pointer(x=x / 1000, y=0.0), 0.0)
    gate.offer(key(A, True), 0.0)
    gate.offer(Pointer(x=0.1, y=0.2), 0.0)
    assert drain(gate) == [Pointer(x=0.999, y=0.0), key(A, True), Pointer(x=0.1, y=0.2)]


def test_everything_is_released_newest_first() -> None:
    gate = InputGate()
    for event in (key("ControlLeft", True), key(A, True), Button(button=1, pressed=True)):
        gate.offer(event, 0.0)
    drain(gate)
    gate.offer(Release(), 0.0)
    assert drain(gate) == [Button(button=1, pressed=False), key(A, False), key("ControlLeft", False)]


def test_a_held_key_is_pressed_once_and_a_stray_release_is_none() -> None:
    gate = InputGate()
    for pressed in (True, True, True, False, False):
        gate.offer(key(A, pressed), 0.0)
    assert drain(gate) == [key(A, True), key(A, False)]


@pytest.mark.parametrize("code", ["Power", "Sleep", "NoSuchKey", "keya"])
def test_keys_that_do_not_exist_are_counted(code: str) -> None:
    gate = InputGate()
    gate.offer(key(code, True), 0.0)
    gate.offer(key(code, False), 0.0)
    assert drain(gate) == []
    assert gate.counts.unknown == 2


def test_fractions_of_the_wheel_add_up_both_ways() -> None:
    gate = InputGate()
    for turned in [0.1] * 25 + [-0.25] * 10:
        gate.offer(Wheel(dy=turned, dx=-turned / 2), 0.0)
    turns = [action for action in drain(gate) if isinstance(action, Scroll)]
    assert sum(turn.dy for turn in turns) == 0
    assert sum(turn.dx for turn in turns) in (0, 1)
    gate.offer(Wheel(dy=0.9), 0.0)
    gate.offer(Release(), 0.0)
    gate.offer(Wheel(dy=0.9), 0.0)
    assert drain(gate) == [], "what was left of a turn is forgotten"


def test_the_wheel_and_text_have_limits_of_their_own() -> None:
    gate = InputGate()
    for _ in range(10):
        gate.offer(Wheel(dx=100.0, dy=-100.0), 0.0)
    assert sum(abs(a.dx) + abs(a.dy) for a in drain(gate) if isinstance(a, Scroll)) == NOTCH_BURST
    for _ in range(100):
        gate.offer(Text(text="x" * 64), 0.0)
    assert sum(len(a.text) for a in drain(gate) if isinstance(a, Text)) == CHARACTER_BURST // 64 * 64
    gate.offer(Text(text="x" * 64), 64 / CHARACTERS_PER_S)
    assert len(drain(gate)) == 1


def test_devices_that_have_gone_hold_nothing() -> None:
    gate = InputGate()
    gate.offer(key(A, True), 0.0)
    gate.forget()
    gate.offer(key(A, False), 0.0)
    assert drain(gate) == []
    gate.offer(key(A, True), 0.0)
    assert drain(gate) == [key(A, True)]
