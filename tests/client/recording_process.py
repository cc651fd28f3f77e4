"""Records into the files named and waits to be killed: `python recording_process.py FILE...`.

90 pictures in 3 s of their own time, then a stall of 2 s; real time stands still, so that nothing depends on it.
"""

import sys
import time
from pathlib import Path

import numpy as np

from client.sinks.base import VideoFormat
from client.sinks.video_file import VideoFileSink

SIZE = (64, 36)
PICTURES = 90
INTERVAL_US = 33_333
STALL_US = 2_000_000


def level(index: int) -> int:
    """Luma of picture `index`."""
    return 20 + 2 * index


def main(paths: list[str]) -> None:
    sinks = [VideoFileSink(Path(path)) for path in paths]
    for sink in sinks:
        sink.open(VideoFormat(*SIZE, fps=30.0))
        for index in range(PICTURES):
            picture = np.full((3, SIZE[1], SIZE[0]), 128, np.uint8)
            picture[0] = level(index)
            sink.write(picture, 5_000_000 + INTERVAL_US * index)
        last_us = 5_000_000 + INTERVAL_US * (PICTURES - 1)
        for waited_us in range(0, STALL_US + 1, 250_000):
            sink.wait(last_us + waited_us)
    print("recorded", flush=True)
    time.sleep(60)


if __name__ == "__main__":
    main(sys.argv[1:])
