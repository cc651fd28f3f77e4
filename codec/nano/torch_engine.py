"""`nano` in torch on any `codec.torch_runtime.Runtime`: on a GPU, one captured graph for each frame type and side.

The encoder's graph is cut in two where its symbols are done, so that they travel and are coded while the new state is
made. The decoder needs no cut: every symbol is known before its network runs (`docs/nano.md`, "Latents").

States are tensors on the runtime's device. Symbols are exact on every device, states are not (`codec.drift`).
"""

import copy
from functools import cache

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import Tensor

from codec.engine import Picture, Symbols
from codec.layout import Layout
from codec.nano import HYPER_CHANNELS, LATENT_CHANNELS
from codec.nano.networks import Nano, step_0_mask
from codec.nano.weights import WEIGHTS_PATH
from codec.torch_runtime import Runtime


@cache
def _shipped() -> Nano:
    """float32 on the CPU. Not to be moved: engines take copies."""
    return Nano().load(load_file(WEIGHTS_PATH)).requires_grad_(False)


class _Engine:
    def __init__(self, runtime: Runtime, nano: Nano | None = None) -> None:
        """nano: other weights than the shipped ones, float32 on the CPU."""
        self._runtime = runtime
        self._nano = runtime.place(copy.deepcopy(nano or _shipped()))
        self._layout: Layout | None = None
        self._mask: Tensor | None = None

    def _start(self, layout: Layout) -> None:
        # First: graphs may still be running that read the mask.
        self._runtime.reset()
        self._layout = layout
        like = torch.empty(1, LATENT_CHANNELS, *layout.latent_shape, dtype=self._runtime.dtype)
        # Made once for a size; in a graph it would be made again for every frame. On the CPU, then copied: made on the
        # device, it could be read before it is there.
        self._mask = self._runtime.constant(step_0_mask(like))

    def _qp(self, qp: int) -> Tensor:
        return self._runtime.upload("qp", np.array([qp], np.int64))

    def _unit(self, code_values: Tensor) -> Tensor:
        """8-bit code values (3, H, W) as 0..1, (1, 3, H, W): divided in float32, then rounded."""
        return code_values[None].to(torch.float32).div(255).to(self._runtime.dtype)

    def _float(self, integers: Tensor) -> Tensor:
        return integers[None].to(self._runtime.dtype)


class TorchEncoder(_Engine):
    """`codec.engine.EncoderEngine`. What it returns is valid until the next frame, states for good."""

    def prepare(self, layout: Layout) -> None:
        self._start(layout)
        self._intra_front = self._runtime.stretch(self._analyse_intra)
        self._intra_back = self._runtime.stretch(self._state_of_intra)
        self._inter_front = self._runtime.stretch(self._analyse_inter)
        self._inter_back = self._runtime.stretch(self._state_of_inter)
        picture = np.zeros((3, layout.padded_height, layout.padded_width), np.uint8)
        _, _, state = self.intra(picture, 0)
        self.inter(picture, state, 0)

    def intra(self, picture: Picture, qp: int) -> tuple[Symbols, Symbols, Tensor]:
        runtime = self._runtime
        row = self._qp(qp)
        z, symbols, y_hat = self._intra_front(runtime.upload("picture", picture), row)
        arriving = runtime.download("z", z), runtime.download("symbols", symbols)
        state = runtime.keep(*self._intra_back(y_hat, row))
        return arriving[0].result(), arriving[1].result(), state

    def inter(self, picture: Picture, state: Tensor, qp: int) -> tuple[Symbols, Symbols, Tensor]:
        runtime = self._runtime
        row = self._qp(qp)
        z, symbols, y_hat, context = self._inter_front(runtime.upload("picture", picture), state, row)
        arriving = runtime.download("z", z), runtime.download("symbols", symbols)
        new_state = runtime.keep(*self._inter_back(y_hat, context, row))
        return arriving[0].result(), arriving[1].result(), new_state

    def _analyse_intra(self, picture: Tensor, qp: Tensor) -> tuple[Tensor, ...]:
        z, symbols, y_hat = self._nano.intra.analyse(self._unit(picture), qp, self._mask)
        return _bytes(z), _bytes(symbols), y_hat

    def _state_of_intra(self, y_hat: Tensor, qp: Tensor) -> tuple[Tensor, ...]:
        return (self._nano.inter.state_of_picture(self._nano.intra.reconstruct(y_hat, qp)),)

    def _analyse_inter(self, picture: Tensor, state: Tensor, qp: Tensor) -> tuple[Tensor, ...]:
        z, symbols, y_hat, context = self._nano.inter.analyse(self._unit(picture), state, qp, self._mask)
        return _bytes(z), _bytes(symbols), y_hat, context

    def _state_of_inter(self, y_hat: Tensor, context: Tensor, qp: Tensor) -> tuple[Tensor, ...]:
        return (self._nano.inter.feature_adaptor_p(self._nano.inter.feature(y_hat, context, qp)),)


