"""What `--source` and the dashboard may name, read into what to open, with errors in words.

    pattern                                      the test pattern
    webcam[:DEVICE][?format=F&size=WxH&fps=N]    a camera: a path, a number or a name
    screen[:monitor=N | region=WxH+X+Y | window=TITLE]
    whip                                         waits for a publisher
    rtsp:// rtmp:// http(s):// srt:// udp:// ... whatever FFmpeg receives
    anything else                                names of video files, played in turn

A word wins over a file of the same name, which can be given as ./pattern. Nothing is opened here.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import TypeAlias

from latentcast.errors import UserError
from server.sources.base import check_picture
from server.sources.mask import mask_url
from server.sources.screen_target import SCREEN
from server.sources.whip import WHIP

PATTERN = "pattern"
WEBCAM = "webcam"
WORDS = (PATTERN, WEBCAM, SCREEN, WHIP)
"""The names of sources that are no files. A file of such a name can be given as ./pattern."""

SCHEMES = ("rtsp", "rtsps", "rtmp", "rtmps", "http", "https", "srt", "udp", "rtp", "tcp", "tls")
"""URL schemes that can be live video; whether this machine's FFmpeg has one is another matter."""

WEBCAM_FORMATS = ("mjpeg", "raw", "nv12", "yuyv")
"""What `?format=` of a camera may say: compressed, uncompressed of any kind, or one of the two common kinds."""

_URL = re.compile(rf"([A-Za-z][A-Za-z0-9+.-]+)://|({'|'.join(SCHEMES)}):/", re.IGNORECASE)
"""Two letters or more before the colon: `C://clip.mp4` is a file."""
_MOST_CHARACTERS = 2048


@dataclass(frozen=True, slots=True)
class PatternSpec:
    """The test pattern."""


@dataclass(frozen=True, slots=True)
class WebcamSpec:
    """A camera. `device`: empty for the first. `pixel_format`: one of WEBCAM_FORMATS. size, fps: asked of it."""

    device: str = ""
    pixel_format: str | None = None
    size: tuple[int, int] | None = None
    fps: float | None = None


@dataclass(frozen=True, slots=True)
class ScreenSpec:
    """The screen; `part` is what stands after the colon, empty for all of it."""

    part: str = ""


@dataclass(frozen=True, slots=True)
class WhipSpec:
    """Whoever publishes to the stream's WHIP endpoint."""


@dataclass(frozen=True, slots=True)
class UrlSpec:
    """A URL with a scheme of SCHEMES. Show it with `mask_url` only."""

    url: str


@dataclass(frozen=True, slots=True)
class FileSpec:
    """Video files, one or more."""

    paths: tuple[Path, ...]


SourceSpec: TypeAlias = PatternSpec | WebcamSpec | ScreenSpec | WhipSpec | UrlSpec | FileSpec


def parse_sources(specs: Sequence[str]) -> SourceSpec:
    """What the specs name together: one source of any kind, or one or more files. Raises UserError."""
    if not specs:
        raise UserError(
            f"no source was given, expected {PATTERN!r}, a camera, a screen, a URL or the names of video files: "
            "name at least one"
        )
    parsed = [_parse_one(spec) for spec in specs]
    files = [one for one in parsed if isinstance(one, FileSpec)]
    if len(files) == len(parsed):
        return FileSpec(tuple(path for file in files for path in file.paths))
    if len(parsed) > 1:
        alone = next(spec for spec, one in zip(specs, parsed, strict=True) if not isinstance(one, FileSpec))
        raise UserError(f"{mask_spec(alone)!r} was given among other sources, expected it alone: leave the others out")
    return parsed[0]


def mask_spec(spec: str) -> str:
    """A spec as it may be shown and logged: passwords and keys in URLs are left out."""
    return mask_url(spec) if "://" in spec else spec


