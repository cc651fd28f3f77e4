"""Where pictures go besides the window, by the name given to `--sink`.

| name | sink |
|---|---|
| `FILE.mp4`, `FILE.mkv` | recording, `video_file.py` |
| `virtualcam`, `virtualcam:DEVICE` | `virtual_camera.py` |
| `-` | raw y4m on standard output, `y4m.py` |
| `DIR/name_%05d.png` | numbered pictures, `images.py` |
"""

from pathlib import Path

from client.sinks.base import Sink, SinkEnded, VideoFormat
from client.sinks.images import ImageSink, is_numbered
from client.sinks.runner import SinkRunner, SinkStatus
from client.sinks.video_file import FORMATS, VideoFileSink
from client.sinks.virtual_camera import VirtualCameraSink
from client.sinks.y4m import Y4mSink, standard_output
from latentcast.errors import UserError

STREAM_FIELD = "{stream}"
"""Stands for the stream's name in a sink's name."""


def open_sink(spec: str, *, stream: str) -> Sink:
    """The sink called `spec`, nothing opened yet. Raises UserError for a name that means none, or a bad place."""
    name = spec.replace(STREAM_FIELD, stream)
    kind, _, device = name.partition(":")
    if kind == "virtualcam":
        return VirtualCameraSink(device or None)
    if name == "-":
        return Y4mSink(standard_output())
    path = Path(name)
    if path.suffix.lower() in FORMATS:
        return VideoFileSink(path)
    if path.suffix.lower() == ".png" and is_numbered(path.name):
        return ImageSink(path)
    raise UserError(
        f"there is no sink {spec!r}; expected FILE.mp4, FILE.mkv, DIR/name_%05d.png, virtualcam or - (standard output)."
    )


def open_sinks(specs: tuple[str, ...], *, streams: tuple[str, ...]) -> dict[str, list[Sink]]:
    """The sinks of every stream, by its name. With several streams every name needs `{stream}`, or UserError.

    Two that would take the same place are refused as well.
    """
    for spec in specs:
        if len(streams) > 1 and STREAM_FIELD not in spec:
            raise UserError(
                f"the sink {spec!r} cannot take {len(streams)} streams; put {STREAM_FIELD} into its name, such as "
                f"{STREAM_FIELD}.mkv, or watch one stream."
            )
    if len(set(specs)) < len(specs):
        raise UserError(f"the sinks {', '.join(specs)} name one place twice; give each its own.")
    return {stream: [open_sink(spec, stream=stream) for spec in specs] for stream in streams}


__all__ = ["Sink", "SinkEnded", "SinkRunner", "SinkStatus", "VideoFormat", "open_sink", "open_sinks"]
