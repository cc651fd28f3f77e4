"""What of an X screen is captured: all of it, a monitor, a window or a region; and where that is at the moment.

    screen                      the whole desktop
    screen:monitor=2            the second monitor, counted from the left and from the top
    screen:region=640x360+100+50
    screen:window=Firefox       the window whose title has that in it, in whatever case
    screen:window=0x3a00007     the window of that id (xwininfo tells it)

A window is followed where it goes. What lies in front of it is seen too: the screen is captured, not the window.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from codec.colour import Rectangle
from latentcast.errors import LatentcastError, UserError
from server.sources.screen_geometry import clip
from server.x11 import XDisplay, XWindow, window_gone

SCREEN = "screen"
"""The name that such a source begins with."""

_MAX_DEPTH = 6
"""Window managers wrap a window in one to three frames; deeper ones are parts of a window."""
_MAX_WINDOWS = 4096
"""Looked at before the search for a title ends: a desktop has a few hundred."""


class OutOfSight(LatentcastError):
    """There is nothing to capture at the moment, in words for the user."""


class Target(Protocol):
    """A part of the screen."""

    def locate(self, display: XDisplay) -> Rectangle:
        """x, y, width, height in screen pixels, within the screen. Raises OutOfSight, and what python-xlib raises."""
        ...


def parse_target(spec: str) -> Target:
    """The target that `screen[:WHAT=WHICH]` names. Raises UserError."""
    name, colon, rest = spec.partition(":")
    if name != SCREEN:
        raise ValueError(f"{spec!r} names no screen")
    if not colon:
        return Desktop()
    what, equals, which = rest.partition("=")
    if what == "monitor" and re.fullmatch(r"[1-9]\d{0,2}", which):
        return Monitor(int(which))
    if what == "region" and (found := re.fullmatch(r"(\d{1,5})x(\d{1,5})\+(\d{1,5})\+(\d{1,5})", which)):
        width, height, x, y = (int(number) for number in found.groups())
        if min(width, height) >= 2:
            return Region((x, y, width, height))
    if what == "window" and equals and which.strip():
        if re.fullmatch(r"0x[0-9a-fA-F]{1,8}", which):
            return WindowById(int(which, 16))
        return WindowByTitle(which.strip())
    raise UserError(
        f"the source is {spec!r}, expected screen, screen:monitor=2, screen:region=640x360+100+50 or "
        f"screen:window=TITLE (`latentcast sources` lists monitors and windows)."
    )


def screen_size(display: XDisplay) -> tuple[int, int]:
    """Width and height of the whole desktop now; what the connection was told at its start may be out of date."""
    geometry = display.screen().root.get_geometry()
    return geometry.width, geometry.height


def monitors(display: XDisplay) -> list[tuple[str, Rectangle]]:
    """Name, and x, y, width, height of every monitor, from left to right, then from top to bottom."""
    root = display.screen().root
    if not display.has_extension("RANDR"):
        return [("screen", (0, 0, *screen_size(display)))]
    found = [
        (display.get_atom_name(m.name), (m.x, m.y, m.width_in_pixels, m.height_in_pixels))
        for m in root.xrandr_get_monitors(True).monitors
        if m.width_in_pixels and m.height_in_pixels
    ]
    return sorted(found, key=lambda monitor: monitor[1][:2]) or [("screen", (0, 0, *screen_size(display)))]


def windows(display: XDisplay) -> Iterator[tuple[XWindow, str]]:
    """Visible windows with a title, the frontmost first."""
    todo = [(display.screen().root, 0)]
    seen = 0
    while todo and seen < _MAX_WINDOWS:
        window, depth = todo.pop()
        seen += 1
        try:
            if depth:
                attributes = window.get_attributes()
                if attributes.map_state != _VIEWABLE:
                    continue
                title = window_title(display, window)
                if title:
                    yield window, title
                    continue
            if depth < _MAX_DEPTH:
                # query_tree lists the bottommost first, and the stack gives back the last.
                todo += [(child, depth + 1) for child in window.query_tree().children]
        except window_gone():
            continue


_VIEWABLE = 2
"""Xlib.X.IsViewable: the window and all its ancestors are mapped."""


def window_title(display: XDisplay, window: XWindow) -> str:
    """Title as the window manager shows it; empty without one."""
    modern = window.get_full_property(display.get_atom("_NET_WM_NAME"), 0, sizehint=256)
    if modern is not None and modern.format == 8 and modern.value:
        value = modern.value
        return value.decode(errors="replace") if isinstance(value, bytes) else str(value)
    old = window.get_wm_name()
    if isinstance(old, bytes):
        return old.decode("latin-1")
    return old or ""


def _within_screen(display: XDisplay, region: Rectangle, what: str) -> Rectangle:
    size = screen_size(display)
    inside = clip(region, size)
    if inside is None:
        x, y, width, height = region
        raise OutOfSight(
            f"{what} ({width}x{height} at {x},{y}) lies outside the screen, which is {size[0]}x{size[1]}: move it there"
        )
    return inside


@dataclass(frozen=True, slots=True)
class Desktop:
    """All monitors together."""

    def locate(self, display: XDisplay) -> Rectangle:
        """See `Target.locate`."""
        return 0, 0, *screen_size(display)


@dataclass(frozen=True, slots=True)
class Monitor:
    """A monitor by its number, from 1."""

    number: int

    def locate(self, display: XDisplay) -> Rectangle:
        """See `Target.locate`."""
        found = monitors(display)
        if self.number > len(found):
            raise OutOfSight(
                f"there is no monitor {self.number}, only {len(found)}: plug it in, or choose another "
                f"(`latentcast sources` lists them)"
            )
        return _within_screen(display, found[self.number - 1][1], f"monitor {self.number}")


@dataclass(frozen=True, slots=True)
class Region:
    """A part of the desktop that stays where it is."""

    region: Rectangle

    def locate(self, display: XDisplay) -> Rectangle:
        """See `Target.locate`."""
        return _within_screen(display, self.region, "the region")


def _place(display: XDisplay, window: XWindow, what: str) -> Rectangle:
    """Where a window's contents are. Raises what python-xlib does when it has gone."""
    geometry = window.get_geometry()
    corner = display.screen().root.translate_coords(window, 0, 0)
    # What the X server answers: the coordinates of the window's corner on the root, whatever wraps it.
    return _within_screen(display, (corner.x, corner.y, geometry.width, geometry.height), what)


