"""Compiled activations against eager ones, on the CPU: the same algebra through the other compiler."""

import shutil

import pytest

pytest.importorskip("torch", reason="torch is not installed: pip install torch")

import torch
from torch import nn

from codec.cuda.pointwise import compile_pointwise
from codec.dcvc_rt.blocks import HalvesWSiLU, WSiLU

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("g++") is None, reason="no C++ compiler for torch.compile"),
    # torch's own, on its way through its compiler.
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
@pytest.mark.parametrize("activation", [WSiLU, HalvesWSiLU])
@torch.inference_mode()
def test_compiled_activations_equal_eager_ones(activation: type[nn.Module], dtype: torch.dtype) -> None:
    """To the last bit, in half precision too: rounded after every operation, as the eager ones are."""
    torch.manual_seed(1)
    compiled = compile_pointwise(nn.Sequential(activation()))
    assert not isinstance(compiled[0], activation)
    for size in ((7, 9), (16, 16), (33, 5)):
        x = (3 * torch.randn(1, 16, *size)).to(dtype)
        assert torch.equal(compiled(x), activation()(x))
