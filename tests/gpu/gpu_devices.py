"""What the tests of a real GPU share. They need one; `pytest tests/gpu` runs them all."""

import pytest
import torch

from codec.cuda.eager import LayerByLayer
from codec.cuda.runtime import CudaRuntime
from codec.torch_runtime import Runtime

on_a_gpu = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device"),
]


def graphs(dtype: torch.dtype = torch.float16) -> CudaRuntime:
    return CudaRuntime("cuda", dtype)


def layers(dtype: torch.dtype = torch.float16) -> Runtime:
    """The same network on the same device, without graphs, streams or pinned memory."""
    return LayerByLayer(torch.device("cuda", 0), dtype)
