"""Clips from files, one after the other and round again, at the pace they were recorded.

    VideoReader ── frames of all clips on one endless time line ── wait until due ── convert into the middle of black
    Soundtrack ─── sound on the same line ── put when due, while pictures are waited for ── AudioFeed

Capture time is the instant the frame was due, or that it was taken when the reader is late: decoding runs ahead of it
and does not count, conversion comes after it and does, as with a camera.
"""

import logging
from collections.abc import Callable, Generator, Sequence
from pathlib import Path
from typing import NamedTuple

import av
import numpy as np
from numpy.typing import NDArray

from codec.colour import Rectangle, ToPlanes, fit_rectangle, paint_border
from codec.video_io import VideoReader
from latentcast.errors import LatentcastError, UserError
from server.audio import AudioFeed
from server.sources.base import (
    MIN_SIDE,
    SourceClosed,
    Waiter,
    check_picture,
    check_planes,
    monotonic_us,
    picture_size,
)
from server.sources.soundtrack import Soundtrack

_log = logging.getLogger(__name__)

_MAX_LATE_s = 0.5
"""Later than this, the time line moves on instead of frames being skipped: after a suspended laptop or a stalled
reader the clip goes on where it was, and a machine too slow to decode plays slowly rather than not at all."""

_TICK_TOLERANCE = 0.25
"""Share of an interval (the clip's or the output's, whichever is shorter) by which a frame may be shown early when
resampled. Absorbs times rounded to milliseconds, which would otherwise double one frame and drop the next."""


class _Timed(NamedTuple):
    """A decoded frame and its place on the endless time line."""

    due_s: float
    interval_s: float
    frame: av.VideoFrame
    rectangle: Rectangle


