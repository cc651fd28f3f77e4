"""Sources of frames by name: one small file for each kind, imported when it is used."""

from collections.abc import Sequence

from server.sources.base import Source, SourceClosed, SourceLost
from server.sources.file import FileSource
from server.sources.pattern import PatternSource
from server.sources.spec import (
    PATTERN,
    FileSpec,
    PatternSpec,
    ScreenSpec,
    SourceSpec,
    UrlSpec,
    WebcamSpec,
    mask_spec,
    parse_sources,
)
from server.sources.whip import WHIP, WhipSource

__all__ = [
    "PATTERN",
    "WHIP",
    "FileSource",
    "PatternSource",
    "Source",
    "SourceClosed",
    "SourceLost",
    "SourceSpec",
    "WhipSource",
    "mask_spec",
    "open_source",
    "parse_sources",
]

_PATTERN_SIZE = (640, 360)
_PATTERN_FPS = 30.0
"""What the pattern shows when nothing else is asked for: what an ordinary laptop can encode."""


def open_source(specs: Sequence[str], *, size: tuple[int, int] | None = None, fps: float | None = None) -> Source:
    """Open what `specs` name (`server.sources.spec`): one source of any kind, or files played in turn and round again.

    `size` is (width, height); without it files keep the first one's, cameras and network streams theirs, the screen
    its own, and everything else is 640x360. Without `fps` they keep their own pace, or run at 30. May block for some
    seconds, until a camera or a server shows its first picture. Raises UserError for names that are not understood,
    files that cannot be read, and sizes and rates out of range; what is merely not there yet is waited for.
    """
    spec = parse_sources(specs)
    if isinstance(spec, PatternSpec):
        return PatternSource(size=size or _PATTERN_SIZE, fps=_PATTERN_FPS if fps is None else fps)
    if isinstance(spec, FileSpec):
        return FileSource(spec.paths, size=size, fps=fps)
    if isinstance(spec, UrlSpec):
        from server.sources.url import open_url

        return open_url(spec.url, size=size, fps=fps)
    if isinstance(spec, WebcamSpec):
        from server.sources.webcam import open_webcam

        return open_webcam(spec, size=size, fps=fps)
    if isinstance(spec, ScreenSpec):
        from server.sources.screen import ScreenSource

        return ScreenSource(specs[0], size=size, fps=fps)
    return WhipSource(size=size, fps=fps)
