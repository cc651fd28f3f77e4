"""Candidates are found and replaced; what is not ours to change stays, byte for byte."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.network.sdp import reachable_at, redirect

OFFER = (
    "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0\r\n"
    "m=application 40001 UDP/DTLS/SCTP webrtc-datachannel\r\nc=IN IP4 10.0.0.7\r\na=mid:0\r\na=sctp-port:5000\r\n"
    "a=candidate:aa 1 udp 2130706431 fe80::1 40000 typ host\r\n"
    "a=candidate:ab 1 udp 2130706431 10.0.0.7 40001 typ host\r\n"
    "a=candidate:ac 1 tcp 2130706431 10.0.0.8 9 typ host tcptype active\r\n"
    "a=candidate:ad 1 udp 2130706431 127.0.0.1 40002 typ host\r\n"
    "a=candidate:ae 1 udp 1694498815 192.0.2.1 40003 typ srflx raddr 10.0.0.7 rport 40001\r\n"
    "a=end-of-candidates\r\na=ice-ufrag:abcd\r\na=ice-pwd:0123456789012345678901\r\na=setup:actpass\r\n"
)


def test_all_candidates_give_way_to_one() -> None:
    redirected = redirect(OFFER, ("127.0.0.1", 5555))
    assert redirected is not None
    lines = redirected.split("\r\n")
    assert [line for line in lines if "candidate:" in line] == [
        "a=candidate:relay 1 udp 2130706431 127.0.0.1 5555 typ host"
    ]
    assert "m=application 5555 UDP/DTLS/SCTP webrtc-datachannel" in lines
    assert "c=IN IP4 127.0.0.1" in lines
    kept = [line for line in OFFER.split("\r\n") if not line.startswith(("a=candidate", "m=", "c="))]
    assert [line for line in lines if not line.startswith(("a=candidate", "m=", "c="))] == kept


def test_loopback_is_preferred_then_the_first() -> None:
    assert reachable_at(OFFER) == ("127.0.0.1", 40002)
    assert reachable_at(OFFER.replace("127.0.0.1", "::1")) == ("10.0.0.7", 40001)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "hello",
        OFFER.replace("a=candidate", "a=candidat"),
        OFFER.replace("a=ice-ufrag:abcd\r\n", ""),
        OFFER + "m=audio 1 RTP/AVP 0\r\na=ice-ufrag:other\r\n",
    ],
)
def test_what_is_not_one_transport_with_candidates_is_left_alone(text: str) -> None:
    assert redirect(text, ("127.0.0.1", 5555)) is None


def test_candidates_that_cannot_be_used_are_no_address() -> None:
    places = ("1 udp 1 999.0.0.1 4", "1 udp 1 1.2.3.4 70000", "2 udp 1 1.2.3.4 4", "1 udp 1 1.2.3.4 0")
    assert reachable_at("\n".join(f"a=candidate:a {place} typ host" for place in places)) is None


LINES = st.sampled_from([*OFFER.splitlines(), "a=candidate:", "m=", "c=", "\x00", "a=ice-ufrag:x"])


@given(st.lists(LINES).map("\n".join))
def test_no_text_is_too_strange(text: str) -> None:
    reachable_at(text)
    redirected = redirect(text, ("127.0.0.1", 1))
    if redirected is not None:
        assert reachable_at(redirected) == ("127.0.0.1", 1)
