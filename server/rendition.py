"""One encode of a stream: an encoder process, the control around it, and the viewers that share its frames.

    newest picture --> pump --order--> encoder process --> _on_coded --> (again) | deliver to every viewer's sender

The encoder gets a picture only when it is idle, somebody watches, and at least one viewer keeps up.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from codec.arithmetic import Arithmetic, AskArithmetic
from codec.profiles import Profile
from latentcast.statistics import Window
from latentcast.worker import Worker
from server.cadence import Cadence
from server.encode_control import EncodeControl, EncodeOrder
from server.encoder_worker import EncodeJob, EncodeResult, EncoderSetup, Result
from server.frame_slots import CapturedFrame, FrameSlots
from server.session import ViewerSession
from transport.packetiser import MAX_SLICE_BYTES, packetise
from transport.sender import MediaSender

log = logging.getLogger(__name__)

# Restarts of a dying encoder: at once, then slower; given up when it dies this often without coding a frame.
RESTART_DELAYS_S = (0.0, 0.5, 1.0, 2.0, 4.0)
_RECENT = 600
# Two seconds at 120 fps: who looks twice a second sees every frame.
_RECENT_FRAMES = 256


@dataclass(slots=True)
class Coded:
    """Counts of what the encoder made."""

    frames: int = 0
    intra: int = 0
    twice: int = 0
    """Frames coded a second time at another QP."""
    bytes: int = 0
    restarts: int = 0


class CodedFrame(NamedTuple):
    """One frame that was sent. Times in microseconds, `done_us` on the monotonic clock."""

    done_us: int
    size_bytes: int
    """With packet headers, without parity."""
    qp: int
    intra: bool
    wait_us: int
    """Captured to taken by the encoder."""
    encode_us: int


class Rendition:
    """`start` it, put sessions into `sessions`, `pump` at every picture, `stop` it.

    on_ready() is called when its encoder has become ready; on_failure(reason) when it cannot go on.
    """

    def __init__(
        self,
        *,
        index: int,
        profile: Profile,
        slots: FrameSlots,
        source_size: tuple[int, int],
        size: tuple[int, int],
        fps: float,
        threads: int,
        on_ready: Callable[[], None],
        on_failure: Callable[[str], None],
    ) -> None:
        """index: also its place among the holders of `slots`. size: what it codes the source's pictures at."""
        self.index = index
        self.sessions: list[ViewerSession] = []
        self.standing: list[MediaSender] | None = None
        """Whose rate counts; None: everybody's."""
        self.control = EncodeControl(size=size, fps=fps)
        self._cadence = Cadence(fps)
        self._interval_s = 1 / fps
        self._later: asyncio.TimerHandle | None = None
        self.coded = Coded()
        self.encode_ms = Window(_RECENT)
        self.frame_bytes = Window(_RECENT)
        self.recent: deque[CodedFrame] = deque(maxlen=_RECENT_FRAMES)
        """The newest frames, the newest last."""
        self.last_qp = 0
        self.arithmetic: Arithmetic | None = None
        """Of the encoder; None until the encoder process has said it."""
        self._profile = profile
        self._slots = slots
        self._source_size = source_size
        self._size = size
        self._threads = threads
        self._on_ready = on_ready
        self._on_failure = on_failure
        self._loop = asyncio.get_running_loop()
        self._in_flight: tuple[CapturedFrame, EncodeOrder] | None = None
        self._barren_restarts = 0
        self._restart: asyncio.TimerHandle | None = None
        self._stopping = False
        self._worker = self._make_worker()

    @property
    def ready(self) -> bool:
        """The encoder is warm."""
        return self.arithmetic is not None

    @property
    def pid(self) -> int | None:
        """Of the encoder process."""
        return self._worker.pid

    @property
    def watching(self) -> list[ViewerSession]:
        """Sessions that want frames."""
        return [session for session in self.sessions if session.watching]

    def start(self) -> None:
        """Start the encoder process."""
        self._worker.start()

    async def stop(self) -> None:
        """End the encoder process."""
        self._stopping = True
        if self._restart is not None:
            self._restart.cancel()
        if self._later is not None:
            self._later.cancel()
        await self._worker.stop()
        self._release()

    def pump(self) -> None:
        """Give the encoder the newest picture, if it is free and the picture can be sent in time."""
        watching = self.watching
        if not watching or not self.ready or not self._worker.ready or self._worker.busy or self._in_flight is not None:
            return
        now = time.monotonic()
        decode_ms = [session.seen.stages_ms.get("decode", 0.0) for session in watching if session.seen is not None]
        wait_s = self._cadence.wait_s(now, decode_ms)
        if wait_s > 0:
            self._pump_later(wait_s)
            return
        frame = self._slots.take(self.index)
        if frame is None:
            return
        intervals = [session.intra_interval for session in watching if session.intra_interval is not None]
        order = self.control.decide(
            [session.sender for session in watching],
            frame_id=frame.frame_id,
            captured_us=frame.captured_us,
            now=now,
            standing=self.standing,
            intra_interval=min(intervals, default=None),
        )
        if order is None:
            self._slots.release(self.index)
            return
        if order.size != self._size:
            self._size = order.size
            for session in watching:
                session.sender.start_epoch()
        for session in watching:
            session.announce()
        self._in_flight = (frame, order)
        self._cadence.begin(now)
        self._submit(frame, order)

    def _pump_later(self, wait_s: float) -> None:
        """The next picture does it, or this, should none come."""
        if self._later is not None:
            self._later.cancel()
        self._later = self._loop.call_later(wait_s + self._interval_s, self.pump)

    def _submit(self, frame: CapturedFrame, order: EncodeOrder) -> None:
        job = EncodeJob(
            slot=frame.slot,
            frame_id=order.frame_id,
            reference_id=order.reference_id,
            inter_qp=order.inter_qp,
            intra_qp=order.intra_qp,
            pins=order.pins,
            size=order.size,
        )
        self._worker.submit(job)

    def _on_result(self, result: Result) -> None:
        if isinstance(result, Arithmetic):
            self.arithmetic = result
            self._on_ready()
            self.pump()
        else:
            self._on_coded(result)

    def _on_coded(self, result: EncodeResult) -> None:
        assert self._in_flight is not None
        frame, order = self._in_flight
        now = time.monotonic()
        packetised = packetise(
            result.data,
            result.slice_offsets,
            frame_id=result.frame_id,
            reference_id=result.reference_id,
            epoch=0,
            captured_us=frame.captured_us,
            wait_us=result.started_us - frame.captured_us,
            encode_us=result.done_us - result.started_us,
        )
        size = sum(map(len, packetised.packets))
        again = self.control.on_coded(order, size_bytes=size, qp=result.qp, reference_id=result.reference_id, now=now)
        self.encode_ms.add((result.done_us - result.started_us) / 1e3)
        if again is not None:
            self.coded.twice += 1
            self._in_flight = (frame, again)
            self._submit(frame, again)
            return
        self._cadence.done(now)
        self._release()
        self._barren_restarts = 0
        watching = self.watching
        self.control.deliver(packetised, [session.sender for session in watching], now)
        for session in watching:
            session.on_coded()
        self.coded.frames += 1
        self.coded.intra += result.reference_id is None
        self.coded.bytes += size
        self.last_qp = result.qp
        self.frame_bytes.add(size)
        wait_us, encode_us = result.started_us - frame.captured_us, result.done_us - result.started_us
        self.recent.append(CodedFrame(result.done_us, size, result.qp, result.reference_id is None, wait_us, encode_us))
        self.pump()

    def _release(self) -> None:
        if self._in_flight is not None:
            self._in_flight = None
            self._slots.release(self.index)

    # -- the encoder process

    def _make_worker(self) -> Worker:
        setup = EncoderSetup(
            profile=self._profile,
            fd=self._slots.buffer.fd,
            buffer_bytes=self._slots.buffer.size,
            slots=self._slots.count,
            width=self._source_size[0],
            height=self._source_size[1],
            threads=self._threads,
            max_slice_bytes=MAX_SLICE_BYTES,
            size=self._size,
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
        self._release()
        # The states died with the process, so the next frame is intra for everybody.
        self.control.on_encoder_lost()
        self.arithmetic = None
        self._on_ready()
        if self._worker.refused:
            self._on_failure(reason)
            return
        if self._barren_restarts >= len(RESTART_DELAYS_S):
            self._on_failure(f"the encoder keeps failing: {reason}")
            return
        delay_s = RESTART_DELAYS_S[self._barren_restarts]
        self._barren_restarts += 1
        log.error("rendition %d: %s It is started again in %.1f s.", self.index, reason, delay_s)
        self._restart = self._loop.call_later(delay_s, self._start_again)

    def _start_again(self) -> None:
        self._worker = self._make_worker()
        try:
            self._worker.start()
        except OSError as error:
            self._on_failure(f"the encoder cannot be started again ({error}); free some memory or processes.")
