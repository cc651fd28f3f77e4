"""The viewer's sound as its user meets it: volume, mute, a device that is not there, packets that make no sense."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from client.audio import AudioPlayer, gain_of
from client.sound_device import NoDevice, SoundDevice
from tests.flashes_and_tones import tone

RATE, FRAME = 48_000, 960


@dataclass
class Clock:
    offset_us: int | None = 0


class Loudspeaker:
    """A device that asks when the test says so."""

    delay_s = 0.04

    def __init__(self, fill: Callable[[int], NDArray[np.float32]]) -> None:
        self.fill = fill
        self.closed = False

    def close(self) -> None:
        self.closed = True

    def level(self) -> float:
        """Loudest sample of the last quarter of the next piece, where a change of volume is complete."""
        return float(np.abs(self.fill(1024)[-256:]).max())


def opus(seconds: float) -> list[bytes]:
    encoder = av.CodecContext.create("libopus", "w")
    assert isinstance(encoder, av.AudioCodecContext)
    encoder.format, encoder.layout = av.AudioFormat("s16"), av.AudioLayout("stereo")
    encoder.sample_rate, encoder.time_base, encoder.bit_rate = RATE, Fraction(1, RATE), 64_000
    samples = tone(0, seconds, (0.0,), 1e9)
    packets = []
    for i in range(0, len(samples), FRAME):
        frame = av.AudioFrame.from_ndarray(samples[i : i + FRAME].reshape(1, -1), format="s16", layout="stereo")
        frame.sample_rate = RATE
        packets += [bytes(packet) for packet in encoder.encode(frame)]
    return packets


PACKETS = opus(1.0)


class Now:
    """The clock of the player."""

    def __init__(self) -> None:
        self.s = 1000.0

    def __call__(self) -> float:
        return self.s


async def playing(player: AudioPlayer, now: Now, *, skip: frozenset[int] = frozenset(), sequence: int = 0) -> None:
    """A second of a tone, of which the first half comes in before the time is now."""
    player.begin(Clock())
    player.on_clock(0, 1_000_000_000)
    for number, payload in enumerate(PACKETS):
        if number not in skip:
            now.s = 1000.0 + number * FRAME / RATE + 0.03
            player.on_packet((sequence + number) % 2**16, number * FRAME, payload)
    now.s = 1000.5
    for _ in range(20):
        await asyncio.sleep(0.001)


@pytest.fixture
def now() -> Now:
    return Now()


@pytest.mark.asyncio
async def test_volume_mute_and_the_end(now: Now) -> None:
    devices: list[Loudspeaker] = []

    def open_device(fill: Callable[[int], NDArray[np.float32]]) -> Loudspeaker:
        devices.append(Loudspeaker(fill))
        return devices[0]

    player = AudioPlayer(volume=50, open_device=open_device, clock_s=now)
    assert player.statistics().state == "off"
    player.start()
    assert player.statistics().state == "silent"
    await playing(player, now)
    (speaker,) = devices
    assert speaker.level() == pytest.approx(12_000 / 8, rel=0.1)
    assert player.statistics().state == "playing"
    player.set_volume(1.0)
    assert player.volume == 100
    now.s += 1024 / RATE
    assert speaker.level() == pytest.approx(12_000, rel=0.1)
    player.mute = True
    now.s += 1024 / RATE
    ramp = np.abs(speaker.fill(1024)[:, 0])
    assert ramp[:256].max() > 8000
    assert ramp[-20:].max() < 500, "a step would click"
    now.s += 1024 / RATE
    assert speaker.level() == 0
    assert player.statistics().underruns == 0
    player.end()
    assert not speaker.fill(1024).any()
    await player.stop()
    await player.stop()
    assert speaker.closed
    assert player.statistics().state == "off"


@pytest.mark.parametrize(("volume", "decibel"), [(100, 0), (50, -18.06), (10, -60)])
def test_volume_is_heard_in_equal_steps(volume: int, decibel: float) -> None:
    assert 20 * np.log10(gain_of(volume)) == pytest.approx(decibel, abs=0.01)
    assert gain_of(0) == gain_of(-5) == 0
    assert gain_of(500) == 1


@pytest.mark.asyncio
async def test_without_a_device_it_is_said_once_and_all_else_goes_on(now: Now) -> None:
    said: list[str] = []

    def refuse(_: Callable[[int], NDArray[np.float32]]) -> Loudspeaker:
        raise NoDevice("there is no sound device")

    player = AudioPlayer(on_problem=said.append, open_device=refuse, clock_s=now)
    player.start()
    await playing(player, now)
    await playing(player, now)
    assert said == ["No sound: there is no sound device. The picture goes on"]
    statistics = player.statistics()
    assert (statistics.state, statistics.reason) == ("no device", "there is no sound device")
    assert statistics.packets == 100
    await player.stop()


@pytest.mark.asyncio
async def test_lost_and_senseless_packets_are_counted_over_all_connections(now: Now) -> None:
    player = AudioPlayer(open_device=Loudspeaker, clock_s=now)
    player.start()
    player.on_packet(7, 0, PACKETS[0])
    assert player.statistics().packets == 0, "there is no connection"
    await playing(player, now, skip=frozenset({5, 6, 20}), sequence=65_530)
    for number, rubbish in enumerate((b"\xff\xff\xff", b"\x03", bytes(4000))):
        player.on_packet(44 + number, 0, rubbish)
    player.end()
    await playing(player, now, skip=frozenset({30}))
    statistics = player.statistics()
    assert statistics.lost == 4
    assert 0 < statistics.undecodable <= 3
    assert player.report() is None, "there was no picture to be in sync with"
    await player.stop()


@pytest.mark.asyncio
async def test_the_report_says_how_far_sound_was_from_its_picture(now: Now) -> None:
    devices: list[Loudspeaker] = []

    def open_device(fill: Callable[[int], NDArray[np.float32]]) -> Loudspeaker:
        devices.append(Loudspeaker(fill))
        return devices[0]

    player = AudioPlayer(open_device=open_device, clock_s=now)
    player.start()
    await playing(player, now)
    for _ in range(30):
        player.on_presented(200.0)
    for _ in range(10):
        devices[0].fill(1024)
        now.s += 1024 / RATE
    report = player.report()
    assert report is not None
    assert abs(report.sync_ms.p50) < 1
    assert report.in_sync == 1
    assert report.packets == 50
    assert player.statistics().delay_ms == pytest.approx(200, abs=1)
    await player.stop()


def test_an_sdl_device_asks_for_pieces_and_can_be_closed_while_it_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SDL_AUDIODRIVER", "dummy")
    asked: list[int] = []

    def fill(count: int) -> NDArray[np.float32]:
        asked.append(count)
        # Busy Python on SDL's thread: what closing has to live with.
        sum(range(20_000))
        if len(asked) == 2:
            raise ZeroDivisionError
        return np.full((count, 2), 1e6, np.float32)

    for _ in range(5):
        asked.clear()
        device = SoundDevice(rate=RATE, channels=2, fill=fill)
        while len(asked) < 3:
            pass
        device.close()
        heard = len(asked)
        assert set(asked) == {768}
        assert len(asked) == heard


def test_a_system_without_loudspeakers_is_no_device(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SDL_AUDIODRIVER", "dummy")
    monkeypatch.setattr("pygame._sdl2.audio.get_audio_device_names", lambda _: [])
    with pytest.raises(NoDevice, match="there is no sound device"):
        SoundDevice(rate=RATE, channels=2, fill=lambda count: np.zeros((count, 2), np.float32))
