"""What this machine can stream: for `latentcast sources` and `GET /v1/sources`.

    SourceListing
      cameras     spec, name, formats with sizes and rates, or why one cannot be asked
      screens     spec, name, region
      protocols   scheme, and whether the FFmpeg in use has it
      notes       one sentence for each kind, where there is something to say (why the list is empty, say)

Asking takes some milliseconds for each camera and opens the display: off the event loop, please.
"""

import sys
from dataclasses import asdict, dataclass, field
from typing import Any

import av

from latentcast.errors import LatentcastError
from server.sources import v4l2
from server.sources.camera_mode import INPUT_FORMATS
from server.sources.protocols import NAMES, has_protocol
from server.sources.spec import PATTERN, WEBCAM
from server.sources.webcam import in_words
from server.sources.whip import WHIP

_EXAMPLES = {
    "rtsp": "rtsp://camera.example/stream1",
    "rtmp": "rtmp://server.example/live/name",
    "http": "http://camera.example/live.ts",
    "srt": "srt://sender.example:9000",
    "udp": "udp://0.0.0.0:5000",
}


@dataclass(frozen=True, slots=True)
class CameraEntry:
    """A camera. `spec` is what to give to --source; `problem` a sentence on why it cannot be used now."""

    spec: str
    name: str
    formats: tuple[v4l2.PixelFormat, ...] = ()
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class ScreenItem:
    """A desktop, monitor or window; `region` is x, y, width, height in pixels."""

    spec: str
    kind: str
    name: str
    region: tuple[int, int, int, int]


@dataclass(frozen=True, slots=True)
class ProtocolEntry:
    """A kind of URL."""

    scheme: str
    available: bool
    example: str | None = None


@dataclass(frozen=True, slots=True)
class SourceListing:
    """All of it. `notes` by kind: cameras, screens, protocols, whip, files."""

    cameras: tuple[CameraEntry, ...] = ()
    screens: tuple[ScreenItem, ...] = ()
    protocols: tuple[ProtocolEntry, ...] = ()
    pattern: str = PATTERN
    whip: str = WHIP
    notes: dict[str, str] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """Plain lists, dictionaries, numbers and strings."""
        return asdict(self)


def list_sources(*, platform: str = sys.platform) -> SourceListing:
    """Ask the machine. What cannot be asked is a note, never an error."""
    notes = {
        "whip": "a browser at /publish, OBS or FFmpeg sends to /v1/streams/NAME/whip",
        "files": "any video that FFmpeg opens, by name",
    }
    cameras, note = _linux_cameras() if platform == "linux" else _other_cameras(platform)
    if note:
        notes["cameras"] = note
    screens, note = _screens()
    if note:
        notes["screens"] = note
    protocols = tuple(ProtocolEntry(name, has_protocol(name), _EXAMPLES.get(name)) for name in NAMES)
    return SourceListing(cameras=cameras, screens=screens, protocols=protocols, notes=notes)


def _linux_cameras() -> tuple[tuple[CameraEntry, ...], str | None]:
    entries = []
    for camera in v4l2.cameras():
        problem = None
        if camera.problem is not None:
            problem = in_words(OSError(camera.problem, ""), f"the camera {camera.path}", "linux")
        elif not any(one.fourcc in INPUT_FORMATS for one in camera.formats):
            problem = f"{camera.path} offers no format that can be used here"
        entries.append(CameraEntry(f"{WEBCAM}:{camera.path}", camera.name, camera.formats, problem))
    return tuple(entries), None if entries else "no camera was found (nothing at /dev/video*); plug one in"


def _other_cameras(platform: str) -> tuple[tuple[CameraEntry, ...], str | None]:
    kind = {"darwin": "avfoundation", "win32": "dshow"}.get(platform)
    if kind is None:
        return (), f"cameras are read on Linux, macOS and Windows, and this is {platform}"
    try:
        devices = [one for one in av.enumerate_input_devices(kind) if "video" in one.media_types]
    except (av.error.FFmpegError, OSError, ValueError) as error:
        return (), f"cameras cannot be listed ({error.strerror if isinstance(error, OSError) else error})"
    entries = tuple(
        # AVFoundation opens by number or name, DirectShow by name.
        CameraEntry(f"{WEBCAM}:{one.name if kind == 'avfoundation' else one.description or one.name}", one.description)
        for one in devices
    )
    note = "formats, sizes and rates cannot be listed on this system; ask for what you want with ?size=1280x720&fps=30"
    return entries, note if entries else "no camera was found; plug one in, and allow this program to use it"


def _screens() -> tuple[tuple[ScreenItem, ...], str | None]:
    from server.sources.screen_listing import list_screens

    try:
        return tuple(ScreenItem(one.spec, one.kind, one.name, one.region) for one in list_screens()), None
    except LatentcastError as error:
        return (), str(error)


def as_text(listing: SourceListing) -> str:
    """The listing for people, a paragraph for each kind."""
    lines = ["Test pattern", f"  {listing.pattern}", "", "Cameras"]
    for camera in listing.cameras:
        lines.append(f"  {camera.spec:24} {camera.name}")
        lines += [f"    {one.fourcc:5} {_sizes(one)}" for one in camera.formats]
        if camera.problem:
            lines.append(f"    {camera.problem}")
    lines += _note(listing, "cameras")
    lines += ["", "Screens"]
    for screen in listing.screens:
        x, y, width, height = screen.region
        lines.append(f"  {screen.spec:24} {screen.name}, {width}x{height} at {x},{y}")
    lines += _note(listing, "screens")
    lines += ["", "Publishers", f"  {listing.whip:24} {listing.notes.get('whip', '')}", "", "Network streams"]
    lines += [f"  {one.scheme + '://':24} {one.example or ''}".rstrip() for one in listing.protocols if one.available]
    if lacking := [f"{one.scheme}://" for one in listing.protocols if not one.available]:
        lines.append(f"  the FFmpeg in use does not have {', '.join(lacking)}")
    lines += ["", "Files"]
    lines += _note(listing, "files")
    return "\n".join(lines)


def _note(listing: SourceListing, kind: str) -> list[str]:
    return [f"  {listing.notes[kind]}"] if kind in listing.notes else []


def _sizes(one: v4l2.PixelFormat) -> str:
    return ", ".join(
        f"{size.width}x{size.height}" + (f" ({'/'.join(f'{fps:g}' for fps in size.fps)} fps)" if size.fps else "")
        for size in one.sizes
    )
