"""A `codec.cuda.driver.Driver` without a GPU, on which everything that CUDA leaves open goes wrong where it can.

Work is done when somebody waits for it, or at any other time, as a seeded generator decides; streams advance in any
order that their events allow. A host buffer is read when the copy is done, not when it is asked for. A graph destroys,
when it runs, the outputs of all graphs captured after it, which may lie in the memory it works in; memory that nobody
holds is destroyed as soon as the order of its stream allows. So whatever comes out as on an eager runtime, for many
seeds, was waited for.
"""

import random
import weakref
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from codec.cuda.driver import Event, Graph, Stream
from codec.cuda.eager import channels_last
from codec.torch_runtime import Stretch


def poison(tensor: Tensor) -> None:
    """Nothing that was ever computed looks like this."""
    with torch.inference_mode():
        if tensor.is_floating_point():
            tensor.fill_(float("nan"))
        else:
            tensor.fill_(85)


@dataclass(slots=True)
class _Reach:
    event: "SimulatedEvent"


@dataclass(slots=True)
class _Await:
    event: "SimulatedEvent"


_Step = Callable[[], None] | _Reach | _Await


class SimulatedEvent:
    def __init__(self, driver: "SimulatedDriver") -> None:
        self._driver = driver
        self.reached = False

    def synchronize(self) -> None:
        while not self.reached:
            self._driver.advance()


class SimulatedStream:
    def __init__(self, driver: "SimulatedDriver") -> None:
        self._driver = driver
        self.steps: deque[_Step] = deque()

    def record(self) -> Event:
        event = SimulatedEvent(self._driver)
        self.add(_Reach(event))
        return event

    def wait(self, event: Event) -> None:
        assert isinstance(event, SimulatedEvent)
        self.add(_Await(event))

    def synchronize(self) -> None:
        while self.steps:
            self._driver.advance()

    def add(self, step: _Step) -> None:
        self.steps.append(step)
        self._driver.maybe_advance()


class SimulatedGraph:
    def __init__(self, driver: "SimulatedDriver", function: Stretch, inputs: tuple[Tensor, ...]) -> None:
        self._driver, self._function, self._inputs = driver, function, inputs
        with torch.inference_mode():
            self.outputs = tuple(output.clone() for output in function(*inputs))
        for output in self.outputs:
            poison(output)

    def replay(self, stream: Stream) -> None:
        assert isinstance(stream, SimulatedStream)
        stream.add(self._run)

    def _run(self) -> None:
        with torch.inference_mode():
            results = self._function(*self._inputs)
            for graph in self._driver.graphs[self._driver.graphs.index(self) :]:
                for output in graph.outputs:
                    poison(output)
            for output, result in zip(self.outputs, results, strict=True):
                output.copy_(result)

    def release(self) -> None:
        assert not self._driver.busy
        self._driver.graphs.remove(self)


class SimulatedDriver:
    """eagerness: how much of the work gets done before anybody waits for it, 0..1."""

    def __init__(self, seed: int, *, eagerness: float = 0.5) -> None:
        self.device = torch.device("cpu")
        self._random = random.Random(seed)
        self._eagerness = eagerness
        self._streams: list[SimulatedStream] = []
        self.graphs: list[SimulatedGraph] = []
        self.buffers = weakref.WeakSet[Tensor]()
        self.memory_left = 1 << 40

    @property
    def busy(self) -> bool:
        return any(stream.steps for stream in self._streams)

    def advance(self) -> None:
        """One step of one stream that can go on."""
        able = [stream for stream in self._streams if stream.steps and self._can(stream.steps[0])]
        assert able, "every stream waits for another"
        step = self._random.choice(able).steps.popleft()
        if isinstance(step, _Reach):
            step.event.reached = True
        elif not isinstance(step, _Await):
            step()

    def _can(self, step: _Step) -> bool:
        return not isinstance(step, _Await) or step.event.reached

    def maybe_advance(self) -> None:
        while self.busy and self._random.random() < self._eagerness:
            self.advance()

    def stream(self, *, urgent: bool) -> Stream:
        self._streams.append(SimulatedStream(self))
        return self._streams[-1]

    def host_buffer(self, shape: Sequence[int], dtype: torch.dtype) -> Tensor:
        return self._new(torch.empty(tuple(shape), dtype=dtype))

    def device_buffer(self, like: Tensor) -> Tensor:
        return self._new(torch.empty_like(like))

    def _new(self, tensor: Tensor) -> Tensor:
        self.memory_left -= tensor.nbytes
        if self.memory_left < 0:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate ...")
        poison(tensor)
        self.buffers.add(tensor)
        return tensor

    def copy(self, target: Tensor, source: Tensor, stream: Stream) -> None:
        assert isinstance(stream, SimulatedStream)
        # Other names for the memory, so that being copied does not keep it from being given back.
        to, of = target.detach(), source.detach()

        def run() -> None:
            with torch.inference_mode():
                to.copy_(of)

        stream.add(run)

    def clone(self, tensor: Tensor, stream: Stream) -> Tensor:
        assert isinstance(stream, SimulatedStream)
        with torch.inference_mode():
            made = self._new(torch.empty_like(tensor))
        memory = made.detach()
        self.copy(made, tensor, stream)
        weakref.finalize(made, lambda: stream.steps.append(lambda: poison(memory)))
        return made

    def capture(self, function: Stretch, inputs: Sequence[Tensor]) -> Graph:
        for stream in self._streams:
            stream.synchronize()
        graph = SimulatedGraph(self, function, tuple(inputs))
        self.graphs.append(graph)
        return graph

    def place(self, module: nn.Module, dtype: torch.dtype) -> None:
        module.to(dtype)
        channels_last(module)

    def constant(self, tensor: Tensor) -> Tensor:
        made = self._new(torch.empty_like(tensor))
        made.copy_(tensor)
        return made

    def forget(self) -> None:
        assert not self.graphs

    def describe_memory(self) -> str:
        return "the GPU Simulated is out of memory (0.0 of 1.0 GiB free)"
