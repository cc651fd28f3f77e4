"""The viewer's sound: Opus packets in, loudspeaker out, volume and mute in between.

    on_packet ──▶ Opus decoder ──▶ Playout ──▶ volume ──▶ SoundDevice (opened when the first sound comes)
    on_clock, on_presented ──────────▲

One player serves all connections of a viewer: the volume outlives a reconnect. Sound never holds pictures up; where
no device is to be had, all but the loudspeaker goes on.
"""

import asyncio
import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol

import av
import numpy as np
from numpy.typing import NDArray

from client.playout import IN_SYNC_EARLY_MS, IN_SYNC_LATE_MS, NOTHING_PLAYED, Playout
from client.sound_buffer import CHANNELS, SAMPLE_RATE
from client.sound_device import NoDevice, SoundDevice
from latentcast.config import ViewSettings
from latentcast.report import Sound
from latentcast.statistics import percentiles

log = logging.getLogger(__name__)

MAX_VOLUME = 100

State = Literal["off", "silent", "playing", "no device"]
"""`off`: before `start` and after `stop`. `silent`: nothing to play has come yet."""


class Clock(Protocol):
    """What is needed of `transport.clock.ClockSync`."""

    @property
    def offset_us(self) -> int | None:
        """Server clock minus ours."""
        ...


class Device(Protocol):
    """What is needed of `SoundDevice`."""

    delay_s: float

    def close(self) -> None:
        """Release it."""
        ...


OpenDevice = Callable[[Callable[[int], NDArray[np.float32]]], Device]
"""open(fill): may block for a moment, raises NoDevice."""


@dataclass(frozen=True, slots=True)
class AudioStatistics:
    """Since `start`, over all connections."""

    state: State
    reason: str | None
    """Why there is no device, for the user."""
    mute: bool
    volume: int
    """0..100."""
    packets: int
    lost: int
    """Packets that did not come in."""
    late: int
    """Packets that came after their time."""
    undecodable: int
    underruns: int
    """Holes in what was played."""
    concealed_ms: float
    """How long they were together."""
    jumps: int
    """Times that sound was moved by more than can be stretched away."""
    delay_ms: float | None
    """Capture to loudspeaker, now."""
    sync_ms: tuple[float, ...]
    """How much later than its picture sound was heard, for each piece of 16 ms; negative: earlier."""


def gain_of(volume: int) -> float:
    """Factor of a volume of 0..100: its cube, so that equal steps sound equal (50 is -18 dB, 10 is -60 dB)."""
    return float((min(MAX_VOLUME, max(0, volume)) / MAX_VOLUME) ** 3)


def open_device(fill: Callable[[int], NDArray[np.float32]]) -> Device:
    """The system's default device. Raises NoDevice."""
    return SoundDevice(rate=SAMPLE_RATE, channels=CHANNELS, fill=fill)


