"""Our receivers inside aiortc: packets lost on the way, several encodings of one track, order of sound."""

import pytest
from aiortc import RTCRtpReceiver
from aiortc.rtp import RtcpSenderInfo, RtcpSrPacket, RtpPacket

from server.whip.assembler import CodedFrame
from server.whip.receiver import SWITCH_S, AudioReceiver, VideoReceiver
from tests.server.whip.publishing import camera, picture, serving, until

Added = tuple[bool, None]


class Transport:
    """An RTCDtlsTransport as far as a receiver that is not started asks."""

    state = "new"


def video_receiver(codec: str = "VP8") -> tuple[VideoReceiver, list[tuple[CodedFrame, float]]]:
    frames: list[tuple[CodedFrame, float]] = []
    receiver = RTCRtpReceiver("video", Transport())  # type: ignore[arg-type]
    return VideoReceiver(receiver, codec=codec, on_frame=lambda frame, at: frames.append((frame, at))), frames


def packet(sequence: int, *, ssrc: int = 1, payload: bytes, data: bytes, timestamp: int = 0) -> RtpPacket:
    made = RtpPacket(sequence_number=sequence, ssrc=ssrc, marker=1, payload=payload, timestamp=timestamp)
    made._data = data  # type: ignore[attr-defined]
    return made


def key(sequence: int, *, ssrc: int = 1, timestamp: int = 0) -> RtpPacket:
    return packet(sequence, ssrc=ssrc, payload=b"\x10\x00", data=b"\x10key", timestamp=timestamp)


def delta(sequence: int, *, ssrc: int = 1, timestamp: int = 0) -> RtpPacket:
    return packet(sequence, ssrc=ssrc, payload=b"\x10\x01", data=b"\x11delta", timestamp=timestamp)


def test_of_several_encodings_of_a_track_one_is_taken_until_it_stops(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr("server.whip.receiver.time.monotonic", lambda: now)
    video, frames = video_receiver()
    video.add(key(1, ssrc=1))
    video.add(key(2, ssrc=2))
    video.add(delta(2, ssrc=1))
    assert [frame.data for frame, _ in frames] == [b"\x10key", b"\x11delta"]
    now += SWITCH_S
    assert video.add(delta(9000, ssrc=2)) == (True, None)
    video.add(key(9001, ssrc=2))
    assert len(frames) == 3


def test_reports_of_the_taken_encoding_set_the_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr("server.whip.receiver.time.monotonic", lambda: now)
    video, frames = video_receiver()
    video.add(key(1, timestamp=90_000))
    for ssrc in (2, 1):
        info = RtcpSenderInfo(ntp_timestamp=50 << 32, rtp_timestamp=90_000, packet_count=0, octet_count=0)
        video.on_report(RtcpSrPacket(ssrc=ssrc, sender_info=info))
        assert video.clock.known == (ssrc == 1)
    now += 0.040
    # Captured 10 ms after the report, arrived 30 ms later.
    video.add(delta(2, timestamp=90_900))
    assert frames[-1][1] == pytest.approx(100.010)


@pytest.mark.parametrize(
    ("codec", "payload", "data", "is_key"),
    [
        ("VP8", b"\x10\x00", b"\x10", True),
        ("VP8", b"\x90\x80\x01\x00", b"\x10", True),
        ("VP8", b"\x10\x00", b"\x11", False),
        ("VP8", b"\x00\x00", b"\x10", False),  # the middle of a frame
        ("VP8", b"\x11\x00", b"\x10", False),  # another partition
        ("H264", b"", b"\0\0\0\1\x65x", True),
        ("H264", b"", b"\0\0\0\1\x09\0\0\0\1\x67x", True),
        ("H264", b"", b"\0\0\0\1\x41x", False),
        ("H264", b"", b"\x65x", False),
        ("H264", b"", b"\0\0\0\1", False),
    ],
)
def test_key_frames_are_told_by_their_first_bytes(codec: str, payload: bytes, data: bytes, is_key: bool) -> None:
    video, frames = video_receiver(codec)
    video.add(packet(1, payload=payload, data=data))
    assert bool(frames) == is_key


def test_sound_passes_on_in_order_and_what_is_late_is_left_out() -> None:
    heard: list[bytes] = []
    receiver = RTCRtpReceiver("audio", Transport())  # type: ignore[arg-type]
    audio = AudioReceiver(receiver, on_packet=lambda opus, timestamp, at: heard.append(opus))
    for sequence in (65_534, 65_535, 1, 0, 2, 2):
        audio.add(packet(sequence, payload=b"", data=b"%d" % sequence))
    assert heard == [b"65534", b"65535", b"1", b"2"]


@pytest.mark.net
@pytest.mark.asyncio
async def test_lost_packets_are_sent_again_and_no_picture_is_missed(monkeypatch: pytest.MonkeyPatch) -> None:
    real, lost = VideoReceiver.add, set[int]()

    def lossy(self: VideoReceiver, received: RtpPacket) -> Added:
        sequence = received.sequence_number
        # Not of the first key frame, which would cost pictures of itself.
        if self.packets > 5 and sequence % 5 == 0 and sequence not in lost:
            lost.add(sequence)
            return False, None
        return real(self, received)

    monkeypatch.setattr(VideoReceiver, "add", lossy)
    # A machine that stands still for a moment is no loss.
    monkeypatch.setattr("server.whip.assembler.GIVE_UP_S", 5.0)
    async with serving() as server, camera() as it:
        await it.publish(server)
        await picture(server.source(), count=3)
        publisher = server.publishers.of("live")
        assert publisher is not None
        await until(lambda: len(lost) >= 4 and publisher.status().decoded >= 20, what="pictures in spite of loss")
        assert publisher.status().dropped == 0


@pytest.mark.net
@pytest.mark.asyncio
async def test_what_is_lost_for_good_costs_a_key_frame(monkeypatch: pytest.MonkeyPatch) -> None:
    real = VideoReceiver.add
    gone: list[int] = []

    def lossy(self: VideoReceiver, received: RtpPacket) -> Added:
        if self.packets == 10 and not gone:
            gone.append(received.sequence_number)
        return (False, None) if received.sequence_number in gone else real(self, received)

    monkeypatch.setattr(VideoReceiver, "add", lossy)
    async with serving() as server, camera() as it:
        await it.publish(server)
        publisher = server.publishers.of("live")
        assert publisher is not None
        await until(lambda: publisher.status().dropped > 0, what="giving up")
        decoded = publisher.status().decoded
        await until(lambda: publisher.status().decoded > decoded + 5, what="pictures again")
