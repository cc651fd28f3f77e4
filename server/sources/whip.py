"""What a publisher sends over WHIP, as a source: `whip`.

The stream exists before its publisher and after it: without one it waits, and says so. Publishers come and go through
`server/whip/publishers.py`; at most one is attached.
"""

import logging
import threading
from collections.abc import Callable

import av
from av.audio.codeccontext import AudioCodecContext

from server.audio import SAMPLE_RATE, AudioFeed, AudioIn
from server.sources.live import LiveSource, NewestFrame

log = logging.getLogger(__name__)

WHIP = "whip"
DEFAULT_SIZE = (640, 360)
DEFAULT_FPS = 30.0
"""What is streamed when nothing else is asked for, as of the test pattern: what an ordinary laptop can encode."""
WAITING = "waiting for a publisher (open /publish on the server, or send WHIP to /v1/streams/NAME/whip)"


class WhipSource(LiveSource):
    """Pictures and sound of whoever is attached, fitted into a fixed size; implements `Source`."""

    def __init__(self, *, size: tuple[int, int] | None = None, fps: float | None = None) -> None:
        """Raises UserError for a size or rate out of range."""
        self._publisher = _Attached()
        self._pictures = NewestFrame()
        self._sound = AudioFeed()
        self._heard = AudioIn(self._sound)
        self._opus = _opus_decoder()
        super().__init__(
            kind=WHIP,
            size=size or DEFAULT_SIZE,
            fps=DEFAULT_FPS if fps is None else fps,
            frames=self._pictures,
            producer=self._publisher,
            audio=self._sound,
            stalled=self._why,
        )
        self._reason = WAITING
        """Why nobody publishes."""
        self._pictures.fail(WAITING)

    @property
    def attached(self) -> bool:
        """Somebody publishes."""
        return self._publisher.attached

    def attach(self, on_close: Callable[[], None]) -> None:
        """A publisher has come. on_close() is called, on any thread, when the source is closed under it."""
        self._opus = _opus_decoder()
        self._publisher.attach(on_close)
        self._pictures.fail("a publisher is connecting")

    def detach(self, reason: str) -> None:
        """It has gone: why, in words without a full stop."""
        self._reason = f"{reason}; {WAITING}"
        self._publisher.detach()
        self._pictures.fail(self._reason)

    def put_picture(self, picture: av.VideoFrame, captured_us: int) -> None:
        """A decoded picture, captured at that time of the monotonic clock. Any thread; never blocks."""
        self._pictures.put(picture, captured_us)

    def put_audio(self, opus: bytes, timestamp: int, captured_us: int) -> None:
        """An Opus packet (RFC 7587) whose sound was first heard at that time. One that is damaged is left out."""
        if not opus:
            # An empty packet would end the decoder.
            return
        try:
            frames = self._opus.decode(av.Packet(opus))
        except (av.FFmpegError, ValueError) as error:
            log.debug("an Opus packet of the publisher cannot be decoded: %s", error)
            return
        for frame in frames:
            assert isinstance(frame, av.AudioFrame)
            self._heard.put(frame, captured_us)
            captured_us += frame.samples * 1_000_000 // SAMPLE_RATE

    def close(self) -> None:
        """See `Source.close`; whoever publishes is told."""
        super().close()
        self._sound.close()

    def _why(self, seconds: float) -> str:
        if not self._publisher.attached:
            return self._reason
        return "the publisher is connected and sends no pictures"


class _Attached:
    """The publisher as the producer of the pictures: it starts by itself, and ends with the source."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._on_close: Callable[[], None] | None = None

    @property
    def attached(self) -> bool:
        return self._on_close is not None

    def attach(self, on_close: Callable[[], None]) -> None:
        with self._lock:
            self._on_close = on_close

    def detach(self) -> None:
        with self._lock:
            self._on_close = None

    def start(self) -> None:
        """Nothing: publishers come by themselves."""

    def stop(self) -> None:
        with self._lock:
            on_close, self._on_close = self._on_close, None
        if on_close is not None:
            on_close()


def _opus_decoder() -> AudioCodecContext:
    context = av.CodecContext.create("libopus", "r")
    assert isinstance(context, AudioCodecContext)
    context.format = "s16"
    context.layout = "stereo"
    context.sample_rate = SAMPLE_RATE
    return context
