"""Sound and picture come out together, in simulated time: jitter, drift, loops, stalls, loss."""

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

import numpy as np
import pytest
from numpy.typing import NDArray

from client.playout import IN_SYNC_EARLY_MS, IN_SYNC_LATE_MS, MAX_STRETCH, Playout, PlayoutStatistics

RATE, FRAME, PIECE = 48_000, 960, 1024
DEVICE_S = 2 * PIECE / RATE
OFFSET_US = 7_000_000_000
"""Server clock minus viewer clock."""


@dataclass
class Scene:
    """A server, a network, pictures and a sound device, all made of numbers."""

    transit_s: Callable[[float], float] = lambda _: 0.03
    """Network delay of a packet, by the time it was captured."""
    lost: Callable[[float], bool] = lambda _: False
    picture_s: Callable[[float], float] = lambda _: 0.12
    """Latency of a picture presented at that time."""
    source_ppm: float = 0.0
    """How much faster than the server's clock sound is captured."""
    device_ppm: float = 0.0
    """How much faster than our clock the device plays."""
    paused: Callable[[float], bool] = lambda _: False
    first_rtp: int = 2**32 - 100_000
    """Wraps after two seconds."""
    heard: list[tuple[float, float]] = field(default_factory=list)
    """(when, capture to loudspeaker) of every piece that is not silent."""

    def run(self, seconds: float) -> PlayoutStatistics:
        playout = Playout()
        events: list[tuple[float, int, Callable[[], None]]] = []
        frame_s = FRAME / RATE / (1 + self.source_ppm * 1e-6)
        sequence = 65_500
        for i in range(int(seconds / frame_s)):
            captured_s = i * frame_s
            if self.paused(captured_s):
                continue
            sequence = (sequence + 1) % 2**16
            rtp = (self.first_rtp + i * FRAME) % 2**32
            if not self.lost(captured_s):
                arrived_s = captured_s + FRAME / RATE + self.transit_s(captured_s)
                events.append((arrived_s, len(events), self._sound(playout, sequence, rtp, captured_s, arrived_s)))
            if i % 50 == 0:
                events.append((captured_s + 0.03, len(events), self._clock(playout, rtp, captured_s)))
        for i in range(int(seconds * 30)):
            events.append((i / 30, len(events), partial(playout.on_picture, self.picture_s(i / 30))))
        for i in range(int(seconds * RATE / PIECE)):
            now_s = i * PIECE / RATE / (1 + self.device_ppm * 1e-6)
            events.append((now_s, len(events), self._piece(playout, now_s)))
        for _, _, happen in sorted(events, key=lambda event: event[:2]):
            happen()
        return playout.statistics()

    def _sound(
        self, playout: Playout, sequence: int, rtp: int, captured_s: float, arrived_s: float
    ) -> Callable[[], None]:
        # Each sample says when it was captured, in milliseconds: one can hear the delay.
        t = captured_s + np.arange(FRAME) / RATE
        samples = np.stack([t * 1000, np.ones(FRAME)], axis=1).astype(np.int16)
        return lambda: playout.on_sound(sequence, rtp, samples, now_s=arrived_s, offset_us=OFFSET_US)

    def _clock(self, playout: Playout, rtp: int, captured_s: float) -> Callable[[], None]:
        return lambda: playout.on_clock(rtp, round(captured_s * 1e6) + OFFSET_US)

    def _piece(self, playout: Playout, now_s: float) -> Callable[[], None]:
        def pull() -> None:
            out = playout.pull(PIECE, now_s=now_s, offset_us=OFFSET_US, device_s=DEVICE_S)
            assert out.shape == (PIECE, 2)
            if out[0, 1] == 1 and out[0, 0] > 0:
                self.heard.append((now_s + DEVICE_S, now_s + DEVICE_S - out[0, 0] / 1000))

        return pull

    def delays(self, since_s: float, until_s: float = 1e9) -> NDArray[np.float64]:
        return np.array([delay for when, delay in self.heard if since_s <= when < until_s])


def test_sound_has_the_delay_of_the_pictures() -> None:
    scene = Scene()
    statistics = scene.run(20)
    assert np.abs(scene.delays(1) - 0.12).max() < 0.006
    assert statistics.underruns == statistics.jumps == statistics.late == 0
    assert statistics.packets == 1000
    assert max(abs(ms) for ms in statistics.sync_ms) < 6


def test_where_its_own_way_is_longer_it_comes_late_and_whole() -> None:
    scene = Scene(picture_s=lambda _: 0.04)
    statistics = scene.run(20)
    needed_s = (FRAME + PIECE) / RATE + 0.03 + DEVICE_S
    assert np.abs(scene.delays(1) - needed_s).max() < 0.012
    assert statistics.underruns == 0
    assert max(statistics.sync_ms) < IN_SYNC_LATE_MS


@pytest.mark.parametrize("ppm", [-100, 100])
def test_a_source_or_a_device_that_is_too_fast_or_too_slow_is_followed(ppm: int) -> None:
    scene = Scene(source_ppm=ppm, device_ppm=-ppm)
    statistics = scene.run(60)
    assert np.abs(scene.delays(2) - 0.12).max() < 0.008
    assert statistics.underruns == statistics.jumps == 0


