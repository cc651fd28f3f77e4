"""Control messages: they survive the wire, and nothing else does."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from latentcast import control
from latentcast.control import (
    AudioClock,
    Button,
    Bye,
    ClientMessage,
    Clipboard,
    Config,
    Cursor,
    Error,
    Hello,
    Input,
    Key,
    Notice,
    Pointer,
    Release,
    ServerMessage,
    SourceState,
    Stats,
    Text,
    Viewer,
    Wheel,
    parse_client_message,
    parse_server_message,
)
from latentcast.report import Percentiles

LAG = Percentiles(p50=0.1, p95=0.2, p99=0.3, max=4.0)
HELLO = Hello(
    protocol=1, wire=1, bitstream=1, profile="nano", weights="a" * 64, fingerprint="f" * 32, program="latentcast 0.1.0"
)
CONFIG = Config(epoch=255, stream="live", profile="nano", weights="0" * 64, width=640, height=360, fps=29.97)
STATS = Stats(
    final=True,
    captured=10,
    encoded=9,
    sent=8,
    packets=70,
    bytes=70_000,
    seconds=1.5,
    target_bps=6e5,
    target_mean_bps=5.5e5,
    loss=0.25,
    queue_delay_ms=3.0,
    loop_lag_ms=LAG,
    memory_mb=210.5,
)
INPUT = Input(
    events=[
        Pointer(x=0.5, y=1.0),
        Button(button=1, pressed=True),
        Wheel(dx=0.0, dy=-1.5),
        Key(code="KeyA", pressed=False),
        Text(text="\u00e9"),
        Release(),
    ]
)
SEEN = Viewer(fps=30.0, presented=12, lost=1, latency_p50_ms=54.0, stages_ms={"encode": 14.0}, rtt_ms=0.4)
FROM_SERVER = [
    CONFIG,
    STATS,
    SourceState(kind="url", state="waiting", reason="no answer"),
    AudioClock(rtp=2**32 - 1, captured_us=5),
    Cursor(visible=True, png="iVBORw0KGgo=", hot_x=3),
    Notice(message="The clipboard is too large."),
    Error(code="version", message="Install the same version at both ends."),
]
FROM_CLIENT = [HELLO, SEEN, INPUT, Bye()]


@pytest.mark.parametrize("message", FROM_CLIENT)
def test_what_a_client_says_is_what_the_server_hears(message: ClientMessage) -> None:
    text = message.model_dump_json()
    assert parse_client_message(text) == message
    assert parse_server_message(text) is None, "and not what a server says"


@pytest.mark.parametrize("message", FROM_SERVER)
def test_what_a_server_says_is_what_the_client_hears(message: ServerMessage) -> None:
    text = message.model_dump_json()
    assert parse_server_message(text) == message
    assert parse_client_message(text) is None


def test_a_newer_peer_may_say_more() -> None:
    fields = HELLO.model_dump() | {"microphone": True}
    assert parse_client_message(json.dumps(fields)) == HELLO


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("wire", -1),
        ("wire", 2**63),
        ("protocol", "one"),
        ("weights", "A" * 64),
        ("weights", "a" * 63),
        ("weights", "a" * 64 + "\n"),
        ("profile", "p" * 33),
        ("program", None),
    ],
)
def test_each_field_of_a_hello_is_checked(field: str, value: object) -> None:
    assert parse_client_message(json.dumps(HELLO.model_dump() | {field: value})) is None


@pytest.mark.parametrize(
    ("field", "value"),
    [("epoch", 256), ("width", 63), ("width", 1921), ("height", 1089), ("fps", 0), ("fps", 1e9), ("matrix", "bt601")],
)
def test_each_field_of_a_config_is_checked(field: str, value: object) -> None:
    assert parse_server_message(json.dumps(CONFIG.model_dump() | {field: value})) is None


def test_a_message_of_absurd_length_is_not_read() -> None:
    text = HELLO.model_dump_json()
    padding = " " * (control.MAX_MESSAGE_BYTES - len(text))
    assert parse_client_message(text + padding) == HELLO
    assert parse_client_message(text + padding + " ") is None
    assert parse_server_message(STATS.model_dump_json() + " " * control.MAX_MESSAGE_BYTES) is None


json_values = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


@given(st.text(max_size=64) | st.binary(max_size=64))
def test_random_bytes_and_text_never_raise(data: str | bytes) -> None:
    assert parse_client_message(data) is None
    assert parse_server_message(data) is None


@given(st.sampled_from([*FROM_CLIENT, *FROM_SERVER]), st.data())
def test_a_message_with_a_spoilt_field_is_refused_or_read_but_never_raises(
    message: Hello | Bye | Config | Stats | Error, data: st.DataObject
) -> None:
    fields = message.model_dump()
    fields[data.draw(st.sampled_from(sorted(fields)))] = data.draw(json_values)
    text = json.dumps(fields)
    parse_client_message(text)
    parse_server_message(text)


def test_deep_nesting_is_refused() -> None:
    text = '{"type":' + "[" * 7000 + "]" * 7000 + "}"
    assert parse_client_message(text) is None


def test_a_clipboard_goes_both_ways_and_its_longest_part_fits_a_message() -> None:
    part = Clipboard(id=1, part=0, parts=2, text="\x01" * control.MAX_CLIPBOARD_PART_CHARACTERS)
    text = part.model_dump_json()
    assert parse_client_message(text) == parse_server_message(text) == part
    everything = control.MAX_CLIPBOARD_PARTS * control.MAX_CLIPBOARD_PART_CHARACTERS
    assert everything >= control.MAX_CLIPBOARD_BYTES


@pytest.mark.parametrize(
    "event",
    [
        {"type": "pointer", "x": 1.5e9, "y": 0.0},
        {"type": "pointer", "x": float("nan"), "y": 0.0},
        {"type": "button", "button": 4, "pressed": True},
        {"type": "wheel", "dy": 1e9},
        {"type": "key", "code": "Key A", "pressed": True},
        {"type": "key", "code": "A" * 40, "pressed": True},
        {"type": "text", "text": ""},
        {"type": "reboot"},
    ],
)
def test_input_out_of_range_is_none(event: dict[str, object]) -> None:
    good = {"type": "release"}
    assert parse_client_message(json.dumps({"type": "input", "events": [good]})) is not None
    assert parse_client_message(json.dumps({"type": "input", "events": [good, event]})) is None


def test_a_message_holds_so_many_events_and_no_more() -> None:
    events = [{"type": "release"}] * (control.MAX_INPUT_EVENTS + 1)
    assert parse_client_message(json.dumps({"type": "input", "events": events[:-1]})) is not None
    assert parse_client_message(json.dumps({"type": "input", "events": events})) is None
    assert parse_client_message(json.dumps({"type": "input", "events": []})) is None
