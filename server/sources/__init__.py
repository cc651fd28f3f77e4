"""Sources of frames by name: the test pattern, a screen, a publisher over WHIP, or video files played in turn."""

from collections.abc import Sequence
from pathlib import Path

from latentcast.errors import UserError
from server.sources.base import Source, SourceClosed
from server.sources.file import FileSource
from server.sources.pattern import PatternSource
from server.sources.screen_target import SCREEN
from server.sources.whip import WHIP, WhipSource

__all__ = ["PATTERN", "WHIP", "FileSource", "PatternSource", "Source", "SourceClosed", "WhipSource", "open_source"]

PATTERN = "pattern"
"""The name of the test pattern. A file of that name can be given as ./pattern."""

_PATTERN_SIZE = (640, 360)
_PATTERN_FPS = 30.0
"""What the pattern shows when nothing else is asked for: what an ordinary laptop can encode."""


def open_source(specs: Sequence[str], *, size: tuple[int, int] | None = None, fps: float | None = None) -> Source:
    """Open `["pattern"]`, `["whip"]`, `["screen"]` or a part of it (`screen_target`), or video files, played in turn
    and looped.

    `size` is (width, height); without it files keep the first one's, a screen its own, pattern and WHIP are 640x360.
    Without `fps` files keep their own pace, the others run at 30. Raises UserError for names that are neither, what
    cannot be read or captured, and sizes and rates out of range.
    """
    if not specs:
        raise UserError(f"no source was given, expected {PATTERN!r} or the names of video files: name at least one")
    if PATTERN in specs:
        if len(specs) > 1:
            raise UserError(f"{PATTERN!r} was given among other sources, expected it alone: leave the others out")
        return PatternSource(size=size or _PATTERN_SIZE, fps=_PATTERN_FPS if fps is None else fps)
    if specs[0].split(":", 1)[0] == SCREEN:
        from server.sources.screen import ScreenSource

        if len(specs) > 1:
            raise UserError(f"{specs[0]!r} was given among other sources, expected it alone: leave the others out")
        return ScreenSource(specs[0], size=size, fps=fps)
    if WHIP in specs:
        if len(specs) > 1:
            raise UserError(f"{WHIP!r} was given among other sources, expected it alone: leave the others out")
        return WhipSource(size=size, fps=fps)
    return FileSource([Path(spec) for spec in specs], size=size, fps=fps)
