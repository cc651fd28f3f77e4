"""What is coded, from which state, and for whom: decisions around an encoder that makes frames of any size."""

import pytest

from server.encode_control import MIN_INTRA_INTERVAL_S, SHARED_INTRA_S, EncodeControl, EncodeOrder
from transport.packetiser import PacketisedFrame, packetise
from transport.sender import MAX_WASTED_INTRA, MediaSender
from transport.wire import ArrivalReport, FrameAcks, FrameStatus

FPS = 30.0
INTERVAL_S = 1 / FPS
SIZE = (320, 192)


class Viewer:
    """A sender, and a viewer that reports every packet and acknowledges what it is told to."""

    def __init__(self) -> None:
        self.sender = MediaSender(initial_bps=1e6, min_bps=5e4, max_bps=4e6, frame_interval_s=INTERVAL_S)
        self.statuses: list[tuple[int, FrameStatus, tuple[int, ...]]] = []
        self._seq = self._reports = 0

    def answer(self, now: float, *, waiting: bool = False) -> None:
        """Everything sent so far has arrived, and the acks go back."""
        self.sender.on_tick(now)
        count = len(self.sender.poll(now, round(now * 1e6)))
        if count:
            entries = tuple((i, i * 100) for i in range(count))
            report = ArrivalReport(self._reports, self._seq, round(now * 1e6), entries)
            self.sender.on_feedback(report.to_bytes(), now, 0)
            self._seq, self._reports = self._seq + count, self._reports + 1
        intact = [frame for frame, status, _ in self.statuses if status is FrameStatus.INTACT]
        acks = FrameAcks(waiting, intact[-1] if intact else None, tuple(self.statuses[-8:]))
        self.sender.on_feedback(acks.to_bytes(), now, 0)

    def ack(self, frame_id: int, status: FrameStatus = FrameStatus.INTACT) -> None:
        self.statuses.append((frame_id, status, ()))


class Encode:
    """The control, its viewers, and a clock that goes on by one picture at a time."""

    def __init__(self, viewers: int = 1) -> None:
        self.control = EncodeControl(size=SIZE, fps=FPS)
        self.viewers = [Viewer() for _ in range(viewers)]
        self.frame_id = -1
        self.now = 0.0
        self.size_bytes: int | None = None
        """Of the next frames; None: their budget."""

    @property
    def senders(self) -> list[MediaSender]:
        return [viewer.sender for viewer in self.viewers]

    def decide(self) -> EncodeOrder | None:
        self.frame_id += 1
        self.now += INTERVAL_S
        captured_us = round(self.now * 1e6)
        return self.control.decide(self.senders, frame_id=self.frame_id, captured_us=captured_us, now=self.now)

    def code(self, *, acked: bool = True) -> EncodeOrder | None:
        """One picture all the way; the viewers get it and, if `acked`, say so before the next."""
        order = self.decide()
        if order is None:
            self._answer()
            return None
        size = self.size_bytes or round(order.choice.budget_bytes)
        intra = order.reference_id is None
        qp = order.intra_qp if intra else order.inter_qp
        done = self.now + 0.01
        again = self.control.on_coded(order, size_bytes=size, qp=qp, reference_id=order.reference_id, now=done)
        if again is not None:
            assert (
                self.control.on_coded(again, size_bytes=size, qp=qp, reference_id=order.reference_id, now=done) is None
            )
        self.control.deliver(frame_of(order, size), self.senders, done)
        for viewer in self.viewers:
            if acked and viewer.sender.newest_offered == order.frame_id:
                viewer.ack(order.frame_id)
        self._answer()
        return order

    def _answer(self) -> None:
        for viewer in self.viewers:
            viewer.answer(self.now + 0.03)


def frame_of(order: EncodeOrder, size: int) -> PacketisedFrame:
    return packetise(
        bytes(size),
        range(min(100, size), size, 300),
        frame_id=order.frame_id,
        reference_id=order.reference_id,
        epoch=0,
        captured_us=order.captured_us,
        wait_us=0,
        encode_us=0,
    )


def orders(encode: Encode, count: int, *, acked: bool = True) -> list[EncodeOrder]:
    return [order for order in (encode.code(acked=acked) for _ in range(count)) if order is not None]


def test_a_first_intra_frame_then_each_frame_from_the_one_before() -> None:
    made = orders(Encode(), 20)
    assert [order.reference_id for order in made] == [None, *range(19)]
    assert {order.choice.age for order in made[1:]} == {1}
    assert all(order.size == SIZE for order in made)


def test_after_a_loss_the_next_frame_comes_from_the_newest_acknowledged_state() -> None:
    encode = Encode()
    orders(encode, 10)
    order = encode.code(acked=False)
    assert order is not None
    encode.viewers[0].ack(order.frame_id, FrameStatus.LOST)
    encode.viewers[0].answer(encode.now + 0.032)
    after = encode.code()
    assert after is not None
    assert after.reference_id == order.frame_id - 1
    assert after.choice.age == 2
    assert order.frame_id - 1 in after.pins


def test_nothing_is_coded_when_nobody_watches_or_keeps_up() -> None:
    encode = Encode(viewers=0)
    assert encode.decide() is None
    encode = Encode()
    encode.size_bytes = 60_000
    made = orders(encode, 30)
    assert 2 <= len(made) <= 10, "each frame is half a second of the rate"


