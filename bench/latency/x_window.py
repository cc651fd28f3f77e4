"""Where a program's window is on an X screen."""

from collections.abc import Iterator
from typing import Any, NamedTuple

from server.x11 import open_display, window_gone

_MIN_SIDE = 64
"""Smaller windows are tooltips and other helpers, not the viewer's."""


class Place(NamedTuple):
    """The inside of a window, without the frame that a window manager draws, in pixels of the screen."""

    left: int
    top: int
    width: int
    height: int


class WindowFinder:
    """A connection to an X server that looks for the window of a process."""

    def __init__(self, display: str) -> None:
        """display: as in $DISPLAY. Raises UserError when it cannot be opened."""
        self._display = open_display(display)
        self._gone = window_gone()
        self._root = self._display.screen().root
        self._pid = self._display.intern_atom("_NET_WM_PID")

    def find(self, pid: int) -> Place | None:
        """The largest visible window of that process, or None while there is none."""
        places = [place for window in self._tree(self._root) if (place := self._place(window, pid)) is not None]
        return max(places, key=lambda place: place.width * place.height, default=None)

    def find_other(self, pid: int) -> int | None:
        """Process of the largest visible window that belongs to another one, or None."""
        found: dict[int, int] = {}
        for window in self._tree(self._root):
            owner = self._owner(window)
            place = None if owner is None or owner == pid else self._place(window, owner)
            if owner is not None and place is not None:
                found[owner] = max(found.get(owner, 0), place.width * place.height)
        return max(found, key=lambda owner: found[owner], default=None)

    def move(self, pid: int, left: int, top: int) -> None:
        """Put the windows of that process there: where no window manager does."""
        for window in list(self._tree(self._root)):
            if self._place(window, pid) is not None:
                window.configure(x=left, y=top)
        self._display.sync()

    def focus(self, pid: int) -> None:
        """Give the keyboard to that process's window: where no window manager does."""
        for window in list(self._tree(self._root)):
            if self._place(window, pid) is not None:
                window.set_input_focus(1, 0)
        self._display.sync()

    def screen_size(self) -> tuple[int, int]:
        """Width and height in pixels."""
        screen = self._display.screen()
        return int(screen.width_in_pixels), int(screen.height_in_pixels)

    def vendor(self) -> str:
        """Who made the X server, and its release number."""
        info = self._display.display.info
        return f"{info.vendor}, release {info.release_number}"

    def close(self) -> None:
        """Leave the server."""
        self._display.close()

    def _tree(self, window: Any) -> Iterator[Any]:
        try:
            children = window.query_tree().children
        except self._gone:
            return  # it closed while we looked
        for child in children:
            yield child
            yield from self._tree(child)

    def _owner(self, window: Any) -> int | None:
        try:
            owner = window.get_full_property(self._pid, 0)
        except self._gone:
            return None
        return None if owner is None or not len(owner.value) else int(owner.value[0])

    def _place(self, window: Any, pid: int) -> Place | None:
        try:
            if self._owner(window) != pid or window.get_attributes().map_state != 2:
                return None
            size = window.get_geometry()
            if min(size.width, size.height) < _MIN_SIDE:
                return None
            origin = window.translate_coords(self._root, 0, 0)
        except self._gone:
            return None
        # The reply says where the root's origin is, seen from the window.
        return Place(-origin.x, -origin.y, size.width, size.height)
