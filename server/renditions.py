"""Which viewer watches which rendition, so that one who cannot follow holds nobody back.

Rendition 0 is the picture at full size; each further one has its own encoder, states, rate and a smaller picture. All
viewers of a rendition get the same frames, so it runs at the rate of the slowest of them. The leader of a rendition is
the viewer with the largest target among those in it and below it; who falls far short of the leader goes down, where
the largest of those who went leads. docs/recovery.md has the rules in a table.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

MAX_RENDITIONS = 3
DOWN_SHARE = 0.6
"""Of the leader's target. Below it a viewer would cost the others 40 % of their rate: more than a step of the quality
ladder, so they would see it. Two viewers on the same path differ by less (a back-off is to 0.85 of what came in)."""
DOWN_AFTER_S = 1.0
"""A back-off after a short disturbance is made good within a second, since growth doubles in one."""
GROWTH = 1.25
"""A target that grew by this much within `DOWN_AFTER_S` is on its way up (it can double) and gets as long again."""
MAX_PATIENCE_S = 3.0
"""For so long at most: from the initial 0.6 Mbit/s a target passes 4 Mbit/s within it."""
UP_SHARE, UP_AFTER_S = 0.75, 5.0
"""Well above `DOWN_SHARE`, and held for long: a change costs an intra frame, and one seen every few seconds annoys."""
RELAPSE_S, MAX_UP_AFTER_S = 10.0, 60.0
"""Who has to go down again within the one after going up waits twice as long the next time, at most the other."""
LAG_S = 0.5
"""Acks that lag by this much make everybody's frames predict from a picture half a second old, which costs bits."""
LAG_AFTER_S = 1.0
"""An outage is often over within a second; moving costs an intra frame."""
NEWCOMER_S = 1.0
"""For so long a newcomer has no say in the rate: its target is a guess."""


@dataclass(frozen=True, slots=True)
class ViewerLoad:
    """What the planner knows of one viewer.

    ack_lag_s: how long it holds the others' reference back (`AckTracker.intact_lag_s`). rendition: the one it watches
    now, 0 for a newcomer.
    """

    id: str
    target_bps: float
    ack_lag_s: float
    rendition: int


@dataclass(slots=True)
class _History:
    """Times are those of the first plan in which the thing held without interruption since."""

    joined: float
    rendition: int
    short_since: float | None = None
    """Below `DOWN_SHARE`, counted again from each growth."""
    short_first: float = 0.0
    short_bps: float = 0.0
    """The target at `short_since`."""
    lagging_since: float | None = None
    fit_since: float | None = None
    """Good enough for the next better rendition."""
    up_after_s: float = UP_AFTER_S
    went_up: float = field(default=float("-inf"))


def rendition_sizes(size: tuple[int, int], count: int) -> tuple[tuple[int, int], ...]:
    """(width, height) of each rendition: full, 2/3 and 1/2 of either side, in multiples of 16, at least 64.

    count: 1 .. `MAX_RENDITIONS`, else ValueError.
    """
    if not 1 <= count <= MAX_RENDITIONS:
        raise ValueError(f"{count} renditions were asked for: there can be 1 to {MAX_RENDITIONS}")
    width, height = size
    return (size, *((_side(width, share), _side(height, share)) for share in (2 / 3, 1 / 2)[: count - 1]))


def _side(pixels: int, share: float) -> int:
    return min(pixels, max(64, 16 * round(pixels * share / 16)))


