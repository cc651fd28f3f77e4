"""One publisher: its connection, and the way of its media.

    created -> answered -> connected -> live (first picture) -> closed

It closes itself: when set-up takes too long, when nothing is heard any more, when the connection fails.
"""

import asyncio
import logging
import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import av
from aiortc import RTCConfiguration, RTCIceServer, RTCPeerConnection, RTCSessionDescription
from aiortc.sdp import candidate_from_sdp

from server.whip.assembler import CodedFrame
from server.whip.decoder import VideoDecoder
from server.whip.fragment import Fragment
from server.whip.offer import Offer, OfferError, suggest_start
from server.whip.path import PING_INTERVAL_S, round_trip_s, trust_media
from server.whip.receiver import AudioReceiver, VideoReceiver

log = logging.getLogger(__name__)

SETUP_TIMEOUT_S = 10.0
"""From the answer to the first picture: ICE and DTLS take a second on a bad path, a key frame another."""
SILENCE_TIMEOUT_S = 5.0
"""Browsers send a report every second even of a picture that stands still; this long without anything, it is gone."""
QUIET_S = 2.0
"""Not heard of for so long, it may be replaced: its user has most likely reloaded the page."""
TICK_S = 0.25
MAX_CANDIDATES_TRICKLED = 64
"""Candidates added by PATCH during a session, all together."""


class Sink(Protocol):
    """Where a publisher's media goes."""

    def put_picture(self, picture: av.VideoFrame, captured_us: int) -> None:
        """A decoded picture; called on the decoder's thread. The time is on the server's monotonic clock."""
        ...

    def put_audio(self, opus: bytes, timestamp: int, captured_us: int) -> None:
        """An Opus packet, its RTP timestamp (48 kHz) and when it was recorded; called on the event loop."""
        ...


@dataclass(frozen=True, slots=True)
class PublisherStatus:
    """What the dashboard shows of a publisher."""

    state: str
    """connecting, live or closed."""
    codec: str
    size: tuple[int, int] | None
    """What it sends now, before it is fitted into the stream."""
    packets: int
    bytes: int
    decoded: int
    dropped: int
    """Frames lost on the way, not decodable, or not decoded for lack of time."""
    capture_clock: str
    """`sender` when capture times are the publisher's own, `arrival` when it sends no reports."""
    round_trip_ms: float | None
    """The shortest of late; capture times are right to half of it."""


