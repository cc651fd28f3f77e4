"""A viewer that does everything but decode: it connects, reassembles, repairs, reports and acknowledges.

    media -> MediaReceiver -> frames -> "decoded" at once, as far as their states are there -> acks, reports, NACKs

To the server it is like any other viewer that watches well, without what a decoder costs.
"""

import asyncio
import time
from collections import OrderedDict, deque
from collections.abc import Sequence
from dataclasses import dataclass

from client.whep import WhepClient, endpoint_of
from codec.bitstream import VERSION as BITSTREAM_VERSION
from codec.profiles import Profile, open_codec
from latentcast import __version__, control
from latentcast.control import Bye, Config, Error, Hello, Stats
from latentcast.errors import PeerError
from latentcast.statistics import percentile
from transport.reassembly import FrameReady
from transport.receiver import MediaReceiver
from transport.webrtc import Peer
from transport.wire import WIRE_VERSION, FrameStatus

CONNECT_TIMEOUT_S = 15.0
"""ICE and DTLS of many viewers at once on a busy machine."""
MIN_TIMER_S = 0.001
SAY_INTERVAL_S = 1.0
MAX_STATES = 64
"""More than a decoder keeps (codec.state), so that no reference of the server's is ever missing here for that."""
MAX_LATENCIES = 108_000
"""An hour at 30 fps."""
MAX_EARLY = 32
"""A second of frames. When a config takes longer the oldest are dropped, and an intra frame is asked for."""
_NEWER_EPOCHS = 128
_RECENT = 256
_STAGES = ("wait", "encode", "send", "network")


def load_hello() -> Hello:
    """What a viewer of `nano` on this machine says to a server. Takes a second: it loads the codec."""
    profile = Profile()
    arithmetic = open_codec(profile).arithmetic()
    return Hello(
        protocol=control.PROTOCOL_VERSION,
        wire=WIRE_VERSION,
        bitstream=BITSTREAM_VERSION,
        profile=profile.name,
        weights=profile.weights_sha256(),
        fingerprint=arithmetic.fingerprint,
        precision=arithmetic.precision,
        program=f"latentcast {__version__} load",
    )


@dataclass(frozen=True, slots=True)
class Figures:
    """Of one viewer, from its first frame after `restart` to now."""

    frames: int
    fps: float
    bps: float
    """Media received, our headers included."""
    loss: float
    """Share of media packets that did not come in, 0..1."""
    lost_frames: int
    latency_p50_ms: float
    """Captured to received, on the server's clock."""
    latency_p95_ms: float
    clock_error_ms: float
    """Bound on the error of the latencies."""
    rendition: int


