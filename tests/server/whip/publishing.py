"""A server without encoders, and publishers for it: what the tests of WHIP share."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

import numpy as np
from aiohttp.test_utils import TestClient, TestServer
from aiohttp.web import Application as WebApplication
from aiohttp.web import Request
from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import AudioStreamTrack, VideoStreamTrack
from numpy.typing import NDArray

from codec.arithmetic import Arithmetic
from latentcast.config import ServeSettings
from latentcast.vitals import LoopLag
from server.app import Application
from server.sources import Source
from server.sources.base import SourceLost
from server.sources.whip import WhipSource
from server.stream import Stream
from server.streams import Streams
from server.whip.publishers import Publishers
from transport.webrtc import use_host_addresses

SDP = {"Content-Type": "application/sdp"}
FRAGMENT = {"Content-Type": "application/trickle-ice-sdpfrag"}
ENDPOINT = "/v1/streams/live/whip"


class SourceOnly(Stream):
    """A stream whose source nobody reads but the test."""

    def __init__(
        self, settings: ServeSettings, source: Source, *, lag: LoopLag, on_failure: Callable[[str], None]
    ) -> None:
        super().__init__(settings, source, lag=lag, on_failure=on_failure)
        self.renditions[0].arithmetic = Arithmetic("0" * 32, "float32")

    def start(self) -> None:
        """Nothing runs."""

    async def stop(self) -> None:
        await super().stop()
        self.source.interrupt()
        self.source.close()


@dataclass(frozen=True, slots=True)
class Server:
    client: TestClient[Request, WebApplication]
    streams: Streams
    publishers: Publishers

    def source(self, name: str = "live") -> WhipSource:
        stream = self.streams.get(name)
        assert stream is not None
        assert isinstance(stream.source, WhipSource)
        return stream.source


@asynccontextmanager
async def serving(**settings: object) -> AsyncIterator[Server]:
    """A server with the stream `live` of source `whip`, unless `source` says otherwise; source=() for no stream."""
    use_host_addresses(["127.0.0.1"])
    source = settings.pop("source", ("whip",))
    config = ServeSettings.model_validate({"size": (128, 64), "source": source or ("whip",), **settings})
    lag = LoopLag()
    streams = Streams(config, lag=lag, make=SourceOnly)
    if source:
        await streams.start(config)
    application = Application(config, streams, lag)
    async with TestClient(TestServer(application.web)) as client:
        yield Server(client, streams, application.publishers)
        await streams.close()


class Camera:
    """An aiortc peer that publishes its test picture, and sound if asked to."""

    def __init__(self, *, audio: bool = False) -> None:
        self.pc = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        self.pc.addTrack(VideoStreamTrack())
        if audio:
            self.pc.addTrack(AudioStreamTrack())

    async def offer(self) -> str:
        await self.pc.setLocalDescription(await self.pc.createOffer())
        return self.pc.localDescription.sdp

    async def accept(self, answer: str) -> None:
        await self.pc.setRemoteDescription(RTCSessionDescription(sdp=answer, type="answer"))

    async def publish(self, server: Server, endpoint: str = ENDPOINT) -> str:
        """POST and connect; returns the session's URL."""
        response = await server.client.post(endpoint, data=await self.offer(), headers=SDP)
        assert response.status == 201, await response.text()
        await self.accept(await response.text())
        return response.headers["Location"]

    async def vanish(self) -> None:
        """Stop without a word: no DELETE, no DTLS alert, as a laptop that is closed."""
        for transceiver in self.pc.getTransceivers():
            await transceiver.receiver.transport.transport._connection.close()
        await self.pc.close()


@asynccontextmanager
async def camera(*, audio: bool = False) -> AsyncIterator[Camera]:
    it = Camera(audio=audio)
    try:
        yield it
    finally:
        await it.pc.close()


async def picture(source: WhipSource, *, count: int = 1) -> tuple[NDArray[np.uint8], int]:
    """The next pictures of a source: the last one's planes, and its capture time."""
    width, height = source.size
    planes = np.zeros((3, height, width), np.uint8)
    captured_us = 0
    for number in range(count):
        captured_us = await asyncio.to_thread(_read, source, planes, number)
    return planes, captured_us


async def why(source: WhipSource) -> str:
    """What a source without pictures says; those that still wait are passed over."""
    planes = np.zeros((3, source.size[1], source.size[0]), np.uint8)
    while True:
        try:
            await asyncio.to_thread(source.read, planes, frame_id=0)
        except SourceLost as lost:
            return str(lost)


def _read(source: WhipSource, planes: NDArray[np.uint8], frame_id: int) -> int:
    deadline = time.monotonic() + 10
    while True:
        try:
            return source.read(planes, frame_id=frame_id)
        except SourceLost:
            assert time.monotonic() < deadline, "no picture came"


async def until(condition: Callable[[], bool], *, what: str) -> None:
    """Wait for something that the event loop does by itself."""
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline, f"it never happened: {what}"
        await asyncio.sleep(0.01)
