"""Live frames of `dcvc-rt`: their bytes, states that stay equal, and frames that this machine reads otherwise."""

from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

torch = pytest.importorskip("torch", reason="torch is not installed: the profile dcvc-rt needs it")

from codec.bitstream import CodedFrame  # noqa: E402
from codec.dcvc_rt.checkpoint import synthetic_model  # noqa: E402
from codec.dcvc_rt.codec import DcvcRtCodec  # noqa: E402
from codec.dcvc_rt.image import ImageModel  # noqa: E402
from codec.dcvc_rt.live import LiveDecoder, LiveEncoder, read_header  # noqa: E402
from codec.dcvc_rt.video import VideoModel  # noqa: E402
from codec.layout import Layout  # noqa: E402
from codec.quality_cycle import inter_row  # noqa: E402
from codec.state import State  # noqa: E402
from latentcast.errors import BitstreamError, MismatchError  # noqa: E402

WIDTH, HEIGHT = 70, 66
SKIP = 0.12
RESET_INTERVAL = 3
HEADER_BYTES = 12


def picture(number: int) -> NDArray[np.uint8]:
    """A slow gradient with a moving square, so that every plane has something to say."""
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
    planes = np.stack([(2 * x + y) % 256, 128 + x // 4, 128 - y // 4]).astype(np.uint8)
    planes[:, 10:30, 8 + 2 * number : 28 + 2 * number] = 200
    return planes


@pytest.fixture(scope="module")
def codec() -> DcvcRtCodec:
    torch.set_num_threads(1)
    image = synthetic_model("image", skip_threshold=SKIP)
    video = synthetic_model("video", skip_threshold=SKIP)
    assert isinstance(image, ImageModel)
    assert isinstance(video, VideoModel)
    return DcvcRtCodec(image, video, skip_threshold=SKIP, reset_interval=RESET_INTERVAL)


@pytest.fixture(scope="module")
def encoder(codec: DcvcRtCodec) -> LiveEncoder:
    return codec.encoder(width=WIDTH, height=HEIGHT)


@pytest.fixture(scope="module")
def decoder(codec: DcvcRtCodec) -> LiveDecoder:
    return codec.decoder(width=WIDTH, height=HEIGHT, skip_threshold=SKIP)


@pytest.fixture(scope="module")
def chain(encoder: LiveEncoder) -> list[tuple[State, CodedFrame]]:
    """One intra frame and seven more."""

    def frames() -> Iterator[tuple[State, CodedFrame]]:
        state = None
        for number in range(8):
            row = 30 if state is None else inter_row(30, number)
            state, frame = encoder.encode(state, picture(number), qp=row, frame_id=number)
            yield state, frame

    return list(frames())


def test_both_ends_keep_the_same_states_through_resets(
    chain: list[tuple[State, CodedFrame]], decoder: LiveDecoder
) -> None:
    state = None
    resets = []
    for number, (encoded, frame) in enumerate(chain):
        state, decoded = decoder.decode(state, frame.data, frame_id=number)
        assert torch.equal(state.tensor.tensor, encoded.tensor.tensor)
        assert decoded.planes.shape == (3, HEIGHT, WIDTH)
        assert (decoded.intra, decoded.qp, decoded.slices_missing) == (number == 0, frame.qp, 0)
        assert frame.slice_offsets == (), "all of it is head: needed whole"
        resets.append(bool(read_header(frame.data, decoder.layout)[2] & 2))
    assert resets == [False, False, False, True, False, False, True, False]


def test_any_state_kept_will_do_as_reference(
    chain: list[tuple[State, CodedFrame]], encoder: LiveEncoder, decoder: LiveDecoder
) -> None:
    states: list[State | None] = [None]
    for number, (_, frame) in enumerate(chain[:4]):
        states.append(decoder.decode(states[-1], frame.data, frame_id=number)[0])
    # Frame 3 was lost on the way back: the encoder goes on from frame 1, and both ends with it.
    state, frame = encoder.encode(chain[1][0], picture(9), qp=40, frame_id=9)
    decoded, _ = decoder.decode(states[2], frame.data, frame_id=9)
    assert torch.equal(state.tensor.tensor, decoded.tensor.tensor)


def test_symbols_that_read_differently_are_said_to_be_this_machines_doing(
    chain: list[tuple[State, CodedFrame]], decoder: LiveDecoder
) -> None:
    state, _ = decoder.decode(None, chain[0][1].data, frame_id=0)
    other = State(0, type(state.tensor)(state.tensor.tensor * 1.01, 0))
    with pytest.raises(MismatchError, match="computes otherwise"):
        decoder.decode(other, chain[1][1].data, frame_id=1)


def test_the_check_catches_what_the_entropy_coder_cannot(
    chain: list[tuple[State, CodedFrame]], decoder: LiveDecoder
) -> None:
    data = bytearray(chain[0][1].data)
    data[8] ^= 1
    with pytest.raises(MismatchError, match="arrived whole"):
        decoder.decode(None, bytes(data), frame_id=0)


@pytest.mark.parametrize(
    ("at", "value", "said"),
    [
        (0, 9, "version 9"),
        (1, 2, "unknown frame type"),
        (2, 64, "out of range"),
        (3, 4, "flags 0x0[4-7]"),
        (4, 1, "expected 70x66"),
        (7, 65, "expected 70x66"),
    ],
)
def test_a_header_for_something_else_is_refused(
    chain: list[tuple[State, CodedFrame]], decoder: LiveDecoder, at: int, value: int, said: str
) -> None:
    data = bytearray(chain[0][1].data)
    data[at] = value
    with pytest.raises(BitstreamError, match=said):
        decoder.decode(None, bytes(data), frame_id=0)


def test_incomplete_frames_and_wrong_references_are_refused(
    chain: list[tuple[State, CodedFrame]], decoder: LiveDecoder
) -> None:
    intra, inter = chain[0][1].data, chain[1][1].data
    with pytest.raises(BitstreamError, match="all of it is needed"):
        decoder.decode(None, intra, frame_id=0, holes=((20, 30),))
    with pytest.raises(BitstreamError, match="needs one"):
        decoder.decode(None, inter, frame_id=1)
    with pytest.raises(BitstreamError, match="takes no reference"):
        decoder.decode(chain[0][0], intra, frame_id=1)
    for size in range(HEADER_BYTES):
        with pytest.raises(BitstreamError, match="shorter than its header"):
            decoder.decode(None, intra[:size], frame_id=0)


@given(st.binary(max_size=40))
@settings(deadline=None)
def test_no_bytes_break_the_header_parser(data: bytes) -> None:
    try:
        intra, qp, flags, _ = read_header(data, Layout(WIDTH, HEIGHT))
    except BitstreamError:
        return
    assert qp < (64 if intra else 72)
    assert flags < 4


def test_the_fingerprint_names_the_arithmetic_and_spares_the_encoder(codec: DcvcRtCodec) -> None:
    encoder = codec.encoder(width=WIDTH, height=HEIGHT)
    _, before = encoder.encode(None, picture(0), qp=20, frame_id=0)
    first, again = codec.arithmetic(), codec.arithmetic()
    assert first == again
    assert first.precision == "float32"
    _, after = encoder.encode(None, picture(0), qp=20, frame_id=0)
    assert after.data == before.data, "the skip threshold of a running encoder must stay what it was"
    weight = codec._video.feature_adaptor_p.weight
    kept = weight.clone()
    try:
        weight.mul_(1.001)
        assert codec.arithmetic() != first
    finally:
        weight.copy_(kept)
