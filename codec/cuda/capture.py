"""Stretches as graphs: captured at the first call, replayed at every later one.

All graphs of a runtime share one pool of memory, but for those captured after a capture that failed, which share the
next; what holds within a pool is asked of all of them. A graph's outputs are its own as long as graphs that were
captured later run, for they stay allocated while those are captured; but they may lie where an *earlier* graph keeps
what it needs only while it runs. So outputs hold until the stretch itself, or one captured before it, runs again:
frames run their stretches in the order in which they were captured, and `Captured` refuses anything else.
"""

from collections.abc import Callable

from torch import Tensor

from codec.cuda.driver import Driver, Graph, Stream
from codec.torch_runtime import Stretch


class Captured:
    """What the stretches of a runtime know of each other.

    hold: called with the number of a stretch before it runs, to make `stream` wait for whoever still reads what the run
    overwrites.
    """

    def __init__(self, driver: Driver, stream: Stream, hold: Callable[[int], None]) -> None:
        self.driver, self.stream, self.hold = driver, stream, hold
        self._stretches: list[CapturedStretch] = []
        # Tensors with an address for good, by identity; they are held here, so an identity is never used twice.
        self._fixed: dict[int, tuple[Tensor, CapturedStretch | None]] = {}

    def stretch(self, function: Stretch) -> "CapturedStretch":
        return CapturedStretch(function, self)

    def enter(self, stretch: "CapturedStretch", outputs: tuple[Tensor, ...]) -> int:
        """A stretch has been captured. Returns its number, which is its place in the order."""
        self._stretches.append(stretch)
        for output in outputs:
            self._fixed[id(output)] = (output, stretch)
        return len(self._stretches) - 1

    def fix(self, tensor: Tensor) -> None:
        """`tensor` keeps its address, and what it holds is written in the order of the stream."""
        self._fixed[id(tensor)] = (tensor, None)

    def is_fixed(self, tensor: Tensor) -> bool:
        return id(tensor) in self._fixed

    def number_of(self, tensor: Tensor) -> int | None:
        """Number of the stretch that `tensor` came out of; None for any other tensor.

        Raises RuntimeError when it no longer holds what came out.
        """
        _, maker = self._fixed.get(id(tensor), (None, None))
        if maker is None:
            return None
        if not maker.fresh:
            raise RuntimeError(f"output of stretch {maker.number} is used after it has been overwritten")
        return maker.number

    def overwrite(self, number: int) -> None:
        """The stretch `number` is about to run."""
        for stretch in self._stretches[number:]:
            stretch.fresh = False

    def release(self) -> None:
        """Drop all graphs. Nothing may be running."""
        for stretch in self._stretches:
            stretch.release()
        self._stretches.clear()
        self._fixed.clear()


class CapturedStretch:
    """A callable that does what `function` does. Inputs that keep their address are read where they are."""

    def __init__(self, function: Stretch, shared: Captured) -> None:
        self._function: Stretch | None = function
        self._shared = shared
        self._graph: Graph | None = None
        self._inputs: tuple[Tensor, ...] = ()
        self.number = -1
        self.fresh = False
        """Its outputs hold what the latest run put there."""

    def __call__(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        if self._function is None:
            raise RuntimeError("this stretch belongs to a size that is no longer prepared")
        shared = self._shared
        for given in inputs:
            shared.number_of(given)
        graph = self._graph or self._capture(self._function, inputs)
        self._feed(inputs)
        shared.hold(self.number)
        shared.overwrite(self.number)
        graph.replay(shared.stream)
        self.fresh = True
        return graph.outputs

    def _capture(self, function: Stretch, inputs: tuple[Tensor, ...]) -> Graph:
        shared = self._shared
        driver = shared.driver
        read = []
        for given in inputs:
            if shared.is_fixed(given):
                read.append(given)
            else:
                buffer = driver.device_buffer(given)
                # Practice runs on real numbers: what is not a number may take other paths.
                driver.copy(buffer, given, shared.stream)
                read.append(buffer)
        graph = driver.capture(function, read)
        # Nothing is kept of a capture that fails: the next call begins again.
        self._inputs, self._graph = tuple(read), graph
        self.number = shared.enter(self, graph.outputs)
        return graph

    def _feed(self, inputs: tuple[Tensor, ...]) -> None:
        shared = self._shared
        for place, (given, read) in enumerate(zip(inputs, self._inputs, strict=True)):
            if given is read:
                continue
            if shared.is_fixed(read):
                raise RuntimeError(f"stretch {self.number} was captured reading another tensor as input {place}")
            if given.shape != read.shape or given.dtype != read.dtype:
                raise RuntimeError(
                    f"input {place} of stretch {self.number} is {given.dtype} {tuple(given.shape)}, captured with "
                    f"{read.dtype} {tuple(read.shape)}"
                )
            shared.driver.copy(read, given, shared.stream)

    def release(self) -> None:
        if self._graph is not None:
            self._graph.release()
        self._graph, self._function, self._inputs, self.fresh = None, None, (), False
