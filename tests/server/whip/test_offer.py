"""What of an offer is taken, how the rest is answered, and that nothing else than OfferError comes of rubbish."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.whip.offer import MAX_CANDIDATES, MAX_SECTIONS, OfferError, OfferRefused, read_offer, suggest_start
from tests.server.whip.offers import CHROMIUM, FFMPEG, OBS


def test_of_a_browsers_offer_the_first_codec_that_decodes_is_left_and_the_data_channel_is_rejected() -> None:
    offer = read_offer(CHROMIUM)
    assert offer.video_codec == "VP8"
    assert offer.has_audio
    assert offer.ufrag == "5MPC"
    assert "m=video 9 UDP/TLS/RTP/SAVPF 96 97\r\n" in offer.text
    assert "m=audio 9 UDP/TLS/RTP/SAVPF 111\r\n" in offer.text
    assert "a=group:BUNDLE 0 1\r\n" in offer.text
    assert "H264" not in offer.text
    assert "m=application" not in offer.text
    # Its addresses show when it comes: neither names of mDNS nor TCP are of use.
    assert "a=candidate" not in offer.text

    answer = offer.complete("v=0\r\ns=-\r\nm=audio 1 X 111\r\na=mid:0\r\nm=video 1 X 96\r\na=mid:1\r\n")
    assert answer.endswith(
        "m=video 1 X 96\r\na=mid:1\r\nm=application 0 UDP/DTLS/SCTP webrtc-datachannel\r\nc=IN IP4 0.0.0.0\r\n"
        "a=inactive\r\na=mid:2\r\n"
    )


@pytest.mark.parametrize(("sdp", "payload"), [(FFMPEG, "106 105"), (OBS, "96")])
def test_offers_of_ffmpeg_and_obs_are_taken_as_they_are(sdp: str, payload: str) -> None:
    offer = read_offer(sdp)
    assert (offer.video_codec, offer.has_audio) == ("H264", True)
    assert f"SAVPF {payload}\r\n" in offer.text
    assert offer.complete(offer.text) == offer.text


def test_sections_that_are_not_taken_keep_their_places_in_the_answer() -> None:
    session, audio, video, data = _parts(CHROMIUM)
    second = video.replace("a=mid:1", "a=mid:9")
    offer = read_offer(session + data + video + second + audio)
    assert "a=group:BUNDLE 0 1\r\n" in offer.text
    answer = offer.complete("v=0\r\nm=video 1 X 96\r\na=mid:1\r\nm=audio 1 X 111\r\na=mid:0\r\n")
    lines = [line for line in answer.splitlines() if line.startswith(("m=", "a=mid"))]
    assert lines == [
        "m=application 0 UDP/DTLS/SCTP webrtc-datachannel",
        "a=mid:2",
        "m=video 1 X 96",
        "a=mid:1",
        "m=video 0 UDP/TLS/RTP/SAVPF 98",
        "a=mid:9",
        "m=audio 1 X 111",
        "a=mid:0",
    ]


def test_audio_that_cannot_be_taken_costs_the_audio_alone() -> None:
    offer = read_offer(CHROMIUM.replace("opus/48000/2", "MP4A-LATM/48000/2"))
    assert not offer.has_audio
    assert "m=audio" not in offer.text


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (
            ("VP8/90000", "AV1/90000", "packetization-mode=1", "packetization-mode=0"),
            "video in AV1, H264, VP9, expected",
        ),
        (("VP8/90000", "H265/90000", "=42001f", "=64001f"), "video in H264, H265, VP9, expected VP8 or H264"),
        (("a=sendonly", "a=recvonly"), "sends no video"),
        (("m=video 9", "m=video 0"), "sends no video"),
    ],
)
def test_an_offer_without_video_that_we_take_is_refused_in_words(change: tuple[str, ...], says: str) -> None:
    sdp = CHROMIUM
    for old, new in zip(change[::2], change[1::2], strict=True):
        sdp = sdp.replace(old, new)
    with pytest.raises(OfferRefused, match=says):
        read_offer(sdp)


@pytest.mark.parametrize(
    ("sdp", "says"),
    [
        ("", "no SDP offer"),
        ("hello", "no SDP offer"),
        ("v=0\r\ns=-\r\n", "no SDP offer"),
        ("v=0\r\nm=nonsense\r\n", "'m=nonsense'"),
        (CHROMIUM + "m=audio 9 UDP/TLS/RTP/SAVPF 0\r\n" * MAX_SECTIONS, f"at most {MAX_SECTIONS}"),
        (
            OBS.replace("a=end-of", "a=candidate:1 1 UDP 1 192.0.2.7 9 typ host\r\n" * MAX_CANDIDATES + "a=x"),
            "ICE cand",
        ),
    ],
)
def test_what_is_no_offer_is_named(sdp: str, says: str) -> None:
    with pytest.raises(OfferError, match=says):
        read_offer(sdp)


@settings(max_examples=150, deadline=None)
@given(st.sampled_from([CHROMIUM, FFMPEG, OBS]), st.integers(0, 2**32))
def test_a_damaged_offer_is_taken_or_refused_never_worse(sdp: str, seed: int) -> None:
    rng = random.Random(seed)
    lines = sdp.splitlines()
    for _ in range(rng.randint(1, 6)):
        place = rng.randrange(len(lines))
        cut = rng.randrange(len(lines[place]) + 1)
        lines[place] = rng.choice(
            ["", lines[place][:cut], lines[place] * 3, lines[rng.randrange(len(lines))], "a=fmtp:x"]
        )
    try:
        offer = read_offer("\r\n".join(lines))
    except (OfferError, OfferRefused):
        return
    offer.complete(offer.text)


@given(st.text(max_size=400))
def test_any_text_is_taken_or_refused(text: str) -> None:
    with pytest.raises((OfferError, OfferRefused)):
        read_offer("v=0\nm=video 9 X 1\n" + text)


def test_a_browser_is_told_what_rate_to_begin_with() -> None:
    vp8 = "m=video 1 X 96\r\na=rtpmap:96 VP8/90000\r\na=mid:1\r\n"
    assert "a=rtpmap:96 VP8/90000\r\na=fmtp:96 x-google-start-bitrate=1500\r\na=mid:1\r\n" in suggest_start(vp8)
    h264 = "a=rtpmap:102 H264/90000\r\na=fmtp:102 packetization-mode=1\r\na=mid:1\r\n"
    assert "a=fmtp:102 packetization-mode=1;x-google-start-bitrate=1500\r\n" in suggest_start(h264)
    assert suggest_start("a=rtpmap:8 PCMA/8000\r\n") == "a=rtpmap:8 PCMA/8000\r\n"


def _parts(sdp: str) -> list[str]:
    session, *sections = sdp.split("m=")
    return [session, *(f"m={section}" for section in sections)]
