"""A simulated network: links with their queues, losses, delays and other people's traffic. Sans-IO and seeded.

A `Link` is one direction, a `Path` is two. Nothing here sleeps or reads a clock: `now` comes in as an argument, and
the same calls with the same seed meet the same fate, on every machine.
"""

from transport.netsim.constant import ConstantFlow
from transport.netsim.flow import Flow
from transport.netsim.link import Link
from transport.netsim.loss import LossProcess
from transport.netsim.path import Path
from transport.netsim.reno import RenoFlow
from transport.netsim.statistics import FlowStatistics, LinkStatistics

__all__ = [
    "ConstantFlow",
    "Flow",
    "FlowStatistics",
    "Link",
    "LinkStatistics",
    "LossProcess",
    "Path",
    "RenoFlow",
]
