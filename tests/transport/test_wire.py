"""The wire format, byte by byte: what each message looks like, and what is refused."""

import struct
from dataclasses import replace

import pytest

from transport.wire import (
    HEAD_BLOCK,
    MAX_BLOCK,
    MAX_FRAME_BYTES,
    MAX_PACKET_BYTES,
    MAX_PACKETS_PER_FRAME,
    MAX_PAYLOAD_BYTES,
    MAX_REPORT_ENTRIES,
    WIRE_VERSION,
    ArrivalReport,
    FeedbackMessage,
    FrameAcks,
    FrameStatus,
    MediaMessage,
    MediaPacket,
    Nack,
    ParityPacket,
    Ping,
    Pong,
    ProbePacket,
    announce,
    block_count,
    block_size,
    block_start,
    decode_prologue,
    encode_prologue,
    ends_frame,
    mark_answer,
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
    "02 01 01 05 00000102 00000007 ffffffff 0000 0001 0000 0001 00 000000 00000000075bcd15 000003e8"
    " 00000010 00000020 616263"
)
PREDICTED = MediaPacket(
    seq=0xFFFFFFFF,
    frame_id=2,
    reference_id=0xFFFFFFFE,
    epoch=255,
    index=2,
    data_count=3,
    parity_count=0,
    payload_offset=2000,
    captured_us=(1 << 62) + 5,
    send_delay_us=0xFFFFFFFF,
    payload=b"\xaa",
    head_count=2,
    head_parity_count=3,
    answers=0x8001,
)
PREDICTED_BYTES = bytes.fromhex(
    "02 01 02 ff ffffffff 00000002 fffffffe 0002 0003 8001 0002 03 0007d0 4000000000000005 ffffffff aa"
)
PARITY = ParityPacket(
    seq=4,
    frame_id=2,
    reference_id=1,
    epoch=0,
    block=1,
    share=26,
    data_count=50,
    parity_count=2,
    payload_offset=1000,
    captured_us=7,
    send_delay_us=8,
    payload=b"\1\2\3",
    head_count=2,
)
PARITY_BYTES = bytes.fromhex(
    "02 02 00 00 00000004 00000002 00000001 01 1a 0032 0002 0002 00 0003e8 0000000000000007 00000008 010203"
)
HEAD_PARITY = ParityPacket(
    seq=5,
    frame_id=2,
    reference_id=None,
    epoch=1,
    block=HEAD_BLOCK,
    share=2,
    data_count=50,
    parity_count=0,
    payload_offset=0,
    captured_us=7,
    send_delay_us=8,
    payload=b"\1\2\3",
    head_count=2,
    head_parity_count=1,
    answers=0,
)
HEAD_PARITY_BYTES = bytes.fromhex(
    "02 02 03 01 00000005 00000002 ffffffff ff 02 0032 0000 0002 01 000000 0000000000000007 00000008 010203"
)
PROBE = ProbePacket(seq=0x01020304, sent_us=9, size_bytes=18)
PROBE_BYTES = bytes.fromhex("02 03 0000 01020304 0000000000000009 0000")
PONG = Pong(ping_id=3, t0_us=1, t1_us=0x1122334455, t2_us=0x1122334456)
PONG_BYTES = bytes.fromhex("02 04 0000 00000003 0000000000000001 0000001122334455 0000001122334456")
PING = Ping(ping_id=0xFFFFFFFF, t0_us=0x0102030405060708)
PING_BYTES = bytes.fromhex("02 10 0000 ffffffff 0102030405060708")
REPORT = ArrivalReport(number=9, base_seq=0xFFFFFFFE, base_us=1_000_000, entries=((0, 0), (1, 250), (5, -250)))
REPORT_BYTES = bytes.fromhex(
    "02 11 0000 00000009 fffffffe 00000000000f4240 0003 0000 00000000 0001 000000fa 0005 ffffff06"
)
ACKS = FrameAcks(
    waiting_for_intra=True,
    newest_intact=6,
    acks=((6, FrameStatus.INTACT, ()), (7, FrameStatus.CONCEALED, (0, 0x102)), (9, FrameStatus.LOST, ())),
)
ACKS_BYTES = bytes.fromhex("02 12 01 03 00000006 00000006 00 00 00000007 01 02 0000 0102 00000009 02 00")
NO_ACKS = FrameAcks(waiting_for_intra=False, newest_intact=None, acks=())
NO_ACKS_BYTES = bytes.fromhex("02 12 00 00 ffffffff")
NACK = Nack(seqs=(0xFFFFFFFF, 0, 0x203))
NACK_BYTES = bytes.fromhex("02 13 00 03 ffffffff 0001 0204")