def test_a_newcomer_within_a_second_is_sent_the_same_intra_frame_and_the_next_is_coded_from_it() -> None:
    encode = Encode()
    made = orders(encode, 15)
    encode.viewers.append(Viewer())
    after = encode.code()
    assert after is not None
    assert after.reference_id == made[0].frame_id
    assert after.choice.age == 15
    assert encode.viewers[1].sender.newest_offered == after.frame_id
    assert encode.code().reference_id == after.frame_id  # type: ignore[union-attr]


def test_a_later_newcomer_gets_an_intra_frame_that_everybody_takes() -> None:
    encode = Encode()
    orders(encode, round((SHARED_INTRA_S + 0.2) * FPS))
    encode.viewers.append(Viewer())
    after = encode.code()
    assert after is not None
    assert after.reference_id is None
    assert {viewer.sender.newest_offered for viewer in encode.viewers} == {after.frame_id}


def test_who_lost_an_intra_frame_waits_a_little_for_the_next_and_the_others_go_on() -> None:
    encode = Encode(viewers=2)
    first = encode.code(acked=False)
    assert first is not None
    good, bad = encode.viewers
    good.ack(first.frame_id)
    bad.ack(first.frame_id, FrameStatus.LOST)
    references: list[int | None] = []
    while len(references) < 12:
        for viewer in encode.viewers:
            viewer.answer(encode.now + 0.032, waiting=viewer is bad)
        order = encode.decide()
        assert order is not None
        references.append(order.reference_id)
        if order.reference_id is None:
            break
        encode.control.on_coded(order, size_bytes=2000, qp=20, reference_id=order.reference_id, now=encode.now)
        encode.control.deliver(frame_of(order, 2000), encode.senders, encode.now)
        good.ack(order.frame_id)
    assert references[-1] is None
    assert len(references) == pytest.approx(MIN_INTRA_INTERVAL_S * FPS, abs=1)
    assert None not in references[:-1]


def test_a_viewer_that_no_intra_frame_helps_does_not_cost_the_others_one_after_another() -> None:
    encode = Encode(viewers=2)
    good, bad = encode.viewers
    intra = 0
    for _ in range(90):
        order = encode.code(acked=False)
        if order is None:
            continue
        intra += order.reference_id is None
        good.ack(order.frame_id)
        bad.ack(order.frame_id, FrameStatus.LOST)
        good.answer(encode.now + 0.032)
        bad.answer(encode.now + 0.032, waiting=True)
    assert intra <= MAX_WASTED_INTRA + 1


def test_a_silent_viewer_has_no_say_in_the_rate_and_the_reference_of_the_others() -> None:
    encode = Encode(viewers=2)
    orders(encode, 10)
    silent = encode.viewers.pop()
    references: list[EncodeOrder] = []
    for _ in range(30):
        encode.frame_id += 1
        encode.now += INTERVAL_S
        order = encode.control.decide(
            [*encode.senders, silent.sender],
            frame_id=encode.frame_id,
            captured_us=round(encode.now * 1e6),
            now=encode.now,
        )
        assert order is not None
        references.append(order)
        encode.control.on_coded(order, size_bytes=2000, qp=20, reference_id=order.reference_id, now=encode.now)
        encode.control.deliver(frame_of(order, 2000), [*encode.senders, silent.sender], encode.now)
        encode.viewers[0].ack(order.frame_id)
        encode.viewers[0].answer(encode.now + 0.03)
    assert [order.choice.age for order in references[-10:]] == [1] * 10
    assert all(order.reference_id is not None for order in references)


def test_a_frame_far_over_its_budget_is_coded_once_more_when_there_is_time() -> None:
    encode = Encode()
    orders(encode, 20)
    order = encode.decide()
    assert order is not None
    big = round(4 * order.choice.budget_bytes)
    again = encode.control.on_coded(
        order, size_bytes=big, qp=order.inter_qp, reference_id=order.reference_id, now=encode.now + 0.012
    )
    assert again is not None
    assert again.inter_qp < order.inter_qp
    assert (again.reference_id, again.frame_id) == (order.reference_id, order.frame_id)
    assert (
        encode.control.on_coded(
            again, size_bytes=big, qp=again.inter_qp, reference_id=order.reference_id, now=encode.now + 0.024
        )
        is None
    ), "twice at most"
    late = encode.decide()
    assert late is not None
    assert (
        encode.control.on_coded(
            late, size_bytes=big, qp=late.inter_qp, reference_id=late.reference_id, now=encode.now + 0.025
        )
        is None
    ), "no time"


def test_where_the_lowest_qp_is_too_much_the_frame_rate_falls_and_then_the_size_with_one_intra_frame() -> None:
    encode = Encode()
    for sender in encode.senders:
        sender.estimator.__init__(initial_bps=6e4, min_bps=6e4, max_bps=6e4)  # type: ignore[misc]
    encode.size_bytes = 1200
    made = orders(encode, round(20 * FPS))
    sizes = [order.size for order in made]
    assert sizes[0] == SIZE
    assert sizes[-1] != SIZE
    changed = next(i for i, size in enumerate(sizes) if size != SIZE)
    assert made[changed].reference_id is None
    assert made[changed + 1].reference_id == made[changed].frame_id


def test_an_encoder_started_again_begins_with_an_intra_frame() -> None:
    encode = Encode()
    orders(encode, 5)
    encode.control.on_encoder_lost()
    order = encode.code()
    assert order is not None
    assert order.reference_id is None


def test_an_intra_frame_that_was_asked_for_is_the_next_one_and_one_only() -> None:
    encode = Encode()
    orders(encode, 5)
    encode.control.force_intra()
    made = orders(encode, 4)
    assert [order.reference_id is None for order in made] == [True, False, False, False]
