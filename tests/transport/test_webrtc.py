"""The adapter to aiortc: two peers in one process, over real sockets on loopback."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, cast

import pytest

from transport.webrtc import INITIAL_WINDOW_BYTES, MIN_WINDOW_BYTES, Peer, RealtimeSctp, use_host_addresses

pytestmark = [pytest.mark.net, pytest.mark.asyncio]
TIMEOUT_S = 30.0


class End:
    """One peer and all that came in."""

    def __init__(self) -> None:
        self.opened = asyncio.Event()
        self.closed = asyncio.Event()
        self.reasons: list[str] = []
        self.control: list[str] = []
        self.media: list[bytes] = []
        self.feedback: list[bytes] = []
        self.peer = Peer(
            on_open=self.opened.set,
            on_closed=self._on_closed,
            on_control=self.control.append,
            on_media=self.media.append,
            on_feedback=self.feedback.append,
        )

    def _on_closed(self, reason: str) -> None:
        self.reasons.append(reason)
        self.closed.set()

    @property
    def sctp(self) -> RealtimeSctp:
        sctp = cast(Any, self.peer)._pc.sctp
        assert isinstance(sctp, RealtimeSctp)
        return sctp

    def channel(self, label: str) -> Any:
        return cast(Any, self.peer)._channels[label]


@asynccontextmanager
async def connected() -> AsyncIterator[tuple[End, End]]:
    """A viewer's and a server's end, with all channels open."""
    use_host_addresses(["127.0.0.1"])
    viewer, server = End(), End()
    try:
        await viewer.peer.accept(await server.peer.answer(await viewer.peer.offer()))
        async with asyncio.timeout(TIMEOUT_S):
            await viewer.opened.wait()
            await server.opened.wait()
        yield viewer, server
    finally:
        await viewer.peer.close()
        await server.peer.close()


async def until(condition: Callable[[], bool]) -> None:
    """Let the event loop run until something has come true."""
    async with asyncio.timeout(TIMEOUT_S):
        while not condition():  # noqa: ASYNC110  # what the other end does comes without an event here
            await asyncio.sleep(0.01)


async def test_what_goes_into_a_channel_comes_out_of_the_same_one() -> None:
    async with connected() as (viewer, server):
        assert viewer.peer.send_control("héllo")
        assert viewer.peer.send_feedback(b"report")
        assert server.peer.send_control("config")
        assert server.peer.send_media(bytes(1150))
        await until(lambda: bool(server.control and server.feedback and viewer.control and viewer.media))
        assert (server.control, server.feedback, server.media) == (["héllo"], [b"report"], [])
        assert (viewer.control, viewer.feedback, viewer.media) == (["config"], [], [bytes(1150)])


async def test_both_ends_have_the_realtime_association_and_channels_as_designed() -> None:
    async with connected() as (viewer, server):
        for end in (viewer, server):
            assert end.sctp._cwnd >= INITIAL_WINDOW_BYTES
            control, media = end.channel("control"), end.channel("media")
            assert (control.ordered, control.maxRetransmits) == (True, None)
            assert (media.ordered, media.maxRetransmits) == (False, 0)


async def test_only_loopback_is_offered_when_only_loopback_is_wanted() -> None:
    use_host_addresses(["127.0.0.1"])
    end = End()
    candidates = [line.split()[4] for line in (await end.peer.offer()).splitlines() if line.startswith("a=candidate")]
    assert set(candidates) == {"127.0.0.1"}
    await end.peer.close()


async def test_the_window_follows_the_target_and_nearly_closes_without_feedback() -> None:
    async with connected() as (_, server):
        server.peer.set_window(target_bps=50e6, feedback_alive=True)
        wide = server.sctp.window_floor_bytes
        server.peer.set_window(target_bps=1e5, feedback_alive=True)
        narrow = server.sctp.window_floor_bytes
        # 100 kbit/s for a round trip of loopback and the 0.3 s of the window.
        assert MIN_WINDOW_BYTES + 3_750 <= narrow < MIN_WINDOW_BYTES + 12_500 < wide
        server.peer.set_window(target_bps=50e6, feedback_alive=False)
        assert server.sctp.window_floor_bytes == MIN_WINDOW_BYTES


async def test_a_message_of_the_wrong_kind_is_counted_and_dropped() -> None:
    async with connected() as (viewer, server):
        viewer.channel("control").send(b"bytes")
        viewer.channel("feedback").send("text")
        viewer.peer.send_control("last")
        await until(lambda: server.peer.unexpected == 2 and server.control == ["last"])
        assert server.feedback == []


async def test_a_channel_that_nobody_asked_for_is_closed_again() -> None:
    async with connected() as (viewer, server):
        extra = cast(Any, viewer.peer)._pc.createDataChannel("surprise")
        await until(lambda: extra.readyState == "closed")
        assert viewer.peer.send_control("still there")
        await until(lambda: server.control == ["still there"])


async def test_media_is_refused_not_queued_when_the_other_end_takes_no_more() -> None:
    async with connected() as (_, server):
        # Not a step of the event loop in between: nothing can leave.
        taken = 0
        while server.peer.send_media(bytes(1150)) and taken < 10_000:
            taken += 1
        assert taken < 2 * (INITIAL_WINDOW_BYTES + 64 * 1024) / 1150
        assert server.peer.refused == 1
        assert server.channel("media").bufferedAmount < 80 * 1024
        assert server.peer.send_control("there is room for this")


async def test_nothing_is_sent_before_it_is_open_or_after_it_is_closed() -> None:
    use_host_addresses(["127.0.0.1"])
    end = End()
    assert not end.peer.send_media(b"early")
    async with connected() as (viewer, _):
        await viewer.peer.close()
        assert not viewer.peer.send_control("late")
    await end.peer.close()
    assert end.reasons == []


@pytest.mark.parametrize("sdp", ["", "hello", "v=0\r\n", "m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\n"])
async def test_sdp_that_is_none_is_a_value_error(sdp: str) -> None:
    use_host_addresses(["127.0.0.1"])
    answering, offering = End(), End()
    with pytest.raises(ValueError, match=r"SDP offer|no data channel"):
        await answering.peer.answer(sdp)
    await offering.peer.offer()
    with pytest.raises(ValueError, match="SDP answer"):
        await offering.peer.accept(sdp)
    await answering.peer.close()
    await offering.peer.close()


async def test_a_close_at_one_end_is_noticed_once_at_the_other() -> None:
    async with connected() as (viewer, server):
        await viewer.peer.close()
        async with asyncio.timeout(TIMEOUT_S):
            await server.closed.wait()
        await server.peer.close()
        assert len(server.reasons) == 1
        assert "closed" in server.reasons[0]
        assert viewer.reasons == [], "who closes knows"


async def test_five_percent_loss_costs_media_five_percent_and_control_nothing() -> None:
    async with connected() as (viewer, server):
        lossy = random.Random(4)
        for end in (viewer, server):
            dtls = cast(Any, end.sctp).transport
            send = dtls._send_data

            async def drop(data: bytes, send: Callable[[bytes], Any] = send) -> None:
                if lossy.random() >= 0.05:
                    await send(data)

            dtls._send_data = drop
        seconds, interval_s, burst = 3.0, 0.02, 3
        sent, deepest, lines = 0, 0, 0
        for _ in range(int(seconds / interval_s)):
            for _ in range(burst):
                sent += server.peer.send_media(sent.to_bytes(4) + bytes(1000))
            server.peer.send_control(str(lines))
            lines += 1
            deepest = max(deepest, server.channel("media").bufferedAmount)
            await asyncio.sleep(interval_s)
        await until(lambda: len(viewer.control) == lines)
        assert viewer.control == [str(number) for number in range(lines)]
        assert sent == burst * lines, "nothing was held back"
        delivered = [int.from_bytes(data[:4]) for data in viewer.media]
        assert len(set(delivered)) == len(delivered), "nothing twice"
        assert 0.9 < len(delivered) / sent < 0.985
        assert deepest < 20_000, "no queue builds up behind the losses"
