"""Offers as publishers send them, cut to what matters: candidates, keys and fingerprints are made up."""

_FINGERPRINT = "a=fingerprint:sha-256 " + ":".join(["0C", "EA", "DD", "A2"] * 8)


def _lines(text: str) -> str:
    return "\r\n".join(line.strip() for line in text.strip().splitlines()) + "\r\n"


CHROMIUM = _lines(
    f"""
    v=0
    o=- 4636362963199829391 2 IN IP4 127.0.0.1
    s=-
    t=0 0
    a=group:BUNDLE 0 1 2
    a=extmap-allow-mixed
    a=msid-semantic: WMS 49b5
    m=audio 9 UDP/TLS/RTP/SAVPF 111 63 9 0 8 13 110 126
    c=IN IP4 0.0.0.0
    a=rtcp:9 IN IP4 0.0.0.0
    a=candidate:1932037587 1 udp 2122194687 6b1f4a3e-1f0c-4f0e-8a51-2f5c0d9a7e11.local 49058 typ host generation 0
    a=candidate:2374129991 1 tcp 1518214911 192.0.2.2 9 typ host tcptype active generation 0
    a=ice-ufrag:5MPC
    a=ice-pwd:GlOc1/T2Bah6Eakw9rlx0ROG
    a=ice-options:trickle
    {_FINGERPRINT}
    a=setup:actpass
    a=mid:0
    a=extmap:1 urn:ietf:params:rtp-hdrext:ssrc-audio-level
    a=extmap:4 urn:ietf:params:rtp-hdrext:sdes:mid
    a=sendonly
    a=msid:49b5 161f
    a=rtcp-mux
    a=rtpmap:111 opus/48000/2
    a=rtcp-fb:111 transport-cc
    a=fmtp:111 minptime=10;useinbandfec=1
    a=rtpmap:63 red/48000/2
    a=fmtp:63 111/111
    a=rtpmap:9 G722/8000
    a=rtpmap:0 PCMU/8000
    a=rtpmap:8 PCMA/8000
    a=rtpmap:13 CN/8000
    a=rtpmap:110 telephone-event/48000
    a=rtpmap:126 telephone-event/8000
    a=ssrc:2373732754 cname:vlqj
    m=video 9 UDP/TLS/RTP/SAVPF 98 99 96 97 102 103 104 107
    c=IN IP4 0.0.0.0
    a=rtcp:9 IN IP4 0.0.0.0
    a=ice-ufrag:5MPC
    a=ice-pwd:GlOc1/T2Bah6Eakw9rlx0ROG
    a=ice-options:trickle
    {_FINGERPRINT}
    a=setup:actpass
    a=mid:1
    a=extmap:2 http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time
    a=extmap:4 urn:ietf:params:rtp-hdrext:sdes:mid
    a=sendonly
    a=msid:49b5 6d89
    a=rtcp-mux
    a=rtcp-rsize
    a=rtpmap:98 VP9/90000
    a=fmtp:98 profile-id=0
    a=rtpmap:99 rtx/90000
    a=fmtp:99 apt=98
    a=rtpmap:96 VP8/90000
    a=rtcp-fb:96 goog-remb
    a=rtcp-fb:96 transport-cc
    a=rtcp-fb:96 nack
    a=rtcp-fb:96 nack pli
    a=rtpmap:97 rtx/90000
    a=fmtp:97 apt=96
    a=rtpmap:102 H264/90000
    a=rtcp-fb:102 nack pli
    a=fmtp:102 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42001f
    a=rtpmap:103 rtx/90000
    a=fmtp:103 apt=102
    a=rtpmap:104 H264/90000
    a=fmtp:104 level-asymmetry-allowed=1;packetization-mode=0;profile-level-id=42001f
    a=rtpmap:107 rtx/90000
    a=fmtp:107 apt=104
    a=ssrc-group:FID 1949133271 1666490491
    a=ssrc:1949133271 cname:vlqj
    a=ssrc:1666490491 cname:vlqj
    m=application 9 UDP/DTLS/SCTP webrtc-datachannel
    c=IN IP4 0.0.0.0
    a=ice-ufrag:5MPC
    a=ice-pwd:GlOc1/T2Bah6Eakw9rlx0ROG
    {_FINGERPRINT}
    a=setup:actpass
    a=mid:2
    a=sctp-port:5000
    """
)
"""A browser with VP9 first, a data channel, and mDNS candidates."""

