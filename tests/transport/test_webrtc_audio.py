"""The audio track beside the data channels: two peers in one process, over real sockets on loopback."""

import asyncio
from collections.abc import Callable

import pytest
from aiortc import RTCConfiguration, RTCPeerConnection

from bench.network.sdp import reachable_at, redirect
from transport.webrtc import Peer, use_host_addresses
from transport.webrtc_audio import OpusTrack

pytestmark = [pytest.mark.net, pytest.mark.asyncio]
TIMEOUT_S = 30.0
BIG = 10**11
"""A sample number far above 2^32: a day is 2^32 samples."""


class Pair:
    """A viewer's and a server's peer, and the packets that came."""

    def __init__(self) -> None:
        use_host_addresses(["127.0.0.1"])
        self.opened = [asyncio.Event(), asyncio.Event()]
        self.packets: list[tuple[int, int, bytes]] = []
        self.media: list[bytes] = []
        self.viewer, self.server = (
            Peer(on_open=event.set, on_closed=lambda _: None, on_media=self.media.append) for event in self.opened
        )
        self.offer = self.answer = ""

    async def connect(self, *, wants: bool, gives: bool) -> None:
        self.offer = await self.viewer.offer(on_audio=(lambda *packet: self.packets.append(packet)) if wants else None)
        self.answer = await self.server.answer(self.offer, audio=gives)
        await self.viewer.accept(self.answer)
        async with asyncio.timeout(TIMEOUT_S):
            for event in self.opened:
                await event.wait()

    async def close(self) -> None:
        await self.viewer.close()
        await self.server.close()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(TIMEOUT_S):
        while not condition():  # noqa: ASYNC110  # packets come without an event here
            await asyncio.sleep(0.005)


async def test_packets_come_out_as_they_went_in_with_time_stamps_that_both_ends_know() -> None:
    pair = Pair()
    await pair.connect(wants=True, gives=True)
    assert pair.server.sends_audio
    assert pair.server.audio_rtp(BIG) is None, "no packet has left yet"
    for number in range(6):
        pair.server.send_audio(bytes([0xFC, number]), BIG + 960 * number)
        pair.server.send_media(b"picture")
    await until(lambda: len(pair.packets) == 6 and len(pair.media) == 6)
    assert [payload for _, _, payload in pair.packets] == [bytes([0xFC, number]) for number in range(6)]
    first = pair.packets[0][0]
    assert [(sequence - first) % 2**16 for sequence, _, _ in pair.packets] == list(range(6))
    assert [rtp for _, rtp, _ in pair.packets] == [pair.server.audio_rtp(BIG + 960 * number) for number in range(6)]
    await pair.close()


@pytest.mark.parametrize(("wants", "gives"), [(True, False), (False, True)])
async def test_without_sound_at_either_end_there_is_no_track_and_pictures_go(wants: bool, gives: bool) -> None:
    pair = Pair()
    await pair.connect(wants=wants, gives=gives)
    assert not pair.server.sends_audio
    pair.server.send_audio(b"\xfc", 0)
    pair.server.send_media(b"picture")
    await until(lambda: pair.media == [b"picture"])
    assert not pair.packets
    await pair.close()


async def test_all_is_on_one_transport_so_a_relay_in_between_can_carry_it() -> None:
    pair = Pair()
    await pair.connect(wants=True, gives=True)
    for sdp in (pair.offer, pair.answer):
        assert "m=audio" in sdp
        assert len({line for line in sdp.splitlines() if line.startswith("a=candidate:")}) == 1
        assert reachable_at(sdp) is not None
        redirected = redirect(sdp, ("127.0.0.1", 9))
        assert redirected is not None
        assert reachable_at(redirected) == ("127.0.0.1", 9)
    await pair.close()


async def test_the_server_takes_no_media_in_whatever_is_offered() -> None:
    use_host_addresses(["127.0.0.1"])
    stranger = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    stranger.addTransceiver("audio", direction="sendrecv")
    stranger.addTransceiver("video", direction="sendrecv")
    stranger.createDataChannel("control")
    await stranger.setLocalDescription(await stranger.createOffer())
    server = Peer(on_open=lambda: None, on_closed=lambda _: None)
    answer = await server.answer(stranger.localDescription.sdp, audio=True)
    sections = answer.split("m=")[1:]
    assert ["audio" if s.startswith("audio") else s[:5] for s in sections] == ["audio", "video", "appli"]
    assert "a=sendonly" in sections[0]
    assert "a=inactive" in sections[1]
    await stranger.close()
    await server.close()


async def test_frames_that_nobody_takes_push_the_oldest_out() -> None:
    track = OpusTrack()
    for number in range(25):
        track.push(bytes([number]), number * 960)
    assert track.dropped == 15
    packet = await track.recv()
    assert (bytes(packet), packet.pts) == (bytes([15]), 15 * 960)
