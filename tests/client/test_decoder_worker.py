"""The decoder process's handler, called in this process: which states it keeps, and what it says where it cannot."""

from collections.abc import Iterator

import numpy as np
import pytest

from client.decoder_worker import (
    BUFFER_BYTES,
    Configure,
    Configured,
    DecodeFailure,
    DecodeJob,
    DecodeResult,
    DecoderSetup,
    Result,
    make_handler,
    picture_view,
)
from codec.bitstream import CodedFrame, Hole
from codec.engine import FrameEncoder
from codec.profiles import Profile, open_codec
from codec.state import RING_CAPACITY, State
from latentcast.shared_buffer import SharedBuffer

WIDTH, HEIGHT = 128, 96
QP = 24


class Ends:
    """An encoder that keeps all its states, and the handler of a decoder process."""

    def __init__(self) -> None:
        self.buffer = SharedBuffer.create(BUFFER_BYTES)
        self.handle = make_handler(DecoderSetup(Profile(), self.buffer.fd, threads=1))
        self.encoder: FrameEncoder = open_codec().encoder(width=WIDTH, height=HEIGHT, max_slice_bytes=300)
        self.states: dict[int, State] = {}
        rng = np.random.default_rng(5)
        self.picture = rng.integers(0, 256, (3, HEIGHT, WIDTH), np.uint8)

    def code(self, frame_id: int, reference_id: int | None) -> CodedFrame:
        reference = None if reference_id is None else self.states[reference_id]
        picture = np.roll(self.picture, 2 * frame_id, axis=2)
        state, coded = self.encoder.encode(reference, picture, qp=QP, frame_id=frame_id)
        self.states[frame_id] = state
        return coded

    def send(self, frame_id: int, reference_id: int | None, *, damaged: bool = False) -> Result:
        coded = self.code(frame_id, reference_id)
        data = coded.data
        holes: tuple[Hole, ...] = ()
        if damaged:
            # From the middle of the last slice on.
            start = coded.slice_offsets[-1] + 4
            data, holes = data[:start], ((start, len(data)),)
        return self.handle(DecodeJob(frame_id, reference_id, data, holes))

    def configure(self) -> None:
        assert self.handle(Configure(WIDTH, HEIGHT, None)) == Configured()


@pytest.fixture
def ends() -> Iterator[Ends]:
    ends = Ends()
    yield ends
    ends.buffer.close()


def test_without_a_size_nothing_is_decoded(ends: Ends) -> None:
    result = ends.send(0, None)
    assert isinstance(result, DecodeFailure)
    assert "size" in result.reason


def test_what_the_server_may_code_from_is_kept_however_old(ends: Ends) -> None:
    ends.configure()
    ends.send(0, None)
    ends.send(1, 0)
    ends.send(2, 1)
    # After a loss: concealed, and everything that builds on it.
    for frame_id in range(3, RING_CAPACITY + 8):
        result = ends.send(frame_id, frame_id - 1, damaged=frame_id == 3)
        assert isinstance(result, DecodeResult)
        assert not result.intact
    newest = RING_CAPACITY + 8
    result = ends.send(newest, 2)
    assert isinstance(result, DecodeResult), "the newest intact state"
    assert result.intact
    result = ends.send(newest + 1, 0)
    assert isinstance(result, DecodeResult), "the newest intra state"
    result = ends.send(newest + 2, 1)
    assert isinstance(result, DecodeFailure)
    assert "frame 1 is not there" in result.reason


def test_a_decoded_picture_lies_in_shared_memory(ends: Ends) -> None:
    ends.configure()
    result = ends.send(0, None)
    assert isinstance(result, DecodeResult)
    assert (result.intra, result.qp, result.intact, result.missing_slices) == (True, QP, True, ())
    shown = picture_view(ends.buffer, width=WIDTH, height=HEIGHT)
    assert shown.std() > 5
    damaged = ends.send(1, 0, damaged=True)
    assert isinstance(damaged, DecodeResult)
    assert not damaged.intact
    assert damaged.missing_slices == (len(ends.code(1, 0).slice_offsets) - 1,)


def test_a_new_config_forgets_all_states(ends: Ends) -> None:
    ends.configure()
    ends.send(0, None)
    ends.configure()
    result = ends.send(1, 0)
    assert isinstance(result, DecodeFailure)
    assert "frame 0 is not there" in result.reason
