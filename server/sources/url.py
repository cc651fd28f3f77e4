"""Network streams by URL: RTSP, RTMP, HTTP(S), SRT, UDP and whatever else this FFmpeg receives.

    reader thread: open --> packets --> decode --> NewestFrame      always drained, the newest frame wins
                     ^ again after a loss, with longer and longer pauses

Capture time is the time a frame came, that is before it was decoded: how long it was under way before, no sender says.
Two kinds of streams are not live in this sense and are shown at their own pace instead: those that come in segments
(HLS, DASH), seconds at once, and recordings, which start again when they end. What is said about a URL names its
server and nothing else.
"""

import errno
import threading
from collections.abc import Callable, Generator

import av
from av.video.stream import VideoStream

from latentcast.errors import UserError
from server.sources.base import (
    MAX_HEIGHT,
    MAX_WIDTH,
    MIN_FPS,
    MIN_SIDE,
    SourceLost,
    check_picture,
    monotonic_us,
)
from server.sources.decoding import CatchUp, decode, sample_aspect, video_stream
from server.sources.live import LiveSource, NewestFrame
from server.sources.mask import mask_url, server_of
from server.sources.protocols import has_protocol
from server.sources.reader import Reader, Received
from server.sources.url_sound import UrlSound

DEFAULT_SIZE = (640, 360)
DEFAULT_FPS = 30.0
"""Of a stream that does not answer when it is opened, and was given neither."""
MOST_DEFAULT_FPS = 30.0
"""A sender at a higher rate is shown at this one, which an ordinary laptop can encode, unless another is asked for."""

OPEN_TIMEOUT_S = 10.0
"""Cameras on slow links take seconds to say their first word."""
READ_TIMEOUT_S = 5.0
"""A sender that is silent for so long is connected to again."""
FIRST_PICTURE_S = 4.0
"""How long opening waits for the first picture, to take its size."""
_PROBE_us = 1_000_000
"""How much of a stream FFmpeg looks at before it hands out frames; its default of 5 s is for files."""
_SEGMENTED = frozenset({"hls", "dash"})
_LATE_s = 0.5
"""Of streams shown at their own pace: this late, the time line moves on instead of frames being left out."""


def open_url(url: str, *, size: tuple[int, int] | None, fps: float | None) -> LiveSource:
    """A source over `url`. Without `size` and `fps` those of the first picture, if it comes within 4 s, fitted into
    what the project handles; else 640x360 at 30. Blocks for that long at most. Raises UserError for a size or a
    rate out of range, and a protocol that this FFmpeg does not have."""
    check_picture(size=size, fps=fps)
    scheme = url.partition(":")[0]
    if not has_protocol(scheme):
        raise UserError(
            f"the source is {mask_url(url)!r}, but the FFmpeg in use has no {scheme.upper()}: `latentcast sources` "
            "lists what it has; have another program receive it and hand it on, for example as udp://"
        )
    frames = NewestFrame()
    receiver = UrlReceiver(url, open_timeout_s=OPEN_TIMEOUT_S, read_timeout_s=READ_TIMEOUT_S)
    reader = Reader(
        frames,
        receiver,
        name="url reader",
        waiting=f"connecting to {receiver.shown}",
        ended=f"{receiver.shown} has ended the stream; connecting again",
    )
    if size is None:
        shape = reader.first_shape(FIRST_PICTURE_S)
        size = fitted_size(shape.width, shape.height) if shape is not None else DEFAULT_SIZE
    if fps is None:
        fps = receiver.fps or DEFAULT_FPS
    # A stream that has not been seen yet may have sound.
    audio = None if receiver.sound.present is False else receiver.sound.feed
    return LiveSource(kind="url", size=size, fps=fps, frames=frames, producer=reader, audio=audio, stalled=reader.why)


class UrlReceiver:
    """`Receive` for one URL."""

    fps: float | None = None
    """Frame rate as the stream says, within what the project handles, once it is known."""

    def __init__(
        self,
        url: str,
        *,
        open_timeout_s: float = OPEN_TIMEOUT_S,
        read_timeout_s: float = READ_TIMEOUT_S,
        clock: Callable[[], int] = monotonic_us,
    ) -> None:
        self._url = url
        self.shown = server_of(url)
        self.sound = UrlSound()
        self._recorded = False
        self._timeouts_s = (open_timeout_s, read_timeout_s)
        self._clock = clock

    def __call__(self, stopping: threading.Event) -> Generator[Received, None, None]:
        """See `Receive`. A recording starts again when it ends."""
        while not stopping.is_set():
            pictures = 0
            for received in self._play(stopping):
                pictures += 1
                yield received
            if not (self._recorded and pictures):
                return

    def _play(self, stopping: threading.Event) -> Generator[Received, None, None]:
        begun = False
        try:
            with av.open(self._url, options=options(self._url, *self._timeouts_s), timeout=self._timeouts_s) as opened:
                stream = video_stream(opened, self.shown)
                self._recorded = bool(opened.duration and opened.duration > 0)
                self._note_rate(stream)
                aspect = sample_aspect(stream)
                own_pace = self._recorded or not _SEGMENTED.isdisjoint(opened.format.name.split(","))
                pace = Pace() if own_pace else None
                catch_up = None if own_pace else CatchUp()
                decoded = decode(opened, stream, self.shown, clock=self._clock, catch_up=catch_up, sound=self.sound)
                for frame, came_us in decoded:
                    captured_us = came_us if pace is None else self._until_due(pace, frame, stopping)
                    self.sound.follow(frame.time, captured_us)
                    begun = True
                    yield Received(frame, captured_us, aspect)
        except (av.error.FFmpegError, OSError, ValueError) as error:
            # Not chained: FFmpeg's own text names the URL with its password.
            raise SourceLost(in_words(error, self.shown, begun=begun, waited_s=self._timeouts_s[begun])) from None

    def _note_rate(self, stream: VideoStream) -> None:
        if rate := stream.average_rate or stream.guessed_rate:
            self.fps = min(max(float(rate), MIN_FPS), MOST_DEFAULT_FPS)

    def _until_due(self, pace: "Pace", frame: av.VideoFrame, stopping: threading.Event) -> int:
        due_us = pace.due_us(frame.time, now_us=self._clock())
        while (now_us := self._clock()) < due_us and not stopping.is_set():
            stopping.wait((due_us - now_us) / 1e6)
        return now_us


