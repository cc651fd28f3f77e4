"""The picture at the press of a key: a PNG in the stream's own pixels, and what to tell the user."""

from datetime import datetime
from pathlib import Path

from client.picture import Picture
from client.recorder import file_stem
from client.still import write_snapshot
from latentcast.errors import UserError


def save_picture(picture: Picture | None, folder: Path, *, stream: str) -> str:
    """Write it into `folder`, under a name that says what and when; returns what became of that."""
    if picture is None:
        return "There is no picture to save yet"
    stem = f"{file_stem(stream, datetime.now())}-frame{picture.frame_id}"
    try:
        path = write_snapshot(folder, picture.planes, stem=stem)
    except UserError as error:
        return f"Not saved: {error}"
    return f"Saved {path}"
