"""Ends of things: a server that goes away and returns, a demo that is interrupted, a stream that is not there."""

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from latentcast.report import read_report
from tests.end_to_end.program import SIZE, TIMEOUT_S, metrics, serving, until, watching

pytestmark = [pytest.mark.net, pytest.mark.slow]


@pytest.mark.asyncio
async def test_a_viewer_says_that_its_server_is_gone_and_is_back_when_it_is() -> None:
    with serving() as first:
        port = urlsplit(first.url).port
        assert port is not None
        async with watching(first.url) as watch:
            await watch.more(5)
            # A server that cannot say goodbye; its encoder must notice by itself.
            encoder = first.encoder
            first.process.kill()
            await until(lambda: any(f"//127.0.0.1:{port}" in n and "Trying again" in n for n in watch.notices))
            assert any("server is gone" in notice for notice in watch.notices)
            assert watch.viewer.status().reason is not None, "a window would say why it shows nothing"
            await until(lambda: not encoder.is_running())
            watch.pictures.clear()
            with await asyncio.to_thread(serving, port=port) as second:
                pictures = await watch.more(5)
                assert pictures[0].intra
                assert second.metrics()["viewers"] == 1
            assert watch.measurement.reconnects >= 1
            assert watch.viewer.status().fps > 0


def test_a_stream_that_is_not_there_is_one_sentence_and_exit_code_2() -> None:
    with serving("--stream", "mine") as server:
        done = subprocess.run(
            [sys.executable, "-m", "latentcast", "view", server.url, "--stream", "other", "--headless"],
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
        )
    assert done.returncode == 2
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("latentcast: ")
    assert "'other'" in last
    assert "'mine'" in last
    assert "Traceback" not in done.stderr


def test_an_interrupted_demo_still_ends_with_its_summary_and_report(tmp_path: Path) -> None:
    size = f"{SIZE[0]}x{SIZE[1]}"
    flags = ["--source", "pattern", "--size", size, "--fps", "20", "--seconds", "300", "--headless"]
    with subprocess.Popen(
        [sys.executable, "-m", "latentcast", "demo", *flags, "--report", str(tmp_path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # A process group of its own, as a terminal gives it.
        start_new_session=True,
    ) as demo:
        assert demo.stderr is not None
        for line in demo.stderr:
            if "Connecting to" in line:
                url = line.split()[2].partition("/v1/")[0]
            if "Waiting for the first frame" in line:
                break
        asyncio.run(until(lambda: metrics(url)["frames_encoded_total"] > 40))
        os.killpg(demo.pid, signal.SIGINT)
        out, err = demo.communicate(timeout=TIMEOUT_S)
    assert demo.returncode == 0, err
    assert "Traceback" not in err
    assert "frames presented / captured" in out
    assert read_report(tmp_path / "report.json").frames.presented > 10
    assert (tmp_path / "still.png").exists()
    with pytest.raises(OSError, match="refused"):
        metrics(url)
