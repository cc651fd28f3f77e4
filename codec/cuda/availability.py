"""Can a GPU be used, and if not, why: in one sentence that says what to do."""

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

import torch

from latentcast.errors import UserError

# Volta, the first with the half-precision units that the engine is built for.
MIN_CAPABILITY = (7, 0)
# How CUDA's libraries say that memory ran out where torch does not recognise it.
_OUT_OF_MEMORY = ("out of memory", "ALLOC_FAILED", "cudaErrorMemoryAllocation")
_NO_KERNELS = "no kernel image is available"
# cuDNN's word for a convolution that it cannot run at all: a GPU it does not know, or no memory to work in.
_NO_ENGINE = "unable to find an engine"


def open_device(name: str = "cuda") -> torch.device:
    """The device `cuda` or `cuda:N`. Raises UserError when there is none that can be used."""
    device = _parse(name)
    if torch.version.cuda is None:
        raise UserError(
            f"the installed torch {torch.__version__} was built without CUDA; install a CUDA build of torch, or use "
            f"--device cpu."
        )
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        # Warns with the reason when a driver is too old or does not answer.
        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if count == 0:
        reason = str(caught[-1].message).partition("(Triggered")[0].strip().rstrip(".") if caught else "no driver"
        raise UserError(
            f"no CUDA device can be used: {reason}; install or update the NVIDIA driver, or use --device cpu."
        )
    index = device.index or 0
    if index >= count:
        raise UserError(f"there is no CUDA device {index}: the devices here are 0 to {count - 1}; choose one of them.")
    # The first call that sets CUDA up in this process, which takes memory.
    with said_plainly(partial(describe_memory, device)):
        capability = torch.cuda.get_device_capability(index)
    if capability < MIN_CAPABILITY:
        raise UserError(
            f"the GPU {torch.cuda.get_device_name(index)} has compute capability {capability[0]}.{capability[1]}, and "
            f"{MIN_CAPABILITY[0]}.{MIN_CAPABILITY[1]} or newer is needed; use --device cpu."
        )
    return torch.device("cuda", index)


def _parse(name: str) -> torch.device:
    try:
        device = torch.device(name)
    except RuntimeError:
        device = None
    if device is None or device.type != "cuda":
        raise UserError(f"{name} is not a CUDA device; choose cuda, or cuda:N for one of several.")
    return device


def describe_memory(device: torch.device) -> str:
    """How full the device is, in words; fewer where it does not answer, as it may not when it is full."""
    try:
        free, total = torch.cuda.mem_get_info(device)
        name = torch.cuda.get_device_name(device)
    except RuntimeError:
        return "the GPU is out of memory"
    return f"the GPU {name} is out of memory ({free / 2**30:.1f} of {total / 2**30:.1f} GiB free)"


@contextmanager
def said_plainly(describe_memory: Callable[[], str]) -> Iterator[None]:
    """Turn CUDA's three errors that a user can do something about into UserError; any other passes.

    describe_memory: how full the device is, in words.
    """
    try:
        yield
    except RuntimeError as error:
        # An error inside a capture makes the capture's end fail too, and that is the one to arrive here.
        said = " ".join(str(link) for link in _chain(error))
        if any(text in said for text in _OUT_OF_MEMORY):
            raise UserError(f"{describe_memory()}; choose a smaller --size or --device cpu.") from error
        if _NO_KERNELS in said:
            raise UserError(
                f"the installed torch {torch.__version__} has no code for this GPU; install a build of torch that "
                f"supports it, or use --device cpu."
            ) from error
        if _NO_ENGINE in said:
            raise UserError(
                f"cuDNN finds no kernel for a convolution: the installed torch {torch.__version__} has none for this "
                f"GPU, or the GPU's memory is full; choose a smaller --size, another build of torch or --device cpu."
            ) from error
        raise


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """The error and those it was raised in consequence of."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
