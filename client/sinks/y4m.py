"""Raw video for other programs: YUV4MPEG2 on standard output, at a constant rate.

A pipe has no times, so the rate must hold: a picture is repeated until the next one is due, and of two that fall into
one interval the newer is written. Every code value as decoded: 4:4:4, full range, BT.709.
"""

import os
import sys
from fractions import Fraction
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from client.sinks.base import SinkEnded, VideoFormat, write_error
from latentcast.errors import UserError

_MAX_BURST = 300
"""Repeats written at a time: a machine that slept for an hour does not write an hour of one picture at once."""


def standard_output() -> BinaryIO:
    """An unbuffered copy of standard output, so that a broken pipe is met here and not when Python ends.

    UserError when it is a terminal.
    """
    if sys.stdout.isatty():
        raise UserError("raw video would go to this terminal; pipe it: latentcast view --sink - | ffplay -")
    return open(os.dup(sys.stdout.fileno()), "wb", buffering=0)


class Y4mSink:
    """YUV4MPEG2, as mjpegtools' yuv4mpeg(5) has it, on a stream of bytes."""

    capacity = 30

    def __init__(self, output: BinaryIO, *, place: str = "standard output") -> None:
        """Takes over `output`, which must not be buffered."""
        self._output = output
        self._place = place
        self._fps = 30.0
        self._start_us = 0
        self._frames = 0
        """Frames written: the one after them is due at start + frames / fps."""
        self._pending: bytes | None = None
        """The newest picture; written when the interval that it belongs to is over."""
        self._bytes = 0

    @property
    def place(self) -> str:
        """Where it goes."""
        return self._place

    @property
    def size_bytes(self) -> int | None:
        """Bytes written."""
        return self._bytes

    def open(self, video: VideoFormat) -> None:
        """Write the header."""
        rate = Fraction(video.fps).limit_denominator(1001)
        self._fps = float(rate)
        self._put(
            f"YUV4MPEG2 W{video.width} H{video.height} F{rate.numerator}:{rate.denominator} Ip A1:1 C444 "
            "XCOLORRANGE=FULL XCOLORMATRIX=BT709\n".encode()
        )

    def write(self, planes: NDArray[np.uint8], at_us: int) -> None:
        """The picture is the one to show from the interval of `at_us` on."""
        if self._pending is None:
            self._start_us = at_us
        self._fill(at_us)
        self._pending = planes.tobytes()

    def wait(self, now_us: int) -> None:
        """Repeat the picture up to now."""
        self._fill(now_us)

    def close(self, now_us: int) -> None:
        """Write the last picture, unless nobody reads any more."""
        try:
            if self._pending is not None:
                self._fill(now_us)
                self._frame(self._pending)
        except (SinkEnded, UserError):
            pass
        finally:
            self._pending = None
            self._output.close()

    def _fill(self, now_us: int) -> None:
        """Write the pending picture for every interval that is over at `now_us`."""
        if self._pending is None:
            return
        due = round((now_us - self._start_us) * self._fps / 1e6)
        if due - self._frames > _MAX_BURST:
            # The gap is left out: the intervals of what follows begin now.
            self._start_us += round((due - self._frames - 1) * 1e6 / self._fps)
            due = self._frames + 1
        while self._frames < due:
            self._frame(self._pending)

    def _frame(self, data: bytes) -> None:
        self._put(b"FRAME\n")
        self._put(data)
        self._frames += 1

    def _put(self, data: bytes) -> None:
        view = memoryview(data)
        try:
            while view:
                # An unbuffered pipe may take a part only.
                written = self._output.write(view) or 0
                self._bytes += written
                view = view[written:]
        except BrokenPipeError:
            self._pending = None
            raise SinkEnded(f"{self._place} was closed by its reader") from None
        except OSError as error:
            self._pending = None
            raise write_error(self._place, error) from None
