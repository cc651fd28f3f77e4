"""The pictures that are streamed: clips as 8-bit 4:2:0 planes, played forth and back so that no cut is in them."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bench.rd.clips import Clip, FramePlanes, open_clip
from latentcast.errors import UserError


@dataclass(frozen=True, slots=True)
class Film:
    """A clip, made as long as asked. Indexes run from 0 to `frames` - 1."""

    name: str
    width: int
    height: int
    fps: float
    frames: int
    pictures: tuple[FramePlanes, ...]
    """Of the clip itself: views of a spooled file, which must stay until the film is done."""

    def __getitem__(self, number: int) -> FramePlanes:
        """The picture captured at `number` / fps."""
        if not 0 <= number < self.frames:
            raise IndexError(f"picture {number} of a film of {self.frames}")
        last = len(self.pictures) - 1
        phase = number % (2 * last) if last else 0
        return self.pictures[min(phase, 2 * last - phase)]

    def __iter__(self) -> Iterator[FramePlanes]:
        return (self[number] for number in range(self.frames))


def open_film(source: Path, folder: Path, *, size: tuple[int, int], seconds: float) -> Film:
    """`seconds` of a video, shrunk to fit `size` and spooled into `folder`. Raises UserError."""
    if not source.is_file():
        raise UserError(f"there is no file {source}: check the name.")
    # A long clip is not read further than it is shown; its rate is not known yet, and few clips are faster than this.
    clip: Clip = open_clip(source, folder, name=source.stem, frames=max(2, round(seconds * 60)), size=size)
    if clip.frames == 0:
        raise UserError(f"{source} has no pictures: choose another clip.")
    frames = max(2, round(seconds * float(clip.fps)))
    return Film(clip.name, clip.width, clip.height, float(clip.fps), frames, tuple(clip))
