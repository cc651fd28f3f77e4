"""Network streams, from little servers on loopback: what comes is shown, what goes wrong is said, and it goes on."""

import errno
import logging
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from latentcast.errors import UserError
from server.sources import Source, open_source
from server.sources.base import SourceLost
from server.sources.protocols import has_protocol
from server.sources.url import Pace, UrlReceiver, fitted_size, in_words, options
from tests.server.stream_servers import TS_PACKET, Script, Server, clip, http, rtmp, rtsp

DARK, BRIGHT = 60, 200


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("server.sources.reader.FIRST_PAUSE_S", 0.01)
    monkeypatch.setattr("server.sources.reader.LONGEST_PAUSE_S", 0.02)
    monkeypatch.setattr("server.sources.url.READ_TIMEOUT_S", 0.3)
    monkeypatch.setattr("server.sources.live.STALL_S", 0.1)


@contextmanager
def opened(url: str, size: tuple[int, int] | None = None) -> Iterator[tuple[Source, NDArray[np.uint8]]]:
    source = open_source([url], size=size)
    try:
        yield source, np.zeros((3, source.size[1], source.size[0]), np.uint8)
    finally:
        source.interrupt()
        source.close()


def read_until(source: Source, planes: NDArray[np.uint8], wanted: str | int) -> list[str]:
    """Read until a picture is about that bright, or a loss has those words; returns the words of all losses."""
    told: list[str] = []
    for number in range(300):
        try:
            source.read(planes, frame_id=number)
            if isinstance(wanted, int) and abs(int(planes[0, 48, 80]) - (wanted - 16) * 255 / 219) < 6:
                return told
        except SourceLost as loss:
            told.append(str(loss))
            if isinstance(wanted, str) and wanted in told[-1]:
                return told
    raise AssertionError(wanted)


def test_a_stream_over_http_takes_its_size_and_rate_from_the_first_picture() -> None:
    with (
        Server(http(clip(level=DARK, fps=25), stay=True)) as server,
        opened(f"http://127.0.0.1:{server.port}/live.ts") as (source, planes),
    ):
        assert (source.kind, source.size, source.fps) == ("url", (160, 96), 25.0)
        read_until(source, planes, DARK)


def test_a_server_that_dies_and_comes_back_with_another_size_is_followed() -> None:
    with (
        Server(http(clip(level=DARK)), http(), http(clip(level=BRIGHT, size=(96, 160)), stay=True)) as server,
        opened(f"http://127.0.0.1:{server.port}/x", size=(160, 96)) as (source, planes),
    ):
        read_until(source, planes, "broke off; connecting again")
        read_until(source, planes, BRIGHT)
        assert planes[0, :, 0].max() == 0  # upright now, with black at its sides


@pytest.mark.parametrize(
    ("script", "words"),
    [
        (http(b"\xff\x00no video" * 200_000, stay=True), "sends is no video that FFmpeg can read"),
        (http(b"GIF89a" + bytes(40)), "cannot be reached, or ended before there was a picture"),
        (http(status="401 Unauthorized"), "wants a name and a password"),
        (http(status="403 Forbidden"), "is refused by its server"),
        (http(status="404 Not Found"), "has no such stream (404)"),
        (http(status="500 Oh"), "answers with an error"),
    ],
)
def test_a_server_that_sends_no_video_is_told_apart_and_tried_again(script: Script, words: str) -> None:
    with (
        Server(script, http(clip(level=DARK), stay=True)) as server,
        opened(f"http://user:secret@127.0.0.1:{server.port}/x", size=(160, 96)) as (source, planes),
    ):
        assert "secret" not in " ".join(read_until(source, planes, words))
        read_until(source, planes, DARK)


def test_a_server_that_falls_silent_is_connected_to_again() -> None:
    with (
        Server(http(clip(level=DARK), stay=True), http(clip(level=BRIGHT), stay=True)) as server,
        opened(f"http://127.0.0.1:{server.port}/x") as (source, planes),
    ):
        read_until(source, planes, "has been silent for 0.3 s")
        read_until(source, planes, BRIGHT)


def test_a_stream_that_does_not_answer_is_waited_for_with_a_size_of_its_own() -> None:
    with Server(http()) as gone:
        port = gone.port
    with opened(f"rtsp://user:secret@127.0.0.1:{port}/1") as (source, planes):
        assert (source.size, source.fps) == ((640, 360), 30.0)
        read_until(source, planes, f"nobody answers at rtsp://127.0.0.1:{port} (connection refused)")
        with Server(rtsp(clip(level=DARK)), port=port):
            read_until(source, planes, DARK)


def test_garbage_in_the_middle_costs_pictures_and_nothing_else(caplog: pytest.LogCaptureFixture) -> None:
    good = clip(level=DARK, frames=40)
    rng = np.random.default_rng(1)
    torn = bytearray(good)
    for place in rng.integers(4000, len(good), 300):
        torn[place] = rng.integers(256)
    with (
        Server(http(bytes(torn), rng.bytes(5000), clip(level=BRIGHT, frames=40), stay=True)) as server,
        opened(f"http://127.0.0.1:{server.port}/x", size=(160, 96)) as (source, planes),
    ):
        read_until(source, planes, BRIGHT)
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


