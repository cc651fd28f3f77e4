"""Decode: a coded frame and a state in; a new state and a picture out. Nothing is remembered in between."""

import time
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from codec import rans
from codec.bitstream import FrameParts, Hole, read_frame
from codec.encoder import Timing
from codec.engine import DecoderEngine
from codec.layout import Layout
from codec.nano import HYPER_CHANNELS, LATENT_CHANNELS
from codec.nano.weights import Weights
from codec.slices import SliceCoder
from codec.state import State
from latentcast.errors import BitstreamError


@dataclass(frozen=True, slots=True)
class DecodedFrame:
    """planes: uint8 (3, height, width), full-range BT.709 YCbCr. missing: indexes of slices concealed at their mean."""

    planes: NDArray[np.uint8]
    intra: bool
    qp: int
    slices: int
    missing: tuple[int, ...]

    @property
    def slices_missing(self) -> int:
        """How many of `slices` were concealed."""
        return len(self.missing)


class Decoder:
    """The decoding half of the codec for pictures of one size.

    Raises UserError from the constructor for a size that cannot be coded.
    """

    def __init__(self, engine: DecoderEngine, weights: Weights, *, width: int, height: int) -> None:
        self.layout = Layout(width, height)
        self._engine = engine
        self._weights = weights
        self._slices = SliceCoder(weights.gaussian, channels=LATENT_CHANNELS, max_bytes=1 << 16)
        self.timing = Timing(0.0, 0.0, 0.0)
        engine.prepare(self.layout)

    def decode(
        self, reference: State | None, data: bytes, *, frame_id: int, holes: tuple[Hole, ...] = ()
    ) -> tuple[State, DecodedFrame]:
        """Decode a frame that was coded from `reference` (None for an intra frame).

        holes: byte ranges of `data` that did not arrive; slices they touch, and slices that fail their integrity
        check, decode to the predicted mean. The new state carries `frame_id` and is not intact when a slice was missing
        here or in `reference`. Raises BitstreamError when the head is damaged, the size is another, or the frame's type
        does not fit `reference`.
        """
        started = time.perf_counter()
        parts = read_frame(data, holes)
        if parts.layout != self.layout:
            raise BitstreamError(
                f"the frame is {parts.layout.width}x{parts.layout.height}, expected "
                f"{self.layout.width}x{self.layout.height}"
            )
        if parts.intra != (reference is None):
            raise BitstreamError("an intra frame takes no reference and an inter frame needs one")
        z, symbols, damaged = self._entropy_decode(parts)
        entropy_done = time.perf_counter()
        if reference is None:
            picture, tensor = self._engine.intra(z, symbols, parts.qp)
        else:
            picture, tensor = self._engine.inter(z, symbols, reference.tensor, parts.qp)
        network_done = time.perf_counter()
        planes = np.ascontiguousarray(picture[:, : self.layout.height, : self.layout.width])
        done = time.perf_counter()
        self.timing = Timing(network_done - entropy_done, entropy_done - started, done - started)
        intact = not damaged and (reference is None or reference.intact)
        frame = DecodedFrame(planes, parts.intra, parts.qp, len(parts.slices), damaged)
        return State(frame_id, tensor, intact), frame

    def _entropy_decode(self, parts: FrameParts) -> tuple[NDArray[np.int8], NDArray[np.int8], tuple[int, ...]]:
        """z (32, ., .), symbols (64, ., .) and the indexes of slices that were missing or damaged."""
        model = self._weights.intra if parts.intra else self._weights.inter
        hyper_rows, hyper_columns = self.layout.hyper_shape
        z = rans.decode(parts.z, model.z_rows(parts.qp, hyper_rows * hyper_columns), model.z_tables)
        z = z.reshape(HYPER_CHANNELS, hyper_rows, hyper_columns)
        rows, columns = self.layout.latent_shape
        flat, damaged = self._slices.decode(parts.slices, model.scales.indexes(z, rows, columns))
        symbols = np.ascontiguousarray(flat.reshape(-1, LATENT_CHANNELS).T).reshape(LATENT_CHANNELS, rows, columns)
        return z, symbols, damaged
