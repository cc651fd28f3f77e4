"""The feed: one snapshot for all, none for nobody, and a slow reader is nobody's problem."""

import asyncio
import json

import pytest

from server.dashboard import feed as feed_module
from server.dashboard.feed import MAX_SUBSCRIPTIONS, Feed, Lines, Subscription
from tests.server.dashboard_double import serving


class Builder:
    """Numbers its lines."""

    def __init__(self, size: int = 0) -> None:
        self.built = self.forgotten = 0
        self.size = size

    def lines(self) -> Lines:
        self.built += 1
        line = b"%d%s\n" % (self.built, b" " * self.size)
        return Lines(line, b"-" + line)

    def forget(self) -> None:
        self.forgotten += 1


def quiet_feed(builder: Builder) -> Feed:
    """A feed that publishes once when somebody comes, and then when the test says so."""
    return Feed(builder, interval_s=30)


@pytest.mark.asyncio
async def test_nothing_is_made_while_nobody_looks() -> None:
    builder = Builder()
    feed = Feed(builder, interval_s=0.001)
    await asyncio.sleep(0.02)
    assert builder.built == 0
    subscription, _ = feed.subscribe(manage=True)
    assert await subscription.next() == b"1\n"
    await subscription.next()
    feed.unsubscribe(subscription)
    built = builder.built
    await asyncio.sleep(0.02)
    assert (builder.built, builder.forgotten, feed.subscriptions) == (built, 1, 0)
    await feed.close()


@pytest.mark.asyncio
async def test_one_snapshot_serves_all_and_the_next_page_gets_the_past() -> None:
    builder = Builder()
    feed = quiet_feed(builder)
    first, past = feed.subscribe(manage=True)
    assert past == b""
    assert await first.next() == b"1\n"
    second, past = feed.subscribe(manage=True)
    assert past == b"1\n"
    feed.publish()
    line = await first.next()
    assert line == b"2\n"
    assert await second.next() is line
    await feed.close()
    assert await first.next() is None


@pytest.mark.asyncio
async def test_who_may_only_look_gets_the_other_line() -> None:
    feed = quiet_feed(Builder())
    managing, _ = feed.subscribe(manage=True)
    assert await managing.next() == b"1\n"
    looking, past = feed.subscribe(manage=False)
    assert past == b"-1\n"
    feed.publish()
    assert (await managing.next(), await looking.next()) == (b"2\n", b"-2\n")
    await feed.close()


@pytest.mark.asyncio
async def test_who_reads_slowly_skips_to_the_newest() -> None:
    feed = quiet_feed(Builder())
    slow, _ = feed.subscribe(manage=True)
    for _ in range(5):
        feed.publish()
    assert (await slow.next(), slow.skipped) == (b"5\n", 4)
    await feed.close()


@pytest.mark.asyncio
async def test_history_is_bounded_in_lines_and_in_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed_module, "MAX_HISTORY_BYTES", 1000)
    feed = Feed(Builder(), interval_s=30)
    first, _ = feed.subscribe(manage=True)
    for _ in range(10):
        feed.publish()
    _, past = feed.subscribe(manage=True)
    assert past == b"7\n8\n9\n10\n", "two minutes at 30 s"
    large = quiet_feed(Builder(size=300))
    large._history = type(large._history)(maxlen=100)
    large.subscribe(manage=True)
    for _ in range(10):
        large.publish()
    _, past = large.subscribe(manage=True)
    assert len(past) <= 1000
    assert past.split()[-1] == b"10"
    await feed.close()
    await large.close()
    assert await first.next() is None


@pytest.mark.asyncio
async def test_a_snapshot_that_fails_is_logged_and_the_next_one_comes(caplog: pytest.LogCaptureFixture) -> None:
    class Faulty(Builder):
        def lines(self) -> Lines:
            lines = super().lines()
            if self.built == 1:
                raise ZeroDivisionError("on purpose")
            return lines

    feed = Feed(Faulty(), interval_s=0.001)
    subscription, _ = feed.subscribe(manage=True)
    assert await subscription.next() == b"2\n"
    assert "on purpose" in caplog.text
    await feed.close()


@pytest.mark.asyncio
async def test_the_stream_says_welcome_then_what_there_is() -> None:
    async with serving(token="look", manage_token="touch") as running:
        for token, manage in (("look", False), ("touch", True)):
            headers = {"Authorization": f"Bearer {token}"}
            async with running.client.get("/v1/dashboard", headers=headers) as response:
                assert response.content_type == "application/x-ndjson"
                assert response.headers["Cache-Control"] == "no-store"
                welcome = json.loads(await response.content.readline())
                snapshot = json.loads(await response.content.readline())
            assert (welcome["type"], welcome["manage"], welcome["token_wanted"]) == ("welcome", manage, True)
            assert snapshot["streams"][0]["name"] == "live"
        assert (await running.client.get("/v1/dashboard")).status == 401


@pytest.mark.asyncio
async def test_a_page_that_does_not_read_holds_up_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    feeds: list[Feed] = []
    skipped: list[Subscription] = []

    class SeenFeed(Feed):
        def __init__(self, *args: object) -> None:
            super().__init__(Builder(size=2_000_000), interval_s=0.01)
            feeds.append(self)

        def subscribe(self, *, manage: bool) -> tuple[Subscription, bytes]:
            subscription, past = super().subscribe(manage=manage)
            skipped.append(subscription)
            return subscription, past

    monkeypatch.setattr("server.dashboard.routes.Feed", SeenFeed)
    async with serving() as running:
        reader, writer = await asyncio.open_connection("127.0.0.1", running.client.port)
        writer.write(b"GET /v1/dashboard HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        await reader.readline()
        (stuck,) = skipped
        async with asyncio.timeout(20):
            while stuck.skipped < 5:  # noqa: ASYNC110  # nothing tells
                await asyncio.sleep(0.01)
            async with running.client.get("/v1/dashboard") as response:
                while b"\n" not in await response.content.readany():
                    pass
        writer.close()
    assert feeds[0].subscriptions == 0


@pytest.mark.asyncio
async def test_too_many_pages_are_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    assert MAX_SUBSCRIPTIONS >= 8
    monkeypatch.setattr(feed_module, "MAX_SUBSCRIPTIONS", 1)
    async with serving() as running, running.client.get("/v1/dashboard") as first:
        assert first.status == 200
        second = await running.client.get("/v1/dashboard")
        assert (second.status, "Retry-After" in second.headers) == (503, True)
        assert "close one" in await second.text()


@pytest.mark.asyncio
async def test_an_open_page_does_not_hold_up_the_end_of_the_server() -> None:
    async with asyncio.timeout(10):
        async with serving() as running:
            response = await running.client.get("/v1/dashboard")
            await response.content.readline()