class LoadViewer:
    """`start`, let it run, `stop`. All methods belong to the event loop's thread."""

    def __init__(self, url: str, stream: str, hello: Hello, *, token: str | None = None) -> None:
        """Raises UserError for an address that is none."""
        self.config: Config | None = None
        self.stats: Stats | None = None
        self.failure: str | None = None
        """Why it ended, if it did by itself."""
        self._hello = hello
        self._whep = WhepClient(endpoint_of(url, stream), token=token)
        self._transport = MediaReceiver()
        self._peer = Peer(
            on_open=self._on_open, on_closed=self._fail, on_control=self._on_control, on_media=self._on_media
        )
        self._session: str | None = None
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._saying: asyncio.Task[None] | None = None
        self._ready = asyncio.Event()
        self._open = self._ended = False
        self._states: OrderedDict[int, bool] = OrderedDict()
        """Frames of this epoch that a decoder would have a state of, and whether it would be intact."""
        self._early: deque[FrameReady] = deque(maxlen=MAX_EARLY)
        """Frames of a config that is still on its way, on the reliable channel."""
        self._recent: deque[tuple[float, tuple[float, ...]]] = deque(maxlen=_RECENT)
        """(received, milliseconds of each of _STAGES) of the newest frames."""
        self._presented = self._lost = 0
        self.restart()

    async def start(self) -> None:
        """Connect. Raises PeerError or UserError when the server does not take it."""
        answer = await self._whep.post(await self._peer.offer())
        self._session = answer.session_url
        try:
            await self._peer.accept(answer.sdp)
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                await self._ready.wait()
        except ValueError as error:
            raise PeerError(f"the server's answer cannot be used: {error}") from error
        except TimeoutError as error:
            raise PeerError(f"no connection came up within {CONNECT_TIMEOUT_S:.0f} s") from error
        if self.failure is not None:
            raise PeerError(self.failure)
        self._saying = self._loop.create_task(self._say_often(), name="load viewer")

    async def stop(self) -> None:
        """Leave. Safe to call after a failed `start`."""
        self._ended = True
        if self._timer is not None:
            self._timer.cancel()
        if self._saying is not None:
            self._saying.cancel()
            await asyncio.wait([self._saying])
        self._peer.send_control(Bye().model_dump_json())
        if self._session is not None:
            await self._whep.delete(self._session)
        await self._peer.close()
        await self._whep.close()

    def restart(self) -> None:
        """Count from now."""
        self._since = time.monotonic()
        self._from = (self._transport.packets, self._transport.packets_expected, self._transport.bytes, self._lost)
        self._latencies: deque[float] = deque(maxlen=MAX_LATENCIES)
        self._frames = 0

    def figures(self) -> Figures:
        """Since `restart`."""
        seconds = max(1e-3, time.monotonic() - self._since)
        packets, expected, size, lost = self._from
        due = self._transport.packets_expected - expected
        error_us = self._transport.clock.error_us
        ordered = sorted(self._latencies)
        return Figures(
            frames=self._frames,
            fps=self._frames / seconds,
            bps=8 * (self._transport.bytes - size) / seconds,
            loss=max(0.0, 1 - (self._transport.packets - packets) / due) if due > 0 else 0.0,
            lost_frames=self._lost - lost,
            latency_p50_ms=percentile(ordered, 0.5),
            latency_p95_ms=percentile(ordered, 0.95),
            clock_error_ms=0.0 if error_us is None else error_us / 1e3,
            rendition=0 if self.stats is None else self.stats.rendition,
        )

    # -- from the server

    def _on_open(self) -> None:
        self._open = True
        self._peer.send_control(self._hello.model_dump_json())
        self._poll()

    def _on_control(self, text: str) -> None:
        message = control.parse_server_message(text)
        if isinstance(message, Config):
            self.config = message
            # What was coded for another size is of no use.
            self._states.clear()
            self._transport.waiting_for_intra = True
            early = [frame for frame in self._early if frame.epoch == message.epoch]
            self._early.clear()
            for frame in early:
                self._take(frame)
            self._ready.set()
        elif isinstance(message, Stats):
            self.stats = message
        elif isinstance(message, Error):
            self._fail(message.message)

    def _on_media(self, data: bytes) -> None:
        self._transport.on_media(data, time.monotonic(), time.monotonic_ns() // 1000)
        self._poll()

    def _fail(self, reason: str) -> None:
        if not self._ended:
            self._ended = True
            self.failure = reason
            self._ready.set()

    # -- frames

    def _poll(self) -> None:
        now = time.monotonic()
        for event in self._transport.poll(now):
            if isinstance(event, FrameReady):
                self._take(event)
            else:
                self._lost += 1
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._open and not self._ended:
            for message in self._transport.feedback(time.monotonic(), time.monotonic_ns() // 1000):
                self._peer.send_feedback(message)
            wait_s = self._transport.next_time(now) - time.monotonic()
            self._timer = self._loop.call_later(max(MIN_TIMER_S, wait_s), self._poll)

    def _take(self, frame: FrameReady) -> None:
        """What a decoder would say of it, at once."""
        if self.config is None:
            known = None
        elif frame.epoch != self.config.epoch:
            if (frame.epoch - self.config.epoch) % 256 < _NEWER_EPOCHS:
                self._early.append(frame)
                return
            known = None
        else:
            known = True if frame.reference_id is None else self._states.get(frame.reference_id)
        if known is None:
            self._lost += 1
            self._transport.on_lost(frame.frame_id)
            return
        intact = known and frame.intact
        self._transport.waiting_for_intra = False
        self._transport.on_decoded(frame.frame_id, FrameStatus.INTACT if intact else FrameStatus.CONCEALED)
        self._states[frame.frame_id] = intact
        if len(self._states) > MAX_STATES:
            self._states.popitem(last=False)
        self._frames += 1
        self._presented += 1
        self._measure(frame)

    def _measure(self, frame: FrameReady) -> None:
        offset_us = self._transport.clock.offset_us
        if offset_us is None:
            return
        encoded_us = frame.captured_us + frame.wait_us + frame.encode_us
        network_us = frame.received * 1e6 + offset_us - frame.sent_us
        stages = (frame.wait_us / 1e3, frame.encode_us / 1e3, (frame.sent_us - encoded_us) / 1e3, network_us / 1e3)
        self._latencies.append(sum(stages))
        self._recent.append((frame.received, stages))

    async def _say_often(self) -> None:
        """Tell the server once a second what a viewer tells: for its dashboard."""
        while not self._ended:
            await asyncio.sleep(SAY_INTERVAL_S)
            self._peer.send_control(self._seen(time.monotonic() - SAY_INTERVAL_S).model_dump_json())

    def _seen(self, since: float) -> control.Viewer:
        recent = [stages for received, stages in self._recent if received > since]
        totals = sorted(map(sum, recent))
        stages = {name: _median([of[i] for of in recent]) for i, name in enumerate(_STAGES)} if recent else {}
        clock = self._transport.clock
        return control.Viewer(
            fps=float(len(recent)),
            presented=self._presented,
            lost=self._lost,
            latency_p50_ms=percentile(totals, 0.5) if totals else None,
            latency_p95_ms=percentile(totals, 0.95) if totals else None,
            stages_ms=stages,
            clock_error_ms=None if clock.error_us is None else clock.error_us / 1e3,
            rtt_ms=None if clock.rtt_us is None else clock.rtt_us / 1e3,
        )


def _median(values: Sequence[float]) -> float:
    return round(percentile(sorted(values), 0.5), 3)


async def start_all(viewers: Sequence[LoadViewer]) -> None:
    """Start them one after the other, as people come. Raises what `LoadViewer.start` raises."""
    for viewer in viewers:
        await viewer.start()


async def stop_all(viewers: Sequence[LoadViewer]) -> None:
    """Stop them together."""
    await asyncio.gather(*(viewer.stop() for viewer in viewers))
