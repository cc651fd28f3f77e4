"""What is written over the picture: the panel of numbers, the short-lived toast, and the lettering of everything else.

Everything is painted on small surfaces of its own with pygame's bundled font, sized after the window, and laid over
the picture by the window; nothing here opens a display.
"""

import os
from collections.abc import Sequence

os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")
import pygame

from client.status import ViewStatus

_PANEL_COLOUR = (12, 14, 18, 184)
LABEL_COLOUR = (168, 176, 188)
VALUE_COLOUR = (244, 246, 248)
QUIET_COLOUR = (196, 202, 212)
_MIN_TEXT_PX = 16
"""Smallest size at which the bundled font's digits are still told apart at arm's length."""
_MAX_TEXT_PX = 34
_PANEL_SHARE = 0.6
"""A table that hides more of the picture's width or height than this gives way to one line."""
_ABSENT = "-"
_USUAL_VALUES = ("0000x0000", "00.00 Mbit/s", "000 ± 9.9 ms")
_ICON_BARS = ((22, (119, 170, 221)), (42, (68, 187, 153)), (30, (238, 221, 136)), (14, (238, 136, 102)))
"""Height in pixels and colour of each bar."""


def text_font(size_px: int) -> pygame.font.Font:
    """Bundled font of the nominal size. Not cached: a font dies with the next `pygame.quit`."""
    pygame.font.init()
    return pygame.font.Font(None, size_px)


class Lettering:
    """Text of one size. Set at twice the size and averaged down, or letters would keep whole pixels between them."""

    def __init__(self, size_px: int) -> None:
        self._font = text_font(2 * size_px)

    @property
    def line_px(self) -> int:
        """Distance from line to line."""
        return (self._font.get_linesize() + 1) // 2

    def width(self, text: str) -> int:
        """Width of one line of text in pixels."""
        return (self._font.size(text)[0] + 1) // 2

    def render(self, text: str, colour: tuple[int, int, int]) -> pygame.Surface:
        """One line of text on a transparent ground."""
        size = max(1, self.width(text)), self.line_px
        return pygame.transform.smoothscale(self._font.render(text, True, colour), size)


def text_size_px(window: tuple[int, int], scale: float = 1.0) -> int:
    """Text size that stays in proportion to a window of `width, height` pixels and never becomes illegible.

    `scale`: pixels of the screen in one unit of its desktop, 2 on most HiDPI screens.
    """
    width, height = window
    proportional = min(height / 26, width / 38)
    return round(max(_MIN_TEXT_PX * scale, min(_MAX_TEXT_PX * scale, proportional)))


def wrap_text(text: str, lettering: Lettering, width_px: int) -> list[str]:
    """Lines of `text` no wider than `width_px`, broken at spaces, or inside a word that alone is too wide."""
    lines: list[str] = []
    line = ""
    for word in text.split():
        joined = f"{line} {word}" if line else word
        if lettering.width(joined) <= width_px:
            line = joined
            continue
        if line:
            lines.append(line)
        while len(word) > 1 and lettering.width(word) > width_px:
            cut = _fitting_length(word, lettering, width_px)
            lines.append(word[:cut])
            word = word[cut:]
        line = word
    return [*lines, line] if line else lines


