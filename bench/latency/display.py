"""An X display for the measurement: the user's own, or an Xvfb that lives as long as the measurement."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from latentcast.errors import UserError

SCREEN_PIXELS = (1280, 800)
"""Of an Xvfb: room for the viewer's first window, 960x540, and little more, since every pixel costs memory."""

STOP_TIMEOUT_S = 5.0


@dataclass(frozen=True, slots=True)
class Display:
    """An X server that windows can be opened on."""

    name: str
    """As in $DISPLAY, such as `:0`."""
    virtual: bool
    """An Xvfb: no monitor, no compositor, nobody who looks."""

    def environment(self) -> dict[str, str]:
        """For a program that shall open its window there, and through X11 also where there is Wayland."""
        environment = {name: value for name, value in os.environ.items() if name != "WAYLAND_DISPLAY"}
        return environment | {"DISPLAY": self.name, "SDL_VIDEODRIVER": "x11"}


@contextmanager
def x_display(*, virtual: bool = False, size: tuple[int, int] = SCREEN_PIXELS) -> Iterator[Display]:
    """The user's X display, unless there is none or `virtual` is asked for: then an Xvfb of `size` pixels.

    Raises UserError when there is neither.
    """
    own = os.environ.get("DISPLAY")
    if own and not virtual:
        yield Display(own, virtual=False)
        return
    if sys.platform == "win32" or shutil.which("Xvfb") is None:
        seen = "DISPLAY is not set" if not own else "a display of its own was asked for"
        raise UserError(
            f"{seen} and there is no Xvfb on this machine, so the viewer's window has no screen to be grabbed from; "
            "run this in an X session, or install Xvfb (package xvfb)."
        )
    with _xvfb(size) as name:
        yield Display(name, virtual=True)


@contextmanager
def _xvfb(size: tuple[int, int]) -> Iterator[str]:
    read_end, write_end = os.pipe()
    screen = f"{size[0]}x{size[1]}x24"
    with os.fdopen(read_end) as answer:
        process = subprocess.Popen(
            ["Xvfb", "-displayfd", str(write_end), "-screen", "0", screen, "-nolisten", "tcp", "-noreset"],
            pass_fds=[write_end],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            # Control-C is for the measurement, which still has windows there.
            start_new_session=True,
        )
        os.close(write_end)
        try:
            # It says which display it took once that can be used, and nothing when it fails.
            number = answer.readline().strip()
            if not number:
                raise UserError(
                    f"Xvfb did not start (exit code {process.wait(STOP_TIMEOUT_S)}); see what `Xvfb :99` says."
                )
            yield f":{number}"
        finally:
            process.terminate()
            try:
                process.wait(STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
