"""A ring file of captured pictures, so that a viewer on the same machine can compare what it shows with what was sent.

The server writes every captured picture into the next of a few slots of a file mapped by both; the viewer looks a
frame up by its id. Memory is bounded, nothing waits for anything, and a slot that was overwritten meanwhile is noticed
by its frame id (written before and after the picture).

    header: magic "LCRG", version u32, width u32, height u32, slots u32
    slot:   first frame id u64, then planes (3, height, width), then last frame id u64; ids are frame id + 1, 0 = empty
"""

import mmap
import struct
from pathlib import Path
from typing import Any

from latentcast.errors import UserError

_MAGIC = b"LCRG"
_VERSION = 1
_HEADER = struct.Struct("=4sIIII")
_ID = struct.Struct("=Q")
# About half a second of 1080p at 30 fps and a second of anything smaller: several times the latency worth comparing.
_MAX_BYTES = 96 << 20
_MAX_SLOTS = 32


class CaptureRing:
    """One end of the ring."""

    def __init__(self, path: Path, file_map: mmap.mmap, *, width: int, height: int, slots: int) -> None:
        self.path = path
        self.width = width
        self.height = height
        self.slots = slots
        self._map = file_map
        self._picture_bytes = 3 * width * height
        self._next = 0

    @classmethod
    def create(cls, path: Path, *, width: int, height: int) -> "CaptureRing":
        """Make the file (the server's end). Raises UserError when it cannot be written."""
        slots = max(4, min(_MAX_SLOTS, _MAX_BYTES // (3 * width * height)))
        size = _HEADER.size + slots * (3 * width * height + 2 * _ID.size)
        try:
            # A new file beside, then a rename: a viewer never sees half a header.
            fresh = path.with_name(path.name + ".new")
            with fresh.open("wb+") as file:
                file.truncate(size)
                file_map = mmap.mmap(file.fileno(), size)
            _HEADER.pack_into(file_map, 0, _MAGIC, _VERSION, width, height, slots)
            fresh.rename(path)
        except OSError as error:
            raise UserError(
                f"the capture ring {path} cannot be written ({error.strerror}); choose another path."
            ) from error
        return cls(path, file_map, width=width, height=height, slots=slots)

    @classmethod
    def open(cls, path: Path) -> "CaptureRing":
        """Map an existing file (the viewer's end). Raises UserError when there is none or it is not a ring."""
        try:
            with path.open("rb") as file:
                file_map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
            magic, version, width, height, slots = _HEADER.unpack_from(file_map)
        except (OSError, ValueError, struct.error) as error:
            raise UserError(f"the capture ring {path} cannot be read ({error}); is the server running?") from error
        size = _HEADER.size + slots * (3 * width * height + 2 * _ID.size)
        if magic != _MAGIC or version != _VERSION or len(file_map) != size:
            raise UserError(f"{path} is not a capture ring of this version of latentcast.")
        return cls(path, file_map, width=width, height=height, slots=slots)

    def write(self, frame_id: int, planes: Any) -> None:
        """Put one picture: any C-contiguous buffer of 3 * height * width bytes."""
        at = _HEADER.size + self._next * (self._picture_bytes + 2 * _ID.size)
        body = at + _ID.size
        _ID.pack_into(self._map, body + self._picture_bytes, 0)
        _ID.pack_into(self._map, at, frame_id + 1)
        self._map[body : body + self._picture_bytes] = memoryview(planes).cast("B")
        _ID.pack_into(self._map, body + self._picture_bytes, frame_id + 1)
        self._next = (self._next + 1) % self.slots

    def read(self, frame_id: int) -> bytes | None:
        """The picture of a frame as 3 * height * width bytes, or None when it is not, or no longer, there."""
        for slot in range(self.slots):
            at = _HEADER.size + slot * (self._picture_bytes + 2 * _ID.size)
            body = at + _ID.size
            end = body + self._picture_bytes
            if _ID.unpack_from(self._map, at)[0] != frame_id + 1 or _ID.unpack_from(self._map, end)[0] != frame_id + 1:
                continue
            picture = self._map[body:end]
            if _ID.unpack_from(self._map, at)[0] == frame_id + 1 and _ID.unpack_from(self._map, end)[0] == frame_id + 1:
                return picture
        return None

    def close(self) -> None:
        self._map.close()
