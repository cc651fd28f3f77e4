"""One viewer: its connection and counts; `transport.sender` decides what its packets are.

    created -> answering -> open (channels up) -> live (hello accepted) -> leaving (bye) -> closed

A session owns its timers and closes itself: when set-up takes too long, when feedback stops, when the connection fails.
"""

import asyncio
import logging
import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from codec.arithmetic import Arithmetic, intra_interval
from codec.bitstream import VERSION as BITSTREAM_VERSION
from latentcast import control
from latentcast.control import (
    Bye,
    Config,
    Error,
    Hello,
    Input,
    RemoteMessage,
    ServerMessage,
    SourceState,
    Stats,
    Viewer,
)
from latentcast.control import Clipboard as ClipboardMessage
from latentcast.report import Percentiles
from server.audio_broadcast import AUDIO_BPS, AudioBroadcast, AudioListener
from transport.sender import MediaSender
from transport.serial import serial_distance
from transport.webrtc import Peer
from transport.wire import WIRE_VERSION, wire_version

log = logging.getLogger(__name__)

# Without a hello and without a ping: ICE and DTLS take a second on a bad path. A viewer pings while its decoder loads.
SETUP_TIMEOUT_S = 10.0
# A live viewer reports every 40 ms and pings every second; this long without anything, it is gone.
SILENCE_TIMEOUT_S = 5.0
# After `bye` the client closes; if it does not, we do.
LEAVE_TIMEOUT_S = 3.0
TICK_S = 0.05
STATS_INTERVAL_S = 1.0
# Feedback older than this nearly closes the SCTP window (transport.webrtc).
FEEDBACK_ALIVE_S = 0.3


@dataclass(frozen=True, slots=True)
class StreamVitals:
    """What a session reports about the stream it belongs to."""

    captured: int
    """Pictures so far."""
    newest_captured_id: int
    loop_lag_ms: Percentiles
    memory_mb: float


