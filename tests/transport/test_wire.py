"""The wire format, byte by byte: what each message looks like, and what is refused."""

import struct

import pytest

from transport.wire import (
    MAX_PACKET_BYTES,
    MAX_PAYLOAD_BYTES,
    MAX_REPORT_ENTRIES,
    ArrivalReport,
    FrameAcks,
    FrameStatus,
    MediaPacket,
    Ping,
    Pong,
    decode_prologue,
    encode_prologue,
    parse_feedback,
    parse_media,
    stamp,
    wire_version,
)

INTRA = MediaPacket(
    seq=0x102,
    frame_id=7,
    reference_id=None,
    epoch=5,
    index=0,
    data_count=1,
    parity_count=0,
    payload_offset=0,
    captured_us=123_456_789,
    send_delay_us=1000,
    payload=b"\0\0\0\x10\0\0\0\x20abc",
)
INTRA_BYTES = bytes.fromhex(
    "01 01 01 05 00000102 00000007 ffffffff 0000 0001 0000 0000 00000000 00000000075bcd15 000003e8"
    " 00000010 00000020 616263"
)
PREDICTED = MediaPacket(
    seq=0xFFFFFFFF,
    frame_id=2,
    reference_id=0xFFFFFFFE,
    epoch=255,
    index=2,
    data_count=3,
    parity_count=1,
    payload_offset=2000,
    captured_us=(1 << 62) + 5,
    send_delay_us=0xFFFFFFFF,
    payload=b"\xaa",
)
PREDICTED_BYTES = bytes.fromhex(
    "01 01 00 ff ffffffff 00000002 fffffffe 0002 0003 0001 0000 000007d0 4000000000000005 ffffffff aa"
)
PONG = Pong(ping_id=3, t0_us=1, t1_us=0x1122334455, t2_us=0x1122334456)
PONG_BYTES = bytes.fromhex("01 04 0000 00000003 0000000000000001 0000001122334455 0000001122334456")
PING = Ping(ping_id=0xFFFFFFFF, t0_us=0x0102030405060708)
PING_BYTES = bytes.fromhex("01 10 0000 ffffffff 0102030405060708")
REPORT = ArrivalReport(number=9, base_seq=0xFFFFFFFE, base_us=1_000_000, entries=((0, 0), (1, 250), (5, -250)))
REPORT_BYTES = bytes.fromhex(
    "01 11 0000 00000009 fffffffe 00000000000f4240 0003 0000 00000000 0001 000000fa 0005 ffffff06"
)
ACKS = FrameAcks(
    waiting_for_intra=True,
    newest_intact=6,
    acks=((6, FrameStatus.INTACT), (7, FrameStatus.CONCEALED), (9, FrameStatus.LOST)),
)
ACKS_BYTES = bytes.fromhex("01 12 01 03 00000006 00000006 00 00000007 01 00000009 02")
NO_ACKS = FrameAcks(waiting_for_intra=False, newest_intact=None, acks=())
NO_ACKS_BYTES = bytes.fromhex("01 12 00 00 ffffffff")

MEDIA = [(INTRA, INTRA_BYTES), (PREDICTED, PREDICTED_BYTES), (PONG, PONG_BYTES)]
FEEDBACK = [(PING, PING_BYTES), (REPORT, REPORT_BYTES), (ACKS, ACKS_BYTES), (NO_ACKS, NO_ACKS_BYTES)]


@pytest.mark.parametrize(("message", "data"), MEDIA)
def test_media_messages_byte_by_byte(message: MediaPacket | Pong, data: bytes) -> None:
    assert message.to_bytes() == data
    assert parse_media(data) == message


@pytest.mark.parametrize(("message", "data"), FEEDBACK)
def test_feedback_messages_byte_by_byte(message: Ping | ArrivalReport | FrameAcks, data: bytes) -> None:
    assert message.to_bytes() == data
    assert parse_feedback(data) == message


@pytest.mark.parametrize("data", [data for _, data in MEDIA])
def test_a_truncated_media_message_is_refused(data: bytes) -> None:
    # The payload of a media packet has no length of its own: cut inside it, the packet is a shorter one, unless it
    # is the first of its frame and the prologue is no longer whole.
    shortest = {INTRA_BYTES: 48, PREDICTED_BYTES: 41}.get(data, len(data))
    assert [parse_media(data[:size]) for size in range(shortest)] == [None] * shortest


