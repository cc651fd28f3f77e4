"""The injecting thread, with devices that note, hang and fail."""

import threading
from typing import Any

import pytest

from latentcast.control import Button, InputEvent, Key, Pointer, Text, Wheel
from latentcast.errors import UserError
from server.remote.injector import Injector
from server.remote.sink import SinkLost

PATIENCE_S = 10.0


class Devices:
    """A sink that notes what it is told."""

    def __init__(self) -> None:
        self.told: list[tuple[Any, ...]] = []
        self.problem: Exception | None = None
        self.hanging = threading.Event()
        self.hanging.set()
        self.opened = 0

    def __call__(self) -> "Devices":
        self.opened += 1
        return self

    def _tell(self, *what: object) -> None:
        self.hanging.wait(PATIENCE_S)
        if self.problem is not None:
            raise self.problem
        self.told.append(what)

    def move(self, x: float, y: float) -> None:
        self._tell("move", x, y)

    def button(self, number: int, *, pressed: bool) -> None:
        self._tell("button", number, pressed)

    def scroll(self, dx: int, dy: int) -> None:
        self._tell("scroll", dx, dy)

    def key(self, code: str, *, pressed: bool) -> None:
        self._tell("key", code, pressed)

    def text(self, text: str) -> int:
        self._tell("text", text)
        return text.count("?")

    def close(self) -> None:
        self.told.append(("close",))


class Work:
    """An injector at work; its clock stands still."""

    def __init__(self) -> None:
        self.now = 0.0
        self.devices = Devices()
        self.problems: list[str | None] = []
        self.injector = Injector(self.devices, on_problem=self.problems.append, clock=lambda: self.now)
        self.injector.start()

    def offer(self, *events: InputEvent) -> list[tuple[Any, ...]]:
        self.injector.offer(events)
        assert self.injector.drain(PATIENCE_S)
        return self.devices.told

    def press(self, code: str) -> list[tuple[Any, ...]]:
        return self.offer(Key(code=code, pressed=True))


def test_everything_goes_to_the_devices_in_order() -> None:
    work = Work()
    assert work.devices.opened == 0, "devices are opened when there is something for them"
    work.offer(Pointer(x=0.5, y=0.25), Button(button=1, pressed=True), Wheel(dy=2.0), Text(text="what?"))
    work.injector.close()
    assert work.devices.told == [
        ("move", 0.5, 0.25),
        ("button", 1, True),
        ("scroll", 0, 2),
        ("text", "what?"),
        ("button", 1, False),
        ("close",),
    ]
    assert work.injector.untyped == 1
    assert not work.injector.holds


def test_who_offers_is_never_held_up_by_devices_that_hang() -> None:
    work = Work()
    work.devices.hanging.clear()
    for number in range(100_000):
        work.injector.offer([Pointer(x=number / 1e5, y=0.0)])
    for code in ("KeyA", "KeyB"):
        work.injector.offer([Key(code=code, pressed=True)])
    work.injector.release_all()
    assert work.devices.told == []
    work.devices.hanging.set()
    assert work.injector.drain(PATIENCE_S)
    assert len([told for told in work.devices.told if told[0] == "move"]) <= 2
    assert work.devices.told[-4:] == [
        ("key", "KeyA", True),
        ("key", "KeyB", True),
        ("key", "KeyB", False),
        ("key", "KeyA", False),
    ]
    work.injector.close()


@pytest.mark.parametrize("problem", [SinkLost("the display has gone."), UserError("no display."), OSError(5, "I/O")])
def test_devices_that_fail_are_told_of_and_opened_again_later(problem: Exception) -> None:
    work = Work()
    work.devices.problem = problem
    assert work.press("KeyA") == [("close",)]
    assert str(problem).rstrip(".") in str(work.problems)
    assert not work.injector.holds, "what was pressed has gone with them"
    work.devices.problem = None
    work.now += 0.5
    assert work.press("KeyB") == [("close",)], "not so soon"
    assert not work.injector.holds
    work.now += 0.6
    assert work.press("KeyC")[-1] == ("key", "KeyC", True)
    assert work.devices.opened == 2
    assert work.problems[-1] is None
    work.injector.close()


def test_keys_wait_for_the_clipboard_that_was_sent_before_them_but_not_for_ever(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("server.remote.injector._CLIPBOARD_WAIT_S", PATIENCE_S)
    work = Work()
    copied = threading.Event()
    work.injector.after(copied)
    work.injector.offer([Key(code="KeyV", pressed=True)])
    assert not work.injector.drain(0.02)
    assert work.devices.told == []
    copied.set()
    assert work.injector.drain(PATIENCE_S)
    monkeypatch.setattr("server.remote.injector._CLIPBOARD_WAIT_S", 0.01)
    work.injector.after(threading.Event())
    assert work.press("KeyW")[-1] == ("key", "KeyW", True)
    work.injector.close()


def test_closing_twice_and_offering_after_it_are_nothing() -> None:
    work = Work()
    work.injector.close()
    work.injector.close()
    work.injector.offer([Key(code="KeyA", pressed=True)])
    assert work.devices.told == []
    Injector(Devices()).close()
