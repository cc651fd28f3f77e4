"""One encoder for all who listen, and the time of what they hear."""

import asyncio
from collections.abc import Callable

import av
import numpy as np
import pytest

from latentcast.control import AudioClock
from server.audio import SAMPLE_RATE, AudioFeed
from server.audio_broadcast import AudioBroadcast, AudioListener
from server.opus import LOOKAHEAD_SAMPLES, CodedAudio, OpusEncoder
from tests.flashes_and_tones import tone

pytestmark = pytest.mark.asyncio
NOW_US = 9_000_000_000


class Ear:
    """A listener that notes what it gets; its RTP time stamps begin at `origin`, once it has got something."""

    def __init__(self, origin: int = 1000) -> None:
        self.frames: list[tuple[bytes, int]] = []
        self.clocks: list[AudioClock] = []
        self._origin = origin
        self.listener = AudioListener(send=self._send, rtp_of=self._rtp_of, announce=self.clocks.append)

    def _send(self, payload: bytes, timestamp: int) -> None:
        self.frames.append((payload, timestamp))

    def _rtp_of(self, timestamp: int) -> int | None:
        return (timestamp + self._origin) % 2**32 if len(self.frames) > 1 else None


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110  # frames come from another thread
            await asyncio.sleep(0.002)


def put(feed: AudioFeed, start: int, count: int = 960) -> None:
    samples = tone(start / SAMPLE_RATE, count / SAMPLE_RATE, (0.0,), 1e9)
    feed.put(samples, NOW_US + round(start * 1e6 / SAMPLE_RATE))


async def test_what_a_decoder_makes_of_it_lies_at_its_index() -> None:
    feed = AudioFeed()
    coded: list[CodedAudio] = []
    encoder = OpusEncoder(feed, coded.append)
    encoder.start()
    for i in range(50):
        put(feed, i * 960)
    await until(lambda: len(coded) == 50)
    encoder.stop()
    encoder.join()
    decoder = av.CodecContext.create("libopus", "r")
    assert isinstance(decoder, av.AudioCodecContext)
    decoder.format, decoder.layout, decoder.sample_rate = av.AudioFormat("s16"), av.AudioLayout("stereo"), SAMPLE_RATE
    line = np.zeros(50 * 960)
    for frame in coded:
        (decoded,) = decoder.decode(av.Packet(frame.payload))
        start = max(0, frame.index)
        samples = decoded.to_ndarray().reshape(-1, 2)[start - frame.index :, 0]
        line[start : start + len(samples)] = samples
    original = tone(0, 1, (0.0,), 1e9)[:, 0].astype(float)
    shifts = range(-600, 600)
    fits = [float(np.dot(line[24000 + shift : 28800 + shift], original[24000:28800])) for shift in shifts]
    # A tone of 1 kHz repeats every 48 samples; the true place is the one nearest to none at all.
    best = max(shifts[k] for k in range(len(fits)) if fits[k] > 0.999 * max(fits) and abs(shifts[k]) < 24)
    assert abs(best) <= 2
    assert coded[0].captured_us == NOW_US - LOOKAHEAD_SAMPLES * 1_000_000 // SAMPLE_RATE
    assert sum(len(frame.payload) for frame in coded) * 8 < 80_000


async def test_everybody_hears_the_same_and_learns_the_time_once_a_second() -> None:
    feed = AudioFeed()
    broadcast = AudioBroadcast(feed)
    ears = Ear(), Ear(origin=2**32 - 5)
    for ear in ears:
        broadcast.add(ear.listener)
    for i in range(110):
        put(feed, i * 960)
        await until(lambda i=i: len(ears[1].frames) == i + 1)  # type: ignore[misc]
    assert ears[0].frames == ears[1].frames
    for ear in ears:
        assert len(ear.clocks) == 3
        first, second, _ = ear.clocks
        assert (second.rtp - first.rtp) % 2**32 == SAMPLE_RATE
        assert second.captured_us - first.captured_us == pytest.approx(1_000_000, abs=2)
    await broadcast.stop()


async def test_a_time_line_that_moves_is_told_at_once() -> None:
    ear = Ear()
    for i, late_us in enumerate((0, 0, 0, 500, 1500, 1500)):
        ear.listener.on_frame(CodedAudio(b"\xfc", i * 960, NOW_US + i * 20_000 + late_us))
    assert [clock.captured_us - NOW_US for clock in ear.clocks] == [20_000, 81_500]


async def test_the_encoder_runs_while_somebody_listens() -> None:
    feed = AudioFeed()
    broadcast = AudioBroadcast(feed)
    ear = Ear()
    broadcast.remove(ear.listener)
    broadcast.add(ear.listener)
    put(feed, 0)
    await until(lambda: len(ear.frames) == 1)
    broadcast.remove(ear.listener)
    await broadcast.stop()
    put(feed, 960)
    assert len(ear.frames) == 1
    broadcast.add(ear.listener)
    put(feed, 1920)
    await until(lambda: len(ear.frames) == 2)
    assert ear.frames[1][1] == 1920 - LOOKAHEAD_SAMPLES
    await broadcast.stop()
