"""The encoder process: pictures from shared memory in, coded frames out. Runs in a `latentcast.worker.Worker`.

It keeps the ring of the newest states; each job names the one to code from, and a name it does not hold (any more)
makes the frame intra.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass

from codec.arithmetic import Arithmetic, AskArithmetic
from codec.profiles import Profile, open_codec
from codec.state import StateRing
from latentcast.shared_buffer import SharedBuffer
from server.frame_slots import slot_views


@dataclass(frozen=True, slots=True)
class EncoderSetup:
    """What the process is started with. fd: the inherited shared memory of `buffer_bytes`."""

    profile: Profile
    fd: int
    buffer_bytes: int
    width: int
    height: int
    threads: int
    max_slice_bytes: int


@dataclass(frozen=True, slots=True)
class EncodeJob:
    """Code the picture in `slot`. reference_id: state to code from, None for intra. QPs: rows for either case."""

    slot: int
    frame_id: int
    reference_id: int | None
    inter_qp: int
    intra_qp: int


@dataclass(frozen=True, slots=True)
class EncodeResult:
    """A coded frame and when it was made (monotonic clock of this machine)."""

    frame_id: int
    reference_id: int | None
    data: bytes
    slice_offsets: tuple[int, ...]
    qp: int
    started_us: int
    done_us: int


Job = AskArithmetic | EncodeJob
Result = Arithmetic | EncodeResult


def make_handler(setup: EncoderSetup) -> Callable[[Job], Result]:
    pictures = slot_views(SharedBuffer(setup.fd, setup.buffer_bytes), width=setup.width, height=setup.height)
    codec = open_codec(setup.profile, threads=setup.threads)
    arithmetic = codec.arithmetic()
    encoder = codec.encoder(width=setup.width, height=setup.height, max_slice_bytes=setup.max_slice_bytes)
    states = StateRing()

    def encode(job: EncodeJob) -> EncodeResult:
        started_us = time.monotonic_ns() // 1000
        reference = None if job.reference_id is None else states.get(job.reference_id)
        qp = job.intra_qp if reference is None else job.inter_qp
        state, coded = encoder.encode(reference, pictures[job.slot], qp=qp, frame_id=job.frame_id)
        states.put(state)
        return EncodeResult(
            frame_id=job.frame_id,
            reference_id=None if reference is None else reference.id,
            data=coded.data,
            slice_offsets=coded.slice_offsets,
            qp=coded.qp,
            started_us=started_us,
            done_us=time.monotonic_ns() // 1000,
        )

    def handle(job: Job) -> Result:
        if isinstance(job, AskArithmetic):
            return arithmetic
        return encode(job)

    return handle
