"""Parity: what it looks like on the wire, and that any sufficient part of a frame gives all of it."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from transport.fec import NO_PROTECTION, Protection, is_extra, more_parity, parity_position, protect, rebuild
from transport.packetiser import PacketisedFrame, packetise
from transport.wire import (
    HEAD_BLOCK,
    MAX_BLOCK,
    MAX_PACKET_BYTES,
    MAX_PAYLOAD_BYTES,
    MediaPacket,
    ParityPacket,
    block_count,
    parse_media,
)


def frame(data_count: int, head_count: int = 1) -> PacketisedFrame:
    """A frame of so many packets, of different lengths."""
    rng = random.Random(data_count)
    head = head_count * MAX_PAYLOAD_BYTES - 8
    sizes = [rng.randint(MAX_PAYLOAD_BYTES // 2 + 1, MAX_PAYLOAD_BYTES) for _ in range(data_count - head_count)]
    coded = rng.randbytes(head + sum(sizes))
    offsets = [head + sum(sizes[:i]) for i in range(len(sizes))]
    packets = packetise(coded, offsets, frame_id=5, reference_id=4, epoch=9, captured_us=70, wait_us=1, encode_us=2)
    assert (len(packets.packets), packets.head_count) == (data_count, head_count)
    return packets


def parsed(packets: list[bytearray]) -> list[MediaPacket | ParityPacket]:
    messages = [parse_media(bytes(packet)) for packet in packets]
    assert all(isinstance(message, MediaPacket | ParityPacket) for message in messages)
    return [message for message in messages if isinstance(message, MediaPacket | ParityPacket)]


def test_without_parity_the_packets_are_copies_of_the_frames() -> None:
    original = frame(3)
    packets = protect(original, NO_PROTECTION)
    assert tuple(bytes(packet) for packet in packets) == original.packets
    packets[0][3] = 77
    assert original.packets[0][3] == 9


def test_data_then_parity_of_the_head_then_parity_over_all() -> None:
    messages = parsed(protect(frame(4, head_count=2), Protection(parity=3, head_parity=1)))
    assert [type(message) for message in messages] == [MediaPacket] * 4 + [ParityPacket] * 4
    parity = [message for message in messages if isinstance(message, ParityPacket)]
    assert [(p.block, p.share) for p in parity] == [(HEAD_BLOCK, 2), (0, 4), (0, 5), (0, 6)]
    assert {(m.parity_count, m.head_parity_count, m.data_count, m.head_count) for m in messages} == {(3, 1, 4, 2)}
    assert {(m.frame_id, m.reference_id, m.epoch, m.captured_us) for m in messages} == {(5, 4, 9, 70)}


def test_parity_of_a_single_packet_is_a_copy_with_its_length() -> None:
    data, copy = parsed(protect(frame(1), Protection(1, 0)))
    assert copy.payload == len(data.payload).to_bytes(2, "big") + data.payload
    assert len(protect(frame(1), Protection(1, 0))[1]) <= MAX_PACKET_BYTES


def test_parity_over_many_packets_goes_round_the_blocks() -> None:
    count = 2 * MAX_BLOCK + 1
    messages = parsed(protect(frame(count), Protection(parity=5, head_parity=0)))
    parity = [message for message in messages if isinstance(message, ParityPacket)]
    assert [(p.block, p.share) for p in parity] == [(0, 32), (1, 32), (2, 33), (0, 33), (1, 33)]
    assert [parity_position(count, p.block, p.share) for p in parity] == [0, 1, 2, 3, 4]
    starts = [m.payload_offset for m in messages if isinstance(m, MediaPacket) and m.index in (0, 32, 64)]
    assert [p.payload_offset for p in parity] == [*starts, *starts[:2]]


def test_more_parity_goes_on_where_the_first_ended() -> None:
    for count in (3, MAX_BLOCK + 10):
        original = frame(count)
        at_once = protect(original, Protection(5, 0))[count:]
        first = protect(original, Protection(2, 0))[count:]
        further = more_parity(original, 2, 3)
        assert [bytes(p)[40:] for p in at_once] == [bytes(p)[40:] for p in first + further]
        assert [(p[16], p[17]) for p in at_once] == [(p[16], p[17]) for p in first + further]
        assert {message.parity_count for message in parsed(further)} == {2}
        assert [is_extra(p) for p in parsed(first + further) if isinstance(p, ParityPacket)] == [False] * 2 + [True] * 3


def test_more_parity_ends_where_the_code_does() -> None:
    assert len(more_parity(frame(3), 250, 10)) == 3
    assert more_parity(frame(3), 253, 10) == []
    assert more_parity(frame(3), 400, 10) == []
    assert len(protect(frame(3), Protection(400, 0))) == 256


def test_a_head_too_large_for_a_block_gets_no_parity_of_its_own() -> None:
    assert len(protect(frame(MAX_BLOCK + 1, head_count=MAX_BLOCK + 1), Protection(0, 2))) == MAX_BLOCK + 1


@given(st.integers(1, MAX_BLOCK), st.integers(1, 12), st.data())
@settings(deadline=None, max_examples=60)
def test_any_k_shares_in_any_order_give_the_block(count: int, parity: int, data: st.DataObject) -> None:
    messages = parsed(protect(frame(count), Protection(parity, 0)))
    payloads = [message.payload for message in messages[:count]]
    kept = data.draw(st.permutations(range(count + parity)))[:count]
    shares = {index: messages[index].payload for index in kept}
    if max(kept) < count:
        return
    assert rebuild(shares, count) == payloads


@given(st.integers(1, 6), st.dictionaries(st.integers(0, 20), st.binary(max_size=40), min_size=1, max_size=6))
@settings(deadline=None)
def test_shares_that_make_no_sense_give_nothing_or_payloads_but_never_raise(k: int, shares: dict[int, bytes]) -> None:
    if len(shares) >= k:
        payloads = rebuild(dict(list(shares.items())[:k]), k)
        assert payloads is None or (len(payloads) == k and all(payloads))


@pytest.mark.parametrize("spoil", [b"\xff\xff", b"\0\0"])
def test_lengths_that_cannot_be_give_nothing(spoil: bytes) -> None:
    (_, parity) = parsed(protect(frame(1), Protection(1, 0)))
    assert rebuild({1: spoil + parity.payload[2:]}, 1) is None


def test_padding_that_is_not_zero_gives_nothing() -> None:
    assert rebuild({1: b"\0\2ab\0"}, 1) == [b"ab"]
    assert rebuild({1: b"\0\2ab\1"}, 1) is None
    assert block_count(1) == 1
