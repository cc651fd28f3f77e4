"""FFmpeg's own WHIP muxer, as PyAV carries it, in a process of its own: what it publishes comes out of the source."""

import asyncio
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import av
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tests.server.whip.publishing import ENDPOINT, picture, serving, until

pytestmark = [
    pytest.mark.asyncio,
    pytest.mark.net,
    pytest.mark.skipif("whip" not in av.formats_available, reason="this FFmpeg has no WHIP muxer"),
]

PUBLISH = """
import fractions, sys, time, av, numpy
url, certificate, key = sys.argv[1:]
out = av.open(url, "w", format="whip", options={"cert_file": certificate, "key_file": key, "authorization": "secret"})
video = out.add_stream("libx264", rate=30)
video.width, video.height, video.pix_fmt = 320, 180, "yuv420p"
video.options = {"preset": "ultrafast", "tune": "zerolatency", "profile": "baseline", "g": "30", "bf": "0"}
audio = out.add_stream("libopus", rate=48000)
audio.layout = "stereo"
started = time.monotonic()
number = 0
while True:
    frame = av.VideoFrame.from_ndarray(numpy.full((180, 320, 3), 200, numpy.uint8), format="rgb24")
    frame.pts, frame.time_base = number, fractions.Fraction(1, 30)
    for packet in video.encode(frame):
        out.mux(packet)
    sound = av.AudioFrame.from_ndarray(numpy.zeros((1, 3200), numpy.int16), format="s16", layout="stereo")
    sound.sample_rate, sound.pts = 48000, number * 1600
    for packet in audio.encode(sound):
        out.mux(packet)
    number += 1
    time.sleep(max(0, started + number / 30 - time.monotonic()))
"""


def certificate(folder: Path) -> tuple[Path, Path]:
    """On P-256: the one that GnuTLS makes for FFmpeg by itself is on P-224, which no WebRTC stack takes."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "whip")])
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    made = builder.not_valid_before(now).not_valid_after(now + timedelta(days=1)).sign(key, hashes.SHA256())
    encoding, private = serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL
    (folder / "key.pem").write_bytes(key.private_bytes(encoding, private, serialization.NoEncryption()))
    (folder / "certificate.pem").write_bytes(made.public_bytes(encoding))
    return folder / "certificate.pem", folder / "key.pem"


async def test_what_ffmpeg_publishes_comes_out_of_the_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # FFmpeg answers no STUN once it is connected: with checks that matter, aioice would end it after so many intervals.
    monkeypatch.setattr("aioice.ice.CONSENT_INTERVAL", 0.02)
    monkeypatch.setattr("aioice.ice.CONSENT_FAILURES", 1)
    async with serving(manage_token="secret") as server:
        arguments = [str(server.client.make_url(ENDPOINT)), *map(str, certificate(tmp_path))]
        ffmpeg = await asyncio.create_subprocess_exec(sys.executable, "-c", PUBLISH, *arguments)
        try:
            planes, _ = await picture(server.source(), count=5)
            assert abs(int(planes[0, 32, 64]) - 200) < 8
            publisher = server.publishers.of("live")
            assert publisher is not None
            assert (publisher.status().codec, publisher.status().size) == ("H264", (320, 180))
            source = server.source()
            assert source.audio is not None
            await until(lambda: source.audio is not None and source.audio.statistics().put > 0, what="sound")
            # Longer than an unanswered check (0.5 s).
            await picture(source, count=25)
            assert server.publishers.of("live") is publisher
        finally:
            ffmpeg.kill()
            await ffmpeg.wait()
