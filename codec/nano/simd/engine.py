"""The CPU engine in bfloat16: our own kernels, compiled for the processor at start-up.

Twice the speed of float32 where the processor multiplies bfloat16 in hardware, and its equal elsewhere
(`docs/decisions/0006-bfloat16-kernels.md`). The order of every sum is fixed by the kernels and every operation rounded
as IEEE 754 says, so two machines that run them compute the same states to the last bit, whatever their make.
"""

from collections.abc import Callable
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from codec.engine import Picture, Symbols
from codec.layout import INTER_QP_ROWS, INTRA_QP_ROWS, Layout
from codec.nano import HYPER_CHANNELS, LATENT_CHANNELS, STATE_CHANNELS
from codec.nano.simd.jit import Kernels, kernels
from codec.nano.simd.networks import Network, inter_network, intra_network
from codec.nano.simd.packing import Parameters, shipped_entries
from codec.nano.simd.program import Program
from codec.nano.simd.tensors import to_bfloat16

StateTensor = NDArray[np.float32]
"""(rows, columns, 64)."""

Kind = Literal["intra", "inter"]
_NETWORKS: dict[Kind, tuple[Callable[..., Network], int]] = {
    "intra": (intra_network, INTRA_QP_ROWS),
    "inter": (inter_network, INTER_QP_ROWS),
}


def _check(name: str, array: NDArray[np.generic], shape: tuple[int, ...], dtype: type[np.generic]) -> None:
    """The kernels follow addresses and would read past the end of anything smaller."""
    if array.shape != shape or array.dtype != dtype:
        raise ValueError(f"{name}: shape {array.shape} of {array.dtype}, expected {shape} of {np.dtype(dtype)}")


class _Engine:
    """Both programs of one side, for one size at a time."""

    def __init__(self, compiled: Kernels | None, *, encoder: bool) -> None:
        self._kernels = kernels() if compiled is None else compiled
        self._parameters = Parameters(shipped_entries(), self._kernels.isa)
        self._encoder = encoder
        self._layout: Layout | None = None
        self._networks: dict[Kind, Network] = {}

    def prepare(self, layout: Layout) -> None:
        """Lay out memory for one size; that of another size is given back."""
        padded = Layout(layout.padded_width, layout.padded_height)
        if padded == self._layout:
            return
        self._layout = padded
        self._networks = {
            kind: build(Program(self._kernels), self._parameters, padded, encoder=self._encoder)
            for kind, (build, _) in _NETWORKS.items()
        }

    def _fit(self, width: int, height: int) -> Layout:
        """Make ready for pictures of this padded size."""
        self.prepare(Layout(width, height))
        assert self._layout is not None
        return self._layout

    def _run(
        self,
        kind: Kind,
        layout: Layout,
        state: StateTensor | None,
        qp: int,
        **arrays: NDArray[np.uint8] | NDArray[np.int8],
    ) -> StateTensor:
        """Run a network with this frame's memory. Returns the new state."""
        if not 0 <= qp < _NETWORKS[kind][1]:
            raise ValueError(f"QP row {qp} is out of range for an {kind} frame")
        shape = (*layout.state_size, STATE_CHANNELS)
        new_state = np.empty(shape, np.float32)
        addresses = {name: array.ctypes.data for name, array in arrays.items()}
        if state is not None:
            _check("state", state, shape, np.float32)
            state = np.ascontiguousarray(state)
            addresses["state"] = state.ctypes.data
        self._networks[kind].program.run(qp, new_state=new_state.ctypes.data, **addresses)
        return new_state


class SimdEncoder(_Engine):
    """`codec.engine.EncoderEngine` for `nano`, in one thread. compiled: kernels other than this processor's best."""

    def __init__(self, compiled: Kernels | None = None) -> None:
        super().__init__(compiled, encoder=True)

    def intra(self, picture: Picture, qp: int) -> tuple[Symbols, Symbols, StateTensor]:
        return self._encode("intra", picture, None, qp)

    def inter(self, picture: Picture, state: StateTensor, qp: int) -> tuple[Symbols, Symbols, StateTensor]:
        return self._encode("inter", picture, state, qp)

    def _encode(
        self, kind: Kind, picture: Picture, state: StateTensor | None, qp: int
    ) -> tuple[Symbols, Symbols, StateTensor]:
        layout = self._fit(picture.shape[2], picture.shape[1])
        _check("picture", picture, (3, layout.height, layout.width), np.uint8)
        symbols = np.empty((*layout.latent_shape, LATENT_CHANNELS), np.int8)
        new_state = self._run(kind, layout, state, qp, picture=np.ascontiguousarray(picture), symbols=symbols)
        z = self._networks[kind].z.wide.values().astype(np.int8)
        # A view: the memory stays position by position, which is the order in which slices are coded.
        return np.ascontiguousarray(z.transpose(2, 0, 1)), symbols.transpose(2, 0, 1), new_state


class SimdDecoder(_Engine):
    """`codec.engine.DecoderEngine` for `nano`, in one thread. compiled: kernels other than this processor's best."""

    def __init__(self, compiled: Kernels | None = None) -> None:
        super().__init__(compiled, encoder=False)

    def intra(self, z: Symbols, symbols: Symbols, qp: int) -> tuple[Picture, StateTensor]:
        return self._decode("intra", z, symbols, None, qp)

    def inter(self, z: Symbols, symbols: Symbols, state: StateTensor, qp: int) -> tuple[Picture, StateTensor]:
        return self._decode("inter", z, symbols, state, qp)

    def _decode(
        self, kind: Kind, z: Symbols, symbols: Symbols, state: StateTensor | None, qp: int
    ) -> tuple[Picture, StateTensor]:
        layout = self._fit(16 * symbols.shape[2], 16 * symbols.shape[1])
        _check("symbols", symbols, (LATENT_CHANNELS, *layout.latent_shape), np.int8)
        _check("z", z, (HYPER_CHANNELS, *layout.hyper_shape), np.int8)
        # z fits the eight significant bits of bfloat16.
        self._networks[kind].z.narrow.values()[:] = to_bfloat16(z.transpose(1, 2, 0).astype(np.float32))
        picture = np.empty((3, layout.height, layout.width), np.uint8)
        by_position = np.ascontiguousarray(symbols.transpose(1, 2, 0))
        new_state = self._run(kind, layout, state, qp, picture_out=picture, symbols=by_position)
        return picture, new_state
