"""Trickled candidates."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.whip.fragment import MAX_FRAGMENT_CANDIDATES, read_fragment
from server.whip.offer import OfferError

HEAD = "a=ice-ufrag:5MPC\r\na=ice-pwd:GlOc1\r\nm=audio 9 UDP/TLS/RTP/SAVPF 0\r\na=mid:0\r\n"


def test_candidates_belong_to_the_section_they_stand_in() -> None:
    fragment = read_fragment(
        HEAD
        + "a=candidate:1 1 UDP 2122194687 192.0.2.2 49058 typ host generation 0\r\n"
        + "a=candidate:2 1 udp 2122194687 abcd.local 49058 typ host\r\n"
        + "a=candidate:3 1 tcp 1518214911 192.0.2.2 9 typ host tcptype active\r\n"
        + "m=video 9 UDP/TLS/RTP/SAVPF 0\r\na=mid:1\r\n"
        + "a=candidate:4 1 udp 1 fd00::2 5 typ srflx raddr 192.0.2.2 rport 9\r\n"
        + "a=end-of-candidates\r\n"
    )
    assert fragment.ufrag == "5MPC"
    assert fragment.complete
    # Names of mDNS and TCP are of no use to us.
    assert fragment.candidates == (
        ("0", "1 1 UDP 2122194687 192.0.2.2 49058 typ host generation 0"),
        ("1", "4 1 udp 1 fd00::2 5 typ srflx raddr 192.0.2.2 rport 9"),
    )


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a=candidate:1 1 UDP 1 192.0.2.2 5 typ host", "before any a=mid"),
        ("hello", "'hello'"),
        (HEAD + "a=candidate:1 1 UDP 1 192.0.2.2 5 typ host\r\n" * (MAX_FRAGMENT_CANDIDATES + 1), "at most"),
    ],
)
def test_what_is_no_fragment_is_named(text: str, says: str) -> None:
    with pytest.raises(OfferError, match=says):
        read_fragment(text)


@given(st.text(max_size=300))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        read_fragment(HEAD + text)
    except OfferError:
        return