class RenditionPlanner:
    """Sans-IO. Call `plan` about ten times a second. The caller moves the viewers, at once or when an encoder
    is ready: until then the plan stays, if its reasons do."""

    def __init__(self, count: int, *, max_useful_bps: float = float("inf")) -> None:
        """count: renditions that may be used. max_useful_bps: a picture cannot use more, so that larger targets are
        equal."""
        if not 1 <= count <= MAX_RENDITIONS:
            raise ValueError(f"{count} renditions were asked for: there can be 1 to {MAX_RENDITIONS}")
        self._count = count
        self._max_useful_bps = max_useful_bps
        self._histories: dict[str, _History] = {}

    def plan(self, viewers: Sequence[ViewerLoad], now: float) -> dict[str, int]:
        """The rendition for each viewer, by id. Viewers that are not given are forgotten."""
        known = self._histories
        self._histories = {
            viewer.id: known.get(viewer.id) or _History(now, rendition=viewer.rendition) for viewer in viewers
        }
        for viewer in viewers:
            self._note(viewer, viewers, now)
        # Where each will be: who goes down meets those who go down with it, the fastest first.
        places = {viewer.id: min(viewer.rendition, self._count - 1) for viewer in viewers}
        for viewer in sorted(viewers, key=self._useful, reverse=True):
            if self._must_go_down(viewer, now):
                places[viewer.id] = self._place_below(viewer, viewers, places)
        for viewer in sorted(viewers, key=self._useful, reverse=True):
            history = self._histories[viewer.id]
            if self._lagged_for(viewer, now) and (place := self._place_apart(viewer, viewers, places)) is not None:
                places[viewer.id] = place
            elif history.fit_since is not None and now - history.fit_since >= history.up_after_s:
                places[viewer.id] = viewer.rendition - 1
        return places

    def in_good_standing(self, viewers: Sequence[ViewerLoad], rendition: int, now: float) -> list[str]:
        """Ids of the viewers of a rendition that have a say in its rate, which is the smallest of their targets.

        None of them is a newcomer, lags, or is about to go down; where that leaves nobody, the fastest of those that do
        not lag, else all.
        """
        members = [viewer for viewer in viewers if viewer.rendition == rendition]
        following = [viewer for viewer in members if viewer.ack_lag_s <= LAG_S] or members
        good = [
            viewer for viewer in following if not self._is_new(viewer, now) and not self._falls_short(viewer, viewers)
        ]
        if not good and following:
            good = [max(following, key=self._useful)]
        return [viewer.id for viewer in good]

    def _useful(self, viewer: ViewerLoad) -> float:
        return min(viewer.target_bps, self._max_useful_bps)

    def _leader_bps(self, viewers: Sequence[ViewerLoad], rendition: int) -> float:
        """Largest target of those in a rendition and below; a viewer that lags leads nobody."""
        return max((self._useful(v) for v in viewers if v.rendition >= rendition and v.ack_lag_s <= LAG_S), default=0.0)

    def _falls_short(self, viewer: ViewerLoad, viewers: Sequence[ViewerLoad]) -> bool:
        """Whether it cannot follow its leader, and there is somewhere to go."""
        if viewer.rendition >= self._count - 1:
            return False
        return self._useful(viewer) < DOWN_SHARE * self._leader_bps(viewers, viewer.rendition)

    def _is_new(self, viewer: ViewerLoad, now: float) -> bool:
        history = self._histories.get(viewer.id)
        return history is None or now - history.joined < NEWCOMER_S

    def _note(self, viewer: ViewerLoad, viewers: Sequence[ViewerLoad], now: float) -> None:
        """Since when what holds."""
        history = self._histories[viewer.id]
        if viewer.rendition != history.rendition:
            if viewer.rendition < history.rendition:
                history.went_up = now
            elif now - history.went_up < RELAPSE_S:
                history.up_after_s = min(2 * history.up_after_s, MAX_UP_AFTER_S)
            history.rendition = viewer.rendition
            history.short_since = history.lagging_since = history.fit_since = None
        if not self._falls_short(viewer, viewers):
            history.short_since = None
        elif history.short_since is None:
            history.short_since = history.short_first = now
            history.short_bps = viewer.target_bps
        elif (
            now - history.short_since >= DOWN_AFTER_S
            and now - history.short_first < MAX_PATIENCE_S
            and viewer.target_bps >= GROWTH * history.short_bps
        ):
            history.short_since, history.short_bps = now, viewer.target_bps
        if viewer.ack_lag_s <= LAG_S:
            history.lagging_since = None
        elif history.lagging_since is None:
            history.lagging_since = now
        better = viewer.rendition - 1
        fit = (
            better >= 0
            and viewer.ack_lag_s <= LAG_S / 2
            and self._useful(viewer) >= UP_SHARE * self._leader_bps(viewers, better)
        )
        if not fit:
            history.fit_since = None
        elif history.fit_since is None:
            history.fit_since = now

    def _must_go_down(self, viewer: ViewerLoad, now: float) -> bool:
        since = self._histories[viewer.id].short_since
        return since is not None and now - since >= DOWN_AFTER_S

    def _lagged_for(self, viewer: ViewerLoad, now: float) -> bool:
        since = self._histories[viewer.id].lagging_since
        return since is not None and now - since >= LAG_AFTER_S

    def _place_below(self, viewer: ViewerLoad, viewers: Sequence[ViewerLoad], places: dict[str, int]) -> int:
        """The first rendition below its own whose leader it can follow, else the last."""
        place = viewer.rendition + 1
        while place < self._count - 1:
            leader_bps = max((self._useful(other) for other in viewers if places[other.id] >= place), default=0.0)
            if self._useful(viewer) >= DOWN_SHARE * leader_bps:
                break
            place += 1
        return place

    def _place_apart(self, viewer: ViewerLoad, viewers: Sequence[ViewerLoad], places: dict[str, int]) -> int | None:
        """The first rendition below its own where its lag holds nobody back; None: there is none, or it holds nobody
        back where it is."""

        def healthy(place: int) -> bool:
            return any(
                places[other.id] == place and other.ack_lag_s <= LAG_S for other in viewers if other.id != viewer.id
            )

        here = places[viewer.id]
        if not healthy(here):
            return None
        return next((place for place in range(here + 1, self._count) if not healthy(place)), None)
