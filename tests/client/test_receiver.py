"""The receiver's decisions, with a peer and a decoder process that do as they are told."""

from collections.abc import Callable
from typing import Any, cast

import numpy as np
import pytest

import client.receiver
from client.decode_queue import CAPACITY, MAX_FAILURES
from client.decoder_worker import Configure, Configured, DecodeFailure, DecodeJob, DecodeResult
from client.picture import Picture
from client.receiver import Receiver
from codec.arithmetic import Arithmetic
from latentcast.control import Bye, Config, Error, Hello, parse_client_message
from latentcast.shared_buffer import SharedBuffer
from latentcast.worker import Worker
from transport.fec import NO_PROTECTION, protect
from transport.packetiser import packetise
from transport.wire import FrameAcks, FrameStatus, parse_feedback, stamp

WIDTH, HEIGHT = 64, 64
CONFIG = Config(epoch=3, stream="live", profile="nano", weights="0" * 64, width=WIDTH, height=HEIGHT, fps=30)


class PeerDouble:
    """Keeps what is sent, and hands out the callbacks."""

    def __init__(
        self,
        *,
        ice_servers: object,
        on_open: Callable[[], None],
        on_closed: Callable[[str], None],
        on_control: Callable[[str], None],
        on_media: Callable[[bytes], None],
    ) -> None:
        self.on_open, self.on_closed, self.on_control, self.on_media = on_open, on_closed, on_control, on_media
        self.control: list[str] = []
        self.feedback: list[bytes] = []

    def send_control(self, text: str) -> bool:
        self.control.append(text)
        return True

    def send_feedback(self, data: bytes) -> bool:
        self.feedback.append(data)
        return True

    async def close(self) -> None:
        pass


class WorkerDouble:
    """A decoder that is always ready and is done when the test says so."""

    ready = True

    def __init__(self) -> None:
        self.jobs: list[object] = []
        self.busy = False

    def submit(self, job: object, *, timeout_s: float = 0.0) -> None:
        assert not self.busy
        self.busy = True
        self.jobs.append(job)


class Session:
    """A receiver between the two doubles."""

    def __init__(self) -> None:
        self.pictures: list[Picture] = []
        self.troubles: list[str] = []
        self.ends: list[tuple[str, bool]] = []
        self.worker = WorkerDouble()
        self.buffer = SharedBuffer.create(3 * WIDTH * HEIGHT)
        self.receiver = Receiver(
            cast(Worker, self.worker),
            self.buffer,
            profile="nano",
            weights_sha256="0" * 64,
            arithmetic=Arithmetic("0" * 32, "float32"),
            ice_servers=(),
            on_picture=self.pictures.append,
            on_config=lambda config: None,
            on_trouble=self.troubles.append,
            on_end=lambda message, fatal: self.ends.append((message, fatal)),
        )
        self.peer = cast(PeerDouble, cast(Any, self.receiver)._peer)
        self._seq = 0

    def configure(self) -> None:
        self.peer.on_open()
        self.peer.on_control(CONFIG.model_dump_json())
        self.done(Configured())

    def send(self, frame_id: int, *, reference_id: int | None, epoch: int = CONFIG.epoch) -> None:
        """A whole frame comes in."""
        frame = packetise(
            bytes(200),
            [60, 130],
            frame_id=frame_id,
            reference_id=reference_id,
            epoch=epoch,
            captured_us=1000,
            wait_us=0,
            encode_us=0,
        )
        for packet in protect(frame, NO_PROTECTION):
            self.peer.on_media(stamp(packet, seq=self._seq, now_us=2000))
            self._seq += 1

    def done(self, result: Configured | DecodeResult | DecodeFailure) -> None:
        self.worker.busy = False
        self.receiver.on_result(result)

    def decoded(self, frame_id: int, *, intact: bool = True) -> None:
        self.done(DecodeResult(frame_id, intra=False, qp=20, intact=intact, missing_slices=(), started_us=1, done_us=2))

    @property
    def jobs(self) -> list[int]:
        return [job.frame_id for job in self.worker.jobs if isinstance(job, DecodeJob)]

    @property
    def acks(self) -> FrameAcks:
        """The newest."""
        parsed = [message for data in self.peer.feedback if isinstance(message := parse_feedback(data), FrameAcks)]
        return parsed[-1]

    def status(self, frame_id: int) -> FrameStatus | None:
        return {acked: status for acked, status, _ in self.acks.acks}.get(frame_id)