class TorchDecoder(_Engine):
    """`codec.engine.DecoderEngine`. Pictures and states are the caller's for good."""

    def prepare(self, layout: Layout) -> None:
        self._start(layout)
        self._intra_graph = self._runtime.stretch(self._decode_intra)
        self._inter_graph = self._runtime.stretch(self._decode_inter)
        z = np.zeros((HYPER_CHANNELS, *layout.hyper_shape), np.int8)
        symbols = np.zeros((LATENT_CHANNELS, *layout.latent_shape), np.int8)
        _, state = self.intra(z, symbols, 0)
        self.inter(z, symbols, state, 0)

    def intra(self, z: Symbols, symbols: Symbols, qp: int) -> tuple[Picture, Tensor]:
        upload = self._runtime.upload
        return self._handed_out(*self._intra_graph(upload("z", z), upload("symbols", symbols), self._qp(qp)))

    def inter(self, z: Symbols, symbols: Symbols, state: Tensor, qp: int) -> tuple[Picture, Tensor]:
        upload = self._runtime.upload
        return self._handed_out(*self._inter_graph(upload("z", z), upload("symbols", symbols), state, self._qp(qp)))

    def _handed_out(self, code_values: Tensor, state: Tensor) -> tuple[Picture, Tensor]:
        # In this order the state is complete when the picture is: `codec.drift` looks at states.
        kept = self._runtime.keep(state)
        # A copy: whoever shows the picture may still do so when the next one comes down.
        return self._runtime.download("code_values", code_values).result().copy(), kept

    def _decode_intra(self, z: Tensor, symbols: Tensor, qp: Tensor) -> tuple[Tensor, ...]:
        picture = self._nano.intra.decode(self._float(z), self._float(symbols), qp, self._mask)
        return _code_values(picture), self._nano.inter.state_of_picture(picture)

    def _decode_inter(self, z: Tensor, symbols: Tensor, state: Tensor, qp: Tensor) -> tuple[Tensor, ...]:
        inter = self._nano.inter
        feature = inter.decode_feature(self._float(z), self._float(symbols), state, qp, self._mask)
        patches = inter.recon_generation_net.patches(feature, inter.q_recon[qp])
        # Rounded before the shuffle, which then moves bytes.
        return F.pixel_shuffle(_rounded(patches), 8)[0].contiguous(), inter.feature_adaptor_p(feature)


def _rounded(unit: Tensor) -> Tensor:
    return unit.to(torch.float32).mul(255).round().to(torch.uint8)


def _code_values(picture: Tensor) -> Tensor:
    return _rounded(picture[0]).contiguous()


def _bytes(integers: Tensor) -> Tensor:
    """As they travel to the host: whole and in order, whatever the network's memory format."""
    return integers[0].to(torch.int8).contiguous()
