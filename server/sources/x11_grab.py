"""Pictures of one rectangle of an X screen, through FFmpeg's x11grab, which PyAV brings along.

x11grab reads through shared memory and hands the X server's own pixels on without a copy, which takes half the time of
mss (docs/decisions/0008-screen-capture.md). What it grabs is fixed when it is opened, so another rectangle, or cursor
in the picture or not, means opening it again.
"""

import av

from codec.colour import Rectangle
from latentcast.errors import LatentcastError, UserError
from server.sources.base import monotonic_us

_UNPACED_HZ = 1000
"""x11grab sleeps until its own next frame is due. At a rate that nobody reads at it is always late and never sleeps."""


class GrabFailed(LatentcastError):
    """No picture could be had: the screen has become smaller, or the X server has gone."""


class X11Grab:
    """One rectangle of one display. Used by one thread."""

    def __init__(self, display_name: str, region: Rectangle, *, cursor: bool) -> None:
        """`region` (x, y, width, height) must lie within the screen; `cursor` draws the pointer into the pictures.

        Raises GrabFailed, and UserError where this build of FFmpeg has no x11grab.
        """
        self.region, self.cursor = region, cursor
        x, y, width, height = region
        options = {
            "video_size": f"{width}x{height}",
            "framerate": str(_UNPACED_HZ),
            "draw_mouse": "1" if cursor else "0",
            # One frame is enough to know the format by; the default grabs for longer.
            "probesize": "32",
            "analyzeduration": "0",
        }
        try:
            # The screen's number is part of the name, the corner comes after it.
            self._container = av.open(f"{display_name}+{x},{y}", format="x11grab", options=options)
        except ValueError as error:
            if "x11grab" not in av.formats_available:
                raise UserError(
                    "this build of PyAV has no x11grab, which captures the screen: install PyAV from PyPI "
                    "(pip install --force-reinstall av)."
                ) from error
            raise GrabFailed(f"the screen {display_name} cannot be captured ({error})") from error
        except (av.FFmpegError, OSError) as error:
            raise GrabFailed(f"the screen {display_name} cannot be captured ({error})") from error
        self._frames = self._container.decode(video=0)

    def grab(self) -> tuple[av.VideoFrame, int]:
        """What the rectangle shows now, 32 bits a pixel, and the instant before it was read, in monotonic microseconds.

        The frame shares memory with x11grab: drop it before the next but few. Raises GrabFailed.
        """
        captured_us = monotonic_us()
        try:
            frame = next(self._frames)
        except (av.FFmpegError, OSError, StopIteration) as error:
            raise GrabFailed(f"the screen cannot be captured ({error})") from error
        return frame, captured_us

    def close(self) -> None:
        """Give shared memory and connection back."""
        self._container.close()
