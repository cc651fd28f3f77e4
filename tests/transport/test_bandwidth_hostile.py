"""Reports from a client that lies: bounded work, the target within its limits, no exception."""

from hypothesis import given, settings
from hypothesis import strategies as st

from transport.bandwidth import BandwidthEstimator
from transport.wire import MAX_CLOCK_US, ArrivalReport

MIN_BPS, MAX_BPS = 1e5, 1e7


def reports() -> st.SearchStrategy[ArrivalReport]:
    entries = st.dictionaries(st.integers(0, 300), st.integers(-(2**31), 2**31 - 1), min_size=1, max_size=40)
    return st.builds(
        ArrivalReport,
        number=st.integers(0, 2**32 - 1),
        base_seq=st.one_of(st.integers(0, 200), st.integers(0, 2**32 - 1)),
        base_us=st.one_of(st.integers(0, 10**7), st.integers(0, MAX_CLOCK_US)),
        entries=entries.map(lambda found: tuple(sorted(found.items()))),
    )


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(reports(), st.floats(0, 3)), max_size=40))
def test_whatever_is_reported_the_target_stays_within_its_limits(lies: list[tuple[ArrivalReport, float]]) -> None:
    estimator = BandwidthEstimator(initial_bps=1e6, min_bps=MIN_BPS, max_bps=MAX_BPS)
    now, seq = 100.0, 0
    for report, pause_s in lies:
        for _ in range(6):
            plan = estimator.probe(now)
            estimator.on_sent(seq, 1000, now, probe=plan.id if plan is not None else None)
            seq += 1
        now += pause_s
        outcome = estimator.on_report(report, now)
        estimator.on_tick(now)
        assert len(outcome.delivered) + len(outcome.lost) + len(outcome.untold) <= seq
        assert MIN_BPS <= estimator.target_bps <= MAX_BPS
        assert estimator.rtt_s > 0
        assert 0 <= estimator.statistics().loss <= 1


def test_a_report_read_in_the_instant_of_sending_is_survived() -> None:
    estimator = BandwidthEstimator(initial_bps=1e6, min_bps=MIN_BPS, max_bps=MAX_BPS)
    for seq in range(200):
        now = 1.0 + seq / 100
        estimator.on_sent(seq, 1000, now)
        estimator.on_report(ArrivalReport(seq, seq, round(now * 1e6), ((0, 0),)), now)
    assert MIN_BPS <= estimator.target_bps <= MAX_BPS


def test_rates_of_a_thousandfold_are_not_believed_beyond_the_limit() -> None:
    estimator = BandwidthEstimator(initial_bps=1e6, min_bps=MIN_BPS, max_bps=MAX_BPS)
    for i in range(400):
        now = 1.0 + i / 10
        for k in range(10):
            estimator.on_sent(10 * i + k, 1000, now)
        # All of it "arrived" in the same microsecond, before it was sent.
        estimator.on_report(ArrivalReport(i, 10 * i, 1000, tuple((k, 0) for k in range(10))), now + 0.02)
    assert MIN_BPS <= estimator.target_bps <= MAX_BPS
