"""x264, x265, SVT-AV1 and VP9 through PyAV, in memory, as live video would use them: one intra frame, low delay.

Low delay is: no B frames, no look-ahead, no alternate reference, nothing held back. Tuned for PSNR, since that is what
is measured, and at a constant quantiser (VP9: constant quality), since rate control is not. One thread: the bytes of
some encoders depend on the number of threads.
"""

import os
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np

from bench.rd.clips import Clip, to_frame
from bench.rd.coding import Coded, Planes
from latentcast.errors import UserError

_ENDLESS = 1 << 20
"""Frames between intra frames: more than any clip has, and few enough for every encoder's field."""

_X26X_PRESETS = ("ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow", "slower", "veryslow")


@dataclass(frozen=True, slots=True)
class _Encoder:
    """encoder, decoder: FFmpeg's names. presets: accepted ones, fastest first. points: of the quality knob, best first.

    options: of the encoder, with {preset} and {point} filled in. framing_bytes: what a file needs per frame to tell
    where it ends, in formats that do not say so themselves.
    """

    title: str
    encoder: str
    decoder: str
    preset: str
    presets: tuple[str, ...]
    point_name: str
    points: tuple[int, ...]
    highest: int
    options: dict[str, str]
    settings: str
    framing_bytes: int = 0


ENCODERS = {
    "x264": _Encoder(
        title="x264 {preset}",
        encoder="libx264",
        decoder="h264",
        preset="veryfast",
        presets=_X26X_PRESETS,
        point_name="QP",
        points=(24, 31, 38, 45, 51),
        highest=51,
        options={
            "preset": "{preset}",
            "tune": "psnr,zerolatency",
            "x264-params": "qp={point}:keyint=infinite:scenecut=0:bframes=0:rc-lookahead=0:sliced-threads=0:threads=1",
        },
        settings="preset {preset}, tune psnr and zerolatency, one intra frame, no B frames, no look-ahead, one thread, "
        "SEI not counted",
    ),
    "x265": _Encoder(
        title="x265 {preset}",
        encoder="libx265",
        decoder="hevc",
        preset="fast",
        presets=_X26X_PRESETS,
        point_name="QP",
        points=(24, 31, 38, 45, 51),
        highest=51,
        options={
            "preset": "{preset}",
            "tune": "psnr",
            "x265-params": "qp={point}:keyint=-1:scenecut=0:bframes=0:b-adapt=0:rc-lookahead=0:lookahead-slices=0:"
            "cutree=0:frame-threads=1:pools=none:wpp=0:info=0:log-level=none",
        },
        settings="preset {preset}, tune psnr, one intra frame, no B frames, no look-ahead, one thread",
    ),
    "svt-av1": _Encoder(
        title="SVT-AV1 {preset}",
        encoder="libsvtav1",
        decoder="libdav1d",
        preset="8",
        presets=tuple(str(number) for number in range(13, -1, -1)),
        point_name="QP",
        points=(26, 36, 46, 55, 63),
        highest=63,
        options={
            "preset": "{preset}",
            "svtav1-params": "qp={point}:rc=0:aq-mode=0:tune=1:pred-struct=1:lookahead=0:keyint=-1:scd=0:enable-tf=0:"
            "lp=1",
        },
        settings="preset {preset}, tune psnr, low-delay prediction, one intra frame, no look-ahead, "
        "no temporal filter, one thread",
    ),
    "vp9": _Encoder(
        title="VP9 {preset}",
        encoder="libvpx-vp9",
        decoder="vp9",
        preset="5",
        presets=tuple(str(number) for number in range(9, -1, -1)),
        point_name="CRF",
        points=(26, 36, 46, 55, 63),
        highest=63,
        options={
            "deadline": "realtime",
            "cpu-used": "{preset}",
            # Constant quality: with the quantiser itself held (qmin = qmax), libvpx makes no frame better than the
            # others and takes 20 % more bits (mean of the demo clips).
            "crf": "{point}",
            "b": "0",
            "lag-in-frames": "0",
            "auto-alt-ref": "0",
            "aq-mode": "0",
            "tile-columns": "0",
            "row-mt": "0",
        },
        settings="libvpx, deadline realtime, cpu-used {preset}, one intra frame, no alternate reference, "
        "no look-ahead, one thread",
        framing_bytes=4,
    ),
}
"""By the name on the command line. The default presets are of the kind that live encoders run with."""


