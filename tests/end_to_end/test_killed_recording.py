"""A real viewer with a pipe and recordings, killed in the middle: what was recorded plays."""

import subprocess
import sys
import time
from pathlib import Path

import av
import pytest

from tests.end_to_end.program import TIMEOUT_S, serving

ROOT = Path(__file__).resolve().parents[2]
pytestmark = [pytest.mark.net, pytest.mark.slow]

HEADER = b"YUV4MPEG2 W128 H64 F30:1 Ip A1:1 C444 XCOLORRANGE=FULL XCOLORMATRIX=BT709\n"
FRAME_BYTES = len(b"FRAME\n") + 3 * 128 * 64
FRAMES = 75


def test_a_killed_viewer_leaves_recordings_that_play_to_the_last_second(tmp_path: Path) -> None:
    paths = [tmp_path / "out.mp4", tmp_path / "out.mkv"]
    with serving("--source", "pattern", "--size", "128x64", "--fps", "30") as server:
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
        with av.open(str(path)) as container:
            times = [frame.time for frame in container.decode(video=0)]
        assert times[-1] - times[0] > recorded_s - 1.0, path
        assert times == sorted(set(times))
