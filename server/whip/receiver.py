"""aiortc's RTP receivers made fit for live media: what touches its private parts.

A receiver's class is switched and its jitter buffer replaced, since no public option touches either; aiortc is pinned
to the minor version this was written against. aiortc still does DTLS, SRTP, RTX, payload headers and receiver reports,
and its bandwidth estimate (REMB) tells the sender how much it may send. Its decoder thread gets nothing to do.
"""

import time
from collections.abc import Callable
from typing import Any

from aiortc import RTCRtpReceiver
from aiortc.rtp import RtcpSrPacket, RtpPacket

from server.whip.assembler import CodedFrame, FrameAssembler, Packet
from server.whip.capture_clock import CaptureClock

SWITCH_S = 1.0
"""A stream whose packets stopped for so long may be followed by one of another SSRC: a sender that started anew."""
START_CODE = b"\0\0\0\1"
IDR, SPS = 5, 7
"""Types of H.264 NAL units that begin what can be decoded alone."""


class LiveReceiver(RTCRtpReceiver):
    """An RTCRtpReceiver that reports sender reports and life to a `_Media`; see `receive_video`, `receive_audio`."""

    _media: "VideoReceiver | AudioReceiver"

    async def _handle_rtcp_packet(self, packet: Any) -> None:
        if isinstance(packet, RtcpSrPacket):
            self._media.on_report(packet)
        await super()._handle_rtcp_packet(packet)

    async def _handle_rtp_packet(self, packet: RtpPacket, arrival_time_ms: int) -> None:
        self._media.packets += 1
        self._media.heard_s = time.monotonic()
        await super()._handle_rtp_packet(packet, arrival_time_ms)
        if requests := self._media.requests():
            await self._send_rtcp_nack(packet.ssrc, requests)


class VideoReceiver:
    """Frames of one video track. on_frame(frame, captured_s) runs on the event loop, seconds of the monotonic clock."""

    def __init__(self, receiver: RTCRtpReceiver, *, codec: str, on_frame: Callable[[CodedFrame, float], None]) -> None:
        """Takes the receiver over; it must not have started. codec: VP8 or H264, the only one negotiated."""
        self.packets = 0
        self.bytes = 0
        """Coded data that came."""
        self.heard_s = 0.0
        """When the last packet or report came."""
        self.assembler = FrameAssembler()
        self.clock = CaptureClock()
        self._begins_key_frame = _KEY_FRAMES[codec]
        self._on_frame = on_frame
        self._ssrc: int | None = None
        self._ssrc_heard_s = 0.0
        _take_over(receiver, self)

    def on_report(self, packet: RtcpSrPacket) -> None:
        """A sender report."""
        now = time.monotonic()
        self.heard_s = now
        if packet.ssrc == self._ssrc:
            info = packet.sender_info
            self.clock.report(ntp=info.ntp_timestamp, timestamp=info.rtp_timestamp, arrived_s=now)

    def add(self, packet: RtpPacket) -> tuple[bool, None]:
        """In place of aiortc's JitterBuffer.add: (a key frame is to be asked for, no frame for aiortc to decode)."""
        now = time.monotonic()
        if packet.ssrc != self._ssrc:
            if self._ssrc is not None and now - self._ssrc_heard_s < SWITCH_S:
                # Another encoding of the same track: one is enough.
                return False, None
            if self._ssrc is not None:
                self.clock = CaptureClock()
            self._ssrc = packet.ssrc
        self._ssrc_heard_s = now
        data: bytes = packet._data  # type: ignore[attr-defined]
        self.bytes += len(data)
        piece = Packet(
            sequence=packet.sequence_number,
            timestamp=packet.timestamp,
            marker=bool(packet.marker),
            data=data,
            key=self._begins_key_frame(packet.payload, data),
        )
        for frame in self.assembler.add(piece, now):
            captured_s = self.clock.captured_s(frame.timestamp, arrived_s=frame.first_arrived_s)
            self._on_frame(frame, captured_s)
        return self.assembler.key_frame_wanted(now), None

    def requests(self) -> list[int]:
        """Sequence numbers to ask for now."""
        return self.assembler.requests(time.monotonic())


class AudioReceiver:
    """Opus packets of one audio track, as they come. on_packet(opus, timestamp, arrived_s) runs on the event loop."""

    def __init__(self, receiver: RTCRtpReceiver, *, on_packet: Callable[[bytes, int, float], None]) -> None:
        """Takes the receiver over; it must not have started."""
        self.packets = 0
        self.heard_s = 0.0
        self.clock = CaptureClock(clock_hz=48_000)
        self._on_packet = on_packet
        self._newest: int | None = None
        _take_over(receiver, self)

    def on_report(self, packet: RtcpSrPacket) -> None:
        """A sender report."""
        self.heard_s = time.monotonic()
        info = packet.sender_info
        self.clock.report(ntp=info.ntp_timestamp, timestamp=info.rtp_timestamp, arrived_s=self.heard_s)

    def add(self, packet: RtpPacket) -> tuple[bool, None]:
        """In place of aiortc's JitterBuffer.add. A packet that comes after its successor is dropped: 20 ms of sound."""
        newest, self._newest = self._newest, packet.sequence_number
        if newest is not None and not 0 < (packet.sequence_number - newest) & 0xFFFF < 0x8000:
            self._newest = newest
            return False, None
        data: bytes = packet._data  # type: ignore[attr-defined]
        if data:
            self._on_packet(data, packet.timestamp, time.monotonic())
        return False, None

    def requests(self) -> list[int]:
        """None: sound does not wait."""
        return []


def _take_over(receiver: RTCRtpReceiver, media: VideoReceiver | AudioReceiver) -> None:
    receiver.__class__ = LiveReceiver
    assert isinstance(receiver, LiveReceiver)
    receiver._media = media
    receiver.__dict__["_RTCRtpReceiver__jitter_buffer"] = media
    # Its own asks for a packet once and never again.
    receiver.__dict__["_RTCRtpReceiver__nack_generator"] = None


def _vp8_key(payload: bytes, data: bytes) -> bool:
    """S bit and partition 0 in the descriptor (RFC 7741, 4.2), then P = 0 in the frame header (RFC 6386, 9.1)."""
    return bool(payload) and payload[0] & 0x1F == 0x10 and bool(data) and data[0] & 1 == 0


def _h264_key(payload: bytes, data: bytes) -> bool:
    """Any NAL unit of the packet, which aiortc unpacks to start codes (pieces after the first of one have none)."""
    position = 0 if data.startswith(START_CODE) else -1
    while 0 <= position < len(data) - len(START_CODE):
        if data[position + len(START_CODE)] & 0x1F in (IDR, SPS):
            return True
        position = data.find(START_CODE, position + len(START_CODE))
    return False


_KEY_FRAMES = {"VP8": _vp8_key, "H264": _h264_key}
