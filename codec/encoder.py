"""Encode: a picture, a QP and a state in; a new state and a coded frame out. Nothing is remembered in between."""

import time
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from codec import rans
from codec.bitstream import MAX_SLICE_BYTES, CodedFrame, write_frame
from codec.engine import EncoderEngine
from codec.layout import INTER_QP_ROWS, INTRA_QP_ROWS, Layout
from codec.nano import LATENT_CHANNELS
from codec.nano.weights import Weights
from codec.padding import pad
from codec.slices import SliceCoder
from codec.state import State

# One packet of 1150 bytes less a header of 40 (docs/wire.md); files use the same cut.
DEFAULT_SLICE_BYTES = 1110


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds spent on one frame. total = network + entropy + padding and assembly."""

    network_s: float
    entropy_s: float
    total_s: float


class Encoder:
    """The encoding half of the codec for pictures of one size.

    Raises UserError from the constructor for a size that cannot be coded, ValueError for a slice limit that holds no
    position or that the slice table cannot name.
    """

    def __init__(
        self,
        engine: EncoderEngine,
        weights: Weights,
        *,
        width: int,
        height: int,
        max_slice_bytes: int = DEFAULT_SLICE_BYTES,
    ) -> None:
        if max_slice_bytes > MAX_SLICE_BYTES:
            raise ValueError(f"slices of {max_slice_bytes} bytes are longer than {MAX_SLICE_BYTES}")
        self.layout = Layout(width, height)
        self._engine = engine
        self._weights = weights
        self._slices = SliceCoder(weights.gaussian, channels=LATENT_CHANNELS, max_bytes=max_slice_bytes)
        self._padded = np.zeros((3, self.layout.padded_height, self.layout.padded_width), np.uint8)
        self.timing = Timing(0.0, 0.0, 0.0)
        engine.prepare(self.layout)

    def encode(
        self, reference: State | None, planes: NDArray[np.uint8], *, qp: int, frame_id: int
    ) -> tuple[State, CodedFrame]:
        """Code one picture from `reference`, or as an intra frame from None.

        planes: uint8 (3, height, width), full-range BT.709 YCbCr. qp: row of the QP tables, 0..63 intra, 0..71 inter.
        The new state carries `frame_id`. Raises ValueError for a wrong shape or QP.
        """
        layout = self.layout
        if planes.shape != (3, layout.height, layout.width):
            raise ValueError(f"planes have shape {planes.shape}, expected {(3, layout.height, layout.width)}")
        if not 0 <= qp < (INTRA_QP_ROWS if reference is None else INTER_QP_ROWS):
            raise ValueError(f"QP row {qp} is out of range for an {'intra' if reference is None else 'inter'} frame")
        started = time.perf_counter()
        picture = self._padded
        pad(planes, picture)
        network_started = time.perf_counter()
        if reference is None:
            z, symbols, tensor = self._engine.intra(picture, qp)
        else:
            z, symbols, tensor = self._engine.inter(picture, reference.tensor, qp)
        network_done = time.perf_counter()
        model = self._weights.intra if reference is None else self._weights.inter
        rows, columns = layout.latent_shape
        indexes = model.scales.indexes(z, rows, columns)
        z_stream = rans.encode(np.ascontiguousarray(z).ravel(), model.z_rows(qp, z[0].size), model.z_tables)
        # Slices run over positions, so the channels of a position come together.
        flat = np.ascontiguousarray(symbols.reshape(LATENT_CHANNELS, -1).T).ravel()
        slices = self._slices.encode(flat, indexes)
        entropy_done = time.perf_counter()
        coded = write_frame(intra=reference is None, qp=qp, layout=layout, z=z_stream, slices=slices)
        done = time.perf_counter()
        self.timing = Timing(network_done - network_started, entropy_done - network_done, done - started)
        return State(frame_id, tensor, reference is None or reference.intact), coded
