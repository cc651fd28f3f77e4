"""The encoder process's handler, called in this process: references, pins, sizes and scaled pictures."""

from collections.abc import Callable, Iterator

import numpy as np
import pytest
from numpy.typing import NDArray

from codec.bitstream import read_frame
from codec.profiles import Codec, Profile, open_codec
from codec.state import RING_CAPACITY
from server import encoder_worker
from server.encoder_worker import PREPARED, EncodeJob, EncodeResult, Encoders, EncoderSetup, Scaler, make_handler
from server.frame_slots import FrameSlots
from transport.packetiser import MAX_SLICE_BYTES

WIDTH, HEIGHT = 128, 96
SMALL = (96, 64)
Encode = Callable[..., EncodeResult]


@pytest.fixture
def slots() -> Iterator[FrameSlots]:
    slots = FrameSlots(width=WIDTH, height=HEIGHT, holders=2)
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    for slot in range(slots.count):
        slots.pictures[slot][:] = (rows * 2 + columns + 40 * slot) % 256
    yield slots
    slots.close()


def start(slots: FrameSlots, *, size: tuple[int, int] | None = None) -> Encode:
    handle = make_handler(
        EncoderSetup(
            profile=Profile(),
            fd=slots.buffer.fd,
            buffer_bytes=slots.buffer.size,
            width=WIDTH,
            height=HEIGHT,
            threads=1,
            max_slice_bytes=MAX_SLICE_BYTES,
            slots=slots.count,
            size=size,
        )
    )

    def encode(
        frame_id: int,
        reference_id: int | None,
        *,
        pins: tuple[int, ...] = (),
        size: tuple[int, int] | None = None,
        qp: int = 20,
        slot: int = 0,
    ) -> EncodeResult:
        result = handle(EncodeJob(slot, frame_id, reference_id, inter_qp=qp, intra_qp=qp + 1, pins=pins, size=size))
        assert isinstance(result, EncodeResult)
        assert result.frame_id == frame_id
        return result

    return encode


def test_a_state_outlives_the_ring_as_intra_or_by_a_pin(slots: FrameSlots) -> None:
    encode = start(slots)
    first = encode(0, None)
    assert (first.reference_id, first.qp, first.size) == (None, 21, (WIDTH, HEIGHT))
    for frame_id in range(1, RING_CAPACITY + 5):
        result = encode(frame_id, frame_id - 1, pins=(2,), slot=frame_id % slots.count)
        assert (result.reference_id, result.qp) == (frame_id - 1, 20)
    newest = RING_CAPACITY + 4
    assert encode(newest + 1, 2, pins=(2,)).reference_id == 2
    assert encode(newest + 2, 0).reference_id == 0, "the newest intra state"
    # Nobody pins it any more.
    assert encode(newest + 3, 2).reference_id is None


def test_a_picture_can_be_coded_again_from_the_oldest_state(slots: FrameSlots) -> None:
    encode = start(slots)
    encode(0, None)
    for frame_id in range(1, RING_CAPACITY + 1):
        encode(frame_id, frame_id - 1)
    # The oldest in the ring is the next to go.
    first = encode(RING_CAPACITY + 1, 1, qp=20)
    again = encode(RING_CAPACITY + 1, 1, qp=40)
    assert (first.reference_id, again.reference_id) == (1, 1)
    assert again.qp == 40
    assert len(again.data) != len(first.data)


def test_another_size_forgets_the_states_and_codes_a_scaled_picture(slots: FrameSlots) -> None:
    encode = start(slots)
    encode(0, None)
    small = encode(1, 0, size=SMALL)
    assert (small.reference_id, small.size) == (None, SMALL)
    layout = read_frame(small.data).layout
    assert (layout.width, layout.height) == SMALL
    assert encode(2, 1, size=SMALL).reference_id == 1
    assert encode(3, 2).reference_id is None
    decoded = open_codec().decoder(width=SMALL[0], height=SMALL[1]).decode(None, small.data, frame_id=1)[1]
    expected = Scaler().scale(slots.pictures[0], SMALL)
    assert np.abs(decoded.planes[0].astype(int) - expected[0].astype(int)).mean() < 8


def test_a_rendition_starts_at_its_own_size(slots: FrameSlots, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[tuple[int, int]] = []
    get = Encoders.get

    def record(encoders: Encoders, size: tuple[int, int]) -> object:
        made.append(size)
        return get(encoders, size)

    monkeypatch.setattr(encoder_worker.Encoders, "get", record)
    encode = start(slots, size=SMALL)
    assert set(made) == {SMALL}
    assert encode(0, None, size=SMALL).size == SMALL
    assert set(made) == {SMALL}


class CountingCodec:
    """Makes encoders that do nothing."""

    def __init__(self) -> None:
        self.made: list[tuple[int, int]] = []

    def encoder(self, *, width: int, height: int, max_slice_bytes: int) -> object:
        self.made.append((width, height))
        return object()


def test_the_size_before_stays_ready_and_older_ones_do_not() -> None:
    codec = CountingCodec()
    as_codec: Codec = codec  # type: ignore[assignment] # of a codec, only what makes encoders is asked for
    encoders = Encoders(as_codec, max_slice_bytes=MAX_SLICE_BYTES)
    a, b, c = (640, 360), (432, 240), (320, 176)
    for size in (a, a, b, a, b):
        encoders.get(size)
    assert codec.made == [a, b]
    encoders.get(c)
    assert len(encoders) == PREPARED
    encoders.get(b)
    assert codec.made == [a, b, c]
    encoders.get(a)
    assert codec.made == [a, b, c, a]


@pytest.mark.parametrize("size", [(96, 64), (64, 48), (176, 144), (50, 38)])
def test_colours_come_through_scaling_to_the_last_bit(size: tuple[int, int]) -> None:
    scaler = Scaler()
    for value in (0, 1, 15, 16, 127, 128, 235, 240, 254, 255):
        planes = np.empty((3, HEIGHT, WIDTH), np.uint8)
        planes[0], planes[1], planes[2] = value, 255 - value, value // 2
        scaled = scaler.scale(planes, size)
        assert scaled.shape == (3, size[1], size[0])
        assert [np.unique(plane).tolist() for plane in scaled] == [[value], [255 - value], [value // 2]]


@pytest.mark.parametrize("size", [(96, 64), (64, 48), (128, 64), (80, 96)])
def test_a_gradient_keeps_its_values_and_its_place(size: tuple[int, int]) -> None:
    def ramp(width: int, height: int) -> NDArray[np.float64]:
        """Full range in either direction, sampled at pixel centres."""
        across = (np.arange(width) + 0.5) / width
        down = (np.arange(height) + 0.5) / height
        return np.stack(
            [
                np.broadcast_to(255 * across, (height, width)),
                np.broadcast_to(255 * down[:, None], (height, width)),
                np.broadcast_to(255 * (1 - across), (height, width)),
            ]
        )

    scaled = Scaler().scale(np.rint(ramp(WIDTH, HEIGHT)).astype(np.uint8), size)
    difference = np.abs(scaled - ramp(*size))
    # At the border the outermost pixels stand for those beyond.
    assert difference[:, 2:-2, 2:-2].max() <= 1
    assert difference.max() <= 3


def test_a_picture_of_the_right_size_is_not_copied() -> None:
    planes = np.zeros((3, HEIGHT, WIDTH), np.uint8)
    assert Scaler().scale(planes, (WIDTH, HEIGHT)) is planes
