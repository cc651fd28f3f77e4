"""How much the path can carry: Google congestion control, sender side, one stage a file (docs/bandwidth.md).

on_sent -> sent ---+--> arrival_groups -> trendline -> overuse --+
on_report --^      +--> acked_rate ------------------------------+-> rate_control -> target_bps
                   +--> queue_delay -----------------------------+      ^     ^
                   +--> loss --------------------------------------------+     |
                   +--> probing (clusters) --- probe_schedule -----------------+
"""

from transport.bandwidth.estimator import BandwidthEstimator, BandwidthState, BandwidthStatistics
from transport.bandwidth.probing import ProbePlan
from transport.bandwidth.sent import Delivered, Outcome, Sent

__all__ = [
    "BandwidthEstimator",
    "BandwidthState",
    "BandwidthStatistics",
    "Delivered",
    "Outcome",
    "ProbePlan",
    "Sent",
]
