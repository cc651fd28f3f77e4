"""A recording: H.264, and AAC where there is sound, in mp4 or mkv, with the times at which the pictures were seen.

A stall stays a stall: while nothing comes, the last picture is written again twice a second, which costs a few bytes
and brings what came before to the disk. A file whose writer is killed plays up to its last second: mp4 is written in
fragments of half a second (and gets its index only at the end), mkv in clusters of half a second.
"""

import os
from contextlib import suppress
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from client.sinks.base import VideoFormat, free_path, need_folder, write_error
from client.sinks.sound_track import SoundTrack
from codec.h264 import H264Track

FORMATS = {
    # hybrid_fragmented: fragments while it is written, an ordinary indexed file once it is closed.
    ".mp4": ("mp4", {"movflags": "hybrid_fragmented", "frag_duration": "500000"}),
    ".mkv": ("matroska", {"cluster_time_limit": "500"}),
}
"""FFmpeg's muxer and its options, by suffix. Fragments and clusters of 0.5 s: what a kill costs at most."""
_PROMPT = {"flush_packets": "1"}
"""What is written goes to the disk. (None waits for long for the other track: `SoundTrack.fill` sees to that.)"""
REPEAT_US = 500_000
"""A picture that stands is written again so often."""
KEY_INTERVAL_S = 2
"""Players seek to key frames; one in two seconds costs little beside a second of picture."""
TIME_BASE = Fraction(1, 90_000)
_CODER = {
    # Visually lossless beside the codec being recorded, at a quarter of the time of the default preset.
    "crf": "16",
    "preset": "veryfast",
    # No frame waits inside the coder: what was seen is in the file.
    "tune": "zerolatency",
    # One thread: the others belong to the decoder.
    "threads": "1",
}
_MIN_STEP_US = 1000
"""Matroska counts milliseconds, and two pictures may not have the same."""


class VideoFileSink:
    """Writes `name.mp4` or `name.mkv`, under a free name where that exists."""

    capacity = 60
    """Two seconds at 30 fps: a disk that spins up, a key frame on a busy machine."""

    def __init__(self, path: Path) -> None:
        """Raises UserError when the folder cannot be written to. The file is made with the first picture."""
        need_folder(path.parent, str(path))
        self._wanted = path
        self.path = path
        """The file that is written: known once it is open."""
        self._container: av.container.OutputContainer | None = None
        self._track: H264Track | None = None
        self._sound: SoundTrack | None = None
        self._last: tuple[av.VideoFrame, int] | None = None
        """The newest frame, and when it was (last) written."""
        self._start_us = 0
        self._opened = False

    @property
    def place(self) -> str:
        """The file's name."""
        return str(self.path)

    @property
    def size_bytes(self) -> int | None:
        """Bytes on disk."""
        try:
            return self.path.stat().st_size if self._opened else 0
        except OSError:
            return 0

    def open(self, video: VideoFormat) -> None:
        """Make the file."""
        muxer, options = FORMATS[self._wanted.suffix.lower()]
        rate = Fraction(video.fps).limit_denominator(1001)
        try:
            self.path = free_path(self._wanted)
            # Nobody else takes the name from here on.
            self.path.open("xb").close()
            self._opened = True
            self._container = av.open(os.fspath(self.path), "w", format=muxer, options=options | _PROMPT)
            coder = {**_CODER, "g": str(max(1, round(KEY_INTERVAL_S * video.fps)))}
            self._track = H264Track(
                self._container,
                width=video.width,
                height=video.height,
                rate=rate,
                time_base=TIME_BASE,
                options=coder,
            )
            self._sound = SoundTrack(self._container) if video.sound else None
        except (av.FFmpegError, OSError) as error:
            raise write_error(self.place, error) from None

    def write(self, planes: NDArray[np.uint8], at_us: int) -> None:
        """Append the picture at its time."""
        assert self._track is not None
        if self._last is None:
            self._start_us = at_us
        self._mux(self._track.frame(planes), at_us)

    def write_sound(self, samples: NDArray[np.int16], at_us: int) -> None:
        """Append the sound at its time; what belongs before the first picture is left out."""
        if self._sound is None or self._last is None or at_us < self._start_us:
            return
        try:
            self._sound.put(samples, at_us - self._start_us)
        except (av.FFmpegError, OSError) as error:
            self._track = self._sound = None
            raise write_error(self.place, error) from None

    def wait(self, now_us: int) -> None:
        """Write the picture that stands once more, when it has stood for long."""
        if self._last is not None and now_us - self._last[1] >= REPEAT_US:
            self._mux(self._last[0], now_us)

    def close(self, now_us: int) -> None:
        """The last picture lasts until now; then the index is written."""
        track, sound, container = self._track, self._sound, self._container
        self._track = self._sound = self._container = None
        if container is None:
            return
        try:
            if track is not None and self._last is not None:
                frame, last_us = self._last
                if now_us > last_us + _MIN_STEP_US:
                    track.mux(frame, self._pts(now_us))
                track.mux(None)
                if sound is not None:
                    sound.finish(max(now_us, last_us) - self._start_us)
            container.close()
        except (av.FFmpegError, OSError) as error:
            raise write_error(self.place, error) from None
        finally:
            with suppress(av.FFmpegError, OSError):
                container.close()

    def _mux(self, frame: av.VideoFrame, at_us: int) -> None:
        assert self._track is not None
        if self._last is not None:
            at_us = max(at_us, self._last[1] + _MIN_STEP_US)
        try:
            self._track.mux(frame, self._pts(at_us))
            if self._sound is not None:
                self._sound.fill(at_us - self._start_us)
        except (av.FFmpegError, OSError) as error:
            self._track = self._sound = None
            raise write_error(self.place, error) from None
        self._last = frame, at_us

    def _pts(self, at_us: int) -> int:
        return round((at_us - self._start_us) * TIME_BASE.denominator / 1e6)
