"""One session at the viewer's end: packets in, pictures out, feedback back.

    media ──▶ arrivals, reassembly ──frames──▶ decode queue ──▶ decoder process ──▶ on_picture
                    │                                                │
    feedback ◀── arrival reports, pings                 frame acks ◀─┘

It lives from the offer to the close; a reconnect makes a new one around the same decoder process. A lost or damaged
frame is acknowledged as such and answered by the server with an intra frame; until that comes, frames that build on a
state which is not there are dropped.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from client.decoder_worker import (
    Configure,
    Configured,
    DecodeFailure,
    DecodeJob,
    DecodeResult,
    Result,
    picture_view,
)
from client.picture import Picture
from client.timeline import Timeline
from codec.arithmetic import Arithmetic
from codec.bitstream import VERSION as BITSTREAM_VERSION
from latentcast import __version__, control
from latentcast.control import Bye, Config, Error, Hello, Stats
from latentcast.shared_buffer import SharedBuffer
from latentcast.worker import Worker
from transport.acks import AckLog
from transport.arrivals import ArrivalRecorder
from transport.clock import ClockSync
from transport.reassembly import FrameReady, Reassembler
from transport.serial import serial_distance
from transport.webrtc import Peer
from transport.wire import WIRE_VERSION, FrameStatus, MediaPacket, parse_media, wire_version

log = logging.getLogger(__name__)

# Frames that wait for the decoder. Each builds on the one before, so none can be skipped; when the decoder is this far
# behind (a third of a second at 30 fps) all of them go and an intra frame starts afresh.
DECODE_QUEUE = 10
# Reports, pings and reassembly deadlines are multiples of tens of milliseconds.
TICK_S = 0.02
# The server sends something at least once a second (pong, statistics); this long without anything, it is gone.
SILENCE_TIMEOUT_S = 2.5
SETUP_TIMEOUT_S = 8.0
# Getting ready for a size codes pictures of it, or captures graphs: seconds for the paper's profile.
CONFIGURE_TIMEOUT_S = 120.0
# After `bye`: frames under way arrive, then the final statistics.
LEAVE_TIMEOUT_S = 0.8


@dataclass(slots=True)
class Counts:
    """What came in during one session."""

    packets: int = 0
    bytes: int = 0
    malformed: int = 0
    received: int = 0
    decoded: int = 0
    intra: int = 0
    damaged: int = 0
    lost: int = 0


class Receiver:
    """All methods belong to the event loop's thread.

    The worker's result callback must be pointed at `on_result`. on_picture(picture) for every decoded frame;
    on_config(config) when the stream's size is known; on_trouble(message) when frames arrive that cannot be decoded
    here; on_end(message, fatal) once, when the session ends by itself.
    """

    def __init__(
        self,
        worker: Worker,
        buffer: SharedBuffer,
        *,
        profile: str,
        weights_sha256: str,
        arithmetic: Arithmetic | None,
        ice_servers: Sequence[str],
        on_picture: Callable[[Picture], None],
        on_config: Callable[[Config], None],
        on_trouble: Callable[[str], None],
        on_end: Callable[[str, bool], None],
    ) -> None:
        self.counts = Counts()
        self.clock = ClockSync()
        self.config: Config | None = None
        self.stats: Stats | None = None
        """The newest from the server."""
        self._worker = worker
        self._buffer = buffer
        self._profile = profile
        self._weights_sha256 = weights_sha256
        self._arithmetic = arithmetic
        """Of the decoder; None until the decoder process has said it."""
        self._on_picture = on_picture
        self._on_config = on_config
        self._on_trouble = on_trouble
        self._on_end = on_end
        self._loop = asyncio.get_running_loop()
        self._peer = Peer(
            ice_servers=ice_servers,
            on_open=self._on_open,
            on_closed=lambda reason: self._end(f"the server is gone: {reason}"),
            on_control=self._on_control,
            on_media=self._on_media,
        )
        self._arrivals = ArrivalRecorder()
        self._reassembler = Reassembler()
        self._acks = AckLog()
        self._queue: deque[FrameReady] = deque()
        self._decoding: FrameReady | None = None
        self._open = self._greeted = False
        self._configured = False
        self._waiting_for_intra = True
        self._seq_first: int | None = None
        self._seq_span = 0
        self._created = self._heard = time.monotonic()
        self._ticker: asyncio.Task[None] | None = None
        self._final = asyncio.Event()
        self._drained = asyncio.Event()
        """Nothing waits for the decoder or is with it."""
        self._drained.set()
        self._ended = False

    async def offer(self) -> str:
        """The SDP offer to post."""
        return await self._peer.offer()

    async def accept(self, answer: str) -> None:
        """Take the server's answer and run. Raises ValueError when it is not one."""
        await self._peer.accept(answer)
        self._created = self._heard = time.monotonic()
        self._ticker = self._loop.create_task(self._tick(), name="receiver")

    async def leave(self) -> None:
        """Say goodbye and wait for the final statistics, for a moment."""
        if self.config is not None and not self._ended and self._peer.send_control(Bye().model_dump_json()):
            try:
                async with asyncio.timeout(LEAVE_TIMEOUT_S):
                    await self._final.wait()
                    await self._drained.wait()
            except TimeoutError:
                log.debug("no final statistics came")

    async def close(self) -> None:
        """End the session. Safe to call twice."""
        self._ended = True
        if self._ticker is not None:
            self._ticker.cancel()
            await asyncio.wait([self._ticker])
            self._ticker = None
        self._queue.clear()
        await self._peer.close()

    @property
    def loss(self) -> float:
        """Share of media packets that did not come in, over the session, 0..1."""
        return max(0.0, 1 - self.counts.packets / self._seq_span) if self._seq_span else 0.0

    @property
    def packets_expected(self) -> int:
        """Media packets sent to us so far, as far as the newest one tells."""
        return self._seq_span

    @property
    def waiting_for_intra(self) -> bool:
        """Nothing can be decoded until an intra frame comes."""
        return self._waiting_for_intra

    # -- from the server

    def _on_open(self) -> None:
        self._open = True
        self._greet()

    def _greet(self) -> None:
        """Ask for the stream, once both the channels and the decoder are there: frames sent earlier would be lost."""
        if not self._open or self._greeted or self._arithmetic is None:
            return
        self._greeted = True
        hello = Hello(
            protocol=control.PROTOCOL_VERSION,
            wire=WIRE_VERSION,
            bitstream=BITSTREAM_VERSION,
            profile=self._profile,
            weights=self._weights_sha256,
            fingerprint=self._arithmetic.fingerprint,
            precision=self._arithmetic.precision,
            program=f"latentcast {__version__}",
        )
        self._peer.send_control(hello.model_dump_json())

    def _on_control(self, text: str) -> None:
        self._heard = time.monotonic()
        message = control.parse_server_message(text)
        if message is None:
            self.counts.malformed += 1
        elif isinstance(message, Config):
            self.config = message
            self._configured = False
            self._waiting_for_intra = True
            self._queue.clear()
            self._on_config(message)
            self._feed()
        elif isinstance(message, Stats):
            self.stats = message
            if message.final:
                self._final.set()
        elif isinstance(message, Error):
            self._end(message.message, fatal=message.code in ("version", "weights", "profile", "arithmetic"))

    def _on_media(self, data: bytes) -> None:
        now = time.monotonic()
        now_us = time.monotonic_ns() // 1000
        self._heard = now
        message = parse_media(data)
        if message is None:
            self.counts.malformed += 1
            if wire_version(data) != WIRE_VERSION and self.counts.malformed == 1:
                log.warning("media of wire version %s came in, ours is %d", wire_version(data), WIRE_VERSION)
        elif isinstance(message, MediaPacket):
            self.counts.packets += 1
            self.counts.bytes += len(data)
            self._count_seq(message.seq)
            self._arrivals.on_packet(message.seq, now_us)
            self._reassembler.on_packet(message, now=now)
            self._poll(now)
        else:
            self.clock.on_pong(message, now_us)

    def _count_seq(self, seq: int) -> None:
        if self._seq_first is None:
            self._seq_first = seq
        self._seq_span = max(self._seq_span, serial_distance(self._seq_first, seq) + 1)

    # -- frames

    def _poll(self, now: float) -> None:
        for event in self._reassembler.poll(now=now):
            if isinstance(event, FrameReady):
                self.counts.received += 1
                self._enqueue(event)
            else:
                log.debug("frame %d lost: %s", event.frame_id, event.reason)
                self._lose(event.frame_id)

    def _enqueue(self, frame: FrameReady) -> None:
        if self.config is None or frame.epoch != self.config.epoch:
            self._lose(frame.frame_id)
            return
        if frame.reference_id is None:
            # Whatever still waits is history: the intra frame needs none of it.
            self._drop_queue()
        elif self._waiting_for_intra and not self._queue and self._decoding is None:
            self._lose(frame.frame_id)
            return
        if len(self._queue) >= DECODE_QUEUE:
            log.info("the decoder is %d frames behind: starting again from an intra frame", len(self._queue))
            self._drop_queue()
            self._waiting_for_intra = True
            self._lose(frame.frame_id)
            return
        self._queue.append(frame)
        self._drained.clear()
        self._feed()

    def _drop_queue(self) -> None:
        while self._queue:
            self._lose(self._queue.popleft().frame_id)

    def _feed(self) -> None:
        """Give the decoder its next job, if it is idle."""
        worker = self._worker
        if not worker.ready or worker.busy or self._ended or self.config is None:
            return
        if not self._configured:
            self._configured = True
            configure = Configure(self.config.width, self.config.height, self.config.skip_threshold)
            worker.submit(configure, timeout_s=CONFIGURE_TIMEOUT_S)
        elif self._queue:
            frame = self._decoding = self._queue.popleft()
            worker.submit(DecodeJob(frame.frame_id, frame.reference_id, frame.data, frame.holes))

    def on_decoder(self, arithmetic: Arithmetic) -> None:
        """The decoder process is (again) there: it knows neither the size nor any state."""
        self._arithmetic = arithmetic
        self._configured = False
        self._decoding = None
        self._drop_queue()
        self._waiting_for_intra = True
        self._greet()
        self._feed()

    def on_result(self, result: Result) -> None:
        """What the decoder process made of its job."""
        frame, self._decoding = self._decoding, None
        if not self._ended and frame is not None and not isinstance(result, Configured | Arithmetic):
            if isinstance(result, DecodeFailure):
                log.debug("frame %d cannot be decoded: %s", result.frame_id, result.reason)
                if result.mismatch:
                    self._on_trouble(result.reason)
                self._waiting_for_intra = True
                self._lose(result.frame_id)
            else:
                self._finish(frame, result)
        self._feed()
        if not self._queue and self._decoding is None:
            self._drained.set()

    def _finish(self, frame: FrameReady, result: DecodeResult) -> None:
        assert self.config is not None
        self.counts.decoded += 1
        self.counts.intra += result.intra
        self.counts.damaged += result.slices_missing > 0
        self._waiting_for_intra = False
        encode_started_us = frame.captured_us + frame.wait_us
        timeline = Timeline(
            captured_us=frame.captured_us,
            encode_started_us=encode_started_us,
            encoded_us=encode_started_us + frame.encode_us,
            sent_us=frame.sent_us,
            received_us=round(frame.received * 1e6),
            decode_started_us=result.started_us,
            decoded_us=result.done_us,
        )
        # The next job overwrites the shared picture.
        planes = np.copy(picture_view(self._buffer, width=self.config.width, height=self.config.height))
        self._ack(frame.frame_id, FrameStatus.INTACT if result.intact else FrameStatus.CONCEALED)
        self._on_picture(Picture(frame.frame_id, planes, timeline, result.qp, result.intra))

    def _lose(self, frame_id: int) -> None:
        self.counts.lost += 1
        self._ack(frame_id, FrameStatus.LOST)

    def _ack(self, frame_id: int, status: FrameStatus) -> None:
        self._acks.add(frame_id, status)
        if not self._ended:
            self._peer.send_feedback(self._acks.message(self._waiting_for_intra).to_bytes())

    # -- time

    async def _tick(self) -> None:
        next_reminder = 0.0
        while not self._ended:
            now = time.monotonic()
            deadline = self._reassembler.next_deadline()
            if deadline is not None and now >= deadline:
                self._poll(now)
            report = self._arrivals.poll(now)
            if report is not None:
                self._peer.send_feedback(report.to_bytes())
            if self._open and now >= self.clock.next_ping_time:
                self._peer.send_feedback(self.clock.ping(time.monotonic_ns() // 1000).to_bytes())
            if self.config is not None and self._waiting_for_intra and now >= next_reminder:
                # Acks may be lost; this one says again that nothing can be decoded.
                next_reminder = now + 0.3
                self._peer.send_feedback(self._acks.message(True).to_bytes())
            if self._arithmetic is None:
                self._heard = now
            elif self.config is None and now - max(self._created, self._heard) > SETUP_TIMEOUT_S:
                self._end(f"no connection came up within {SETUP_TIMEOUT_S:.0f} s")
            elif self.config is not None and now - self._heard > SILENCE_TIMEOUT_S:
                self._end(f"the server is gone: nothing was heard from it for {SILENCE_TIMEOUT_S:g} s")
            await asyncio.sleep(TICK_S)

    def _end(self, message: str, *, fatal: bool = False) -> None:
        if not self._ended:
            self._ended = True
            self._on_end(message, fatal)
