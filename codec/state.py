"""Codec state is a value: the adapted reference that a frame leaves behind, named by that frame's id.

Both ends keep a ring of the newest states and a few older ones that the next frame may still be coded from; every frame
on the wire names the state it was coded from. docs/recovery.md has the rules, and what follows from them.
"""

from collections import OrderedDict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

RING_CAPACITY = 16


@dataclass(frozen=True, slots=True)
class State:
    """id: the frame that made it, u32. tensor: owned by the engine. intact: no missing slice went into it."""

    id: int
    tensor: Any
    intact: bool = True


class StateRing:
    """The last `capacity` states put, the newest intra frame's, and those that are pinned; all others go at once.

    An encoder pins, before each `put`, what its viewers surely hold and the state that the frame was coded from (it may
    be coded again). Whoever does the same with empty states knows which ones the encoder holds.
    """

    def __init__(self, capacity: int = RING_CAPACITY) -> None:
        if capacity < 1:
            raise ValueError(f"a state ring of capacity {capacity} holds nothing")
        self._capacity = capacity
        self._states: OrderedDict[int, State] = OrderedDict()
        self._pins: frozenset[int] = frozenset()
        self._intra: int | None = None

    def put(self, state: State, *, intra: bool = False) -> None:
        """Takes the state of a new frame. intra: the frame was coded from nothing. An id that is there is replaced."""
        self._states.pop(state.id, None)
        self._states[state.id] = state
        if intra:
            self._intra = state.id
        elif self._intra == state.id:
            self._intra = None
        self._evict()

    def pin(self, ids: Iterable[int | None]) -> None:
        """Keep these however old they get, until the next call names others. Ids that are not here mean nothing."""
        self._pins = frozenset(state_id for state_id in ids if state_id is not None)
        self._evict()

    def get(self, state_id: int) -> State | None:
        return self._states.get(state_id)

    @property
    def newest(self) -> State | None:
        return next(reversed(self._states.values()), None)

    @property
    def ids(self) -> tuple[int, ...]:
        """What is here, oldest first."""
        return tuple(self._states)

    def clear(self) -> None:
        self._states.clear()
        self._pins = frozenset()
        self._intra = None

    def __iter__(self) -> Iterator[State]:
        """Oldest first."""
        return iter(self._states.values())

    def __len__(self) -> int:
        return len(self._states)

    def _evict(self) -> None:
        excess = len(self._states) - self._capacity
        if excess <= 0:
            return
        for state_id in list(islice(self._states, excess)):
            if state_id not in self._pins and state_id != self._intra:
                del self._states[state_id]


class DecoderRing:
    """The ring of a viewer: besides the newest states, the newest intact one and the one last decoded from.

    The server codes from the newest state that it knows to be intact here for as long as it hears nothing. Then each of
    its frames names that state, which keeps it here.
    """

    def __init__(self, capacity: int = RING_CAPACITY) -> None:
        self._ring = StateRing(capacity)
        self._newest_intact: int | None = None

    def add(self, state: State, *, reference_id: int | None) -> None:
        """Takes the state of a decoded frame. reference_id: the state it was decoded from, None for intra."""
        if state.intact:
            self._newest_intact = state.id
        self._ring.pin((reference_id, self._newest_intact))
        self._ring.put(state, intra=reference_id is None)

    def get(self, state_id: int) -> State | None:
        return self._ring.get(state_id)

    @property
    def ids(self) -> tuple[int, ...]:
        """What is here, oldest first."""
        return self._ring.ids

    def clear(self) -> None:
        self._ring.clear()
        self._newest_intact = None

    def __len__(self) -> int:
        return len(self._ring)
