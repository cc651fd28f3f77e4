"""What the camera of a simulated run sees, as sizes of coded frames; a thin layer over the recordings.

Recordings are of one size each: a rendition or a rung of the ladder takes that of its own size, or the nearest scaled.
"""

from bench.network.recording import Programme, Recording
from bench.network.scenario import Source
from latentcast.errors import UserError

DEFAULT_CLIP = "water"
"""At 960x540 it takes 0.1 to 4.9 Mbit/s, by QP; at 1280x720 0.2 to 7."""


class Footage:
    """Sizes by frame id, which counts the captured pictures from 0."""

    def __init__(self, source: Source, *, fps: float, skipped: int = 0) -> None:
        """skipped: frames of the first clip that are over when the run begins.

        Raises UserError for a clip that is not in the recording.
        """
        parts = [(part.clip, round(part.at_s * fps)) for part in source.parts] or [(DEFAULT_CLIP, 0)]
        starts = [start for _, start in parts]
        lengths = [end - start for start, end in zip(starts, [*starts[1:], starts[-1] + 1], strict=True)]
        lengths[0] += skipped
        self._skipped = skipped
        self._parts = [(clip, frames) for (clip, _), frames in zip(parts, lengths, strict=True)]
        self._programmes: dict[tuple[int, int], Programme] = {}
        try:
            self._programme((source.width, source.height))
        except ValueError as error:
            raise UserError(f"[[source.part]]: {error}.") from error

    def frame_bytes(
        self, frame_id: int, *, reference: tuple[int, float | None] | None, qp: int, size: tuple[int, int]
    ) -> tuple[int, int]:
        """(bytes, of which head) of a coded frame. reference: id and worth of the state coded from; None: intra."""
        programme = self._programme(size)
        index = frame_id + self._skipped
        if reference is None:
            return programme.frame_bytes(index, qp=qp, intra=True)
        reference_id, held = reference
        return programme.frame_bytes(index, qp=qp, intra=False, age=frame_id - reference_id, held=held)

    def worth(
        self, frame_id: int, *, reference: tuple[int, float | None] | None, qp: int, size: tuple[int, int]
    ) -> float | None:
        """What the state after a frame is worth to the next one."""
        programme = self._programme(size)
        index = frame_id + self._skipped
        if reference is None:
            return programme.worth(index, held=None, qp=qp, intra=True)
        reference_id, held = reference
        return programme.worth(index, held=held, qp=qp, intra=False, age=frame_id - reference_id)

    def _programme(self, size: tuple[int, int]) -> Programme:
        programme = self._programmes.get(size)
        if programme is None:
            programme = Recording.load(width=size[0], height=size[1]).play(*self._parts)
            self._programmes[size] = programme
        return programme