@pytest.mark.parametrize("data", [data for _, data in FEEDBACK])
def test_feedback_of_another_length_is_refused(data: bytes) -> None:
    assert [parse_feedback(data[:size]) for size in range(len(data))] == [None] * len(data)
    assert parse_feedback(data + b"\0") is None


def test_a_message_of_the_other_channel_is_refused() -> None:
    assert [parse_feedback(data) for _, data in MEDIA] == [None] * len(MEDIA)
    assert [parse_media(data) for _, data in FEEDBACK] == [None] * len(FEEDBACK)


def test_reserved_kinds_are_refused() -> None:
    for kind in (0, 2, 3, 5, 19, 255):
        assert parse_media(bytes([1, kind]) + INTRA_BYTES[2:]) is None
        assert parse_feedback(bytes([1, kind]) + PING_BYTES[2:]) is None


@pytest.mark.parametrize(
    ("offset", "field"),
    [
        pytest.param(0, "02", id="another version"),
        pytest.param(2, "03", id="reserved flag"),
        pytest.param(2, "00", id="no intra flag and no reference"),
        pytest.param(8, "ffffffff", id="frame id that stands for none"),
        pytest.param(12, "00000006", id="intra flag and a reference"),
        pytest.param(16, "0001", id="index as large as the count"),
        pytest.param(18, "0000", id="no packets"),
        pytest.param(18, "2001", id="more packets than a frame can have"),
        pytest.param(22, "0001", id="reserved field"),
        pytest.param(24, "00000001", id="first packet not at the start"),
        pytest.param(28, "ffffffffffffffff", id="clock out of range"),
        pytest.param(28, "7fffffffffffffff", id="clock out of range after adding the delay"),
    ],
)
def test_a_hostile_intra_packet_is_refused(offset: int, field: str) -> None:
    assert parse_media(_replace(INTRA_BYTES, offset, field)) is None


@pytest.mark.parametrize(
    ("offset", "field"),
    [
        pytest.param(2, "01", id="intra flag and a reference"),
        pytest.param(12, "ffffffff", id="no intra flag and no reference"),
        pytest.param(12, "00000002", id="its own reference"),
        pytest.param(12, "00000003", id="reference from the future"),
        pytest.param(24, "00000008", id="starts where the packet before it must be"),
        pytest.param(24, "000008ad", id="further in than two packets can reach"),
        pytest.param(24, "00400000", id="beyond 4 MiB"),
    ],
)
def test_a_hostile_predicted_packet_is_refused(offset: int, field: str) -> None:
    assert parse_media(_replace(PREDICTED_BYTES, offset, field)) is None


def test_the_edges_of_the_payload_offset_are_accepted() -> None:
    for offset in (9, 2 * MAX_PAYLOAD_BYTES):
        assert parse_media(_replace(PREDICTED_BYTES, 24, f"{offset:08x}")) is not None


def test_the_largest_packet_is_accepted_and_one_byte_more_is_refused() -> None:
    largest = INTRA_BYTES + bytes(MAX_PACKET_BYTES - len(INTRA_BYTES))
    assert parse_media(largest) is not None
    assert parse_media(largest + b"\0") is None


def test_a_frame_of_more_than_four_mebibytes_is_refused() -> None:
    last = struct.pack(">HHHH", 3778, 3779, 0, 0) + struct.pack(">I", 3778 * MAX_PAYLOAD_BYTES)
    within = PREDICTED_BYTES[:16] + last + PREDICTED_BYTES[28:40] + bytes(724)
    assert parse_media(within) is not None
    assert parse_media(within + b"\0") is None


@pytest.mark.parametrize(
    ("offset", "field"),
    [
        pytest.param(2, "0001", id="reserved field"),
        pytest.param(8, "8000000000000000", id="client clock out of range"),
        pytest.param(16, "0000001122334457", id="sent before received"),
        pytest.param(24, "8000000000000000", id="server clock out of range"),
    ],
)
def test_a_hostile_pong_is_refused(offset: int, field: str) -> None:
    assert parse_media(_replace(PONG_BYTES, offset, field)) is None


