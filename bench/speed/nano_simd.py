"""`nano` on our own kernels, operation by operation.

The programs of `codec.nano.simd` are lists of records that a compiled interpreter runs. Here it is called once for each
record, which costs a microsecond apiece, and the records' weights say what module they are of. A record without weights
counts with the one before it.
"""

import time
from collections.abc import Callable, Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from bench.speed.nano_onnx import SIDES, Planes, frame_feeds, reference_profile
from bench.speed.onnx_profile import Feed
from bench.speed.roofline import Frame, FrameKind, NetworkCost, SideName, Work, module_of, network_cost
from codec.decoder import Decoder
from codec.encoder import Encoder
from codec.layout import Layout
from codec.nano import LATENT_CHANNELS, STATE_CHANNELS
from codec.nano.simd.engine import SimdDecoder, SimdEncoder
from codec.nano.simd.jit import Kernels, kernels
from codec.nano.simd.networks import Network, inter_network, intra_network
from codec.nano.simd.packing import LANES, Block, Layer, Parameters, shipped_entries
from codec.nano.simd.program import PATCH_CHANNELS, Program
from codec.nano.simd.records import OPERATIONS, field
from codec.nano.simd.tensors import NARROW_BYTES, WIDE_BYTES, to_bfloat16
from codec.nano.weights import load_weights

WARM_UP = 2

_WEIGHTS = ("weights", "dc0", "dc3", "ffn0", "ffn2")
"""Fields of a record that hold addresses of weights."""

Record = NDArray[np.int64]


def _operation(record: Record) -> str:
    return tuple(OPERATIONS)[int(record[0])]


def _get(record: Record, name: str) -> int:
    return int(record[field(_operation(record), name)])


def _inputs(record: Record) -> int:
    """Numbers that go into one output of a convolution."""
    return _get(record, "segments") * 2 * _get(record, "pairs")


def _outputs(record: Record) -> int:
    """Channels of a convolution."""
    return _get(record, "blocks") * LANES * int(_operation(record)[-1])


class NanoSimd:
    """`bench.speed.candidates.Opened`."""

    def __init__(self) -> None:
        self._weights = load_weights()

    def encoder(self, *, width: int, height: int) -> Encoder:
        return Encoder(SimdEncoder(), self._weights, width=width, height=height)

    def decoder(self, *, width: int, height: int) -> Decoder:
        return Decoder(SimdDecoder(), self._weights, width=width, height=height)

    def modules(self, clip: Sequence[Planes], *, qp: int, frames: int, kinds: Sequence[FrameKind]) -> list[NetworkCost]:
        """As `NanoOnnx.modules`; the least bytes are those of the same network there, in bfloat16."""
        width, height = clip[0].shape[2], clip[0].shape[1]
        feeds = frame_feeds(clip, qp=qp, frames=frames + WARM_UP, kinds=kinds)
        costs = []
        for kind in kinds:
            for side in SIDES:
                profile = SimdProfile(Layout(width, height), side, kind)
                timed = profile.frames(feeds[side, kind])[WARM_UP:]
                least = reference_profile(width, height, side, kind).work(float_bytes=NARROW_BYTES)
                macs, moved = profile.macs(), profile.moved_bytes()
                work = {name: Work(macs[name], least[name].least_bytes, moved[name]) for name in macs}
                costs.append(network_cost(side, kind, timed, work))
        return costs


class RecordByRecord(Kernels):
    """The compiled kernels, called for one record at a time."""

    def __init__(self, compiled: Kernels) -> None:
        # Not the constructor of the base class: nothing is compiled again.
        self.isa = compiled.isa
        self._compiled = compiled
        self.times_ms: list[float] = []
        self.records: NDArray[np.int64] = np.zeros((0, 0), np.int64)

    def run(self, records: NDArray[np.int64]) -> None:
        """`times_ms` and `records` are then those of this run."""
        self.records = records
        self.times_ms = []
        for number in range(len(records)):
            started = time.perf_counter()
            self._compiled.run(records[number : number + 1])
            self.times_ms.append(1e3 * (time.perf_counter() - started))


class NamedParameters(Parameters):
    """Weights that remember what they are called, by the address at which the kernels read them."""

    def __init__(self, compiled: Kernels) -> None:
        super().__init__(shipped_entries(), compiled.isa)
        self.names: dict[int, str] = {}
        self.sizes: dict[int, int] = {}

    def layer(self, name: str, *, vectors: int | None = None, of_code_values: bool = False) -> Layer:
        layer = super().layer(name, vectors=vectors, of_code_values=of_code_values)
        self._remember(name, [layer])
        return layer

    def upsampling(self, name: str) -> list[Layer]:
        layers = super().upsampling(name)
        self._remember(name, layers)
        return layers

    def block(self, name: str, *, of_code_values: bool = False) -> Block:
        block = super().block(name, of_code_values=of_code_values)
        self._remember(name, [block.dc0, block.dc3, block.ffn0, block.ffn2])
        return block

    def _remember(self, name: str, layers: Iterable[Layer]) -> None:
        for layer in layers:
            self.names[layer.weights.ctypes.data] = name
            self.sizes[layer.weights.ctypes.data] = layer.weights.nbytes + layer.bias.nbytes


