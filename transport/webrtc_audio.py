"""Opus over RTP beside the data channels, on the same bundled transport: the part of the adapter that knows RTP.

    OpusTrack ── frames with time stamps ──▶ RTCRtpSender ═══▶ OpusReceiver ── (sequence number, RTP time, payload)

Coded frames go in and coded frames come out. aiortc does not encode, so that all viewers share one encoder; it does not
decode, so that the receiver sees times, losses and arrivals as they are (its jitter buffer holds 80 ms back).
"""

import asyncio
from collections import deque
from collections.abc import Callable
from fractions import Fraction
from typing import Any, cast

import av
from aiortc import MediaStreamTrack, RTCRtpReceiver, RTCRtpSender, RTCRtpTransceiver
from aiortc.mediastreams import MediaStreamError
from aiortc.rtcrtpparameters import RTCRtpCodecCapability

CLOCK_HZ = 48_000
"""RTP clock of Opus whatever it carries, RFC 7587 section 4.1."""
_TIME_BASE = Fraction(1, CLOCK_HZ)
_MAX_WAITING = 10
"""Frames that wait to be sent: 0.2 s. More mean that the connection is not up; the oldest go."""

OnPacket = Callable[[int, int, bytes], None]
"""on_packet(sequence number, RTP time stamp, payload)."""


class OpusTrack(MediaStreamTrack):
    """Frames of an encoder elsewhere. Belongs to the event loop's thread."""

    kind = "audio"

    def __init__(self) -> None:
        super().__init__()
        self._frames: deque[tuple[bytes, int]] = deque(maxlen=_MAX_WAITING)
        self._more = asyncio.Event()
        self._sender: RTCRtpSender | None = None
        self._last: int | None = None
        """Time stamp of the frame that the sender took last."""
        self._origin: int | None = None
        self.dropped = 0
        """Frames that a newer one pushed out."""

    def attach(self, sender: RTCRtpSender) -> None:
        """The sender that will take the frames: it knows the random origin of the time stamps on the wire."""
        self._sender = sender

    def push(self, payload: bytes, timestamp: int) -> None:
        """Send a coded frame whose first sample is number `timestamp` at 48 kHz. Never blocks."""
        self.dropped += len(self._frames) == _MAX_WAITING
        self._frames.append((payload, timestamp))
        self._more.set()

    def rtp_of(self, timestamp: int) -> int | None:
        """A time stamp as it is on the wire, 0..2^32 - 1; None until the first frame has left."""
        return None if self._origin is None else (timestamp + self._origin) % 2**32

    async def recv(self) -> "av.Packet[Any]":
        """The next frame, for aiortc's sender. Raises MediaStreamError once stopped."""
        if self.readyState != "live":
            raise MediaStreamError
        self._learn_origin()
        while not self._frames:
            self._more.clear()
            await self._more.wait()
        payload, self._last = self._frames.popleft()
        packet = av.Packet(payload)
        packet.pts = self._last
        packet.time_base = _TIME_BASE
        return packet

    def _learn_origin(self) -> None:
        """The sender asks for a frame when the one before has left, so both its time stamps are known here."""
        if self._origin is None and self._last is not None and self._sender is not None:
            sent = cast(int, self._sender.__dict__["_RTCRtpSender__rtp_timestamp"])
            self._origin = (sent - self._last) % 2**32


class OpusReceiver(RTCRtpReceiver):
    """A receiver that hands packets on as they come in, in any order, instead of decoding them."""

    @classmethod
    def install(cls, receiver: RTCRtpReceiver, on_packet: OnPacket) -> None:
        """Switch a receiver over, before it starts: no public option gives access to packets."""
        receiver.__class__ = cls
        receiver.__dict__["_on_packet"] = on_packet

    async def _handle_rtp_packet(self, packet: Any, arrival_time_ms: int) -> None:
        if packet.payload:
            self.__dict__["_on_packet"](packet.sequence_number, packet.timestamp, bytes(packet.payload))


def prefer_opus(transceiver: RTCRtpTransceiver) -> None:
    """Negotiate nothing but Opus."""
    codecs = RTCRtpReceiver.getCapabilities("audio")
    assert codecs is not None
    opus: list[RTCRtpCodecCapability] = [codec for codec in codecs.codecs if codec.name.lower() == "opus"]
    transceiver.setCodecPreferences(opus)