class FileSource:
    """Video files as a live source, looped for ever; implements `Source`.

    `size` (width, height) of the picture; by default that of the first clip, evened and fitted into 64..1920 x
    64..1088. Clips keep their shape, centred on black. With `fps` frames are dropped and repeated to that rate;
    without, each is shown at its own time. The time line has no gap between clips; where opening the next one takes
    longer than a frame lasts, its first frame is that much late. A clip that cannot be read (any more) is skipped with
    a warning. Raises UserError if any file is unusable at the start.
    """

    frames_skipped: int
    """Frames decoded but not shown because their time had passed, or that did not fit the frame rate asked for."""

    def __init__(
        self,
        paths: Sequence[Path],
        *,
        size: tuple[int, int] | None = None,
        fps: float | None = None,
        clock: Callable[[], int] = monotonic_us,
        wait: Callable[[float], object] | None = None,
    ) -> None:
        if not paths:
            raise UserError("no video file was given, expected at least one: name a file")
        check_picture(size=size, fps=fps)
        self._paths = list(paths)
        self._to_planes = ToPlanes()
        sizes_and_rates = [self._probe(path) for path in self._paths]
        self._sound = Soundtrack() if any(has_audio for _, _, has_audio in sizes_and_rates) else None
        self._size = size or picture_size(*sizes_and_rates[0][0])
        self._fps = fps or sizes_and_rates[0][1]
        self._resample = fps is not None
        self._waiter = Waiter(clock=clock, wait=wait)
        self._broken: set[Path] = set()
        self._playing = self._play()
        self._start_us: float | None = None
        self._ticks = 0
        self._shown: _Timed | None = None
        self._ahead: _Timed | None = None
        self.frames_skipped = 0

    @property
    def kind(self) -> str:
        """See `Source.kind`."""
        return "file"

    @property
    def audio(self) -> AudioFeed | None:
        """The clips' sound, in time with their pictures; None when none of them has any."""
        return None if self._sound is None else self._sound.feed

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) of the picture."""
        return self._size

    @property
    def fps(self) -> float:
        """The frame rate asked for, else the first clip's."""
        return self._fps

    def read(self, planes: NDArray[np.uint8], *, frame_id: int) -> int:
        """See `Source.read`. Raises LatentcastError when none of the clips can be played any more."""
        check_planes(planes, self._size)
        timed, due_us = self._next_tick() if self._resample else self._next_frame()
        captured_us = self._wait(due_us)
        x, y, w, h = timed.rectangle
        paint_border(planes, timed.rectangle)
        self._to_planes(timed.frame, width=w, height=h, out=planes[:, y : y + h, x : x + w])
        return captured_us

    def interrupt(self) -> None:
        """See `Source.interrupt`."""
        self._waiter.interrupt()

    def close(self) -> None:
        """Close the file that is playing."""
        self._playing.close()
        if self._sound is not None:
            self._sound.close()
        self._shown = self._ahead = None

    def _wait(self, due_us: float) -> int:
        """Block until the clock shows `due_us`, and put the sound that is due until then at its own times."""
        while self._sound is not None and self._start_us is not None:
            sound_s = self._sound.due_s()
            if sound_s is None or self._start_us + sound_s * 1e6 >= due_us:
                break
            sound_us = self._start_us + sound_s * 1e6
            self._waiter.until(sound_us)
            self._sound.put(round(sound_us))
        return self._waiter.until(due_us)

    def _next_frame(self) -> tuple[_Timed, float]:
        """The next frame at its own time. Late frames are skipped for as long as that makes up time."""
        timed = self._advance()
        due_us, late_us = self._lateness(timed.due_s)
        while late_us > timed.interval_s * 1e6:
            later = self._advance()
            self.frames_skipped += 1
            before_us, timed = late_us, later
            due_us, late_us = self._lateness(timed.due_s)
            if late_us >= before_us:
                break
        return timed, due_us

    def _next_tick(self) -> tuple[_Timed, float]:
        """The frame to show at the next tick of the frame rate asked for: a new one, or the last again."""
        due_us, late_us = self._lateness(self._ticks / self._fps)
        missed = int(late_us * self._fps / 1e6)
        if missed > 0:
            self._ticks += missed
            due_us, _ = self._lateness(self._ticks / self._fps)
        tick_s, interval_s = self._ticks / self._fps, 1 / self._fps
        self._ticks += 1
        fresh = 0
        while (
            self._shown is None
            or self._ahead is None
            or self._ahead.due_s <= tick_s + _TICK_TOLERANCE * min(interval_s, self._ahead.interval_s)
        ):
            fresh += self._ahead is not None
            self._shown, self._ahead = self._ahead or self._shown, self._advance()
        self.frames_skipped += max(0, fresh - 1)
        return self._shown, due_us

    def _advance(self) -> _Timed:
        """Decode the next frame of the time line. After a LatentcastError everything starts over with the next call."""
        try:
            return next(self._playing)
        except StopIteration:
            raise SourceClosed("the files were closed") from None
        except LatentcastError:
            self._playing = self._play()
            if self._sound is not None:
                self._sound.close()
            self._start_us, self._ticks = None, 0
            self._shown = self._ahead = None
            raise

    def _lateness(self, due_s: float) -> tuple[float, float]:
        """(when something is due, by how much that has passed), both us; the time line moves if it is too much."""
        now_us = self._waiter.clock()
        if self._start_us is None:
            self._start_us = now_us - due_s * 1e6
        late_us = now_us - (self._start_us + due_s * 1e6)
        if late_us > _MAX_LATE_s * 1e6:
            self._start_us += late_us
            late_us = 0.0
        return self._start_us + due_s * 1e6, late_us

    def _play(self) -> Generator[_Timed, None, None]:
        """All frames of all clips, again and again, on one time line; holds one file open at a time."""
        clip_start_s = 0.0
        silent = 0
        while True:
            for path in self._paths:
                clip_s = 0.0
                problem = "it holds no frame"
                try:
                    with VideoReader(path) as reader:
                        if self._sound is not None:
                            self._sound.begin(path, at_s=clip_start_s, start_s=reader.start_s)
                        rectangle = fit_rectangle(reader.width, reader.height, *self._size)
                        interval_s = float(1 / reader.fps)
                        for seconds, frame in reader.frames():
                            yield _Timed(clip_start_s + seconds, interval_s, frame, rectangle)
                            clip_s = seconds + interval_s
                    self._broken.discard(path)
                except UserError as error:
                    problem = str(error)
                    if path not in self._broken:
                        _log.warning("going on with the next clip: %s", error)
                    self._broken.add(path)
                clip_start_s += clip_s
                silent = 0 if clip_s else silent + 1
                if silent >= len(self._paths):
                    raise LatentcastError(
                        f"none of {len(self._paths)} clips can be played any more, the last because {problem}: "
                        "put the files back"
                    )

    def _probe(self, path: Path) -> tuple[tuple[int, int], float, bool]:
        """Size, rate and whether there is sound, of a clip whose first frame could be decoded and converted."""
        with VideoReader(path) as reader:
            _, frame = next(reader.frames())
            self._to_planes(frame, width=MIN_SIDE, height=MIN_SIDE)
            return (reader.width, reader.height), float(reader.fps), reader.has_audio