class SimdProfile:
    """One of the four programs, for one size."""

    def __init__(self, layout: Layout, side: SideName, kind: FrameKind) -> None:
        self._layout = layout
        self._encoder = side == "encode"
        self._kernels = RecordByRecord(kernels())
        self._parameters = NamedParameters(self._kernels)
        build = inter_network if kind == "P" else intra_network
        self._network: Network = build(Program(self._kernels), self._parameters, layout, encoder=self._encoder)

    def frames(self, feeds: Sequence[Feed]) -> list[Frame]:
        """One for each feed."""
        found = []
        for feed in feeds:
            ms = self._run(feed)
            times: dict[str, float] = {}
            for module, part in zip(self.modules(), self._kernels.times_ms, strict=True):
                times[module] = times.get(module, 0.0) + part
            found.append(Frame(ms, times))
        return found

    def modules(self) -> list[str]:
        """The module of every record; those in front of the first weights belong to it. Run a frame before."""
        names = [self._name(record) for record in self._kernels.records]
        newest = next(name for name in names if name is not None)
        found = []
        for name in names:
            newest = newest if name is None else name
            found.append(newest)
        return found

    def macs(self) -> dict[str, int]:
        """By module, counted from the records. Run a frame before."""
        return self._sum(self._record_macs)

    def moved_bytes(self) -> dict[str, int]:
        """By module: weights, inputs and outputs of every record. What stays in the scratch rows of a block is not."""
        return self._sum(self._record_bytes)

    def _sum(self, count: Callable[[Record], int]) -> dict[str, int]:
        totals: dict[str, int] = {}
        for module, record in zip(self.modules(), self._kernels.records, strict=True):
            totals[module] = totals.get(module, 0) + count(record)
        return totals

    def _name(self, record: Record) -> str | None:
        operation = _operation(record)
        key = "weights" if "weights" in OPERATIONS[operation] else "dc0" if "dc0" in OPERATIONS[operation] else None
        if key is None:
            return None
        # Without the network's name.
        return module_of(self._parameters.names[_get(record, key)].partition(".")[2])

    def _record_macs(self, record: Record) -> int:
        operation = _operation(record)
        positions = _get(record, "rows") * _get(record, "columns") if "rows" in OPERATIONS[operation] else 0
        if operation.startswith("convolution"):
            return positions * _inputs(record) * _outputs(record)
        if operation == "head":
            return positions * 2 * _get(record, "pairs") * PATCH_CHANNELS
        if operation.startswith("block"):
            channels = _get(record, "channels")
            return positions * (6 * channels**2 + 9 * channels)
        return 0

    def _record_bytes(self, record: Record) -> int:
        operation = _operation(record)
        fields = OPERATIONS[operation]
        positions = _get(record, "rows") * _get(record, "columns") if "rows" in fields else 0
        outputs = sum(
            size
            for name, size in (
                ("wide", WIDE_BYTES),
                ("narrow", NARROW_BYTES),
                ("scaled", NARROW_BYTES),
                ("scaled_wide", WIDE_BYTES),
            )
            if f"{name}_step" in fields and _get(record, name)
        )
        weights = sum(self._parameters.sizes.get(_get(record, name), 0) for name in fields if name in _WEIGHTS)
        if operation.startswith("convolution"):
            # Kernels of 2x2 and 3x3 stand at every second position.
            seen = positions * (1 if _get(record, "segments") == 1 else 4)
            inputs = _inputs(record) // _get(record, "segments") ** 2
            return weights + seen * inputs * NARROW_BYTES + positions * _outputs(record) * outputs
        if operation.startswith("block"):
            return weights + positions * _get(record, "channels") * (NARROW_BYTES + WIDE_BYTES + outputs)
        if operation == "head":
            pixels = bool(_get(record, "picture")) + NARROW_BYTES * bool(_get(record, "patches"))
            return weights + positions * (2 * _get(record, "pairs") * NARROW_BYTES + PATCH_CHANNELS * pixels)
        if operation == "patches":
            return positions * PATCH_CHANNELS * (1 + NARROW_BYTES)
        if operation in ("round", "narrow"):
            return _get(record, "count") * (WIDE_BYTES + NARROW_BYTES)
        # Latents: symbols, quantiser step and mean; y in, or y_hat out.
        latent_bytes = {"quantise": 1 + 3 * WIDE_BYTES, "dequantise": 1 + 2 * WIDE_BYTES + NARROW_BYTES}
        return positions * LATENT_CHANNELS * latent_bytes.get(operation, 1 + WIDE_BYTES + NARROW_BYTES)

    def _run(self, feed: Feed) -> float:
        """A frame. feed: as for the graphs of ONNX Runtime, whose state has its channels first.

        Returns its milliseconds, calls of single records included.
        """
        layout = self._layout
        height, width = layout.padded_height, layout.padded_width
        state = np.empty((*layout.state_size, STATE_CHANNELS), np.float32)
        symbols = np.empty((*layout.latent_shape, LATENT_CHANNELS), np.int8)
        picture = np.empty((3, height, width), np.uint8)
        if "state" in feed:
            state[:] = feed["state"][0].transpose(1, 2, 0)
        if self._encoder:
            picture[:] = feed["picture"][0]
        else:
            symbols[:] = feed["symbols"][0].transpose(1, 2, 0)
            z = feed["z"][0].transpose(1, 2, 0).astype(np.float32)
            self._network.z.narrow.values()[:] = to_bfloat16(z)
        new_state = np.empty_like(state)
        started = time.perf_counter()
        self._network.program.run(
            int(feed["qp"][0]),
            picture=picture.ctypes.data,
            picture_out=picture.ctypes.data,
            symbols=symbols.ctypes.data,
            state=state.ctypes.data,
            new_state=new_state.ctypes.data,
        )
        return 1e3 * (time.perf_counter() - started)
