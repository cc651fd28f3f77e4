"""When a picture was taken, by sender reports of a simulated sender whose clock is elsewhere."""

import pytest

from server.whip.capture_clock import ROUND_TRIPS, CaptureClock

NTP_START = 3_900_000_000.0
"""The sender's wall clock at our time 0, in NTP seconds."""


def report(clock: CaptureClock, at: float, *, travel: float, start: float = NTP_START, rtp: int = 0) -> None:
    clock.report(
        ntp=round((start + at) * 2**32), timestamp=(rtp + round(at * 90_000)) & 0xFFFFFFFF, arrived_s=at + travel
    )


def timestamp(at: float, rtp: int = 0) -> int:
    return (rtp + round(at * 90_000)) & 0xFFFFFFFF


def test_before_any_report_it_is_the_arrival() -> None:
    clock = CaptureClock()
    assert clock.captured_s(1234, arrived_s=5.0) == 5.0
    assert not clock.known
    assert clock.guessed == 1


def test_capture_is_the_senders_instant_on_our_clock_but_for_the_fastest_reports_travel() -> None:
    clock = CaptureClock()
    for second, travel in enumerate((0.020, 0.004, 0.050, 0.012)):
        report(clock, float(second), travel=travel)
    # Captured at 3.2 s, arrives 80 ms later: what encoder, pacer and path took is seen.
    assert clock.captured_s(timestamp(3.2), arrived_s=3.28) == pytest.approx(3.204, abs=1e-4)
    assert clock.guessed == 0


def test_half_the_shortest_round_trip_is_what_the_fastest_report_took() -> None:
    clock = CaptureClock()
    assert clock.round_trip_s is None
    report(clock, 0.0, travel=0.030)
    for seconds in (0.090, 0.060, 0.200):
        clock.round_trip(seconds)
    assert clock.captured_s(timestamp(0.5), arrived_s=0.6) == pytest.approx(0.5, abs=1e-4)
    for _ in range(ROUND_TRIPS):
        clock.round_trip(0.080)
    assert clock.round_trip_s == 0.080


def test_rtp_timestamps_wrap_around() -> None:
    clock = CaptureClock()
    start = 2**32 - 45_000
    report(clock, 0.0, travel=0.001, rtp=start)
    assert clock.captured_s(timestamp(1.0, start), arrived_s=1.05) == pytest.approx(1.001, abs=1e-4)


def test_a_senders_clock_that_is_set_is_followed() -> None:
    clock = CaptureClock()
    report(clock, 0.0, travel=0.001)
    report(clock, 1.0, travel=0.001, start=NTP_START - 3600)
    assert clock.captured_s(timestamp(1.5), arrived_s=1.52) == pytest.approx(1.501, abs=1e-4)


def test_old_reports_are_forgotten_so_that_clocks_may_drift() -> None:
    clock = CaptureClock()
    for second in range(100):
        # The sender's clock runs 200 ppm slow: its reports seem to take longer and longer.
        report(clock, float(second), travel=0.005 + 200e-6 * second, start=NTP_START)
    captured = clock.captured_s(timestamp(99.0), arrived_s=99.1)
    assert captured == pytest.approx(99.005 + 200e-6 * 99, abs=0.007)


@pytest.mark.parametrize("odd", [-10.0, 10.0])
def test_timestamps_that_make_no_sense_are_not_believed(odd: float) -> None:
    clock = CaptureClock()
    report(clock, 0.0, travel=0.001)
    assert clock.captured_s(timestamp(20.0 + odd), arrived_s=20.0) == 20.0
    assert clock.guessed == 1


def test_a_report_without_a_clock_is_no_report() -> None:
    clock = CaptureClock()
    clock.report(ntp=0, timestamp=0, arrived_s=1.0)
    assert not clock.known


def test_no_picture_is_captured_after_it_arrived() -> None:
    clock = CaptureClock()
    report(clock, 0.0, travel=0.030)
    assert clock.captured_s(timestamp(0.5), arrived_s=0.51) == 0.51
