"""The streams of a server by name, started and stopped while it runs."""

import asyncio
import logging
from collections.abc import Callable, Iterator
from contextlib import suppress

from latentcast.config import ServeSettings
from latentcast.errors import UserError
from latentcast.vitals import LoopLag
from server.session import ViewerSession
from server.sources import open_source
from server.stream import Stream

log = logging.getLogger(__name__)


class NameTaken(UserError):
    """There is a stream of that name already."""


class TooManyStreams(UserError):
    """No more streams fit."""


class Streams:
    """All methods belong to the event loop's thread.

    settings: of the server; each stream gets a copy with its own name, source and limits. on_failure(stream) is called
    when a stream cannot go on; it stays, to say why, until it is stopped or started anew.
    """

    def __init__(
        self,
        settings: ServeSettings,
        *,
        lag: LoopLag,
        on_failure: Callable[[Stream], None] = lambda _: None,
        make: Callable[..., Stream] = Stream,
    ) -> None:
        self.settings = settings
        self._lag = lag
        self._on_failure = on_failure
        self._make = make
        self._streams: dict[str, Stream] = {}
        self._starting: dict[str, asyncio.Event] = {}
        """Names of streams whose sources are being opened, with what tells that they are."""
        self._stopping = False

    def __iter__(self) -> Iterator[Stream]:
        return iter(list(self._streams.values()))

    def __len__(self) -> int:
        return len(self._streams)

    @property
    def stopping(self) -> bool:
        """`close` was called: the server ends."""
        return self._stopping

    def get(self, name: str) -> Stream | None:
        """The stream of that name, failed ones too."""
        return self._streams.get(name)

    async def expect(self, name: str, timeout_s: float) -> Stream | None:
        """The stream of that name, waiting for its source if that is being opened just now."""
        opening = self._starting.get(name)
        if opening is not None and name not in self._streams:
            with suppress(TimeoutError):
                async with asyncio.timeout(timeout_s):
                    await opening.wait()
        return self._streams.get(name)

    def session(self, session_id: str) -> ViewerSession | None:
        """The viewer's session of that id, whichever stream it watches."""
        return next((s.sessions[session_id] for s in self._streams.values() if session_id in s.sessions), None)

    @property
    def ready(self) -> bool:
        """Every stream's encoder is warm, and none is just being opened."""
        return not self._starting and all(stream.ready for stream in self._streams.values())

    @property
    def sessions(self) -> list[ViewerSession]:
        """Those of all streams."""
        return [session for stream in self._streams.values() for session in stream.sessions.values()]

    async def start(self, settings: ServeSettings) -> Stream:
        """Open the source that `settings` name and stream it. A failed stream of the same name is replaced.

        Raises NameTaken, TooManyStreams, and UserError for a source that cannot be opened.
        """
        name = settings.stream
        old = self._streams.get(name)
        if name in self._starting or (old is not None and old.failure is None):
            raise NameTaken(f"there is a stream {name!r} already; stop it first, or choose another name")
        if self._stopping:
            raise UserError("the server is stopping")
        others = {*self._streams, *self._starting} - {name}
        if len(others) >= settings.max_streams:
            raise TooManyStreams(
                f"{len(others)} streams run, and no more are allowed; stop one, or raise serve.max_streams"
            )
        opened = self._starting[name] = asyncio.Event()
        try:
            if old is not None:
                await self.stop(name)
            stream = await self._open(settings)
            self._streams[name] = stream
            try:
                if self._stopping:
                    raise UserError("the server is stopping")
                stream.start()
            except BaseException:
                self._streams.pop(name, None)
                await stream.stop()
                raise
            log.info("stream %s: %s, %dx%d at %g fps", name, stream.source.kind, *stream.source.size, stream.fps)
        finally:
            del self._starting[name]
            opened.set()
        return stream

    async def _open(self, settings: ServeSettings) -> Stream:
        # Files are probed and devices opened: nothing for an event loop.
        source = await asyncio.to_thread(open_source, settings.source, size=settings.size, fps=settings.fps)
        try:
            return self._make(settings, source, lag=self._lag, on_failure=lambda _: self._failed(settings.stream))
        except BaseException:
            source.close()
            raise

    def _failed(self, name: str) -> None:
        stream = self._streams.get(name)
        if stream is not None:
            self._on_failure(stream)

    async def stop(self, name: str) -> bool:
        """End a stream and its viewers' sessions; False when there is none of that name."""
        stream = self._streams.pop(name, None)
        if stream is None:
            return False
        await stream.stop()
        return True

    async def close(self) -> None:
        """End all."""
        self._stopping = True
        await asyncio.gather(*(self.stop(name) for name in list(self._streams)))
