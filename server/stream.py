"""One stream: a source, its renditions, and the viewers that watch them.

    capture thread --newest picture--> every rendition that has viewers --> their sessions
                     planner, once every 0.1 s: which viewer watches which rendition

The best rendition runs from the start; a lower one gets its encoder process when a viewer needs it, and gives it back
when nobody has watched it for a while.
"""

import asyncio
import logging
import os
import time
from collections.abc import Callable
from contextlib import suppress

from codec.profiles import Profile
from latentcast.capture_ring import CaptureRing
from latentcast.config import ServeSettings
from latentcast.control import MAX_ERROR_CHARACTERS, Config, SourceState
from latentcast.vitals import LoopLag, resident_mb
from server.audio_broadcast import AudioBroadcast
from server.capture import Capture
from server.frame_slots import FrameSlots
from server.remote.opening import open_remote
from server.rendition import Rendition
from server.renditions import RenditionPlanner, ViewerLoad, rendition_sizes
from server.session import StreamVitals, ViewerSession
from server.sources.base import Source, SourceStatus
from transport.sender import MediaSender

log = logging.getLogger(__name__)

PLAN_INTERVAL_S = 0.1
# What a goodbye to the viewers needs on the wire.
LAST_WORDS_S = 0.2
# A lower rendition that nobody watches keeps its encoder for so long: who has just left may be back.
IDLE_RENDITION_S = 10.0


