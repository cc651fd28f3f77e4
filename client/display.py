"""Whether a window can be opened here, found out before anything depends on it."""

import os
import subprocess
import sys

_PROBE = """
import pygame
pygame.display.init()
print(pygame.display.get_driver())
"""


def display_available(*, timeout_s: float = 10.0) -> str | None:
    """None when a window can be opened here, otherwise one sentence that says why not.

    SDL is asked in a process of its own, which gets `timeout_s`: a display behind a dead tunnel takes the connection
    and never answers, which would hang the caller, and an SDL that aborts would take it along.
    """
    if (problem := unset_display()) is not None:
        return problem
    try:
        probe = subprocess.run(
            # -P: a file called pygame.py in the current folder is not meant.
            [sys.executable, "-P", "-c", _PROBE],
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"no display: {_display_name()} did not answer within {timeout_s:g} s"
    except OSError as error:
        return f"no display: {_display_name()} could not be tried out ({error})"
    if probe.returncode != 0:
        lines = probe.stderr.strip().splitlines() or [f"exit code {probe.returncode}"]
        return f"no display: SDL cannot open {_display_name()} ({lines[-1]})"
    return unasked_driver(probe.stdout.strip())


def unset_display() -> str | None:
    """The commonest reason, told without starting anything: a console or a service without a desktop."""
    unix_desktop = sys.platform not in ("win32", "darwin")
    names = ("DISPLAY", "WAYLAND_DISPLAY", "SDL_VIDEODRIVER")
    if unix_desktop and not any(os.environ.get(name) for name in names):
        return "no display: neither DISPLAY nor WAYLAND_DISPLAY is set"
    return None


def unasked_driver(driver: str) -> str | None:
    """Where no display opens SDL draws into memory instead: a window only for someone who asked for that by name."""
    if driver in ("offscreen", "dummy") and driver not in os.environ.get("SDL_VIDEODRIVER", ""):
        return unset_display() or f"no display: {_display_name()} cannot be opened"
    return None


def _display_name() -> str:
    names = [f"{name}={os.environ[name]}" for name in ("WAYLAND_DISPLAY", "DISPLAY") if os.environ.get(name)]
    return " and ".join(names) or "the display"
