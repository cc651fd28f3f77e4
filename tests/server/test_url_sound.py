"""Sound of network streams is placed by time stamps, beside the pictures that it belongs to."""

import threading
from pathlib import Path

import numpy as np

from server.audio import AudioReader
from server.sources.url import UrlReceiver
from server.sources.url_sound import UrlSound
from tests.flashes_and_tones import AMPLITUDE, make_clip, onsets


def heard(reader: AudioReader) -> list[tuple[float, float]]:
    """(when, how loud) of every millisecond that is there."""
    found = []
    while (block := reader.read(48, timeout_s=0)) is not None:
        found.append((block.captured_us / 1e6, float(np.abs(block.samples).max()) / AMPLITUDE))
    return found


def test_a_recording_by_url_flashes_and_beeps_together(tmp_path: Path) -> None:
    make_clip(tmp_path / "clip.mkv", seconds=1.2, flashes=(0.3, 0.8), delay_s=5)
    receiver = UrlReceiver(str(tmp_path / "clip.mkv"))
    reader = receiver.sound.feed.reader()
    pictures, sound = [], []
    stopping = threading.Event()
    for received in receiver(stopping):
        level = float(received.frame.to_ndarray(format="gray").mean()) / 255
        pictures.append((received.captured_us / 1e6, level))
        sound += heard(reader)
        if len(pictures) == 29:
            break
    assert receiver.sound.present
    flashes, beeps = onsets(*np.array(pictures).T), onsets(*np.array(sound).T)
    assert len(flashes) == len(beeps) == 2
    assert np.abs(np.subtract(flashes, beeps)).max() < 0.045


def test_a_stream_without_sound_says_so(tmp_path: Path) -> None:
    make_clip(tmp_path / "clip.mkv", seconds=0.2, flashes=(), sound=False)
    receiver = UrlReceiver(str(tmp_path / "clip.mkv"))
    assert receiver.sound.present is None
    next(receiver(threading.Event()))
    assert receiver.sound.present is False


def test_jitter_of_pictures_does_not_tear_sound() -> None:
    sound = UrlSound()
    rng = np.random.default_rng(1)
    errors_us = []
    for number in range(400):
        sound.follow(number / 30, int(1e9 + number * 1e6 / 30 + rng.uniform(-20_000, 20_000)))
        errors_us.append(sound._zero_us - 1e9 if sound._zero_us is not None else np.inf)
    assert np.abs(errors_us[100:]).max() < 6_000
    sound.follow(0.0, int(20e9))
    assert sound._zero_us == 20e9