class ViewerSession:
    """All methods belong to the event loop's thread.

    sender: this viewer's transport. arithmetic: the encoder's; exact: only a viewer that computes the same can decode
    (codec.arithmetic). may_drive: its token allows remote input. audio: the stream's sound, if it has any.
    config(session) gives the stream config as the viewer gets it now, source(session) what the source is doing,
    vitals(session) the counts of what it watches; on_live(session) is called when it has been accepted;
    on_remote(session, message) for what it does to the desktop that it watches, whether it may or not;
    on_closed(session) once.
    """

    def __init__(
        self,
        *,
        sender: MediaSender,
        ice_servers: Sequence[str],
        arithmetic: Arithmetic,
        exact: bool,
        may_drive: bool = False,
        audio: AudioBroadcast | None = None,
        config: Callable[["ViewerSession"], Config],
        source: Callable[["ViewerSession"], SourceState],
        vitals: Callable[["ViewerSession"], StreamVitals],
        on_live: Callable[["ViewerSession"], None],
        on_remote: Callable[["ViewerSession", RemoteMessage], None] = lambda _, __: None,
        on_closed: Callable[["ViewerSession"], None],
    ) -> None:
        self.id = secrets.token_urlsafe(16)
        self.live = False
        self.sender = sender
        self.rendition = 0
        """Index of the encode that it watches."""
        self.intra_interval: int | None = None
        """Frames from one intra frame to the next, where the viewer's states slowly come apart from the encoder's."""
        self.may_drive = may_drive
        self.address: str | None = None
        """Where its request for the stream came from, as far as known."""
        self.program = ""
        """Name and version that the viewer gave."""
        self.seen: Viewer | None = None
        """What it said last about what it sees."""
        self.since = time.monotonic()
        self._arithmetic, self._exact = arithmetic, exact
        self._config = config
        self._source = source
        self._on_remote = on_remote
        self._vitals = vitals
        self._on_live = on_live
        self._on_closed = on_closed
        self._loop = asyncio.get_running_loop()
        self._peer = Peer(
            ice_servers=ice_servers,
            on_open=self._on_open,
            on_closed=self._close_soon,
            on_control=self._on_control,
            on_feedback=self._on_feedback,
        )
        self._audio = audio
        self._listener = AudioListener(
            send=self._peer.send_audio, rtp_of=self._peer.audio_rtp, announce=lambda clock: self.send(clock)
        )
        self._max_bps = 0.0
        self._created = self._heard = time.monotonic()
        self._unparsed = 0
        self._left: float | None = None
        self._announced_epoch: int | None = None
        self._captured_before: int | None = None
        """Pictures captured before the first one that was sent to this viewer; None until then."""
        self._encoded = 0
        self._started = 0.0
        self._ended: tuple[int, float] | None = None
        self._target_area = 0.0
        self._target_seconds = 0.0
        self._pace_timer: asyncio.TimerHandle | None = None
        self._ticker: asyncio.Task[None] | None = None
        self._closing: asyncio.Task[None] | None = None

    async def answer(self, offer: str) -> str:
        """The SDP answer to a viewer's offer. Raises ValueError for an offer that cannot be used."""
        answer = await self._peer.answer(offer, audio=self._audio is not None)
        if self._closing is not None:
            raise ValueError("the session was closed while the offer was answered")
        self.limit(self._max_bps)
        self._ticker = self._loop.create_task(self._tick(), name=f"session {self.id[:6]}")
        return answer

    def limit(self, max_bps: float) -> None:
        """Upper limit of the rate to this viewer, bit/s. Sound comes out of it, and never takes more than half."""
        self._max_bps = max_bps
        if max_bps:
            sound_bps = min(AUDIO_BPS, max_bps / 2) if self._peer.sends_audio else 0
            self.sender.estimator.limit(max_bps - sound_bps)

    @property
    def malformed(self) -> int:
        """Messages that did not parse, or that nobody expected, on any channel."""
        return self._unparsed + self._peer.unexpected

    @property
    def watching(self) -> bool:
        """Live, and not about to leave."""
        return self.live and self._left is None

    @property
    def silent_s(self) -> float:
        """How long nothing was heard from the viewer."""
        return time.monotonic() - self._heard

    @property
    def control_backlog(self) -> int:
        """Bytes of control messages that wait to be sent."""
        return self._peer.control_backlog

    @property
    def target_bps(self) -> float:
        """What the path to the viewer can take, bit/s."""
        return self.sender.target_bps

    def announce(self) -> None:
        """Tell the viewer the stream config that its next frames belong to, if it is a new one."""
        if self.live and self._announced_epoch != self.sender.epoch:
            self._announced_epoch = self.sender.epoch
            self.send(self._config(self))

    def announce_source(self) -> None:
        """Tell the viewer what the source is doing now."""
        if self.live:
            self.send(self._source(self))

    def send(self, message: ServerMessage) -> bool:
        """Put a message on the control channel. False when it could not be taken."""
        return self._peer.send_control(message.model_dump_json())

    def on_coded(self) -> None:
        """The encode that it watches has delivered a frame; send what is due of it."""
        if self._captured_before is None and self.sender.newest_offered is not None:
            vitals = self._vitals(self)
            behind = serial_distance(self.sender.newest_offered, vitals.newest_captured_id)
            self._captured_before = vitals.captured - 1 - behind
            self._started = time.monotonic()
        self._encoded += self._captured_before is not None
        self._flush()

    async def close(self) -> None:
        """End the session. Safe to call at any time; the first call does it, later ones wait for it."""
        if self._closing is None:
            self._closing = self._loop.create_task(self._close(), name=f"close {self.id[:6]}")
        await asyncio.shield(self._closing)

    def refuse(self, code: str, message: str) -> None:
        """Tell the viewer why, then close."""
        self.send(Error.model_validate({"code": code, "message": message[: control.MAX_ERROR_CHARACTERS]}))
        # The message needs a moment on the wire.
        self._leave()

    def _close_soon(self, reason: str) -> None:
        log.info("session %s: %s", self.id[:6], reason)
        if self._closing is None:
            self._closing = self._loop.create_task(self._close(), name=f"close {self.id[:6]}")

    async def _close(self) -> None:
        self.live = False
        if self._pace_timer is not None:
            self._pace_timer.cancel()
            self._pace_timer = None
        if self._ticker is not None:
            self._ticker.cancel()
            await asyncio.wait([self._ticker])
        if self._audio is not None:
            self._audio.remove(self._listener)
        self._on_closed(self)
        await self._peer.close()

    # -- from the viewer

    def _on_open(self) -> None:
        log.debug("session %s: channels open", self.id[:6])

    def _on_control(self, text: str) -> None:
        message = control.parse_client_message(text)
        if message is None:
            self._unparsed += 1
        elif isinstance(message, Bye):
            self._leave()
        elif isinstance(message, Hello):
            if not self.live and self._left is None:
                self._on_hello(message)
        elif not self.live:
            # Nothing but a hello is expected of somebody who is not a viewer yet, or any more.
            self._unparsed += 1
        elif isinstance(message, Viewer):
            self.seen = message
        elif isinstance(message, Input | ClipboardMessage):
            self._on_remote(self, message)

    def _on_hello(self, hello: Hello) -> None:
        config = self._config(self)
        ours = (control.PROTOCOL_VERSION, WIRE_VERSION, BITSTREAM_VERSION)
        theirs = (hello.protocol, hello.wire, hello.bitstream)
        theirs_computes = Arithmetic(hello.fingerprint, hello.precision)
        if theirs != ours:
            self.refuse(
                "version",
                f"the viewer ({hello.program}) speaks protocol {theirs[0]}, wire {theirs[1]}, bitstream {theirs[2]}; "
                f"this server speaks {ours[0]}, {ours[1]}, {ours[2]}: install the same version of latentcast at both "
                "ends.",
            )
        elif hello.profile != config.profile:
            self.refuse(
                "profile",
                f"the viewer decodes profile {hello.profile!r}, the stream is {config.profile!r}: start the viewer "
                f"with --profile {config.profile}.",
            )
        elif hello.weights != config.weights:
            self.refuse(
                "weights",
                f"the viewer has weights {hello.weights[:12]}, the server codes with {config.weights[:12]}: install "
                f"the same version of latentcast at both ends, or give both the same files.",
            )
        elif self._exact and theirs_computes != self._arithmetic:
            self.refuse(
                "arithmetic",
                f"the viewer computes otherwise ({hello.precision}, {hello.fingerprint[:8]}) than the server's encoder "
                f"({self._arithmetic.precision}, {self._arithmetic.fingerprint[:8]}), so it could not decode "
                f"{config.profile}: use the same kind of device, version of torch and number of threads at both ends, "
                f"or --profile nano.",
            )
        else:
            log.info("session %s: viewer %s is live", self.id[:6], hello.program)
            self.live = True
            self.program = hello.program
            self.announce()
            self.announce_source()
            self.intra_interval = intra_interval(self._arithmetic, theirs_computes)
            if self.intra_interval is not None:
                log.info(
                    "session %s: it computes otherwise: every %dth frame is intra", self.id[:6], self.intra_interval
                )
            if self._audio is not None and hello.audio and self._peer.sends_audio:
                self._audio.add(self._listener)
            self._heard = time.monotonic()
            self._on_live(self)

    def _on_feedback(self, data: bytes) -> None:
        now = time.monotonic()
        if not self.sender.on_feedback(data, now, time.monotonic_ns() // 1000):
            self._unparsed += 1
            version = wire_version(data)
            if version != WIRE_VERSION and self._unparsed == 1:
                log.warning("session %s: feedback of wire version %s, ours is %d", self.id[:6], version, WIRE_VERSION)
            return
        self._heard = now
        self._update_window(now)
        self._flush()

    # -- to the viewer

    def _flush(self) -> None:
        """Send what is due and set the timer for the rest."""
        if self._pace_timer is not None:
            self._pace_timer.cancel()
            self._pace_timer = None
        for data in self.sender.poll(time.monotonic(), time.monotonic_ns() // 1000):
            # What SCTP does not take (its window is nearly closed while feedback is missing) is lost like any other
            # packet, and repaired like one.
            self._peer.send_media(data)
        due = self.sender.next_time()
        if due is not None and self._closing is None:
            self._pace_timer = self._loop.call_later(max(0.0, due - time.monotonic()), self._flush)

    async def _tick(self) -> None:
        """Time-outs, feedback silence and statistics."""
        next_stats = time.monotonic() + STATS_INTERVAL_S
        last = time.monotonic()
        while True:
            await asyncio.sleep(TICK_S)
            now = time.monotonic()
            self.sender.on_tick(now)
            self._flush()
            self._update_window(now)
            if self._captured_before is not None and self._ended is None:
                self._target_area += self.sender.target_bps * (now - last)
                self._target_seconds += now - last
            last = now
            if not self.live and self._left is None and now - max(self._created, self._heard) > SETUP_TIMEOUT_S:
                self._close_soon("no hello came in time")
            elif self._left is not None and now - self._left > LEAVE_TIMEOUT_S:
                self._close_soon("the viewer left")
            elif self.live and now - self._heard > SILENCE_TIMEOUT_S:
                self._close_soon(f"nothing was heard from the viewer for {SILENCE_TIMEOUT_S:.0f} s")
            elif self.live and now >= next_stats:
                next_stats = now + STATS_INTERVAL_S
                self.send(self._stats(final=False))

    def _update_window(self, now: float) -> None:
        self._peer.set_window(target_bps=self.sender.target_bps, feedback_alive=now - self._heard < FEEDBACK_ALIVE_S)

    def _leave(self) -> None:
        """Send nothing new; when the queue is empty, the final statistics."""
        if self._left is not None:
            return
        self._left = time.monotonic()
        self._ended = (self._vitals(self).captured, self._left)
        self._loop.call_later(self.sender.pacer.backlog_s(self._left) + 0.005, self._send_final)

    def _send_final(self) -> None:
        if self.live:
            self.send(self._stats(final=True))
            self.live = False

    def _stats(self, *, final: bool) -> Stats:
        vitals = self._vitals(self)
        captured, now = self._ended or (vitals.captured, time.monotonic())
        sent = self.sender.statistics()
        measured = sent.bandwidth
        started = self._captured_before is not None
        return Stats(
            final=final,
            captured=captured - self._captured_before if self._captured_before is not None else 0,
            encoded=self._encoded,
            sent=sent.frames,
            packets=sent.packets,
            bytes=sent.bytes,
            parity=sent.parity,
            resent=sent.resent,
            probes=sent.probes,
            rendition=self.rendition,
            seconds=now - self._started if started else 0.0,
            target_bps=measured.target_bps,
            target_mean_bps=self._target_area / self._target_seconds if self._target_seconds else measured.target_bps,
            loss=measured.loss,
            queue_delay_ms=measured.queue_delay_ms,
            loop_lag_ms=vitals.loop_lag_ms,
            memory_mb=vitals.memory_mb,
        )
