"""A real viewer with a pipe and recordings, killed in the middle: what was recorded plays."""

import subprocess
import sys
import time
from pathlib import Path

import av
import pytest

from tests.end_to_end.program import FPS, SIZE, TIMEOUT_S, serving

ROOT = Path(__file__).resolve().parents[2]
pytestmark = [pytest.mark.net, pytest.mark.slow]

HEADER = f"YUV4MPEG2 W{SIZE[0]} H{SIZE[1]} F{FPS}:1 Ip A1:1 C444 XCOLORRANGE=FULL XCOLORMATRIX=BT709\n".encode()
FRAME_BYTES = len(b"FRAME\n") + 3 * SIZE[0] * SIZE[1]
FRAMES = 50


def played(path: Path) -> list[float]:
    """Times of the pictures that a player shows; one that the kill cut off is its last."""
    times: list[float] = []
    with av.open(str(path)) as container:
        for packet in container.demux(video=0):
            try:
                times += [frame.time for frame in packet.decode()]
            except av.InvalidDataError:
                break
    return times


def test_a_killed_viewer_leaves_recordings_that_play_to_the_last_second(tmp_path: Path) -> None:
    paths = [tmp_path / "out.mp4", tmp_path / "out.mkv"]
    with serving() as server:
        sinks = [part for name in ("-", *map(str, paths)) for part in ("--sink", name)]
        viewer = subprocess.Popen(
            [sys.executable, "-P", "-m", "latentcast", "view", server.url, "--headless", *sinks],
            cwd=ROOT,
            stdout=subprocess.PIPE,
        )
        assert viewer.stdout is not None
        with viewer.stdout as pipe:
            assert pipe.readline() == HEADER
            first = time.monotonic()
            for _ in range(FRAMES):
                assert pipe.read(FRAME_BYTES).startswith(b"FRAME\n")
            viewer.kill()
            recorded_s = time.monotonic() - first
        viewer.wait(TIMEOUT_S)
    for path in paths:
        times = played(path)
        assert times[-1] - times[0] > recorded_s - 1.0, path
        assert times == sorted(set(times))
