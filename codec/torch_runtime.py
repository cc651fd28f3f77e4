"""Where torch networks run: eagerly on a CPU here; captured as CUDA graphs in `codec.cuda`.

An engine is written once, as *stretches* (functions from tensors to tensors that never look at a value) joined by
uploads and downloads. What differs between devices is how a stretch is called and how bytes cross:

    runtime.place(network)          the network itself, moved to the device and its precision, for nothing else any more
    runtime.stretch(function)       a callable that does what `function` does; captured on a GPU
    runtime.upload(key, array)      the array as a tensor on the device
    runtime.download(key, tensor)   a `Download`; `result()` is the array, and the network goes on meanwhile
    runtime.keep(tensor)            a tensor that the next frame will not overwrite
    runtime.constant(tensor)        a tensor made on the CPU, on the device for good, for stretches to read
    runtime.synchronize()           wait until the device has done everything asked so far
    runtime.reset()                 forget everything that was made for one picture size

On a GPU what a stretch returns is valid until that stretch, or one that was first called before it, runs again; what
`download` returns until the next one with the same key; and what `upload` returns until the next one with the same key.
A stretch that was first called with the output of another is called with that output ever after, and a frame calls its
stretches in the order in which they were first called. Where other code than the runtime reads a tensor (`Tensor.cpu`,
say), it is complete once a download that was started after it has arrived.
"""

from collections.abc import Callable
from typing import Any, Protocol, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

Network = TypeVar("Network", bound=nn.Module)
Stretch = Callable[..., tuple[Tensor, ...]]


class Download(Protocol):
    """Bytes on their way to the host."""

    def result(self) -> NDArray[Any]:
        """Wait for them."""


class Runtime(Protocol):
    """Shapes are static between two calls of `reset`: the second frame of each kind costs what every frame costs."""

    device: torch.device
    dtype: torch.dtype
    """Precision of the network."""

    def place(self, network: Network) -> Network: ...

    def constant(self, tensor: Tensor) -> Tensor: ...

    def stretch(self, function: Stretch) -> Stretch: ...

    def upload(self, key: str, array: NDArray[Any]) -> Tensor: ...

    def download(self, key: str, tensor: Tensor) -> Download: ...

    def keep(self, tensor: Tensor) -> Tensor: ...

    def synchronize(self) -> None: ...

    def reset(self) -> None: ...


class Arrived:
    """A download that needed no waiting."""

    def __init__(self, array: NDArray[Any]) -> None:
        self._array = array

    def result(self) -> NDArray[Any]:
        return self._array


class EagerRuntime:
    """float32 on the CPU, layer by layer: the arithmetic of the golden vectors."""

    def __init__(self) -> None:
        self.device = torch.device("cpu")
        self.dtype = torch.float32

    def place(self, network: Network) -> Network:
        return network

    def constant(self, tensor: Tensor) -> Tensor:
        return tensor

    def stretch(self, function: Stretch) -> Stretch:
        def run(*inputs: Tensor) -> tuple[Tensor, ...]:
            with torch.inference_mode():
                return function(*inputs)

        return run

    def upload(self, key: str, array: NDArray[Any]) -> Tensor:
        # A copy: the caller fills the same buffer again for the next frame.
        return torch.from_numpy(np.array(array))

    def download(self, key: str, tensor: Tensor) -> Download:
        return Arrived(tensor.numpy())

    def keep(self, tensor: Tensor) -> Tensor:
        return tensor

    def synchronize(self) -> None:
        pass

    def reset(self) -> None:
        pass
