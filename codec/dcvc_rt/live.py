"""Live frames of `dcvc-rt`: the published payload behind a header of ours (`docs/dcvc-rt.md`, "Live frames").

    0   version   u8    codec.bitstream.VERSION
    1   type      u8    0 intra, 1 inter
    2   QP        u8    0..63 intra, shifted 0..71 inter
    3   flags     u8    bit 0: two streams; bit 1: the new state is made from the picture (a reset)
    4   width     u16   pixels, unpadded
    6   height    u16
    8   check     u32   CRC-32 of the decoded symbols (codec.dcvc_rt.coder.symbol_check)
    12  payload         section 7

All of it is needed: there are no slices. The skip threshold travels in the stream config. The check catches a machine
that computes other scales than the encoder's: its symbols would be noise.
"""

import struct
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from codec.bitstream import VERSION, CodedFrame, Hole
from codec.dcvc_rt.coder import PictureDecoder, PictureEncoder
from codec.dcvc_rt.payload import wants_two_streams
from codec.decoder import DecodedFrame
from codec.encoder import Timing
from codec.layout import INTER_QP_ROWS, INTRA_QP_ROWS, Layout
from codec.state import State
from latentcast.errors import BitstreamError, MismatchError

_HEADER = struct.Struct(">BBBBHHI")
_TWO_STREAMS, _RESET = 1, 2


@dataclass(frozen=True, slots=True)
class Reference:
    """What `State.tensor` is here. pictures: coded since the tensor's chain last began from a picture."""

    tensor: Any
    pictures: int


class LiveEncoder:
    """`codec.engine.FrameEncoder`. reset_interval: pictures after which the state is made from the picture; 0 never."""

    def __init__(self, coder: PictureEncoder, *, reset_interval: int) -> None:
        self._coder = coder
        self._reset_interval = reset_interval
        self.layout = coder.layout
        self._two_streams = wants_two_streams(self.layout.width, self.layout.height)

    @property
    def timing(self) -> Timing:
        return self._coder.timing

    def encode(
        self, reference: State | None, planes: NDArray[np.uint8], *, qp: int, frame_id: int
    ) -> tuple[State, CodedFrame]:
        """As `codec.encoder.Encoder.encode`."""
        layout = self.layout
        if planes.shape != (3, layout.height, layout.width):
            raise ValueError(f"planes have shape {planes.shape}, expected {(3, layout.height, layout.width)}")
        intra = reference is None
        if not 0 <= qp < (INTRA_QP_ROWS if intra else INTER_QP_ROWS):
            raise ValueError(f"QP {qp} is out of range for an {'intra' if intra else 'inter'} frame")
        past = Reference(None, 0) if reference is None else reference.tensor
        # An intra picture leaves a state made from it anyway.
        reset = not intra and 0 < self._reset_interval <= past.pictures + 1
        coded = self._coder.encode(past.tensor, planes, qp=qp, reset=reset, two_streams=self._two_streams)
        flags = _TWO_STREAMS * self._two_streams | _RESET * reset
        header = _HEADER.pack(VERSION, 0 if intra else 1, qp, flags, layout.width, layout.height, coded.check)
        state = Reference(coded.state, 0 if intra or reset else past.pictures + 1)
        intact = reference is None or reference.intact
        return State(frame_id, state, intact), CodedFrame(header + coded.payload, (), intra, qp)


class LiveDecoder:
    """`codec.engine.FrameDecoder`."""

    def __init__(self, coder: PictureDecoder) -> None:
        self._coder = coder
        self.layout = coder.layout

    @property
    def timing(self) -> Timing:
        return self._coder.timing

    def decode(
        self, reference: State | None, data: bytes, *, frame_id: int, holes: tuple[Hole, ...] = ()
    ) -> tuple[State, DecodedFrame]:
        """Decode a frame that was coded from `reference` (None for an intra frame).

        Raises BitstreamError when the frame is incomplete, malformed or does not fit `reference`, MismatchError when
        it is whole but this machine reads other symbols from it than were coded.
        """
        if holes:
            raise BitstreamError("a part of the frame is missing, and all of it is needed")
        intra, qp, flags, check = read_header(data, self.layout)
        if intra != (reference is None):
            raise BitstreamError("an intra frame takes no reference and an inter frame needs one")
        tensor = None if reference is None else reference.tensor.tensor
        mismatch = (
            f"frame {frame_id} arrived whole but reads differently here: this machine computes otherwise than the "
            f"server's encoder; use the same kind of device, the same version of torch and the same number of "
            f"threads at both ends, or the nano profile."
        )
        try:
            decoded, symbols = self._coder.decode(
                tensor,
                data[_HEADER.size :],
                qp=qp,
                reset=bool(flags & _RESET),
                two_streams=bool(flags & _TWO_STREAMS),
            )
        except BitstreamError as error:
            # What came over the network whole is what was sent; wrong scales lose the entropy coder its place.
            raise MismatchError(mismatch, offset=error.offset) from error
        if symbols != check:
            raise MismatchError(mismatch)
        height, width = self.layout.height, self.layout.width
        # A copy: on a GPU the next frame arrives in the same place.
        planes = decoded.code_values[:, :height, :width].copy()
        return State(frame_id, Reference(decoded.state, 0)), DecodedFrame(planes, intra, qp, 1, ())


def read_header(data: bytes, layout: Layout) -> tuple[bool, int, int, int]:
    """Intra or not, QP, flags and check of a live frame. Raises BitstreamError for one that is not for `layout`."""
    if len(data) < _HEADER.size:
        raise BitstreamError(f"a coded frame of {len(data)} bytes is shorter than its header of {_HEADER.size}")
    version, kind, qp, flags, width, height, check = _HEADER.unpack_from(data)
    if version != VERSION:
        raise BitstreamError(f"the frame has bitstream version {version}, this program reads version {VERSION}")
    if kind > 1 or flags & ~(_TWO_STREAMS | _RESET):
        raise BitstreamError(f"unknown frame type {kind} or flags {flags:#04x}")
    if qp >= (INTER_QP_ROWS if kind else INTRA_QP_ROWS):
        raise BitstreamError(f"QP {qp} is out of range for frame type {kind}")
    if (width, height) != (layout.width, layout.height):
        raise BitstreamError(f"the frame is {width}x{height}, expected {layout.width}x{layout.height}")
    return kind == 0, qp, flags, check
