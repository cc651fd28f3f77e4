"""The one adapter to aiortc: everything of this package that knows asyncio and sockets.

    Peer: one RTCPeerConnection without public servers and with our three data channels
        control    reliable, ordered          JSON text
        media      unordered, no retransmits  server -> client
        feedback   unordered, no retransmits  client -> server
    and, where both ends want it, an Opus track from server to client on the same transport (`webrtc_audio.py`)
    RealtimeSctp: the SCTP association made fit for live media

The viewer offers and creates the channels; the server answers (WHEP). Text and bytes go in by `send_*`, come out by the
`on_*` callbacks. Nothing queues here: a message that aiortc would have to hold back is refused.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

import aioice.ice
from aiortc import (
    RTCBundlePolicy,
    RTCConfiguration,
    RTCDataChannel,
    RTCIceServer,
    RTCPeerConnection,
    RTCSctpTransport,
    RTCSessionDescription,
)
from aiortc.exceptions import InvalidStateError

from transport.webrtc_audio import OnPacket, OpusReceiver, OpusTrack, prefer_opus

log = logging.getLogger(__name__)

CHANNELS = ("control", "media", "feedback")

# A closed window of this size still lets a few packets through, so that feedback can start again.
MIN_WINDOW_BYTES = 16 * 1024
# Until `set_window` is first called, and at the viewer's end always: enough for the first intra frame, far below what a
# socket buffer holds.
INITIAL_WINDOW_BYTES = 128 * 1024
MAX_WINDOW_BYTES = 1024 * 1024
# The window covers the path, the delay of SACKs and an intra frame of 200 ms: less would make SCTP hold packets back
# behind our pacer's back.
WINDOW_QUEUE_S = 0.3
# Retransmission timer of 200 ms instead of RFC 9260's 1 s: the tail of a control message does not wait a second.
RTO_MIN_S = 0.2
RTO_MAX_S = 60.0
# At most one Forward-TSN in 30 ms (or a round trip): stock answers every SACK with one, and each costs a SACK.
FORWARD_TSN_INTERVAL_S = 0.03
# At most one SACK in 20 ms: stock answers every packet with one, which costs each end as much as the packet itself, and
# RFC 9260 (section 6.2) allows ten times as long. Our own arrival reports time the packets.
SACK_INTERVAL_S = 0.02
# Media that aiortc has not yet handed to SCTP. More than a frame means that the window is closed: drop, never queue.
MAX_BUFFERED_BYTES = 64 * 1024
# A control message is at most 16 KiB; a peer that does not take a few of them is gone.
MAX_BUFFERED_CONTROL_BYTES = 256 * 1024


class RealtimeSctp(RTCSctpTransport):
    """An association whose window follows our own rate controller, so that unreliable channels behave like UDP.

    Stock aiortc applies Reno to them, queues without limit, and skips lost packets at one hole per round trip; under
    1 % loss that means seconds of delay. The class of a live instance is switched (`install`), since no public option
    touches any of this; aiortc is pinned to the minor version it was written against.
    """

    # These exist as instance attributes of the base class.
    _sent_queue: Any
    _srtt: float | None
    _rttvar: Any
    _rto: Any
    _sack_needed: Any

    @classmethod
    def install(cls, sctp: RTCSctpTransport) -> "RealtimeSctp":
        """Switch an association over, before it starts."""
        sctp.__class__ = cls
        assert isinstance(sctp, cls)
        return sctp

    @property
    def window_floor_bytes(self) -> int:
        floor: int = self.__dict__.get("window_floor_bytes", INITIAL_WINDOW_BYTES)
        return floor

    @window_floor_bytes.setter
    def window_floor_bytes(self, value: int) -> None:
        self.__dict__["window_floor_bytes"] = value

    # A data descriptor shadows the instance attribute, so the base class reads and writes through it.
    @property
    def _cwnd(self) -> int:
        return max(int(self.__dict__.get("_cwnd", 0)), self.window_floor_bytes)

    @_cwnd.setter
    def _cwnd(self, value: int) -> None:
        self.__dict__["_cwnd"] = value

    def _update_rto(self, R: float) -> None:
        super()._update_rto(R)
        assert self._srtt is not None
        self._rto = max(RTO_MIN_S, min(self._srtt + 4 * self._rttvar, RTO_MAX_S))

    async def _send_sack(self) -> None:
        loop = asyncio.get_running_loop()
        wait = self.__dict__.get("_sack_sent", 0.0) + SACK_INTERVAL_S - loop.time()
        if wait <= 0:
            self.__dict__["_sack_sent"] = loop.time()
            await super()._send_sack()
        elif self.__dict__.get("_sack_timer") is None:
            self.__dict__["_sack_timer"] = loop.call_later(wait, self._flush_sack)

    def _flush_sack(self) -> None:
        self.__dict__["_sack_timer"] = None
        if self._sack_needed and self.state == "connected":
            self.__dict__["_sack_task"] = asyncio.get_running_loop().create_task(self._send_late_sack())

    async def _send_late_sack(self) -> None:
        # The association may end while the SACK is on its way out; aiortc says so with a ConnectionError.
        with suppress(ConnectionError):
            await self._send_sack()

    def _update_advanced_peer_ack_point(self) -> None:
        queue = self._sent_queue
        if queue and queue[0]._abandoned:
            # Step over what the peer holds already: one Forward-TSN then closes all holes. A chunk that is neither
            # acknowledged nor abandoned stops the walk, so reliable data is never skipped.
            last = -1
            for position, chunk in enumerate(queue):
                if chunk._abandoned:
                    last = position
                elif not chunk._acked:
                    break
            for position, chunk in enumerate(queue):
                if position > last:
                    break
                chunk._abandoned = True
        before = self._advanced_peer_ack_tsn
        super()._update_advanced_peer_ack_point()
        if self._forward_tsn_chunk is not None:
            now = time.monotonic()
            sent = self.__dict__.get("_forward_tsn_sent", 0.0)
            interval = max(FORWARD_TSN_INTERVAL_S, self._srtt or 0.0)
            if self._advanced_peer_ack_tsn == before and now - sent < interval:
                self._forward_tsn_chunk = None
            else:
                self.__dict__["_forward_tsn_sent"] = now


_aioice_host_addresses = aioice.ice.get_host_addresses


def use_host_addresses(addresses: Sequence[str] | None) -> None:
    """Gather ICE host candidates on exactly these addresses, in this process, from now on; None: all, with loopback.

    By itself aioice offers every address except loopback: two processes on a machine without a network could not meet,
    and a server that listens on 127.0.0.1 would show its other addresses to its peers.
    """

    def get_host_addresses(use_ipv4: bool, use_ipv6: bool) -> list[str]:
        if addresses is None:
            found: list[str] = _aioice_host_addresses(use_ipv4=use_ipv4, use_ipv6=use_ipv6)
            return [*found, "127.0.0.1"] if use_ipv4 else found
        return [a for a in addresses if (use_ipv6 if ":" in a else use_ipv4)]

    aioice.ice.get_host_addresses = get_host_addresses


class Peer:
    """One connection to one other end.

    Callbacks run on the event loop: on_open() once all channels are open, on_control(text), on_media(bytes),
    on_feedback(bytes), and on_closed(reason) once, also after a failed start.
    """

    def __init__(
        self,
        *,
        ice_servers: Sequence[str] = (),
        on_open: Callable[[], None],
        on_closed: Callable[[str], None],
        on_control: Callable[[str], None] | None = None,
        on_media: Callable[[bytes], None] | None = None,
        on_feedback: Callable[[bytes], None] | None = None,
    ) -> None:
        # An explicit list, also an empty one: aiortc's default is a public STUN server.
        servers = [RTCIceServer(urls=url) for url in ice_servers]
        # One transport from the start: else each section would gather candidates of its own, only to drop them.
        self._pc = RTCPeerConnection(RTCConfiguration(iceServers=servers, bundlePolicy=RTCBundlePolicy.MAX_BUNDLE))
        self._audio: OpusTrack | None = None
        self._channels: dict[str, RTCDataChannel] = {}
        self._on_open = on_open
        self._on_closed = on_closed
        self._handlers: dict[str, Callable[[Any], None] | None] = {
            "control": on_control,
            "media": on_media,
            "feedback": on_feedback,
        }
        self._opened = False
        self._closed = False
        self.unexpected = 0
        """Messages of a kind or on a channel that nothing is expected of; dropped."""
        self.refused = 0
        """Messages not sent because the channel was not open or had too much waiting."""
        self._pc.on("connectionstatechange", self._on_state)
        self._pc.on("datachannel", self._adopt)

    async def offer(self, *, on_audio: OnPacket | None = None) -> str:
        """Create the channels; returns the SDP offer with all candidates.

        on_audio: ask for the audio track, and get its packets: (sequence number, RTP time stamp, Opus payload).
        """
        if on_audio is not None:
            transceiver = self._pc.addTransceiver("audio", direction="recvonly")
            prefer_opus(transceiver)
            OpusReceiver.install(transceiver.receiver, on_audio)
        self._adopt(self._pc.createDataChannel("control"))
        for label in ("media", "feedback"):
            self._adopt(self._pc.createDataChannel(label, ordered=False, maxRetransmits=0))
        assert self._pc.sctp is not None
        RealtimeSctp.install(self._pc.sctp)
        await self._pc.setLocalDescription(await self._pc.createOffer())
        return self._pc.localDescription.sdp

    async def accept(self, answer: str) -> None:
        """Take the other end's answer. Raises ValueError when it is not one."""
        await self._describe(answer, "answer")

    async def answer(self, offer: str, *, audio: bool = False) -> str:
        """Take an offer; returns the answer with all candidates. Raises ValueError when it offers no data channel.

        audio: send an audio track, if the offer asks for one; `sends_audio` then says so.
        """
        await self._describe(offer, "offer")
        if self._pc.sctp is None:
            raise ValueError("the offer has no data channel (m=application)")
        RealtimeSctp.install(self._pc.sctp)
        self._answer_tracks(audio)
        await self._pc.setLocalDescription(await self._pc.createAnswer())
        return self._pc.localDescription.sdp

    def send_control(self, text: str) -> bool:
        """Send reliably and in order. False when it could not be taken."""
        return self._send("control", text, MAX_BUFFERED_CONTROL_BYTES)

    def send_media(self, data: bytes) -> bool:
        """Send once. False, and counted, when it could not be taken at once."""
        return self._send("media", data, MAX_BUFFERED_BYTES)

    def send_feedback(self, data: bytes) -> bool:
        """Send once. False, and counted, when it could not be taken at once."""
        return self._send("feedback", data, MAX_BUFFERED_BYTES)

    @property
    def sends_audio(self) -> bool:
        """The other end has asked for an audio track and gets it."""
        return self._audio is not None

    def send_audio(self, payload: bytes, timestamp: int) -> None:
        """Send an Opus frame once. timestamp: number of its first sample at 48 kHz, on any line that only grows."""
        if self._audio is not None and self._opened and not self._closed:
            self._audio.push(payload, timestamp)

    def audio_rtp(self, timestamp: int) -> int | None:
        """`timestamp` as the other end sees it in RTP; None before the first frame has left."""
        return None if self._audio is None else self._audio.rtp_of(timestamp)

    @property
    def control_backlog(self) -> int:
        """Bytes of control messages that wait to be sent."""
        channel = self._channels.get("control")
        return 0 if channel is None else channel.bufferedAmount

    def set_window(self, *, target_bps: float, feedback_alive: bool) -> None:
        """Let the SCTP window follow our rate controller; nearly close it while feedback is missing."""
        sctp = self._pc.sctp
        if not isinstance(sctp, RealtimeSctp):
            return
        window = int(target_bps / 8 * (self.rtt_s + WINDOW_QUEUE_S)) if feedback_alive else 0
        sctp.window_floor_bytes = min(MIN_WINDOW_BYTES + window, MAX_WINDOW_BYTES)

    @property
    def rtt_s(self) -> float:
        """SCTP's smoothed round trip in seconds; 0.1 before the first measurement."""
        sctp = self._pc.sctp
        return (sctp._srtt if isinstance(sctp, RealtimeSctp) else None) or 0.1

    async def close(self) -> None:
        """Close the connection. Safe to call twice and while it is being set up."""
        self._closed = True
        await self._pc.close()

    def _send(self, label: str, data: Any, limit: int) -> bool:
        channel = self._channels.get(label)
        if channel is None or channel.readyState != "open" or channel.bufferedAmount > limit:
            self.refused += 1
            return False
        try:
            channel.send(data)
        except (InvalidStateError, ConnectionError):
            self.refused += 1
            return False
        return True

    def _answer_tracks(self, audio: bool) -> None:
        """Audio goes out to those who want it; nothing is ever taken in, since nobody here would read it."""
        for transceiver in self._pc.getTransceivers():
            transceiver.direction = "inactive"
            # The offer's direction as it looks from here.
            wants = transceiver._offerDirection in ("sendonly", "sendrecv")
            if audio and wants and transceiver.kind == "audio" and self._audio is None:
                self._audio = OpusTrack()
                transceiver.direction = "sendonly"
                prefer_opus(transceiver)
                transceiver.sender.replaceTrack(self._audio)
                self._audio.attach(transceiver.sender)

    async def _describe(self, sdp: str, kind: str) -> None:
        try:
            await self._pc.setRemoteDescription(RTCSessionDescription(sdp=sdp, type=kind))
        except Exception as error:
            # aiortc raises whatever its SDP parser stumbles over: ValueError, KeyError, IndexError, AssertionError.
            raise ValueError(f"the SDP {kind} cannot be used ({error!r})") from error

    def _adopt(self, channel: RTCDataChannel) -> None:
        label = channel.label
        if label not in CHANNELS or label in self._channels:
            log.debug("ignoring unexpected data channel %r", label)
            channel.close()
            return
        self._channels[label] = channel
        handler = self._handlers[label]
        expected = str if label == "control" else bytes

        def on_message(message: str | bytes) -> None:
            if self._closed:
                return
            if handler is None or not isinstance(message, expected):
                self.unexpected += 1
            else:
                handler(message)

        channel.on("message", on_message)
        channel.on("open", self._check_open)
        channel.on("close", lambda: self._report_closed("the other end closed the connection"))
        self._check_open()

    def _check_open(self) -> None:
        if self._opened or len(self._channels) < len(CHANNELS):
            return
        if all(channel.readyState == "open" for channel in self._channels.values()):
            self._opened = True
            self._on_open()

    def _on_state(self) -> None:
        state = self._pc.connectionState
        log.debug("connection state: %s", state)
        if state == "failed":
            self._report_closed("no network path to the other end was found, or it was lost")
        elif state == "closed":
            self._report_closed("the other end closed the connection")

    def _report_closed(self, reason: str) -> None:
        if not self._closed:
            self._closed = True
            self._on_closed(reason)
