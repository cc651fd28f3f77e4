"""The window in which streams are watched: one thread, one picture of each, one loop.

    window_loop.py ──▶ events ──▶ keys.py ──▶ Window: what the user wants
         │  ▲                                 ├─ Pane per stream: newest picture, or why there is none
       sleeps on a bell that mailboxes ring    └─ hud.py: numbers, badges, tabs, help, messages

SDL wants the main thread. A window draws when there is something new to see: a picture, a key, another size, fresh
numbers. Scaling is SDL's, on the GPU where there is one.

Measured at 640x360 into 1280x720 under Xvfb on two idle cores, per picture: renderer on Mesa's OpenGL (itself software
there) 5.0 ms, SDL's own software renderer 8.6 ms; `display.set_mode` with `smoothscale` 8.1 ms, with nearest-neighbour
`scale` 6.8 ms. So the renderer is fastest where SDL finds OpenGL, Direct3D or Metal, and costs little elsewhere.
"""

import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path

os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")
import pygame
from pygame._sdl2.video import Renderer

from client.canvas import Canvas
from client.channel import Channel
from client.display import unasked_driver
from client.fit import Box, grid_cells, shrunk_to_fit
from client.hud import Hud, View
from client.keys import Action, Clicks, Command, command_of
from client.overlay import paint_icon
from client.pane import SPINNER_STEP_US, Pane
from client.snapshot import save_picture
from client.tabs import bar_height, tab_at
from client.volume import Volume
from latentcast.errors import UserError

_REFRESH_US = 500_000
"""Twice a second a number can still be read before it changes."""
_IDLE_US = 2_500_000
"""A pointer that rests this long is in the way of the picture."""
_MIN_SIZE = (160, 90)
_DESKTOP_SHARE = 0.9
"""A new window leaves room for the desktop's bars and its own frame."""
_STEP = 40
"""Units of the desktop by which one window is moved aside from another: its title bar stays visible."""
_BACKGROUND = (14, 16, 20)
_GRID_GAP_PX = 4
_HINT = "h lists the keys"


def _monotonic_us() -> int:
    return time.monotonic_ns() // 1000


