"""Bytes between host and device, through pinned buffers that live as long as the picture size.

Up: on the network's own stream, so that a graph reads what was uploaded before it and no other frame's. Down: on a
stream of their own that goes first, each behind the point where its tensor was done, so that the network goes on
meanwhile.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from codec.cuda.driver import Driver, Event, Stream

_Key = tuple[str, tuple[int, ...], object]

# More than any number of stretches: every one of them has to wait.
EVERY_STRETCH = 1 << 30


class Uploads:
    """One pair of buffers for each key, shape and type."""

    def __init__(self, driver: Driver, stream: Stream) -> None:
        self._driver, self._stream = driver, stream
        self._slots: dict[_Key, _UploadSlot] = {}

    def send(self, key: str, array: NDArray[Any]) -> Tensor:
        """The array on the device, in the buffer of its key: valid until the next upload of that key."""
        name = (key, array.shape, array.dtype)
        slot = self._slots.get(name)
        if slot is None:
            slot = self._slots[name] = _UploadSlot.make(self._driver, array)
        if slot.left is not None:
            # The previous upload must have left the host's buffer. It has, long since, unless the device is far behind.
            slot.left.synchronize()
        np.copyto(slot.host.numpy(), array)
        self._driver.copy(slot.device, slot.host, self._stream)
        slot.left = self._stream.record()
        return slot.device

    def clear(self) -> None:
        self._slots.clear()


@dataclass(slots=True)
class _UploadSlot:
    host: Tensor
    device: Tensor
    left: Event | None = None

    @classmethod
    def make(cls, driver: Driver, array: NDArray[Any]) -> "_UploadSlot":
        # Before the host's buffer, which a failure would leave pinned.
        dtype = torch.from_numpy(np.empty(0, array.dtype)).dtype
        host = driver.host_buffer(array.shape, dtype)
        return cls(host, driver.device_buffer(host))


@dataclass(eq=False, slots=True)
class _InFlight:
    """A download that may still be reading. source is held so that its memory is given to nobody else."""

    maker: int
    source: Tensor
    done: Event


class Downloads:
    """One pinned buffer for each key, shape and type."""

    def __init__(self, driver: Driver, network: Stream, copies: Stream) -> None:
        self._driver, self._network, self._copies = driver, network, copies
        self._buffers: dict[_Key, Tensor] = {}
        self._in_flight: list[_InFlight] = []

    def start(self, key: str, tensor: Tensor, *, maker: int) -> "Arriving":
        """maker: number of the stretch whose output `tensor` is, or EVERY_STRETCH."""
        name = (key, tuple(tensor.shape), tensor.dtype)
        buffer = self._buffers.get(name)
        if buffer is None:
            buffer = self._buffers[name] = self._driver.host_buffer(tensor.shape, tensor.dtype)
        self._copies.wait(self._network.record())
        self._driver.copy(buffer, tensor, self._copies)
        copy = _InFlight(maker, tensor, self._copies.record())
        self._in_flight.append(copy)
        return Arriving(self, copy, buffer)

    def hold(self, number: int) -> None:
        """Before stretch `number` runs: the network waits for downloads of all that it overwrites."""
        still = []
        for copy in self._in_flight:
            if copy.maker >= number:
                self._network.wait(copy.done)
            else:
                still.append(copy)
        self._in_flight = still

    def arrived(self, copy: _InFlight) -> None:
        """The host has waited for it."""
        if copy in self._in_flight:
            self._in_flight.remove(copy)

    def clear(self) -> None:
        self._buffers.clear()
        self._in_flight.clear()


class Arriving:
    """`codec.torch_runtime.Download` from a GPU. Waiting for it leaves network and other downloads alone."""

    def __init__(self, downloads: Downloads, copy: _InFlight, buffer: Tensor) -> None:
        self._downloads, self._copy, self._buffer = downloads, copy, buffer

    def result(self) -> NDArray[Any]:
        """The bytes, in the pinned buffer: valid until the next download with the same key."""
        self._copy.done.synchronize()
        self._downloads.arrived(self._copy)
        return self._buffer.numpy()
