"""What of this machine's screen can be captured, for `latentcast sources` and the dashboard."""

from dataclasses import dataclass
from typing import Literal

from codec.colour import Rectangle
from latentcast.errors import LatentcastError
from server.sources.screen_target import OutOfSight, WindowById, monitors, screen_size, windows
from server.x11 import open_display

_MAX_TITLE_CHARACTERS = 80


@dataclass(frozen=True, slots=True)
class ScreenEntry:
    """One thing that can be captured."""

    kind: Literal["desktop", "monitor", "window"]
    spec: str
    """What to give to `--source`."""
    name: str
    """The monitor's or window's own name, at most 80 characters."""
    region: Rectangle
    """x, y, width, height in screen pixels."""


def list_screens() -> list[ScreenEntry]:
    """Desktop, monitors from left to right, visible windows from front to back.

    Raises UserError where no X display can be reached, which says why.
    """
    display = open_display()
    try:
        size = screen_size(display)
        entries = [ScreenEntry("desktop", "screen", "whole desktop", (0, 0, *size))]
        for number, (name, region) in enumerate(monitors(display), start=1):
            entries.append(ScreenEntry("monitor", f"screen:monitor={number}", name, region))
        for window, title in windows(display):
            try:
                region = WindowById(window.id).locate(display)
            except OutOfSight:
                continue
            shown = "".join(c if c.isprintable() else " " for c in title)[:_MAX_TITLE_CHARACTERS]
            entries.append(ScreenEntry("window", f"screen:window={window.id:#x}", shown, region))
        return entries
    except OSError as error:
        raise LatentcastError(f"the X display went away while it was asked ({error}): try again.") from error
    finally:
        display.close()
