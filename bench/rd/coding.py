"""What the measurement asks of a codec: code a clip at one point, hand back bytes and decoded pictures."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from bench.rd.clips import Clip

Planes: TypeAlias = tuple[
    NDArray[np.uint8 | np.float32], NDArray[np.uint8 | np.float32], NDArray[np.uint8 | np.float32]
]
"""Y (height, width), Cb and Cr (height / 2, width / 2): code values 0..255, not rounded where the codec does not."""


@dataclass(frozen=True, slots=True)
class Coded:
    """A clip coded at one point.

    size_bytes: the whole coded file. intra_frames: how many frames refer to no other, where that can be told.
    pictures: the decoded frames in order, to be read once; decoding happens as they are read.
    """

    size_bytes: int
    encode_s: float
    intra_frames: int | None
    pictures: Iterator[Planes]


class RateDistortionCodec(Protocol):
    """One codec with one preset.

    name: unique in a run, with the preset in it. settings: everything else that was fixed, for the reader.
    points: what the encoder's quality knob (`point_name`) is set to, one after the other.
    """

    name: str
    settings: str
    point_name: str
    points: tuple[int, ...]

    def code(self, clip: Clip, point: int, *, folder: Path) -> Coded:
        """Code `clip`. Files may be left in `folder`, an empty one that stays until the pictures have been read.

        Raises UserError, also while the pictures are read.
        """
        ...