class Publisher:
    """All methods belong to the event loop's thread. on_closed(publisher, reason) is called once."""

    def __init__(
        self,
        offer: Offer,
        *,
        ice_servers: Sequence[str],
        sink: Sink,
        on_closed: Callable[["Publisher", str], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.id = secrets.token_urlsafe(16)
        self.etag = f'"{secrets.token_hex(8)}"'
        """Of the ICE session (RFC 9725, section 4.3.1)."""
        self.ufrag = offer.ufrag
        self._offer = offer
        self._sink = sink
        self._on_closed = on_closed
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        # An explicit list, also an empty one: aiortc's default is a public STUN server.
        servers = [RTCIceServer(urls=url) for url in ice_servers]
        self._pc = RTCPeerConnection(RTCConfiguration(iceServers=servers))
        self._pc.on("connectionstatechange", self._on_state)
        self._pc.on("iceconnectionstatechange", self._on_path)
        self._created = clock()
        self._video: VideoReceiver | None = None
        self._audio: AudioReceiver | None = None
        self._decoder: VideoDecoder | None = None
        self._mids: list[str] = []
        self._trickled = 0
        self._tasks: list[asyncio.Task[None]] = []
        self._closing: asyncio.Task[None] | None = None
        self._reason = "the publisher left"
        self.dismissed = False
        """It was sent away on purpose: it shall not come back by itself."""

    async def answer(self) -> str:
        """The SDP answer, with all candidates. Raises OfferError for an offer that cannot be used after all."""
        try:
            await self._pc.setRemoteDescription(RTCSessionDescription(sdp=self._offer.text, type="offer"))
            self._take_tracks()
            await self._pc.setLocalDescription(await self._pc.createAnswer())
        except Exception as error:
            # aiortc raises whatever its parser stumbles over: ValueError, KeyError, IndexError, AssertionError.
            raise OfferError(f"the SDP offer cannot be used ({error!r})") from error
        if self._closing is not None:
            raise OfferError("the publisher was closed while its offer was answered")
        self._tasks = [
            self._loop.create_task(self._tick(), name=f"publisher {self.id[:6]}"),
            self._loop.create_task(self._ping(), name=f"round trip {self.id[:6]}"),
        ]
        return self._offer.complete(suggest_start(self._pc.localDescription.sdp))

    async def trickle(self, fragment: Fragment) -> None:
        """Take candidates that came later. Raises OfferError for one too many or one that makes no sense."""
        for mid, text in fragment.candidates:
            self._trickled += 1
            if self._trickled > MAX_CANDIDATES_TRICKLED:
                raise OfferError(f"more than {MAX_CANDIDATES_TRICKLED} candidates were sent, expected fewer")
            try:
                candidate = candidate_from_sdp(text)
                candidate.sdpMid = mid if mid in self._mids else self._mids[0]
                await self._pc.addIceCandidate(candidate)
            except (ValueError, AssertionError, IndexError) as error:
                raise OfferError(f"the candidate {text[:80]!r} cannot be used ({error!r})") from error
        if fragment.complete:
            await self._pc.addIceCandidate(None)

    @property
    def live(self) -> bool:
        """Its first picture has come."""
        return self._closing is None and self._decoder is not None and self._decoder.decoded > 0

    @property
    def quiet_s(self) -> float:
        """Seconds since anything was heard of it."""
        return self._clock() - max(self._created, self._heard_s)

    def status(self) -> PublisherStatus:
        """What is known of it now."""
        video, decoder = self._video, self._decoder
        dropped = (decoder.failed + decoder.dropped if decoder else 0) + (video.assembler.dropped if video else 0)
        return PublisherStatus(
            state="closed" if self._closing else "live" if self.live else "connecting",
            codec=self._offer.video_codec,
            size=decoder.size if decoder else None,
            packets=video.packets if video else 0,
            bytes=video.bytes if video else 0,
            decoded=decoder.decoded if decoder else 0,
            dropped=dropped,
            capture_clock="sender" if video and video.clock.known else "arrival",
            round_trip_ms=video.clock.round_trip_s * 1000 if video and video.clock.round_trip_s else None,
        )

    async def close(self, reason: str = "the publisher left") -> None:
        """End the session. Safe to call at any time; the first call does it, later ones wait for it."""
        self.close_soon(reason)
        assert self._closing is not None
        await asyncio.shield(self._closing)

    def dismiss(self, reason: str) -> None:
        """End the session because somebody wants it, which its page tells its user."""
        self.dismissed = self._closing is None
        self.close_soon(reason)

    # -- inside

    @property
    def _heard_s(self) -> float:
        return max(
            self._video.heard_s if self._video else 0.0,
            self._audio.heard_s if self._audio else 0.0,
        )

    def _take_tracks(self) -> None:
        for transceiver in self._pc.getTransceivers():
            if transceiver.kind == "video" and self._video is None:
                self._video = VideoReceiver(
                    transceiver.receiver, codec=self._offer.video_codec, on_frame=self._on_frame
                )
            elif transceiver.kind == "audio" and self._audio is None:
                self._audio = AudioReceiver(transceiver.receiver, on_packet=self._on_packet)
            self._mids.append(transceiver.mid or "")
        assert self._video is not None

    def _on_frame(self, frame: CodedFrame, captured_s: float) -> None:
        if self._closing is not None or self._video is None:
            return
        if self._decoder is None:
            self._decoder = VideoDecoder(
                self._offer.video_codec, on_picture=self._on_picture, on_trouble=self._on_trouble
            )
        if not self._decoder.put(frame, captured_s):
            self._video.assembler.lost()

    def _on_picture(self, picture: av.VideoFrame, captured_s: float) -> None:
        self._sink.put_picture(picture, round(captured_s * 1e6))

    def _on_trouble(self) -> None:
        """On the decoder's thread, which may outlive the loop by a frame at shutdown."""
        if self._video is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._video.assembler.lost)

    def _on_packet(self, opus: bytes, timestamp: int, arrived_s: float) -> None:
        if self._closing is None and self._audio is not None:
            recorded_s = self._audio.clock.captured_s(timestamp, arrived_s=arrived_s)
            self._sink.put_audio(opus, timestamp, round(recorded_s * 1e6))

    def _on_state(self) -> None:
        state = self._pc.connectionState
        log.debug("publisher %s: connection state %s", self.id[:6], state)
        if state == "failed":
            self.close_soon("no network path to the publisher was found, or it was lost")
        elif state == "closed":
            self.close_soon("the publisher closed the connection")

    def _on_path(self) -> None:
        if self._pc.iceConnectionState == "completed":
            trust_media(self._pc)

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(TICK_S)
            now = self._clock()
            if not self.live and now - self._created > SETUP_TIMEOUT_S:
                what = "no picture could be decoded" if self._heard_s else "no media came"
                self.close_soon(f"{what} from the publisher within {SETUP_TIMEOUT_S:.0f} s")
            elif self.live and self.quiet_s > SILENCE_TIMEOUT_S:
                self.close_soon(f"nothing was heard from the publisher for {SILENCE_TIMEOUT_S:.0f} s")

    async def _ping(self) -> None:
        while True:
            seconds = await round_trip_s(self._pc)
            if seconds is not None:
                for media in (self._video, self._audio):
                    if media is not None:
                        media.clock.round_trip(seconds)
            # The first one as soon as there is a path, so that the first report finds it known. FFmpeg never answers.
            known = self._video is not None and self._video.clock.round_trip_s is not None
            begins = not known and self._clock() - self._created < SETUP_TIMEOUT_S
            await asyncio.sleep(TICK_S / 5 if begins else PING_INTERVAL_S)

    def close_soon(self, reason: str) -> None:
        """End the session, without waiting for it."""
        if self._closing is None:
            log.info("publisher %s: %s", self.id[:6], reason)
            self._reason = reason
            self._closing = self._loop.create_task(self._close(), name=f"close publisher {self.id[:6]}")

    async def _close(self) -> None:
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        self._on_closed(self, self._reason)
        await self._pc.close()
        if self._decoder is not None:
            await self._loop.run_in_executor(None, self._decoder.stop)
