"""x264 on our transport: every picture coded from the one before, an IDR picture when the viewer reports damage.

That is the recovery of a WebRTC call (RTCP PLI, RFC 4585 section 6.3.1), here told by the frame acks. Two kinds of
viewers: one decodes whatever came and lets FFmpeg conceal the rest, one holds its picture until it has a whole chain.
"""

from collections.abc import Sequence

from bench.loss.ends import CONFIG_EPOCH, Decoded
from bench.loss.x264 import LiveH264, LiveX264, without_holes
from bench.rd.clips import FramePlanes
from transport.packetiser import PacketisedFrame, packetise
from transport.reassembly import FrameReady
from transport.receiver import MediaReceiver
from transport.sender import MediaSender
from transport.wire import FrameAcks, FrameStatus

MIN_IDR_INTERVAL_S = 0.3
"""Requests within this time of the last IDR picture wait: libwebrtc's limit (EncoderRtcpFeedback, 300 ms)."""
_PAYBACK_S = 1.0
"""What was sent beyond the rate is saved again within about this long."""
_GAIN = 0.1
"""Of the mean share that packet headers add to the coded bytes."""


class X264Coder:
    """`LiveCoder`. max_bps: rate that is never exceeded, whatever the sender allows."""

    def __init__(self, *, width: int, height: int, fps: float, max_bps: float) -> None:
        self._encoder = LiveX264(width=width, height=height, fps=fps, max_bps=max_bps)
        self._previous: int | None = None
        self._idr = -1
        self._idr_at = float("-inf")
        self._idr_wanted = True
        self._wire_bytes_per_byte = 1.0
        self._ahead_bits = 0.0
        self._sent_bytes = 0
        self._noted_at = 0.0
        self.intra_frames = 0

    def capture(self, frame_id: int, planes: FramePlanes, *, sender: MediaSender, now: float) -> None:
        if not sender.keeps_up(now):
            return
        idr = self._idr_wanted and now - self._idr_at >= MIN_IDR_INTERVAL_S
        self._note_sent(sender, now)
        allowed = max(0.5, 1 - self._ahead_bits / (sender.target_bps * _PAYBACK_S))
        bit_rate = allowed * sender.media_bps(now) / self._wire_bytes_per_byte
        unit = self._encoder.encode(planes, bit_rate=bit_rate, idr=idr)
        frame = packetise(
            unit.data,
            unit.slice_offsets,
            frame_id=frame_id,
            reference_id=None if unit.intra else self._previous,
            epoch=CONFIG_EPOCH,
            captured_us=round(now * 1e6),
            wait_us=0,
            encode_us=0,
        )
        if unit.intra:
            self.intra_frames += 1
            self._idr, self._idr_at, self._idr_wanted = frame_id, now, False
        self._previous = frame_id
        self._note_headers(frame, len(unit.data))
        if not sender.offer(frame, now):
            # The encoder goes on from a picture that the viewer never gets.
            self._idr_wanted = True

    def on_acks(self, acks: FrameAcks, *, now: float) -> None:
        # What is said of frames before the newest IDR picture is settled by it.
        if any(ack[0] >= self._idr and ack[1] is not FrameStatus.INTACT for ack in acks.acks):
            self._idr_wanted = True

    def _note_sent(self, sender: MediaSender, now: float) -> None:
        """How far what was sent is ahead of the rate: x264 knows of neither parity nor repeats."""
        sent_bytes = sender.statistics().bytes
        new_bits = 8 * (sent_bytes - self._sent_bytes) - sender.target_bps * (now - self._noted_at)
        self._ahead_bits = max(0.0, self._ahead_bits + new_bits)
        self._sent_bytes, self._noted_at = sent_bytes, now

    def _note_headers(self, frame: PacketisedFrame, coded_bytes: int) -> None:
        share = sum(map(len, frame.packets)) / max(1, coded_bytes)
        self._wire_bytes_per_byte += _GAIN * (share - self._wire_bytes_per_byte)


class X264Viewer:
    """`LiveViewer`. holds: whether damaged pictures are left out, and all that build on them."""

    def __init__(self, *, holds: bool) -> None:
        self._decoder = LiveH264()
        self._holds = holds
        self._newest: int | None = None
        self._clean = False

    def on_frame(self, frame: FrameReady, receiver: MediaReceiver) -> Sequence[Decoded]:
        follows = frame.reference_id is None or (self._clean and frame.reference_id == self._newest)
        clean = frame.intact and follows
        if self._newest is None and frame.reference_id is not None:
            # Nothing was ever decoded: there is no picture to conceal with.
            receiver.on_lost(frame.frame_id)
            return ()
        if self._holds and not clean:
            self._clean = False
            receiver.on_lost(frame.frame_id)
            return ()
        luma = self._decoder.decode(without_holes(frame.data, frame.holes))
        self._newest, self._clean = frame.frame_id, clean and luma is not None
        receiver.waiting_for_intra = False
        if luma is None:
            receiver.on_lost(frame.frame_id)
            return ()
        receiver.on_decoded(frame.frame_id, FrameStatus.INTACT if clean else FrameStatus.CONCEALED)
        return (Decoded(frame.frame_id, luma),)
