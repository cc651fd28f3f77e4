"""The window in which a stream is watched: one thread, one picture, one loop.

`Window.run` owns the main thread (SDL wants it) and sleeps on the mailbox. It draws when there is something new to
see: a picture, a key, another size, fresh numbers. Scaling is SDL's, on the GPU where there is one.

Measured at 640x360 into 1280x720 under Xvfb on two idle cores, per picture: renderer on Mesa's OpenGL (itself software
there) 5.0 ms, SDL's own software renderer 8.6 ms; `display.set_mode` with `smoothscale` 8.1 ms, with nearest-neighbour
`scale` 6.8 ms. So the renderer is fastest where SDL finds OpenGL, Direct3D or Metal, and costs little elsewhere.
"""

import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from client.fit import letterbox, shrunk_to_fit
from client.overlay import paint_icon, paint_panel, paint_reason, paint_toast
from client.picture import Picture, PictureMailbox
from client.status import ViewStatus
from client.still import picture_surface, write_snapshot
from latentcast.errors import UserError

os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")
import pygame
from pygame._sdl2.video import SCALEQUALITY_LINEAR, Renderer, Texture

_WAIT_S = 0.02
"""Longest sleep between two looks at the keyboard: one 50 Hz tick, below what a key press is felt at."""
_REFRESH_US = 500_000
"""Twice a second a number can still be read before it changes."""
_TOAST_US = 4_000_000
_MIN_SIZE = (160, 90)
_DESKTOP_SHARE = 0.9
"""A new window leaves room for the desktop's bars and its own frame."""
_DIM = (84, 84, 84)
"""A third of the light: plainly not live, still recognisable."""
_KEYS = "i numbers  ·  f full screen  ·  s snapshot  ·  q quit"
_FIRST_FRAME = "Waiting for the first frame"
_BACKGROUND = (14, 16, 20)
_FULL = (255, 255, 255)
_SHORTCUT_MODIFIERS = pygame.KMOD_CTRL | pygame.KMOD_ALT | pygame.KMOD_META
"""A key held together with one of these belongs to the desktop."""

_PROBE = """
import pygame
pygame.display.init()
print(pygame.display.get_driver())
"""


def _monotonic_us() -> int:
    return time.monotonic_ns() // 1000


def display_available(*, timeout_s: float = 10.0) -> str | None:
    """None when a window can be opened here, otherwise one sentence that says why not.

    SDL is asked in a process of its own, which gets `timeout_s`: a display behind a dead tunnel takes the connection
    and never answers, which would hang the caller, and an SDL that aborts would take it along.
    """
    if (problem := _unset_display()) is not None:
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
    return _unasked_driver(probe.stdout.strip())


def _unset_display() -> str | None:
    """The commonest reason, told without starting anything: a console or a service without a desktop."""
    unix_desktop = sys.platform not in ("win32", "darwin")
    names = ("DISPLAY", "WAYLAND_DISPLAY", "SDL_VIDEODRIVER")
    if unix_desktop and not any(os.environ.get(name) for name in names):
        return "no display: neither DISPLAY nor WAYLAND_DISPLAY is set"
    return None


def _unasked_driver(driver: str) -> str | None:
    """Where no display opens SDL draws into memory instead: a window only for someone who asked for that by name."""
    if driver in ("offscreen", "dummy") and driver not in os.environ.get("SDL_VIDEODRIVER", ""):
        return _unset_display() or f"no display: {_display_name()} cannot be opened"
    return None


def _display_name() -> str:
    names = [f"{name}={os.environ[name]}" for name in ("WAYLAND_DISPLAY", "DISPLAY") if os.environ.get(name)]
    return " and ".join(names) or "the display"