def balance_text(text: str, lettering: Lettering, width_px: int) -> list[str]:
    """`wrap_text` in the same number of lines, but of about equal length: no last line of one word."""
    lines = wrap_text(text, lettering, width_px)
    # Not so narrow that a word which fits a line would be cut.
    widest = max((width for word in text.split() if (width := lettering.width(word)) <= width_px), default=0)
    low, high = max(width_px // 2, widest), width_px
    while high - low > 4:
        middle = (low + high) // 2
        if len(wrap_text(text, lettering, middle)) > len(lines):
            low = middle
        else:
            high = middle
    return wrap_text(text, lettering, high)


def _fitting_length(word: str, lettering: Lettering, width_px: int) -> int:
    """How many leading characters of `word` fit `width_px`; at least one, so that wrapping always ends."""
    low, high = 1, len(word)
    while low < high:
        middle = (low + high + 1) // 2
        if lettering.width(word[:middle]) <= width_px:
            low = middle
        else:
            high = middle - 1
    return low


def panel_rows(status: ViewStatus) -> list[tuple[str, str]]:
    """Label and value of every line of the panel, units included; a dash stands for what is not known yet."""
    return [
        ("fps", f"{status.fps:.1f}"),
        ("bitrate", _bitrate(status.bitrate_bps)),
        ("QP", _ABSENT if status.qp is None else str(status.qp)),
        ("loss", f"{100 * status.loss:.1f} %"),
        ("latency p50", _latency(status.latency_ms, status.clock_error_ms)),
        ("RTT", _milliseconds(status.rtt_ms)),
        ("size", _ABSENT if status.size is None else f"{status.size[0]}x{status.size[1]}"),
    ]


def _bitrate(bitrate_bps: float) -> str:
    """The unit changes where three significant digits would no longer fit the smaller one."""
    if bitrate_bps < 999_500:
        return f"{bitrate_bps / 1e3:.0f} kbit/s"
    return f"{bitrate_bps / 1e6:.2f} Mbit/s"


def _milliseconds(duration_ms: float | None) -> str:
    """A tenth matters below 10 ms and is noise above."""
    if duration_ms is None:
        return _ABSENT
    return f"{duration_ms:.1f} ms" if duration_ms < 9.95 else f"{duration_ms:.0f} ms"


def _latency(latency_ms: float | None, error_ms: float | None) -> str:
    if latency_ms is None or error_ms is None:
        return _milliseconds(latency_ms)
    return f"{latency_ms:.0f} ± {_milliseconds(error_ms)}"


def paint_panel(status: ViewStatus, window: tuple[int, int], scale: float = 1.0) -> pygame.Surface:
    """Panel of numbers for a window of `width, height` pixels: a table, or one line where a table would not fit.

    The value column keeps the width of the longest usual value, so the panel does not breathe while numbers change.
    """
    size_px = text_size_px(window, scale)
    lettering = Lettering(size_px)
    pad, line_px = size_px // 2, lettering.line_px + size_px // 8
    rows = panel_rows(status)
    label_width = max(lettering.width(label) for label, _ in rows)
    value_width = max(lettering.width(value) for value in (*_USUAL_VALUES, *(value for _, value in rows)))
    width = label_width + size_px + value_width + 2 * pad
    title = wrap_text(status.stream, lettering, width - 2 * pad)[:1]
    height = line_px * (len(rows) + len(title)) + 2 * pad
    if width > _PANEL_SHARE * window[0] or height > _PANEL_SHARE * window[1]:
        return _paint_line(rows, window[0], lettering, pad)
    surface = translucent((width, height), radius=pad)
    y = pad
    for text in title:
        surface.blit(lettering.render(text, VALUE_COLOUR), (pad, y))
        y += line_px
    for label, value in rows:
        surface.blit(lettering.render(label, LABEL_COLOUR), (pad, y))
        right = lettering.render(value, VALUE_COLOUR)
        surface.blit(right, (width - pad - right.get_width(), y))
        y += line_px
    return surface


def _paint_line(rows: Sequence[tuple[str, str]], width_px: int, lettering: Lettering, pad: int) -> pygame.Surface:
    """As many values as fit one line, those first that say whether the stream is well."""
    values = dict(rows)
    text = values["latency p50"]
    for part in (values["bitrate"], f"{values['fps']} fps", f"{values['loss']} loss", f"RTT {values['RTT']}"):
        longer = f"{text} · {part}"
        if lettering.width(longer) + 2 * pad > width_px:
            break
        text = longer
    return _paint_lines([text], lettering, pad, colour=VALUE_COLOUR)


def paint_toast(text: str, window: tuple[int, int], scale: float = 1.0) -> pygame.Surface:
    """A short message for the bottom of the window."""
    size_px = text_size_px(window, scale)
    lettering = Lettering(size_px)
    return _paint_lines(
        balance_text(text, lettering, round(0.9 * window[0])), lettering, size_px // 2, colour=QUIET_COLOUR
    )


def _paint_lines(
    lines: Sequence[str], lettering: Lettering, pad: int, *, colour: tuple[int, int, int]
) -> pygame.Surface:
    width = max((lettering.width(line) for line in lines), default=0) + 2 * pad
    surface = translucent((width, lettering.line_px * len(lines) + 2 * pad), radius=pad)
    for index, line in enumerate(lines):
        text = lettering.render(line, colour)
        surface.blit(text, ((width - text.get_width()) // 2, pad + index * lettering.line_px))
    return surface


def translucent(size: tuple[int, int], *, radius: int) -> pygame.Surface:
    """The ground of everything that is laid over a picture."""
    surface = pygame.Surface(size, pygame.SRCALPHA, 32)
    pygame.draw.rect(surface, _PANEL_COLOUR, surface.get_rect(), border_radius=radius)
    return surface


def paint_icon() -> pygame.Surface:
    """The window's icon, 64 by 64 pixels: four bars of a latent, one per channel, in the colours of the charts."""
    icon = pygame.Surface((64, 64), pygame.SRCALPHA, 32)
    pygame.draw.rect(icon, (20, 24, 31), icon.get_rect(), border_radius=14)
    for index, (height, colour) in enumerate(_ICON_BARS):
        pygame.draw.rect(icon, colour, (11 + 11 * index, 32 - height // 2, 8, height), border_radius=4)
    return icon
