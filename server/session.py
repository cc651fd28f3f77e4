"""One viewer: its connection, pacer, bandwidth estimate and counts.

    created -> answering -> open (channels up) -> live (hello accepted) -> leaving (bye) -> closed

A session owns its timers and closes itself: when set-up takes too long, when feedback stops, when the connection fails.
"""

import asyncio
import logging
import secrets
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from codec.arithmetic import Arithmetic, intra_interval
from codec.bitstream import VERSION as BITSTREAM_VERSION
from latentcast import control
from latentcast.control import Bye, Config, Error, Hello, Stats
from latentcast.report import Percentiles
from transport.bandwidth.estimator import BandwidthEstimator
from transport.pacer import Pacer
from transport.serial import serial_distance
from transport.webrtc import Peer
from transport.wire import (
    WIRE_VERSION,
    ArrivalReport,
    FrameAcks,
    FrameStatus,
    Ping,
    Pong,
    ends_frame,
    parse_feedback,
    stamp,
    wire_version,
)

log = logging.getLogger(__name__)

# Without a hello and without a ping: ICE and DTLS take a second on a bad path. A viewer pings while its decoder loads.
SETUP_TIMEOUT_S = 10.0
# A live viewer reports every 40 ms and pings every second; this long without anything, it is gone.
SILENCE_TIMEOUT_S = 5.0
# After `bye` the client closes; if it does not, we do.
LEAVE_TIMEOUT_S = 3.0
TICK_S = 0.05
STATS_INTERVAL_S = 1.0
# Share of a frame interval over which its packets are spread (docs/architecture.md: half of it).
SPREAD = 0.5
# An intra frame answers everything that was lost before it. It takes a round trip, the time of an ack and this much for
# its larger size until the viewer can say that it arrived; only then does a complaint mean that it did not.
INTRA_GRACE_S = 0.25
# Silent for this long, a viewer no longer has a say in the rate of the others.
RESPONSIVE_S = 0.5
# More than this ahead of its target rate (an intra frame is 0.2 s at 30 fps), a viewer gets no frame until that is paid
# back.
MAX_AHEAD_S = 0.3
# From the pacer to the ack: a round trip, the decoder, and this much of waiting. A viewer that takes longer does not
# keep up, and more frames would only lengthen its queue.
MAX_ACK_DELAY_S = 0.1
_MAX_UNACKED = 64
# Feedback older than this nearly closes the SCTP window (transport.webrtc).
FEEDBACK_ALIVE_S = 0.3


@dataclass(frozen=True, slots=True)
class PacketisedFrame:
    """A coded frame cut into packets, before any session has stamped them."""

    frame_id: int
    reference_id: int | None
    packets: list[bytearray]


@dataclass(frozen=True, slots=True)
class StreamVitals:
    """What a session reports about the stream it belongs to."""

    captured: int
    """Pictures so far."""
    newest_captured_id: int
    encoded: int
    loop_lag_ms: Percentiles
    memory_mb: float


