"""What the simulation asks of a codec: a coder beside the sender, a viewer behind the receiver."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from bench.rd.clips import FramePlanes
from transport.reassembly import FrameReady
from transport.receiver import MediaReceiver
from transport.sender import MediaSender
from transport.wire import FrameAcks

Luma: TypeAlias = NDArray[np.uint8]
"""Y (height, width), code values as in the film."""

CONFIG_EPOCH = 0
"""The one stream config of a run: nothing changes size."""


@dataclass(frozen=True, slots=True)
class Decoded:
    """A picture that the viewer can show. frame_id: which captured picture it stands for."""

    frame_id: int
    luma: Luma


class LiveCoder(Protocol):
    """The server's end."""

    intra_frames: int
    """Coded so far."""

    def capture(self, frame_id: int, planes: FramePlanes, *, sender: MediaSender, now: float) -> None:
        """A picture was captured now: code and offer it, or leave it out."""

    def on_acks(self, acks: FrameAcks, *, now: float) -> None:
        """What the viewer says became of frames; the sender has heard it already."""


class LiveViewer(Protocol):
    """The viewer's end."""

    def on_frame(self, frame: FrameReady, receiver: MediaReceiver) -> Sequence[Decoded]:
        """A frame has left reassembly: decode what can be decoded, and tell the receiver what became of it."""
