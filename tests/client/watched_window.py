"""A window driven as its user drives it: real key events, SDL's dummy display, a clock that stands still."""

import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pygame
from numpy.typing import NDArray

from client.channel import Channel
from client.picture import Picture, PictureMailbox
from client.status import ViewStatus
from client.timeline import Timeline
from client.window import Window
from client.window_loop import run_windows

GREY = 160
BARS = (14, 16, 20)
SIZE = (640, 360)
PLAYING = ViewStatus(fps=29.9, bitrate_bps=412_000, qp=31, size=SIZE, stream="camera")


def grey(frame_id: int = 0, *, size: tuple[int, int] = SIZE, level: int = GREY) -> Picture:
    planes = np.full((3, size[1], size[0]), 128, np.uint8)
    planes[0] = level
    return Picture(frame_id=frame_id, planes=planes, timeline=Timeline(*range(7)), qp=31, intra=frame_id == 0)


def press(key: int, *, mod: int = 0) -> None:
    pygame.event.post(pygame.event.Event(pygame.KEYDOWN, key=key, mod=mod))


opened: list[Window] = []
"""Closed after each test: SDL must not meet one again when Python happens to collect it."""


class Viewer:
    """A window on its dummy display, and what it was shown and said."""

    def __init__(self, folder: Path, *, size: tuple[int, int] = SIZE, panel: bool = False) -> None:
        self.now_us = 1_000_000
        self.folder = folder
        self.bell, self.stop = threading.Event(), threading.Event()
        self.mailbox = PictureMailbox(self.bell)
        self.status: Callable[[], ViewStatus] = lambda: PLAYING
        self.presented: list[tuple[int, int]] = []
        self.pages: list[NDArray[np.uint8]] = []
        self.on_presented: Callable[[Picture, int], None] = lambda picture, now_us: None
        channel = Channel(
            name="camera",
            mailbox=self.mailbox,
            status=lambda: self.status(),
            on_presented=lambda picture, now_us: self.on_presented(picture, now_us),
        )
        self.window = Window([channel], size=size, folder=folder, panel=panel, clock_us=lambda: self.now_us)
        opened.append(self.window)

    def seen(self) -> NDArray[np.uint8]:
        """What the window shows, (height, width, 3)."""
        return pygame.surfarray.array3d(self.window.contents()).swapaxes(0, 1)

    def shoot(self) -> None:
        """Keep what the window shows; a step."""
        self.pages.append(self.seen())

    def play(self, *steps: Callable[[], object], pictures: Callable[[int], Picture] = grey) -> None:
        """Show picture 0, take step 0, show picture 1, take step 1 and so on, then stop.

        What a step does to the window has happened by the time of the next step.
        """
        pending = list(steps)

        def on_presented(picture: Picture, now_us: int) -> None:
            self.presented.append((picture.frame_id, now_us))
            pending.pop(0)()
            if pending:
                self.mailbox.put(pictures(picture.frame_id + 1))
            else:
                self.stop.set()

        self.mailbox.put(pictures(0))
        self.run(on_presented)

    def wait(self, *steps: Callable[[], object]) -> None:
        """Run without pictures: a step each time the window asks for its status, half a second apart, then stop."""
        pending, status = list(steps), self.status

        def asked() -> ViewStatus:
            self.now_us += 500_000
            if pending:
                pending.pop(0)()
            else:
                self.stop.set()
            return status()

        self.status = asked
        self.run(lambda picture, now_us: None)

    def run(self, on_presented: Callable[[Picture, int], None]) -> None:
        self.on_presented = on_presented
        run_windows([self.window], self.stop, self.bell)


class Sound:
    """The sound of a stream: what it was last set to."""

    volume = -1.0

    def set_volume(self, volume: float) -> None:
        self.volume = volume


class Desk:
    """A window with several streams, taken step by step without its loop."""

    def __init__(self, folder: Path, names: Sequence[str], **options: Any) -> None:
        self.now_us = 1_000_000
        self.mailboxes = [PictureMailbox() for _ in names]
        self.statuses = [replace(PLAYING, stream=name) for name in names]
        self.presented: list[tuple[str, int]] = []
        self.passed: list[tuple[str, int]] = []
        self.ended: list[str] = []
        self.sounds = [Sound() for _ in names]
        self.channels = [self._channel(index, name) for index, name in enumerate(names)]
        settings: dict[str, Any] = {"size": SIZE, "folder": folder, "panel": False, "clock_us": lambda: self.now_us}
        settings |= options
        self.window = Window(self.channels, **settings)
        opened.append(self.window)

    def _channel(self, index: int, name: str) -> Channel:
        return Channel(
            name=name,
            mailbox=self.mailboxes[index],
            status=lambda: self.statuses[index],
            on_presented=lambda picture, _: self.presented.append((name, picture.frame_id)),
            on_passed=lambda picture, _: self.passed.append((name, picture.frame_id)),
            on_closed=lambda: self.ended.append(name),
            sound=lambda: self.sounds[index],
        )

    def show(self, index: int = 0, *, frame_id: int = 0, level: int = GREY, size: tuple[int, int] = SIZE) -> None:
        """A picture of a stream comes."""
        self.mailboxes[index].put(grey(frame_id, level=level, size=size))
        self.window.step()

    def press(self, *keys: int, mod: int = 0) -> None:
        """Keys go down, and the window draws; long enough later that messages are gone."""
        for key in keys:
            self.window.handle(pygame.event.Event(pygame.KEYDOWN, key=key, mod=mod))
        self.window.step()

    def click(self, x: int, y: int) -> None:
        """The left button goes down."""
        self.window.handle(pygame.event.Event(pygame.MOUSEBUTTONDOWN, button=1, pos=(x, y)))
        self.window.step()

    def later(self, seconds: float = 10.0) -> None:
        """Time passes; messages are gone by default."""
        self.now_us += round(seconds * 1e6)
        self.window.step()

    def page(self) -> NDArray[np.uint8]:
        """What the window shows, (height, width, 3)."""
        return pygame.surfarray.array3d(self.window.contents()).swapaxes(0, 1)

    def title(self) -> str:
        """The title bar's text."""
        return str(self.window._window.title)


def nothing() -> None: ...