class ViewerSession:
    """All methods belong to the event loop's thread.

    arithmetic: the encoder's; exact: only a viewer that computes the same can decode (codec.arithmetic). config() gives
    the stream config for a new viewer; vitals() the stream's counts; on_wants_intra() asks the stream for an intra
    frame; on_closed(session) is called once.
    """

    def __init__(
        self,
        *,
        estimator: BandwidthEstimator,
        frame_interval_s: float,
        ice_servers: Sequence[str],
        arithmetic: Arithmetic,
        exact: bool,
        config: Callable[[], Config],
        vitals: Callable[[], StreamVitals],
        on_wants_intra: Callable[[], None],
        on_closed: Callable[["ViewerSession"], None],
    ) -> None:
        self.id = secrets.token_urlsafe(16)
        self.live = False
        self.intra_interval: int | None = None
        """Frames from one intra frame to the next, where the viewer's states slowly come apart from the encoder's."""
        self.estimator = estimator
        self.pacer = Pacer()
        self._unparsed = 0
        self.bytes_sent = 0
        self.packets_sent = 0
        self.frames_sent = 0
        self._frame_interval_s = frame_interval_s
        self._arithmetic, self._exact = arithmetic, exact
        self._config = config
        self._vitals = vitals
        self._on_wants_intra = on_wants_intra
        self._on_closed = on_closed
        self._loop = asyncio.get_running_loop()
        self._peer = Peer(
            ice_servers=ice_servers,
            on_open=self._on_open,
            on_closed=self._close_soon,
            on_control=self._on_control,
            on_feedback=self._on_feedback,
        )
        self._created = self._heard = time.monotonic()
        self._left: float | None = None
        self._seq = 0
        self._needs_intra = True
        self._last_intra_id: int | None = None
        self._intra_offered = 0.0
        self._ahead_bytes = 0.0
        """Given to the pacer beyond what the target rate allowed so far."""
        self._ahead_at = self._created
        self._captured_before: int | None = None
        """Pictures captured before the first one that was sent to this viewer; None until then."""
        self._encoded_before = 0
        self._started = 0.0
        self._ended: tuple[int, int, float] | None = None
        self._unacked: deque[tuple[int, float]] = deque(maxlen=_MAX_UNACKED)
        """(frame id, when it was given to the pacer), oldest first."""
        self._target_area = 0.0
        self._target_seconds = 0.0
        self._pace_timer: asyncio.TimerHandle | None = None
        self._ticker: asyncio.Task[None] | None = None
        self._closing: asyncio.Task[None] | None = None

    async def answer(self, offer: str) -> str:
        """The SDP answer to a viewer's offer. Raises ValueError for an offer that cannot be used."""
        answer = await self._peer.answer(offer)
        self._ticker = self._loop.create_task(self._tick(), name=f"session {self.id[:6]}")
        return answer

    @property
    def malformed(self) -> int:
        """Messages that did not parse, or that nobody expected, on any channel."""
        return self._unparsed + self._peer.unexpected

    @property
    def target_bps(self) -> float:
        return self.estimator.target_bps

    @property
    def needs_intra(self) -> bool:
        """Frames that build on others are of no use to it."""
        return self._needs_intra

    @property
    def watching(self) -> bool:
        """Live, and not about to leave."""
        return self.live and self._left is None

    @property
    def responsive(self) -> bool:
        """Heard of lately."""
        return time.monotonic() - self._heard < RESPONSIVE_S

    def keeps_up(self, *, max_backlog_s: float) -> bool:
        """Whether one more frame would be sent, and decoded, in time, and within the target rate.

        What the other end has not acknowledged bounds what may be under way, as in Salsify. When nothing was sent for
        as long as an ack may take, one frame goes out anyway: all before it may be lost without a trace.
        """
        now = time.monotonic()
        self._repay(now)
        if self.pacer.backlog_s(now) > max_backlog_s or self._ahead_bytes > self.target_bps / 8 * MAX_AHEAD_S:
            return False
        if not self._unacked:
            return True
        limit = MAX_ACK_DELAY_S + self._peer.rtt_s
        return now - self._unacked[0][1] < limit or now - self._unacked[-1][1] > limit

    def _repay(self, now: float) -> None:
        self._ahead_bytes = max(0.0, self._ahead_bytes - self.target_bps / 8 * (now - self._ahead_at))
        self._ahead_at = now

    def offer_frame(self, frame: PacketisedFrame, *, encoded_before: int) -> None:
        """Queue a frame for sending; skipped while this viewer waits for an intra frame."""
        if not self.watching:
            return
        intra = frame.reference_id is None
        if self._needs_intra and not intra:
            return
        now = time.monotonic()
        # Every session stamps its own sequence numbers and send times.
        packets = [bytearray(packet) for packet in frame.packets]
        spread_s = SPREAD * self._frame_interval_s
        if not self.pacer.push(frame.frame_id, packets, now=now, spread_s=spread_s):
            self._ask_for_intra()
            return
        if self._captured_before is None:
            vitals = self._vitals()
            self._captured_before = vitals.captured - 1 - serial_distance(frame.frame_id, vitals.newest_captured_id)
            self._encoded_before = encoded_before
            self._started = now
        if intra:
            self._needs_intra = False
            self._last_intra_id = frame.frame_id
            self._intra_offered = now
        self._repay(now)
        self._ahead_bytes += sum(map(len, packets))
        self._unacked.append((frame.frame_id, now))
        self._pace()

    async def close(self) -> None:
        """End the session. Safe to call at any time; the first call does it, later ones wait for it."""
        if self._closing is None:
            self._closing = self._loop.create_task(self._close(), name=f"close {self.id[:6]}")
        await asyncio.shield(self._closing)

    def refuse(self, code: str, message: str) -> None:
        """Tell the viewer why, then close."""
        self._send(Error.model_validate({"code": code, "message": message[: control.MAX_ERROR_CHARACTERS]}))
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
        elif not self.live and self._left is None:
            self._on_hello(message)

    def _on_hello(self, hello: Hello) -> None:
        config = self._config()
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
            self._send(config)
            self.live = True
            self.intra_interval = intra_interval(self._arithmetic, theirs_computes)
            if self.intra_interval is not None:
                log.info(
                    "session %s: it computes otherwise: every %dth frame is intra", self.id[:6], self.intra_interval
                )
            self._heard = time.monotonic()
            self._ask_for_intra()

    def _on_feedback(self, data: bytes) -> None:
        now = time.monotonic()
        message = parse_feedback(data)
        if message is None:
            self._unparsed += 1
            version = wire_version(data)
            if version != WIRE_VERSION and self._unparsed == 1:
                log.warning("session %s: feedback of wire version %s, ours is %d", self.id[:6], version, WIRE_VERSION)
            return
        self._heard = now
        if isinstance(message, Ping):
            now_us = time.monotonic_ns() // 1000
            self._peer.send_media(Pong(message.ping_id, message.t0_us, now_us, time.monotonic_ns() // 1000).to_bytes())
        elif isinstance(message, ArrivalReport):
            self.estimator.on_report(message, now)
            self._update_window(now)
        else:
            self._on_acks(message, now)

    def _on_acks(self, message: FrameAcks, now: float) -> None:
        if message.acks:
            # Frames are acknowledged in order, whatever became of them.
            newest = message.acks[-1][0]
            while self._unacked and serial_distance(self._unacked[0][0], newest) >= 0:
                self._unacked.popleft()
        if not self.live or self._needs_intra or self._last_intra_id is None:
            return
        # Frames older than the newest intra frame are history: it repairs whatever became of them.
        lost = any(
            status is not FrameStatus.INTACT and serial_distance(self._last_intra_id, frame_id) >= 0
            for frame_id, status in message.acks
        )
        grace_s = MAX_ACK_DELAY_S + self._peer.rtt_s + INTRA_GRACE_S
        if lost or (message.waiting_for_intra and now - self._intra_offered > grace_s):
            self._ask_for_intra()

    def _ask_for_intra(self) -> None:
        self._needs_intra = True
        self._on_wants_intra()

    # -- to the viewer

    def _send(self, message: Config | Stats | Error) -> None:
        self._peer.send_control(message.model_dump_json())

    def _pace(self) -> None:
        """Send what is due and set the timer for the rest."""
        if self._pace_timer is not None:
            self._pace_timer.cancel()
            self._pace_timer = None
        now = time.monotonic()
        for packet in self.pacer.poll(now):
            data = stamp(packet, seq=self._seq, now_us=time.monotonic_ns() // 1000)
            if self._peer.send_media(data):
                self.estimator.on_sent(self._seq, len(data), now)
                self.packets_sent += 1
                self.bytes_sent += len(data)
            self._seq += 1
            self.frames_sent += ends_frame(data)
        due = self.pacer.next_send_time()
        if due is not None:
            self._pace_timer = self._loop.call_later(max(0.0, due - time.monotonic()), self._pace)

    async def _tick(self) -> None:
        """Time-outs, feedback silence and statistics."""
        next_stats = time.monotonic() + STATS_INTERVAL_S
        last = time.monotonic()
        while True:
            await asyncio.sleep(TICK_S)
            now = time.monotonic()
            self.estimator.on_tick(now)
            self._update_window(now)
            if self._captured_before is not None and self._ended is None:
                self._target_area += self.target_bps * (now - last)
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
                self._send(self._stats(final=False))

    def _update_window(self, now: float) -> None:
        self._peer.set_window(target_bps=self.target_bps, feedback_alive=now - self._heard < FEEDBACK_ALIVE_S)

    def _leave(self) -> None:
        """Send nothing new; when the queue is empty, the final statistics."""
        if self._left is not None:
            return
        self._left = time.monotonic()
        vitals = self._vitals()
        self._ended = (vitals.captured, vitals.encoded, self._left)
        self._loop.call_later(self.pacer.backlog_s(self._left) + 0.005, self._send_final)

    def _send_final(self) -> None:
        if self.live:
            self._send(self._stats(final=True))
            self.live = False

    def _stats(self, *, final: bool) -> Stats:
        vitals = self._vitals()
        captured, encoded, now = self._ended or (vitals.captured, vitals.encoded, time.monotonic())
        measured = self.estimator.statistics()
        started = self._captured_before is not None
        return Stats(
            final=final,
            captured=captured - self._captured_before if self._captured_before is not None else 0,
            encoded=encoded - self._encoded_before if started else 0,
            sent=self.frames_sent,
            packets=self.packets_sent,
            bytes=self.bytes_sent,
            seconds=now - self._started if started else 0.0,
            target_bps=measured.target_bps,
            target_mean_bps=self._target_area / self._target_seconds if self._target_seconds else measured.target_bps,
            loss=measured.loss,
            queue_delay_ms=measured.queue_delay_ms,
            loop_lag_ms=vitals.loop_lag_ms,
            memory_mb=vitals.memory_mb,
        )
