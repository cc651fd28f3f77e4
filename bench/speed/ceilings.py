"""Two ceilings of this machine, measured in one thread: copy bandwidth and matrix rate.

They are measured in a process of their own: how many threads a linear algebra library uses is settled when it loads.
"""

import importlib.util
import multiprocessing
import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager

import numpy as np

from bench.speed.roofline import Ceilings

COPY_BYTES = 256 << 20
"""Of each array: eight times a large last-level cache."""

MATRIX_SIDES = (768, 1536)
"""Large enough for the blocking of every library, small enough for a product in a tenth of a second."""

RUNS = 7

_THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")


def measure_ceilings(*, copy_bytes: int = COPY_BYTES, sides: tuple[int, ...] = MATRIX_SIDES) -> Ceilings:
    """Of one CPU core, a few seconds. sides: of square matrices; the best counts."""
    with _one_thread(), ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(_measure, copy_bytes, sides).result()


@contextmanager
def _one_thread() -> Iterator[None]:
    """What the child inherits."""
    before = {name: os.environ.get(name) for name in _THREAD_VARIABLES}
    os.environ.update(dict.fromkeys(_THREAD_VARIABLES, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _measure(copy_bytes: int, sides: tuple[int, ...]) -> Ceilings:
    rates = {"float32": max(_numpy_gmac_s(side) for side in sides)}
    how = {"float32": f"numpy {np.__version__}"}
    if importlib.util.find_spec("torch") is not None:
        import torch

        torch.set_num_threads(1)
        for precision in ("float32", "bfloat16"):
            rate = max(torch_gmac_s(side, precision) for side in sides)
            if rate > rates.get(precision, 0.0):
                rates[precision], how[precision] = rate, f"torch {torch.__version__}"
        # What is slower in bfloat16 can be widened and done in float32.
        if rates["bfloat16"] < rates["float32"]:
            rates["bfloat16"], how["bfloat16"] = rates["float32"], f"float32 with {how['float32']}"
    how["copy"] = f"numpy, {copy_bytes >> 20} MiB a time"
    return Ceilings(
        copy_gb_s=round(_copy_gb_s(copy_bytes), 2),
        gmac_s={name: round(rate, 2) for name, rate in rates.items()},
        how=how,
    )


def _copy_gb_s(size: int) -> float:
    source = np.ones(size, np.uint8)
    target = np.zeros_like(source)
    return 2 * size / _median_s(lambda: np.copyto(target, source)) / 1e9


def _numpy_gmac_s(side: int) -> float:
    a = np.random.default_rng(0).standard_normal((side, side), np.float32)
    out = np.empty_like(a)
    return side**3 / _median_s(lambda: np.matmul(a, a, out=out)) / 1e9


def torch_gmac_s(side: int, precision: str, device: str = "cpu") -> float:
    """Billions of multiply-adds a second of a square product in torch. precision: the name of a torch type."""
    import torch

    a = torch.randn(side, side).to(device, getattr(torch, precision))
    out = torch.empty_like(a)

    def product() -> None:
        torch.mm(a, a, out=out)
        if device != "cpu":
            torch.cuda.synchronize(device)

    with torch.inference_mode():
        return side**3 / _median_s(product) / 1e9


def _median_s(run: Callable[[], object]) -> float:
    run()
    times = []
    for _ in range(RUNS):
        started = time.perf_counter()
        run()
        times.append(time.perf_counter() - started)
    return float(np.median(times))