def _parse_one(spec: str) -> SourceSpec:
    if not spec.strip() or len(spec) > _MOST_CHARACTERS or not spec.isprintable():
        raise UserError(
            f"the source {mask_spec(spec[:60])!r} is empty, too long or has control characters in it, expected a name "
            f"of at most {_MOST_CHARACTERS} characters: write it again"
        )
    if (scheme := _URL.match(spec)) is not None:
        return _parse_url(spec, scheme[1] or scheme[2])
    word, colon, rest = spec.partition(":")
    word, question, query = (word, "", "") if colon else spec.partition("?")
    if word == WEBCAM:
        return _parse_webcam(rest if colon else question + query)
    if word == SCREEN and not question:
        return ScreenSpec(rest)
    if word in (PATTERN, WHIP):
        if colon or question:
            raise UserError(f"the source is {spec!r}, but {word!r} takes nothing after its name: write {word}")
        return PatternSpec() if word == PATTERN else WhipSpec()
    path = Path(spec)
    if not _is_file_name(spec) and not path.exists():
        raise UserError(_unknown(spec, word))
    return FileSpec((path,))


def _is_file_name(spec: str) -> bool:
    """Whether it looks like a file rather than like a word: then a missing file is a missing file."""
    return "." in spec or "/" in spec or "\\" in spec


def _unknown(spec: str, word: str) -> str:
    near = get_close_matches(word.lower(), WORDS, n=1)
    do = f"did you mean {near[0]!r}?" if near else f"expected {', '.join(WORDS)}, a URL or a file name"
    return f"there is no source {spec!r}, and no file of that name: {do} `latentcast sources` lists what there is."


def _parse_url(spec: str, scheme: str) -> UrlSpec:
    shown = mask_url(spec)
    lower = scheme.lower()
    if lower not in SCHEMES:
        if lower == "file":
            raise UserError(f"the source is {shown!r}, expected a file by its name: leave file:// out")
        near = get_close_matches(lower, SCHEMES, n=3)
        # Two letters changed places more often than one was added.
        near.sort(key=lambda name: sorted(name) != sorted(lower))
        do = f"did you mean {near[0]}://?" if near else f"expected one of {', '.join(SCHEMES)}"
        raise UserError(f"there is no source of the kind {scheme}:// ({shown!r}): {do}")
    rest = spec[len(scheme) + 1 :]
    if not rest.startswith("//") or not re.match(r"//[^/?#\s]", rest):
        raise UserError(f"the source is {shown!r}, which names no server: write {lower}://server/path")
    return UrlSpec(f"{lower}:{rest}")


def _parse_webcam(rest: str) -> WebcamSpec:
    device, _, query = rest.rpartition("?") if "?" in rest else (rest, "", "")
    wanted: dict[str, str] = {}
    for part in query.split("&") if query else ():
        name, equals, value = part.partition("=")
        if name not in ("format", "size", "fps") or not equals or name in wanted:
            raise UserError(
                f"the camera's {part!r} is not understood, expected format=, size= and fps=, each once: write "
                "webcam:/dev/video0?format=mjpeg&size=1280x720&fps=30"
            )
        wanted[name] = value
    pixel_format = wanted.get("format")
    if pixel_format is not None and pixel_format not in WEBCAM_FORMATS:
        raise UserError(f"the camera's format is {pixel_format!r}, expected one of {', '.join(WEBCAM_FORMATS)}")
    size = _size(wanted["size"]) if "size" in wanted else None
    fps = _fps(wanted["fps"]) if "fps" in wanted else None
    check_picture(size=None, fps=fps)
    return WebcamSpec(device.strip(), pixel_format, size, fps)


def _size(text: str) -> tuple[int, int]:
    match = re.fullmatch(r"([1-9]\d{0,4})x([1-9]\d{0,4})", text, re.ASCII)
    if match is None:
        raise UserError(f"the camera's size is {text!r}, expected width and height in pixels: write 1280x720")
    return int(match[1]), int(match[2])


def _fps(text: str) -> float:
    if re.fullmatch(r"\d{1,4}(\.\d{1,6})?", text, re.ASCII) is None:
        raise UserError(f"the camera's fps is {text!r}, expected frames per second: write 30 or 29.97")
    return float(text)