MEDIA: list[tuple[MediaMessage, bytes]] = [
    (INTRA, INTRA_BYTES),
    (PREDICTED, PREDICTED_BYTES),
    (PARITY, PARITY_BYTES),
    (HEAD_PARITY, HEAD_PARITY_BYTES),
    (PROBE, PROBE_BYTES),
    (PONG, PONG_BYTES),
]
FEEDBACK: list[tuple[FeedbackMessage, bytes]] = [
    (PING, PING_BYTES),
    (REPORT, REPORT_BYTES),
    (ACKS, ACKS_BYTES),
    (NO_ACKS, NO_ACKS_BYTES),
    (NACK, NACK_BYTES),
]


@pytest.mark.parametrize(("message", "data"), MEDIA)
def test_media_messages_byte_by_byte(message: MediaMessage, data: bytes) -> None:
    assert message.to_bytes() == data
    assert parse_media(data) == message


@pytest.mark.parametrize(("message", "data"), FEEDBACK)
def test_feedback_messages_byte_by_byte(message: FeedbackMessage, data: bytes) -> None:
    assert message.to_bytes() == data
    assert parse_feedback(data) == message


@pytest.mark.parametrize("data", [data for _, data in MEDIA])
def test_a_truncated_media_message_is_refused(data: bytes) -> None:
    # The payload of a media packet has no length of its own: cut inside it, the packet is a shorter one, unless it
    # is the first of its frame and the prologue is no longer whole; a share of parity has a length and a byte at least;
    # a probe is padding from byte 16 on.
    shortest = {INTRA_BYTES: 48, PREDICTED_BYTES: 41, PROBE_BYTES: 16}.get(data, len(data))
    assert [parse_media(data[:size]) for size in range(shortest)] == [None] * shortest


@pytest.mark.parametrize("data", [data for _, data in FEEDBACK])
def test_feedback_of_another_length_is_refused(data: bytes) -> None:
    assert [parse_feedback(data[:size]) for size in range(len(data))] == [None] * len(data)
    assert parse_feedback(data + b"\0") is None


def test_a_message_of_the_other_channel_is_refused() -> None:
    assert [parse_feedback(data) for _, data in MEDIA] == [None] * len(MEDIA)
    assert [parse_media(data) for _, data in FEEDBACK] == [None] * len(FEEDBACK)


def test_unknown_kinds_are_refused() -> None:
    for kind in (0, 5, 20, 255):
        assert parse_media(bytes([WIRE_VERSION, kind]) + INTRA_BYTES[2:]) is None
        assert parse_feedback(bytes([WIRE_VERSION, kind]) + PING_BYTES[2:]) is None


