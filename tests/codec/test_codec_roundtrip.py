"""Encoder and decoder together: every size, lost slices, and both as functions of nothing but their arguments.

How far a lost slice reaches follows from the 3x3 convolutions behind the symbols. One in the spatial prior moves the
latents around the slice: 1 position, 16 pixels. Then at 1/8, 8 pixels each: inter two before the state and two more
before the picture, intra five before the picture and one more before the state. So pixels change at most 48 (inter) or
56 (intra) pixels away from the blocks of 16x16 whose latents were lost, states at most 32 or 64.
"""

import subprocess
import sys

import numpy as np
import pytest
from numpy.typing import NDArray

from codec.bitstream import CodedFrame, read_frame
from codec.decoder import Decoder
from codec.encoder import DEFAULT_SLICE_BYTES, Encoder
from codec.state import State
from latentcast.errors import BitstreamError, UserError
from tests.codec.samples import Planes, decoder_engine, encoder_engine, moving_picture, pad, psnr_db, weights

# On a machine where the graphs of the two sides are not fused alike, their floats differ in the last bits.
STATE_TOLERANCE = 1e-3
REACH_PX = {"intra": 56, "inter": 48}
STATE_REACH_PX = {"intra": 64, "inter": 32}


def encoder(width: int, height: int, *, max_slice_bytes: int = DEFAULT_SLICE_BYTES) -> Encoder:
    return Encoder(encoder_engine(), weights(), width=width, height=height, max_slice_bytes=max_slice_bytes)


def decoder(width: int, height: int) -> Decoder:
    return Decoder(decoder_engine(), weights(), width=width, height=height)


@pytest.mark.parametrize(
    ("size", "frames"), [((64, 64), 4), ((65, 67), 4), ((150, 90), 4), ((641, 361), 3), ((1920, 1088), 2)]
)
def test_the_decoder_follows_the_encoder(size: tuple[int, int], frames: int) -> None:
    width, height = size
    coding, decoding = encoder(width, height), decoder(width, height)
    coded_state: State | None = None
    state: State | None = None
    for t in range(frames):
        source = moving_picture(width, height, t)
        coded_state, coded = coding.encode(coded_state, source, qp=40, frame_id=100 + t)
        state, frame = decoding.decode(state, coded.data, frame_id=100 + t)
        assert (coded.intra, coded.qp) == (frame.intra, frame.qp) == (t == 0, 40)
        assert frame.planes.shape == source.shape
        assert frame.planes.flags.c_contiguous
        assert (frame.slices, frame.slices_missing) == (len(coded.slice_offsets), 0)
        assert (state.id, state.intact) == (coded_state.id, coded_state.intact) == (100 + t, True)
        np.testing.assert_allclose(state.tensor, coded_state.tensor, rtol=0, atol=STATE_TOLERANCE)
        # The weights give about 23 dB on this texture; a picture from a wrong state, size or QP does not.
        assert psnr_db(frame.planes[0], source[0], peak=255) > 20
        ends = [*coded.slice_offsets[1:], len(coded.data)]
        assert all(end - begin <= DEFAULT_SLICE_BYTES for begin, end in zip(coded.slice_offsets, ends, strict=True))


def test_pictures_are_padded_by_replication() -> None:
    """Twice, with other content first: the padding must not come from the picture before."""
    coding, padded = encoder(150, 90), encoder(160, 96)
    for t in (5, 0):
        _, coded = coding.encode(None, moving_picture(150, 90, t), qp=40, frame_id=t)
        _, expected = padded.encode(None, pad(moving_picture(150, 90, t)), qp=40, frame_id=t)
        # Behind the sizes in the header, the same bytes.
        assert coded.data[8:] == expected.data[8:]


@pytest.mark.parametrize("size", [(62, 64), (64, 32), (1922, 1080), (1920, 1090)])
def test_sizes_out_of_range_are_one_sentence(size: tuple[int, int]) -> None:
    width, height = size
    for make in (encoder, decoder):
        with pytest.raises(UserError, match=f"{width}x{height} cannot be coded: .* choose one with --size"):
            make(width, height)


def sequence(width: int, height: int, *, qp: int, frames: int, max_slice_bytes: int) -> list[CodedFrame]:
    coding = encoder(width, height, max_slice_bytes=max_slice_bytes)
    state: State | None = None
    out = []
    for t in range(frames):
        state, coded = coding.encode(state, moving_picture(width, height, t), qp=qp, frame_id=t)
        out.append(coded)
    return out