class AudioPlayer:
    """`start` and `stop`, `begin` and `end` of a connection and what it receives belong to the event loop's thread;
    `mute`, `volume`, `statistics()` and `on_presented` may be used on any.

    on_problem(sentence) says, once, why nothing is heard. on_samples(samples, captured_us) gets what was decoded, for
    recordings: int16 (n, 2) of 48 kHz, the first of them captured at that time of the server's clock; in the order in
    which packets come, loss not repaired. open_device: None plays nothing.
    """

    def __init__(
        self,
        *,
        volume: int = MAX_VOLUME,
        mute: bool = False,
        on_problem: Callable[[str], None] = lambda _: None,
        on_samples: Callable[[NDArray[np.int16], int], None] | None = None,
        open_device: OpenDevice | None = open_device,
        clock_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._now_s = clock_s
        self._lock = threading.Lock()
        self._volume, self._mute = volume, mute
        self._gain = 0.0
        """Of the sample that was played last."""
        self._on_problem = on_problem
        self._on_samples = on_samples
        self._reference: tuple[int, int] | None = None
        """RTP time stamp and capture time that the server put together last."""
        self._open_device = open_device
        self._device: Device | None = None
        self._opening: asyncio.Task[None] | None = None
        self._reason: str | None = None
        self._running = False
        self._playout: Playout | None = None
        self._clock: Clock | None = None
        self._decoder: av.AudioCodecContext | None = None
        self._done = NOTHING_PLAYED
        """By connections that have ended."""
        self._first_sequence: int | None = None
        self._newest_sequence = 0
        self._expected = self._undecodable = 0

    # -- the user's side

    @property
    def mute(self) -> bool:
        return self._mute

    @mute.setter
    def mute(self, mute: bool) -> None:
        self._mute = mute

    @property
    def volume(self) -> int:
        """0..100, as it is heard: half of it is half as loud, about."""
        return self._volume

    @volume.setter
    def volume(self, volume: int) -> None:
        self._volume = min(MAX_VOLUME, max(0, volume))

    def set_volume(self, volume: float) -> None:
        """The same as a share, 0..1."""
        self.volume = round(MAX_VOLUME * volume)

    def statistics(self) -> AudioStatistics:
        with self._lock:
            played = self._done if self._playout is None else self._done.plus(self._playout.statistics())
            packets = played.packets + self._undecodable
            return AudioStatistics(
                state=self._state(),
                reason=self._reason,
                mute=self._mute,
                volume=self._volume,
                packets=packets,
                lost=max(0, self._expected - packets),
                late=played.late,
                undecodable=self._undecodable,
                underruns=played.underruns,
                concealed_ms=played.concealed_ms,
                jumps=played.jumps,
                delay_ms=played.delay_ms,
                sync_ms=played.sync_ms,
            )

    def report(self) -> Sound | None:
        """The figures for `report.json`; None when nothing was heard together with a picture."""
        measured = self.statistics()
        if not measured.sync_ms:
            return None
        in_sync = sum(-IN_SYNC_EARLY_MS <= ms <= IN_SYNC_LATE_MS for ms in measured.sync_ms)
        return Sound(
            sync_ms=percentiles(measured.sync_ms),
            in_sync=round(in_sync / len(measured.sync_ms), 4),
            packets=measured.packets,
            missing=measured.lost,
            underruns=measured.underruns,
            concealed_ms=round(measured.concealed_ms, 1),
            jumps=measured.jumps,
        )

    # -- life

    def start(self) -> None:
        """Play from now on what comes."""
        self._running = True

    async def stop(self) -> None:
        """Fall silent and release the device. Safe to call twice."""
        self._running = False
        self.end()
        if self._opening is not None:
            await asyncio.wait([self._opening])
            self._opening = None
        device, self._device = self._device, None
        if device is not None:
            await asyncio.get_running_loop().run_in_executor(None, device.close)

    def begin(self, clock: Clock) -> None:
        """A new connection, whose server's clock `clock` knows."""
        self.end()
        with self._lock:
            self._playout, self._clock = Playout(), clock
            self._decoder = _decoder()
            self._first_sequence = self._reference = None

    def end(self) -> None:
        """The connection is over."""
        with self._lock:
            if self._playout is not None:
                self._done = self._done.plus(self._playout.statistics())
            self._playout = self._clock = self._decoder = None

    # -- the connection's side

    def on_packet(self, sequence: int, rtp: int, payload: bytes) -> None:
        """An Opus packet of the track, of any order."""
        clock, decoder = self._clock, self._decoder
        if not self._running or clock is None or decoder is None:
            return
        self._count(sequence)
        try:
            samples = [
                frame.to_ndarray().reshape(-1, CHANNELS).astype(np.int16, copy=False)
                for frame in decoder.decode(av.Packet(payload))
            ]
        except (av.FFmpegError, ValueError):
            self._undecodable += 1
            return
        if not samples:
            self._undecodable += 1
            return
        sound = np.concatenate(samples)
        with self._lock:
            if self._playout is not None:
                self._playout.on_sound(sequence, rtp, sound, now_s=self._now_s(), offset_us=clock.offset_us)
        if self._on_samples is not None and self._reference is not None:
            at, captured_us = self._reference
            ahead = (rtp - at + 2**31) % 2**32 - 2**31
            self._on_samples(sound, captured_us + ahead * 1_000_000 // SAMPLE_RATE)
        if self._open_device is not None and self._device is None and self._opening is None and self._reason is None:
            self._opening = asyncio.get_running_loop().create_task(self._open(), name="sound device")

    def on_clock(self, rtp: int, captured_us: int) -> None:
        """The server's `audio_clock`."""
        self._reference = rtp, captured_us
        with self._lock:
            if self._playout is not None:
                self._playout.on_clock(rtp, captured_us)

    def on_presented(self, latency_ms: float) -> None:
        """A picture was presented so long after its capture. Any thread."""
        with self._lock:
            if self._playout is not None:
                self._playout.on_picture(latency_ms / 1e3)

    # -- the device's side

    def _fill(self, count: int) -> NDArray[np.float32]:
        """The next piece, on the device's thread."""
        with self._lock:
            playout, clock, device = self._playout, self._clock, self._device
            if playout is None or clock is None or device is None:
                return np.zeros((count, CHANNELS), np.float32)
            out = playout.pull(count, now_s=self._now_s(), offset_us=clock.offset_us, device_s=device.delay_s)
            # A step of the volume would click: it is spread over the piece.
            before, self._gain = self._gain, 0.0 if self._mute else gain_of(self._volume)
            out *= np.linspace(before, self._gain, count, dtype=np.float32)[:, None]
            return out

    async def _open(self) -> None:
        assert self._open_device is not None
        try:
            device = await asyncio.get_running_loop().run_in_executor(None, self._open_device, self._fill)
        except NoDevice as error:
            self._reason = str(error)
            self._on_problem(f"No sound: {error}. The picture goes on")
            return
        self._device = device

    def _state(self) -> State:
        if not self._running:
            return "off"
        if self._reason is not None:
            return "no device"
        playing = self._playout is not None and self._playout.delay_s is not None
        return "playing" if playing and self._device is not None else "silent"

    def _count(self, sequence: int) -> None:
        """How many packets there must have been."""
        if self._first_sequence is None:
            self._first_sequence = self._newest_sequence = sequence
            self._expected += 1
            return
        ahead = (sequence - self._newest_sequence + 2**15) % 2**16 - 2**15
        if ahead > 0:
            self._newest_sequence = sequence
            self._expected += ahead


def player_for(
    settings: ViewSettings,
    *,
    on_problem: Callable[[str], None],
    on_samples: Callable[[NDArray[np.int16], int], None] | None,
) -> AudioPlayer | None:
    """What plays the sound of a viewer with these settings: nothing headless, unless somebody takes the samples."""
    if not settings.audio or (settings.headless and on_samples is None):
        return None
    return AudioPlayer(
        volume=settings.volume,
        on_problem=on_problem,
        on_samples=on_samples,
        open_device=None if settings.headless else open_device,
    )


def _decoder() -> av.AudioCodecContext:
    codec = av.CodecContext.create("libopus", "r")
    assert isinstance(codec, av.AudioCodecContext)
    codec.format = av.AudioFormat("s16")
    codec.layout = "stereo"
    codec.sample_rate = SAMPLE_RATE
    return codec
