"""The feed of a source's sound: nothing lost, doubled or out of place, whatever the capture times say."""

import threading
from itertools import pairwise

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from server.audio import CAPACITY_SAMPLES, FRAME_SAMPLES, SAMPLE_RATE, AudioBlock, AudioFeed, AudioIn, AudioReader

NOW_US = 5_000_000_000


def ramp(first: int, count: int) -> NDArray[np.int16]:
    """Samples that say which they are, modulo 2^16."""
    values = np.arange(first, first + count).astype(np.uint16).astype(np.int16)
    return np.stack([values, values], axis=1)


def us(samples: float) -> int:
    return round(samples * 1e6 / SAMPLE_RATE)


def read_all(reader: AudioReader, count: int = FRAME_SAMPLES) -> list[AudioBlock]:
    blocks = []
    while (block := reader.read(count, timeout_s=0)) is not None:
        blocks.append(block)
    return blocks


@settings(deadline=None)
@given(
    blocks=st.lists(st.tuples(st.integers(0, 5000), st.integers(-14_000, 14_000)), max_size=40),
    count=st.integers(100, 2000),
)
def test_blocks_with_jitter_come_out_as_one_line(blocks: list[tuple[int, int]], count: int) -> None:
    feed = AudioFeed()
    reader = feed.reader()
    out: list[AudioBlock] = []
    written = 0
    for size, jitter_us in blocks:
        feed.put(ramp(written, size), NOW_US + us(written) + jitter_us)
        written += size
        out += read_all(reader, count)
    assert [block.index for block in out] == [i * count for i in range(written // count)]
    assert all(np.array_equal(block.samples, ramp(block.index, count)) for block in out)
    assert all(abs(block.captured_us - NOW_US - us(block.index)) <= 14_100 for block in out)


@settings(deadline=None)
@given(blocks=st.lists(st.tuples(st.integers(0, 100_000), st.integers(-(10**13), 10**13)), max_size=12))
def test_whatever_the_times_are_it_stays_bounded_and_the_index_never_goes_back(blocks: list[tuple[int, int]]) -> None:
    feed = AudioFeed()
    reader = feed.reader()
    for size, captured_us in blocks:
        feed.put(ramp(0, size), captured_us)
    out = read_all(reader)
    assert sum(len(block.samples) for block in out) <= CAPACITY_SAMPLES
    assert all(a.index + FRAME_SAMPLES <= b.index for a, b in pairwise(out))


def test_a_short_gap_becomes_silence_and_a_long_one_is_skipped() -> None:
    feed = AudioFeed()
    reader = feed.reader()
    feed.put(ramp(1, 960), NOW_US)
    feed.put(ramp(1, 960), NOW_US + us(960 + 4000))
    first, *rest = read_all(reader)
    assert np.array_equal(first.samples, ramp(1, 960))
    assert not np.concatenate([block.samples for block in rest])[:4000].any()
    feed.put(ramp(7, 960), NOW_US + 20_000_000)
    (late,) = read_all(reader)
    assert np.array_equal(late.samples, ramp(7, 960))
    assert late.index == pytest.approx(20 * SAMPLE_RATE, abs=2)
    assert late.captured_us == pytest.approx(NOW_US + 20_000_000, abs=50)
    statistics = feed.statistics()
    assert statistics.silence == 4000
    assert statistics.skipped == pytest.approx(20 * SAMPLE_RATE - 5920, abs=2)


def test_what_overlaps_is_left_out() -> None:
    feed = AudioFeed()
    reader = feed.reader()
    feed.put(ramp(0, 4800), NOW_US)
    feed.put(ramp(0, 4800), NOW_US + us(2400))
    assert feed.statistics().overlapping == 2400
    out = np.concatenate([block.samples for block in read_all(reader, 100)])
    assert np.array_equal(out, np.concatenate([ramp(0, 4800), ramp(2400, 2400)]))


def test_a_clock_that_was_set_starts_the_line_anew() -> None:
    feed = AudioFeed()
    reader = feed.reader()
    feed.put(ramp(0, 960), NOW_US)
    feed.put(ramp(0, 960), NOW_US - 100_000_000)
    assert [(block.index, block.captured_us) for block in read_all(reader)] == [(960, NOW_US - 100_000_000)]


def test_a_slow_reader_loses_the_oldest_and_the_feed_counts_it() -> None:
    feed = AudioFeed()
    reader = feed.reader()
    for i in range(3):
        feed.put(ramp(i * 24000, 24000), NOW_US + us(i * 24000))
    block = reader.read(timeout_s=0)
    assert block is not None
    assert block.index == 24000
    assert feed.statistics().lost == 24000
    assert feed.reader().read(timeout_s=0) is None, "a new reader begins with what comes next"


def test_the_time_line_follows_a_sound_card_whose_clock_is_not_ours() -> None:
    feed = AudioFeed()
    reader = feed.reader()
    for i in range(5000):
        feed.put(ramp(i * 960, 960), NOW_US + round(i * 20_000 * 1.0001))
    block = read_all(reader)[-1]
    assert block.index == 4999 * 960
    assert block.captured_us == pytest.approx(NOW_US + 4999 * 20_000 * 1.0001, abs=300)


def test_a_reader_waits_for_samples_and_a_closed_feed_lets_it_go() -> None:
    feed = AudioFeed()
    reader = feed.reader()
    got: list[AudioBlock | None] = []
    thread = threading.Thread(target=lambda: got.extend(reader.read(timeout_s=30) for _ in range(2)))
    thread.start()
    feed.put(ramp(0, 500), NOW_US)
    feed.put(ramp(500, 500), NOW_US + us(500))
    feed.close()
    thread.join(30)
    assert got[0] is not None
    assert np.array_equal(got[0].samples, ramp(0, 960))
    assert got[1] is None


@pytest.mark.parametrize("bad", [np.zeros(4, np.int16), np.zeros((4, 1), np.int16), np.zeros((4, 2), np.float32)])
def test_other_arrays_are_refused(bad: NDArray[np.int16]) -> None:
    with pytest.raises(ValueError, match="expected int16"):
        AudioFeed().put(bad, NOW_US)


@pytest.mark.parametrize(
    ("format", "layout", "rate"),
    [("fltp", "stereo", 44100), ("s16", "mono", 8000), ("s16", "stereo", 48000), ("s32p", "5.1", 96000)],
)
def test_any_format_comes_out_at_its_pitch(format: str, layout: str, rate: int) -> None:
    feed = AudioFeed()
    reader = feed.reader()
    put = AudioIn(feed)
    block = rate // 50
    for i in range(25):
        t = (np.arange(block) + i * block) / rate
        tone = 0.5 * np.sin(2 * np.pi * 1000 * t)
        channels = len(av.AudioLayout(layout).channels)
        put.put(_frame(tone, format, layout, rate, channels), NOW_US + i * 20_000)
    out = np.concatenate([block.samples for block in read_all(reader)]).astype(float)
    assert len(out) >= 20 * FRAME_SAMPLES
    spectrum = np.abs(np.fft.rfft(out[4800:9600, 0] * np.hanning(4800)))
    assert np.argmax(spectrum) * 10 == 1000
    assert put.refused == 0


def test_a_publisher_may_change_its_format_and_garbage_is_counted() -> None:
    feed = AudioFeed()
    put = AudioIn(feed)
    put.put(_frame(np.zeros(160), "s16", "mono", 8000, 1), NOW_US)
    put.put(_frame(np.zeros(960), "fltp", "stereo", 48000, 2), NOW_US + 20_000)
    for senseless in (0, 1, 2**31 - 1):
        frame = _frame(np.zeros(960), "s16", "stereo", 48000, 2)
        frame.sample_rate = senseless
        put.put(frame, NOW_US + 40_000)
    put.put(_frame(np.zeros(960), "s16", "stereo", 48000, 2), NOW_US + 60_000)
    assert put.refused == 3
    assert feed.statistics().put == pytest.approx(3 * 960, abs=150)


def _frame(tone: NDArray[np.floating], format: str, layout: str, rate: int, channels: int) -> av.AudioFrame:
    kind = {"fltp": np.float32, "s16": np.int16, "s32p": np.int32}[format]
    scale = {"fltp": 1, "s16": 32767, "s32p": 2**31 - 1}[format]
    samples = np.tile((tone * scale).astype(kind), (channels, 1))
    packed = samples if format.endswith("p") else np.ascontiguousarray(samples.T).reshape(1, -1)
    frame = av.AudioFrame.from_ndarray(packed, format=format, layout=layout)
    frame.sample_rate = rate
    return frame
