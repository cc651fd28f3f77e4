"""A clipboard's text in parts: whole again, paced, bounded."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from latentcast.clipboard import ClipboardInbox, ClipboardOutbox, ClipboardTooLarge, clean_text
from latentcast.control import MAX_CLIPBOARD_BYTES, MAX_MESSAGE_BYTES, Clipboard, parse_client_message


def all_parts(text: str) -> list[Clipboard]:
    outbox = ClipboardOutbox()
    outbox.put(text, whose="the test's")
    parts, now = [], 0.0
    while outbox.pending:
        parts += outbox.poll(now, bytes_per_s=1e6, buffered_bytes=0)
        now += 0.1
    return parts


def together(parts: list[Clipboard], inbox: ClipboardInbox | None = None) -> list[str]:
    inbox = inbox or ClipboardInbox()
    return [text for part in parts if (text := inbox.add(part)) is not None]


@given(st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=10_000))
def test_a_text_comes_out_as_it_went_in_through_messages_that_fit(text: str) -> None:
    parts = []
    for part in all_parts(text):
        wire = part.model_dump_json()
        assert len(wire.encode()) <= MAX_MESSAGE_BYTES
        parsed = parse_client_message(wire)
        assert isinstance(parsed, Clipboard)
        parts.append(parsed)
    assert together(parts) == [text]


def test_what_json_makes_longest_still_fits() -> None:
    assert together(all_parts("\x01" * 100_000)) == ["\x01" * 100_000]
    assert max(len(part.model_dump_json()) for part in all_parts("\x01" * 100_000)) <= MAX_MESSAGE_BYTES


def test_what_utf8_cannot_carry_is_replaced() -> None:
    assert clean_text("a\ud800b\0c") == "a\ufffdbc"
    assert clean_text("\ud83d\ude00") == "\N{GRINNING FACE}"
    assert together(all_parts("a\ud800b")) == ["a\ufffdb"]


def test_1_mib_goes_and_a_byte_more_is_refused_in_words() -> None:
    assert together(all_parts("x" * MAX_CLIPBOARD_BYTES)) == ["x" * MAX_CLIPBOARD_BYTES]
    outbox = ClipboardOutbox()
    outbox.put("before", whose="this computer's")
    with pytest.raises(ClipboardTooLarge, match=r"this computer's clipboard holds 1\.5 MiB .* at most 1\.0 MiB"):
        outbox.put("é" * (3 * MAX_CLIPBOARD_BYTES // 4), whose="this computer's")
    assert outbox.pending, "what was under way still is"


def test_the_path_is_shared_and_a_full_channel_is_left_alone() -> None:
    outbox = ClipboardOutbox()
    outbox.put("x" * 500_000, whose="the test's")
    sent = len(outbox.poll(0.0, bytes_per_s=20_000, buffered_bytes=0))
    for tick in range(1, 101):
        sent += len(outbox.poll(tick / 10, bytes_per_s=20_000, buffered_bytes=0))
    assert 180_000 <= 2048 * sent <= 240_000
    assert outbox.poll(100.0, bytes_per_s=20_000, buffered_bytes=250_000) == []
    assert outbox.pending


def test_a_newer_text_takes_the_place_of_one_on_its_way() -> None:
    outbox, inbox = ClipboardOutbox(), ClipboardInbox()
    outbox.put("old" * 50_000, whose="the test's")
    begun = outbox.poll(0.0, bytes_per_s=1e6, buffered_bytes=0)
    assert together(begun, inbox) == []
    outbox.put("new", whose="the test's")
    assert together(outbox.poll(1.0, bytes_per_s=1e6, buffered_bytes=0), inbox) == ["new"]
    assert inbox.dropped == 0


PARTS = st.builds(
    Clipboard, id=st.integers(0, 3), part=st.integers(0, 5), parts=st.integers(1, 6), text=st.text(max_size=3)
)


@given(st.lists(PARTS, max_size=60))
def test_whatever_comes_only_whole_texts_come_out(parts: list[Clipboard]) -> None:
    inbox = ClipboardInbox()
    for index, part in enumerate(parts):
        text = inbox.add(part)
        if text is not None:
            run = parts[index - part.part : index + 1]
            assert [(other.id, other.part) for other in run] == [(part.id, n) for n in range(part.part + 1)]
            assert text == clean_text("".join(other.text for other in run))


@pytest.mark.parametrize("order", [(0, 2, 1), (0, 0, 1), (1, 2, 0), (0, 1, 1), (2, 1, 0)])
def test_parts_out_of_order_make_no_text(order: tuple[int, ...]) -> None:
    inbox = ClipboardInbox()
    assert together([Clipboard(id=1, part=part, parts=3, text=str(part)) for part in order], inbox) == []
    assert together(all_parts("next"), inbox) == ["next"]


def test_a_text_that_grows_too_long_is_dropped_where_it_does() -> None:
    inbox = ClipboardInbox()
    for part in range(4096):
        assert inbox.add(Clipboard(id=1, part=part, parts=4096, text="x" * 2048)) is None
    assert inbox.dropped > 3000
    assert inbox.add(Clipboard(id=2, part=0, parts=1, text="next")) == "next"
