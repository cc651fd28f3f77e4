"""What `TorchDriver` asks of CUDA when a capture fails or another thread has one, on a CUDA that only takes notes."""

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from unittest.mock import MagicMock

import pytest

pytest.importorskip("torch", reason="torch is not installed: pip install torch")

import torch
from torch import Tensor

from codec.cuda import driver as module
from codec.cuda.driver import TorchDriver


@pytest.fixture
def pools(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The pool of every capture that was begun. Pools are numbered; what waits for the device needs the lock."""
    begun: list[int] = []
    numbers = count()

    @contextmanager
    def graph(graph: object, *, pool: int, stream: object, capture_error_mode: str) -> Iterator[None]:
        assert module._CAPTURES.locked()
        begun.append(pool)
        yield

    def alone(*device: object) -> None:
        assert module._CAPTURES.locked()

    for name in ("Stream", "CUDAGraph", "stream"):
        monkeypatch.setattr(torch.cuda, name, MagicMock())
    monkeypatch.setattr(torch.cuda, "graph_pool_handle", lambda: next(numbers))
    monkeypatch.setattr(torch.cuda, "graph", graph)
    monkeypatch.setattr(torch.cuda, "synchronize", alone)
    monkeypatch.setattr(torch.cuda, "empty_cache", alone)
    return begun


def test_no_capture_follows_a_failed_one_into_its_pool(pools: list[int]) -> None:
    driver = TorchDriver(torch.device("cuda", 0))
    runs = 0

    def fails_when_captured(x: Tensor) -> tuple[Tensor, ...]:
        nonlocal runs
        runs += 1
        if runs > module.WARM_UP_RUNS:
            raise RuntimeError("out of memory")
        return (x,)

    driver.capture(lambda x: (x,), [torch.ones(1)])
    with pytest.raises(RuntimeError, match="out of memory"):
        driver.capture(fails_when_captured, [torch.ones(1)])
    driver.capture(lambda x: (x,), [torch.ones(1)])
    driver.capture(lambda x: (x,), [torch.ones(1)])
    assert pools == [0, 0, 1, 1]
    driver.forget()
    assert not module._CAPTURES.locked()
