"""The program under test: a real server process, real viewers, and a client that speaks the protocol and no more."""

import asyncio
import os
import re
import subprocess
import sys
import time
import urllib.request
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import psutil
from prometheus_client.parser import text_string_to_metric_families

from client.measurement import Measurement
from client.picture import Picture
from client.viewer import Viewer
from client.whep import WhepClient, endpoint_of
from codec.bitstream import VERSION as BITSTREAM_VERSION
from codec.profiles import Profile
from latentcast import control
from latentcast.config import ViewSettings
from latentcast.control import Hello
from transport.webrtc import Peer, use_host_addresses
from transport.wire import WIRE_VERSION, FrameAcks, FrameStatus, MediaPacket, parse_media

# Small enough for two cores that do other things as well; large enough for the bar code.
SIZE, FPS = (192, 128), 20
TIMEOUT_S = 60.0
NANO = Profile()


async def until(condition: Callable[[], bool], *, timeout_s: float = TIMEOUT_S) -> None:
    """Let the event loop run until something has come true."""
    async with asyncio.timeout(timeout_s):
        while not condition():  # noqa: ASYNC110  # there is no event for what another process does
            await asyncio.sleep(0.02)


def metrics(url: str) -> dict[str, float]:
    """The server's metrics by name, without the program's prefix."""
    with urllib.request.urlopen(f"{url}/metrics", timeout=10) as response:
        text = response.read().decode()
    return {
        sample.name.removeprefix("latentcast_"): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


class Server:
    """`latentcast serve` of the test pattern, or of another source."""

    def __init__(self, *flags: str, port: int = 0, source: str = "pattern") -> None:
        size = f"{SIZE[0]}x{SIZE[1]}"
        command = ["serve", "--source", source, "--size", size, "--fps", str(FPS), "--port", str(port), *flags]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "latentcast", *command], stdout=subprocess.PIPE, text=True
        )
        assert self.process.stdout is not None
        found = re.search(r"http://\S+", self.process.stdout.readline())
        assert found, "the server did not start"
        self.url = found.group()

    def metrics(self) -> dict[str, float]:
        return metrics(self.url)

    @property
    def encoder(self) -> psutil.Process:
        """The process that encodes."""
        children = psutil.Process(self.process.pid).children()
        return next(child for child in children if "server.encoder_worker" in child.cmdline())

    @property
    def descriptors(self) -> int:
        return psutil.Process(self.process.pid).num_fds()

    def wait_ready(self) -> None:
        deadline = time.monotonic() + TIMEOUT_S
        while not self.metrics()["ready"]:
            assert time.monotonic() < deadline, "the encoder did not start"
            time.sleep(0.05)

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(TIMEOUT_S)
        assert self.process.stdout is not None
        self.process.stdout.close()


@contextmanager
def serving(*flags: str, port: int = 0, source: str = "pattern") -> Iterator[Server]:
    server = Server(*flags, port=port, source=source)
    try:
        server.wait_ready()
        yield server
    finally:
        server.stop()


class Watch:
    """A real viewer with its decoder process on this event loop; pictures are kept instead of shown."""

    def __init__(self, url: str, **settings: Any) -> None:
        self.pictures: deque[Picture] = deque(maxlen=400)
        self.notices: list[str] = []
        self.measurement = Measurement(started=time.monotonic(), ring_path=None, psnr=False)
        self.viewer = Viewer(
            ViewSettings(url=url, headless=True, **settings),
            measurement=self.measurement,
            on_picture=self._on_picture,
            on_notice=self.notices.append,
        )

    def _on_picture(self, picture: Picture) -> None:
        self.viewer.presented(picture, time.monotonic_ns() // 1000)
        self.pictures.append(picture)

    async def more(self, count: int) -> list[Picture]:
        """The next so many pictures."""
        self.pictures.clear()
        await until(lambda: len(self.pictures) >= count)
        return list(self.pictures)[:count]


@asynccontextmanager
async def watching(url: str, **settings: Any) -> AsyncIterator[Watch]:
    watch = Watch(url, **settings)
    running = asyncio.create_task(watch.viewer.run())
    try:
        yield watch
    finally:
        watch.viewer.stop()
        await running


class BareClient:
    """Signalling, channels and a hello; what else it says is up to the test."""

    def __init__(self, url: str, *, token: str | None = None) -> None:
        self.opened = asyncio.Event()
        self.closed = asyncio.Event()
        self.control: list[str] = []
        self.media = 0
        self.frames: dict[int, bool] = {}
        """Frames of which packets came in, by id, and whether they are intra."""
        self._whep = WhepClient(endpoint_of(url, "live"), token=token)
        self.peer = Peer(
            on_open=self.opened.set,
            on_closed=lambda _: self.closed.set(),
            on_control=self.control.append,
            on_media=self._on_media,
        )

    def _on_media(self, data: bytes) -> None:
        self.media += 1
        packet = parse_media(data)
        if isinstance(packet, MediaPacket):
            self.frames[packet.frame_id] = packet.reference_id is None
            # A viewer that acknowledges nothing is soon held back.
            acks = FrameAcks(False, packet.frame_id, ((packet.frame_id, FrameStatus.INTACT, ()),))
            self.peer.send_feedback(acks.to_bytes())

    async def connect(self) -> None:
        use_host_addresses(["127.0.0.1"])
        answer = await self._whep.post(await self.peer.offer())
        await self.peer.accept(answer.sdp)
        async with asyncio.timeout(TIMEOUT_S):
            await self.opened.wait()

    def hello(self, *, wire: int = WIRE_VERSION, fingerprint: str = "0" * 32, profile: Profile = NANO) -> None:
        message = Hello(
            protocol=control.PROTOCOL_VERSION,
            wire=wire,
            bitstream=BITSTREAM_VERSION,
            profile=profile.name,
            weights=profile.weights_sha256(),
            fingerprint=fingerprint,
            program="a test",
        )
        self.peer.send_control(message.model_dump_json())

    async def close(self) -> None:
        await self.peer.close()
        await self._whep.close()


async def _be_watched(url: str) -> None:
    """Connect, say hello, take media and never leave: for a process that is going to be killed."""
    client = BareClient(url)
    await client.connect()
    client.hello()
    await until(lambda: client.media > 0)
    print("live", os.getpid(), flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(_be_watched(sys.argv[1]))
