"""Can a stretch be captured as a CUDA graph? Found out without a GPU, on tensors that only pretend to be on one.

    CaptureSafety   fails on what a capture cannot hold or what does not belong in one
    FakeRuntime     a `codec.torch_runtime.Runtime` that runs every stretch under it, on fake CUDA tensors

A fake tensor has shape, strides, type and device, and no numbers, so whatever needs a number to go on fails by itself.
"""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from codec.torch_runtime import Arrived, Download, Network, Stretch

CUDA = torch.device("cuda", 0)

# The host looks at a value, or the size of a result follows from values. Tags of the operators say most of it.
_SYNCHRONISES = {
    "aten::_local_scalar_dense",
    "aten::allclose",
    "aten::equal",
    "aten::is_nonzero",
    "aten::item",
    "aten::masked_select",
    "aten::nonzero",
}
_PINS = {"aten::_pin_memory", "aten::pin_memory"}
_UNSAFE_TAGS = {
    torch.Tag.data_dependent_output: "the host would have to look at a value",
    torch.Tag.dynamic_output_shape: "the size of the result follows from values",
    torch.Tag.nondeterministic_seeded: "random numbers",
}


class UnsafeInCaptureError(Exception):
    """What a stretch did, and why it must not."""


class CaptureSafety(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """While it is on, every operator must stay on `device` and need no value on the host."""

    def __init__(self, device: torch.device) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._device = device
        self.operators: list[str] = []

    def __torch_dispatch__(
        self,
        func: Any,
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        name: str = func._schema.name
        self.operators.append(name)
        if reason := self._reason(name, func, args, kwargs):
            raise UnsafeInCaptureError(f"{name}: {reason}")
        result = func(*args, **kwargs)
        self._all_here(name, result, "makes")
        return result

    def _reason(self, name: str, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> str | None:
        if name in _SYNCHRONISES:
            return "the host would have to look at a value"
        if name in _PINS or kwargs.get("pin_memory"):
            return "an allocation of host memory"
        asked = kwargs.get("device")
        if asked is not None and torch.device(asked).type != self._device.type:
            return f"asks for {asked}, the stretch runs on {self._device}"
        self._all_here(name, (args, kwargs), "is given")
        if name == "aten::index":
            # Integers, as the row of a table, select as many as they are.
            masks = any(index.dtype in (torch.bool, torch.uint8) for index in _tensors(args[1]))
            return "the size of the result follows from a mask" if masks else None
        return next((reason for tag, reason in _UNSAFE_TAGS.items() if tag in func.tags), None)

    def _all_here(self, name: str, tensors: object, does: str) -> None:
        for tensor in _tensors(tensors):
            if tensor.device.type != self._device.type:
                raise UnsafeInCaptureError(
                    f"{name}: {does} a tensor on {tensor.device}, the stretch is on {self._device}"
                )


def _tensors(tree: object) -> list[Tensor]:
    return [leaf for leaf in tree_leaves(tree) if isinstance(leaf, Tensor)]


class WithoutGuards(TorchFunctionMode):
    """Indexing and conversion without the device guard that torch's bindings put around them.

    A torch without CUDA has no such guard and would refuse. Operators are the same.
    """

    def __torch_function__(
        self, func: Any, types: Sequence[type], args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if func is Tensor.__getitem__:
            return _index(*args)
        if func is Tensor.to:
            return _convert(*args, **kwargs)
        if func is Tensor.cpu:
            return _convert(args[0], torch.device("cpu"))
        if func is Tensor.float:
            return _convert(args[0], torch.float32)
        return func(*args, **kwargs)


def _index(tensor: Tensor, index: Any) -> Tensor:
    aten = torch.ops.aten
    dim = 0
    for part in index if isinstance(index, tuple) else (index,):
        if part is None:
            tensor, dim = aten.unsqueeze.default(tensor, dim), dim + 1
        elif isinstance(part, int):
            tensor = aten.select.int(tensor, dim, part)
        elif isinstance(part, slice):
            if part != slice(None):
                assert part.step is None
                tensor = aten.slice.Tensor(tensor, dim, part.start, part.stop)
            dim += 1
        else:
            assert isinstance(part, Tensor)
            tensor, dim = aten.index.Tensor(tensor, [None] * dim + [part]), dim + part.dim()
    return tensor


def _convert(tensor: Tensor, *to: Any, non_blocking: bool = False) -> Tensor:
    wanted: dict[str, Any] = {}
    for argument in to:
        wanted["dtype" if isinstance(argument, torch.dtype) else "device"] = argument
    if all(getattr(tensor, key) == value for key, value in wanted.items()):
        return tensor
    converted: Tensor = torch.ops.aten._to_copy.default(tensor, **wanted)
    return converted


@dataclass(frozen=True, slots=True)
class Call:
    """One run of a stretch."""

    name: str
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]


class FakeRuntime:
    """Place networks, then use it in `with runtime`. calls: every stretch that ran. downloads: what was taken down."""

    def __init__(self, dtype: torch.dtype = torch.float16) -> None:
        self.device, self.dtype = CUDA, dtype
        self.calls: list[Call] = []
        self.downloads: list[tuple[str, Tensor]] = []
        self._modes = ExitStack()
        self._networks: list[nn.Module] = []

    def __enter__(self) -> "FakeRuntime":
        self._modes.enter_context(FakeTensorMode())
        self._modes.enter_context(WithoutGuards())
        for network in self._networks:
            self._pretend(network)
        return self

    def __exit__(self, *error: object) -> None:
        self._modes.close()

    def tensor(self, shape: Sequence[int], dtype: torch.dtype | None = None) -> Tensor:
        return torch.empty(tuple(shape), dtype=dtype or self.dtype, device=self.device)

    def constant(self, tensor: Tensor) -> Tensor:
        return self.tensor(tensor.shape, tensor.dtype)

    def place(self, network: Network) -> Network:
        self._networks.append(network)
        return network

    def _pretend(self, network: nn.Module) -> None:
        """Parameters on the device, in channels last, as `codec.cuda.driver.TorchDriver.place` leaves them."""
        for module in network.modules():
            for name, parameter in module.named_parameters(recurse=False):
                fake = self.tensor(parameter.shape)
                if isinstance(module, nn.Conv2d) and name == "weight":
                    fake = torch.empty_like(fake, memory_format=torch.channels_last)
                module._parameters[name] = nn.Parameter(fake, requires_grad=False)

    def stretch(self, function: Stretch) -> Stretch:
        inner: Callable[..., Any] = getattr(function, "func", function)
        name = inner.__name__

        def run(*inputs: Tensor) -> tuple[Tensor, ...]:
            with torch.inference_mode(), CaptureSafety(self.device):
                outputs = function(*inputs)
            self.calls.append(Call(name, inputs, outputs))
            return outputs

        return run

    def upload(self, key: str, array: NDArray[Any]) -> Tensor:
        return self.tensor(array.shape, getattr(torch, array.dtype.name))

    def download(self, key: str, tensor: Tensor) -> Download:
        self.downloads.append((key, tensor))
        return Arrived(np.zeros(tuple(tensor.shape), str(tensor.dtype).removeprefix("torch.")))

    def keep(self, tensor: Tensor) -> Tensor:
        return torch.empty_like(tensor)

    def synchronize(self) -> None:
        pass

    def reset(self) -> None:
        pass
