"""All publishers of a server, and which stream each of them fills.

A name has one publisher. Publishing to a name that there is no stream of makes one, which waits `publisher_wait`
seconds for a publisher who went away, then ends. A stream started with the source `whip` waits for ever.
"""

import asyncio
import logging
from collections import OrderedDict
from dataclasses import dataclass

from latentcast.config import ServeSettings
from latentcast.errors import LatentcastError
from server.sources.whip import WHIP, WhipSource
from server.stream import Stream
from server.streams import NameTaken, Streams, TooManyStreams
from server.whip.offer import Offer
from server.whip.publisher import QUIET_S, Publisher

log = logging.getLogger(__name__)

ANSWER_TIMEOUT_S = 10.0
"""ICE gathering on a machine with many interfaces and slow STUN servers."""


MAX_DISMISSED = 64
"""Remembered; their pages ask within a second."""


class NameBusy(LatentcastError):
    """Somebody publishes there, or the stream shows something else: 409."""


class NoPlace(LatentcastError):
    """No more publishers or streams fit: 503."""


@dataclass(slots=True)
class _Place:
    """A stream that is published to."""

    publisher: Publisher
    source: WhipSource
    made: bool
    """Publishing made the stream."""


class Publishers:
    """All methods belong to the event loop's thread."""

    def __init__(self, streams: Streams, settings: ServeSettings) -> None:
        self._streams = streams
        self._settings = settings
        self._places: dict[str, _Place] = {}
        """By name of the stream; those whose publisher is there."""
        self._made: dict[str, WhipSource] = {}
        """Sources of the streams that publishing made, by name."""
        self._dismissed: OrderedDict[str, str] = OrderedDict()
        """Reasons by id, for their pages to ask for."""
        self._setting_up: set[str] = set()
        self._endings: dict[str, asyncio.Task[None]] = {}
        """What ends streams that wait, by name; cancelled when somebody comes back."""
        self._ending: set[asyncio.Task[None]] = set()
        """Those that are at it, and must not be cancelled halfway."""
        self._closed = False

    def __len__(self) -> int:
        return len(self._places)

    def get(self, publisher_id: str) -> Publisher | None:
        """The publisher of that id."""
        return next((p.publisher for p in self._places.values() if p.publisher.id == publisher_id), None)

    def dismissal(self, publisher_id: str) -> str | None:
        """Why the publisher of that id was sent away, if it was, not long ago."""
        return self._dismissed.get(publisher_id)

    def of(self, name: str) -> Publisher | None:
        """Who publishes to the stream of that name."""
        place = self._places.get(name)
        return None if place is None else place.publisher

    async def publish(
        self, name: str, offer: Offer, *, size: tuple[int, int] | None = None, fps: float | None = None
    ) -> tuple[Publisher, str]:
        """Take an offer to publish to `name`: the publisher and the SDP answer.

        size, fps: of a stream that has to be made; one that exists keeps its own. Raises NameBusy, NoPlace, OfferError
        for an offer that cannot be used after all, UserError for a size that cannot, TimeoutError.
        """
        if name in self._setting_up:
            raise NameBusy(f"somebody else begins to publish to {name!r} at this moment; choose another name")
        self._setting_up.add(name)
        try:
            return await self._publish(name, offer, size, fps)
        finally:
            self._setting_up.discard(name)

    async def close(self) -> None:
        """End all publishers; the streams stay."""
        self._closed = True
        waiting = list(self._endings.values())
        for task in waiting:
            task.cancel()
        if tasks := [*waiting, *self._ending]:
            await asyncio.wait(tasks)
        await asyncio.gather(*(p.publisher.close("the server is stopping") for p in list(self._places.values())))

    async def _publish(
        self, name: str, offer: Offer, size: tuple[int, int] | None, fps: float | None
    ) -> tuple[Publisher, str]:
        await self._make_room(name)
        ending = self._endings.pop(name, None)
        if ending is not None:
            ending.cancel()
        stream = self._streams.get(name)
        made = stream is None or stream.failure is not None
        if stream is None or made:
            stream = await self._make(name, size, fps)
            if isinstance(stream.source, WhipSource):
                self._made[name] = stream.source
        source = stream.source
        if not isinstance(source, WhipSource):
            raise NameBusy(
                f"the stream {name!r} shows {source.kind}, not what is published; choose another name, or stop it first"
            )
        publisher = Publisher(
            offer,
            ice_servers=self._settings.ice_servers,
            sink=source,
            on_closed=lambda publisher, reason: self._left(name, publisher, reason),
        )
        self._places[name] = _Place(publisher, source, self._made.get(name) is source)
        loop = asyncio.get_running_loop()

        def on_close() -> None:
            # On the capture thread, which may outlive the loop by a frame at shutdown.
            if not loop.is_closed():
                loop.call_soon_threadsafe(self._stopped, publisher)

        source.attach(on_close)
        try:
            async with asyncio.timeout(ANSWER_TIMEOUT_S):
                return publisher, await publisher.answer()
        except BaseException:
            await publisher.close("the publisher could not be answered")
            if made:
                # Nobody will come back to what was made for an offer that was none.
                self._made.pop(name, None)
                await self._streams.stop(name)
            raise

    async def _make_room(self, name: str) -> None:
        place = self._places.get(name)
        if place is not None:
            if place.publisher.quiet_s <= QUIET_S:
                raise NameBusy(
                    f"somebody publishes to {name!r} already, and goes on; choose another name, or stop the other first"
                )
            place.publisher.dismiss("another publisher took its place")
            await place.publisher.close()
        if self._closed:
            raise NoPlace("the server is stopping")
        if len(self._places) >= self._settings.max_publishers:
            raise NoPlace(f"all {self._settings.max_publishers} places for publishers are taken; try again later")

    async def _make(self, name: str, size: tuple[int, int] | None, fps: float | None) -> Stream:
        own = self._settings
        wanted: dict[str, object] = {
            "stream": name,
            "source": (WHIP,),
            "size": size or own.size,
            "fps": fps or own.fps,
            "capture_ring": None,
        }
        try:
            return await self._streams.start(own.model_copy(update=wanted))
        except NameTaken as error:
            raise NameBusy(str(error)) from error
        except TooManyStreams as error:
            raise NoPlace(str(error)) from error

    def _stopped(self, publisher: Publisher) -> None:
        """Its stream has ended under it: somebody wanted that, unless the whole server does."""
        if self._streams.stopping:
            publisher.close_soon("the server is stopping")
        else:
            publisher.dismiss("the stream was stopped")

    def _left(self, name: str, publisher: Publisher, reason: str) -> None:
        place = self._places.get(name)
        if place is None or place.publisher is not publisher:
            return
        del self._places[name]
        if publisher.dismissed:
            self._dismissed[publisher.id] = reason
            while len(self._dismissed) > MAX_DISMISSED:
                self._dismissed.popitem(last=False)
        place.source.detach(reason)
        if place.made and not self._closed:
            task = asyncio.get_running_loop().create_task(self._end_later(name, place.source), name=f"end of {name}")
            self._endings[name] = task
            task.add_done_callback(
                lambda done: self._endings.pop(name, None) if self._endings.get(name) is done else None
            )

    async def _end_later(self, name: str, source: WhipSource) -> None:
        await asyncio.sleep(self._settings.publisher_wait)
        stream = self._streams.get(name)
        if self._made.get(name) is source:
            del self._made[name]
        # It may have been stopped, and another one started under its name.
        if stream is not None and stream.source is source:
            task = self._endings.pop(name, None)
            if task is not None:
                self._ending.add(task)
                task.add_done_callback(self._ending.discard)
            log.info("stream %s: nobody came back to publish, it ends", name)
            await self._streams.stop(name)