@pytest.mark.parametrize(
    ("offset", "field"),
    [
        pytest.param(0, "01", id="another version"),
        pytest.param(2, "05", id="reserved flag"),
        pytest.param(2, "00", id="no intra flag and no reference"),
        pytest.param(8, "ffffffff", id="frame id that stands for none"),
        pytest.param(12, "00000006", id="intra flag and a reference"),
        pytest.param(16, "0001", id="index as large as the count"),
        pytest.param(18, "0000", id="no packets"),
        pytest.param(18, "2001", id="more packets than a frame can have"),
        pytest.param(22, "0000", id="no head"),
        pytest.param(22, "0002", id="more packets of head than packets"),
        pytest.param(25, "000001", id="first packet not at the start"),
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
        pytest.param(25, "000008", id="starts where the packet before it must be"),
        pytest.param(25, "0008a9", id="further in than two packets can reach"),
        pytest.param(25, "400000", id="beyond 4 MiB"),
    ],
)
def test_a_hostile_predicted_packet_is_refused(offset: int, field: str) -> None:
    assert parse_media(_replace(PREDICTED_BYTES, offset, field)) is None


def test_the_edges_of_the_payload_offset_are_accepted() -> None:
    for offset in (9, 2 * MAX_PAYLOAD_BYTES):
        assert parse_media(_replace(PREDICTED_BYTES, 25, f"{offset:06x}")) is not None


def test_the_largest_packet_is_accepted_and_one_byte_more_is_refused() -> None:
    for data, limit in (
        (INTRA_BYTES, MAX_PACKET_BYTES - 2),
        (PARITY_BYTES, MAX_PACKET_BYTES),
        (PROBE_BYTES, MAX_PACKET_BYTES),
    ):
        largest = data + bytes(limit - len(data))
        assert parse_media(largest) is not None
        assert parse_media(largest + b"\0") is None


def test_a_frame_of_more_than_four_mebibytes_is_refused() -> None:
    full, rest = divmod(MAX_FRAME_BYTES, MAX_PAYLOAD_BYTES)
    last = struct.pack(">HHHHI", full, full + 1, 0, 1, full * MAX_PAYLOAD_BYTES)
    within = PREDICTED_BYTES[:16] + last + PREDICTED_BYTES[28:40] + bytes(rest)
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
        pytest.param(PING_BYTES, 0, "01", id="another version"),
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
        pytest.param(ACKS_BYTES, 18, "00", id="acks: missing slices of an intact frame"),
        pytest.param(ACKS_BYTES, 19, "03", id="acks: more slices than there are bytes"),
        pytest.param(ACKS_BYTES, 19, "11", id="acks: more slices than may be named"),
        pytest.param(ACKS_BYTES, 20, "0102", id="acks: a slice twice"),
        pytest.param(NACK_BYTES, 2, "01", id="nack: reserved field"),
        pytest.param(NACK_BYTES, 3, "00", id="nack: asks for nothing"),
        pytest.param(NACK_BYTES, 3, "02", id="nack: fewer announced"),
        pytest.param(NACK_BYTES, 3, "41", id="nack: more than may be asked for"),
        pytest.param(NACK_BYTES, 8, "0000", id="nack: the same packet twice"),
        pytest.param(NACK_BYTES, 8, "0204", id="nack: not in order"),
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
    acks = tuple((i, FrameStatus.INTACT, ()) for i in range(9))
    assert parse_feedback(FrameAcks(False, None, acks[:8]).to_bytes()) is not None
    assert parse_feedback(FrameAcks(False, None, acks).to_bytes()) is None


def test_the_largest_acks_and_nack_fit_one_packet() -> None:
    slices = tuple(range(0, 0x10000, 0x1000))
    acks = FrameAcks(False, None, tuple((i, FrameStatus.CONCEALED, slices) for i in range(8)))
    assert parse_feedback(acks.to_bytes()) == acks
    nack = Nack(tuple(range(7, 7 + 64)))
    assert parse_feedback(nack.to_bytes()) == nack
    assert parse_feedback(Nack((*nack.seqs, 100)).to_bytes()) is None