def hole_of(coded: CodedFrame, index: int) -> tuple[int, int]:
    ends = [*coded.slice_offsets[1:], len(coded.data)]
    return coded.slice_offsets[index], ends[index]


def lost_blocks(coded: CodedFrame, index: int) -> NDArray[np.bool_]:
    """Which latent positions (rows, columns) slice `index` codes."""
    parts = read_frame(coded.data)
    runs = [piece.positions for piece in parts.slices]
    lost = np.zeros(parts.layout.positions, bool)
    lost[sum(runs[:index]) : sum(runs[: index + 1])] = True
    return lost.reshape(parts.layout.latent_shape)


def within(lost: NDArray[np.bool_], *, reach_px: int, pixel: int) -> NDArray[np.bool_]:
    """Cells of `pixel` x `pixel` pixels that lie within `reach_px` of the lost blocks, diagonals included."""
    scale, margin = 16 // pixel, reach_px // pixel
    mask = lost.repeat(scale, axis=0).repeat(scale, axis=1)
    out = np.zeros_like(mask)
    for y, x in np.argwhere(mask):
        out[max(0, y - margin) : y + margin + 1, max(0, x - margin) : x + margin + 1] = True
    return out


@pytest.mark.parametrize("kind", ["intra", "inter"])
@pytest.mark.parametrize("where", ["first", "middle", "last"])
def test_a_lost_slice_changes_its_surroundings_only(kind: str, where: str) -> None:
    width, height = 400, 400
    intra, inter = sequence(width, height, qp=30, frames=2, max_slice_bytes=260)
    decoding = decoder(width, height)
    whole: State | None = None
    coded = intra
    if kind == "inter":
        whole, _ = decoding.decode(None, intra.data, frame_id=0)
        coded = inter
    count = len(coded.slice_offsets)
    index = {"first": 0, "middle": count // 2, "last": count - 1}[where]
    state, frame = decoding.decode(whole, coded.data, frame_id=1)
    holed_state, holed = decoding.decode(whole, coded.data, frame_id=1, holes=(hole_of(coded, index),))
    assert (holed.slices_missing, holed_state.intact, state.intact) == (1, False, True)

    lost = lost_blocks(coded, index)
    changed = (frame.planes != holed.planes).any(axis=0)
    reach = within(lost, reach_px=REACH_PX[kind], pixel=8).repeat(8, axis=0).repeat(8, axis=1)[:height, :width]
    assert changed.any()
    assert not (changed & ~reach).any()
    assert (~reach).mean() > 0.3

    # States are floats, so there the reach shows to its full extent, and no further.
    changed_state = (state.tensor != holed_state.tensor)[0].any(axis=0)
    assert not (changed_state & ~within(lost, reach_px=STATE_REACH_PX[kind], pixel=8)).any()
    assert (changed_state & ~within(lost, reach_px=STATE_REACH_PX[kind] - 8, pixel=8)).any()


def test_a_damaged_slice_is_a_lost_one_and_the_doubt_stays() -> None:
    intra, *inter = sequence(150, 90, qp=50, frames=4, max_slice_bytes=300)
    decoding = decoder(150, 90)
    begin, end = hole_of(intra, 1)
    damaged = bytearray(intra.data)
    damaged[(begin + end) // 2] ^= 0x20
    state, frame = decoding.decode(None, bytes(damaged), frame_id=0)
    lossy, holed = decoding.decode(None, intra.data, frame_id=0, holes=((begin, end),))
    assert frame.slices_missing == holed.slices_missing == 1
    np.testing.assert_array_equal(frame.planes, holed.planes)
    np.testing.assert_array_equal(state.tensor, lossy.tensor)
    for t, coded in enumerate(inter):
        assert not state.intact
        state, frame = decoding.decode(state, coded.data, frame_id=1 + t)
        assert frame.slices_missing == 0
    assert not state.intact
    # Only a frame that builds on nothing ends it.
    state, _ = decoding.decode(None, intra.data, frame_id=9)
    assert state.intact


def test_all_slices_lost_is_still_a_picture() -> None:
    intra, inter = sequence(150, 90, qp=40, frames=2, max_slice_bytes=300)
    decoding = decoder(150, 90)
    state, _ = decoding.decode(None, intra.data, frame_id=0)
    holes = ((inter.slice_offsets[0], len(inter.data)),)
    state, frame = decoding.decode(state, inter.data, frame_id=1, holes=holes)
    assert frame.slices_missing == frame.slices == len(inter.slice_offsets)
    # The predicted mean: the picture before it, more or less.
    assert psnr_db(frame.planes[0], moving_picture(150, 90, 1)[0], peak=255) > 10


def test_the_encoder_is_a_function() -> None:
    first, second = moving_picture(150, 90, 0), moving_picture(150, 90, 1)
    coding = encoder(150, 90)
    state, intra = coding.encode(None, first, qp=40, frame_id=0)
    kept = state.tensor.copy()
    source = second.copy()
    high_state, high = coding.encode(state, second, qp=60, frame_id=1)
    low_state, low = coding.encode(state, second, qp=10, frame_id=1)
    again_state, again = coding.encode(state, second, qp=60, frame_id=1)
    np.testing.assert_array_equal(state.tensor, kept)
    np.testing.assert_array_equal(second, source)
    assert again == high
    np.testing.assert_array_equal(again_state.tensor, high_state.tensor)
    assert len(low.data) < len(high.data)
    assert encoder(150, 90).encode(None, first, qp=40, frame_id=0)[1] == intra
    # Both continue: either state is whole.
    decoding = decoder(150, 90)
    decoded, _ = decoding.decode(None, intra.data, frame_id=0)
    decoded_before = decoded.tensor.copy()
    for coded, expected in ((high, high_state), (low, low_state)):
        found, _ = decoding.decode(decoded, coded.data, frame_id=1)
        np.testing.assert_allclose(found.tensor, expected.tensor, rtol=0, atol=STATE_TOLERANCE)
    np.testing.assert_array_equal(decoded.tensor, decoded_before)


@pytest.mark.parametrize("kind", ["intra", "inter"])
def test_bytes_and_quality_rise_with_qp(kind: str) -> None:
    first, second = moving_picture(320, 192, 0), moving_picture(320, 192, 1)
    coding, decoding = encoder(320, 192), decoder(320, 192)
    reference: State | None = None
    source = first
    if kind == "inter":
        reference, source = coding.encode(None, first, qp=30, frame_id=0)[0], second
    sizes, qualities = [], []
    for qp in (0, 16, 32, 48, 63):
        _, coded = coding.encode(reference, source, qp=qp, frame_id=1)
        _, frame = decoding.decode(reference, coded.data, frame_id=1)
        sizes.append(len(coded.data))
        qualities.append(psnr_db(frame.planes, source, peak=255))
    assert sizes == sorted(set(sizes))
    assert qualities == sorted(qualities)


def test_qp_and_shape_out_of_range_are_refused() -> None:
    picture: Planes = moving_picture(64, 64, 0)
    coding = encoder(64, 64)
    state, _ = coding.encode(None, picture, qp=63, frame_id=0)
    coding.encode(state, picture, qp=71, frame_id=1)
    for reference, qp in ((None, 64), (None, -1), (state, 72)):
        with pytest.raises(ValueError, match=f"QP row {qp} is out of range"):
            coding.encode(reference, picture, qp=qp, frame_id=1)
    with pytest.raises(ValueError, match="planes have shape"):
        coding.encode(None, picture[:, :, :-1], qp=0, frame_id=0)


def test_slices_longer_than_the_format_can_say_are_refused() -> None:
    with pytest.raises(ValueError, match="65536"):
        encoder(64, 64, max_slice_bytes=65536)


def test_frames_that_do_not_fit_the_decoder_are_refused() -> None:
    intra, inter = sequence(64, 64, qp=30, frames=2, max_slice_bytes=300)
    decoding = decoder(64, 64)
    state, _ = decoding.decode(None, intra.data, frame_id=0)
    with pytest.raises(BitstreamError, match="an inter frame needs one"):
        decoding.decode(None, inter.data, frame_id=1)
    with pytest.raises(BitstreamError, match="an intra frame takes no reference"):
        decoding.decode(state, intra.data, frame_id=1)
    with pytest.raises(BitstreamError, match="the frame is 64x64, expected 80x64"):
        decoder(80, 64).decode(None, intra.data, frame_id=0)
    z_at = intra.slice_offsets[0] - 1
    with pytest.raises(BitstreamError, match="damaged"):
        decoding.decode(None, intra.data[:z_at] + bytes([intra.data[z_at] ^ 0x40]) + intra.data[z_at + 1 :], frame_id=0)


def test_torch_is_not_imported_on_the_base_path() -> None:
    script = """
import sys
import numpy as np
from codec.profiles import open_decoder, open_encoder
state, coded = open_encoder(width=64, height=64).encode(None, np.zeros((3, 64, 64), np.uint8), qp=20, frame_id=0)
open_decoder(width=64, height=64).decode(None, coded.data, frame_id=0)
print(sorted(name for name in sys.modules if name.split(".")[0] in ("torch", "onnx", "asyncio", "aiortc")))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
