"""What the commands share: options that mean the same everywhere, and how they are read."""

import importlib
from pathlib import Path
from typing import Annotated, Any

import typer

from latentcast.errors import UserError

SizeOption = Annotated[
    str | None, typer.Option("--size", metavar="WxH", help="Coded picture; the source is fitted into it.")
]
ConfigOption = Annotated[Path | None, typer.Option("--config", metavar="FILE", help="TOML file with settings.")]
VerboseOption = Annotated[bool, typer.Option("--verbose", "-v", help="Log what happens.")]
ProfileOption = Annotated[
    str | None, typer.Option("--profile", metavar="NAME", help="Codec: nano, or dcvc-rt, the paper's.")
]
DeviceOption = Annotated[str | None, typer.Option("--device", metavar="NAME", help="auto, cpu or cuda.")]
PrecisionOption = Annotated[
    str | None, typer.Option("--precision", metavar="NAME", help="Of nano on a CPU: auto, float32 or bfloat16.")
]
ImageOption = Annotated[
    Path | None, typer.Option("--weights-image", metavar="FILE", help="cvpr2025_image.pth.tar, for dcvc-rt.")
]
VideoOption = Annotated[
    Path | None, typer.Option("--weights-video", metavar="FILE", help="cvpr2025_video.pth.tar, for dcvc-rt.")
]

SkipOption = Annotated[
    str, typer.Option("--skip-threshold", metavar="T", help="dcvc-rt: leave out smaller scales; a number, or none.")
]


def parse_size(text: str | None) -> tuple[int, int] | None:
    """`640x360` as (width, height). Raises UserError."""
    if text is None:
        return None
    width, cross, height = text.lower().partition("x")
    # Five digits are plenty, and only 0 to 9: isdigit alone also takes superscripts.
    if not (cross and all(side.isascii() and side.isdigit() and len(side) <= 5 for side in (width, height))):
        raise UserError(f"the size {text!r} was not understood; write width x height in pixels, such as 640x360.")
    return int(width), int(height)


def load_module(name: str) -> Any:
    """Import when needed; also keeps this folder from depending on the others when it is imported."""
    return importlib.import_module(name)
