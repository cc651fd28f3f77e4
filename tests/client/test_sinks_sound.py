"""The sound of a recording: where it is placed, and that the file never waits for it."""

import time
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from client.sinks import SinkRunner
from client.sinks.base import VideoFormat
from client.sinks.video_file import VideoFileSink
from client.sound_placing import PICTURES, SoundPlacing

PIECE = 960
START_US = 3_000_000


def planes() -> NDArray[np.uint8]:
    return np.full((3, 36, 64), 128, np.uint8)


def tone(count: int = PIECE) -> NDArray[np.int16]:
    wave = 12_000 * np.sin(np.arange(count) * 2 * np.pi * 1000 / 48_000)
    return np.repeat(wave.astype(np.int16)[:, None], 2, axis=1)


def heard(path: Path) -> NDArray[np.bool_]:
    """Whether there is sound, for every 10 ms of the file."""
    with av.open(str(path)) as container:
        frames = list(container.decode(audio=0))
    first = round((frames[0].time or 0) * 48_000)
    samples = np.concatenate([frame.to_ndarray()[0] for frame in frames])
    samples = samples[-first:] if first < 0 else np.concatenate([np.zeros(first, samples.dtype), samples])
    pieces = np.abs(samples[: len(samples) // 480 * 480].reshape(-1, 480))
    return np.asarray(pieces.max(axis=1) > 0.05)


def record(path: Path, sounds: dict[int, int], *, length_ms: int = 2000) -> None:
    """Pictures every 40 ms; `sounds`: start in ms to length in ms, given as it would come."""
    sink = VideoFileSink(path)
    sink.open(VideoFormat(64, 36, fps=25.0, sound=True))
    due = [(start + 20 * piece, start) for start, length in sounds.items() for piece in range(length // 20)]
    for now_ms in range(0, length_ms, 20):
        if now_ms % 40 == 0:
            sink.write(planes(), START_US + 1000 * now_ms)
        for at_ms, _ in due:
            if now_ms <= at_ms < now_ms + 20:
                sink.write_sound(tone(), START_US + 1000 * at_ms)
    sink.close(START_US + 1000 * length_ms)


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_sound_is_where_it_was_heard_and_silence_where_nothing_came(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"out{suffix}"
    record(path, {500: 300, 1400: 200})
    loud = np.flatnonzero(heard(path)) * 10
    runs = np.split(loud, np.flatnonzero(np.diff(loud) > 60) + 1)
    assert [int(run[0]) for run in runs] == pytest.approx([500, 1400], abs=30)
    assert [int(run[-1]) for run in runs] == pytest.approx([790, 1590], abs=30)
    with av.open(str(path)) as container:
        assert [stream.type for stream in container.streams] == ["video", "audio"]
        assert len(list(container.decode(video=0))) >= 50


def test_jitter_is_no_hole_and_what_is_far_too_early_is_left_out(tmp_path: Path) -> None:
    sink = VideoFileSink(tmp_path / "out.mkv")
    sink.open(VideoFormat(64, 36, fps=25.0, sound=True))
    sink.write_sound(tone(), START_US)
    sink.write(planes(), START_US)
    sink.write_sound(tone(), START_US - 500_000)
    jitter = np.random.default_rng(3).integers(-15_000, 15_000, 50)
    for index, late_us in enumerate(jitter):
        sink.write_sound(tone(), START_US + max(0, 20_000 * index + int(late_us)))
    # Half a second that was there already.
    sink.write_sound(tone(24_000), START_US + 500_000)
    sink.close(START_US + 1_000_000)
    loud = heard(tmp_path / "out.mkv")
    assert loud[3:95].all()
    assert len(loud) <= 106


def test_a_file_with_sound_does_not_wait_for_it(tmp_path: Path) -> None:
    path = tmp_path / "out.mp4"
    sink = VideoFileSink(path)
    sink.open(VideoFormat(64, 36, fps=25.0, sound=True))
    for index in range(75):
        sink.write(planes(), START_US + 40_000 * index)
    # Not closed: what a killed recorder leaves.
    copy = tmp_path / "killed.mp4"
    copy.write_bytes(path.read_bytes())
    sink.close(START_US + 3_000_000)
    with av.open(str(copy)) as container:
        assert [frame.time for frame in container.decode(video=0)][-1] > 1.9


def test_the_runner_takes_sound_for_sinks_that_have_ears(tmp_path: Path) -> None:
    runner = SinkRunner(VideoFileSink(tmp_path / "out.mkv"), clock_us=lambda: START_US + 400_000)
    runner.put(planes(), START_US, fps=25.0, sound=True)
    while runner.status().written == 0:
        time.sleep(0.005)
    for index in range(20):
        runner.put_sound(tone(), START_US + 20_000 * index)
    assert runner.close().problem is None
    assert heard(tmp_path / "out.mkv")[5:35].all()


def test_sound_is_placed_where_the_picture_of_its_moment_was_seen() -> None:
    placing = SoundPlacing()
    assert placing.place(1_000_000) is None
    for index in range(PICTURES):
        late = 400_000 if index % 5 == 0 else 80_000
        placing.on_picture(captured_us=33_000 * index, seen_us=900_000_000 + 33_000 * index + late)
    assert placing.place(500_000) == 900_580_000
    # Another server, whose clock began elsewhere.
    placing.on_picture(captured_us=77_000_000_000, seen_us=901_200_000)
    assert placing.place(77_000_000_100) == 901_200_100
