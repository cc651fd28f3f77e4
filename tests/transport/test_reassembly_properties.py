"""Packetise, then shuffle, repeat and drop, then reassemble: nothing is made up and nothing is lost but what was."""

import random
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from transport.fec import Protection, protect
from transport.packetiser import MAX_SLICE_BYTES, packetise
from transport.reassembly import HOLE_END, FrameLost, FrameReady, Reassembler
from transport.wire import MAX_BLOCK, PROLOGUE_BYTES, MediaPacket, ParityPacket, parse_media


@st.composite
def packetised(draw: st.DrawFn) -> tuple[bytes, list[MediaPacket]]:
    """A coded frame and its packets."""
    head = draw(st.integers(0, 2500))
    slices = draw(st.lists(st.integers(0, MAX_SLICE_BYTES), max_size=8))
    coded = draw(st.randoms(use_true_random=False)).randbytes(head + sum(slices))
    offsets = [head + sum(slices[:i]) for i in range(len(slices))]
    frame = packetise(coded, offsets, frame_id=9, reference_id=None, epoch=3, captured_us=1, wait_us=2, encode_us=3)
    parsed = [packet for data in frame.packets if isinstance(packet := parse_media(bytes(data)), MediaPacket)]
    assert len(parsed) == len(frame.packets)
    for packet in parsed:
        start, end = packet.payload_offset, packet.payload_offset + len(packet.payload)
        for offset, size in zip(offsets, slices, strict=True):
            first = offset + PROLOGUE_BYTES
            assert (start <= first and first + size <= end) or end <= first or first + size <= start, "a slice was cut"
    return coded, parsed


@given(packetised(), st.data())
@settings(deadline=None)
def test_all_delivered_gives_the_same_bytes(frame: tuple[bytes, list[MediaPacket]], data: st.DataObject) -> None:
    coded, packets = frame
    order = data.draw(st.permutations(packets))
    repeated = data.draw(st.lists(st.sampled_from(packets), max_size=5))
    reassembler = Reassembler()
    for packet in [*repeated, *order]:
        reassembler.on_packet(packet, now=5.0)
    (event,) = reassembler.poll(now=5.0)
    assert isinstance(event, FrameReady)
    assert event.intact
    assert event.data == coded


@given(packetised(), st.data())
@settings(deadline=None)
def test_what_was_dropped_is_a_hole_and_nothing_else_is(
    frame: tuple[bytes, list[MediaPacket]], data: st.DataObject
) -> None:
    coded, packets = frame
    kept = data.draw(st.permutations(data.draw(st.lists(st.sampled_from(packets), min_size=1))))
    reassembler = Reassembler(wait_s=0.1)
    for packet in kept:
        reassembler.on_packet(packet, now=5.0)
    (event,) = reassembler.poll(now=5.2)
    present = {packet.index for packet in kept}
    if 0 not in present:
        assert event == FrameLost(9, "incomplete")
        return
    assert isinstance(event, FrameReady)
    in_hole = [any(start <= i < end for start, end in event.holes) for i in range(len(coded))]
    expected_hole = [True] * len(coded)
    for packet in kept:
        start = packet.payload_offset - PROLOGUE_BYTES
        for i in range(max(start, 0), start + len(packet.payload)):
            expected_hole[i] = False
    assert in_hole == expected_hole
    assert (
        event.data == bytes(0 if hole else byte for byte, hole in zip(coded, in_hole, strict=True))[: len(event.data)]
    )
    tail_is_missing = packets[-1].index not in present
    assert (bool(event.holes) and event.holes[-1][1] == HOLE_END) == tail_is_missing
    assert tail_is_missing or len(event.data) == len(coded)


@given(st.integers(1, 60), st.integers(0, 6), st.integers(0, 2), st.data())
@settings(deadline=None, max_examples=30)
def test_parity_gives_back_exactly_what_was_sent_or_nothing(
    count: int, parity: int, head_parity: int, data: st.DataObject
) -> None:
    rng = random.Random(data.draw(st.integers(0, 0xFFFF)))
    sizes = [rng.randint(MAX_SLICE_BYTES // 2 + 1, MAX_SLICE_BYTES) for _ in range(count)]
    coded = rng.randbytes(sum(sizes))
    offsets = [sum(sizes[:i]) for i in range(1, count)]
    frame = packetise(coded, offsets, frame_id=9, reference_id=None, epoch=3, captured_us=1, wait_us=2, encode_us=3)
    sent = [parse_media(bytes(packet)) for packet in protect(frame, Protection(parity, head_parity))]
    packets = [packet for packet in sent if isinstance(packet, MediaPacket | ParityPacket)]
    assert len(packets) == len(sent)
    lost = data.draw(st.sets(st.integers(0, len(packets) - 1), max_size=parity + 2))
    kept = data.draw(st.permutations([packet for i, packet in enumerate(packets) if i not in lost]))
    reassembler = Reassembler()
    for packet in kept:
        reassembler.on_packet(packet, now=5.0)
    if len(frame.packets) <= MAX_BLOCK and len(lost) <= parity:
        assert reassembler.incomplete(5.0) == []
    for event in reassembler.poll(now=5.2):
        if isinstance(event, FrameReady):
            for start, end in pairwise([(0, 0), *event.holes, (len(event.data), 0)]):
                assert event.data[start[1] : end[0]] == coded[start[1] : end[0]]
            assert event.packets + event.recovered + event.packets_missing == len(frame.packets)
            assert event.intact or len(lost) > parity or len(frame.packets) > MAX_BLOCK
    statistics = reassembler.statistics()
    assert statistics.contradictory == 0


@given(
    st.lists(
        st.tuples(
            st.integers(0, 40), st.integers(1, 3), st.booleans(), st.sampled_from([0, 0, 0, 1]), st.integers(0, 60)
        ),
        max_size=60,
    )
)
@settings(deadline=None)
def test_ids_come_out_in_order_and_once_whatever_comes_in(
    arrivals: list[tuple[int, int, bool, int, int]],
) -> None:
    reassembler = Reassembler(max_frames=4)
    now = 1.0
    out: list[int] = []
    for frame_id, behind, intra, index, wait_ms in arrivals:
        now += wait_ms / 1e3
        reassembler.on_packet(
            MediaPacket(
                seq=0,
                frame_id=frame_id + 50,
                reference_id=None if intra else frame_id + 50 - behind,
                epoch=0,
                index=index,
                data_count=2,
                parity_count=0,
                payload_offset=10 * index,
                captured_us=0,
                send_delay_us=0,
                payload=bytes(10),
            ),
            now=now,
        )
        out += [event.frame_id for event in reassembler.poll(now=now)]
        assert reassembler.statistics().pending_frames <= 4
    out += [event.frame_id for event in reassembler.poll(now=now + 1)]
    assert out == sorted(set(out))
    assert reassembler.next_deadline() is None