class Stream:
    """`start` it, add sessions, `stop` it. on_failure(reason) is called when it cannot go on."""

    def __init__(
        self, settings: ServeSettings, source: Source, *, lag: LoopLag, on_failure: Callable[[str], None]
    ) -> None:
        """Owns `source` from now on. Raises UserError for a profile that cannot be used."""
        self.name = settings.stream
        self._settings = settings
        self._profile = Profile.of(settings)
        self._weights_sha256 = self._profile.weights_sha256()
        self._lag = lag
        self._on_failure = on_failure
        self.source = source
        self.source_status = SourceStatus(source.kind, "waiting", "the source is starting")
        self.max_bitrate = settings.max_bitrate
        """Upper limit of the rate to a viewer, bit/s; `set_max_bitrate` changes it."""
        self.width, self.height = source.size
        self.fps = source.fps
        self.sessions: dict[str, ViewerSession] = {}
        self.failure: str | None = None
        self._sizes = rendition_sizes((self.width, self.height), settings.renditions)
        self._slots = FrameSlots(width=self.width, height=self.height, holders=len(self._sizes))
        self._loop = asyncio.get_running_loop()
        feed = source.audio if settings.audio else None
        self._audio = None if feed is None else AudioBroadcast(feed)
        self.renditions = [self._make_rendition(0)]
        """The best first; those after it as far as they were ever needed."""
        self._planner = RenditionPlanner(len(self._sizes))
        self._watched: dict[int, float] = {}
        """When each lower rendition last had a viewer."""
        self.remote = open_remote(source, settings)
        """What viewers may do to the screen that they see."""
        self._ready = asyncio.Event()
        self._capture: Capture | None = None
        self._ring: CaptureRing | None = None
        self._planning: asyncio.Task[None] | None = None
        self._stopping = False

    @property
    def stopping(self) -> bool:
        """`stop` was called: no more sessions."""
        return self._stopping

    @property
    def spec(self) -> tuple[str, ...]:
        """The source as it was asked for, passwords in URLs included."""
        return self._settings.source

    @property
    def ready(self) -> bool:
        """The encoder is warm. The source may still have to come."""
        return self._ready.is_set()

    async def wait_ready(self, timeout_s: float) -> bool:
        """Wait until `ready`, or until the time is up; returns `ready`."""
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self._ready.wait()
        return self.ready

    def start(self) -> None:
        """Start the encoder process and the capture thread."""
        if self._settings.capture_ring is not None:
            self._ring = CaptureRing.create(self._settings.capture_ring, width=self.width, height=self.height)
        self.renditions[0].start()
        call = self._loop.call_soon_threadsafe
        self._capture = Capture(
            self.source,
            self._slots,
            ring=self._ring,
            on_frame=lambda _: _if_open(self._loop, lambda: call(self._on_captured)),
            on_failure=lambda reason: _if_open(self._loop, lambda: call(self._fail, reason)),
            on_status=lambda reason: _if_open(self._loop, lambda: call(self._on_source, reason)),
        )
        self._capture.start()
        self._planning = self._loop.create_task(self._plan_often(), name="renditions")

    async def stop(self) -> None:
        """Tell the viewers, close all sessions, the encoder processes and the capture thread."""
        self._stopping = True
        watching = [session for session in self.sessions.values() if session.watching]
        for session in watching:
            session.refuse("gone", f"the stream {self.name!r} was stopped.")
        if watching:
            await asyncio.sleep(LAST_WORDS_S)
        if self._planning is not None:
            self._planning.cancel()
            await asyncio.wait([self._planning])
        await asyncio.gather(*(session.close() for session in list(self.sessions.values())))
        await self.remote.stop()
        await asyncio.gather(*(rendition.stop() for rendition in self.renditions))
        if self._audio is not None:
            await self._audio.stop()
        if self._capture is not None:
            await self._loop.run_in_executor(None, self._capture.stop)
        else:
            # Its thread, which closes the source, was never started.
            self.source.interrupt()
            self.source.close()
        self._slots.close()

    def new_session(self, *, may_drive: bool = False) -> ViewerSession:
        """A session for one more viewer, once `ready`; it is in `sessions` until it closes.

        may_drive: its token allows remote input.
        """
        settings = self._settings
        arithmetic = self.renditions[0].arithmetic
        assert arithmetic is not None
        session = ViewerSession(
            sender=MediaSender(
                initial_bps=min(settings.start_bitrate, self.max_bitrate),
                min_bps=min(settings.min_bitrate, self.max_bitrate),
                max_bps=self.max_bitrate,
                frame_interval_s=1 / self.fps,
            ),
            ice_servers=settings.ice_servers,
            arithmetic=arithmetic,
            exact=self._profile.exact,
            may_drive=may_drive,
            audio=self._audio,
            config=self._config,
            source=self._source_state,
            vitals=self._vitals,
            on_live=self._on_live,
            on_remote=self.remote.on_message,
            on_closed=self._forget,
        )
        session.limit(self.max_bitrate)
        self.sessions[session.id] = session
        self.renditions[0].sessions.append(session)
        return session

    @property
    def target_bps(self) -> float:
        """What the slowest viewer of the best rendition can take."""
        watching = self.renditions[0].watching
        return min((session.sender.target_bps for session in watching), default=float(self.max_bitrate))

    def slot_statistics(self) -> tuple[int, int]:
        """Pictures captured, and dropped because a newer one came before the encoder was free."""
        statistics = self._slots.statistics()
        return statistics.captured, statistics.dropped

    def force_intra(self) -> None:
        """The next frame of every rendition is coded from nothing."""
        for rendition in self.renditions:
            rendition.control.force_intra()

    def set_max_bitrate(self, bps: int) -> None:
        """Limit the rate to every viewer, present and to come, bit/s."""
        self.max_bitrate = bps
        for session in self.sessions.values():
            session.limit(bps)

    def _source_state(self, session: ViewerSession) -> SourceState:
        status = self.source_status
        reason = None if status.reason is None else status.reason[:MAX_ERROR_CHARACTERS]
        return SourceState(
            kind=status.kind,
            state=status.state,
            reason=reason,
            drive=session.may_drive and self.remote.drivable,
            audio=self._audio is not None,
        )

    def _on_source(self, reason: str | None) -> None:
        """The source is there (None), or is not, and why."""
        self._set_source(SourceStatus(self.source.kind, "live" if reason is None else "waiting", reason))

    def _set_source(self, status: SourceStatus) -> None:
        # Waiting at the start is how a stream begins; what was there and went is worth a warning.
        level = logging.WARNING if "live" in (self.source_status.state, status.state) else logging.INFO
        self.source_status = status
        if status.reason is not None:
            log.log(level, "stream %s: %s", self.name, status.reason)
        for session in self.sessions.values():
            session.announce_source()

    def _forget(self, session: ViewerSession) -> None:
        self.remote.on_closed(session)
        if self.sessions.pop(session.id, None) is not None:
            self.renditions[session.rendition].sessions.remove(session)

    def _on_live(self, session: ViewerSession) -> None:
        self.renditions[session.rendition].pump()

    def _config(self, session: ViewerSession) -> Config:
        width, height = self.renditions[session.rendition].control.size
        return Config(
            epoch=session.sender.epoch,
            stream=self.name,
            profile=self._profile.name,
            weights=self._weights_sha256,
            width=width,
            height=height,
            fps=self.fps,
            skip_threshold=self._profile.skip_threshold if self._profile.name == "dcvc-rt" else None,
        )

    def _vitals(self, session: ViewerSession) -> StreamVitals:
        slots = self._slots.statistics()
        return StreamVitals(
            captured=slots.captured,
            newest_captured_id=slots.newest_id,
            loop_lag_ms=self._lag.percentiles(),
            memory_mb=resident_mb((os.getpid(), *(rendition.pid for rendition in self.renditions))),
        )

    def _on_captured(self) -> None:
        for rendition in self.renditions:
            rendition.pump()

    def _update_ready(self) -> None:
        if self.renditions[0].ready and self.failure is None:
            self._ready.set()
        else:
            self._ready.clear()

    # -- renditions

    def _make_rendition(self, index: int) -> Rendition:
        return Rendition(
            index=index,
            profile=self._profile,
            slots=self._slots,
            source_size=(self.width, self.height),
            size=self._sizes[index],
            fps=self.fps,
            threads=self._settings.encoder_threads,
            on_ready=self._update_ready,
            on_failure=self._fail if index == 0 else lambda reason: self._abandon(index, reason),
        )

    async def _plan_often(self) -> None:
        while True:
            await asyncio.sleep(PLAN_INTERVAL_S)
            await self._plan()

    async def _plan(self) -> None:
        """Move viewers between renditions, start those that are needed, stop those that are not."""
        now = time.monotonic()
        loads = [
            ViewerLoad(session.id, session.sender.target_bps, session.sender.acks.intact_lag_s(now), session.rendition)
            for session in self.sessions.values()
            if session.watching
        ]
        for rendition in self.renditions:
            standing = self._planner.in_good_standing(loads, rendition.index, now)
            rendition.standing = [self.sessions[viewer].sender for viewer in standing]
        for viewer, wanted in self._planner.plan(loads, now).items():
            session = self.sessions[viewer]
            self._watched[wanted] = now
            while len(self.renditions) <= wanted:
                rendition = self._make_rendition(len(self.renditions))
                try:
                    rendition.start()
                except OSError as error:
                    self._abandon(rendition.index, f"its encoder cannot be started ({error})")
                    return
                self.renditions.append(rendition)
            # Until its encoder is warm, the viewer stays where it is.
            if wanted != session.rendition and self.renditions[wanted].ready:
                self._move(session, wanted)
        for session in self.sessions.values():
            self._watched[session.rendition] = now
        if len(self.renditions) > 1 and now - self._watched.get(len(self.renditions) - 1, now) > IDLE_RENDITION_S:
            await self.renditions.pop().stop()

    def _move(self, session: ViewerSession, index: int) -> None:
        log.info("session %s: from rendition %d to %d", session.id[:6], session.rendition, index)
        self.renditions[session.rendition].sessions.remove(session)
        session.rendition = index
        session.sender.start_epoch()
        self.renditions[index].sessions.append(session)
        session.announce()
        self.renditions[index].pump()

    def _abandon(self, index: int, reason: str) -> None:
        """A lower rendition cannot be had: its viewers go back to the best, and no more are moved."""
        log.error("stream %s: rendition %d is given up: %s", self.name, index, reason)
        self._planner = RenditionPlanner(index)
        for session in list(self.sessions.values()):
            if session.rendition >= index:
                self._move(session, 0)

    def _fail(self, reason: str) -> None:
        """Nothing more can be sent: tell everybody why."""
        if self.failure is None and not self._stopping:
            self.failure = reason
            self._set_source(SourceStatus(self.source.kind, "ended", reason))
            self._update_ready()
            log.error("stream %s: %s", self.name, reason)
            try:
                for session in list(self.sessions.values()):
                    session.refuse("encoder", f"the stream {self.name!r} has ended: {reason}")
            finally:
                self._on_failure(reason)


def _if_open(loop: asyncio.AbstractEventLoop, call: Callable[[], object]) -> None:
    """The capture thread may outlive the loop by one frame at shutdown."""
    if not loop.is_closed():
        call()
