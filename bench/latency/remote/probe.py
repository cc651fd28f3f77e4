"""Presses keys as a viewer does, over the control channel, and waits until the decoded picture has changed.

Time of a press, in parts that add up (all of this machine's clock; server, desktop and viewer run on it):

    to the desktop   key given to the control channel, to the key event in the window on the desktop
    to the capture   that event, to the capture that shows the new colour: drawing, and waiting for the next capture
    wait .. present  the seven stages of that frame
"""

import asyncio
import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from pydantic import SecretStr

from bench.latency.remote.desktop import KeySeen
from client.measurement import Measurement
from client.picture import Picture
from client.viewer import Viewer
from latentcast.config import ViewSettings
from latentcast.control import Input, Key
from latentcast.errors import LatentcastError
from latentcast.report import STAGES

PARTS: Final = ("to the desktop", "to the capture", *STAGES)
KEY: Final = "KeyL"
"""Any that every keyboard has."""
START_S: Final = 45.0
SETTLE_S: Final = 2.0
"""After the first picture: the rate controller has climbed by then."""
ANSWER_S: Final = 2.0
"""A press that changed nothing by then is lost."""
PAUSE_S: Final = 0.25
"""Between two presses, so that the change of one is over before the next; and up to a tenth more, at random, so that
presses fall everywhere within a frame interval."""
_WHITE_ABOVE: Final = 126
_SEED: Final = 3


@dataclass(frozen=True, slots=True)
class Press:
    """One key press and its answer: when it was sent, when the desktop got it, and the frame that shows it."""

    sent_us: int
    key: KeySeen
    captured_us: int
    """On this machine's clock."""
    stages_ms: tuple[float, ...]

    @property
    def parts_ms(self) -> tuple[float, ...]:
        """In the order of `PARTS`. "to the capture" may be a little below 0: a capture's time is when it began."""
        return (
            (self.key.key_us - self.sent_us) / 1e3,
            (self.captured_us - self.key.key_us) / 1e3,
            *self.stages_ms,
        )

    @property
    def total_ms(self) -> float:
        """Key to presented."""
        return sum(self.parts_ms)


class Probe:
    """A viewer without a window that drives the desktop it sees."""

    def __init__(self, url: str, *, stream: str, token: str, say: Callable[[str], None]) -> None:
        self._wanted: bool | None = None
        self._changed: asyncio.Future[tuple[Picture, int]] | None = None
        self._first = asyncio.Event()
        self.measurement = Measurement(started=time.monotonic(), ring_path=None, psnr=False)
        self.viewer = Viewer(
            ViewSettings(url=url, stream=stream, headless=True, token=SecretStr(token)),
            measurement=self.measurement,
            on_picture=self._on_picture,
            on_notice=say,
        )

    async def run(self, presses: int, keys: asyncio.Queue[KeySeen]) -> tuple[list[Press], int]:
        """So many presses, one after the other. keys: what the desktop's window says. Returns those answered, and how
        many were not. Raises LatentcastError when there is no picture.
        """
        running = asyncio.create_task(self.viewer.run(), name="viewer")
        try:
            waiting = asyncio.create_task(self._first.wait(), name="first picture")
            done, _ = await asyncio.wait([running, waiting], timeout=START_S, return_when=asyncio.FIRST_COMPLETED)
            waiting.cancel()
            if running in done:
                running.result()
            if not self._first.is_set():
                raise LatentcastError(f"no picture of the screen came within {START_S:g} s.")
            await asyncio.sleep(SETTLE_S)
            answered: list[Press] = []
            lost = 0
            for number, pause_s in enumerate(pauses(presses)):
                await asyncio.sleep(PAUSE_S + pause_s)
                press = await self._press(white=number % 2 == 0, keys=keys)
                if press is None:
                    lost += 1
                else:
                    answered.append(press)
                if lost >= 3 and not answered:
                    break  # nobody listens
            return answered, lost
        finally:
            self.viewer.stop()
            await running

    async def _press(self, *, white: bool, keys: asyncio.Queue[KeySeen]) -> Press | None:
        while not keys.empty():
            keys.get_nowait()
        self._wanted = white
        changed = self._changed = asyncio.get_running_loop().create_future()
        sent_us = time.monotonic_ns() // 1000
        self.viewer.send_remote(Input(events=[Key(code=KEY, pressed=True)]))
        try:
            async with asyncio.timeout(ANSWER_S):
                key = await keys.get()
                picture, presented_us = await changed
        except TimeoutError:
            return None
        finally:
            self._changed = None
            self.viewer.send_remote(Input(events=[Key(code=KEY, pressed=False)]))
        # One machine, one clock: the true offset is 0, whatever the session estimates.
        stages = picture.timeline.stages_ms(presented_us=presented_us, offset_us=0)
        return Press(sent_us, key, picture.timeline.captured_us, tuple(stages.values()))

    def _on_picture(self, picture: Picture) -> None:
        now_us = time.monotonic_ns() // 1000
        self.viewer.presented(picture, now_us)
        self._first.set()
        if self._changed is not None and not self._changed.done() and _is_white(picture) == self._wanted:
            self._changed.set_result((picture, now_us))


def _is_white(picture: Picture) -> bool:
    _, height, width = picture.planes.shape
    middle = picture.planes[0, height // 2 - 8 : height // 2 + 8, width // 2 - 8 : width // 2 + 8]
    return float(middle.mean()) > _WHITE_ABOVE


def pauses(presses: int) -> Iterator[float]:
    """What to wait before each press beyond `PAUSE_S`, seconds; the same every time."""
    chance = random.Random(_SEED)
    return (chance.uniform(0, 0.1) for _ in range(presses))
