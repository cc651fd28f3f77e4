"""The sound of clips that are played one after the other, on the time line of their pictures.

    begin(clip, at) ──▶ frames of sound, each due at its own time, until the next clip begins ──▶ AudioFeed

A clip without sound, or whose sound cannot be decoded, is silent; its pictures are not touched by that.
"""

import logging
import os
from collections import deque
from collections.abc import Generator
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import av

from server.audio import AudioFeed, AudioIn

log = logging.getLogger(__name__)

_MAX_BAD_PACKETS = 50
"""Undecodable packets in a row before a clip goes on in silence: about a second."""


class _Sound(NamedTuple):
    due_s: float
    frame: av.AudioFrame


class Soundtrack:
    """Driven by the thread that reads the pictures. At most two clips are open: the one that is heard, and the next."""

    def __init__(self) -> None:
        self.feed = AudioFeed()
        self._put = AudioIn(self.feed)
        self._clips: deque[tuple[float, Generator[_Sound, None, None]]] = deque()
        """(where on the time line it begins, its frames)."""
        self._next: _Sound | None = None

    def begin(self, path: Path, *, at_s: float, start_s: float) -> None:
        """A clip begins at `at_s` of the time line with what the file has at `start_s`; the one before ends there."""
        self._clips.append((at_s, _frames(path, at_s=at_s, start_s=start_s)))
        while len(self._clips) > 2:
            self._drop_first()

    def due_s(self) -> float | None:
        """When on the time line the next frame of sound is to be put; None while there is none."""
        while self._clips:
            end_s = self._clips[1][0] if len(self._clips) > 1 else None
            if self._next is None:
                self._next = next(self._clips[0][1], None)
            if self._next is not None and (end_s is None or self._next.due_s < end_s):
                return self._next.due_s
            if end_s is None:
                return None
            self._drop_first()
        return None

    def put(self, captured_us: int) -> None:
        """Put the frame that is due; it was captured at `captured_us`, monotonic clock."""
        if self._next is not None:
            sound, self._next = self._next, None
            self._put.put(sound.frame, captured_us)

    def close(self) -> None:
        """Close the files."""
        while self._clips:
            self._drop_first()

    def _drop_first(self) -> None:
        _, frames = self._clips.popleft()
        frames.close()
        self._next = None


def _frames(path: Path, *, at_s: float, start_s: float) -> Generator[_Sound, None, None]:
    """Frames of a file's best sound from `start_s` on, at their places on the time line."""
    try:
        with closing(av.open(os.fspath(path))) as container:
            stream = container.streams.best("audio")
            if not isinstance(stream, av.AudioStream):
                return
            seconds = 0.0
            bad = 0
            for packet in container.demux(stream):
                try:
                    frames = packet.decode()
                except av.FFmpegError:
                    bad += 1
                    if bad > _MAX_BAD_PACKETS:
                        raise
                    continue
                for frame in frames:
                    bad = 0
                    if frame.time is not None:
                        seconds = frame.time - start_s
                    begins_s = seconds
                    seconds += frame.samples / frame.sample_rate
                    if seconds > 0:
                        yield _Sound(at_s + begins_s, frame)
    except (av.FFmpegError, OSError) as error:
        log.warning("%s goes on without sound: %s", path, error)
