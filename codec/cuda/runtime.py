"""`codec.torch_runtime.Runtime` on a GPU: captured graphs, pinned copies, two streams.

    network   uploads, graphs and clones of states, in the order in which they are asked for
    copies    downloads; goes first; waits for the network and is waited for only where memory would be overwritten

One runtime for each engine: `reset` drops everything that any of its stretches has made.
"""

from contextlib import AbstractContextManager
from functools import partial
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from codec.cuda.availability import describe_memory, open_device, said_plainly
from codec.cuda.capture import Captured
from codec.cuda.driver import Driver, TorchDriver
from codec.cuda.staging import EVERY_STRETCH, Downloads, Uploads
from codec.torch_runtime import Download, Network, Stretch


class CudaRuntime:
    """device: `cuda` or `cuda:N`. Raises UserError when it cannot be used, and from any method when its memory is full.

    After an error half-way through a frame the runtime can be used on: what was captured stays, what was not is
    captured at the next call, and outputs that may be incomplete cannot be read before their stretch has run again.
    """

    def __init__(
        self, device: str = "cuda", dtype: torch.dtype = torch.float16, *, driver: Driver | None = None
    ) -> None:
        self._driver = driver or _new_driver(device)
        self.device = self._driver.device
        self.dtype = dtype
        with self._plainly():
            self._network = self._driver.stream(urgent=False)
            self._copies = self._driver.stream(urgent=True)
        self._uploads = Uploads(self._driver, self._network)
        self._downloads = Downloads(self._driver, self._network, self._copies)
        self._captured = Captured(self._driver, self._network, self._downloads.hold)

    def place(self, network: Network) -> Network:
        """Move a network to the device and the runtime's precision, in place. It is then used for nothing else."""
        with self._plainly():
            self._driver.place(network, self.dtype)
        return network

    def stretch(self, function: Stretch) -> Stretch:
        """Captured at its first call. Those of one frame must always be called in the same order."""
        captured = self._captured.stretch(function)

        def run(*inputs: Tensor) -> tuple[Tensor, ...]:
            with self._plainly():
                return captured(*inputs)

        return run

    def upload(self, key: str, array: NDArray[Any]) -> Tensor:
        with self._plainly():
            tensor = self._uploads.send(key, array)
        self._captured.fix(tensor)
        return tensor

    def download(self, key: str, tensor: Tensor) -> Download:
        maker = self._captured.number_of(tensor)
        with self._plainly():
            return self._downloads.start(key, tensor, maker=EVERY_STRETCH if maker is None else maker)

    def keep(self, tensor: Tensor) -> Tensor:
        self._captured.number_of(tensor)
        with self._plainly():
            return self._driver.clone(tensor, self._network)

    def constant(self, tensor: Tensor) -> Tensor:
        with self._plainly():
            return self._driver.constant(tensor)

    def synchronize(self) -> None:
        self._network.synchronize()
        self._copies.synchronize()

    def reset(self) -> None:
        self.synchronize()
        self._captured.release()
        self._uploads.clear()
        self._downloads.clear()
        self._driver.forget()

    def _plainly(self) -> AbstractContextManager[None]:
        return said_plainly(self._driver.describe_memory)


def _new_driver(name: str) -> Driver:
    """Sets CUDA up in this process, which takes memory of its own."""
    device = open_device(name)
    with said_plainly(partial(describe_memory, device)):
        return TorchDriver(device)