def test_rtsp_plays_interleaved_and_comes_back() -> None:
    with (
        Server(rtsp(clip(level=DARK), stay=False), rtsp(clip(level=BRIGHT))) as server,
        opened(f"rtsp://127.0.0.1:{server.port}/1", size=(160, 96)) as (source, planes),
    ):
        read_until(source, planes, "connecting again")
        read_until(source, planes, BRIGHT)


def test_rtmp_plays_and_comes_back() -> None:
    with (
        # Longer than what FFmpeg looks at before it hands out pictures.
        Server(*(rtmp(clip(level=level, frames=60, form="flv")) for level in (DARK, BRIGHT))) as server,
        opened(f"rtmp://127.0.0.1:{server.port}/live/name") as (source, planes),
    ):
        assert source.size == (160, 96)
        read_until(source, planes, "has been silent")
        read_until(source, planes, BRIGHT)


def test_a_recording_plays_at_its_own_pace_and_starts_again() -> None:
    recording = clip(level=DARK, frames=10, fps=50, form="matroska")
    with Server(http(recording, sized=True)) as server:
        receiver = UrlReceiver(f"http://127.0.0.1:{server.port}/x", read_timeout_s=5)
        times = [received.captured_us for received, _ in zip(receiver(threading.Event()), range(25), strict=False)]
        assert server.connections == 3
    assert times[9] - times[0] > 100_000  # ten pictures at 50 a second, which all came at once


def test_a_pace_follows_the_time_line_and_starts_anew_where_that_jumps() -> None:
    pace = Pace()
    assert pace.due_us(100.0, now_us=5_000_000) == 5_000_000
    assert pace.due_us(100.04, now_us=5_000_000) == pytest.approx(5_040_000)
    assert pace.due_us(101.0, now_us=5_000_000) == pytest.approx(6_000_000)
    assert pace.due_us(0.0, now_us=6_000_000) == 6_000_000  # back to the start
    assert pace.due_us(0.5, now_us=6_100_000) == pytest.approx(6_500_000)
    assert pace.due_us(0.6, now_us=9_000_000) == 9_000_000  # late: the sender was
    assert pace.due_us(None, now_us=9_000_001) == 9_000_001


def test_a_protocol_that_ffmpeg_lacks_is_refused_in_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("server.sources.url.has_protocol", lambda _: False)
    with pytest.raises(UserError, match=r"'srt://\*\*\*@host:9000', but the FFmpeg in use has no SRT"):
        open_source(["srt://a:b@host:9000"])


def test_protocols_are_found_without_a_connection() -> None:
    with Server(http()) as server:
        assert has_protocol("rtsp")
        assert has_protocol("http")
        assert not has_protocol("nosuch")
        assert server.connections == 0


def test_every_scheme_has_a_timeout() -> None:
    assert options("rtsp://c/1", 10, 5) | {"rtsp_transport": "tcp", "timeout": "5000000"} == options(
        "rtsp://c/1", 10, 5
    )
    assert options("http://c/1", 10, 5)["rw_timeout"] == "5000000"
    assert options("srt://c:1", 10, 5)["connect_timeout"] == "10000"


@pytest.mark.parametrize(
    ("error", "begun", "words"),
    [
        (av.error.ExitError(1, "text"), False, "has been silent for 5 s"),
        (av.error.OSError(errno.EHOSTUNREACH, "No route to host"), False, "cannot be read (no route to host)"),
        (av.error.ProtocolNotFoundError(1, "text"), False, "cannot receive rtsp://c"),
        (av.error.OSError(errno.ECONNRESET, "reset"), True, "rtsp://c broke off"),
    ],
)
def test_errors_in_words(error: Exception, begun: bool, words: str) -> None:
    assert words in in_words(error, "rtsp://c", begun=begun, waited_s=5)


def test_sizes_are_even_and_within_bounds() -> None:
    assert fitted_size(1919, 1079) == (1918, 1078)
    assert fitted_size(3840, 2160) == (1920, 1080)
    assert fitted_size(16, 16) == (64, 64)


def test_datagrams_are_received_and_their_end_is_noticed() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    stream, ending = clip(level=BRIGHT, frames=60), threading.Event()

    def send() -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            while not ending.is_set():
                for start in range(0, len(stream), 7 * TS_PACKET):
                    sender.sendto(stream[start : start + 7 * TS_PACKET], ("127.0.0.1", port))
                    ending.wait(0.001)

    thread = threading.Thread(target=send)
    with opened(f"udp://127.0.0.1:{port}", size=(160, 96)) as (source, planes):
        thread.start()
        read_until(source, planes, BRIGHT)
        ending.set()
        thread.join()
        read_until(source, planes, "has been silent")
