"""Whatever arrives, a parser answers with a message or None; and what was sent is what is read."""

from hypothesis import given, settings
from hypothesis import strategies as st

from transport.serial import serial_newer
from transport.wire import (
    MAX_ACKS,
    MAX_CLOCK_US,
    MAX_PACKET_BYTES,
    MAX_PACKETS_PER_FRAME,
    MAX_PAYLOAD_BYTES,
    MAX_REPORT_ENTRIES,
    NO_FRAME,
    ArrivalReport,
    FrameAcks,
    FrameStatus,
    MediaPacket,
    Ping,
    Pong,
    parse_feedback,
    parse_media,
)

U32 = st.integers(0, 0xFFFFFFFF)
CLOCK = st.integers(0, MAX_CLOCK_US)
FRAME_ID = st.integers(0, NO_FRAME - 1)


@st.composite
def media_packets(draw: st.DrawFn) -> MediaPacket:
    count = draw(st.integers(1, 3000))
    index = draw(st.integers(0, count - 1))
    frame_id = draw(FRAME_ID)
    behind = draw(st.none() | st.integers(1, 0x7FFFFFFF))
    reference = None if behind is None else (frame_id - behind) & 0xFFFFFFFF
    return MediaPacket(
        seq=draw(U32),
        frame_id=frame_id,
        reference_id=None if reference == NO_FRAME else reference,
        epoch=draw(st.integers(0, 255)),
        index=index,
        data_count=count,
        parity_count=draw(st.integers(0, 0xFFFF)),
        payload_offset=draw(st.integers(index + 7, index * MAX_PAYLOAD_BYTES)) if index else 0,
        captured_us=draw(st.integers(0, MAX_CLOCK_US - 0xFFFFFFFF)),
        send_delay_us=draw(U32),
        payload=draw(st.binary(min_size=8, max_size=200)),
    )


@st.composite
def pongs(draw: st.DrawFn) -> Pong:
    t1_us, t2_us = sorted((draw(CLOCK), draw(CLOCK)))
    return Pong(draw(U32), draw(CLOCK), t1_us, t2_us)


@st.composite
def reports(draw: st.DrawFn) -> ArrivalReport:
    seqs = sorted(draw(st.sets(st.integers(0, 0xFFFF), min_size=1, max_size=12)))
    offsets = st.integers(-0x80000000, 0x7FFFFFFF)
    base_us = draw(st.integers(0x80000000, MAX_CLOCK_US - 0x7FFFFFFF))
    return ArrivalReport(draw(U32), draw(U32), base_us, tuple((seq, draw(offsets)) for seq in seqs))


acks = st.builds(
    FrameAcks,
    st.booleans(),
    st.none() | FRAME_ID,
    st.lists(st.tuples(FRAME_ID, st.sampled_from(FrameStatus)), max_size=MAX_ACKS).map(tuple),
)


@given(media_packets() | pongs())
@settings(deadline=None)
def test_media_round_trip(message: MediaPacket | Pong) -> None:
    assert parse_media(message.to_bytes()) == message


@given(st.builds(Ping, U32, CLOCK) | reports() | acks)
@settings(deadline=None)
def test_feedback_round_trip(message: Ping | ArrivalReport | FrameAcks) -> None:
    assert parse_feedback(message.to_bytes()) == message


@given(st.binary(max_size=MAX_PACKET_BYTES + 50))
@settings(deadline=None)
def test_random_bytes_never_raise(data: bytes) -> None:
    parse_media(data)
    parse_feedback(data)


@given(
    st.sampled_from([1, 4, 16, 17, 18]),
    media_packets() | pongs() | st.builds(Ping, U32, CLOCK) | reports() | acks,
    st.lists(st.tuples(st.integers(2, 60), st.integers(0, 255)), max_size=4),
    st.integers(0, 60),
)
@settings(deadline=None, max_examples=200)
def test_mutated_messages_never_raise_and_never_break_a_promise(
    kind: int, message: MediaPacket | Pong | Ping | ArrivalReport | FrameAcks, changes: list[tuple[int, int]], cut: int
) -> None:
    data = bytearray(message.to_bytes())
    data[1] = kind
    for offset, value in changes:
        data[offset % len(data)] = value
    _check(parse_media(bytes(data)))
    _check(parse_media(bytes(data[: len(data) - cut])))
    _check(parse_feedback(bytes(data)))
    _check(parse_feedback(bytes(data[: len(data) - cut])))


def _check(message: MediaPacket | Pong | Ping | ArrivalReport | FrameAcks | None) -> None:
    if isinstance(message, MediaPacket):
        assert 0 <= message.index < message.data_count <= MAX_PACKETS_PER_FRAME
        assert 1 <= len(message.payload) <= MAX_PAYLOAD_BYTES
        assert message.payload_offset <= message.index * MAX_PAYLOAD_BYTES
        assert message.index or len(message.payload) >= 8
        assert message.reference_id is None or serial_newer(message.frame_id, message.reference_id)
        assert message.sent_us <= MAX_CLOCK_US
    elif isinstance(message, ArrivalReport):
        assert 1 <= len(message.entries) <= MAX_REPORT_ENTRIES
        assert all(0 <= arrival_us <= MAX_CLOCK_US for _, arrival_us in message.arrivals())
    elif isinstance(message, FrameAcks):
        assert len(message.acks) <= MAX_ACKS
        assert all(frame_id != NO_FRAME for frame_id, _ in message.acks)
