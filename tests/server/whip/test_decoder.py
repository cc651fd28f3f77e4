"""The decoder's thread: pictures at once, what is damaged reported, a queue that does not grow."""

import threading
from fractions import Fraction

import av
import numpy as np
import pytest
from av.video.codeccontext import VideoCodecContext

from server.whip.assembler import CodedFrame
from server.whip.decoder import MAX_WAITING, VideoDecoder

ENCODERS = {"VP8": "libvpx", "H264": "libx264"}


def coded(codec: str, count: int, *, size: tuple[int, int] = (128, 96)) -> list[CodedFrame]:
    """Frames of a grey picture that gets brighter."""
    encoder = av.CodecContext.create(ENCODERS[codec], "w")
    assert isinstance(encoder, VideoCodecContext)
    encoder.width, encoder.height = size
    encoder.pix_fmt = "yuv420p"
    encoder.time_base = Fraction(1, 30)
    encoder.options = {"deadline": "realtime", "lag-in-frames": "0"} if codec == "VP8" else {"tune": "zerolatency"}
    out: list[CodedFrame] = []
    for number in range(count):
        frame = av.VideoFrame.from_ndarray(np.full((size[1], size[0], 3), 20 + number * 10, np.uint8), format="rgb24")
        frame.pts = number
        out += [CodedFrame(bytes(p), number * 3000, number == 0, 0.0) for p in encoder.encode(frame)]
    return out


class Collector:
    def __init__(self) -> None:
        self.pictures: list[tuple[av.VideoFrame, float]] = []
        self.troubles = 0
        self.came = threading.Semaphore(0)

    def picture(self, picture: av.VideoFrame, captured_s: float) -> None:
        self.pictures.append((picture, captured_s))
        self.came.release()

    def trouble(self) -> None:
        self.troubles += 1
        self.came.release()

    def wait(self) -> None:
        assert self.came.acquire(timeout=10)


@pytest.mark.parametrize("codec", ["VP8", "H264"])
def test_every_frame_comes_out_at_once_with_its_time(codec: str) -> None:
    got = Collector()
    decoder = VideoDecoder(codec, on_picture=got.picture, on_trouble=got.trouble)
    try:
        for number, frame in enumerate(coded(codec, 5)):
            assert decoder.put(frame, float(number))
            # Nothing is held back for a frame to come.
            got.wait()
            assert got.pictures[-1][1] == number
    finally:
        decoder.stop()
    assert decoder.size == (128, 96)
    assert decoder.decoded == 5
    assert got.troubles == 0


@pytest.mark.parametrize("codec", ["VP8", "H264"])
def test_rubbish_is_reported_and_the_next_key_frame_decodes(codec: str) -> None:
    got = Collector()
    decoder = VideoDecoder(codec, on_picture=got.picture, on_trouble=got.trouble)
    try:
        decoder.put(CodedFrame(b"\x00\x01rubbish" * 20, 0, True, 0.0), 0.0)
        got.wait()
        assert got.troubles == 1
        decoder.put(coded(codec, 1)[0], 1.0)
        got.wait()
    finally:
        decoder.stop()
    assert [captured for _, captured in got.pictures] == [1.0]


def test_a_picture_that_is_far_too_large_is_not_decoded() -> None:
    got = Collector()
    decoder = VideoDecoder("VP8", on_picture=got.picture, on_trouble=got.trouble)
    try:
        # The size of a VP8 key frame stands in its bytes 6 to 9 (RFC 6386, 9.1): 8000 x 8000.
        frame = bytearray(coded("VP8", 1)[0].data)
        frame[6:10] = b"\x40\x1f\x40\x1f"
        decoder.put(CodedFrame(bytes(frame), 0, True, 0.0), 0.0)
        got.wait()
    finally:
        decoder.stop()
    assert (got.troubles, got.pictures) == (1, [])


def test_a_decoder_without_time_drops_everything_that_waits() -> None:
    release, entered = threading.Event(), threading.Event()

    def slow(picture: av.VideoFrame, captured_s: float) -> None:
        entered.set()
        assert release.wait(10)

    decoder = VideoDecoder("VP8", on_picture=slow, on_trouble=lambda: None)
    try:
        first, second = coded("VP8", 2)
        decoder.put(first, 0.0)
        assert entered.wait(10)
        assert [decoder.put(second, 0.0) for _ in range(MAX_WAITING + 1)] == [True] * MAX_WAITING + [False]
        assert decoder.dropped == MAX_WAITING + 1
        assert decoder.put(second, 0.0)
    finally:
        release.set()
        decoder.stop()
