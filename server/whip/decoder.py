"""Coded frames of a publisher to pictures: a thread with a short queue in front.

aiortc decodes in a thread of its own too, but its queue has no bound and its pictures take two turns of the event loop
more. Here they go from the thread straight to whoever takes them.
"""

import logging
import threading
from collections import deque
from collections.abc import Callable
from typing import Final

import av
from av.video.codeccontext import VideoCodecContext

from server.whip.assembler import CodedFrame

log = logging.getLogger(__name__)

CODECS: Final = {"VP8": "vp8", "H264": "h264"}
"""Names in SDP, and FFmpeg's."""
MAX_WAITING: Final = 8
"""Coded frames in front of the decoder. It decodes 1080p at 100 frames a second and more, so that a full queue means
that this machine has no time: all of them go, and a key frame is asked for."""
MAX_PIXELS: Final = 4096 * 2304
"""A larger picture is not decoded: its publisher would decide how much memory we use."""
STOP_TIMEOUT_S: Final = 2.0

Coded = tuple[CodedFrame, float]
"""A coded frame and when it was captured."""


class VideoDecoder:
    """`put` coded frames on the event loop; pictures come out of on_picture(frame, captured_s), on the thread.

    on_trouble() is called on the thread when a frame could not be decoded: only a key frame helps then.
    """

    def __init__(
        self,
        codec: str,
        *,
        on_picture: Callable[[av.VideoFrame, float], None],
        on_trouble: Callable[[], None],
    ) -> None:
        """Raises KeyError for a codec that is not in CODECS."""
        self._context = _context(CODECS[codec])
        self._on_picture = on_picture
        self._on_trouble = on_trouble
        self._waiting: deque[Coded] = deque()
        self._wake = threading.Condition()
        self._stopping = False
        self.decoded = 0
        """Pictures that came out."""
        self.failed = 0
        """Frames the decoder could not use."""
        self.dropped = 0
        """Frames that the decoder had no time for."""
        self.size: tuple[int, int] | None = None
        """(width, height) of the newest picture."""
        self._thread = threading.Thread(target=self._run, name="whip decoder", daemon=True)
        self._thread.start()

    def put(self, frame: CodedFrame, captured_s: float) -> bool:
        """Queue a frame. False when the decoder is too far behind: everything that waited is gone, this one too."""
        with self._wake:
            if len(self._waiting) >= MAX_WAITING:
                self.dropped += len(self._waiting) + 1
                self._waiting.clear()
                return False
            self._waiting.append((frame, captured_s))
            self._wake.notify()
            return True

    def stop(self) -> None:
        """End the thread; no callback comes afterwards, unless one takes longer than `STOP_TIMEOUT_S`."""
        with self._wake:
            self._stopping = True
            self._waiting.clear()
            self._wake.notify()
        if threading.current_thread() is not self._thread:
            self._thread.join(STOP_TIMEOUT_S)

    def _run(self) -> None:
        while True:
            with self._wake:
                while not self._waiting and not self._stopping:
                    self._wake.wait()
                if self._stopping:
                    return
                frame, captured_s = self._waiting.popleft()
            try:
                pictures = self._context.decode(av.Packet(frame.data))
            except (av.FFmpegError, ValueError, MemoryError) as error:
                self.failed += 1
                if self.failed == 1:
                    log.warning("a frame of a publisher cannot be decoded: %s", error)
                self._on_trouble()
                continue
            for picture in pictures:
                self.decoded += 1
                self.size = (picture.width, picture.height)
                self._on_picture(picture, captured_s)


def _context(name: str) -> VideoCodecContext:
    context = av.CodecContext.create(name, "r")
    assert isinstance(context, VideoCodecContext)
    # Frame threads would hold back as many frames as there are threads; one core decodes 1080p in real time.
    context.thread_type = "NONE"
    context.thread_count = 1
    # Without it, H.264 holds frames back that might have to be reordered; no live sender reorders.
    context.flags |= av.codec.context.Flags.low_delay
    context.options = {"max_pixels": str(MAX_PIXELS)}
    return context
