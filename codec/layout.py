"""Sizes and ranges that every part of the codec agrees on, the same for both profiles."""

from dataclasses import dataclass
from typing import ClassVar

from latentcast.errors import UserError

# QP 0 is the lowest quality and rate. Inter frames have 8 more rows, for the offsets of the quality cycle.
INTRA_QP_ROWS = 64
INTER_QP_ROWS = 72
MAX_QP = INTRA_QP_ROWS - 1

MIN_WIDTH, MIN_HEIGHT = 64, 64
MAX_WIDTH, MAX_HEIGHT = 1920, 1088


@dataclass(frozen=True, slots=True)
class Layout:
    """Every size that follows from the picture's.

    Pictures are padded by replication to multiples of 16; latents sit at 1/16, states at 1/8, z at 1/64 of the padded
    size, rounded up. The limits here are those of live pictures.
    """

    smallest: ClassVar[tuple[int, int]] = (MIN_WIDTH, MIN_HEIGHT)
    largest: ClassVar[tuple[int, int]] = (MAX_WIDTH, MAX_HEIGHT)

    width: int
    height: int

    def __post_init__(self) -> None:
        if not self.allows(self.width, self.height):
            (min_width, min_height), (max_width, max_height) = self.smallest, self.largest
            raise UserError(
                f"a picture of {self.width}x{self.height} cannot be coded: sizes from {min_width}x{min_height} to "
                f"{max_width}x{max_height} can; choose one with --size."
            )

    @classmethod
    def allows(cls, width: int, height: int) -> bool:
        """Whether pictures of this size can be coded."""
        return cls.smallest[0] <= width <= cls.largest[0] and cls.smallest[1] <= height <= cls.largest[1]

    @property
    def padded_width(self) -> int:
        return -(-self.width // 16) * 16

    @property
    def padded_height(self) -> int:
        return -(-self.height // 16) * 16

    @property
    def latent_shape(self) -> tuple[int, int]:
        """(rows, columns) of the latents."""
        return self.padded_height // 16, self.padded_width // 16

    @property
    def positions(self) -> int:
        """Number of latent positions."""
        rows, columns = self.latent_shape
        return rows * columns

    @property
    def hyper_shape(self) -> tuple[int, int]:
        """(rows, columns) of z."""
        rows, columns = self.latent_shape
        return -(-rows // 4), -(-columns // 4)

    @property
    def state_size(self) -> tuple[int, int]:
        """(rows, columns) of a state."""
        return self.padded_height // 8, self.padded_width // 8


class FileLayout(Layout):
    """As `Layout`, with the limits of files of the paper's format: the format has none, hostile files need some."""

    __slots__ = ()

    smallest: ClassVar[tuple[int, int]] = (1, 1)
    largest: ClassVar[tuple[int, int]] = (4096, 2304)
