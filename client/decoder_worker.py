"""The decoder process: coded frames in, pictures into shared memory. Runs in a `latentcast.worker.Worker`.

It is started before signalling: networks and entropy coder load while the connection is made, and `Configure` tells it
the picture size later. It keeps the ring of states that the server may code its next frames from.
"""

import gc
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from codec.arithmetic import Arithmetic, AskArithmetic
from codec.bitstream import Hole
from codec.engine import FrameDecoder
from codec.layout import MAX_HEIGHT, MAX_WIDTH
from codec.profiles import Profile, open_codec
from codec.state import DecoderRing
from latentcast.errors import BitstreamError, MismatchError
from latentcast.shared_buffer import SharedBuffer

BUFFER_BYTES = 3 * MAX_WIDTH * MAX_HEIGHT


@dataclass(frozen=True, slots=True)
class DecoderSetup:
    """fd: inherited shared memory of `BUFFER_BYTES`, which holds the newest picture."""

    profile: Profile
    fd: int
    threads: int


@dataclass(frozen=True, slots=True)
class Configure:
    """Get ready for another picture size; all states are forgotten."""

    width: int
    height: int
    skip_threshold: float | None


@dataclass(frozen=True, slots=True)
class Configured:
    """Answer to Configure."""


@dataclass(frozen=True, slots=True)
class DecodeJob:
    """A frame to decode. reference_id: the state it was coded from, None for intra."""

    frame_id: int
    reference_id: int | None
    data: bytes
    holes: tuple[Hole, ...]


@dataclass(frozen=True, slots=True)
class DecodeResult:
    """The picture is in shared memory until the next job. Times: monotonic clock of this machine."""

    frame_id: int
    intra: bool
    qp: int
    intact: bool
    """Nothing was missing, here and in every state before."""
    missing_slices: tuple[int, ...]
    """Indexes of slices concealed in this frame."""
    started_us: int
    done_us: int


@dataclass(frozen=True, slots=True)
class DecodeFailure:
    """The frame cannot be shown: its reference is not there, or it is damaged.

    no_state: its reference is not here. mismatch: it is whole, but this machine computes otherwise than the encoder's,
    and `reason` is for the user.
    """

    frame_id: int
    reason: str
    mismatch: bool = False
    no_state: bool = False


def picture_view(buffer: SharedBuffer, *, width: int, height: int) -> NDArray[np.uint8]:
    """The picture in shared memory: uint8 (3, height, width)."""
    return np.frombuffer(buffer.view, np.uint8, count=3 * width * height).reshape(3, height, width)


Job = AskArithmetic | Configure | DecodeJob
Result = Arithmetic | Configured | DecodeResult | DecodeFailure


def make_handler(setup: DecoderSetup) -> Callable[[Job], Result]:
    buffer = SharedBuffer(setup.fd, BUFFER_BYTES)
    codec = open_codec(setup.profile, threads=setup.threads)
    arithmetic = codec.arithmetic()
    states = DecoderRing()
    decoder: FrameDecoder | None = None

    def decode(job: DecodeJob) -> Result:
        started_us = time.monotonic_ns() // 1000
        if decoder is None:
            return DecodeFailure(job.frame_id, "the picture size is not known yet")
        reference = None if job.reference_id is None else states.get(job.reference_id)
        if reference is None and job.reference_id is not None:
            return DecodeFailure(job.frame_id, f"the state of frame {job.reference_id} is not there", no_state=True)
        try:
            state, frame = decoder.decode(reference, job.data, frame_id=job.frame_id, holes=job.holes)
        except BitstreamError as error:
            return DecodeFailure(job.frame_id, str(error), isinstance(error, MismatchError))
        states.add(state, reference_id=job.reference_id)
        picture_view(buffer, width=decoder.layout.width, height=decoder.layout.height)[:] = frame.planes
        return DecodeResult(
            frame_id=job.frame_id,
            intra=frame.intra,
            qp=frame.qp,
            intact=state.intact,
            missing_slices=frame.missing,
            started_us=started_us,
            done_us=time.monotonic_ns() // 1000,
        )

    def handle(job: Job) -> Result:
        nonlocal decoder
        if isinstance(job, AskArithmetic):
            return arithmetic
        if isinstance(job, Configure):
            states.clear()
            # Engines refer to themselves, and on a GPU each holds gigabytes: gone before the next one is made.
            decoder = None
            gc.collect()
            decoder = codec.decoder(width=job.width, height=job.height, skip_threshold=job.skip_threshold)
            return Configured()
        return decode(job)

    return handle
