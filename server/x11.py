"""A connection to the X server, or one sentence on why there is none.

python-xlib speaks the protocol itself and needs no library of the system. A connection belongs to the thread that
opened it: the capture thread, the injecting thread and the thread that watches clipboard and cursor have one each.
"""

import logging
import os
import socket
import traceback
from typing import Any, TypeAlias

from latentcast.errors import UserError

log = logging.getLogger(__name__)

XDisplay: TypeAlias = Any
"""A connection, Xlib.display.Display (python-xlib publishes no types)."""
XWindow: TypeAlias = Any
"""A window on it, Xlib.xobject.drawable.Window."""

_NOT_ALLOWED = ("authoriz", "authoris", "no protocol specified", "not authorized")
"""What servers answer to a client without the right cookie; their words differ."""


def open_display(name: str | None = None) -> XDisplay:
    """A connection to the display `name`, by default that of DISPLAY. Blocks while the server does not answer.

    Raises UserError: no X here, Wayland alone, nobody there, or not allowed.
    """
    try:
        from Xlib import display
        from Xlib.error import DisplayError
    except ImportError as error:
        raise UserError(
            "the screen cannot be reached without python-xlib, which is missing: pip install python-xlib."
        ) from error
    name = name or os.environ.get("DISPLAY")
    if not name:
        raise UserError(_no_display())
    try:
        connection = display.Display(name)
    except (DisplayError, OSError, ValueError, AssertionError) as error:
        _close_sockets(error)
        raise UserError(_in_words(name, str(error))) from error
    if os.environ.get("WAYLAND_DISPLAY") and _is_xwayland(connection):
        connection.close()
        raise UserError(
            f"the X display {name} is Xwayland, which shows nothing of a Wayland desktop: {_WHAT_TO_DO_ON_WAYLAND}"
        )
    # Errors of requests without an answer arrive later, from windows that have just gone; python-xlib would print them.
    connection.set_error_handler(lambda problem, request: log.debug("X error: %s", problem))
    return connection


def _is_xwayland(connection: XDisplay) -> bool:
    """By its extension, which it has since version 23.1, or by the names of its monitors before."""
    if connection.has_extension("XWAYLAND"):
        return True
    if not connection.has_extension("RANDR"):
        return False
    monitors = connection.screen().root.xrandr_get_monitors(True).monitors
    return any(connection.get_atom_name(monitor.name).startswith("XWAYLAND") for monitor in monitors)


def _close_sockets(error: BaseException) -> None:
    """python-xlib forgets its sockets when it cannot connect. They are found where they were left."""
    cause: BaseException | None = error
    while cause is not None:
        for frame, _ in traceback.walk_tb(cause.__traceback__):
            for value in list(frame.f_locals.values()):
                # Not `value.socket`: a display that is half made asks itself for it for ever.
                left = getattr(value, "__dict__", {}).get("socket", value)
                if isinstance(left, socket.socket):
                    left.close()
        cause = cause.__context__


def window_gone() -> tuple[type[Exception], ...]:
    """What a request about a window raises when the window has gone, or left the screen, since one looked."""
    from Xlib.error import BadDrawable, BadMatch, BadWindow

    return BadWindow, BadDrawable, BadMatch


def connection_lost() -> tuple[type[Exception], ...]:
    """What any request raises when the X server has gone, or the connection makes no sense any more."""
    from Xlib.error import ConnectionClosedError, XError

    return ConnectionClosedError, XError, OSError


_WHAT_TO_DO_ON_WAYLAND = (
    'log in to a session of the kind "Xorg" or "X11", or open the server\'s page /publish in a browser there and share '
    "the screen from it."
)


def _no_display() -> str:
    if os.environ.get("WAYLAND_DISPLAY"):
        return (
            "this desktop is Wayland without X (WAYLAND_DISPLAY is set, DISPLAY is not), and only X11 screens can be "
            f"captured: {_WHAT_TO_DO_ON_WAYLAND}"
        )
    return (
        "there is no X display (DISPLAY is not set): start the server from within the desktop, or set DISPLAY, such as "
        "DISPLAY=:0."
    )


def _in_words(name: str, cause: str) -> str:
    cause = cause.strip().rstrip(".") or "no answer"
    if any(part in cause.lower() for part in _NOT_ALLOWED):
        return (
            f"the X display {name} does not let this user in ({cause}): start the server as the user of that desktop, "
            f"or set XAUTHORITY to its .Xauthority file."
        )
    return f"the X display {name} cannot be reached ({cause}): start it, or set DISPLAY to one that runs."