class ConventionalCodec:
    """One of `ENCODERS` with a preset. Raises UserError for a preset or point it does not have."""

    def __init__(self, kind: str, *, preset: str | None = None, points: tuple[int, ...] | None = None) -> None:
        encoder = ENCODERS[kind]
        preset = preset or encoder.preset
        if preset not in encoder.presets:
            raise UserError(f"{kind} has no preset {preset!r}; expected one of {', '.join(encoder.presets)}.")
        self.points = points or encoder.points
        if wrong := [point for point in self.points if not 0 <= point <= encoder.highest]:
            raise UserError(f"{kind} has no {encoder.point_name} {wrong[0]}; expected 0 to {encoder.highest}.")
        self._encoder = encoder
        self._preset = preset
        self.name = encoder.title.format(preset=preset)
        self.settings = encoder.settings.format(preset=preset)
        self.point_name = encoder.point_name

    def unavailable(self) -> str | None:
        """Why this installation cannot run it, or None."""
        try:
            av.Codec(self._encoder.encoder, "w")
            av.Codec(self._encoder.decoder, "r")
        except ValueError:
            return f"this build of PyAV lacks {self._encoder.encoder} or {self._encoder.decoder}"
        return None

    def code(self, clip: Clip, point: int, *, folder: Path) -> Coded:
        """See RateDistortionCodec; nothing is written to `folder`."""
        del folder
        started = time.perf_counter()
        try:
            packets = self._encode(clip, point)
        except (av.FFmpegError, OSError) as error:
            raise UserError(
                f"{self.name} cannot code {clip.name} ({error}): choose another size or leave it out."
            ) from error
        encode_s = time.perf_counter() - started
        size = sum(len(data) + self._encoder.framing_bytes for data, _ in packets)
        intra = sum(key for _, key in packets)
        return Coded(size, encode_s, intra, self._decode([data for data, _ in packets]))

    def _encode(self, clip: Clip, point: int) -> list[tuple[bytes, bool]]:
        # SVT-AV1 prints its settings to stderr unless told to log errors only, which it reads from here alone.
        os.environ.setdefault("SVT_LOG", "1")
        context = av.CodecContext.create(self._encoder.encoder, "w")
        assert isinstance(context, av.VideoCodecContext)
        context.width, context.height, context.pix_fmt = clip.width, clip.height, "yuv420p"
        context.framerate, context.time_base = clip.fps, 1 / clip.fps
        context.gop_size, context.max_b_frames, context.thread_count = _ENDLESS, 0, 1
        context.options = {
            name: text.format(preset=self._preset, point=point) for name, text in self._encoder.options.items()
        }
        packets = []
        for number, planes in enumerate(clip):
            frame = to_frame(planes)
            frame.pts, frame.time_base = number, 1 / clip.fps
            packets += context.encode(frame)
        packets += context.encode(None)
        clean = without_sei if self._encoder.encoder == "libx264" else bytes
        return [(clean(bytes(packet)), packet.is_keyframe) for packet in packets]

    def _decode(self, packets: list[bytes]) -> Iterator[Planes]:
        context = av.CodecContext.create(self._encoder.decoder, "r")
        assert isinstance(context, av.VideoCodecContext)
        context.thread_count = 1
        for data in packets:
            for frame in context.decode(av.Packet(data)):
                yield _planes(frame)
        for frame in context.decode(None):
            yield _planes(frame)


def without_sei(annex_b: bytes) -> bytes:
    """An H.264 Annex B stream without SEI: x264 puts 700 bytes of its own settings into the first frame."""
    units = re.split(rb"(?=\x00\x00\x00\x01|(?<!\x00)\x00\x00\x01)", annex_b)
    return b"".join(unit for unit in units if not re.match(rb"\x00?\x00\x00\x01\x06", unit))


def _planes(frame: av.VideoFrame) -> Planes:
    """Copies of the planes of a 4:2:0 frame: the decoder uses its memory again."""
    out = []
    for number, plane in enumerate(frame.planes):
        half = 1 if number == 0 else 2
        rows = np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)
        out.append(rows[: frame.height // half, : frame.width // half].copy())
    return out[0], out[1], out[2]


def library_versions() -> dict[str, str]:
    """What decides the bytes of the conventional codecs: PyAV and the FFmpeg libraries it carries."""
    versions = {name: ".".join(map(str, number)) for name, number in av.library_versions.items()}
    return {"pyav": av.__version__, **versions}