class Window:
    """A resizable window that shows the newest picture of a mailbox.

    Keys: `i` shows or hides the numbers, `f` switches full screen (Esc leaves it), `s` writes a snapshot, `q` quits.
    """

    def __init__(
        self, *, title: str, size: tuple[int, int], panel: bool = True, clock_us: Callable[[], int] = _monotonic_us
    ) -> None:
        """Open the window, `size` in pixels, smaller when the desktop is. Main thread only.

        `panel`: whether the numbers are shown at first. `clock_us`: the monotonic clock of `on_presented`, in
        microseconds. UserError when SDL cannot open a window.
        """
        try:
            pygame.display.init()
            problem = _unasked_driver(pygame.display.get_driver())
            if problem is not None:
                raise pygame.error(problem)
            self._window = pygame.Window(title, shrunk_to_fit(size, _room()), resizable=True, allow_high_dpi=True)
            # No vsync: it would hold back every picture for up to one refresh of the screen.
            self._renderer = Renderer(self._window)
        except pygame.error as error:
            pygame.display.quit()
            raise UserError(f"cannot open a window: {error}; set a display, or watch without a window") from error
        self._window.minimum_size = _MIN_SIZE
        self._window.set_icon(paint_icon())
        self._clock_us = clock_us
        self._closed = False
        self._dirty = True
        self._full_screen = False
        self._panel_shown = panel
        self._picture: Picture | None = None
        self._picture_texture: Texture | None = None
        self._labels: dict[str, tuple[object, Texture]] = {}
        self._status = ViewStatus()
        self._toast: tuple[str, int] | None = None
        """Text, and when it goes."""

    def run(
        self,
        mailbox: PictureMailbox,
        status: Callable[[], ViewStatus],
        on_presented: Callable[[Picture, int], None],
        stop: threading.Event,
        *,
        snapshot_dir: Path,
    ) -> None:
        """Show pictures until the user quits or `stop` is set, then close the window. Main thread only.

        `on_presented(picture, now_us)` is called right after the flip that showed the picture for the first time.
        `status` is asked before every drawing, at least twice a second. All callbacks run in this thread.
        """
        refresh_us = self._clock_us()
        try:
            while not stop.is_set():
                picture = _next_picture(mailbox, stop)
                if picture is not None:
                    self._show(picture)
                if not self._handle_events(snapshot_dir):
                    return
                now_us = self._clock_us()
                due = now_us >= refresh_us
                if not (due or self._dirty):
                    continue
                if due:
                    refresh_us = now_us + _REFRESH_US
                self._draw(self._choose_status(status(), due=due), now_us)
                self._renderer.present()
                self._dirty = False
                if picture is not None:
                    on_presented(picture, self._clock_us())
        finally:
            self.close()

    def contents(self) -> pygame.Surface:
        """What the window shows, bars and overlay included, in its own pixels. Main thread, before `close`."""
        self._draw(self._status, self._clock_us())
        return self._renderer.to_surface()

    def close(self) -> None:
        """Close the window. It cannot be opened again; closing twice is fine."""
        if self._closed:
            return
        self._closed = True
        # Textures first, then the renderer, then the window: SDL frees what hangs on each of them.
        self._labels.clear()
        self._picture_texture = None
        del self._renderer
        self._window.destroy()
        pygame.display.quit()

    def _choose_status(self, fresh: ViewStatus, *, due: bool) -> ViewStatus:
        """The numbers change twice a second, the reason at once: it decides whether the picture is dimmed."""
        if due or fresh.reason != self._status.reason:
            self._status = fresh
        return self._status

    def _show(self, picture: Picture) -> None:
        if self._picture is None:
            self._say(_KEYS)
        self._picture = picture
        surface = picture_surface(picture.planes)
        texture = self._picture_texture
        if texture is None or (texture.width, texture.height) != picture.size:
            texture = Texture(self._renderer, picture.size, streaming=True, scale_quality=SCALEQUALITY_LINEAR)
            self._picture_texture = texture
        texture.update(surface)
        self._dirty = True

    def _say(self, text: str) -> None:
        self._toast = (text, self._clock_us() + _TOAST_US)
        self._dirty = True

    def _handle_events(self, snapshot_dir: Path) -> bool:
        """Take in what happened to the window since the last look; False when the user wants to leave."""
        for event in pygame.event.get():
            if event.type in (pygame.QUIT, pygame.WINDOWCLOSE):
                return False
            if event.type in (pygame.WINDOWSIZECHANGED, pygame.WINDOWEXPOSED):
                self._dirty = True
            elif event.type in (pygame.RENDER_TARGETS_RESET, pygame.RENDER_DEVICE_RESET):
                self._restore_textures()
            elif event.type == pygame.KEYDOWN and not event.dict.get("mod", 0) & _SHORTCUT_MODIFIERS:
                if event.key == pygame.K_q:
                    return False
                self._handle_key(event.key, snapshot_dir)
        return True

    def _handle_key(self, key: int, snapshot_dir: Path) -> None:
        if key == pygame.K_i:
            self._panel_shown = not self._panel_shown
            self._dirty = True
        elif key == pygame.K_f:
            self._set_full_screen(not self._full_screen)
        elif key == pygame.K_ESCAPE and self._full_screen:
            self._set_full_screen(False)
        elif key == pygame.K_s:
            self._snapshot(snapshot_dir)

    def _set_full_screen(self, wanted: bool) -> None:
        if wanted:
            self._window.set_fullscreen(desktop=True)
        else:
            self._window.set_windowed()
        pygame.mouse.set_visible(not wanted)
        self._full_screen = wanted
        self._dirty = True

    def _snapshot(self, folder: Path) -> None:
        if self._picture is None:
            self._say("There is no picture to save yet")
            return
        name = re.sub(r"[^\w.-]+", "-", self._status.stream).strip(".-") or "latentcast"
        stem = f"{name}-{datetime.now():%Y%m%d-%H%M%S}-frame{self._picture.frame_id}"
        try:
            path = write_snapshot(folder, self._picture.planes, stem=stem)
        except UserError as error:
            self._say(f"Not saved: {error}")
        else:
            self._say(f"Saved {path}")

    def _restore_textures(self) -> None:
        """A graphics driver that restarted has forgotten every texture."""
        self._labels.clear()
        self._picture_texture = None
        self._dirty = True
        if self._picture is not None:
            self._show(self._picture)

    def _draw(self, status: ViewStatus, now_us: int) -> None:
        view = self._renderer.get_viewport()
        if min(view.size) < 1:  # minimised
            return
        self._renderer.draw_color = _BACKGROUND
        self._renderer.clear()
        texture = self._picture_texture
        reason = status.reason or (None if texture else _FIRST_FRAME)
        if texture is not None:
            texture.color = _DIM if reason else _FULL
            texture.draw(dstrect=letterbox((texture.width, texture.height), view.size))
        occupied = pygame.Rect(0, 0, 0, 0)
        if reason:
            label = self._label("reason", (reason, view.size), lambda: paint_reason(reason, view.size))
            occupied = label.get_rect(center=view.center)
            label.draw(dstrect=occupied)
        margin = max(6, view.height // 60)
        if self._panel_shown and texture is not None:
            label = self._label("panel", (status, view.size), lambda: paint_panel(status, view.size))
            place = label.get_rect(topleft=(margin, margin))
            # What explains the silence outranks the numbers where a small window has no room for both.
            if not place.colliderect(occupied):
                label.draw(dstrect=place)
        if self._toast is not None:
            text, until_us = self._toast
            if now_us >= until_us:
                self._toast = None
                return
            label = self._label("toast", (text, view.size), lambda: paint_toast(text, view.size))
            label.draw(dstrect=label.get_rect(midbottom=(view.centerx, view.height - margin)))

    def _label(self, name: str, key: object, paint: Callable[[], pygame.Surface]) -> Texture:
        """Texture of one of the few labels, painted again only when `key` (all that it shows) has changed."""
        known = self._labels.get(name)
        if known is not None and known[0] == key:
            return known[1]
        texture = Texture.from_surface(self._renderer, paint())
        self._labels[name] = (key, texture)
        return texture


def _next_picture(mailbox: PictureMailbox, stop: threading.Event) -> Picture | None:
    """The newest picture, waiting for one no longer than the keyboard may."""
    picture = mailbox.take(_WAIT_S)
    if picture is None and mailbox.closed:
        # A closed box answers at once; the window stays open to say why, and must not spin.
        stop.wait(_WAIT_S)
    return picture


def _room() -> tuple[int, int]:
    """The part of the desktop that a new window may take, width and height in pixels."""
    width, height = pygame.display.get_desktop_sizes()[0]
    return round(width * _DESKTOP_SHARE), round(height * _DESKTOP_SHARE)
