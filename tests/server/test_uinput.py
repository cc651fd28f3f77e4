"""Input through the kernel, with devices that only note what is written to them."""

from typing import Any

import pytest

from server.remote.keys import EVDEV
from server.remote.sink import SinkLost
from server.remote.uinput import UinputSink

KEY, REL, ABS = 1, 2, 3
SHIFT, CONTROL = EVDEV["ShiftLeft"], EVDEV["ControlLeft"]


class Device:
    """An `evdev.UInput`."""

    def __init__(self, events: dict[int, list[Any]], name: str) -> None:
        self.events, self.name = events, name
        self.written: list[tuple[int, int, int]] = []
        self.unfinished = self.closed = False
        self.gone = False

    def write(self, kind: int, code: int, value: int) -> None:
        if self.gone:
            raise OSError(19, "No such device")
        known = [entry[0] if isinstance(entry, tuple) else entry for entry in self.events[kind]]
        assert code in known, "the kernel drops what was not announced"
        self.written.append((kind, code, value))
        self.unfinished = True

    def syn(self) -> None:
        self.unfinished = False

    def close(self) -> None:
        self.closed = True


class Kernel:
    """A sink and its devices."""

    def __init__(self) -> None:
        self.devices: list[Device] = []
        self.sink = UinputSink(make_device=self._make)
        self.pointer, self.keyboard = self.devices

    def _make(self, events: dict[int, list[Any]], name: str) -> Device:
        self.devices.append(Device(events, name))
        return self.devices[-1]


@pytest.fixture
def kernel() -> Kernel:
    return Kernel()


def test_the_pointer_covers_the_desktop_and_no_more(kernel: Kernel) -> None:
    for x, y in ((0.0, 1.0), (0.5, -3.0), (7.0, 0.25)):
        kernel.sink.move(x, y)
    assert [value for _, _, value in kernel.pointer.written] == [0, 65535, 32768, 0, 65535, 16384]
    assert not kernel.pointer.unfinished


def test_buttons_wheel_and_keys(kernel: Kernel) -> None:
    for number in (1, 2, 3, 8, 9):
        kernel.sink.button(number, pressed=True)
        kernel.sink.button(number, pressed=False)
    kernel.sink.scroll(2, -1)
    assert [code for kind, code, value in kernel.pointer.written if kind == KEY and value] == [
        0x110,
        0x112,
        0x111,
        0x113,
        0x114,
    ]
    assert [entry for entry in kernel.pointer.written if entry[0] == REL] == [(REL, 8, -1), (REL, 6, 2)]
    for code in EVDEV:
        kernel.sink.key(code, pressed=True)
        kernel.sink.key(code, pressed=False)
    assert len(kernel.keyboard.written) == 2 * len(EVDEV)


def test_text_is_typed_as_on_a_us_keyboard(kernel: Kernel) -> None:
    kernel.sink.key("ControlLeft", pressed=True)
    assert kernel.sink.text("aB!é") == 1
    kernel.sink.key("ControlLeft", pressed=False)
    assert [(code, value) for _, code, value in kernel.keyboard.written] == [
        (CONTROL, 1),
        (CONTROL, 0),
        (EVDEV["KeyA"], 1),
        (EVDEV["KeyA"], 0),
        (SHIFT, 1),
        (EVDEV["KeyB"], 1),
        (EVDEV["KeyB"], 0),
        (SHIFT, 0),
        (SHIFT, 1),
        (EVDEV["Digit1"], 1),
        (EVDEV["Digit1"], 0),
        (SHIFT, 0),
        (CONTROL, 1),
        (CONTROL, 0),
    ]
    assert kernel.sink.text("".join(map(chr, range(0x20, 0x7F))) + "\n\t\b") == 0


def test_closing_releases_what_is_pressed(kernel: Kernel) -> None:
    kernel.sink.key("KeyA", pressed=True)
    kernel.sink.button(1, pressed=True)
    kernel.sink.close()
    assert kernel.keyboard.written[-1] == (KEY, EVDEV["KeyA"], 0)
    assert kernel.pointer.written[-1] == (KEY, 0x110, 0)
    assert all(device.closed for device in kernel.devices)


def test_a_device_that_goes_is_told(kernel: Kernel) -> None:
    kernel.keyboard.gone = True
    with pytest.raises(SinkLost, match="does not take input any more"):
        kernel.sink.key("KeyA", pressed=True)


def test_a_kernel_that_does_not_let_us_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    evdev = pytest.importorskip("evdev")

    def refuse(*_: object, **__: object) -> None:
        raise evdev.uinput.UInputError('"/dev/uinput" cannot be opened for writing')

    monkeypatch.setattr(evdev, "UInput", refuse)
    with pytest.raises(SinkLost, match="modprobe uinput"):
        UinputSink()
