"""The networks layer by layer on any device: what captured graphs are compared with, and timed against."""

from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from codec.torch_runtime import Arrived, Download, Network, Stretch


def set_arithmetic() -> None:
    """Both ends of a stream must choose the same kernels, so nothing may choose by the clock or by chance.

    cuDNN's own search takes whichever kernel won a race on this machine, today. TF32 and sums in half precision would
    make results depend on which library a layer went to.
    """
    torch.backends.cudnn.benchmark = False
    torch.backends.cudnn.deterministic = True
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cuda.matmul.allow_fp16_reduced_precision_reduction = False


def channels_last(network: nn.Module) -> None:
    """Convolution weights in the format of tensor cores, in place.

    In the other format every convolution is wrapped in two transposes. The weights alone decide, whatever the strides
    of what comes in, so both ends of a stream run the same kernels.
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            module.weight.data = module.weight.data.to(memory_format=torch.channels_last)


class LayerByLayer:
    """`codec.torch_runtime.Runtime` without graphs, streams or pinned memory: every copy waits."""

    def __init__(self, device: torch.device, dtype: torch.dtype) -> None:
        self.device, self.dtype = device, dtype
        set_arithmetic()

    def place(self, network: Network) -> Network:
        network.to(self.device, self.dtype)
        channels_last(network)
        return network

    def constant(self, tensor: Tensor) -> Tensor:
        return tensor.to(self.device)

    def stretch(self, function: Stretch) -> Stretch:
        def run(*inputs: Tensor) -> tuple[Tensor, ...]:
            with torch.inference_mode():
                return function(*inputs)

        return run

    def upload(self, key: str, array: NDArray[Any]) -> Tensor:
        return torch.from_numpy(array.copy()).to(self.device)

    def download(self, key: str, tensor: Tensor) -> Download:
        return Arrived(tensor.cpu().numpy())

    def keep(self, tensor: Tensor) -> Tensor:
        return tensor

    def synchronize(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)

    def reset(self) -> None:
        self.synchronize()
