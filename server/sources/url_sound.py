"""Sound that comes beside the pictures of a network stream, timed by their time stamps.

    pictures ── follow(time stamp, when it came) ──▶ when time stamp 0 was captured, smoothed
    packets of sound ── put ──▶ decoder ──▶ AudioFeed, each frame at its own time stamp

A picture counts as captured when it came. Sound is placed by its time stamps against theirs, not by its own arrival:
time stamps say what belongs together, while muxers and networks deliver sound in lumps.
"""

import logging
from typing import Any

import av

from server.audio import AudioFeed, AudioIn

log = logging.getLogger(__name__)

_FOLLOW = 1 / 32
"""Share of the difference by which each picture moves the time line: about a second, over which jitter averages out."""
_JUMP_US = 500_000
"""More is no jitter: the sender's time line started anew, or its pictures do."""


class UrlSound:
    """Driven by the reader's thread."""

    def __init__(self) -> None:
        self.feed = AudioFeed()
        self._put = AudioIn(self.feed)
        self._stream: av.AudioStream | None = None
        self._zero_us: float | None = None
        self.present: bool | None = None
        """Whether the stream has sound; None before it was opened."""
        self.broken = 0
        """Packets that could not be decoded; left out."""

    def open(self, container: av.container.InputContainer) -> list[av.AudioStream]:
        """The stream of `container` to be demuxed for sound, if there is one that can be decoded."""
        self._stream, self._zero_us = None, None
        found = [stream for stream in container.streams.audio if stream.codec_context is not None][:1]
        self.present = bool(found)
        if found:
            self._stream = found[0]
        return found

    def follow(self, stamp_s: float | None, captured_us: int) -> None:
        """A picture with that time stamp counts as captured at that time, monotonic clock."""
        if stamp_s is None:
            return
        zero_us = captured_us - stamp_s * 1e6
        if self._zero_us is None or abs(zero_us - self._zero_us) > _JUMP_US:
            self._zero_us = zero_us
        else:
            self._zero_us += _FOLLOW * (zero_us - self._zero_us)

    def takes(self, packet: "av.Packet[Any]") -> bool:
        """Whether a packet is sound; if so it has been taken care of. Before the first picture, sound has no time."""
        if self._stream is None or packet.stream_index != self._stream.index:
            return False
        if packet.size:
            try:
                frames = packet.decode()
            except av.FFmpegError:
                self.broken += 1
                return True
            for frame in frames:
                if isinstance(frame, av.AudioFrame) and frame.time is not None and self._zero_us is not None:
                    self._put.put(frame, round(self._zero_us + frame.time * 1e6))
        return True
