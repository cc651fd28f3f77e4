"""Whatever arrives, a parser answers with a message or None; and what was sent is what is read."""

from hypothesis import given, settings
from hypothesis import strategies as st

from transport.serial import serial_newer
from transport.wire import (
    HEAD_BLOCK,
    MAX_ACKS,
    MAX_BLOCK,
    MAX_CLOCK_US,
    MAX_MISSING_SLICES,
    MAX_NACKED,
    MAX_PACKET_BYTES,
    MAX_PACKETS_PER_FRAME,
    MAX_PAYLOAD_BYTES,
    MAX_REPORT_ENTRIES,
    MAX_SHARE,
    NO_FRAME,
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
    block_count,
    block_size,
    block_start,
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
    answers = draw(st.none() | st.integers(0, 0xFFFF))
    return MediaPacket(
        seq=draw(U32),
        frame_id=frame_id,
        reference_id=None if reference == NO_FRAME else reference,
        epoch=draw(st.integers(0, 255)),
        index=index,
        data_count=count,
        parity_count=draw(st.integers(0, 0xFFFF)) if answers is None else 0,
        payload_offset=draw(st.integers(index + 7, index * MAX_PAYLOAD_BYTES)) if index else 0,
        captured_us=draw(st.integers(0, MAX_CLOCK_US - 0xFFFFFFFF)),
        send_delay_us=draw(U32),
        payload=draw(st.binary(min_size=8, max_size=200)),
        head_count=draw(st.integers(1, min(count, MAX_BLOCK))),
        head_parity_count=draw(st.integers(0, 0xFF)),
        answers=answers,
    )


@st.composite
def parity_packets(draw: st.DrawFn) -> ParityPacket:
    data = draw(media_packets())
    block = draw(st.sampled_from([HEAD_BLOCK]) | st.integers(0, block_count(data.data_count) - 1))
    first = 0 if block == HEAD_BLOCK else block_start(data.data_count, block)
    return ParityPacket(
        seq=data.seq,
        frame_id=data.frame_id,
        reference_id=data.reference_id,
        epoch=data.epoch,
        block=block,
        share=draw(st.integers(block_size(data.data_count, data.head_count, block), MAX_SHARE)),
        data_count=data.data_count,
        parity_count=data.parity_count,
        payload_offset=draw(st.integers(first + 7, first * MAX_PAYLOAD_BYTES)) if first else 0,
        captured_us=data.captured_us,
        send_delay_us=data.send_delay_us,
        payload=data.payload,
        head_count=data.head_count,
        head_parity_count=data.head_parity_count,
        answers=data.answers,
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
    st.lists(
        st.tuples(FRAME_ID, st.sampled_from([FrameStatus.INTACT, FrameStatus.LOST]), st.just(()))
        | st.tuples(
            FRAME_ID,
            st.just(FrameStatus.CONCEALED),
            st.sets(st.integers(0, 0xFFFF), max_size=MAX_MISSING_SLICES).map(lambda slices: tuple(sorted(slices))),
        ),
        max_size=MAX_ACKS,
    ).map(tuple),
)
nacks = st.builds(
    lambda base, offsets: Nack((base, *((base + offset) & 0xFFFFFFFF for offset in sorted(offsets)))),
    U32,
    st.sets(st.integers(1, 0xFFFF), max_size=MAX_NACKED - 1),
)
probes = st.builds(ProbePacket, U32, CLOCK, st.integers(16, MAX_PACKET_BYTES))
media = media_packets() | parity_packets() | probes | pongs()
feedback = st.builds(Ping, U32, CLOCK) | reports() | acks | nacks


@given(media)
@settings(deadline=None)
def test_media_round_trip(message: MediaMessage) -> None:
    assert parse_media(message.to_bytes()) == message


@given(feedback)
@settings(deadline=None)
def test_feedback_round_trip(message: FeedbackMessage) -> None:
    assert parse_feedback(message.to_bytes()) == message


@given(st.binary(max_size=MAX_PACKET_BYTES + 50))
@settings(deadline=None)
def test_random_bytes_never_raise(data: bytes) -> None:
    parse_media(data)
    parse_feedback(data)


@given(
    st.none() | st.sampled_from([1, 2, 3, 4, 16, 17, 18, 19]),
    media | feedback,
    st.lists(st.tuples(st.integers(2, 60), st.integers(0, 255)), max_size=4),
    st.integers(0, 60),
)
@settings(deadline=None, max_examples=300)
def test_mutated_messages_never_raise_and_never_break_a_promise(
    kind: int | None, message: MediaMessage | FeedbackMessage, changes: list[tuple[int, int]], cut: int
) -> None:
    data = bytearray(message.to_bytes())
    if kind is not None:
        data[1] = kind
    for offset, value in changes:
        data[offset % len(data)] = value
    _check(parse_media(bytes(data)))
    _check(parse_media(bytes(data[: len(data) - cut])))
    _check(parse_feedback(bytes(data)))
    _check(parse_feedback(bytes(data[: len(data) - cut])))


def _check(message: MediaMessage | FeedbackMessage | None) -> None:
    if isinstance(message, MediaPacket):
        assert 0 <= message.index < message.data_count <= MAX_PACKETS_PER_FRAME
        assert 1 <= len(message.payload) <= MAX_PAYLOAD_BYTES
        assert message.payload_offset <= message.index * MAX_PAYLOAD_BYTES
        assert message.index or len(message.payload) >= 8
        assert message.reference_id is None or serial_newer(message.frame_id, message.reference_id)
        assert message.sent_us <= MAX_CLOCK_US
        assert 1 <= message.head_count <= message.data_count
    elif isinstance(message, ParityPacket):
        k = block_size(message.data_count, message.head_count, message.block)
        assert 1 <= k <= MAX_BLOCK
        assert k <= message.share <= MAX_SHARE
        assert message.block in (HEAD_BLOCK, *range(block_count(message.data_count)))
        assert 3 <= len(message.payload) <= MAX_PAYLOAD_BYTES + 2
    elif isinstance(message, ProbePacket):
        assert 16 <= message.size_bytes <= MAX_PACKET_BYTES
    elif isinstance(message, Nack):
        assert 1 <= len(message.seqs) <= MAX_NACKED
        assert len(set(message.seqs)) == len(message.seqs)
    elif isinstance(message, ArrivalReport):
        assert 1 <= len(message.entries) <= MAX_REPORT_ENTRIES
        assert all(0 <= arrival_us <= MAX_CLOCK_US for _, arrival_us in message.arrivals())
    elif isinstance(message, FrameAcks):
        assert len(message.acks) <= MAX_ACKS
        assert all(frame_id != NO_FRAME for frame_id, _, _ in message.acks)
        assert all(len(slices) <= MAX_MISSING_SLICES for _, _, slices in message.acks)
