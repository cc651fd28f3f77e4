"""Packets sent together, taken together: the one-way delay gradient is measured between groups, not packets.

draft-ietf-rmcat-gcc-02 section 5.2 merges further what the network held back and then delivered as one burst: the
spacing within such a burst says nothing about a queue. The merge needs a limit, or no gradient comes out for as long as
packets catch up with each other. So a merged group ends after `BURST_MAX_S`.
"""

from dataclasses import dataclass

GROUP_S = 0.005
"""Packets sent within this time of a group's first belong to it (draft, section 5.2: burst_time)."""
BURST_MAX_S = 0.1
"""A group never takes longer than this to arrive; libwebrtc's inter_arrival uses the same."""
_RESET_S = 3.0
"""Send and arrival times that drift apart by this within one group: a clock has jumped (libwebrtc: 3 s)."""


@dataclass(frozen=True, slots=True)
class GroupDelta:
    """From the last packet of one group to the last of the next."""

    send_delta_s: float
    arrival_delta_s: float
    arrival_s: float
    """When the later group was complete."""

    @property
    def delay_gradient_s(self) -> float:
        """How much longer the later group took than the earlier one. Positive: a queue grows."""
        return self.arrival_delta_s - self.send_delta_s


@dataclass(slots=True)
class _Group:
    first_sent_s: float
    last_sent_s: float
    first_arrival_s: float
    last_arrival_s: float


class ArrivalGroups:
    """Feed packets in send order; a delta comes out when a group is followed by the first packet of the next."""

    def __init__(self) -> None:
        self._previous: _Group | None = None
        self._current: _Group | None = None

    def on_packet(self, *, sent_s: float, arrival_s: float) -> GroupDelta | None:
        """Takes one delivered packet; both clocks may have any constant offset."""
        current = self._current
        if current is None:
            self._current = _Group(sent_s, sent_s, arrival_s, arrival_s)
            return None
        if sent_s < current.first_sent_s:
            return None  # Reordered so far that its group is closed.
        if self._belongs(current, sent_s, arrival_s):
            current.last_sent_s = max(current.last_sent_s, sent_s)
            current.last_arrival_s = max(current.last_arrival_s, arrival_s)
            return None
        delta = self._delta(current)
        self._previous, self._current = current, _Group(sent_s, sent_s, arrival_s, arrival_s)
        if delta is not None and abs(delta.delay_gradient_s) > _RESET_S:
            self._previous = None
            return None
        return delta

    def _belongs(self, group: _Group, sent_s: float, arrival_s: float) -> bool:
        if sent_s - group.first_sent_s <= GROUP_S:
            return True
        since_last_s = arrival_s - group.last_arrival_s
        catching_up = since_last_s - (sent_s - group.last_sent_s) < 0
        return catching_up and since_last_s <= GROUP_S and arrival_s - group.first_arrival_s < BURST_MAX_S

    def _delta(self, group: _Group) -> GroupDelta | None:
        previous = self._previous
        if previous is None:
            return None
        return GroupDelta(
            send_delta_s=group.last_sent_s - previous.last_sent_s,
            arrival_delta_s=group.last_arrival_s - previous.last_arrival_s,
            arrival_s=group.last_arrival_s,
        )
