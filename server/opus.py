"""One Opus encoder for all viewers of a stream, on a thread of its own: 20 ms of sound in, one packet out.

AudioFeed ──▶ OpusEncoder ── CodedAudio, on its thread ──▶ AudioBroadcast
"""

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction

import av
import numpy as np
from numpy.typing import NDArray

from server.audio import CHANNELS, FRAME_SAMPLES, SAMPLE_RATE, AudioFeed

log = logging.getLogger(__name__)

BITRATE_BPS = 64_000
"""RFC 7587 section 3.1.1 recommends 64 to 128 kbit/s for stereo music; speech needs a third of it."""
LOOKAHEAD_SAMPLES = 312
"""What a decoder puts out begins so much earlier than what the encoder took in: 6.5 ms (libopus, `audio` mode)."""
_WAIT_S = 0.1
_PAUSE_S = 0.02
"""How often a thread without sound looks whether it should end."""


@dataclass(frozen=True, slots=True)
class CodedAudio:
    """20 ms of sound."""

    payload: bytes
    """An Opus packet, RFC 6716 section 3."""
    index: int
    """Of the first sample that it decodes to, on the feed's line; negative at its very beginning."""
    captured_us: int
    """When that sample was captured, monotonic clock."""


class OpusEncoder:
    """Owns the thread. on_frame(coded) is called on it."""

    def __init__(self, feed: AudioFeed, on_frame: Callable[[CodedAudio], None]) -> None:
        self._reader = feed.reader()
        self._on_frame = on_frame
        self._codec = _open()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="opus encoder", daemon=True)
        self.failed = 0
        """Frames that could not be coded; left out."""

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Tell the thread to end; it does within 0.1 s. No frame comes after one that is under way."""
        self._stopping.set()

    @property
    def alive(self) -> bool:
        """The thread has not ended yet."""
        return self._thread.is_alive()

    def join(self) -> None:
        """Block until the thread has ended."""
        self._thread.join()

    def _run(self) -> None:
        while not self._stopping.is_set():
            block = self._reader.read(timeout_s=_WAIT_S)
            if self._stopping.is_set():
                return
            if block is None:
                # A closed feed does not wait; whoever closed it ends this thread soon.
                self._stopping.wait(_PAUSE_S)
                continue
            try:
                payload = self._encode(block.samples)
            except av.FFmpegError as error:
                self.failed += 1
                log.warning("20 ms of sound could not be coded: %s", error)
                self._codec = _open()
                continue
            lead_us = LOOKAHEAD_SAMPLES * 1_000_000 // SAMPLE_RATE
            self._on_frame(CodedAudio(payload, block.index - LOOKAHEAD_SAMPLES, block.captured_us - lead_us))

    def _encode(self, samples: NDArray[np.int16]) -> bytes:
        frame = av.AudioFrame.from_ndarray(samples.reshape(1, -1), format="s16", layout="stereo")
        frame.sample_rate = SAMPLE_RATE
        # libopus codes frame by frame: one packet comes out at once.
        (packet,) = self._codec.encode(frame)
        return bytes(packet)


def _open() -> av.AudioCodecContext:
    codec = av.CodecContext.create("libopus", "w")
    assert isinstance(codec, av.AudioCodecContext)
    codec.bit_rate = BITRATE_BPS
    codec.format = av.AudioFormat("s16")
    codec.layout = "stereo"
    codec.sample_rate = SAMPLE_RATE
    codec.time_base = Fraction(1, SAMPLE_RATE)
    frame_ms = 1000 * FRAME_SAMPLES // SAMPLE_RATE
    codec.options = {"application": "audio", "frame_duration": str(frame_ms), "vbr": "constrained"}
    codec.open()
    assert codec.layout.nb_channels == CHANNELS
    return codec
