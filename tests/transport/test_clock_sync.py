"""Clock offset and its error bound: the bound must hold, whatever the path does."""

import random

import pytest

from transport.clock import ClockSync
from transport.wire import Pong


def exchange(
    clock: ClockSync, *, at_us: int, there_us: int, back_us: int, server_ahead_us: int, held_us: int = 40
) -> None:
    ping = clock.ping(at_us)
    t1_us = at_us + there_us + server_ahead_us
    clock.on_pong(Pong(ping.ping_id, ping.t0_us, t1_us, t1_us + held_us), at_us + there_us + held_us + back_us)


def test_nothing_is_known_before_the_first_pong() -> None:
    clock = ClockSync()
    assert (clock.offset_us, clock.error_us, clock.rtt_us, clock.to_client_us(5)) == (None, None, None, None)


@pytest.mark.parametrize("server_ahead_us", [5_000_000_000, -5_000_000_000])
def test_a_symmetric_path_gives_the_exact_offset(server_ahead_us: int) -> None:
    clock = ClockSync()
    exchange(clock, at_us=10**12, there_us=15_000, back_us=15_000, server_ahead_us=server_ahead_us)
    assert clock.offset_us == server_ahead_us
    assert clock.error_us == 15_001
    assert clock.rtt_us == 30_000
    assert clock.to_client_us(server_ahead_us + 77) == 77


def test_the_bound_holds_on_a_jittery_asymmetric_path_with_drift() -> None:
    clock, rng = ClockSync(), random.Random(4)
    bounds = []
    for second in range(120):
        ahead_us = 3_000_000 + 45 * second  # 45 ppm
        exchange(
            clock,
            at_us=1_000_000 * second,
            there_us=2_000 + round(rng.expovariate(1 / 30_000)),
            back_us=9_000 + round(rng.expovariate(1 / 5_000)),
            server_ahead_us=ahead_us,
        )
        assert clock.offset_us is not None
        assert clock.error_us is not None
        assert abs(clock.offset_us - ahead_us) <= clock.error_us
        bounds.append(clock.error_us)
    # Far better than the usual exchange, half of whose round trip is 23 ms.
    assert sorted(bounds)[60] < 12_000
    assert clock.statistics().steps == 0


def test_the_shortest_round_trip_wins_until_it_is_old() -> None:
    clock = ClockSync()
    exchange(clock, at_us=0, there_us=1_000, back_us=1_000, server_ahead_us=500)
    exchange(clock, at_us=1_000_000, there_us=9_000, back_us=1_000, server_ahead_us=500)
    assert clock.offset_us == 500
    assert clock.error_us == 1_000 + 50 + 1  # 50 ppm of the second since
    # After ten minutes the drift allowance of the old sample is larger than the whole error of a new one.
    exchange(clock, at_us=600_000_000, there_us=6_000, back_us=4_000, server_ahead_us=500)
    assert clock.offset_us == 1_500
    assert clock.error_us == 5_001


def test_a_clock_that_jumped_is_noticed() -> None:
    clock = ClockSync()
    exchange(clock, at_us=0, there_us=1_000, back_us=1_000, server_ahead_us=0)
    exchange(clock, at_us=1_000_000, there_us=50_000, back_us=50_000, server_ahead_us=90_000_000)
    assert clock.offset_us == 90_000_000
    assert clock.statistics().steps == 1


def test_wrong_pongs_change_nothing() -> None:
    clock = ClockSync()
    ping = clock.ping(1_000_000)
    wrong = [
        Pong(ping.ping_id + 1, ping.t0_us, 5, 6),  # never asked
        Pong(ping.ping_id, ping.t0_us + 1, 5, 6),  # not the time we sent
        Pong(ping.ping_id, ping.t0_us, 5, 50_000_000),  # held longer than the whole round trip
    ]
    for pong in wrong:
        clock.on_pong(pong, 1_020_000)
    clock.on_pong(Pong(ping.ping_id, ping.t0_us, 5, 6), 999_999)  # before it was asked
    clock.on_pong(Pong(ping.ping_id, ping.t0_us, 5, 6), 12_000_000)  # eleven seconds later
    assert clock.offset_us is None
    assert clock.statistics().ignored == 5
    clock.on_pong(Pong(ping.ping_id, ping.t0_us, 5, 6), 1_020_000)
    assert clock.offset_us is not None
    clock.on_pong(Pong(ping.ping_id, ping.t0_us, 5, 6), 1_020_000)  # twice
    assert clock.statistics().ignored == 6
    assert clock.statistics().pongs == 1


def test_pings_without_an_answer_are_forgotten_in_time() -> None:
    clock = ClockSync()
    first = clock.ping(0)
    for second in range(1, 40):
        clock.ping(second * 100_000)
    clock.on_pong(Pong(first.ping_id, 0, 5, 6), 4_000_000)
    assert clock.statistics().ignored == 1


def test_five_pings_in_the_first_second_then_one_a_second() -> None:
    clock = ClockSync()
    times = []
    now = 100.0
    for _ in range(9):
        now = max(now, clock.next_ping_time)
        times.append(round(now - 100.0, 3))
        clock.ping(round(now * 1e6))
    assert times == [0.0, 0.2, 0.4, 0.6, 0.8, 1.0, 2.0, 3.0, 4.0]


def test_the_round_trip_is_smoothed() -> None:
    clock = ClockSync()
    exchange(clock, at_us=0, there_us=10_000, back_us=10_000, server_ahead_us=0)
    exchange(clock, at_us=1_000_000, there_us=50_000, back_us=50_000, server_ahead_us=0)
    assert clock.rtt_us == 30_000
