"""A clip that flashes and beeps, through the real program: how far apart are the two at the viewer's end?"""

import asyncio
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from client.audio import AudioPlayer
from client.picture import Picture
from client.playout import IN_SYNC_EARLY_MS, IN_SYNC_LATE_MS
from tests.end_to_end.program import Watch, serving, until
from tests.flashes_and_tones import AMPLITUDE, make_clip, onsets

PIECE, RATE = 480, 48_000


class Recorder:
    """A loudspeaker that notes what it plays, and when."""

    def __init__(self, fill: Callable[[int], NDArray[np.float32]]) -> None:
        self.delay_s = 2 * PIECE / RATE
        self.heard: list[tuple[float, float]] = []
        """(monotonic seconds, level 0..1) of every millisecond."""
        self._fill = fill
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        due = time.monotonic()
        while not self._stop.is_set():
            piece = self._fill(PIECE)
            at_s = time.monotonic() + self.delay_s
            for i in range(0, PIECE, 48):
                self.heard.append((at_s + i / RATE, float(np.abs(piece[i : i + 48]).max()) / AMPLITUDE))
            due += PIECE / RATE
            time.sleep(max(0.0, due - time.monotonic()))


class AudioVisual(Watch):
    """Also notes how bright each picture was and when it was shown, and plays into a recorder."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.seen: list[tuple[float, float]] = []
        self.recorders: list[Recorder] = []
        self.audio = self.viewer.audio = AudioPlayer(open_device=self._open)

    def _open(self, fill: Callable[[int], NDArray[np.float32]]) -> Recorder:
        self.recorders.append(Recorder(fill))
        return self.recorders[-1]

    def _on_picture(self, picture: Picture) -> None:
        super()._on_picture(picture)
        self.seen.append((time.monotonic(), float(picture.planes[0].mean()) / 255))


@pytest.mark.net
@pytest.mark.slow
@pytest.mark.asyncio
async def test_flash_and_beep_come_out_together_and_mute_is_silent(tmp_path: Path) -> None:
    make_clip(tmp_path / "clip.mkv", seconds=2, flashes=(0.3, 0.9, 1.6), size=(192, 128), fps=20)
    with serving(source=str(tmp_path / "clip.mkv")) as server:
        watch = AudioVisual(server.url)
        running = asyncio.create_task(watch.viewer.run())
        try:
            await until(lambda: bool(watch.recorders) and len(watch.seen) > 100)
            heard = watch.recorders[0].heard
            beeps, flashes = onsets(*np.array(list(heard)).T), onsets(*np.array(watch.seen).T)
            watch.audio.mute = True
            before = len(heard)
            await until(lambda: len(heard) > before + 1500)
            statistics = watch.audio.statistics()
        finally:
            watch.viewer.stop()
            await running
    apart_ms = [min((beep - flash for flash in flashes), key=abs) * 1e3 for beep in beeps[1:]]
    assert len(apart_ms) >= 4
    assert -IN_SYNC_EARLY_MS < np.median(apart_ms) < IN_SYNC_LATE_MS
    assert statistics.state == "playing"
    assert statistics.undecodable == 0
    assert not any(level for _, level in heard[before + 100 :])
