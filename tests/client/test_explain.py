"""What the user is told: a title, what is done about it, and a line for the terminal."""

import pytest

from client.explain import again, connected, connecting, refused, source
from client.whep import Refusal
from latentcast.control import SourceState


def test_addresses_and_causes_are_no_titles() -> None:
    why = again("no server answers at http://a.example:1 (connection refused)", pause_s=2.2, now=100.0)
    assert (why.situation, why.reason) == ("gone", "No server answers")
    assert why.line == "No server answers at http://a.example:1 (connection refused). Trying again in 2.2 s"
    assert [why.detail_at(now) for now in (100.0, 101.5, 102.3)] == [
        "http://a.example:1 (connection refused). Trying again in 3 s",
        "http://a.example:1 (connection refused). Trying again in 1 s",
        "http://a.example:1 (connection refused). Trying again",
    ]


def test_a_cause_after_a_colon_comes_second() -> None:
    why = again("the server is gone: nothing was heard from it for 2.5 s", pause_s=1, now=0.0)
    assert (why.reason, why.detail) == ("The server is gone", "Nothing was heard from it for 2.5 s")
    whole = again("http://a.example says: the server is full.", pause_s=1, now=0.0)
    assert whole.reason == "http://a.example says: the server is full"


@pytest.mark.parametrize(
    ("status", "token", "situation", "reason"),
    [
        (401, False, "refused", "The server asks for a token"),
        (403, True, "refused", "The server does not take this token"),
        (404, True, "missing", "The server has no stream of this name"),
        (415, False, "refused", "It wants another SDP"),
    ],
)
def test_a_no_is_told_apart(status: int, token: bool, situation: str, reason: str) -> None:
    why = refused(Refusal("it wants another SDP", status=status), token_given=token, pause_s=5.0, now=0.0)
    assert (why.situation, why.reason) == (situation, reason)
    assert "Trying again in 5 s" in (why.detail_at(0.0) or "")
    later = refused(Refusal("it wants another SDP", status=status), token_given=token, pause_s=5.7, now=9.0)
    assert later.line == why.line, "the terminal hears of it once"


def test_the_way_to_the_first_picture() -> None:
    assert connecting("http://a/whep", 1).line == "Connecting to http://a/whep"
    assert connecting("http://a/whep", 2).detail == "http://a/whep (try 2)"
    assert connected("door", (640, 360)).line == "Connected to door, 640x360. Waiting for the first frame"


def test_the_servers_own_words_on_its_source() -> None:
    waiting = source(SourceState(kind="webcam", state="waiting", reason="the camera was unplugged."))
    assert (waiting.situation, waiting.reason) == ("source", "The camera was unplugged")
    assert waiting.detail is not None
    ended = source(SourceState(kind="file", state="ended"))
    assert (ended.situation, ended.reason, ended.detail) == ("ended", "The stream has ended", None)
