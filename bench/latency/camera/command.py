"""`latentcast latency camera`: read both bar codes out of photographs, and say how far apart they are."""

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import typer
from numpy.typing import NDArray
from pydantic import ValidationError

from bench.latency.camera.images import CameraImages, images_of, spread_out
from bench.latency.camera.loop import as_result, read_loop
from bench.latency.page import page
from bench.latency.schema import Camera, NotRun, read_document
from latentcast.errors import UserError

DEFAULT_DEVICE: Final = "/dev/video0"


def run(
    *,
    device: str | None,
    images: Sequence[Path],
    video: Path | None,
    seconds: float,
    fps: float,
    into: Path | None,
) -> Camera:
    """Look at one of the three. into: folder of a report that the result is put into.

    Raises UserError when nothing can be read, or no picture shows both bar codes.
    """
    if sum((device is not None, bool(images), video is not None)) > 1:
        raise UserError("more than one of --device, --image and --video was given; choose one.")
    if into is not None:
        _document(into)  # found out now, not after the pictures were read
    found: list[NDArray[np.uint8]]
    through = str(video) if video is not None else ", ".join(map(str, images)) or device or DEFAULT_DEVICE
    if images:
        found = [image for path in images for image in spread_out(images_of(path), count=1)]
    elif video is not None:
        found = spread_out(images_of(video))
    else:
        found = photographs(device or DEFAULT_DEVICE, seconds=seconds)
    result = as_result(read_loop(found, say=typer.echo), fps=fps, through=through)
    if isinstance(result, NotRun):
        raise UserError(f"{result.why}. {result.how}")
    delay = result.delay
    typer.echo(
        f"Glass to glass: p50 {delay.p50:.1f}, p95 {delay.p95:.1f}, max {delay.max:.1f} ms over {result.pairs} of "
        f"{result.images} pictures; each is good to a frame interval, {result.interval:.1f} ms"
    )
    if into is not None:
        add_to_report(into, camera=result)
        typer.echo(f"Put into {into / 'latency.html'}")
    return result


def photographs(device: str, *, seconds: float, say: Callable[[str], object] = typer.echo) -> list[NDArray[np.uint8]]:
    """What a camera sees within so many seconds. Raises UserError."""
    with CameraImages(device, seconds=seconds) as camera:
        say(f"Looking through {device} for {seconds:g} s")
        time.sleep(seconds)
        return camera.finish()


def add_to_report(folder: Path, **parts: Any) -> None:
    """Put parts into the latency.json and latency.html of that folder. Raises UserError."""
    document = _document(folder).model_copy(update=parts)
    try:
        (folder / "latency.json").write_text(document.model_dump_json(indent=1) + "\n", "utf-8")
        (folder / "latency.html").write_text(page(document), "utf-8")
    except OSError as error:
        raise UserError(f"{folder} cannot be written ({error.strerror}); choose another folder.") from error


def _document(folder: Path) -> Any:
    try:
        return read_document(folder / "latency.json")
    except OSError as error:
        raise UserError(f"{folder} has no report ({error.strerror}); make one with `latentcast latency`.") from error
    except ValidationError as error:
        raise UserError(
            f"{folder / 'latency.json'} is not a report of this version; make one with `latentcast latency`."
        ) from error
