"""The source between publishers and the stream: what it says while there is none, and what it does with sound."""

from collections.abc import Iterator

import av
import numpy as np
import pytest
from aiortc.codecs.opus import OpusEncoder

from latentcast.errors import UserError
from server.sources import open_source
from server.sources.base import SourceClosed, SourceLost
from server.sources.whip import WHIP, WhipSource


def read(source: WhipSource) -> tuple[np.ndarray, int]:
    width, height = source.size
    planes = np.zeros((3, height, width), np.uint8)
    return planes, source.read(planes, frame_id=0)


def grey(width: int, height: int, level: int) -> av.VideoFrame:
    return av.VideoFrame.from_ndarray(np.full((height, width, 3), level, np.uint8), format="rgb24")


@pytest.fixture
def source() -> Iterator[WhipSource]:
    it = WhipSource(size=(128, 64), fps=30)
    yield it
    it.interrupt()
    it.close()


def test_the_source_is_opened_by_its_name_alone() -> None:
    opened = open_source([WHIP])
    assert (opened.kind, opened.size, opened.fps) == ("whip", (640, 360), 30)
    assert open_source([WHIP], size=(320, 180), fps=15).size == (320, 180)
    with pytest.raises(UserError, match="alone"):
        open_source([WHIP, "clip.mp4"])


def test_it_says_at_once_what_it_waits_for(source: WhipSource) -> None:
    with pytest.raises(SourceLost, match="waiting for a publisher"):
        read(source)
    source.attach(lambda: None)
    with pytest.raises(SourceLost, match="a publisher is connecting"):
        read(source)
    source.put_picture(grey(64, 64, 200), 1_000)
    planes, captured_us = read(source)
    assert captured_us == 1_000
    # Square, in the middle of 2:1, whatever size it comes in.
    assert planes[0, 32, 64] > 190
    assert planes[0, 32, 10] == 0
    source.put_picture(grey(256, 128, 200), 40_000)
    assert read(source)[0][0, 32, 10] > 190
    source.detach("the publisher left")
    with pytest.raises(SourceLost, match="the publisher left; waiting for a publisher"):
        read(source)


def test_whoever_publishes_is_told_when_the_source_is_closed() -> None:
    told: list[str] = []
    source = WhipSource(size=(128, 64), fps=30)
    source.attach(lambda: told.append("closed"))
    source.interrupt()
    with pytest.raises(SourceClosed):
        read(source)
    source.close()
    source.close()
    assert told == ["closed"]
    assert not source.attached


def test_opus_packets_become_sound_and_damaged_ones_are_left_out(source: WhipSource) -> None:
    encoder = OpusEncoder()
    tone = (8000 * np.sin(np.arange(48_000) * 2 * np.pi * 440 / 48_000)).astype(np.int16)
    sound = av.AudioFrame.from_ndarray(np.repeat(tone, 2)[None], format="s16", layout="stereo")
    sound.sample_rate = 48_000
    sound.pts = 0
    assert source.audio is not None
    reader = source.audio.reader()
    source.attach(lambda: None)
    for number, packet in enumerate(encoder.encode(sound)[0]):
        source.put_audio(packet, number * 960, 1_000_000 + number * 20_000)
        for rubbish in (b"", b"\xff\xff\xff", b"\x03"):
            source.put_audio(rubbish, 0, 0)
    block = reader.read(9600, timeout_s=1)
    assert block is not None
    assert block.captured_us == pytest.approx(1_000_000, abs=1000)
    block = reader.read(9600, timeout_s=1)
    assert block is not None
    assert np.abs(block.samples).max() > 4000
    assert 40_000 <= source.audio.statistics().put <= 48_000
