"""x264 and FFmpeg's H.264 decoder as live ends: slices that fit packets, IDR on request, decoding with slices missing.

LiveX264.encode(planes, bit_rate, idr) -> Annex B access unit and where its slices start
LiveH264.decode(access unit with holes) -> Y plane, or None where the decoder gives none
"""

import re
from dataclasses import dataclass
from fractions import Fraction

import av
import numpy as np
from av.codec.context import Flags
from av.video.frame import PictureType
from numpy.typing import NDArray

from bench.rd.clips import FramePlanes, to_frame
from bench.rd.conventional import without_sei
from latentcast.errors import UserError

SLICE_BYTES = 1090
"""Largest slice: with its start code and the 8 bytes before a frame it fits one packet."""
BUFFER_S = 1 / 3
"""Of x264's rate buffer: the time in which our own rate controller pays back, too."""
PRESET = "veryfast"
SETTINGS = (
    f"preset {PRESET}, tune psnr and zerolatency, constant bit rate with a buffer of a third of a second, slices of at "
    f"most {SLICE_BYTES} bytes, intra pictures on request only, no look-ahead, one thread, SEI not sent"
)

_ENDLESS = 1 << 20
_RATE_STEP_BPS = 10_000
"""The bit rate is set in these steps: each change makes x264 plan anew."""
_START = re.compile(rb"\x00?\x00\x00\x01(?=(.))", re.DOTALL)
_SLICE_TYPES = (1, 5)
"""nal_unit_type of a coded slice of a non-IDR and of an IDR picture (ITU-T H.264 table 7-1)."""


@dataclass(frozen=True, slots=True)
class AccessUnit:
    """One coded picture, Annex B. slice_offsets: where the NAL units of slices start, start code included."""

    data: bytes
    slice_offsets: tuple[int, ...]
    intra: bool


class LiveX264:
    """An encoder whose bit rate follows the link, up to `max_bps`. Raises UserError where PyAV lacks libx264."""

    def __init__(self, *, width: int, height: int, fps: float, max_bps: float) -> None:
        rate = Fraction(fps).limit_denominator(1001)
        try:
            context = av.CodecContext.create("libx264", "w")
        except ValueError as error:
            raise UserError("this build of PyAV lacks libx264; install PyAV from PyPI, or leave x264 out.") from error
        assert isinstance(context, av.VideoCodecContext)
        context.width, context.height, context.pix_fmt = width, height, "yuv420p"
        context.framerate, context.time_base = rate, 1 / rate
        context.gop_size, context.max_b_frames, context.thread_count = _ENDLESS, 0, 1
        context.bit_rate = round(max_bps)
        context.options = {
            "preset": PRESET,
            "tune": "psnr,zerolatency",
            "forced-idr": "1",
            # Highest rate = rate makes it CBR, the one mode in which x264 takes another bit rate on the way.
            "maxrate": str(round(max_bps)),
            "bufsize": str(round(max_bps * BUFFER_S)),
            "x264-params": f"keyint=infinite:scenecut=0:bframes=0:rc-lookahead=0:sliced-threads=0:threads=1:"
            f"slice-max-size={SLICE_BYTES - 4}:repeat-headers=1",
        }
        self._context = context
        self._max_bps = max_bps
        self._time_base = 1 / rate
        self._number = 0

    def encode(self, planes: FramePlanes, *, bit_rate: float, idr: bool) -> AccessUnit:
        """Code one picture, from the one before unless `idr`. bit_rate: bit/s of what comes out, clamped."""
        steps = round(min(max(bit_rate, _RATE_STEP_BPS), self._max_bps) / _RATE_STEP_BPS)
        self._context.bit_rate = max(1, steps) * _RATE_STEP_BPS
        frame = to_frame(planes)
        frame.pts, frame.time_base = self._number, self._time_base
        if idr:
            frame.pict_type = PictureType.I
        self._number += 1
        packets = self._context.encode(frame)
        data = without_sei(b"".join(bytes(packet) for packet in packets))
        return AccessUnit(data, slice_starts(data), any(packet.is_keyframe for packet in packets))


def slice_starts(annex_b: bytes) -> tuple[int, ...]:
    """Where the NAL units that hold slices start, start code included."""
    return tuple(found.start() for found in _START.finditer(annex_b) if found.group(1)[0] & 31 in _SLICE_TYPES)


def without_holes(data: bytes, holes: tuple[tuple[int, int], ...]) -> bytes:
    """What is left of an access unit: whole NAL units only, as slices are never cut by the packetiser."""
    kept, at = bytearray(), 0
    for begin, end in holes:
        kept += data[at:begin]
        at = min(end, len(data))
    return bytes(kept + data[at:])


class LiveH264:
    """FFmpeg's decoder, which conceals what is missing. One picture in, at most one out."""

    def __init__(self) -> None:
        context = av.CodecContext.create("h264", "r")
        assert isinstance(context, av.VideoCodecContext)
        context.thread_count = 1
        context.flags |= Flags.low_delay | Flags.output_corrupt
        self._context = context

    def decode(self, access_unit: bytes) -> NDArray[np.uint8] | None:
        """Y (height, width) of the newest picture that comes out."""
        try:
            frames = self._context.decode(av.Packet(access_unit))
        except av.FFmpegError:
            return None
        if not frames:
            return None
        plane = frames[-1].planes[0]
        rows = np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)
        return rows[: frames[-1].height, : frames[-1].width].copy()
