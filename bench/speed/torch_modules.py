"""Networks in torch, module by module, on any device.

The models' modules are watched while frames are coded: every public method of a top-level module is timed, and in a
pass of its own, which is slow, what every operation in it reads and writes is counted.
"""

import inspect
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from math import prod
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from bench.speed.roofline import OUTSIDE, Frame, Work, module_of
from codec.complexity import counting


def parts_of(model: nn.Module) -> dict[str, nn.Module]:
    """The modules that get a row each, by name."""
    rows = {name: module for name, module in model.named_modules() if name and module_of(name) == name}
    # Not those that are themselves divided into rows.
    return {name: part for name, part in rows.items() if not any(other.startswith(f"{name}.") for other in rows)}


class Watch:
    """Times modules, outermost calls only. device: is waited for at both ends of every call."""

    def __init__(self, parts: Mapping[str, nn.Module], *, device: str = "cpu") -> None:
        self._parts = parts
        self._device = device
        self.times_ms: dict[str, float] = {}
        """Of the frame so far; the caller clears it between frames."""
        self.boundary_bytes: dict[str, int] = {}
        """Weights, inputs and outputs of every call, likewise."""
        self.current = OUTSIDE
        """The module that runs now."""

    @contextmanager
    def installed(self) -> Iterator[None]:
        """Watch what runs inside."""
        wrapped: list[tuple[nn.Module, str]] = []
        for name, part in self._parts.items():
            public = [key for key, value in vars(type(part)).items() if inspect.isfunction(value) and key[0] != "_"]
            for method in {"forward", *public}:
                # Instance attributes hide the methods of the class, and are what a module's call looks up.
                object.__setattr__(part, method, self._timed(name, part, getattr(part, method)))
                wrapped.append((part, method))
        try:
            yield
        finally:
            for part, method in wrapped:
                object.__delattr__(part, method)

    def _timed(self, name: str, part: nn.Module, method: Callable[..., Any]) -> Callable[..., Any]:
        weights = sum(_bytes(value) for value in part.parameters())

        def call(*args: Any, **kwargs: Any) -> Any:
            if self.current != OUTSIDE:
                return method(*args, **kwargs)
            self.current = name
            self._wait()
            started = time.perf_counter()
            try:
                result = method(*args, **kwargs)
            finally:
                self.current = OUTSIDE
            self._wait()
            self.times_ms[name] = self.times_ms.get(name, 0.0) + 1e3 * (time.perf_counter() - started)
            crossing = sum(_bytes(leaf) for leaf in tree_leaves((args, kwargs, result)) if isinstance(leaf, Tensor))
            self.boundary_bytes[name] = self.boundary_bytes.get(name, 0) + weights + crossing
            return result

        return call

    def _wait(self) -> None:
        if self._device != "cpu":
            torch.cuda.synchronize(self._device)


class _Traffic(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Adds up what operations read and write, by the module that a watch says is running."""

    def __init__(self, watch: Watch) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._watch = watch
        self.moved_bytes: dict[str, int] = {}

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        inputs = [leaf for leaf in tree_leaves((args, kwargs or {})) if isinstance(leaf, Tensor)]
        outputs = [leaf for leaf in tree_leaves(result) if isinstance(leaf, Tensor)]
        if not self._is_view(func, inputs, outputs):
            name = self._watch.current
            self.moved_bytes[name] = self.moved_bytes.get(name, 0) + sum(map(_bytes, (*inputs, *outputs)))
        return result

    @staticmethod
    def _is_view(func: Any, inputs: Sequence[Tensor], outputs: Sequence[Tensor]) -> bool:
        """Whether nothing moved: the result is the memory of an input, which was not written to either."""
        if func._schema.is_mutable:
            return False
        memory = {value.untyped_storage()._cdata for value in inputs}
        return bool(outputs) and all(value.untyped_storage()._cdata in memory for value in outputs)


def measure_modules(
    parts: Mapping[str, nn.Module], code: Callable[[], float], *, frames: int, warm_up: int, device: str = "cpu"
) -> tuple[list[Frame], dict[str, Work]]:
    """Frames as they were timed, and what each module has to do for one.

    code: codes one frame with the modules and returns the milliseconds of its network. It is called once more than
    `warm_up` and `frames` say.
    """
    watch = Watch(parts, device=device)
    timed = []
    with watch.installed():
        for number in range(warm_up + frames):
            watch.times_ms = {}
            ms = code()
            if number >= warm_up:
                timed.append(Frame(ms, watch.times_ms))
    return timed, measure_work(parts, code, device=device)


def measure_work(parts: Mapping[str, nn.Module], code: Callable[[], object], *, device: str = "cpu") -> dict[str, Work]:
    """By module, for one frame; models and pictures may be on the `meta` device, where nothing is computed."""
    watch = Watch(parts, device=device)
    with ExitStack() as stack:
        counts = {name: stack.enter_context(counting(part)) for name, part in parts.items()}
        stack.enter_context(watch.installed())
        traffic = stack.enter_context(_Traffic(watch))
        code()
    return {
        name: Work(
            sum(counts.get(name, {}).values()), watch.boundary_bytes.get(name, 0), traffic.moved_bytes.get(name, 0)
        )
        for name in dict.fromkeys((*watch.boundary_bytes, *traffic.moved_bytes))
    }


def _bytes(value: Tensor) -> int:
    """Of the numbers themselves: a tensor that repeats itself counts once."""
    numbers = prod(size for size, stride in zip(value.shape, value.stride(), strict=True) if stride)
    return numbers * value.element_size()
