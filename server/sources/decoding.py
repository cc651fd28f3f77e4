"""From an open container to pictures, with nothing held back on the way: for cameras and network streams.

    container -- packets --> decoder, no frame threads --> pictures
                    '--> CatchUp: a decoder that is too slow goes on at the next key frame

What cannot be decoded is left out and counted; a sender of nothing but that is given up.
"""

from collections.abc import Callable, Iterator
from fractions import Fraction

import av
from av.video.stream import VideoStream

from server.sources.base import SourceLost, monotonic_us
from server.sources.url_sound import UrlSound

_MOST_BROKEN = 300
"""Packets in a row that could not be decoded: ten seconds of an ordinary camera, more than any group of pictures that
a stream is joined in the middle of."""

_ONE_THREAD_PIXELS = 1280 * 720
"""Up to this size one thread decodes hundreds of pictures a second, and more would only take the encoder's cores."""

_BEHIND_s = 1.0
"""A picture this much later than the promptest one is waited for in vain: the decoder has to leave some out."""
_CAUGHT_UP_s = 0.2
_TIME_JUMP_s = 30.0
"""A difference like this is no delay: the sender's time line starts anew."""
_DRIFT = 0.001
"""Share by which the promptest picture may age: clocks drift by less than a tenth of that."""
_BUSY = 0.8
"""Share of the time spent decoding from which on the decoder, and not the network, is what is late."""


class CatchUp:
    """Decides when a decoder that falls behind has to skip to the next key frame. Seconds; time is an argument.

    The delay of a packet is the time it came at less its own time stamp, above the smallest seen. It grows when the
    network is slow, which decoding everything mends, and when the decoder is, which only leaving out does.
    """

    def __init__(self) -> None:
        self._promptest: float | None = None
        self._before = 0.0
        self._busy = 0.0
        self._skipping = False
        self.skipped = 0
        """Packets left out."""

    def skip(self, *, now: float, stamp: float, key: bool) -> bool:
        """Whether to leave this packet out. `stamp` is its time on the sender's time line."""
        delay = now - stamp
        passed = max(0.0, now - self._before)
        if self._promptest is None or abs(delay - self._promptest) > _TIME_JUMP_s:
            self._promptest, self._skipping = delay, False
        else:
            self._promptest = min(delay, self._promptest + _DRIFT * passed)
        self._before = now
        behind = delay - self._promptest
        if behind > _BEHIND_s and self._busy > _BUSY:
            self._skipping = True
        elif self._skipping and key and behind < _CAUGHT_UP_s:
            self._skipping = False
        # A key frame stands on its own, so it is always worth showing.
        leave_out = self._skipping and not key
        self.skipped += leave_out
        return leave_out

    def decoded(self, *, seconds: float, interval: float) -> None:
        """Decoding a packet took `seconds` of the `interval` since the one before was done."""
        if interval > 0:
            # About the last thirty packets.
            self._busy += (min(1.0, seconds / interval) - self._busy) / 30


def video_stream(container: av.container.InputContainer, shown: str) -> VideoStream:
    """The first picture stream, set up to hold nothing back. Raises SourceLost when there is none, or no decoder."""
    streams = container.streams.video
    if not streams:
        raise SourceLost(f"{shown} has no video in it; waiting for a stream that has")
    stream = streams[0]
    if stream.codec_context is None:
        raise SourceLost(f"{shown} sends video that this FFmpeg has no decoder for; send H.264, HEVC, VP8, VP9 or AV1")
    # Frame threads hold back as many frames as there are threads; slices hold back none.
    stream.thread_type = "SLICE"
    if stream.width * stream.height <= _ONE_THREAD_PIXELS:
        stream.codec_context.thread_count = 1
    stream.codec_context.flags |= av.codec.context.Flags.low_delay
    return stream


def sample_aspect(stream: VideoStream) -> float:
    """Width of a pixel over its height; 1 where the stream says nothing or nonsense."""
    aspect = stream.sample_aspect_ratio or Fraction(1)
    return float(aspect) if Fraction(1, 8) <= aspect <= 8 else 1.0


def decode(
    container: av.container.InputContainer,
    stream: VideoStream,
    shown: str,
    *,
    clock: Callable[[], int] = monotonic_us,
    catch_up: CatchUp | None = None,
    sound: UrlSound | None = None,
) -> Iterator[tuple[av.VideoFrame, int]]:
    """Frames and the time (us) their packet came. Raises SourceLost when nothing that comes can be decoded, and what
    FFmpeg raises when reading fails. Packets of sound go to `sound`."""
    broken, done_us = 0, clock()
    wanted = [stream, *([] if sound is None else sound.open(container))]
    for packet in container.demux(wanted):
        if sound is not None and sound.takes(packet):
            continue
        if catch_up is not None and not packet.size:
            return  # the end: what the decoder still holds is as old as the silence before
        came_us = clock()
        stamp = packet.dts if packet.dts is not None else packet.pts
        if catch_up is not None and stamp is not None and packet.time_base:
            seconds = float(stamp * packet.time_base)
            if catch_up.skip(now=came_us / 1e6, stamp=seconds, key=packet.is_keyframe):
                continue
        try:
            frames = packet.decode()
        except (av.error.InvalidDataError, av.error.PatchWelcomeError, av.error.ArgumentError):
            frames = []
            broken += 1
        if frames:
            broken = 0
        elif broken > _MOST_BROKEN:
            raise SourceLost(f"{shown} sends data that cannot be decoded ({broken} packets in a row); trying again")
        if catch_up is not None:
            now_us = clock()
            catch_up.decoded(seconds=(now_us - came_us) / 1e6, interval=(now_us - done_us) / 1e6)
            done_us = now_us
        for frame in frames:
            if isinstance(frame, av.VideoFrame):
                yield frame, came_us
