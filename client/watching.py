"""One stream being watched: its viewer, and everybody who gets its pictures.

Viewer ──on_picture──▶ Watching ─┬─▶ mailbox ──▶ window
       (network thread)          ├─▶ sinks, each in its own thread
                                 └─▶ recorder, while the user records
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from client.measurement import Measurement
from client.picture import Picture, PictureMailbox
from client.recorder import Recorder, outcome
from client.sinks import Sink, SinkRunner, SinkStatus
from client.sound_placing import SoundPlacing
from client.viewer import Viewer
from latentcast.config import ViewSettings
from latentcast.errors import UserError
from latentcast.report import Report

_POLL_S = 0.05
_NOTICES = 8
"""Kept until the window shows them; of more the oldest goes."""


class Watching:
    """Made on the event loop, as a viewer is; `notice`, `close` and `report` may be called from another thread."""

    def __init__(
        self,
        settings: ViewSettings,
        *,
        sinks: Sequence[Sink],
        started: float,
        say: Callable[[str], None],
        mailbox: PictureMailbox | None = None,
        folder: Path | None = None,
    ) -> None:
        """settings: of this one stream. say(text): a line for the terminal. mailbox: of the window; None: headless.

        folder: where recordings at the press of a key go.
        """
        self.name = settings.stream
        self._settings = settings
        self._say = say
        self._mailbox = mailbox
        self._notices: deque[str] = deque(maxlen=_NOTICES)
        self.measurement = Measurement(started=started, ring_path=settings.compare, psnr=settings.psnr)
        # With a window, and nobody who waits for an end, a refusal is something to look at.
        patient = mailbox is not None and settings.seconds is None and settings.report is None
        self.viewer = Viewer(
            settings,
            measurement=self.measurement,
            on_picture=self._on_picture,
            on_notice=say,
            on_told=self.tell,
            on_sound=self._on_sound if sinks or folder is not None else None,
            patient=patient,
        )
        self._placing = SoundPlacing()
        self.recorder = None if folder is None else Recorder(self.name, folder, notify=self.tell)
        self._runners = [SinkRunner(sink, on_end=self._on_sink_end) for sink in sinks]
        self._ended: set[str] = set()
        """Places of sinks that ended by themselves: said already."""
        self._problem: str | None = None
        """Of a sink, when nothing else is watched for."""

    async def run(self) -> None:
        """Watch until stopped, or `seconds` after the first picture. Raises UserError."""
        clock = asyncio.create_task(self._stop_in_time(), name="seconds")
        try:
            await self.viewer.run()
        finally:
            clock.cancel()
            await asyncio.wait([clock])
        if self._problem is not None:
            raise UserError(self._problem)

    def notice(self) -> str | None:
        """What has happened since the last question, for the window; None: nothing."""
        return self._notices.popleft() if self._notices else None

    def close(self) -> None:
        """Finish sinks and recordings, and say what became of them."""
        for runner in self._runners:
            status = runner.close()
            if status.place not in self._ended:
                self._say(outcome(status))
        if self.recorder is not None:
            self.recorder.close()

    def report(self, folder: Path) -> Report:
        """Write the report. Raises UserError when nothing was shown."""
        config = self.viewer.config
        if config is None or not self.measurement.presented:
            raise UserError(
                f"nothing was shown from {self.viewer.endpoint}, so there is nothing to report; is the server running?"
            )
        return self.measurement.finish(
            folder,
            config=config,
            client_lag=self.viewer.lag.percentiles(),
            presenter="headless" if self._mailbox is None else "window",
            sound=None if self.viewer.audio is None else self.viewer.audio.report(),
        )

    def _on_picture(self, picture: Picture) -> None:
        if self._mailbox is not None:
            self._mailbox.put(picture)
        else:
            self.viewer.presented(picture, time.monotonic_ns() // 1000)
        config, source, timeline = self.viewer.config, self.viewer.source, picture.timeline
        if config is None:
            return
        self._placing.on_picture(captured_us=timeline.captured_us, seen_us=timeline.decoded_us)
        sound = source is not None and source.audio and self._settings.audio
        for taker in self._takers():
            taker.put(picture.planes, timeline.decoded_us, fps=config.fps, sound=sound)

    def _on_sound(self, samples: NDArray[np.int16], captured_us: int) -> None:
        at_us = self._placing.place(captured_us)
        if at_us is not None:
            for taker in self._takers():
                taker.put_sound(samples, at_us)

    def _takers(self) -> Sequence[SinkRunner | Recorder]:
        return self._runners if self.recorder is None else (*self._runners, self.recorder)

    def tell(self, text: str) -> None:
        """The terminal and the window. Any thread."""
        self._notices.append(text)
        self._say(text)

    def _on_sink_end(self, status: SinkStatus) -> None:
        """A sink's own thread."""
        self._ended.add(status.place)
        watched_for = self._mailbox is not None or self._settings.report is not None
        if watched_for or len(self._ended) < len(self._runners):
            self.tell(outcome(status))
            return
        # Nobody looks, nobody measures, and nobody takes the pictures any more.
        if status.problem is None:
            self._say(outcome(status))
        self._problem = status.problem
        self.viewer.stop()

    async def _stop_in_time(self) -> None:
        seconds = self._settings.seconds
        while seconds is not None:
            first = self.measurement.first_presented
            if first is not None and time.monotonic() - first >= seconds:
                self.viewer.stop()
                return
            await asyncio.sleep(_POLL_S)
