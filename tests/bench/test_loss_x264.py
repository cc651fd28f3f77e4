"""x264 and FFmpeg as live ends: what is cut where, when an IDR picture is made, who freezes."""

from pathlib import Path

import numpy as np
import pytest

from bench.loss.film import Film
from bench.loss.x264 import SLICE_BYTES, LiveH264, LiveX264, slice_starts, without_holes
from bench.loss.x264_ends import MIN_IDR_INTERVAL_S, X264Coder, X264Viewer
from bench.rd.clips import FramePlanes
from bench.rd.quality import psnr
from tests.bench.loss_samples import tiny_film
from transport.reassembly import FrameReady
from transport.receiver import MediaReceiver
from transport.sender import MediaSender
from transport.wire import FrameAcks, FrameStatus


@pytest.fixture
def film(tmp_path: Path) -> Film:
    return tiny_film(tmp_path)


def noise(seed: int) -> FramePlanes:
    """Pictures that take many slices."""
    random = np.random.default_rng(seed)
    shapes = ((128, 192), (64, 96), (64, 96))
    y, u, v = (random.integers(60, 190, shape, dtype=np.uint8) for shape in shapes)
    return y, u, v


def test_slices_fit_packets_and_are_found() -> None:
    encoder = LiveX264(width=192, height=128, fps=30, max_bps=3e6)
    unit = encoder.encode(noise(1), bit_rate=3e6, idr=True)
    assert unit.intra
    ends = [*unit.slice_offsets[1:], len(unit.data)]
    assert len(ends) > 3
    assert max(end - start for start, end in zip(unit.slice_offsets, ends, strict=True)) <= SLICE_BYTES
    # Parameter sets come first, and no settings in words: those would be sent too.
    assert unit.slice_offsets[0] > 0
    assert b"x264" not in unit.data
    assert not encoder.encode(noise(2), bit_rate=3e6, idr=False).intra


def test_slice_starts_take_either_start_code_and_skip_parameter_sets() -> None:
    units = [b"\0\0\0\1\x67\xaa", b"\0\0\1\x65\xbb", b"\0\0\0\1\x41\xcc", b"\0\0\1\x01\xdd"]
    assert slice_starts(b"".join(units)) == (6, 11, 17)


def test_holes_take_whole_slices_out() -> None:
    assert without_holes(b"abcdefgh", ((2, 4), (6, 4 << 20))) == b"abef"
    assert without_holes(b"abc", ()) == b"abc"


def test_the_bit_rate_follows() -> None:
    encoder = LiveX264(width=192, height=128, fps=30, max_bps=2e6)
    sizes = [
        len(encoder.encode(noise(number % 3), bit_rate=2e6 if number < 60 else 5e5, idr=number == 0).data)
        for number in range(120)
    ]
    assert np.mean(sizes[30:60]) == pytest.approx(2e6 / 8 / 30, rel=0.15)
    assert np.mean(sizes[90:]) == pytest.approx(5e5 / 8 / 30, rel=0.15)


def test_a_slice_that_is_missing_is_concealed() -> None:
    encoder, decoder = LiveX264(width=192, height=128, fps=30, max_bps=3e6), LiveH264()
    whole = decoder.decode(encoder.encode(noise(1), bit_rate=3e6, idr=True).data)
    assert whole is not None
    unit = encoder.encode(noise(1), bit_rate=3e6, idr=True)
    start, end = unit.slice_offsets[1:3]
    luma = decoder.decode(without_holes(unit.data, ((start, end),)))
    assert luma is not None
    assert luma.shape == (128, 192)
    assert psnr(luma, noise(1)[0]) > 10
    assert decoder.decode(b"\0\0\0\1nonsense") is None


def coded(film: Film, count: int) -> list[FrameReady]:
    """A chain of whole frames, as reassembly hands them out."""
    encoder = LiveX264(width=film.width, height=film.height, fps=film.fps, max_bps=2e5)
    frames = []
    for number in range(count):
        unit = encoder.encode(film[number], bit_rate=2e5, idr=number in (0, 6))
        frames.append(ready(number, None if unit.intra else number - 1, unit.data))
    return frames


def ready(number: int, reference: int | None, data: bytes, *, holes: tuple[tuple[int, int], ...] = ()) -> FrameReady:
    return FrameReady(
        frame_id=number,
        reference_id=reference,
        epoch=0,
        captured_us=0,
        wait_us=0,
        encode_us=0,
        sent_us=0,
        first_received=0.0,
        received=0.0,
        data=data,
        holes=holes,
        packets=1,
        packets_missing=len(holes),
        recovered=0,
        resent=0,
    )


def statuses(receiver: MediaReceiver) -> dict[int, FrameStatus]:
    """What the receiver would tell the server."""
    return {ack[0]: ack[1] for ack in receiver._acks.message(False).acks}


@pytest.mark.parametrize("holds", [False, True])
def test_after_a_lost_frame_one_viewer_conceals_and_the_other_freezes_until_the_next_idr(
    film: Film, holds: bool
) -> None:
    viewer, receiver = X264Viewer(holds=holds), MediaReceiver()
    frames = coded(film, 8)
    shown = {frame.frame_id: viewer.on_frame(frame, receiver) for frame in frames if frame.frame_id != 3}
    assert [number for number, pictures in shown.items() if pictures] == (
        [0, 1, 2, 6, 7] if holds else [0, 1, 2, 4, 5, 6, 7]
    )
    said = statuses(receiver)
    damaged = FrameStatus.LOST if holds else FrameStatus.CONCEALED
    assert [said[number] for number in (2, 4, 5, 6, 7)] == [
        FrameStatus.INTACT,
        damaged,
        damaged,
        FrameStatus.INTACT,
        FrameStatus.INTACT,
    ]


def test_without_a_first_picture_nothing_is_shown(film: Film) -> None:
    viewer, receiver = X264Viewer(holds=False), MediaReceiver()
    assert not viewer.on_frame(coded(film, 2)[1], receiver)
    assert statuses(receiver) == {1: FrameStatus.LOST}


def sender() -> MediaSender:
    rate = 2_000_000.0
    return MediaSender(initial_bps=rate, min_bps=rate, max_bps=rate, frame_interval_s=1 / 30)


def test_an_idr_picture_follows_a_report_of_damage_but_not_too_soon(film: Film) -> None:
    coder, wire = X264Coder(width=96, height=64, fps=30, max_bps=2e5), sender()

    def capture(number: int) -> int:
        coder.capture(number, film[number], sender=wire, now=number / 30)
        wire.poll(number / 30, number * 33_333)
        return coder.intra_frames

    assert [capture(number) for number in range(3)] == [1, 1, 1]
    coder.on_acks(FrameAcks(False, 0, ((0, FrameStatus.INTACT, ()), (1, FrameStatus.LOST, ()))), now=0.1)
    wait = round(MIN_IDR_INTERVAL_S * 30)
    assert [capture(number) for number in range(3, wait)] == [1] * (wait - 3)
    assert capture(wait) == 2
    # Said of a frame before the new IDR picture: settled by it.
    coder.on_acks(FrameAcks(False, 0, ((2, FrameStatus.LOST, ()), (wait, FrameStatus.INTACT, ()))), now=0.5)
    assert capture(2 * wait) == 2
