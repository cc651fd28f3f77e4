"""RTP packets to frames: in order, early, whole, and what happens when some never come."""

import random
from collections.abc import Iterable
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from server.whip.assembler import (
    GIVE_UP_S,
    KEY_FRAME_REPEAT_S,
    MAX_PACKETS,
    NACK_REPEAT_S,
    NACK_TIMES,
    CodedFrame,
    FrameAssembler,
    Packet,
)


def frames(count: int, *, pieces: int = 3, first: int = 0, keys: Iterable[int] = (0,)) -> list[list[Packet]]:
    """Packets of `count` frames, 33 ms apart; the data says frame and piece."""
    return [
        [
            Packet(
                sequence=(first + frame * pieces + piece) & 0xFFFF,
                timestamp=frame * 2970,
                marker=piece == pieces - 1,
                data=f"{frame}.{piece};".encode(),
                key=piece == 0 and frame in keys,
            )
            for piece in range(pieces)
        ]
        for frame in range(count)
    ]


def names(coded: Iterable[CodedFrame]) -> list[int]:
    """The frames' numbers; each must be whole."""
    found = []
    for frame in coded:
        number = int(frame.data.split(b".")[0])
        assert frame.data == b"".join(b"%d.%d;" % (number, piece) for piece in range(frame.data.count(b";")))
        found.append(number)
    return found


def test_a_frame_leaves_with_its_last_packet() -> None:
    assembler = FrameAssembler()
    sent = frames(2)
    assert [len(assembler.add(packet, 0.0)) for packet in sent[0] + sent[1]] == [0, 0, 1, 0, 0, 1]


def test_reordered_and_repeated_packets_make_the_same_frames() -> None:
    assembler = FrameAssembler()
    (a, b, c), (d, e, f) = frames(2)
    out = [frame for packet in (a, c, b, b, f, e, a, d) for frame in assembler.add(packet, 0.0)]
    assert names(out) == [0, 1]
    assert out[0].first_arrived_s == 0.0


def test_sequence_numbers_wrap_around() -> None:
    assembler = FrameAssembler()
    out = [frame for packets in frames(4, first=0xFFFC) for p in packets for frame in assembler.add(p, 0.0)]
    assert names(out) == [0, 1, 2, 3]


def test_nothing_comes_out_before_a_key_frame() -> None:
    assembler = FrameAssembler()
    assert assembler.key_frame_wanted(0.0)
    assert not assembler.key_frame_wanted(KEY_FRAME_REPEAT_S / 2)
    assert assembler.key_frame_wanted(KEY_FRAME_REPEAT_S)
    out = [frame for packets in frames(4, keys=(2,)) for p in packets for frame in assembler.add(p, 0.6)]
    assert names(out) == [2, 3]
    assert assembler.dropped == 2
    assert not assembler.key_frame_wanted(10.0)


def test_a_lost_packet_is_asked_for_and_mends_the_frame() -> None:
    assembler = FrameAssembler()
    sent = frames(3)
    out = [frame for p in sent[0] for frame in assembler.add(p, 0.0)]
    out += [frame for p in (sent[1][0], sent[1][2]) for frame in assembler.add(p, 0.033)]
    assert assembler.requests(0.033) == [sent[1][1].sequence]
    assert assembler.requests(0.034) == []
    assert assembler.requests(0.033 + NACK_REPEAT_S) == [sent[1][1].sequence]
    out += [frame for p in sent[2] for frame in assembler.add(p, 0.066)]
    assert names(out) == [0]
    out += assembler.add(sent[1][1], 0.1)
    assert names(out) == [0, 1, 2]
    assert assembler.requests(1.0) == []


def test_a_packet_is_asked_for_a_few_times_only() -> None:
    assembler = FrameAssembler()
    first, second, third = frames(1)[0]
    assembler.add(first, 0.0)
    assembler.add(third, 0.0)
    asked = [assembler.requests(number * NACK_REPEAT_S) for number in range(20)]
    assert asked == [[second.sequence]] * NACK_TIMES + [[]] * (20 - NACK_TIMES)


def test_a_packet_that_never_comes_is_given_up_and_a_key_frame_asked_for() -> None:
    assembler = FrameAssembler()
    sent = frames(30, keys=(0, 20))
    out: list[CodedFrame] = []
    requests = 0
    asked_at = None
    for number, packets in enumerate(sent):
        now = number / 30
        for packet in packets:
            if packet.sequence != sent[3][1].sequence:
                out += assembler.add(packet, now)
        requests += len(assembler.requests(now))
        if asked_at is None and number > 0 and assembler.key_frame_wanted(now):
            asked_at = now
    assert requests == NACK_TIMES
    assert names(out) == [0, 1, 2, *range(20, 30)]
    assert asked_at is not None
    assert GIVE_UP_S <= asked_at - 3 / 30 < GIVE_UP_S + 0.05


def test_while_a_key_frame_is_needed_no_hole_before_one_holds_it_up() -> None:
    assembler = FrameAssembler()
    sent = frames(4, keys=(0, 2))
    out = [frame for p in sent[0] for frame in assembler.add(p, 0.0)]
    assembler.lost()
    for packet in (sent[1][0], sent[1][2], *sent[2]):
        out += assembler.add(packet, 0.01)
    assert names(out) == [0, 2]


def test_padding_between_frames_is_no_frame() -> None:
    assembler = FrameAssembler()
    first, second = frames(2, pieces=1)
    padding = Packet(sequence=1, timestamp=0, marker=False, data=b"", key=False)
    last = Packet(sequence=2, timestamp=second[0].timestamp, marker=True, data=second[0].data, key=False)
    assert names([*assembler.add(first[0], 0.0), *assembler.add(padding, 0.0), *assembler.add(last, 0.0)]) == [0, 1]


def test_a_sender_that_starts_anew_is_followed() -> None:
    assembler = FrameAssembler()
    out = [frame for packets in frames(2) for p in packets for frame in assembler.add(p, 0.0)]
    out += [frame for packets in frames(2, first=30_000) for p in packets for frame in assembler.add(p, 1.0)]
    assert names(out) == [0, 1, 0, 1]


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32), st.floats(0, 0.3), st.integers(0, 30))
def test_whatever_is_lost_or_reordered_frames_come_whole_and_in_order(seed: int, loss: float, shuffle: int) -> None:
    rng = random.Random(seed)
    assembler = FrameAssembler()
    order = [p for packets in frames(120, pieces=4, first=65_300, keys=range(0, 120, 10)) for p in packets]
    order.sort(key=lambda p: ((p.sequence - 65_300) & 0xFFFF) + rng.uniform(0, shuffle))
    out: list[CodedFrame] = []
    for place, packet in enumerate(order):
        if rng.random() >= loss:
            out += assembler.add(packet, place / 120)
            assembler.requests(place / 120)
        assert len(assembler._packets) <= MAX_PACKETS + 1
        assert len(assembler._missing) <= MAX_PACKETS
    found = names(out)
    assert found == sorted(set(found))
    # Every frame follows the one before it, or is a key frame.
    for before, frame in pairwise(found):
        assert frame == before + 1 or frame % 10 == 0
