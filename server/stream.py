"""One stream: a source, one encoder process, and the viewers that share its frames.

    capture thread ──newest picture──▶ _pump ──job──▶ encoder process ──▶ _on_coded ──▶ every session's pacer

The encoder gets a picture only when it is idle, somebody watches, and at least one viewer keeps up: its pacer could
send the frame in time and its acks are not overdue. A viewer that joins or loses a frame asks for an intra frame, which
everybody takes.
"""

import asyncio
import logging
import os
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from codec.arithmetic import Arithmetic, AskArithmetic
from codec.layout import Layout
from codec.profiles import Profile
from latentcast.capture_ring import CaptureRing
from latentcast.config import ServeSettings
from latentcast.control import Config
from latentcast.statistics import Window
from latentcast.vitals import LoopLag, resident_mb
from latentcast.worker import Worker
from server.capture import Capture
from server.encoder_worker import EncodeJob, EncodeResult, EncoderSetup, Result
from server.frame_slots import CapturedFrame, FrameSlots
from server.rate_controller import Choice, RateController
from server.session import PacketisedFrame, StreamVitals, ViewerSession
from server.sources import open_source
from transport.bandwidth.estimator import BandwidthEstimator
from transport.packetiser import MAX_SLICE_BYTES, packetise

log = logging.getLogger(__name__)

# A frame waits when the send queue of every viewer is longer than this: by then it would be stale.
MAX_BACKLOG_S = 0.08
# Restarts of a dying encoder: at once, then slower; given up when it dies this often without coding a frame.
RESTART_DELAYS_S = (0.0, 0.5, 1.0, 2.0, 4.0)
# Rate of coded frames: exponential mean over about a second.
_FPS_GAIN = 0.1
_RECENT = 600
# Viewers that join, or lose a frame, within this time share one intra frame: a third of a second of waiting at most.
MIN_INTRA_INTERVAL_S = 0.3


@dataclass(slots=True)
class Coded:
    """Counts of what the encoder made."""

    frames: int = 0
    intra: int = 0
    bytes: int = 0
    restarts: int = 0


