"""The order of everything on a GPU, on a simulated one that punishes whatever is not waited for."""

from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
import pytest
from numpy.typing import NDArray

pytest.importorskip("torch", reason="torch is not installed: pip install torch")

import torch
from torch import Tensor

from codec.cuda import staging
from codec.cuda.driver import Stream
from codec.cuda.runtime import CudaRuntime
from codec.cuda.staging import Downloads
from codec.torch_runtime import Download, EagerRuntime, Runtime
from latentcast.errors import UserError
from tests.codec.simulated_cuda import SimulatedDriver, SimulatedGraph, SimulatedStream

SEEDS = range(60)
FRAMES = 6


def simulated(seed: int) -> CudaRuntime:
    """From a device that does nothing before it must to one that mostly keeps up."""
    return CudaRuntime(dtype=torch.float32, driver=SimulatedDriver(seed, eagerness=(0.0, 0.3, 0.6, 0.9)[seed % 4]))


class Toy:
    """An engine in miniature: two kinds of frame, symbols handed out while the state is made, a state that is kept."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        runtime.reset()
        self._front = {kind: runtime.stretch(partial(self._symbols, kind)) for kind in (1, 2)}
        self._back = {kind: runtime.stretch(partial(self._state, kind)) for kind in (1, 2)}

    @staticmethod
    def _symbols(kind: int, picture: Tensor, state: Tensor, row: Tensor) -> tuple[Tensor, ...]:
        hidden = picture.float() * kind + state.roll(1) * 0.5 + row
        return hidden.round().to(torch.int8), hidden

    @staticmethod
    def _state(kind: int, hidden: Tensor, row: Tensor) -> tuple[Tensor, ...]:
        state = hidden.sin() * kind + row
        return state, state.mul(100).round().clamp(0, 255).to(torch.uint8)

    def frame(self, kind: int, picture: NDArray[np.uint8], state: Tensor, row: int) -> tuple[list[Download], Tensor]:
        runtime = self._runtime
        qp = runtime.upload("qp", np.array([row], np.int64))
        symbols, hidden = self._front[kind](runtime.upload("picture", picture), state, qp)
        first = runtime.download("symbols", symbols)
        new_state, shown = self._back[kind](hidden, qp)
        # Read by the copy stream although the next frame's state may get its memory.
        kept = runtime.keep(new_state)
        return [first, runtime.download("shown", shown), runtime.download("state", kept)], kept


def play(runtime: Runtime) -> Iterator[list[NDArray[np.generic]]]:
    """Frames of both kinds. What came down is looked at late: after the host has filled its buffer for the next."""
    toy = Toy(runtime)
    picture = np.zeros(64, np.uint8)
    state = runtime.keep(runtime.upload("start", np.zeros(64, np.float32)))
    for number in range(FRAMES):
        picture[:] = np.arange(64) + 3 * number
        downloads, state = toy.frame(1 + number % 3 % 2, picture, state, number)
        picture[:] = 255
        yield [download.result().copy() for download in downloads]


def same(seed: int) -> bool:
    pairs = zip(play(simulated(seed)), play(EagerRuntime()), strict=True)
    return all(np.array_equal(a, b) for found, wanted in pairs for a, b in zip(found, wanted, strict=True))


@pytest.mark.parametrize("seed", SEEDS)
def test_equal_to_an_eager_run_however_late_the_device_is(seed: int) -> None:
    assert same(seed)


def without_hold(patch: pytest.MonkeyPatch) -> None:
    """Graphs run over downloads. Only with results that nobody waited for does it matter: see `play_ahead`."""
    patch.setattr(Downloads, "hold", lambda self, number: None)


def without_order(patch: pytest.MonkeyPatch) -> None:
    """No stream waits for another."""
    patch.setattr(SimulatedStream, "wait", lambda self, event: None)


def without_waiting_for_the_buffer(patch: pytest.MonkeyPatch) -> None:
    """The host fills an upload buffer that has not been read."""
    send = staging.Uploads.send

    def hasty(self: staging.Uploads, key: str, array: NDArray[np.generic]) -> Tensor:
        for slot in self._slots.values():
            slot.left = None
        return send(self, key, array)

    patch.setattr(staging.Uploads, "send", hasty)


def play_ahead(runtime: Runtime) -> list[NDArray[np.generic]]:
    """The host is frames ahead of the device and looks at everything in the end."""
    toy = Toy(runtime)
    state = runtime.keep(runtime.upload("start", np.zeros(64, np.float32)))
    late = []
    for number in range(FRAMES):
        qp = runtime.upload("qp", np.array([number], np.int64))
        symbols, hidden = toy._front[1](runtime.upload("picture", np.full(64, number, np.uint8)), state, qp)
        late.append(runtime.download(f"symbols {number}", symbols))
        new_state, shown = toy._back[1](hidden, qp)
        state = runtime.keep(new_state)
        late.append(runtime.download(f"shown {number}", shown))
        late.append(runtime.download(f"state {number}", state))
    return [download.result().copy() for download in late]


def same_ahead(seed: int) -> bool:
    return all(map(np.array_equal, play_ahead(simulated(seed)), play_ahead(EagerRuntime())))


@pytest.mark.parametrize("seed", SEEDS)
def test_a_host_far_ahead_of_the_device_changes_nothing(seed: int) -> None:
    assert same_ahead(seed)


def once_more(runtime: Runtime) -> list[NDArray[np.generic]]:
    """One stretch again and again: its own output is overwritten, and what was kept is dropped at once."""
    double = runtime.stretch(lambda x: (x * 2,))
    late = []
    for number in range(FRAMES):
        (out,) = double(runtime.upload("x", np.full(16, number, np.float32)))
        late.append(runtime.download(f"out {number}", out))
    for number in range(FRAMES):
        (out,) = double(runtime.upload("x", np.full(16, number, np.float32)))
        late.append(runtime.download(f"kept {number}", runtime.keep(out)))
    return [download.result().copy() for download in late]


@pytest.mark.parametrize("seed", SEEDS)
def test_outputs_overwritten_and_tensors_dropped_while_they_come_down(seed: int) -> None:
    assert all(map(np.array_equal, once_more(simulated(seed)), once_more(EagerRuntime())))


@pytest.mark.parametrize("broken", [without_hold, without_order, without_waiting_for_the_buffer])
def test_each_wait_is_needed(broken: Callable[[pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch) -> None:
    """Without any one of them the simulated device finds a run that comes out wrong."""
    broken(monkeypatch)
    assert not all(same_ahead(seed) for seed in SEEDS)


def test_an_output_cannot_be_used_after_an_earlier_stretch_ran() -> None:
    runtime = simulated(0)
    first = runtime.stretch(lambda x: (x + 1,))
    second = runtime.stretch(lambda x: (x * 2,))
    x = runtime.upload("x", np.ones(4, np.float32))
    (one,) = first(x)
    (two,) = second(one)
    first(x)
    with pytest.raises(RuntimeError, match="overwritten"):
        runtime.keep(two)
    with pytest.raises(RuntimeError, match="overwritten"):
        runtime.download("two", two)
    (two,) = second(one)
    assert runtime.download("two", two).result().tolist() == [4, 4, 4, 4]


def test_an_output_cannot_be_used_after_a_run_that_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    """It may be half of the old frame and half of the new."""
    runtime = simulated(0)
    double = runtime.stretch(lambda x: (x * 2,))
    x = runtime.upload("x", np.ones(4, np.float32))
    (two,) = double(x)

    def fail(graph: SimulatedGraph, stream: Stream) -> None:
        raise RuntimeError("launch failed")

    with monkeypatch.context() as patch:
        patch.setattr(SimulatedGraph, "replay", fail)
        with pytest.raises(RuntimeError, match="launch failed"):
            double(x)
    with pytest.raises(RuntimeError, match="overwritten"):
        runtime.download("two", two)
    assert runtime.download("two", *double(x)).result().tolist() == [2, 2, 2, 2]


def test_a_stretch_goes_on_reading_where_it_was_captured() -> None:
    """Given another tensor, it would silently read the old one."""
    runtime = simulated(1)
    double = runtime.stretch(lambda x: (x * 2,))
    double(runtime.upload("x", np.ones(4, np.float32)))
    with pytest.raises(RuntimeError, match="another tensor"):
        double(runtime.upload("y", np.ones(4, np.float32)))
    own = runtime.stretch(lambda x: (x * 2,))
    own(torch.ones(4))
    with pytest.raises(RuntimeError, match="captured with"):
        own(torch.ones(5))


def test_a_size_change_leaves_nothing_behind() -> None:
    driver = SimulatedDriver(2)
    runtime = CudaRuntime(dtype=torch.float32, driver=driver)
    for frames in (play(runtime), play(runtime), play(runtime)):
        for _ in frames:
            pass
    runtime.reset()
    assert len(driver.graphs) == 0
    assert len(driver.buffers) == 0


def test_old_stretches_are_refused_after_a_size_change() -> None:
    runtime = simulated(3)
    double = runtime.stretch(lambda x: (x * 2,))
    double(torch.ones(4))
    runtime.reset()
    with pytest.raises(RuntimeError, match="no longer prepared"):
        double(torch.ones(4))


def test_out_of_memory_is_one_sentence_and_the_runtime_lives_on() -> None:
    driver = SimulatedDriver(4)
    runtime = CudaRuntime(dtype=torch.float32, driver=driver)
    fail = True

    def function(x: Tensor) -> tuple[Tensor, ...]:
        if fail:
            # As a capture fails: its end, which fails too, hides the reason.
            try:
                raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 8.00 GiB")
            finally:
                raise RuntimeError("CUDA error: operation failed due to a previous error during capture")
        return (x + 1,)

    stretch = runtime.stretch(function)
    x = runtime.upload("x", np.ones(4, np.float32))
    with pytest.raises(UserError) as caught:
        stretch(x)
    message = str(caught.value)
    assert message.endswith("choose a smaller --size or --device cpu.")
    assert "\n" not in message
    fail = False
    (out,) = stretch(x)
    assert runtime.download("out", out).result().tolist() == [2, 2, 2, 2]
    driver.memory_left = 8
    with pytest.raises(UserError, match="out of memory"):
        runtime.upload("large", np.ones(4, np.float32))
    with pytest.raises(UserError, match="out of memory"):
        runtime.constant(torch.ones(4))


def test_other_errors_pass_as_they_are() -> None:
    def function(x: Tensor) -> tuple[Tensor, ...]:
        raise RuntimeError("shapes do not match")

    with pytest.raises(RuntimeError, match="shapes do not match"):
        simulated(5).stretch(function)(torch.ones(1))