@dataclass(frozen=True, slots=True)
class WindowById:
    """One window, for as long as it exists."""

    id: int

    def locate(self, display: XDisplay) -> Rectangle:
        """See `Target.locate`."""
        window = display.create_resource_object("window", self.id)
        try:
            if window.get_attributes().map_state != _VIEWABLE:
                raise OutOfSight(f"the window {self.id:#x} is minimised or hidden: bring it back to the screen")
            return _place(display, window, f"the window {self.id:#x}")
        except window_gone() as error:
            raise OutOfSight(f"there is no window {self.id:#x} (any more): start with another one") from error


@dataclass(slots=True)
class WindowByTitle:
    """The frontmost window with a title that contains `title`; once found it is kept, whatever its title becomes."""

    title: str
    _found: XWindow | None = None

    def locate(self, display: XDisplay) -> Rectangle:
        """See `Target.locate`."""
        window = self._known(display) or self._search(display)
        try:
            return _place(display, window, f"the window {self.title!r}")
        except window_gone() as error:
            raise self._missing() from error

    def _known(self, display: XDisplay) -> XWindow | None:
        window = self._found
        # Resources belong to the connection they came from.
        if window is None or window.display is not display.display:
            return None
        try:
            visible = window.get_attributes().map_state == _VIEWABLE
        except window_gone():
            self._found = None
            return None
        if not visible:
            raise OutOfSight(f"the window {self.title!r} is minimised or hidden: bring it back to the screen")
        return window

    def _search(self, display: XDisplay) -> XWindow:
        for window, title in windows(display):
            if self.title.lower() in title.lower():
                self._found = window
                return window
        raise self._missing()

    def _missing(self) -> OutOfSight:
        return OutOfSight(
            f"no visible window has {self.title!r} in its title: open it (`latentcast sources` lists the windows)"
        )
