"""The few things the engine asks of CUDA, and torch's way of doing them.

Everything here returns at once; what it asks for happens on the device, in order within a stream and in no order
between streams but the one that `Event`s give. `tests/codec/simulated_cuda.py` is the other `Driver`.
"""

import threading
from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor, nn

from codec.cuda.availability import describe_memory
from codec.cuda.eager import channels_last, set_arithmetic
from codec.torch_runtime import Stretch

# Runs before a capture: libraries set themselves up at the first, and later ones show that they are done.
WARM_UP_RUNS = 3
# Held while anything is captured or cached memory given back: both wait for the whole device or give memory back, which
# breaks another thread's capture.
_CAPTURES = threading.Lock()


class Event(Protocol):
    """A point in a stream."""

    def synchronize(self) -> None:
        """Block the host until the device has got there."""


class Stream(Protocol):
    """A queue of work on the device."""

    def record(self) -> Event:
        """The point behind all work so far."""

    def wait(self, event: Event) -> None:
        """Hold all later work of this stream until the device has reached `event`."""

    def synchronize(self) -> None:
        """Block the host until all work so far is done."""


class Graph(Protocol):
    """A captured stretch. Memory that a graph needs only while it runs belongs to later captures too."""

    outputs: tuple[Tensor, ...]

    def replay(self, stream: Stream) -> None: ...

    def release(self) -> None:
        """Give its memory back. Nothing may be running."""


class Driver(Protocol):
    device: torch.device

    def stream(self, *, urgent: bool) -> Stream:
        """urgent: before the others wherever the device can choose."""

    def host_buffer(self, shape: Sequence[int], dtype: torch.dtype) -> Tensor:
        """Pinned: the only host memory that copies reach without the host waiting."""

    def device_buffer(self, like: Tensor) -> Tensor:
        """Uninitialised, of the shape, type and strides of `like`."""

    def copy(self, target: Tensor, source: Tensor, stream: Stream) -> None: ...

    def clone(self, tensor: Tensor, stream: Stream) -> Tensor:
        """Memory of its own, given back when nobody holds it any more and then reused in the order of `stream`."""

    def capture(self, function: Stretch, inputs: Sequence[Tensor]) -> Graph:
        """Run `function` a few times for practice, then record it on these inputs. Nothing of it has run afterwards.

        Waits for all work before.
        """

    def place(self, module: nn.Module, dtype: torch.dtype) -> None:
        """Move a network to the device, in place, in the memory format its convolutions are fastest in.

        Returns when it is there, whatever stream reads it next.
        """

    def constant(self, tensor: Tensor) -> Tensor:
        """A copy of a tensor on the CPU. Returns when it is there, whatever stream reads it next."""

    def forget(self) -> None:
        """All graphs have been released: give back what they shared."""

    def describe_memory(self) -> str:
        """How full the device is, in words."""


class _TorchStream:
    def __init__(self, stream: torch.cuda.Stream) -> None:
        self.torch = stream

    def record(self) -> Event:
        event = torch.cuda.Event()  # type: ignore[no-untyped-call]
        event.record(self.torch)
        return event

    def wait(self, event: Event) -> None:
        assert isinstance(event, torch.cuda.Event)
        self.torch.wait_event(event)

    def synchronize(self) -> None:
        self.torch.synchronize()


class _TorchGraph:
    def __init__(self, graph: torch.cuda.CUDAGraph, outputs: tuple[Tensor, ...]) -> None:
        self._graph, self.outputs = graph, outputs

    def replay(self, stream: Stream) -> None:
        assert isinstance(stream, _TorchStream)
        with torch.cuda.stream(stream.torch):
            self._graph.replay()

    def release(self) -> None:
        self.outputs = ()
        self._graph.reset()


class TorchDriver:
    """`Driver` on a real device. One for each runtime: its graphs share memory among themselves and with no other."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        set_arithmetic()
        # Practice and capture share a stream: what a library sets up for a stream is then ready in the capture.
        self._capturing = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
        self._pool = torch.cuda.graph_pool_handle()

    def stream(self, *, urgent: bool) -> Stream:
        # Lower numbers go first; 0 is what every stream has that did not ask.
        stream = torch.cuda.Stream(self.device, priority=-1 if urgent else 0)  # type: ignore[no-untyped-call]
        return _TorchStream(stream)

    def host_buffer(self, shape: Sequence[int], dtype: torch.dtype) -> Tensor:
        return torch.empty(tuple(shape), dtype=dtype, pin_memory=True)

    def device_buffer(self, like: Tensor) -> Tensor:
        return torch.empty_like(like, device=self.device)

    @torch.inference_mode()
    def copy(self, target: Tensor, source: Tensor, stream: Stream) -> None:
        assert isinstance(stream, _TorchStream)
        with torch.cuda.stream(stream.torch):
            target.copy_(source, non_blocking=True)

    @torch.inference_mode()
    def clone(self, tensor: Tensor, stream: Stream) -> Tensor:
        assert isinstance(stream, _TorchStream)
        with torch.cuda.stream(stream.torch):
            return tensor.clone()

    @torch.inference_mode()
    def capture(self, function: Stretch, inputs: Sequence[Tensor]) -> Graph:
        with _CAPTURES, torch.cuda.stream(self._capturing):
            torch.cuda.synchronize(self.device)
            for _ in range(WARM_UP_RUNS):
                function(*inputs)
            graph = torch.cuda.CUDAGraph()
            try:
                # Other threads may start work and allocate meanwhile, but not wait for the whole device.
                with torch.cuda.graph(
                    graph, pool=self._pool, stream=self._capturing, capture_error_mode="thread_local"
                ):
                    outputs = function(*inputs)
            except BaseException:
                # No capture can follow a failed one into its pool.
                self._pool = torch.cuda.graph_pool_handle()
                raise
        return _TorchGraph(graph, outputs)

    def place(self, module: nn.Module, dtype: torch.dtype) -> None:
        module.to(self.device, dtype)
        channels_last(module)
        # The copies above are on this thread's stream, and no engine runs there.
        torch.cuda.current_stream(self.device).synchronize()

    def constant(self, tensor: Tensor) -> Tensor:
        # The host waits: the source is not pinned and nothing asks for non_blocking.
        return tensor.to(self.device)

    def forget(self) -> None:
        self._pool = torch.cuda.graph_pool_handle()
        with _CAPTURES:
            torch.cuda.empty_cache()

    def describe_memory(self) -> str:
        return describe_memory(self.device)