@pytest.fixture(autouse=True)
def _peer_double(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client.receiver, "Peer", PeerDouble)


@pytest.mark.asyncio
async def test_the_hello_names_everything_that_must_agree() -> None:
    session = Session()
    session.peer.on_open()
    hello = parse_client_message(session.peer.control[0])
    assert isinstance(hello, Hello)
    assert hello.weights == "0" * 64
    assert hello.profile == "nano"


@pytest.mark.asyncio
async def test_frames_are_decoded_in_turn_and_acknowledged() -> None:
    session = Session()
    session.configure()
    assert session.worker.jobs == [Configure(WIDTH, HEIGHT, None)]
    session.send(0, reference_id=None)
    session.send(1, reference_id=0)
    assert session.jobs == [0], "one job at a time"
    cast(Any, np.frombuffer(session.buffer.view, np.uint8))[:] = 77
    session.decoded(0)
    assert session.jobs == [0, 1]
    session.decoded(1)
    assert [picture.frame_id for picture in session.pictures] == [0, 1]
    assert (session.pictures[0].planes == 77).all()
    assert session.acks.newest_intact == 1
    assert not session.acks.waiting_for_intra
    counts = session.receiver.counts
    assert (counts.received, counts.decoded, counts.lost) == (2, 2, 0)


@pytest.mark.asyncio
async def test_a_picture_does_not_change_when_the_next_is_decoded() -> None:
    session = Session()
    session.configure()
    session.send(0, reference_id=None)
    session.decoded(0)
    cast(Any, np.frombuffer(session.buffer.view, np.uint8))[:] = 200
    assert (session.pictures[0].planes == 0).all()


@pytest.mark.asyncio
async def test_a_frame_of_another_config_is_not_given_to_the_decoder() -> None:
    session = Session()
    session.configure()
    session.send(0, reference_id=None, epoch=CONFIG.epoch - 1)
    assert session.jobs == []
    assert session.status(0) is FrameStatus.LOST
    session.send(1, reference_id=None, epoch=CONFIG.epoch + 1)
    assert session.jobs == [], "it waits for its config"
    session.peer.on_control(CONFIG.model_copy(update={"epoch": CONFIG.epoch + 1}).model_dump_json())
    session.done(Configured())
    assert session.jobs == [1]


@pytest.mark.asyncio
async def test_a_frame_that_was_with_the_decoder_when_the_config_changed_is_not_shown() -> None:
    session = Session()
    session.configure()
    session.send(0, reference_id=None)
    session.peer.on_control(CONFIG.model_copy(update={"epoch": CONFIG.epoch + 1, "width": 128}).model_dump_json())
    session.decoded(0)
    assert session.pictures == []
    assert session.worker.jobs[-1] == Configure(128, HEIGHT, None)


@pytest.mark.asyncio
async def test_frames_before_a_good_intra_frame_are_lost_and_one_is_asked_for() -> None:
    session = Session()
    session.configure()
    session.send(4, reference_id=None)
    session.done(DecodeFailure(4, "its head is damaged"))
    session.send(5, reference_id=4)
    assert session.jobs == [4]
    assert session.status(5) is FrameStatus.LOST
    assert session.acks.waiting_for_intra
    session.send(6, reference_id=None)
    assert session.jobs == [4, 6]


@pytest.mark.asyncio
async def test_a_decoder_that_falls_behind_drops_its_queue_and_keeps_its_states() -> None:
    session = Session()
    session.configure()
    session.send(0, reference_id=None)
    session.decoded(0)
    for frame_id in range(1, CAPACITY + 2):
        session.send(frame_id, reference_id=frame_id - 1)
    assert session.receiver.counts.lost == 0, "one with the decoder, ten wait"
    session.send(CAPACITY + 2, reference_id=CAPACITY + 1)
    assert session.receiver.counts.lost == CAPACITY + 1
    session.decoded(1)
    assert session.status(CAPACITY + 2) is FrameStatus.LOST
    assert not session.acks.waiting_for_intra
    session.send(CAPACITY + 3, reference_id=1)
    assert session.jobs == [0, 1, CAPACITY + 3]


