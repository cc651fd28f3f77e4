"""The activations as one kernel each, by `torch.compile`: off unless asked for.

Eager torch runs x * sigmoid(4 x) as three kernels and the sum of the halves behind it as a fourth, each through memory.
Compiled they are one. The price is another arithmetic: in half precision the eager kernels round after every operation,
the compiled one keeps float32 inside unless it is told to round as they do, which is done here. That makes both equal
up to the libraries' exponential functions, which is not proved equal to the last bit on a GPU. So it is no default:
both ends of a `dcvc-rt` stream must choose alike, and the fingerprint of the arithmetic, which is computed with the
network as it runs, keeps those apart that do not.
"""

from typing import TypeVar

import torch
from torch import Tensor, nn

from codec.dcvc_rt.blocks import HalvesWSiLU, WSiLU, wsilu

Model = TypeVar("Model", bound=nn.Module)


def halves_wsilu(x: Tensor) -> Tensor:
    first, second = wsilu(x).chunk(2, dim=1)
    return first + second


class _Compiled(nn.Module):
    def __init__(self, function: object) -> None:
        super().__init__()
        # One kernel for all sizes: a kernel for each would soon be more than torch compiles before it gives up.
        self._function = torch.compile(
            function,  # type: ignore[call-overload]
            dynamic=True,
            fullgraph=True,
            options={"emulate_precision_casts": True},
        )

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self._function(x)
        return y


def compile_pointwise(model: Model) -> Model:
    """Replace every activation of `model`, folded or not, in place. Compiled when first run, so during practice."""
    compiled = {WSiLU: _Compiled(wsilu), HalvesWSiLU: _Compiled(halves_wsilu)}
    for module in list(model.modules()):
        for name, child in module.named_children():
            if type(child) in compiled:
                setattr(module, name, compiled[type(child)])
    return model
