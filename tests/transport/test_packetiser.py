"""Where a frame may be cut, and where not."""

import pytest

from transport.packetiser import MAX_SLICE_BYTES, packetise
from transport.wire import MAX_FRAME_BYTES, MAX_PAYLOAD_BYTES, NO_FRAME, MediaPacket, parse_media


def cut(
    coded: bytes, slice_offsets: list[int], *, frame_id: int = 7, reference_id: int | None = 3
) -> list[MediaPacket]:
    frame = packetise(
        coded,
        slice_offsets,
        frame_id=frame_id,
        reference_id=reference_id,
        epoch=1,
        captured_us=1_000,
        wait_us=11,
        encode_us=22,
    )
    assert (frame.frame_id, frame.reference_id, frame.epoch, frame.captured_us) == (frame_id, reference_id, 1, 1_000)
    assert frame.size_bytes == sum(len(packet) for packet in frame.packets)
    parsed = [parse_media(packet) for packet in frame.packets]
    assert all(isinstance(packet, MediaPacket) for packet in parsed)
    return [packet for packet in parsed if isinstance(packet, MediaPacket)]


def head_counts(packets: list[MediaPacket]) -> set[int]:
    return {packet.head_count for packet in packets}


def starts(packets: list[MediaPacket]) -> list[int]:
    return [packet.payload_offset for packet in packets]


def test_a_small_frame_is_one_packet_with_the_prologue_first() -> None:
    (packet,) = cut(b"head" + b"slice", [4])
    assert packet.payload == b"\0\0\0\x0b\0\0\0\x16headslice"
    assert (packet.frame_id, packet.reference_id, packet.epoch, packet.captured_us) == (7, 3, 1, 1_000)
    assert (packet.index, packet.data_count, packet.parity_count) == (0, 1, 0)


def test_an_intra_frame_has_no_reference() -> None:
    (packet,) = cut(b"x", [], reference_id=None)
    assert packet.reference_id is None


def test_an_empty_frame_still_carries_its_prologue() -> None:
    (packet,) = cut(b"", [])
    assert len(packet.payload) == 8


def test_slices_share_packets_but_are_never_cut() -> None:
    # Prologue and head 108 bytes, slices of 500: two fit beside the head, then two to a packet.
    packets = cut(bytes(100 + 5 * 500), [100, 600, 1100, 1600, 2100])
    assert starts(packets) == [0, 1108, 2108]
    assert head_counts(packets) == {1}


def test_the_head_may_be_cut_anywhere() -> None:
    packets = cut(bytes(3000), [])
    assert starts(packets) == [0, MAX_PAYLOAD_BYTES, 2 * MAX_PAYLOAD_BYTES]
    assert [len(packet.payload) for packet in packets] == [MAX_PAYLOAD_BYTES, MAX_PAYLOAD_BYTES, 792]
    assert head_counts(packets) == {3}


def test_the_first_slice_fills_up_the_last_packet_of_the_head() -> None:
    head = 2 * MAX_PAYLOAD_BYTES - 8 - 300
    assert starts(cut(bytes(head + 300), [head])) == [0, MAX_PAYLOAD_BYTES]
    assert starts(cut(bytes(head + 301), [head])) == [0, MAX_PAYLOAD_BYTES, head + 8]
    assert head_counts(cut(bytes(head + 301), [head])) == {2}


def test_a_head_that_just_fills_its_packets_has_no_packet_more() -> None:
    packets = cut(bytes(MAX_PAYLOAD_BYTES - 8 + 500), [MAX_PAYLOAD_BYTES - 8])
    assert starts(packets) == [0, MAX_PAYLOAD_BYTES]
    assert head_counts(packets) == {1}


def test_a_slice_of_the_largest_size_has_a_packet_to_itself() -> None:
    assert starts(cut(bytes(1 + 2 * MAX_SLICE_BYTES), [1, 1 + MAX_SLICE_BYTES])) == [0, 9, 9 + MAX_SLICE_BYTES]


def test_empty_slices_need_no_packet() -> None:
    assert starts(cut(bytes(50), [10, 10, 50, 50])) == [0]


@pytest.mark.parametrize(
    ("size", "offsets", "message"),
    [
        (MAX_SLICE_BYTES + 2, [1], "a slice of 1109 bytes"),
        (100, [50, 40], "must ascend"),
        (100, [101], "must ascend"),
        (100, [-1], "must ascend"),
        (MAX_FRAME_BYTES, [], "over the limit"),
    ],
)
def test_mistakes_of_the_caller_are_refused(size: int, offsets: list[int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        cut(bytes(size), offsets)


def test_the_id_that_stands_for_no_frame_is_refused() -> None:
    with pytest.raises(ValueError, match="stands for no frame"):
        cut(b"", [], frame_id=NO_FRAME)