FFMPEG = _lines(
    f"""
    v=0
    o=FFmpeg 4489045141692799359 2 IN IP4 127.0.0.1
    s=FFmpegPublishSession
    t=0 0
    a=group:BUNDLE 0 1
    a=extmap-allow-mixed
    a=msid-semantic: WMS
    m=audio 9 UDP/TLS/RTP/SAVPF 111
    c=IN IP4 0.0.0.0
    a=ice-ufrag:8e8be89f
    a=ice-pwd:b347d39e5c85e69ab8810c9c413bd917
    {_FINGERPRINT}
    a=setup:passive
    a=mid:0
    a=sendonly
    a=msid:FFmpeg audio
    a=rtcp-mux
    a=rtpmap:111 opus/48000/2
    a=ssrc:619770887 cname:FFmpeg
    m=video 9 UDP/TLS/RTP/SAVPF 106 105
    c=IN IP4 0.0.0.0
    a=ice-ufrag:8e8be89f
    a=ice-pwd:b347d39e5c85e69ab8810c9c413bd917
    {_FINGERPRINT}
    a=setup:passive
    a=mid:1
    a=sendonly
    a=msid:FFmpeg video
    a=rtcp-mux
    a=rtcp-rsize
    a=rtpmap:106 H264/90000
    a=fmtp:106 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42001e
    a=rtcp-fb:106 nack
    a=rtpmap:105 rtx/90000
    a=fmtp:105 apt=106
    a=ssrc-group:FID 619770888 619770889
    a=ssrc:619770888 cname:FFmpeg
    """
)
"""FFmpeg 8.1's WHIP muxer."""

OBS = _lines(
    f"""
    v=0
    o=rtc 2713921340 0 IN IP4 127.0.0.1
    s=-
    t=0 0
    a=group:BUNDLE 0 1
    a=group:LS 0 1
    a=msid-semantic:WMS *
    a=ice-options:ice2,trickle
    {_FINGERPRINT}
    m=audio 51482 UDP/TLS/RTP/SAVPF 111
    c=IN IP4 192.0.2.7
    a=mid:0
    a=sendonly
    a=ssrc:1906251113 cname:obs
    a=ssrc:1906251113 msid:obs obs-audio
    a=msid:obs obs-audio
    a=rtcp-mux
    a=rtpmap:111 opus/48000/2
    a=fmtp:111 minptime=10;maxaveragebitrate=96000;stereo=1;sprop-stereo=1;useinbandfec=1
    a=setup:actpass
    a=ice-ufrag:b2Qh
    a=ice-pwd:nL2xqGkq0hQ3mYvYy6cGgA
    a=candidate:1 1 UDP 2122317823 192.0.2.7 51482 typ host
    a=end-of-candidates
    m=video 51482 UDP/TLS/RTP/SAVPF 96
    c=IN IP4 192.0.2.7
    a=mid:1
    a=sendonly
    a=ssrc:1906251114 cname:obs
    a=ssrc:1906251114 msid:obs obs-video
    a=msid:obs obs-video
    a=rtcp-mux
    a=rtpmap:96 H264/90000
    a=rtcp-fb:96 nack
    a=rtcp-fb:96 nack pli
    a=rtcp-fb:96 goog-remb
    a=fmtp:96 profile-level-id=42e01f;packetization-mode=1;level-asymmetry-allowed=1
    a=setup:actpass
    a=ice-ufrag:b2Qh
    a=ice-pwd:nL2xqGkq0hQ3mYvYy6cGgA
    """
)
"""OBS Studio (libdatachannel), in its shape: fingerprint for the session, candidates in the first section only."""
