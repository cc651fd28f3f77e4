"""The codec of a simulated run: sizes come from recordings of the real one, states are names without a picture.

Which states there are, which frames can be decoded and which are intact follows the rules of the real encoder and
decoder processes, with the same rings. What is not there is the network.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from bench.network.footage import Footage
from codec.state import DecoderRing, State, StateRing
from server.encode_control import EncodeOrder
from transport.packetiser import MAX_SLICE_BYTES
from transport.reassembly import FrameReady
from transport.wire import FrameStatus

_SLICE_BYTES = MAX_SLICE_BYTES * 99 // 100
"""The real coder plans its slices 1 % short of the limit."""
_REMEMBERED = 512
"""Frames whose slices the decoder can be asked about: seconds more than any frame is under way."""


Decoded = tuple[FrameStatus, tuple[int, ...]]
"""What became of a frame, and its missing slices."""


@dataclass(frozen=True, slots=True)
class SymbolicFrame:
    """A coded frame: as many bytes as the real one would have, all zero."""

    frame_id: int
    reference_id: int | None
    data: bytes
    slice_offsets: tuple[int, ...]
    qp: int
    size: tuple[int, int]


class SymbolicEncoder:
    """One rendition's encoder process."""

    def __init__(self, footage: Footage) -> None:
        self._footage = footage
        self._ring = StateRing()
        self._size: tuple[int, int] | None = None
        self._frames: dict[int, SymbolicFrame] = {}

    def encode(self, order: EncodeOrder) -> SymbolicFrame:
        """Does what the order says; a state that is not there makes the frame intra."""
        if order.size != self._size:
            self._ring.clear()
            self._size = order.size
        self._ring.pin((*order.pins, order.reference_id))
        reference = None if order.reference_id is None else self._ring.get(order.reference_id)
        qp = order.intra_qp if reference is None else order.inter_qp
        held = None if reference is None else (reference.id, reference.tensor)
        size_bytes, head_bytes = self._footage.frame_bytes(order.frame_id, reference=held, qp=qp, size=order.size)
        frame = SymbolicFrame(
            frame_id=order.frame_id,
            reference_id=None if reference is None else reference.id,
            data=bytes(size_bytes),
            slice_offsets=tuple(range(head_bytes, size_bytes, _SLICE_BYTES)),
            qp=qp,
            size=order.size,
        )
        worth = self._footage.worth(order.frame_id, reference=held, qp=qp, size=order.size)
        self._ring.put(State(order.frame_id, worth), intra=reference is None)
        self._frames[order.frame_id] = frame
        if len(self._frames) > _REMEMBERED:
            del self._frames[next(iter(self._frames))]
        return frame

    def coded(self, frame_id: int) -> SymbolicFrame:
        """A frame coded lately."""
        return self._frames[frame_id]


class SymbolicDecoder:
    """One viewer's decoder process."""

    def __init__(self) -> None:
        self._ring = DecoderRing()

    def configure(self) -> None:
        """Another size: all states are forgotten."""
        self._ring.clear()

    def decode(self, ready: FrameReady, frame: SymbolicFrame) -> Decoded | None:
        """(status, missing slices), or None where the real decoder would fail: no reference, or a damaged head."""
        reference = None if ready.reference_id is None else self._ring.get(ready.reference_id)
        if reference is None and ready.reference_id is not None:
            return None
        head = frame.slice_offsets[0] if frame.slice_offsets else len(frame.data)
        if any(start < head for start, _ in ready.holes):
            return None
        missing = missing_slices(frame, ready.holes)
        intact = not missing and (reference is None or reference.intact)
        self._ring.add(State(ready.frame_id, None, intact=intact), reference_id=ready.reference_id)
        return (FrameStatus.INTACT if intact else FrameStatus.CONCEALED), missing


def missing_slices(frame: SymbolicFrame, holes: Sequence[tuple[int, int]]) -> tuple[int, ...]:
    """Indexes of the slices that a hole touches."""
    ends = (*frame.slice_offsets[1:], len(frame.data))
    return tuple(
        index
        for index, (start, end) in enumerate(zip(frame.slice_offsets, ends, strict=True))
        if any(begin < end and stop > start for begin, stop in holes)
    )
