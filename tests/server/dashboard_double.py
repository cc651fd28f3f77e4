"""Streams without encoder processes, and a server around them, for the tests of the dashboard."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from aiohttp.test_utils import TestClient, TestServer
from aiohttp.web import Application as WebApplication
from aiohttp.web import Request

from codec.arithmetic import Arithmetic
from latentcast.config import ServeSettings
from latentcast.vitals import LoopLag
from server.app import Application
from server.rendition import CodedFrame
from server.sources import Source
from server.sources.base import SourceStatus
from server.stream import Stream
from server.streams import Streams

Client = TestClient[Request, WebApplication]


class IdleStream(Stream):
    """A stream whose encoder and source are what the test says they are."""

    def __init__(
        self, settings: ServeSettings, source: Source, *, lag: LoopLag, on_failure: Callable[[str], None]
    ) -> None:
        super().__init__(settings, source, lag=lag, on_failure=on_failure)
        self.renditions[0].arithmetic = Arithmetic("0" * 32, "float32")
        self._ready.set()
        self.source_status = SourceStatus("pattern", "live")
        self.captured = self.dropped = 0

    def start(self) -> None:
        """Nothing runs."""

    def slot_statistics(self) -> tuple[int, int]:
        return self.captured, self.dropped

    def code(self, *sizes: int, qp: int = 32, intra: bool = False, at_us: int = 0) -> None:
        """As if the encoder had made frames of these sizes."""
        best = self.renditions[0]
        for size in sizes:
            best.coded.frames += 1
            best.coded.bytes += size
            best.coded.intra += intra
            best.recent.append(CodedFrame(at_us, size, qp, intra, 2_000, 15_000))

    def fail(self, reason: str) -> None:
        """As if its source had."""
        self._fail(reason)


@dataclass
class Running:
    """A server on a free port of loopback."""

    client: Client
    streams: Streams

    def stream(self, name: str = "live") -> IdleStream:
        found = self.streams.get(name)
        assert isinstance(found, IdleStream)
        return found


@asynccontextmanager
async def streams_of(*names: str, **settings: object) -> AsyncIterator[Streams]:
    config = ServeSettings.model_validate({"size": (128, 64), **settings})
    streams = Streams(config, lag=LoopLag(), make=IdleStream)
    for name in names:
        await streams.start(config.model_copy(update={"stream": name}))
    yield streams
    await streams.close()


@asynccontextmanager
async def serving(*names: str, **settings: object) -> AsyncIterator[Running]:
    async with streams_of(*(names or ("live",)), **settings) as streams:
        application = Application(streams.settings, streams, LoopLag())
        async with TestClient(TestServer(application.web)) as client:
            yield Running(client, streams)
