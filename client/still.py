"""Pictures to PNG: a snapshot of the stream, and source beside decoded.

PNG is written with SDL (through pygame), which the window needs anyway; nothing here opens a display.
"""

import os
from io import BytesIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from client.overlay import Lettering, wrap_text
from codec.colour import ycbcr_to_rgb
from latentcast.errors import UserError

os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")
import pygame

_BACKGROUND = (24, 26, 30)
_DIVIDER = (24, 26, 30)
_LABEL_COLOUR = (170, 178, 190)
_CAPTION_COLOUR = (238, 240, 243)
_DIVIDER_PX = 4
_MARGIN_PX = 12
_MIN_WIDTH_PX = 480
"""A caption with frame, QP, PSNR and bit rate takes about this much; narrower pictures get a border instead."""


def picture_surface(planes: NDArray[np.uint8]) -> pygame.Surface:
    """RGB surface of the size of the picture from `(3, height, width)` full-range BT.709 YCbCr 4:4:4.

    ValueError when `planes` has another shape or type.
    """
    if planes.dtype != np.uint8 or planes.ndim != 3 or planes.shape[0] != 3 or planes.size == 0:
        raise ValueError(f"planes are {planes.dtype} {planes.shape}; expected uint8 (3, height, width)")
    rgb = np.ascontiguousarray(ycbcr_to_rgb(planes))
    # The surface keeps the array alive and shares its memory.
    return pygame.image.frombuffer(rgb.data, (rgb.shape[1], rgb.shape[0]), "RGB")


def write_png(path: Path, surface: pygame.Surface, *, overwrite: bool = True) -> None:
    """Write `surface` to `path`. FileExistsError when it exists and may not be overwritten, else UserError."""
    encoded = BytesIO()
    pygame.image.save(surface, encoded, "picture.png")
    try:
        with path.open("wb" if overwrite else "xb") as file:
            file.write(encoded.getbuffer())
    except FileExistsError:
        raise
    except OSError as error:
        raise UserError(
            f"cannot write {path}: {error.strerror}; give a folder that exists and can be written to"
        ) from error


def write_snapshot(folder: Path, planes: NDArray[np.uint8], *, stem: str) -> Path:
    """Write the picture as `folder/stem.png`, or `stem-2.png` and so on when that is taken; return the path.

    `folder` is made when missing. UserError when it cannot be written to.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"cannot make the folder {folder}: {error.strerror}; choose another one") from error
    surface = picture_surface(planes)
    path, attempt = folder / f"{stem}.png", 1
    while True:
        try:
            write_png(path, surface, overwrite=False)
        except FileExistsError:
            attempt += 1
            path = folder / f"{stem}-{attempt}.png"
        else:
            return path


def side_by_side(path: Path, *, source: NDArray[np.uint8], decoded: NDArray[np.uint8], caption: str) -> None:
    """Write a PNG with the source on the left, the decoded picture on the right and `caption` below.

    Both are `(3, height, width)` planes as in `picture_surface`, of the same size (ValueError otherwise), and are shown
    pixel for pixel: scaling would hide what the codec did. UserError when the file cannot be written.
    """
    if source.shape != decoded.shape:
        raise ValueError(f"source is {source.shape} and decoded {decoded.shape}; expected the same size")
    left, right = picture_surface(source), picture_surface(decoded)
    width, height = left.get_size()
    pair_width = 2 * width + _DIVIDER_PX
    canvas_width = max(pair_width, _MIN_WIDTH_PX)
    text_px = max(16, min(36, canvas_width // 50))
    lettering = Lettering(text_px)
    lines = wrap_text(caption, lettering, canvas_width - 2 * _MARGIN_PX)
    bar = lettering.line_px + _MARGIN_PX
    canvas = pygame.Surface(
        (canvas_width, bar + height + _MARGIN_PX + lettering.line_px * len(lines) + _MARGIN_PX), 0, 24
    )
    canvas.fill(_BACKGROUND)
    origin = (canvas_width - pair_width) // 2
    for surface, x, name in ((left, origin, "source"), (right, origin + width + _DIVIDER_PX, "decoded")):
        canvas.blit(surface, (x, bar))
        label = lettering.render(name, _LABEL_COLOUR)
        canvas.blit(label, (x + (width - label.get_width()) // 2, _MARGIN_PX // 2))
    y = bar + height + _MARGIN_PX
    for line in lines:
        text = lettering.render(line, _CAPTION_COLOUR)
        canvas.blit(text, ((canvas_width - text.get_width()) // 2, y))
        y += lettering.line_px
    write_png(path, canvas)