class Window:
    """A resizable window that shows the newest pictures of one or more streams. Main thread only."""

    def __init__(
        self,
        channels: Sequence[Channel],
        *,
        size: tuple[int, int],
        folder: Path,
        panel: bool = True,
        follow_shape: bool = False,
        scale: float | None = None,
        volume: float = 1.0,
        nth: int = 0,
        clock_us: Callable[[], int] = _monotonic_us,
    ) -> None:
        """Open the window, `size` in units of the desktop, smaller when the desktop is.

        `folder`: where snapshots go. `panel`: whether the numbers are shown at first. `follow_shape`: take the shape
        of the first picture. `scale`: pixels in one unit of the desktop; None asks the desktop. `volume`: at first, 0
        to 1. `nth`: moved aside by so many steps from where the first window comes. `clock_us`: the monotonic clock of
        `on_presented`, in us. UserError when SDL cannot open a window.
        """
        self._name = ", ".join(channel.name for channel in channels)
        self._title = f"Latentcast: {self._name}"
        try:
            pygame.display.init()
            problem = unasked_driver(pygame.display.get_driver())
            if problem is not None:
                raise pygame.error(problem)
            self._window = pygame.Window(self._title, shrunk_to_fit(size, _room()), resizable=True, allow_high_dpi=True)
            # No vsync: it would hold back every picture for up to one refresh of the screen.
            self._renderer = Renderer(self._window)
        except pygame.error as error:
            pygame.display.quit()
            raise UserError(f"cannot open a window: {error}; set a display, or watch without a window") from error
        self.id = int(self._window.id)
        """SDL's number of the window, which its events carry."""
        if nth:
            left, top = self._window.position
            self._window.position = left + nth * _STEP, top + nth * _STEP
        self._window.minimum_size = _MIN_SIZE
        self._window.set_icon(paint_icon())
        self._canvas = Canvas(self._renderer)
        self._panes = [Pane(channel, self._canvas) for channel in channels]
        self._hud = Hud(self._canvas, panel=panel)
        self._folder = folder
        self._clock_us = clock_us
        self._scale = scale
        self._follow_shape = follow_shape
        self.closed = False
        self.quit = False
        """The user wants to leave, and all windows with this one."""
        self._dirty = True
        self._refresh_us = clock_us()
        self._full_screen = self._on_top = self._grid = False
        self._active = 0
        self._volume = Volume(self._panes, volume)
        self._clicks = Clicks()
        self._pointer: tuple[int, int] | None = None
        """In the window's coordinates, once it was seen there."""
        self._moved_us = clock_us()
        self._pointer_shown = True
        self._places: list[tuple[Pane, Box]] = []
        """What was drawn last, and where."""
        self._volume.apply(self._active)

    # -- the loop

    def step(self) -> None:
        """Take in new pictures, and draw if there is a reason to."""
        if self.closed:
            return
        now_us = self._clock_us()
        visible = self._visible()
        for pane in self._panes:
            pane.channel.tick()
            first = pane.picture is None
            if pane.take(now_us, visible=pane in visible):
                self._dirty = True
                if first and pane.picture is not None:
                    self._on_first_picture(pane.picture.size)
            if (notice := pane.channel.notice()) is not None:
                self._say(notice)
        self._hide_resting_pointer(now_us)
        due = now_us >= self._refresh_us
        if not (due or self._dirty):
            return
        if due:
            turning = any(pane.turning for pane in visible)
            self._refresh_us = now_us + (SPINNER_STEP_US if turning else _REFRESH_US)
        for pane in self._panes:
            pane.refresh(due=due)
        # A stream may have got its sound only now.
        self._volume.apply(self._active)
        self._name_window()
        self._draw(now_us)
        self._renderer.present()
        self._dirty = False
        shown_us = self._clock_us()
        for pane in visible:
            pane.presented(shown_us)

    def handle(self, event: pygame.event.Event) -> None:
        """Take in one event of this window."""
        if self.closed:
            return
        pane, ratio = self._panes[self._active], self._ratio()
        hook = pane.channel.hook
        if event.type == pygame.WINDOWCLOSE:
            self.close()
        elif event.type in (pygame.WINDOWSIZECHANGED, pygame.WINDOWEXPOSED):
            self._dirty = True
        elif event.type in (pygame.RENDER_TARGETS_RESET, pygame.RENDER_DEVICE_RESET):
            self._restore_textures()
        elif hook is not None and hook(event, pane.area(ratio)):
            pass
        elif event.type == pygame.MOUSEMOTION:
            self._on_motion(event.pos)
        elif event.type == pygame.MOUSEBUTTONDOWN and event.button == pygame.BUTTON_LEFT:
            self._on_motion(event.pos)
            self._on_press(event.pos)
        elif (command := command_of(event)) is not None:
            self._obey(command)

    @property
    def driving(self) -> bool:
        """Whether what the user does goes to a remote desktop."""
        return not self.closed and self._panes[self._active].channel.driving()

    def contents(self) -> pygame.Surface:
        """What the window shows, bars and overlay included, in pixels of the screen. Before `close`."""
        self._draw(self._clock_us())
        return self._renderer.to_surface()

    def close(self) -> None:
        """Close the window. It cannot be opened again; closing twice is fine."""
        if self.closed:
            return
        self.closed = True
        # Textures first, then the renderer, then the window: SDL frees what hangs on each of them.
        for pane in self._panes:
            pane.forget()
        self._canvas.forget()
        del self._renderer, self._canvas.renderer
        self._window.destroy()
        for pane in self._panes:
            pane.channel.on_closed()

    # -- what the user wants

    def _obey(self, command: Command) -> None:
        pane = self._panes[self._active]
        several = len(self._panes) > 1
        match command.action:
            case Action.QUIT:
                self.quit = True
            case Action.NUMBERS:
                self._hud.panel = not self._hud.panel
            case Action.HELP:
                self._hud.help = not self._hud.help
            case Action.FULL_SCREEN:
                self._set_full_screen(not self._full_screen)
            case Action.LEAVE:
                if self._hud.help:
                    self._hud.help = False
                elif self._full_screen:
                    self._set_full_screen(False)
            case Action.PAUSE:
                pane.paused = not pane.paused and pane.picture is not None
                self._volume.apply(self._active)
            case Action.SNAPSHOT:
                self._say(save_picture(pane.picture, self._folder, stream=pane.status.stream))
            case Action.RECORD:
                self._record(pane)
            case Action.MUTE:
                self._say(self._volume.mute(self._active))
            case Action.LOUDER | Action.QUIETER:
                self._say(self._volume.change(self._active, louder=command.action is Action.LOUDER))
            case Action.ZOOM:
                pane.actual = not pane.actual
                self._say("Real pixels" if pane.actual else "Fitted to the window")
            case Action.ON_TOP:
                self._on_top = self._window.always_on_top = not self._on_top
                self._say("Always on top" if self._on_top else "No longer on top")
            case Action.NEXT | Action.PREVIOUS if several:
                step_by = 1 if command.action is Action.NEXT else -1
                self._select((self._active + step_by) % len(self._panes))
            case Action.SELECT if several and command.index < len(self._panes):
                self._select(command.index)
            case Action.GRID if several:
                self._grid = not self._grid
        self._dirty = True

    def _on_motion(self, position: tuple[int, int]) -> None:
        self._pointer, self._moved_us = position, self._clock_us()
        if not self._pointer_shown:
            self._pointer_shown = True
            pygame.mouse.set_visible(True)
            self._dirty = True
        # Too large a picture follows the pointer.
        self._dirty = self._dirty or self._panes[self._active].actual

    def _on_press(self, position: tuple[int, int]) -> None:
        double = self._clicks.press(position, self._clock_us())
        x, y = (round(value * self._ratio()) for value in position)
        view = self._canvas.view
        if self._bar_px() and y < self._bar_px():
            index = tab_at(x, len(self._panes), view.size, self._text_scale())
            if index is not None:
                self._select(index)
            return
        if self._grid:
            for index, (_, box) in enumerate(self._places):
                if pygame.Rect(box).collidepoint(x, y):
                    self._select(index)
                    self._grid = not double
                    self._dirty = True
        elif double:
            self._set_full_screen(not self._full_screen)

    def _select(self, index: int) -> None:
        if index != self._active:
            self._panes[self._active].channel.on_hidden()
        self._active = index
        self._volume.apply(self._active)
        self._dirty = True

    def _set_full_screen(self, wanted: bool) -> None:
        if wanted:
            self._window.set_fullscreen(desktop=True)
        else:
            self._window.set_windowed()
        self._full_screen = wanted
        # Out of the way at once; the first movement brings it back.
        self._moved_us = self._clock_us() - (_IDLE_US if wanted else 0)
        self._dirty = True

    def _record(self, pane: Pane) -> None:
        recorder = pane.channel.recorder
        if recorder is not None:
            self._say(recorder.toggle())

    def _say(self, text: str) -> None:
        self._hud.say(text, self._clock_us())
        self._dirty = True

    # -- drawing

    def _visible(self) -> list[Pane]:
        return self._panes if self._grid else [self._panes[self._active]]

    def _draw(self, now_us: int) -> None:
        view = self._canvas.view
        if min(view.size) < 1:  # minimised
            return
        self._renderer.draw_color = _BACKGROUND
        self._renderer.clear()
        scale = self._text_scale()
        bar_px = self._bar_px()
        bounds = Box(0, bar_px, view.width, max(1, view.height - bar_px))
        cells = [bounds]
        if self._grid:
            cells = grid_cells(len(self._panes), bounds, gap=round(_GRID_GAP_PX * scale))
        self._places = list(zip(self._visible(), cells, strict=True))
        ratio = self._ratio()
        look = 0.5, 0.5
        if self._pointer is not None:
            look = self._pointer[0] * ratio / view.width, self._pointer[1] * ratio / view.height
        caption_px = bar_height((cells[0].width, cells[0].height), scale) if self._grid else 0
        cards = [
            pane.draw(box, scale=scale, look=look, now_us=now_us, caption_px=caption_px) for pane, box in self._places
        ]
        self._hud.draw(
            View(
                panes=self._panes,
                places=self._places,
                cards=cards,
                active=self._active,
                bar_px=bar_px,
                grid=self._grid,
                on_top=self._on_top,
                muted=self._volume.muted(self._active),
                scale=scale,
            ),
            now_us,
        )

    def _bar_px(self) -> int:
        """Height of the bar of tabs; none for one stream, in the grid, and in full screen until the pointer moves."""
        if len(self._panes) < 2 or self._grid or (self._full_screen and not self._pointer_shown):
            return 0
        return bar_height(self._canvas.view.size, self._text_scale())

    def _ratio(self) -> float:
        """Pixels of the screen in one unit of the window's coordinates."""
        return self._canvas.view.width / max(1, self._window.size[0])

    def _text_scale(self) -> float:
        return self._scale or max(1.0, self._ratio())

    def _on_first_picture(self, size: tuple[int, int]) -> None:
        self._hud.say(_HINT, self._clock_us())
        if self._follow_shape and not self._full_screen:
            self._follow_shape = False
            height = self._window.size[1] - round(self._bar_px() / self._ratio())
            wanted = max(_MIN_SIZE[0], round(height * size[0] / size[1])), self._window.size[1]
            self._window.size = shrunk_to_fit(wanted, _room())

    def _hide_resting_pointer(self, now_us: int) -> None:
        if self._pointer_shown and now_us - self._moved_us >= _IDLE_US:
            self._pointer_shown = False
            pygame.mouse.set_visible(False)
            self._dirty = self._dirty or self._full_screen

    def _name_window(self) -> None:
        pane = self._panes[self._active]
        word = "paused" if pane.paused else pane.status.word
        title = f"Latentcast: {pane.channel.name}" + ("" if word == "live" else f" ({word})")
        if title != self._title:
            self._title = self._window.title = title

    def _restore_textures(self) -> None:
        self._canvas.forget()
        for pane in self._panes:
            pane.restore()
        self._dirty = True


def _room() -> tuple[int, int]:
    """The part of the desktop that a new window may take, width and height in its units."""
    width, height = pygame.display.get_desktop_sizes()[0]
    return round(width * _DESKTOP_SHARE), round(height * _DESKTOP_SHARE)