@pytest.mark.parametrize(
    ("data", "offset", "field"),
    [
        pytest.param(PING_BYTES, 0, "00", id="another version"),
        pytest.param(PING_BYTES, 3, "01", id="ping: reserved field"),
        pytest.param(PING_BYTES, 8, "8000000000000000", id="ping: clock out of range"),
        pytest.param(REPORT_BYTES, 3, "01", id="report: reserved field"),
        pytest.param(REPORT_BYTES, 20, "0002", id="report: fewer entries announced"),
        pytest.param(REPORT_BYTES, 20, "ffff", id="report: more entries announced"),
        pytest.param(REPORT_BYTES, 28, "0000", id="report: the same packet twice"),
        pytest.param(REPORT_BYTES, 34, "0000", id="report: packets not in order"),
        pytest.param(REPORT_BYTES, 36, "80000000", id="report: arrival before the clock began"),
        pytest.param(REPORT_BYTES, 12, "7fffffffffffffff", id="report: clock out of range"),
        pytest.param(ACKS_BYTES, 2, "02", id="acks: reserved flag"),
        pytest.param(ACKS_BYTES, 3, "04", id="acks: more announced"),
        pytest.param(ACKS_BYTES, 8, "ffffffff", id="acks: frame id that stands for none"),
        pytest.param(ACKS_BYTES, 12, "03", id="acks: unknown status"),
    ],
)
def test_hostile_feedback_is_refused(data: bytes, offset: int, field: str) -> None:
    assert parse_feedback(_replace(data, offset, field)) is None


def test_an_empty_report_is_refused() -> None:
    assert parse_feedback(ArrivalReport(0, 0, 0, ()).to_bytes()) is None


def test_the_largest_report_fits_one_packet() -> None:
    report = ArrivalReport(1, 5, 6, tuple((i, i) for i in range(MAX_REPORT_ENTRIES)))
    assert parse_feedback(report.to_bytes()) == report
    assert parse_feedback(ArrivalReport(1, 5, 6, (*report.entries, (MAX_REPORT_ENTRIES, 0))).to_bytes()) is None


def test_nine_acks_are_refused() -> None:
    acks = tuple((i, FrameStatus.INTACT) for i in range(9))
    assert parse_feedback(FrameAcks(False, None, acks[:8]).to_bytes()) is not None
    assert parse_feedback(FrameAcks(False, None, acks).to_bytes()) is None


def test_report_arrivals_wrap_with_the_sequence_number() -> None:
    assert list(REPORT.arrivals()) == [(0xFFFFFFFE, 1_000_000), (0xFFFFFFFF, 1_000_250), (3, 999_750)]


def test_stamp_fills_sequence_number_and_send_delay_only() -> None:
    packet = bytearray(INTRA_BYTES)
    stamped = parse_media(stamp(packet, seq=0x1_0000_0003, now_us=123_456_789 + 2500))
    assert isinstance(stamped, MediaPacket)
    assert (stamped.seq, stamped.send_delay_us, stamped.sent_us) == (3, 2500, 123_459_289)
    assert bytes(packet) == _replace(_replace(INTRA_BYTES, 4, "00000003"), 36, "000009c4")


@pytest.mark.parametrize(("now_us", "delay"), [(0, 0), (1 << 40, 0xFFFFFFFF)])
def test_stamp_clamps_the_send_delay(now_us: int, delay: int) -> None:
    stamped = parse_media(stamp(bytearray(INTRA_BYTES), seq=0, now_us=now_us))
    assert isinstance(stamped, MediaPacket)
    assert stamped.send_delay_us == delay


def test_prologue_clamps() -> None:
    assert encode_prologue(wait_us=16, encode_us=32) == INTRA.payload[:8]
    assert decode_prologue(encode_prologue(wait_us=-1, encode_us=1 << 33)) == (0, 0xFFFFFFFF)


def test_version_of_a_peer() -> None:
    assert wire_version(b"") is None
    assert wire_version(b"\x02anything") == 2


def _replace(data: bytes, offset: int, field: str) -> bytes:
    new = bytes.fromhex(field)
    return data[:offset] + new + data[offset + len(new) :]
