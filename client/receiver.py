"""One session at the viewer's end: packets in, pictures out, feedback back.

    media ──▶ transport.receiver ──frames──▶ decode queue ──▶ decoder process ──▶ on_picture
                    │                                                │
    feedback ◀── reports, NACKs, pings                  frame acks ◀─┘

It lives from the offer to the close; a reconnect makes a new one around the same decoder process. A lost or damaged
frame is acknowledged as such; the server then codes from a state that is here.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from client.audio import AudioPlayer
from client.decode_queue import DecodeQueue
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
from latentcast.control import (
    AudioClock,
    Bye,
    ClientMessage,
    Clipboard,
    Config,
    Cursor,
    Error,
    Hello,
    Notice,
    SourceState,
    Stats,
)
from latentcast.shared_buffer import SharedBuffer
from latentcast.worker import Worker
from transport.reassembly import FrameReady
from transport.receiver import MediaReceiver
from transport.webrtc import Peer
from transport.wire import WIRE_VERSION, FrameStatus, wire_version

log = logging.getLogger(__name__)

# How often silence and set-up are looked at.
TICK_S = 0.1
# The finest timer that the transport gets: reports and reassembly deadlines are tens of milliseconds apart.
MIN_TIMER_S = 0.001
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
    recovered: int = 0
    """Packets rebuilt from parity."""
    resent: int = 0
    """Packets that came because they were asked for again."""
    received: int = 0
    decoded: int = 0
    intra: int = 0
    damaged: int = 0
    intact: int = 0
    lost: int = 0


class Receiver:
    """All methods belong to the event loop's thread.

    The worker's result callback must be pointed at `on_result`. audio: what plays the sound of this session; without,
    none is asked for. on_picture(picture) for every decoded frame;
    on_config(config) when the stream's size is known; on_source(state) when the server says what the source is doing;
    on_message(message) for whatever else it says; on_trouble(message) when frames arrive that cannot be decoded
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
        audio: AudioPlayer | None = None,
        on_picture: Callable[[Picture], None],
        on_config: Callable[[Config], None],
        on_source: Callable[[SourceState], None] = lambda _: None,
        on_message: Callable[[Cursor | Clipboard | Notice], None] = lambda _: None,
        on_trouble: Callable[[str], None],
        on_end: Callable[[str, bool], None],
    ) -> None:
        self.counts = Counts()
        self.transport = MediaReceiver()
        self.clock = self.transport.clock
        self.config: Config | None = None
        self.stats: Stats | None = None
        """The newest from the server."""
        self._worker = worker
        self._buffer = buffer
        self._profile = profile
        self._weights_sha256 = weights_sha256
        self._arithmetic = arithmetic
        """Of the decoder; None until the decoder process has said it."""
        self._audio = audio
        if audio is not None:
            audio.begin(self.clock)
        self._on_picture = on_picture
        self._on_config = on_config
        self._on_source = on_source
        self._on_message = on_message
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
        self._queue = DecodeQueue()
        self._decoding: FrameReady | None = None
        self._open = self._greeted = False
        self._configured = False
        self._created = self._heard = time.monotonic()
        self._ticker: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._final = asyncio.Event()
        self._drained = asyncio.Event()
        """Nothing waits for the decoder or is with it."""
        self._drained.set()
        self._ended = False

    async def offer(self) -> str:
        """The SDP offer to post."""
        return await self._peer.offer(on_audio=None if self._audio is None else self._audio.on_packet)

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
        if self._timer is not None:
            self._timer.cancel()
        self._queue.clear()
        if self._audio is not None:
            self._audio.end()
        await self._peer.close()

    @property
    def control_backlog(self) -> int:
        """Bytes of control messages that wait to be sent."""
        return self._peer.control_backlog

    def send(self, message: ClientMessage) -> bool:
        """Put a message on the control channel, once the session is up. False when it could not be taken."""
        return self.config is not None and not self._ended and self._peer.send_control(message.model_dump_json())

    @property
    def loss(self) -> float:
        """Share of media packets that did not come in, over the session, 0..1."""
        return self.transport.loss

    @property
    def packets_expected(self) -> int:
        """Media packets sent to us so far, as far as the newest one tells."""
        return self.transport.packets_expected

    @property
    def waiting_for_intra(self) -> bool:
        """Nothing can be decoded until an intra frame comes."""
        return self._queue.waiting_for_intra

    # -- from the server

    def _on_open(self) -> None:
        self._open = True
        self._greet()
        self._poll()

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
            audio=self._audio is not None,
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
            self._lose(self._queue.on_config(message.epoch))
            self._on_config(message)
            self._feed()
        elif isinstance(message, Stats):
            self.stats = message
            if message.final:
                self._final.set()
        elif isinstance(message, SourceState):
            self._on_source(message)
        elif isinstance(message, Error):
            self._end(message.message, fatal=message.code in ("version", "weights", "profile", "arithmetic"))
        elif isinstance(message, AudioClock):
            if self._audio is not None:
                self._audio.on_clock(message.rtp, message.captured_us)
        else:
            self._on_message(message)

    def _on_media(self, data: bytes) -> None:
        now = time.monotonic()
        self._heard = now
        counts, transport = self.counts, self.transport
        if not transport.on_media(data, now, time.monotonic_ns() // 1000):
            counts.malformed += 1
            if wire_version(data) != WIRE_VERSION and counts.malformed == 1:
                log.warning("media of wire version %s came in, ours is %d", wire_version(data), WIRE_VERSION)
            return
        counts.packets, counts.bytes, counts.resent = transport.packets, transport.bytes, transport.resent
        self._poll()

    # -- frames

    def _poll(self) -> None:
        """Take what the transport has ready, send what it has to say, and come back when it wants to."""
        now = time.monotonic()
        for event in self.transport.poll(now):
            if isinstance(event, FrameReady):
                self.counts.received += 1
                self.counts.recovered += event.recovered
                self._lose(self._queue.push(event))
                self._drained.clear()
            else:
                log.debug("frame %d lost: %s", event.frame_id, event.reason)
                self.counts.lost += 1
        self._feed()
        self._say()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._open and not self._ended:
            wait_s = self.transport.next_time(now) - time.monotonic()
            self._timer = self._loop.call_later(max(MIN_TIMER_S, wait_s), self._poll)

    def _say(self) -> None:
        """Send the feedback that is due."""
        self.transport.waiting_for_intra = self._queue.waiting_for_intra
        if self._open and not self._ended:
            for message in self.transport.feedback(time.monotonic(), time.monotonic_ns() // 1000):
                self._peer.send_feedback(message)

    def _lose(self, frame_ids: Sequence[int]) -> None:
        for frame_id in frame_ids:
            self.counts.lost += 1
            self.transport.on_lost(frame_id)

    def _feed(self) -> None:
        """Give the decoder its next job, if it is idle."""
        worker = self._worker
        if not worker.ready or worker.busy or self._ended or self.config is None:
            return
        if not self._configured:
            self._configured = True
            configure = Configure(self.config.width, self.config.height, self.config.skip_threshold)
            worker.submit(configure, timeout_s=CONFIGURE_TIMEOUT_S)
            return
        frame, lost = self._queue.pop()
        self._lose(lost)
        if frame is not None:
            self._decoding = frame
            self._drained.clear()
            worker.submit(DecodeJob(frame.frame_id, frame.reference_id, frame.data, frame.holes))

    def on_decoder(self, arithmetic: Arithmetic) -> None:
        """The decoder process is (again) there: it knows neither the size nor any state."""
        self._arithmetic = arithmetic
        self._configured = False
        self._decoding = None
        self._lose(self._queue.on_decoder_lost())
        self._greet()
        self._feed()

    def on_result(self, result: Result) -> None:
        """What the decoder process made of its job."""
        frame, self._decoding = self._decoding, None
        if not self._ended and frame is not None and not isinstance(result, Configured | Arithmetic):
            if self.config is None or frame.epoch != self.config.epoch:
                # The stream's config changed meanwhile, and with it the size of the shared picture.
                self._lose([frame.frame_id])
            elif isinstance(result, DecodeFailure):
                log.debug("frame %d cannot be decoded: %s", result.frame_id, result.reason)
                if result.mismatch:
                    self._on_trouble(result.reason)
                if result.no_state:
                    self._queue.on_failed()
                self._lose([result.frame_id])
            else:
                self._finish(frame, result, self.config)
        self._feed()
        self._say()
        if not self._queue and self._decoding is None:
            self._drained.set()

    def _finish(self, frame: FrameReady, result: DecodeResult, config: Config) -> None:
        self.counts.decoded += 1
        self.counts.intra += result.intra
        self.counts.damaged += bool(result.missing_slices)
        self.counts.intact += result.intact
        self._queue.on_decoded()
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
        planes = np.copy(picture_view(self._buffer, width=config.width, height=config.height))
        status = FrameStatus.INTACT if result.intact else FrameStatus.CONCEALED
        self.transport.on_decoded(frame.frame_id, status, result.missing_slices)
        self._on_picture(Picture(frame.frame_id, planes, timeline, result.qp, result.intra))

    # -- time

    async def _tick(self) -> None:
        while not self._ended:
            now = time.monotonic()
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
