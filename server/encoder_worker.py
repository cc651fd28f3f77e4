"""The encoder process: pictures from shared memory in, coded frames out. Runs in a `latentcast.worker.Worker`.

It keeps a ring of states; each job names the one to code from, and a name it does not hold (any more) makes the frame
intra. Each job also names the size to code at: pictures of another size are scaled here, next to the network.
"""

import gc
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from codec.arithmetic import Arithmetic, AskArithmetic
from codec.engine import FrameEncoder
from codec.profiles import Codec, Profile, open_codec
from codec.state import StateRing
from latentcast.shared_buffer import SharedBuffer
from server.frame_slots import SLOTS, slot_views

if TYPE_CHECKING:
    from codec.colour import ToPlanes

Size = tuple[int, int]
"""Width and height in pixels."""
Planes = NDArray[np.uint8]

PREPARED = 2
"""Encoders kept ready: of this size and of the one before it, which a bandwidth at the edge of a rung comes back to. On
a GPU each holds gigabytes."""


@dataclass(frozen=True, slots=True)
class EncoderSetup:
    """What the process is started with. fd: the inherited shared memory of `buffer_bytes`, with `slots` pictures.

    width, height: of the pictures in the slots. size: to get ready for first; None: that of the pictures.
    """

    profile: Profile
    fd: int
    buffer_bytes: int
    width: int
    height: int
    threads: int
    max_slice_bytes: int
    slots: int = SLOTS
    size: Size | None = None


@dataclass(frozen=True, slots=True)
class EncodeJob:
    """Code the picture in `slot`. reference_id: state to code from, None for intra. QPs: rows for either case.

    pins: states to keep in the ring however old they get. size: to code at, None: that of the pictures; where it
    changes, all states are forgotten.
    """

    slot: int
    frame_id: int
    reference_id: int | None
    inter_qp: int
    intra_qp: int
    pins: tuple[int, ...] = ()
    size: Size | None = None


@dataclass(frozen=True, slots=True)
class EncodeResult:
    """A coded frame and when it was made (monotonic clock of this machine)."""

    frame_id: int
    reference_id: int | None
    data: bytes
    slice_offsets: tuple[int, ...]
    qp: int
    size: Size
    started_us: int
    done_us: int


Job = AskArithmetic | EncodeJob
Result = Arithmetic | EncodeResult


class Scaler:
    """Pictures to another size, in one thread: swscale corrupts small pictures with several. Colours stay as they are.

    The PyAV that it needs is imported with the first picture.
    """

    def __init__(self) -> None:
        self._to_planes: ToPlanes | None = None
        self._scaled = np.empty((3, 0, 0), np.uint8)

    def scale(self, planes: Planes, size: Size) -> Planes:
        """uint8 (3, H, W) at `size`, valid until the next call; the picture itself where it has that size already."""
        width, height = size
        if planes.shape[1:] == (height, width):
            return planes
        from codec.colour import ToPlanes, planes_to_frame

        if self._to_planes is None:
            self._to_planes = ToPlanes()
        if self._scaled.shape[1:] != (height, width):
            self._scaled = np.empty((3, height, width), np.uint8)
        return self._to_planes(planes_to_frame(planes), width=width, height=height, out=self._scaled)


class Encoders:
    """Warmed-up encoders by size, the `PREPARED` last used ones."""

    def __init__(self, codec: Codec, *, max_slice_bytes: int) -> None:
        self._codec = codec
        self._max_slice_bytes = max_slice_bytes
        self._encoders: OrderedDict[Size, FrameEncoder] = OrderedDict()

    def get(self, size: Size) -> FrameEncoder:
        """The encoder of this size, made now if there is none. Raises UserError for a size that cannot be coded."""
        if size not in self._encoders:
            while len(self._encoders) >= PREPARED:
                self._encoders.popitem(last=False)
                # Engines refer to themselves: their memory is back before the next one asks for more.
                gc.collect()
            width, height = size
            self._encoders[size] = self._codec.encoder(
                width=width, height=height, max_slice_bytes=self._max_slice_bytes
            )
        self._encoders.move_to_end(size)
        return self._encoders[size]

    def __len__(self) -> int:
        return len(self._encoders)


def make_handler(setup: EncoderSetup) -> Callable[[Job], Result]:
    pictures = slot_views(
        SharedBuffer(setup.fd, setup.buffer_bytes), width=setup.width, height=setup.height, slots=setup.slots
    )
    codec = open_codec(setup.profile, threads=setup.threads)
    arithmetic = codec.arithmetic()
    encoders = Encoders(codec, max_slice_bytes=setup.max_slice_bytes)
    scaler = Scaler()
    states = StateRing()
    size = setup.size or (setup.width, setup.height)
    encoders.get(size)

    def encode(job: EncodeJob) -> EncodeResult:
        nonlocal size
        started_us = time.monotonic_ns() // 1000
        wanted = job.size or (setup.width, setup.height)
        if wanted != size:
            # Before the encoder is made: the states of a GPU make room for it.
            states.clear()
            encoders.get(wanted)
            size = wanted
        reference = None if job.reference_id is None else states.get(job.reference_id)
        qp = job.intra_qp if reference is None else job.inter_qp
        picture = scaler.scale(pictures[job.slot], size)
        state, coded = encoders.get(size).encode(reference, picture, qp=qp, frame_id=job.frame_id)
        # The reference too: the picture may be coded again from it, at another QP.
        states.pin((*job.pins, job.reference_id))
        states.put(state, intra=reference is None)
        return EncodeResult(
            frame_id=job.frame_id,
            reference_id=None if reference is None else reference.id,
            data=coded.data,
            slice_offsets=coded.slice_offsets,
            qp=coded.qp,
            size=size,
            started_us=started_us,
            done_us=time.monotonic_ns() // 1000,
        )

    def handle(job: Job) -> Result:
        if isinstance(job, AskArithmetic):
            return arithmetic
        return encode(job)

    return handle
