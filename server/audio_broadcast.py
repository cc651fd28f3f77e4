"""A stream's sound to those of its viewers who listen.

    OpusEncoder ──▶ AudioBroadcast ──▶ AudioListener of each session ──▶ its audio track
                                            └── audio_clock, once a second ──▶ its control channel

The encoder runs while somebody listens. Each viewer's RTP time stamps begin elsewhere (RFC 3550 section 5.1), so each
gets its own `audio_clock`: from it and the clock offset follows when every sample was captured.
"""

import asyncio
import logging
from collections.abc import Callable

from latentcast.control import AudioClock
from server.audio import SAMPLE_RATE, AudioFeed
from server.opus import BITRATE_BPS, CodedAudio, OpusEncoder

log = logging.getLogger(__name__)

AUDIO_BPS = BITRATE_BPS + 8 * 20 * 50
"""What sound takes of a viewer's rate, bit/s: Opus, and 20 bytes of RTP header and extensions 50 times a second."""
CLOCK_INTERVAL_S = 1.0
CLOCK_ERROR_US = 1_000
"""The time line has moved by more: say so at once."""


class AudioListener:
    """One viewer. send(payload, time stamp) puts a frame on its track, rtp_of(time stamp) says what that is in RTP once
    known, announce(message) puts it on the control channel."""

    def __init__(
        self,
        *,
        send: Callable[[bytes, int], None],
        rtp_of: Callable[[int], int | None],
        announce: Callable[[AudioClock], object],
    ) -> None:
        self._send, self._rtp_of, self._announce = send, rtp_of, announce
        self._announced: CodedAudio | None = None

    def on_frame(self, frame: CodedAudio) -> None:
        """Send a frame, and what its time means where that is due."""
        self._send(frame.payload, frame.index)
        rtp = self._rtp_of(frame.index)
        if rtp is not None and self._is_due(frame):
            self._announced = frame
            self._announce(AudioClock(rtp=rtp, captured_us=max(0, frame.captured_us)))

    def _is_due(self, frame: CodedAudio) -> bool:
        before = self._announced
        if before is None:
            return True
        samples = frame.index - before.index
        moved_us = frame.captured_us - before.captured_us - samples * 1e6 / SAMPLE_RATE
        return samples >= CLOCK_INTERVAL_S * SAMPLE_RATE or abs(moved_us) > CLOCK_ERROR_US


class AudioBroadcast:
    """All methods belong to the event loop's thread."""

    def __init__(self, feed: AudioFeed) -> None:
        self._feed = feed
        self._loop = asyncio.get_running_loop()
        self._listeners: list[AudioListener] = []
        self._encoder: OpusEncoder | None = None
        self._ended: list[OpusEncoder] = []
        """Told to stop, and not waited for yet."""

    def add(self, listener: AudioListener) -> None:
        """One more who listens, from the next frame on."""
        self._listeners.append(listener)
        if self._encoder is None:
            self._encoder = OpusEncoder(self._feed, self._from_thread)
            self._encoder.start()

    def remove(self, listener: AudioListener) -> None:
        """One who does not listen any more; nothing happens if it never did."""
        if listener in self._listeners:
            self._listeners.remove(listener)
            if not self._listeners:
                self._end_encoder()

    async def stop(self) -> None:
        """End the thread."""
        self._listeners.clear()
        self._end_encoder()
        for encoder in self._ended:
            await self._loop.run_in_executor(None, encoder.join)
        self._ended.clear()

    def _end_encoder(self) -> None:
        if self._encoder is not None:
            self._encoder.stop()
            # Those that ended long ago need no waiting for.
            self._ended = [encoder for encoder in self._ended if encoder.alive] + [self._encoder]
            self._encoder = None

    def _from_thread(self, frame: CodedAudio) -> None:
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._on_frame, frame)

    def _on_frame(self, frame: CodedAudio) -> None:
        for listener in list(self._listeners):
            listener.on_frame(frame)
