"""One stream in a window: its newest picture, whether that is paused or shown pixel by pixel, and why there is none."""

import os

os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")
import pygame
from pygame._sdl2.video import SCALEQUALITY_LINEAR, Texture

from client.canvas import Canvas
from client.channel import Channel
from client.fit import Box, PictureArea, actual_size, letterbox, visible_part
from client.icons import paint_spinner
from client.picture import Picture
from client.state_screen import StateCard, paint_state
from client.status import BUSY, ViewStatus
from client.still import picture_surface

_DIM = (84, 84, 84)
"""A third of the light: plainly not live, still recognisable."""
_FULL = (255, 255, 255)
_FIRST_FRAME = "Waiting for the first frame"
SPINNER_STEP_US = 125_000
"""The ring of dots takes one of its eight steps in this time: a turn a second."""


class Pane:
    """Belongs to the window's thread."""

    def __init__(self, channel: Channel, canvas: Canvas) -> None:
        self.channel = channel
        self.status = ViewStatus(stream=channel.name)
        self.paused = False
        self.actual = False
        """Whether one pixel of the picture takes one of the screen, rather than fitting the window."""
        self.picture: Picture | None = None
        """What is shown, or would be if the pane were."""
        self._canvas = canvas
        self._texture: Texture | None = None
        self._newest: Picture | None = None
        """The newest that came, where that is not shown: hidden or paused."""
        self._fresh = False
        """`picture` was not presented yet."""
        self._area: Box | None = None
        self._card: tuple[object, StateCard] | None = None

    def take(self, now_us: int, *, visible: bool) -> bool:
        """Look into the mailbox; True when there is something new to draw.

        A pane that is hidden or paused keeps the newest picture without converting it.
        """
        picture = self.channel.mailbox.take(0)
        if picture is not None:
            self._newest = picture
        if self._newest is None:
            return False
        if not visible or (self.paused and self.picture is not None):
            if picture is not None:
                self.channel.on_passed(picture, now_us)
            return False
        self._show(self._newest, fresh=picture is not None)
        self._newest = None
        return True

    def refresh(self, *, due: bool) -> bool:
        """Ask for the status; True when the reason changed. Numbers change only when that is `due`."""
        fresh = self.channel.status()
        changed = (fresh.reason, fresh.detail) != (self.status.reason, self.status.detail)
        if due or changed:
            self.status = fresh
        return changed

    @property
    def reason(self) -> str | None:
        """Why there is no current picture; None while there is one, and while the user has paused it."""
        if self.paused and self.picture is not None:
            return None
        return self.status.reason or (None if self.picture is not None else _FIRST_FRAME)

    @property
    def turning(self) -> bool:
        """Whether the ring of dots of the reason's card turns."""
        return bool(self.reason) and (self.status.situation in BUSY or not self.status.reason)

    def area(self, scale: float) -> PictureArea | None:
        """Where the picture was drawn last; `scale` as in `PictureArea`."""
        return None if self._area is None else PictureArea(self._area, scale)

    def draw(
        self, bounds: Box, *, scale: float, look: tuple[float, float], now_us: int, caption_px: int = 0
    ) -> pygame.Rect:
        """Draw into `bounds`, pixels of the window; returns the place of the reason's card, empty without one.

        `scale` as in `text_size_px`. `look`: where the pointer is, which chooses the part of too large a picture.
        `caption_px`: what the card leaves free at the bottom.
        """
        reason = self.reason
        texture = self._texture
        self._area = None
        if texture is not None:
            size = texture.width, texture.height
            if self.actual:
                box = actual_size(size, bounds, look)
            else:
                fitted = letterbox(size, (bounds.width, bounds.height))
                box = Box(fitted.left + bounds.left, fitted.top + bounds.top, fitted.width, fitted.height)
            self._area = box
            texture.color = _DIM if reason else _FULL
            part = visible_part(box, bounds)
            if part is not None:
                inside, place = part
                texture.draw(srcrect=pygame.Rect(inside) if self.actual else None, dstrect=pygame.Rect(place))
        if not reason:
            return pygame.Rect(bounds.left, bounds.top, 0, 0)
        free = bounds._replace(height=max(1, bounds.height - caption_px))
        return self._draw_card(reason, free, scale=scale, now_us=now_us)

    def presented(self, now_us: int) -> None:
        """The drawing is on the screen since `now_us`."""
        if self._fresh and self.picture is not None:
            self._fresh = False
            self.channel.on_presented(self.picture, now_us)

    def restore(self) -> None:
        """A graphics driver that restarted has forgotten every texture."""
        self._texture = None
        if self.picture is not None:
            self._show(self.picture, fresh=self._fresh)

    def forget(self) -> None:
        """Let go of the textures."""
        self._texture = None

    def _show(self, picture: Picture, *, fresh: bool) -> None:
        self.picture = picture
        self._fresh = fresh
        surface = picture_surface(picture.planes)
        texture = self._texture
        if texture is None or (texture.width, texture.height) != picture.size:
            texture = Texture(self._canvas.renderer, picture.size, streaming=True, scale_quality=SCALEQUALITY_LINEAR)
            self._texture = texture
        texture.update(surface)

    def _draw_card(self, reason: str, bounds: Box, *, scale: float, now_us: int) -> pygame.Rect:
        status, size = self.status, (bounds.width, bounds.height)
        # Without words of its own the status is not there yet: the stream is on its way.
        situation = status.situation if status.reason else "connecting"
        key = (reason, status.detail if status.reason else None, situation, status.source, size, scale)
        if self._card is None or self._card[0] != key:
            card = paint_state(
                reason, place=size, detail=key[1], situation=situation, source=status.source, scale=scale
            )
            self._card = key, card
        card = self._card[1]
        label = self._canvas.label(f"card {self.channel.name}", key, lambda: card.surface)
        place = label.get_rect(center=pygame.Rect(bounds).center)
        label.draw(dstrect=place)
        if card.spinner is not None:
            size_px, colour = card.spinner.width, card.colour
            ring = self._canvas.label(f"ring {size_px} {colour}", 0, lambda: paint_spinner(size_px, colour))
            step = now_us // SPINNER_STEP_US % 8
            ring.draw(dstrect=card.spinner.move(place.topleft), angle=45.0 * step)
        return place