def test_a_device_that_is_four_percent_off_stays_in_sync_by_jumps() -> None:
    scene = Scene(device_ppm=-40_000)
    statistics = scene.run(20)
    assert min(statistics.sync_ms) > -IN_SYNC_EARLY_MS
    assert max(statistics.sync_ms) < IN_SYNC_LATE_MS / 2
    assert statistics.jumps > 5
    assert statistics.underruns == 0


def test_jitter_of_the_network_raises_the_delay_just_as_far_as_it_must() -> None:
    rng = random.Random(1)
    scene = Scene(picture_s=lambda _: 0.12, transit_s=lambda _: 0.03 + min(0.15, rng.expovariate(1 / 0.015)))
    statistics = scene.run(60)
    # One packet in five hundred may come too late; it is as if it were lost.
    assert 0 < statistics.underruns <= 20
    assert statistics.late <= 24
    assert 0.15 < np.median(scene.delays(10)) < 0.25


def test_pieces_that_are_asked_for_in_pairs_are_no_error() -> None:
    scene = Scene()
    plain = scene._piece

    def in_pairs(playout: Playout, now_s: float) -> Callable[[], None]:
        step_s = PIECE / RATE
        return plain(playout, now_s // (2 * step_s) * 2 * step_s)

    scene._piece = in_pairs  # type: ignore[method-assign]
    statistics = scene.run(20)
    assert statistics.jumps == statistics.underruns == 0


def test_pictures_that_become_slower_take_sound_along() -> None:
    scene = Scene(picture_s=lambda t: 0.12 if t < 10 else 0.35)
    statistics = scene.run(20)
    assert np.abs(scene.delays(1, 10) - 0.12).max() < 0.006
    assert np.abs(scene.delays(13) - 0.35).max() < 0.012
    assert statistics.jumps == 1
    assert statistics.underruns == 0


def test_a_pause_of_the_source_is_silence_and_no_hole() -> None:
    scene = Scene(paused=lambda t: 5 <= t < 8)
    statistics = scene.run(12)
    assert statistics.underruns == 0
    assert np.abs(scene.delays(1) - 0.12).max() < 0.006
    assert not len(scene.delays(5.2, 8))


def test_packets_that_stay_away_are_holes_and_sound_is_back_at_its_place() -> None:
    scene = Scene(lost=lambda t: 5 <= t < 5.5 or 7 <= t < 7.02)
    statistics = scene.run(12)
    assert statistics.underruns == 2
    assert statistics.concealed_ms == pytest.approx(520, abs=45)
    assert np.abs(scene.delays(1, 5) - 0.12).max() < 0.006
    assert np.abs(scene.delays(8) - 0.12).max() < 0.006


def test_a_stalled_network_costs_its_time_and_nothing_after() -> None:
    scene = Scene(transit_s=lambda t: 0.03 if not 5 <= t < 6 else 6.03 - t)
    statistics = scene.run(30)
    assert statistics.late > 30
    assert statistics.underruns <= 2
    assert max(statistics.sync_ms) < IN_SYNC_LATE_MS, "what was late for once does not make everything late"
    assert np.abs(scene.delays(22) - 0.12).max() < 0.006


def test_a_time_line_that_started_anew_goes_on_without_a_jump() -> None:
    playout = Playout()
    samples = np.ones((FRAME, 2), np.int16)
    for i in range(100):
        # In the middle of it an hour passes, of which the samples' numbers know nothing.
        captured_s = i * FRAME / RATE + (0 if i < 50 else 3600)
        playout.on_clock(i * FRAME, round(captured_s * 1e6))
        playout.on_sound(i, i * FRAME, samples, now_s=captured_s + 0.05, offset_us=0)
        out = playout.pull(FRAME, now_s=captured_s + 0.05, offset_us=0, device_s=0.04)
    assert playout.statistics().jumps == playout.statistics().underruns == 0
    assert out[-1, 0] == 1


def test_nothing_is_heard_before_the_clocks_are_known() -> None:
    playout = Playout()
    for i in range(20):
        playout.on_sound(i, i * FRAME, np.ones((FRAME, 2), np.int16), now_s=i / 50, offset_us=None)
        assert not playout.pull(FRAME, now_s=i / 50, offset_us=None, device_s=0.02).any()
    assert playout.delay_s is None


def test_stretched_sound_keeps_its_shape() -> None:
    """A tone that is played 0.5 % faster is a tone 0.5 % higher: no steps, no beats."""
    playout = Playout()
    t = np.arange(4 * RATE) / RATE
    tone = (20000 * np.sin(2 * np.pi * 1000 * t)).astype(np.int16)
    playout.on_clock(0, 0)
    for i in range(0, len(t), FRAME):
        playout.on_sound(i // FRAME, i, np.stack([tone[i : i + FRAME]] * 2, 1), now_s=i / RATE, offset_us=0)
    playout._place, playout._stretch, playout._error_s = 48000.0, MAX_STRETCH, -0.035
    out, made_up = playout._render(48000.25, 1 + MAX_STRETCH, RATE)
    expected = 20000 * np.sin(2 * np.pi * 1000 * (48000.25 + (1 + MAX_STRETCH) * np.arange(RATE)) / RATE)
    assert made_up == 0
    assert np.abs(out[:, 0] - expected).max() < 20000 * 1e-3
