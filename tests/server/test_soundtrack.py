"""Clips with sound as a source: sound is put when its picture is due, over loops, clip changes and stalls."""

import logging
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace

import av
import numpy as np
import pytest

from server.audio import AudioReader
from server.sources import soundtrack
from server.sources.file import FileSource
from tests.flashes_and_tones import AMPLITUDE, make_clip, onsets

NOW_US = 4_000_000_000


@dataclass
class Time:
    """A clock that only waiting moves."""

    us: float = NOW_US

    def clock(self) -> int:
        return int(self.us)

    def wait(self, seconds: float) -> None:
        self.us += max(1.0, seconds * 1e6)


@dataclass
class Watcher:
    """Reads pictures and sound of a source and notes when each was captured."""

    source: FileSource
    time: Time
    reader: AudioReader = field(init=False)
    pictures: list[tuple[float, float]] = field(default_factory=list)
    sound: list[tuple[float, float]] = field(default_factory=list)

    def __post_init__(self) -> None:
        assert self.source.audio is not None
        self.reader = self.source.audio.reader()

    def watch(self, seconds: float) -> None:
        end_us = self.time.us + seconds * 1e6
        planes = np.empty((3, 64, 64), np.uint8)
        while self.time.us < end_us:
            captured_us = self.source.read(planes, frame_id=len(self.pictures))
            self.pictures.append((captured_us / 1e6, float(planes[0].mean()) / 255))
            while (block := self.reader.read(48, timeout_s=0)) is not None:
                self.sound.append((block.captured_us / 1e6, float(np.abs(block.samples).max()) / AMPLITUDE))

    def flashes_and_beeps(self) -> tuple[list[float], list[float]]:
        return onsets(*np.array(self.pictures).T), onsets(*np.array(self.sound).T)


def watcher(*paths: Path, fps: float | None = None) -> Watcher:
    time = Time()
    source = FileSource(list(paths), fps=fps, clock=time.clock, wait=time.wait)
    return Watcher(source, time)


@pytest.mark.parametrize("fps", [None, 10.0])
def test_every_flash_beeps_over_loops_and_clip_changes(tmp_path: Path, fps: float | None) -> None:
    make_clip(tmp_path / "a.mkv", seconds=1.2, flashes=(0.4,), delay_s=2.0)
    make_clip(tmp_path / "b.mkv", seconds=0.8, flashes=(0.2, 0.6))
    make_clip(tmp_path / "mute.mkv", seconds=0.6, flashes=(0.2,), sound=False)
    seen = watcher(tmp_path / "a.mkv", tmp_path / "b.mkv", tmp_path / "mute.mkv", fps=fps)
    seen.watch(7.9)
    flashes, beeps = seen.flashes_and_beeps()
    assert len(flashes) == 12
    assert len(beeps) == 9
    for beep in beeps:
        assert min(abs(beep - flash) for flash in flashes) < 0.021
    seen.source.close()


def test_sound_comes_in_small_pieces_at_its_own_time_whatever_the_frame_rate(tmp_path: Path) -> None:
    make_clip(tmp_path / "a.mkv", seconds=3, flashes=())
    time = Time()
    starts: list[tuple[float, int]] = []

    def wait(seconds: float) -> None:
        time.wait(seconds)
        starts.append((time.us, source_feed.statistics().put))

    source = FileSource([tmp_path / "a.mkv"], fps=1.0, clock=time.clock, wait=wait)
    assert source.audio is not None
    source_feed = source.audio
    planes = np.empty((3, 64, 64), np.uint8)
    for frame_id in range(3):
        source.read(planes, frame_id=frame_id)
    assert len(starts) > 40
    assert all(0 <= (us - NOW_US) / 1e6 - put / 48000 + 0.06 < 0.12 for us, put in starts)
    source.close()


def test_a_stalled_reader_moves_sound_and_picture_alike(tmp_path: Path) -> None:
    make_clip(tmp_path / "a.mkv", seconds=2, flashes=(0.4, 1.4))
    seen = watcher(tmp_path / "a.mkv")
    seen.watch(1)
    seen.time.us += 30e6
    seen.watch(4)
    flashes, beeps = seen.flashes_and_beeps()
    assert len(flashes) == len(beeps) >= 4
    assert np.abs(np.subtract(flashes, beeps)).max() < 0.021


def test_clips_without_sound_have_no_feed(tmp_path: Path) -> None:
    make_clip(tmp_path / "mute.mkv", seconds=0.2, flashes=(), sound=False)
    source = FileSource([tmp_path / "mute.mkv"])
    assert source.audio is None
    source.close()


def test_sound_that_cannot_be_decoded_leaves_the_pictures_alone(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_clip(tmp_path / "a.mkv", seconds=1, flashes=(0.4,))
    seen = watcher(tmp_path / "a.mkv")
    broken = SimpleNamespace(open=_refuse, FFmpegError=av.FFmpegError)
    monkeypatch.setattr(soundtrack, "av", broken)
    with caplog.at_level(logging.WARNING):
        seen.watch(0.8)
    assert len(seen.pictures) == 21
    assert not seen.sound
    assert "goes on without sound" in caplog.text
    seen.source.close()


def _refuse(*_: object) -> None:
    raise av.FFmpegError(1, "Input/output error")
