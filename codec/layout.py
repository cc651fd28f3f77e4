"""Sizes and ranges that every part of the codec agrees on, the same for both profiles."""

from dataclasses import dataclass

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
    size, rounded up.
    """

    width: int
    height: int

    def __post_init__(self) -> None:
        if not (MIN_WIDTH <= self.width <= MAX_WIDTH and MIN_HEIGHT <= self.height <= MAX_HEIGHT):
            raise UserError(
                f"a picture of {self.width}x{self.height} cannot be coded: sizes from {MIN_WIDTH}x{MIN_HEIGHT} to "
                f"{MAX_WIDTH}x{MAX_HEIGHT} can; choose one with --size."
            )

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