class Stream:
    """`start` it, add sessions, `stop` it. on_failure(reason) is called when it cannot go on."""

    def __init__(self, settings: ServeSettings, *, lag: LoopLag, on_failure: Callable[[str], None]) -> None:
        """Opens the source. Raises UserError for a profile, a source or a size that cannot be used."""
        self.name = settings.stream
        self._settings = settings
        self._profile = Profile.of(settings)
        self._weights_sha256 = self._profile.weights_sha256()
        self._lag = lag
        self._on_failure = on_failure
        self._source = open_source(settings.source, size=settings.size, fps=settings.fps)
        self.width, self.height = self._source.size
        self.fps = self._source.fps
        layout = Layout(self.width, self.height)
        self.sessions: dict[str, ViewerSession] = {}
        self.failure: str | None = None
        self.coded = Coded()
        self.encode_ms = Window(_RECENT)
        self.frame_bytes = Window(_RECENT)
        self.last_qp = 0
        self._epoch = 0
        self._slots = FrameSlots(width=self.width, height=self.height)
        self._rate = RateController(positions=layout.positions)
        self._coded_fps = self.fps
        self._last_submit = 0.0
        self._arithmetic: Arithmetic | None = None
        """Of the encoder; None until the encoder process has said it."""
        self._ready = asyncio.Event()
        self._intra_wanted = False
        self._last_intra = 0.0
        self._frames_since_intra = 0
        self._newest_captured = -1
        self._newest_state: int | None = None
        self._in_flight: tuple[CapturedFrame, Choice, float] | None = None
        self._barren_restarts = 0
        self._loop = asyncio.get_running_loop()
        self._capture: Capture | None = None
        self._ring: CaptureRing | None = None
        self._restart: asyncio.TimerHandle | None = None
        self._stopping = False
        self._worker = self._make_worker()

    @property
    def ready(self) -> bool:
        """The encoder is warm and the source runs."""
        return self._ready.is_set()

    async def wait_ready(self, timeout_s: float) -> bool:
        """Wait until `ready`, or until the time is up; returns `ready`."""
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self._ready.wait()
        return self.ready

    def _update_ready(self) -> None:
        if self._arithmetic is not None and self.failure is None and self._newest_captured >= 0:
            self._ready.set()
        else:
            self._ready.clear()

    def start(self) -> None:
        """Start the encoder process and the capture thread."""
        if self._settings.capture_ring is not None:
            self._ring = CaptureRing.create(self._settings.capture_ring, width=self.width, height=self.height)
        self._worker.start()
        call = self._loop.call_soon_threadsafe
        self._capture = Capture(
            self._source,
            self._slots,
            ring=self._ring,
            on_frame=lambda frame_id: _if_open(self._loop, lambda: call(self._on_captured, frame_id)),
            on_failure=lambda reason: _if_open(self._loop, lambda: call(self._fail, reason)),
        )
        self._capture.start()

    async def stop(self) -> None:
        """Close all sessions, the encoder process and the capture thread."""
        self._stopping = True
        if self._restart is not None:
            self._restart.cancel()
        await asyncio.gather(*(session.close() for session in list(self.sessions.values())))
        await self._worker.stop()
        if self._capture is not None:
            await self._loop.run_in_executor(None, self._capture.stop)
        self._slots.close()

    def new_session(self) -> ViewerSession:
        """A session for one more viewer, once `ready`; it is in `sessions` until it closes."""
        settings = self._settings
        assert self._arithmetic is not None
        session = ViewerSession(
            estimator=BandwidthEstimator(
                initial_bps=min(settings.start_bitrate, settings.max_bitrate),
                min_bps=min(settings.min_bitrate, settings.max_bitrate),
                max_bps=settings.max_bitrate,
            ),
            frame_interval_s=1 / self.fps,
            ice_servers=settings.ice_servers,
            arithmetic=self._arithmetic,
            exact=self._profile.exact,
            config=self._config,
            vitals=self._vitals,
            on_wants_intra=self._want_intra,
            on_closed=self._forget,
        )
        self.sessions[session.id] = session
        return session

    @property
    def target_bps(self) -> float:
        """What all viewers can take; one that has fallen silent has no say while others are there."""
        live = self._live()
        heard = [session for session in live if session.responsive] or live
        return min((session.target_bps for session in heard), default=float(self._settings.max_bitrate))

    def slot_statistics(self) -> tuple[int, int]:
        """Pictures captured, and dropped because a newer one came before the encoder was free."""
        statistics = self._slots.statistics()
        return statistics.captured, statistics.dropped

    def _forget(self, session: ViewerSession) -> None:
        self.sessions.pop(session.id, None)

    def _live(self) -> list[ViewerSession]:
        return [session for session in self.sessions.values() if session.watching]

    def _config(self) -> Config:
        return Config(
            epoch=self._epoch,
            stream=self.name,
            profile=self._profile.name,
            weights=self._weights_sha256,
            width=self.width,
            height=self.height,
            fps=self.fps,
            skip_threshold=self._profile.skip_threshold if self._profile.name == "dcvc-rt" else None,
        )

    def _vitals(self) -> StreamVitals:
        slots = self._slots.statistics()
        return StreamVitals(
            captured=slots.captured,
            newest_captured_id=slots.newest_id,
            encoded=self.coded.frames,
            loop_lag_ms=self._lag.percentiles(),
            memory_mb=resident_mb((os.getpid(), self._worker.pid)),
        )

    def _want_intra(self) -> None:
        self._intra_wanted = True

    def _on_captured(self, frame_id: int) -> None:
        self._newest_captured = frame_id
        if not self.ready:
            self._update_ready()
        self._pump()

    def _pump(self) -> None:
        """Give the encoder the newest picture, if it is free and the picture can be sent in time."""
        live = self._live()
        if not live or not self._worker.ready or self._worker.busy or self._in_flight is not None:
            return
        # As long as one viewer keeps up the others must not hold it back; they drop and wait for an intra frame.
        if not any(session.keeps_up(max_backlog_s=MAX_BACKLOG_S) for session in live):
            return
        frame = self._slots.take()
        if frame is None:
            return
        now = time.monotonic()
        if self._last_submit:
            # A pause (nobody watched) is not a frame rate.
            interval = min(max(now - self._last_submit, 1 / 240), 1.0)
            self._coded_fps += _FPS_GAIN * (1 / interval - self._coded_fps)
        self._last_submit = now
        target_bps = self.target_bps
        choice = self._rate.choose(target_bps=target_bps, fps=self._paced_fps)
        intervals = [session.intra_interval for session in live if session.intra_interval is not None]
        refresh = bool(intervals) and self._frames_since_intra >= min(intervals)
        # Requests that come close together share one intra frame.
        wanted = self._intra_wanted and now - self._last_intra >= MIN_INTRA_INTERVAL_S
        reference = None if wanted or refresh else self._newest_state
        if reference is None:
            self._last_intra = now
        self._in_flight = (frame, choice, target_bps)
        self._worker.submit(EncodeJob(frame.slot, frame.frame_id, reference, choice.inter_qp, choice.intra_qp))

    @property
    def _paced_fps(self) -> float:
        return max(1.0, min(self.fps, self._coded_fps))

    def _on_result(self, result: Result) -> None:
        if isinstance(result, Arithmetic):
            self._arithmetic = result
            self._update_ready()
            self._pump()
        else:
            self._on_coded(result)

    def _on_coded(self, result: EncodeResult) -> None:
        assert self._in_flight is not None
        frame, choice, target_bps = self._in_flight
        self._in_flight = None
        self._slots.release()
        self._barren_restarts = 0
        self._newest_state = result.frame_id
        packets = packetise(
            result.data,
            result.slice_offsets,
            frame_id=result.frame_id,
            reference_id=result.reference_id,
            epoch=self._epoch,
            captured_us=frame.captured_us,
            wait_us=result.started_us - frame.captured_us,
            encode_us=result.done_us - result.started_us,
        )
        size = sum(len(packet) for packet in packets)
        intra = result.reference_id is None
        self._frames_since_intra = 1 if intra else self._frames_since_intra + 1
        self._rate.on_coded(
            choice, size_bytes=size, qp=result.qp, intra=intra, target_bps=target_bps, fps=self._paced_fps
        )
        ready = PacketisedFrame(result.frame_id, result.reference_id, packets)
        for session in self._live():
            session.offer_frame(ready, encoded_before=self.coded.frames)
        if intra:
            # Also answers who asked while it was being coded; who could not take it has asked again.
            self._intra_wanted = any(session.needs_intra for session in self._live())
        self.coded.frames += 1
        self.coded.intra += intra
        self.coded.bytes += size
        self.last_qp = result.qp
        self.encode_ms.add((result.done_us - result.started_us) / 1e3)
        self.frame_bytes.add(size)
        self._pump()

    # -- the encoder process

    def _make_worker(self) -> Worker:
        setup = EncoderSetup(
            profile=self._profile,
            fd=self._slots.buffer.fd,
            buffer_bytes=self._slots.buffer.size,
            width=self.width,
            height=self.height,
            threads=self._settings.encoder_threads,
            max_slice_bytes=MAX_SLICE_BYTES,
        )
        return Worker(
            module="server.encoder_worker",
            arguments=setup,
            fds=(setup.fd,),
            on_ready=lambda: self._worker.submit(AskArithmetic()),
            on_result=self._on_result,
            on_death=self._on_encoder_death,
        )

    def _on_encoder_death(self, reason: str) -> None:
        if self._stopping:
            return
        self.coded.restarts += 1
        if self._in_flight is not None:
            self._in_flight = None
            self._slots.release()
        # The states died with the process, so the next frame is intra for everybody.
        self._newest_state = None
        self._arithmetic = None
        self._update_ready()
        if self._worker.refused:
            self._fail(reason)
            return
        if self._barren_restarts >= len(RESTART_DELAYS_S):
            self._fail(f"the encoder keeps failing: {reason}")
            return
        delay_s = RESTART_DELAYS_S[self._barren_restarts]
        self._barren_restarts += 1
        log.error("stream %s: %s It is started again in %.1f s.", self.name, reason, delay_s)
        self._restart = self._loop.call_later(delay_s, self._start_again)

    def _start_again(self) -> None:
        self._worker = self._make_worker()
        try:
            self._worker.start()
        except OSError as error:
            self._fail(f"the encoder cannot be started again ({error}); free some memory or processes.")

    def _fail(self, reason: str) -> None:
        """Nothing more can be sent: tell everybody why."""
        if self.failure is None and not self._stopping:
            self.failure = reason
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
