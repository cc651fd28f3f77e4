"""Codec state is a value: the adapted reference that a frame leaves behind, named by that frame's id.

Both ends keep a ring of the newest states; every frame on the wire names the one it was coded from.
"""

from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

RING_CAPACITY = 16


@dataclass(frozen=True, slots=True)
class State:
    """id: the frame that made it, u32. tensor: owned by the engine. intact: no missing slice went into it."""

    id: int
    tensor: Any
    intact: bool = True


class StateRing:
    """The newest `capacity` states by id; the oldest goes first."""

    def __init__(self, capacity: int = RING_CAPACITY) -> None:
        if capacity < 1:
            raise ValueError(f"a state ring of capacity {capacity} holds nothing")
        self._capacity = capacity
        self._states: OrderedDict[int, State] = OrderedDict()

    def put(self, state: State) -> None:
        self._states.pop(state.id, None)
        self._states[state.id] = state
        while len(self._states) > self._capacity:
            self._states.popitem(last=False)

    def get(self, state_id: int) -> State | None:
        return self._states.get(state_id)

    @property
    def newest(self) -> State | None:
        return next(reversed(self._states.values()), None)

    def clear(self) -> None:
        self._states.clear()

    def __len__(self) -> int:
        return len(self._states)
