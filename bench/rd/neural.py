"""Our profiles as codecs: the bytes of the coded file, and the pictures that come out of reading it again.

The networks work on 4:4:4: chroma is repeated 2x2 going in and averaged 2x2 coming out, code values as they are, as the
published results of DCVC-RT were made.
"""

import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.rd.clips import Clip, FramePlanes
from bench.rd.coding import Coded, Planes
from codec.container import FileHeader, FileReader, FileWriter
from codec.layout import MAX_QP, Layout
from codec.profiles import Profile, open_codec
from codec.quality_cycle import inter_row
from codec.state import State
from latentcast.errors import BitstreamError, UserError

DEFAULT_POINTS = (0, 16, 32, 47, 63)
"""Base QPs evenly over 0..63, rounded: the published condition's rule (0, 21, 42, 63 for four) with one more."""


class ProfileCodec:
    """A profile: one intra frame at the base QP, then inter frames in the 8-frame quality cycle.

    Loaded here, once. Raises UserError for weights or a device it cannot use, and for a QP outside 0..63.
    """

    point_name = "QP"

    def __init__(self, profile: Profile, *, points: tuple[int, ...] | None = None) -> None:
        self.points = points or DEFAULT_POINTS
        if wrong := [point for point in self.points if not 0 <= point <= MAX_QP]:
            raise UserError(f"{profile.name} has no QP {wrong[0]}; expected 0 to {MAX_QP}.")
        self._profile = profile
        self._codec = open_codec(profile)
        self._weights_sha256 = profile.weights_sha256()
        self.name = profile.name if profile.precision in ("auto", "float32") else f"{profile.name} {profile.precision}"
        self._precision = self._codec.arithmetic().precision
        self.settings = (
            f"weights {self._weights_sha256[:12]}, {self._precision}, one intra frame, 8-frame quality cycle"
        )

    def code(self, clip: Clip, point: int, *, folder: Path) -> Coded:
        """See RateDistortionCodec."""
        encoder = self._codec.encoder(width=clip.width, height=clip.height)
        state: State | None = None
        frames = []
        started = time.perf_counter()
        for number, planes in enumerate(clip):
            row = point if state is None else inter_row(point, number)
            state, frame = encoder.encode(state, to_444(planes), qp=row, frame_id=number)
            frames.append(frame.data)
        encode_s = time.perf_counter() - started
        path = folder / "clip.lcv"
        self._write(path, clip, frames)
        return Coded(path.stat().st_size, encode_s, 1, self._decode(path, clip))

    def _write(self, path: Path, clip: Clip, frames: Sequence[bytes]) -> None:
        """The file whose size counts."""
        header = FileHeader(Layout(clip.width, clip.height), clip.fps, self._weights_sha256, self._precision)
        with FileWriter(path, header) as writer:
            for data in frames:
                writer.write(data)

    def _decode(self, path: Path, clip: Clip) -> Iterator[Planes]:
        decoder = self._codec.decoder(width=clip.width, height=clip.height, skip_threshold=self._profile.skip_threshold)
        state: State | None = None
        with FileReader(path) as reader:
            for number, data in enumerate(reader.frames()):
                try:
                    state, frame = decoder.decode(state, data, frame_id=number)
                except BitstreamError as error:
                    raise UserError(f"frame {number} of a file just written cannot be decoded ({error}).") from error
                if frame.slices_missing:
                    raise UserError(f"frame {number} of a file just written has {frame.slices_missing} bad slices.")
                yield to_420(frame.planes)


def to_444(planes: FramePlanes) -> NDArray[np.uint8]:
    """(3, height, width): chroma repeated 2x2."""
    return np.stack([planes[0], *(chroma.repeat(2, axis=0).repeat(2, axis=1) for chroma in planes[1:])])


def to_420(picture: NDArray[Any]) -> Planes:
    """4:4:4 (3, height, width) of even size to 4:2:0: the mean of each 2x2 block of chroma, not rounded (float32)."""
    chroma = picture[1:].astype(np.float32)
    means = (chroma[:, ::2, ::2] + chroma[:, ::2, 1::2] + chroma[:, 1::2, ::2] + chroma[:, 1::2, 1::2]) / 4
    return picture[0], means[0], means[1]
