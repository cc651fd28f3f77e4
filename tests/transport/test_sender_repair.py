"""What the sender makes of bad news: a NACK, a report that is lost, a packet that never arrives."""

from transport.packetiser import packetise
from transport.sender import MediaSender
from transport.wire import FrameAcks, FrameStatus, MediaPacket, Nack, parse_media

INTERVAL_S = 1 / 30
INTACT = FrameStatus.INTACT


class Link:
    """A sender that is offered a frame each interval, and the packets that it sends."""

    def __init__(self) -> None:
        self.sender = MediaSender(initial_bps=1e6, min_bps=1e5, max_bps=4e6, frame_interval_s=INTERVAL_S)
        self.sent: dict[int, list[int]] = {}
        """Sequence numbers by frame."""
        self.now = 0.0

    def frame(self, frame_id: int, *, size: int = 3000) -> bool:
        """Offers a frame that builds on the one before, and sends it; False: the sender wanted none."""
        self.now = frame_id * INTERVAL_S
        if not self.sender.keeps_up(self.now):
            return False
        frame = packetise(
            bytes(size),
            list(range(100, size, 1000)),
            frame_id=frame_id,
            reference_id=frame_id - 1 if frame_id else None,
            epoch=0,
            captured_us=round(self.now * 1e6),
            wait_us=0,
            encode_us=0,
        )
        assert self.sender.offer(frame, self.now)
        for step in range(1, 31):
            now = self.now + step / 1000
            for data in self.sender.poll(now, round(now * 1e6)):
                packet = parse_media(data)
                if isinstance(packet, MediaPacket):
                    self.sent.setdefault(packet.frame_id, []).append(packet.seq)
        self.now += 0.03
        return True

    def ack(self, frame_id: int) -> None:
        message = FrameAcks(False, frame_id, ((frame_id, INTACT, ()),))
        assert self.sender.on_feedback(message.to_bytes(), self.now, round(self.now * 1e6))


def test_a_frame_that_packets_are_asked_of_is_sent_again_and_is_no_reference() -> None:
    link = Link()
    for number in range(4):
        assert link.frame(number)
    link.ack(0)
    assert link.sender.acks.may_hold(3, link.now)
    nack = Nack((link.sent[2][1],))
    assert link.sender.on_feedback(nack.to_bytes(), link.now, round(link.now * 1e6))
    assert not link.sender.acks.may_hold(2, link.now)
    assert not link.sender.acks.may_hold(3, link.now)
    assert link.sender.acks.may_hold(1, link.now)
    # What is in the encoder already can become a picture.
    assert link.sender.takes(3, link.now)
    assert link.sender.statistics().resent == 1


def test_acks_alone_keep_the_frames_coming_when_reports_are_lost() -> None:
    link = Link()
    for number in range(30):
        assert link.frame(number)
        link.ack(number)


def test_without_a_word_from_the_viewer_frames_stop() -> None:
    link = Link()
    taken = [link.frame(number, size=4000) for number in range(30)]
    # 33 ms each at the target rate: enough is on its way after 0.3 s, before the acks are overdue.
    assert 8 <= taken.index(False) <= 11
    assert sum(taken) < 20
