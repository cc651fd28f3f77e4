"""Grabs the strip with the bar code out of the viewer's window, again and again, and says what came on the screen.

Runs as a process of its own, so that it waits for nobody else's Python:

    parent: GrabProcess(...) ── stdin: what to look at, one line of JSON ──▶ child: python -m bench.latency.grab
            .finish()        ── stdin closed ──▶ stdout: a Sighting a line, at last the totals

It reads the *screen* (root window), not the viewer's memory: what is on top of the window is in the way of the
measurement as it is in the way of a person.
"""

import json
import select
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.latency.sightings import SightingLog
from bench.latency.x_window import Place, WindowFinder
from client.fit import letterbox
from latentcast import barcode
from server.sources.x11_grab import GrabFailed, X11Grab

LOOK_AGAIN_S = 0.5
"""A window that is moved or resized is followed twice a second."""


@dataclass(frozen=True, slots=True)
class GrabTask:
    """What to look at."""

    display: str
    pid: int
    """The viewer's, whose largest window is grabbed."""
    width: int
    """Of the coded picture, pixels."""
    height: int
    interval_s: float
    """From the start of one grab to that of the next."""


class Strip:
    """One rectangle of the screen as grey: the green channel, since bar codes have no colour."""

    def __init__(self, display: str, place: Place) -> None:
        """Raises GrabFailed when it is not within the screen."""
        self.place = place
        self._grab = X11Grab(display, (place.left, place.top, place.width, place.height), cursor=False)

    def grab(self) -> NDArray[np.uint8]:
        """(H, W), as it is now. Raises GrabFailed."""
        frame, _ = self._grab.grab()
        plane = frame.planes[0]
        pixels: NDArray[np.uint8] = np.frombuffer(memoryview(plane), np.uint8)
        return pixels.reshape(frame.height, plane.line_size)[:, 1 : 4 * frame.width : 4]

    def close(self) -> None:
        """Give its shared memory back."""
        self._grab.close()


def strip_of(window: Place, picture: tuple[int, int], screen: tuple[int, int]) -> Place | None:
    """Where the bar code of a picture of that size lies on the screen, or None when part of it is outside."""
    box = letterbox(picture, (window.width, window.height))
    coded = barcode.strip_height(width=picture[0], height=picture[1])
    # One line more than the strip has: rounding must not cut it, and the reader counts from the bottom.
    height = min(box.height, -(-coded * box.width // picture[0]) + 1)
    place = Place(window.left + box.left, window.top + box.top + box.height - height, box.width, height)
    inside = place.left >= 0 and place.top >= 0
    inside = inside and place.left + place.width <= screen[0] and place.top + place.height <= screen[1]
    return place if inside and height > 1 else None


def watch(task: GrabTask) -> Iterator[dict[str, Any]]:
    """Sightings, until standard input ends; at last the totals."""
    finder = WindowFinder(task.display)
    log = SightingLog()
    durations_us: list[int] = []
    strip: Strip | None = None
    window: Place | None = None
    look_at = due = time.monotonic()
    while not _input_ended():
        now = time.monotonic()
        try:
            if now >= look_at:
                look_at = now + LOOK_AGAIN_S
                window = finder.find(task.pid) or window
                strip = _moved(strip, window, task, finder.screen_size())
            if strip is not None:
                start_us = time.monotonic_ns() // 1000
                code = barcode.read(strip.grab())
                end_us = time.monotonic_ns() // 1000
                durations_us.append(end_us - start_us)
                seen = log.add(code, start_us=start_us, end_us=end_us)
                if seen is not None:
                    yield asdict(seen)
        except GrabFailed:
            strip = None  # the screen changed its size
        # A grab that took too long is not made up for: the next is due from now on.
        due = max(due + task.interval_s, time.monotonic())
        time.sleep(max(0.0, due - time.monotonic()))
    yield {
        "grabs": log.grabs,
        "unreadable": log.unreadable,
        "grab_ms": sorted(durations_us)[len(durations_us) // 2] / 1e3 if durations_us else 0.0,
        "window": None if window is None else [window.width, window.height],
        "screen": list(finder.screen_size()),
        "x_server": finder.vendor(),
    }
    if strip is not None:
        strip.close()
    finder.close()


def _moved(strip: Strip | None, window: Place | None, task: GrabTask, screen: tuple[int, int]) -> Strip | None:
    """The strip where the window is now; the same one while it has not moved."""
    place = None if window is None else strip_of(window, (task.width, task.height), screen)
    if strip is not None:
        if strip.place == place:
            return strip
        strip.close()
    return None if place is None else Strip(task.display, place)


def _input_ended() -> bool:
    ready, _, _ = select.select([sys.stdin], [], [], 0)
    return bool(ready) and not sys.stdin.readline()


def main() -> None:
    """The child process."""
    task = GrabTask(**json.loads(sys.stdin.readline()))
    for line in watch(task):
        print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()
