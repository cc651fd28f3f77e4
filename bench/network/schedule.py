"""Conditions in force: builds the simulated path that they describe and changes it when its time comes."""

from bench.network.conditions import Conditions, Cross, Direction, Event, Stage
from transport.netsim import ConstantFlow, Flow, Link, Path, RenoFlow


class Schedule:
    """One path under one list of conditions.

    Before `start` the lasting conditions of the first stage hold already; nothing happens and no cross traffic flows.
    Poll it before the path, whenever `next_event` is due.
    """

    def __init__(
        self, conditions: Conditions, *, seed: int = 0, start: float | None = 0.0, since: float = float("-inf")
    ) -> None:
        """`start`: the moment that `at` counts from; None: not yet known, call `begin`.

        `since`: the path exists from here on; packets that should have been lost and flows that began earlier are not
        made up for, they begin with the path.
        """
        self.conditions = conditions
        self.path = Path(_link(conditions.stages[0].forward, 2 * seed), _link(conditions.stages[0].back, 2 * seed + 1))
        self.flows: list[Flow] = []
        """Cross traffic so far, in the order of the conditions."""
        self._start = start
        self._since = since
        self._applied = 0

    def begin(self, start: float) -> None:
        """`at` counts from here. A second call changes nothing."""
        if self._start is None:
            self._start = start

    def next_event(self) -> float | None:
        """When the next stage begins; None: there is none, or the start is not known."""
        if self._start is None or self._applied == len(self.conditions.stages):
            return None
        return self._start + self.conditions.stages[self._applied].at_s

    def poll(self, now: float) -> None:
        """Puts in force what is due by `now`, each stage at its own time."""
        while (at := self.next_event()) is not None and at <= now:
            self._apply(self.conditions.stages[self._applied], at)
            self._applied += 1

    def _apply(self, stage: Stage, at: float) -> None:
        for link, direction, event in (
            (self.path.forward, stage.forward, stage.forward_event),
            (self.path.back, stage.back, stage.back_event),
        ):
            link.advance(at)
            _set(link, direction)
            _happen(link, event, at, missed=at < self._since)
        for cross in stage.cross:
            flow = _flow(cross, at, since=self._since, back_delay_s=stage.back.delay_s)
            self.flows.append(flow)
            self.path.forward.add_flow(flow)


def _link(direction: Direction, seed: int) -> Link:
    link = Link(seed=seed)
    _set(link, direction)
    return link


def _set(link: Link, direction: Direction) -> None:
    link.rate_bps = direction.rate_bps
    link.delay_s = direction.delay_s
    link.jitter_s = direction.jitter_s
    link.reorder = direction.reorder
    link.duplicate = direction.duplicate
    link.queue_s = direction.queue_s
    link.queue_bytes = direction.queue_bytes
    link.codel = direction.codel
    link.set_loss(direction.loss, direction.burst)


def _happen(link: Link, event: Event, at: float, *, missed: bool) -> None:
    if event.lose and not missed:
        link.lose_next(event.lose)
    if event.outage_s:
        link.outage(at, event.outage_s)
    if event.stall_s:
        link.stall(at, event.stall_s)


def _flow(cross: Cross, start: float, *, since: float, back_delay_s: float) -> Flow:
    end = float("inf") if cross.seconds is None else start + cross.seconds
    start = max(start, since)
    if cross.rate_bps is None:
        return RenoFlow(back_delay_s=back_delay_s, start=start, end=end)
    return ConstantFlow(rate_bps=cross.rate_bps, start=start, end=end, on_s=cross.on_s, off_s=cross.off_s)