@pytest.mark.asyncio
async def test_an_intra_frame_makes_what_waits_before_it_history() -> None:
    session = Session()
    session.configure()
    for frame_id in range(4):
        session.send(frame_id, reference_id=frame_id - 1 if frame_id else None)
    session.send(4, reference_id=None)
    session.decoded(0)
    assert session.jobs == [0, 4]
    assert session.receiver.counts.lost == 3


@pytest.mark.asyncio
async def test_references_that_are_not_there_are_reported_and_at_last_an_intra_frame_is_asked_for() -> None:
    session = Session()
    session.configure()
    session.send(0, reference_id=None)
    session.decoded(0)
    for frame_id in range(1, MAX_FAILURES + 1):
        assert not session.acks.waiting_for_intra
        session.send(frame_id, reference_id=0)
        session.done(DecodeFailure(frame_id, "the state of frame 0 is not there", no_state=True))
        assert session.status(frame_id) is FrameStatus.LOST
    assert session.acks.waiting_for_intra
    jobs = session.jobs
    session.send(MAX_FAILURES + 1, reference_id=0)
    assert session.jobs == jobs, "nothing can be decoded"
    session.send(MAX_FAILURES + 2, reference_id=None)
    session.decoded(MAX_FAILURES + 2)
    assert not session.acks.waiting_for_intra


@pytest.mark.asyncio
async def test_a_concealed_frame_is_shown_but_not_acknowledged_as_intact() -> None:
    session = Session()
    session.configure()
    session.send(0, reference_id=None)
    session.decoded(0)
    session.send(1, reference_id=0)
    session.decoded(1, intact=False)
    assert len(session.pictures) == 2
    assert session.acks.newest_intact == 0
    assert session.status(1) is FrameStatus.CONCEALED


@pytest.mark.asyncio
async def test_a_decoder_that_was_started_again_knows_nothing() -> None:
    session = Session()
    session.configure()
    session.send(0, reference_id=None)
    session.send(1, reference_id=0)
    session.worker.busy = False
    session.receiver.on_decoder(Arithmetic("0" * 32, "float32"))
    assert session.worker.jobs[-1] == Configure(WIDTH, HEIGHT, None)
    session.done(Configured())
    assert session.receiver.waiting_for_intra
    assert session.status(1) is FrameStatus.LOST


@pytest.mark.asyncio
async def test_malformed_messages_are_counted_and_change_nothing() -> None:
    session = Session()
    session.configure()
    session.peer.on_media(b"\x01\x01garbage")
    session.peer.on_media(b"")
    session.peer.on_control("{}")
    session.peer.on_control(Bye().model_dump_json())
    assert session.receiver.counts.malformed == 4
    assert session.ends == []
    session.send(0, reference_id=None)
    assert session.jobs == [0]


@pytest.mark.asyncio
@pytest.mark.parametrize(("code", "fatal"), [("version", True), ("weights", True), ("profile", True), ("gone", False)])
async def test_an_error_of_the_server_ends_the_session_in_its_words(code: str, fatal: bool) -> None:
    session = Session()
    session.peer.on_control(Error.model_validate({"code": code, "message": "why."}).model_dump_json())
    session.peer.on_closed("later")
    assert session.ends == [("why.", fatal)], "and only once"


@pytest.mark.asyncio
async def test_loss_is_the_share_of_sequence_numbers_that_did_not_come() -> None:
    session = Session()
    session.configure()
    session.send(0, reference_id=None)
    one = session.receiver.packets_expected
    session._seq += 2
    session.send(1, reference_id=0)
    assert session.receiver.packets_expected == 2 * one + 2
    assert session.receiver.loss == pytest.approx(2 / (2 * one + 2))