@pytest.mark.parametrize(
    ("offset", "field"),
    [
        pytest.param(16, "02", id="a block that the frame does not have"),
        pytest.param(17, "18", id="a share that is data"),
        pytest.param(18, "2001", id="more packets than a frame can have"),
        pytest.param(25, "00001f", id="starts where the packet before it must be"),
        pytest.param(25, "006c35", id="further in than 25 packets can reach"),
        pytest.param(28, "ffffffffffffffff", id="clock out of range"),
    ],
)
def test_hostile_parity_is_refused(offset: int, field: str) -> None:
    assert parse_media(_replace(PARITY_BYTES, offset, field)) is None


@pytest.mark.parametrize(
    ("offset", "field"),
    [
        pytest.param(17, "01", id="a share that is data"),
        pytest.param(22, "0031", id="a head that is too large for a block"),
        pytest.param(25, "000001", id="the head is not where it begins"),
    ],
)
def test_hostile_parity_of_the_head_is_refused(offset: int, field: str) -> None:
    assert parse_media(_replace(HEAD_PARITY_BYTES, offset, field)) is None


@pytest.mark.parametrize(("offset", "field"), [(2, "0001"), (8, "8000000000000000")])
def test_a_hostile_probe_is_refused(offset: int, field: str) -> None:
    assert parse_media(_replace(PROBE_BYTES, offset, field)) is None


def test_what_does_not_fit_its_field_is_an_error_of_the_sender() -> None:
    with pytest.raises(struct.error):
        replace(PREDICTED, payload_offset=1 << 24).to_bytes()
    with pytest.raises(struct.error):
        replace(PREDICTED, head_parity_count=256).to_bytes()


def test_blocks_cover_all_packets_and_are_equal_within_one() -> None:
    for count in (1, 47, 48, 49, 96, 97, 1000, MAX_PACKETS_PER_FRAME):
        starts = [block_start(count, block) for block in range(block_count(count) + 1)]
        sizes = {block_size(count, 1, block) for block in range(block_count(count))}
        assert (starts[0], starts[-1]) == (0, count)
        assert max(sizes) <= MAX_BLOCK
        assert max(sizes) - min(sizes) <= 1
    assert block_count(MAX_PACKETS_PER_FRAME) < HEAD_BLOCK


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


def test_stamp_marks_what_is_sent_again() -> None:
    packet = bytearray(PARITY_BYTES)
    mark_answer(packet, 0x1_0000_0005)
    stamped = parse_media(stamp(packet, seq=9, now_us=1007, resent=True))
    assert stamped == replace(PARITY, seq=9, send_delay_us=1000, parity_count=0, answers=5)
    assert stamped.resent


def test_stamp_gives_a_probe_its_time() -> None:
    padding = ProbePacket.padding(MAX_PACKET_BYTES)
    stamped = parse_media(stamp(padding, seq=9, now_us=1234))
    assert stamped == ProbePacket(seq=9, sent_us=1234, size_bytes=MAX_PACKET_BYTES)


def test_announce_writes_the_parity_counts_only() -> None:
    packet = bytearray(INTRA_BYTES)
    announce(packet, parity_count=0x102, head_parity_count=7)
    assert parse_media(bytes(packet)) == replace(INTRA, parity_count=0x102, head_parity_count=7)


def test_the_last_data_packet_ends_a_frame() -> None:
    assert [ends_frame(data) for _, data in MEDIA[:5]] == [True, True, False, False, False]
    assert not ends_frame(_replace(PREDICTED_BYTES, 16, "0001"))


def test_prologue_clamps() -> None:
    assert encode_prologue(wait_us=16, encode_us=32) == INTRA.payload[:8]
    assert decode_prologue(encode_prologue(wait_us=-1, encode_us=1 << 33)) == (0, 0xFFFFFFFF)


def test_version_of_a_peer() -> None:
    assert wire_version(b"") is None
    assert wire_version(b"\x03anything") == 3


def _replace(data: bytes, offset: int, field: str) -> bytes:
    new = bytes.fromhex(field)
    return data[:offset] + new + data[offset + len(new) :]
