"""What an engine is: the networks of one profile on one device, with static shapes.

An engine knows nothing of entropy coding, packets or files. `codec.encoder` and `codec.decoder` put the entropy coder
around one. A state tensor belongs to the engine that made it; to everyone else it is opaque.
"""

from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from codec.layout import Layout
from codec.state import State

if TYPE_CHECKING:
    from codec.bitstream import CodedFrame, Hole
    from codec.decoder import DecodedFrame
    from codec.encoder import Timing

Picture = NDArray[np.uint8]
Symbols = NDArray[np.int8]


class EncoderEngine(Protocol):
    """Analysis and the encoder's copy of the synthesis.

    Pictures are uint8 (3, padded height, padded width); z is int8 (32, rows/4, columns/4 rounded up); symbols are int8
    (64, rows, columns). QP is the row of the QP tables: 0..63 intra, 0..71 inter.
    """

    def prepare(self, layout: Layout) -> None:
        """Make ready for pictures of one size; afterwards the first frame costs what every frame costs."""

    def intra(self, picture: Picture, qp: int) -> tuple[Symbols, Symbols, Any]:
        """Returns z, symbols and the new state tensor."""

    def inter(self, picture: Picture, state: Any, qp: int) -> tuple[Symbols, Symbols, Any]:
        """Returns z, symbols and the new state tensor."""


class DecoderEngine(Protocol):
    """Synthesis. Shapes and ranges as in EncoderEngine."""

    def prepare(self, layout: Layout) -> None:
        """Make ready for pictures of one size."""

    def intra(self, z: Symbols, symbols: Symbols, qp: int) -> tuple[Picture, Any]:
        """Returns the padded picture and the new state tensor."""

    def inter(self, z: Symbols, symbols: Symbols, state: Any, qp: int) -> tuple[Picture, Any]:
        """Returns the padded picture and the new state tensor."""


class FrameEncoder(Protocol):
    """A whole encoder for pictures of one size: engine and entropy coder. `codec.encoder.Encoder` explains."""

    @property
    def layout(self) -> Layout: ...

    @property
    def timing(self) -> "Timing":
        """Of the newest frame."""

    def encode(
        self, reference: State | None, planes: Picture, *, qp: int, frame_id: int
    ) -> "tuple[State, CodedFrame]": ...


class FrameDecoder(Protocol):
    """A whole decoder for pictures of one size. `codec.decoder.Decoder` explains."""

    @property
    def layout(self) -> Layout: ...

    @property
    def timing(self) -> "Timing":
        """Of the newest frame."""

    def decode(
        self, reference: State | None, data: bytes, *, frame_id: int, holes: "tuple[Hole, ...]" = ()
    ) -> "tuple[State, DecodedFrame]": ...
