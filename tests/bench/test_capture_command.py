"""The capture bench: what its sender sends, and what is made of the viewers' reports."""

import argparse
import socket
import threading
from itertools import takewhile

import av
import pytest

from bench.capture.command import Case, Outcome, SETTLE_s, add_frames, as_markdown, cases
from bench.capture.sender import coded, schedule, send
from latentcast.errors import LatentcastError
from latentcast.report import STAGES


def test_a_sender_that_stalls_makes_nothing_up_for_it_and_leaves_nothing_out() -> None:
    sent = list(takewhile(lambda one: one[1] < 12, schedule(10, stall_s=2, every_s=5)))
    times = [at for _, at in sent]
    assert [number for number, _ in sent] == list(range(len(sent)))
    assert len(sent) == 120 - 2 * 20
    assert [at for at in times if 4.8 < at < 7.2] == [4.9, 7.0, 7.1]
    assert [at for at in times if at > 9.8] == [9.9]
    assert len(list(takewhile(lambda one: one[1] < 12, schedule(10, stall_s=0, every_s=5)))) == 120


def test_what_the_sender_sends_is_a_live_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.capture.sender.LOOP_S", 1)
    frames = coded((64, 64), 30)
    assert len(frames) == 30
    assert [key for _, key in frames].count(True) == 1
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        with listener, listener.accept()[0] as connection, pytest.raises(OSError):  # noqa: PT011 - the client goes away
            send(connection, frames, (64, 64), argparse.Namespace(fps=30, stall=0.0, every=5.0))

    thread = threading.Thread(target=serve)
    thread.start()
    with av.open(f"http://127.0.0.1:{listener.getsockname()[1]}/x", timeout=10) as container:
        decoded = [frame for frame, _ in zip(container.decode(video=0), range(40), strict=False)]
    thread.join(10)
    assert not thread.is_alive()
    assert (decoded[0].width, decoded[0].height) == (64, 64)


def frame(at_s: float, wait_ms: float) -> dict[str, str]:
    return {
        "presented_us": str(round(at_s * 1e6)),
        **{f"{stage}_ms": "1.0" for stage in STAGES},
        "wait_ms": f"{wait_ms}",
    }


def test_the_start_of_a_run_does_not_count() -> None:
    outcome = Outcome(Case("fast", "a stream"), [], [])
    add_frames(outcome, [frame(10, 500), frame(10 + SETTLE_s, 4), frame(10.5 + SETTLE_s, 6), frame(13 + SETTLE_s, 2)])
    assert outcome.total_ms == [10, 12, 8]
    assert outcome.wait_ms == [4, 6, 2]
    assert (outcome.seconds, outcome.longest_gap_s) == (3.0, 2.5)
    assert as_markdown([outcome]).splitlines()[2] == "| a stream | 1.0 | 10.0 | 12.0 | 12.0 | 4.0 | 6.0 | 2.50 |"


def test_a_run_without_a_picture_is_an_error() -> None:
    with pytest.raises(LatentcastError, match="nothing was presented of the test pattern"):
        add_frames(Outcome(cases(30)[0], [], []), [])
