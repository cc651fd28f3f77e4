"""Textures of one window: labels that are painted again only when what they show has changed, and the pictures."""

import os
from collections.abc import Callable, Hashable

os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")
import pygame
from pygame._sdl2.video import Renderer, Texture

from client.fit import Box

MAX_LABELS = 64
"""Names in use at a time: ten, and three for each stream of a grid; what is beyond is painted every time."""


class Canvas:
    """A renderer with a memory."""

    def __init__(self, renderer: Renderer) -> None:
        self.renderer = renderer
        self._labels: dict[str, tuple[Hashable, Texture]] = {}

    @property
    def view(self) -> pygame.Rect:
        """The window in pixels of the screen."""
        return self.renderer.get_viewport()

    def label(self, name: str, key: Hashable, paint: Callable[[], pygame.Surface]) -> Texture:
        """Texture of the label `name`, painted again only when `key` (all that it shows) has changed."""
        known = self._labels.get(name)
        if known is not None and known[0] == key:
            return known[1]
        texture = Texture.from_surface(self.renderer, paint())
        if len(self._labels) < MAX_LABELS or name in self._labels:
            self._labels[name] = (key, texture)
        return texture

    def fill(self, box: Box, colour: tuple[int, int, int]) -> None:
        """Paint a box."""
        self.renderer.draw_color = (*colour, 255)
        self.renderer.fill_rect(pygame.Rect(box))

    def frame(self, box: Box, colour: tuple[int, int, int], width: int) -> None:
        """Paint the edge of a box, `width` pixels inwards."""
        self.renderer.draw_color = (*colour, 255)
        for inset in range(width):
            self.renderer.draw_rect(pygame.Rect(box).inflate(-2 * inset, -2 * inset))

    def forget(self) -> None:
        """Let go of every texture, before the renderer goes or when its driver has lost them."""
        self._labels.clear()
