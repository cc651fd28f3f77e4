"""One server process, real viewers over real sockets, the shipped weights: what happens when things go wrong too."""

import asyncio
import os
import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from client.receiver import Receiver
from codec.drift import FLOAT32_INTRA_FRAMES
from latentcast import barcode
from latentcast.control import Error, parse_server_message
from latentcast.report import STAGES, read_report
from server.encode_control import SHARED_INTRA_S
from tests.end_to_end.program import FPS, SIZE, TIMEOUT_S, BareClient, Server, serving, until, watching
from transport.wire import Kind, Ping

pytestmark = [pytest.mark.net, pytest.mark.slow]


@pytest.fixture(scope="module")
def ring(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("server") / "ring"


@pytest.fixture(scope="module")
def server(ring: Path) -> Iterator[Server]:
    with serving("--capture-ring", str(ring)) as running:
        yield running


def test_a_viewer_process_reports_what_it_saw(server: Server, ring: Path, tmp_path: Path) -> None:
    flags = ["--headless", "--seconds", "3", "--report", str(tmp_path), "--compare", str(ring), "--psnr"]
    done = subprocess.run(
        [sys.executable, "-m", "latentcast", "view", server.url, *flags],
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
    )
    assert done.returncode == 0, done.stderr
    report = read_report(tmp_path / "report.json")
    frames = report.frames
    order = (frames.captured, frames.encoded, frames.sent, frames.received, frames.decoded, frames.presented)
    assert list(order) == sorted(order, reverse=True), "nothing comes out that did not go in"
    assert frames.presented > 20
    assert frames.intra >= 1
    assert frames.decoded + frames.lost >= frames.received
    assert (report.width, report.height) == SIZE
    assert report.presenter == "headless"
    assert tuple(report.latency_ms.stages) == STAGES
    assert all(stage.max >= 0 for stage in report.latency_ms.stages.values())
    assert report.latency_ms.total.p50 > report.latency_ms.stages["encode"].p50 > 0
    assert report.clock_error_ms > 0
    assert report.qp.max > 0
    assert report.psnr_y_db is not None
    assert report.psnr_y_db.frames > 10
    # Frames compared with the wrong one, or planes mixed up, give 10 dB of this moving pattern.
    assert report.psnr_y_db.mean > 16
    assert {path.name for path in tmp_path.iterdir()} >= {"report.json", "frames.csv", "latency.png", "still.png"}
    assert "presented" in done.stdout


@pytest.mark.asyncio
async def test_pixels_and_headers_tell_the_same_frame_and_the_same_time(server: Server) -> None:
    async with watching(server.url) as watch:
        # The rate starts low; a second later the cells are sharp.
        await watch.more(20)
        pictures = await watch.more(20)
    codes = [barcode.read(picture.planes[0]) for picture in pictures]
    readable = [(code, picture) for code, picture in zip(codes, pictures, strict=True) if code is not None]
    assert len(readable) > 10
    for code, picture in readable:
        assert code.frame_number == picture.frame_id
        assert code.captured_us == picture.timeline.captured_us
    ids = [picture.frame_id for picture in pictures]
    assert ids == sorted(set(ids)), "each once, in order"


@pytest.mark.asyncio
async def test_a_second_viewer_gets_the_same_encode_and_joins_with_an_intra_frame(server: Server) -> None:
    async with watching(server.url) as first:
        # Newcomers within a second of an intra frame share it: this one comes later.
        await first.more(int(1.5 * SHARED_INTRA_S * FPS))
        intra_before = (await asyncio.to_thread(server.metrics))["frames_intra_total"]
        async with watching(server.url) as second:
            pictures = await second.more(10)
            assert pictures[0].intra, "nothing else can be decoded first"
            before = await asyncio.to_thread(server.metrics)
            await second.more(20)
            after = await asyncio.to_thread(server.metrics)
            assert after["viewers"] == 2
            assert before["frames_intra_total"] > intra_before
            captured = after["frames_captured_total"] - before["frames_captured_total"]
            encoded = after["frames_encoded_total"] - before["frames_encoded_total"]
            assert encoded <= captured + 2, "one encode for both"
            both = {p.frame_id for p in first.pictures} & {p.frame_id for p in second.pictures}
            assert len(both) > 10


@pytest.mark.asyncio
async def test_an_encoder_that_is_killed_is_started_again_and_pictures_go_on(server: Server) -> None:
    async with watching(server.url) as watch:
        last = (await watch.more(5))[-1].frame_id
        restarts = (await asyncio.to_thread(server.metrics))["encoder_restarts_total"]
        pid = server.encoder.pid
        os.kill(pid, signal.SIGKILL)
        await until(lambda: any(p.intra and p.frame_id > last for p in watch.pictures))
        await watch.more(5)
        assert server.encoder.pid != pid
        assert (await asyncio.to_thread(server.metrics))["encoder_restarts_total"] == restarts + 1
        assert not any("Trying again" in notice for notice in watch.notices), "the session lives"


@pytest.mark.asyncio
async def test_a_decoder_that_is_killed_is_started_again_and_pictures_go_on(server: Server) -> None:
    async with watching(server.url) as watch:
        await watch.more(5)
        children = psutil.Process().children()
        next(child for child in children if "client.decoder_worker" in child.cmdline()).kill()
        await until(lambda: any("SIGKILL" in notice for notice in watch.notices))
        pictures = await watch.more(5)
        assert pictures[0].intra
        assert watch.measurement.reconnects == 0


@pytest.mark.asyncio
async def test_pictures_go_on_while_packets_are_lost_and_no_intra_frame_is_needed(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    chance = random.Random(3)
    lossy = [False]
    take = Receiver._on_media

    def drop(self: Receiver, data: bytes) -> None:
        if not (lossy[0] and data[1] in (Kind.DATA, Kind.PARITY) and chance.random() < 0.1):
            take(self, data)

    monkeypatch.setattr(Receiver, "_on_media", drop)
    async with watching(server.url) as watch:
        await watch.more(10)
        lossy[0] = True
        seen = await watch.more(60)
        lossy[0] = False
        assert not [picture.frame_id for picture in seen if picture.intra]
        receiver = watch.viewer._receiver
        assert receiver is not None
        assert receiver.counts.recovered + receiver.counts.resent > 0, "parity and NACKs mend most of it"
        await watch.more(20)
        assert watch.viewer.status().reason is None
        assert watch.measurement.reconnects == 0


@pytest.mark.asyncio
async def test_garbage_on_every_channel_is_counted_and_hurts_nobody(server: Server) -> None:
    chance = random.Random(2)
    async with watching(server.url) as watch:
        client = BareClient(server.url)
        await client.connect()
        client.hello()
        await until(lambda: client.media > 0)
        before = (await asyncio.to_thread(server.metrics))["malformed_messages"]
        rounds = 40
        channels: dict[str, Any] = client.peer._channels
        for _ in range(rounds):
            junk = chance.randbytes(chance.randrange(1, 1100))
            client.peer.send_feedback(junk)
            client.peer.send_feedback(b"\x01" + bytes([chance.choice([16, 17, 18, 19])]) + junk)
            client.peer.send_media(junk)
            client.peer.send_control(junk.decode("latin-1"))
            client.peer.send_control('{"type": "hello", "wire": "one"}')
            channels["control"].send(junk)
            channels["feedback"].send("text")
            await asyncio.sleep(0)
        # A well-formed message after all that is still answered.
        media = client.media
        client.peer.send_feedback(Ping(1, 2).to_bytes())
        await until(lambda: client.media > media)
        counted = 0.0
        async with asyncio.timeout(TIMEOUT_S):
            while counted < 5.9 * rounds:
                counted = (await asyncio.to_thread(server.metrics))["malformed_messages"] - before
        assert not client.closed.is_set()
        await client.close()
        await watch.more(5)


@pytest.mark.asyncio
async def test_a_viewer_whose_arithmetic_differs_gets_intra_frames(server: Server) -> None:
    client = BareClient(server.url)
    try:
        await client.connect()
        client.hello(fingerprint="0" * 32)
        await until(lambda: len(client.frames) >= FLOAT32_INTRA_FRAMES + 4)
        intra = [intra for _, intra in sorted(client.frames.items())]
    finally:
        await client.close()
    assert intra[0]
    assert any(intra[8 : FLOAT32_INTRA_FRAMES + 4]), "its states would come apart"


@pytest.mark.asyncio
async def test_a_client_of_another_version_is_told_so_in_a_sentence(server: Server) -> None:
    client = BareClient(server.url)
    await client.connect()
    client.hello(wire=99)
    await until(lambda: bool(client.control))
    message = parse_server_message(client.control[0])
    assert isinstance(message, Error)
    assert message.code == "version"
    assert "wire 99" in message.message
    assert "install the same version" in message.message
    await client.close()


def test_a_viewer_of_another_version_ends_with_that_sentence_and_exit_code_2(server: Server) -> None:
    code = (
        "import sys, client.receiver\n"
        "client.receiver.WIRE_VERSION = 99\n"
        "from latentcast.cli import main\n"
        f"sys.argv = ['latentcast', 'view', '{server.url}', '--headless']\n"
        "main()\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=TIMEOUT_S)
    assert done.returncode == 2
    assert "latentcast: the viewer (latentcast" in done.stderr
    assert "wire 99" in done.stderr
    assert "Traceback" not in done.stderr


def test_viewers_that_vanish_are_gone_within_ten_seconds_and_leave_nothing(server: Server) -> None:
    def vanish(count: int) -> None:
        command = [sys.executable, "-m", "tests.end_to_end.program", server.url]
        viewers = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(count)]
        for viewer in viewers:
            assert viewer.stdout is not None
            assert viewer.stdout.readline().startswith("live")
        assert server.metrics()["sessions"] == count
        for viewer in viewers:
            viewer.kill()
            viewer.communicate()
        asyncio.run(until(lambda: server.metrics()["sessions"] == 0, timeout_s=10))

    asyncio.run(until(lambda: server.metrics()["sessions"] == 0, timeout_s=10))
    before = server.descriptors
    vanish(4)
    asyncio.run(until(lambda: server.descriptors <= before + 2, timeout_s=10))
    assert server.metrics()["ready"] == 1
