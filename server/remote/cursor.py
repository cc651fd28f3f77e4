"""The pointer's shape as a `cursor` message: ARGB from XFIXES to a small PNG."""

import base64
import struct
import zlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from latentcast.control import MAX_CURSOR_CHARACTERS, Cursor

_MAX_SIDE = 256
"""Larger cursors are none: X's own limit on most hardware is 256."""
_MAX_HOT = 255


def cursor_message(pixels: Sequence[int], *, width: int, height: int, hot: tuple[int, int]) -> Cursor:
    """The message for a cursor of `width` x `height` premultiplied ARGB pixels (as XFIXES gives them), row by row.

    One that is too large for a message is halved until it is not. Invisible: nothing in it can be seen.
    """
    if not (0 < width <= _MAX_SIDE and 0 < height <= _MAX_SIDE) or len(pixels) < width * height:
        return Cursor(visible=True)
    argb = np.asarray(pixels[: width * height], np.uint32).reshape(height, width)
    if not (argb >> 24).any():
        return Cursor(visible=False)
    picture = _straight(argb)
    hot_x, hot_y = hot
    while True:
        png = base64.b64encode(encode_png(picture)).decode()
        if len(png) <= MAX_CURSOR_CHARACTERS:
            break
        picture, hot_x, hot_y = picture[::2, ::2], hot_x // 2, hot_y // 2
    return Cursor(visible=True, png=png, hot_x=min(max(hot_x, 0), _MAX_HOT), hot_y=min(max(hot_y, 0), _MAX_HOT))


def _straight(argb: NDArray[np.uint32]) -> NDArray[np.uint8]:
    """RGBA, (height, width, 4), with colours that are not multiplied by alpha."""
    alpha = argb >> 24
    channels = [argb >> shift & 0xFF for shift in (16, 8, 0)]
    colours = [np.minimum(255, channel * 255 // np.maximum(alpha, 1)) for channel in channels]
    return np.stack([*colours, alpha], axis=-1).astype(np.uint8)


def encode_png(rgba: NDArray[np.uint8]) -> bytes:
    """A PNG (RFC 2083) of RGBA pixels, (height, width, 4), uint8."""
    height, width = rgba.shape[:2]
    rows = np.zeros((height, 1 + 4 * width), np.uint8)
    rows[:, 1:] = rgba.reshape(height, 4 * width)
    header = struct.pack(">IIBBBBB", width, height, 8, 6, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(rows.tobytes(), 9)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data)) for name, data in chunks
    )
