"""Why a GPU cannot be used: one sentence each, with what to do."""

import warnings

import pytest

pytest.importorskip("torch", reason="torch is not installed: pip install torch")

import torch

from codec.cuda.availability import describe_memory, open_device, said_plainly
from latentcast.errors import UserError


def refused(name: str = "cuda") -> str:
    with pytest.raises(UserError) as caught:
        open_device(name)
    message = str(caught.value)
    assert "\n" not in message
    assert message.endswith(".")
    return message


@pytest.fixture
def gpus(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Two good ones, as far as torch says."""
    monkeypatch.setattr(torch.version, "cuda", "12.8")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda index: (8, 0))
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda index: f"Model {index}")
    return monkeypatch


def test_a_usable_gpu(gpus: pytest.MonkeyPatch) -> None:
    assert open_device() == torch.device("cuda", 0)
    assert open_device("cuda:1") == torch.device("cuda", 1)


def test_a_torch_without_cuda(gpus: pytest.MonkeyPatch) -> None:
    gpus.setattr(torch.version, "cuda", None)
    assert "built without CUDA" in refused()


def test_a_driver_that_is_too_old(gpus: pytest.MonkeyPatch) -> None:
    """torch says why in a warning, which is not passed on as one."""

    def unavailable() -> bool:
        warnings.warn(
            "The NVIDIA driver on your system is too old (found version 11040). (Triggered at x.cpp:1)", stacklevel=1
        )
        return False

    gpus.setattr(torch.cuda, "is_available", unavailable)
    message = refused()
    assert "too old (found version 11040)" in message
    assert "Triggered" not in message


def test_no_driver(gpus: pytest.MonkeyPatch) -> None:
    gpus.setattr(torch.cuda, "is_available", lambda: False)
    assert "no driver" in refused()


def test_a_device_that_is_not_there(gpus: pytest.MonkeyPatch) -> None:
    assert "0 to 1" in refused("cuda:2")


@pytest.mark.parametrize("name", ["cpu", "meta", "gpu", "cuda:x"])
def test_a_device_that_is_no_gpu(gpus: pytest.MonkeyPatch, name: str) -> None:
    assert refused(name).startswith(f"{name} is not a CUDA device")


def test_no_memory_left_to_set_cuda_up(gpus: pytest.MonkeyPatch) -> None:
    """Nor to say how much there is."""

    def full(device: object) -> None:
        raise RuntimeError("CUDA error: out of memory")

    gpus.setattr(torch.cuda, "get_device_capability", full)
    gpus.setattr(torch.cuda, "mem_get_info", full)
    assert refused() == "the GPU is out of memory; choose a smaller --size or --device cpu."
    assert describe_memory(torch.device("cuda", 0)) == "the GPU is out of memory"


def test_a_gpu_that_is_too_old(gpus: pytest.MonkeyPatch) -> None:
    gpus.setattr(torch.cuda, "get_device_capability", lambda index: (6, 1))
    assert "6.1" in refused()


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
        RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
        RuntimeError("CUDA error: out of memory"),
    ],
)
def test_memory_that_ran_out(error: RuntimeError) -> None:
    with (
        pytest.raises(UserError, match=r"^the GPU is full; choose a smaller --size or --device cpu\.$"),
        said_plainly(lambda: "the GPU is full"),
    ):
        raise error


def test_a_torch_without_code_for_the_gpu() -> None:
    with pytest.raises(UserError, match="no code for this GPU"), said_plainly(lambda: ""):
        raise RuntimeError("CUDA error: no kernel image is available for execution on the device")


def test_a_convolution_without_a_kernel() -> None:
    with pytest.raises(UserError, match=r"no kernel for a convolution.*memory is full"), said_plainly(lambda: ""):
        raise RuntimeError("GET was unable to find an engine to execute this computation")