class Pace:
    """When frames of a stream that comes faster than it plays are due."""

    def __init__(self) -> None:
        self._start_us: float | None = None

    def due_us(self, stamp_s: float | None, *, now_us: int) -> float:
        """The time to show a frame whose own time is `stamp_s`; now, if it has none."""
        if stamp_s is None:
            return now_us
        stamp_us = stamp_s * 1e6
        due_us = now_us if self._start_us is None else self._start_us + stamp_us
        # Late: the sender was. Far ahead: its time line jumped, which no pause may answer.
        if self._start_us is None or not -_LATE_s * 1e6 <= due_us - now_us <= 10e6:
            self._start_us, due_us = now_us - stamp_us, now_us
        return due_us


def options(url: str, open_timeout_s: float, read_timeout_s: float) -> dict[str, str]:
    """FFmpeg's options for `url`: nothing buffered, timeouts everywhere, RTSP over TCP."""
    scheme = url.partition(":")[0]
    found = {
        "fflags": "nobuffer+discardcorrupt",
        "analyzeduration": str(_PROBE_us),
        "probesize": "1000000",
    }
    if scheme in ("rtsp", "rtsps"):
        # UDP loses packets at every burst of a key frame; TCP goes through what lets RTSP through.
        return found | {"rtsp_transport": "tcp", "timeout": str(int(read_timeout_s * 1e6))}
    if scheme in ("udp", "rtp"):
        # A burst must not fall out of the socket's buffer, and an overrun is no reason to give up.
        return found | {"fifo_size": "4096", "overrun_nonfatal": "1", "buffer_size": "1048576"}
    if scheme == "srt":
        return found | {"connect_timeout": str(int(open_timeout_s * 1e3))}
    return found | {"rw_timeout": str(int(read_timeout_s * 1e6))}


def in_words(error: Exception, shown: str, *, begun: bool, waited_s: float) -> str:
    """One sentence on what went wrong with the stream `shown`, before or after it had begun to send pictures.

    Nothing of the error's own text goes in, which names the URL.
    """
    if isinstance(error, av.error.HTTPUnauthorizedError):
        return f"{shown} wants a name and a password; write them before the server's name, as name:password@"
    if isinstance(error, av.error.HTTPForbiddenError):
        return f"{shown} is refused by its server (403); check name, password and rights there"
    if isinstance(error, av.error.HTTPNotFoundError):
        return f"{shown} has no such stream (404); waiting for it to appear"
    if isinstance(error, av.error.HTTPError):
        return f"the server of {shown} answers with an error; trying again"
    if isinstance(error, ConnectionRefusedError):
        return f"nobody answers at {shown} (connection refused); trying again"
    if isinstance(error, av.error.ExitError | TimeoutError):
        return f"{shown} has been silent for {waited_s:g} s; connecting again"
    if isinstance(error, av.error.InvalidDataError):
        return f"what {shown} sends is no video that FFmpeg can read; trying again"
    if isinstance(error, av.error.ProtocolNotFoundError | av.error.DemuxerNotFoundError):
        return f"the FFmpeg in use cannot receive {shown}; `latentcast sources` lists what it can"
    if begun:
        return f"{shown} broke off; connecting again"
    if getattr(error, "errno", None) == errno.EIO:
        # All that FFmpeg says of a name that is not known, and of a connection that ends too early.
        return f"{shown} cannot be reached, or ended before there was a picture; trying again"
    reason = getattr(error, "strerror", None) or type(error).__name__
    return f"{shown} cannot be read ({str(reason).lower()}); trying again"


def fitted_size(width: int, height: int) -> tuple[int, int]:
    """The nearest even size of the same shape that the project handles."""
    scale = min(1.0, MAX_WIDTH / max(width, 1), MAX_HEIGHT / max(height, 1))
    even_w, even_h = int(width * scale + 1e-6) & ~1, int(height * scale + 1e-6) & ~1
    return max(even_w, MIN_SIDE), max(even_h, MIN_SIDE)
