"""A network as the list of operations that the compiled interpreter runs, with all its memory laid out beforehand."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from codec.nano.simd.jit import Kernels
from codec.nano.simd.packing import Block, Layer
from codec.nano.simd.records import OPERATIONS, RECORD_FIELDS, field
from codec.nano.simd.tensors import WIDE_BYTES, Pair, Tensor, aligned_bytes, narrow_tensor, wide_tensor

PATCH = 8
PATCH_CHANNELS = 3 * PATCH * PATCH


@dataclass(frozen=True, slots=True)
class Outputs:
    """Where a layer's result goes; at least one. `scaled` and `scaled_wide`: after the factors of table `scale`."""

    wide: Tensor | None = None
    narrow: Tensor | None = None
    scaled: Tensor | None = None
    scaled_wide: Tensor | None = None
    scale: NDArray[np.float32] | None = None


@dataclass(frozen=True, slots=True)
class _Scratch:
    """Rows between the layers of a block. ring: three rows and one that stays zero, a zero position at each end."""

    ring: Tensor
    mixed: Tensor
    middle: Tensor
    middle_narrow: Tensor
    hidden: Tensor


class Program:
    """Operations are appended once, for one size; `run` executes them with that frame's addresses and QP."""

    def __init__(self, kernels: Kernels) -> None:
        self._kernels = kernels
        self._list: list[NDArray[np.int64]] = []
        self._records = np.zeros((0, RECORD_FIELDS), np.int64)
        self._alive: list[Any] = []
        self._scratch: dict[tuple[int, int], _Scratch] = {}
        # (record, field, name, offset) and (record, field, first row, bytes of a row): filled in frame by frame.
        self._addresses: list[tuple[int, int, str, int]] = []
        self._factors: list[tuple[int, int, int, int]] = []

    # Frame by frame -----------------------------------------------------------------------------------------------

    def run(self, qp: int, **addresses: int) -> None:
        """Run the network. addresses: of the memory that was named when the operations were appended."""
        records = self._records
        if len(records) != len(self._list):
            records = self._records = np.array(self._list, np.int64)
        for record, at, name, offset in self._addresses:
            records[record, at] = addresses[name] + offset
        for record, at, first, size in self._factors:
            records[record, at] = first + qp * size
        self._kernels.run(records)

    # Appending ----------------------------------------------------------------------------------------------------

    def _append(self, operation: str, tensors: dict[str, Tensor | str | NDArray[Any] | None], **numbers: int) -> None:
        """tensors: address, row and step of each go to the fields of its name; a string names a frame's address."""
        record = np.zeros(RECORD_FIELDS, np.int64)
        record[0] = list(OPERATIONS).index(operation)
        names = OPERATIONS[operation]
        self._alive.append(tensors)
        for name, value in numbers.items():
            record[field(operation, name)] = value
        for name, tensor in tensors.items():
            if isinstance(tensor, str):
                self._addresses.append((len(self._list), field(operation, name), tensor, 0))
            elif isinstance(tensor, np.ndarray):
                record[field(operation, name)] = tensor.ctypes.data
            elif tensor is not None:
                record[field(operation, name)] = tensor.address
                for part, size in (("row", tensor.row), ("step", tensor.step)):
                    if f"{name}_{part}" in names:
                        record[field(operation, f"{name}_{part}")] = size
        self._list.append(record)

    def _name(self, operation: str, key: str, name: str) -> None:
        """The address of field `key` of the newest operation comes with every frame as `name`."""
        self._addresses.append((len(self._list) - 1, field(operation, key), name, 0))

    def _outputs(self, operation: str, outputs: Outputs, wide_name: str | None) -> None:
        record = len(self._list) - 1
        if outputs.scale is not None:
            self._alive.append(outputs.scale)
            first, size = outputs.scale.ctypes.data, outputs.scale.shape[1] * WIDE_BYTES
            self._factors.append((record, field(operation, "scale"), first, size))
        if wide_name is not None:
            self._name(operation, "wide", wide_name)

    def convolution(
        self,
        layer: Layer,
        source: Tensor,
        outputs: Outputs,
        *,
        rows: int,
        columns: int,
        stride: int = 1,
        relu: bool = False,
        wide_name: str | None = None,
    ) -> None:
        """A layer over `source` (bfloat16), which begins at the first position that the kernel sees.

        wide_name: the memory of `outputs.wide` comes with every frame under this name.
        """
        operation = f"convolution{layer.vectors}"
        if layer.kernel > 1 and source.step != layer.inputs * source.size:
            raise ValueError("a kernel larger than 1x1 needs positions without gaps between them")
        tensors: dict[str, Tensor | str | NDArray[Any] | None] = {
            "a": source,
            "weights": layer.weights,
            "bias": layer.bias,
            "wide": outputs.wide,
            "narrow": outputs.narrow,
            "scaled": outputs.scaled,
            "scaled_wide": outputs.scaled_wide,
        }
        self._append(
            operation,
            tensors,
            rows=rows,
            columns=columns,
            segments=layer.kernel,
            segment_step=source.row,
            pairs=layer.kernel * layer.inputs // 2,
            blocks=layer.outputs // (16 * layer.vectors),
            relu=int(relu),
        )
        record = self._list[-1]
        record[field(operation, "a_row")] *= stride
        record[field(operation, "a_step")] *= stride
        self._outputs(operation, outputs, wide_name)

    def block(
        self,
        block: Block,
        source: Pair,
        outputs: Outputs,
        *,
        shortcut: bool = False,
        base_name: str | None = None,
        wide_name: str | None = None,
    ) -> None:
        """A block behind its adaptor; `outputs` may be `source`. base_name: the memory of `source.wide`, by frame."""
        rows, columns = source.narrow.rows, source.narrow.columns
        scratch = self._scratch_for(columns, block.channels)
        operation = f"block{block.vectors}"
        tensors: dict[str, Tensor | str | NDArray[Any] | None] = {
            "x": source.narrow,
            "base": source.wide,
            "dc0": block.dc0.weights,
            "dc0_bias": block.dc0.bias,
            "dc2": block.depthwise,
            "dc2_bias": block.depthwise_bias,
            "dc3": block.dc3.weights,
            "dc3_bias": block.dc3.bias,
            "ffn0": block.ffn0.weights,
            "ffn0_bias": block.ffn0.bias,
            "ffn2": block.ffn2.weights,
            "ffn2_bias": block.ffn2.bias,
            "ring": scratch.ring,
            "mixed": scratch.mixed,
            "middle": scratch.middle,
            "middle_narrow": scratch.middle_narrow,
            "hidden": scratch.hidden,
            "wide": outputs.wide,
            "narrow": outputs.narrow,
            "scaled": outputs.scaled,
            "scaled_wide": outputs.scaled_wide,
        }
        self._append(
            operation,
            tensors,
            rows=rows,
            columns=columns,
            shortcut=int(shortcut),
            channels=block.channels,
            blocks=block.channels // (16 * block.vectors),
        )
        if base_name is not None:
            self._name(operation, "base", base_name)
        self._outputs(operation, outputs, wide_name)

    def _scratch_for(self, columns: int, channels: int) -> _Scratch:
        key = (columns, channels)
        if key not in self._scratch:
            self._scratch[key] = _Scratch(
                wide_tensor(4, columns + 2, channels),
                narrow_tensor(1, columns, channels),
                wide_tensor(1, columns, channels),
                narrow_tensor(1, columns, channels),
                narrow_tensor(1, columns, 2 * channels),
            )
        return self._scratch[key]

    def adapted_block(
        self,
        block: Block,
        source: Tensor,
        between: Pair,
        outputs: Outputs,
        *,
        wide_name: str | None = None,
    ) -> None:
        """A block with its adaptor, whose result goes to `between`."""
        assert block.adaptor is not None
        rows, columns = between.narrow.rows, between.narrow.columns
        both = Outputs(wide=between.wide, narrow=between.narrow)
        self.convolution(block.adaptor, source, both, rows=rows, columns=columns)
        self.block(block, between, outputs, wide_name=wide_name)

    def upsampling(self, phases: list[Layer], source: Tensor, narrow: Tensor, wide: Tensor | None = None) -> None:
        """conv1x1 and pixel shuffle by 2 into `narrow` and, if given, `wide`."""
        for number, layer in enumerate(phases):
            dy, dx = divmod(number, 2)
            wide_phase = None if wide is None else wide.phase(dy, dx)
            outputs = Outputs(wide=wide_phase, narrow=narrow.phase(dy, dx))
            self.convolution(layer, source, outputs, rows=source.rows, columns=source.columns)

    def patches(self, out: Tensor, *, picture: str) -> None:
        """The picture of this frame, uint8 (3, 8 rows, 8 columns), as patches of code values."""
        width = PATCH * out.columns
        numbers = {"picture_row": width, "picture_plane": width * PATCH * out.rows}
        self._append("patches", {"out": out, "picture": picture}, rows=out.rows, columns=out.columns, **numbers)

    def head(self, layer: Layer, source: Tensor, *, picture: str | None, patches: Tensor | None = None) -> None:
        """Features to the picture of this frame, uint8 (3, 8 rows, 8 columns), and the same as patches, 0..1."""
        width = PATCH * source.columns
        tensors: dict[str, Tensor | str | NDArray[Any] | None] = {
            "a": source,
            "weights": layer.weights,
            "bias": layer.bias,
            "scratch": aligned_bytes(source.columns * layer.outputs * WIDE_BYTES),
            "picture": picture,
            "patches": patches,
        }
        self._append(
            "head",
            tensors,
            rows=source.rows,
            columns=source.columns,
            pairs=layer.inputs // 2,
            blocks=layer.outputs // (16 * layer.vectors),
            picture_row=width,
            picture_plane=width * PATCH * source.rows,
        )

    def quantise(
        self, parity: int, y: Tensor, params: Tensor, mean: Tensor, *, symbols: str, y_name: str | None = None
    ) -> None:
        """The symbols of coding step `parity`, int8 (rows, columns, 64). y_name: the memory of `y`, by frame."""
        self._append(
            "quantise",
            {"y": y, "params": params, "mean": mean, "symbols": symbols},
            rows=y.rows,
            columns=y.columns,
            parity=parity,
            symbols_row=y.columns * y.channels,
        )
        if y_name is not None:
            self._name("quantise", "y", y_name)

    def dequantise_first(self, params: Tensor, out: Tensor, *, symbols: str) -> None:
        """Step 0's latents as the spatial prior sees them."""
        sizes = {"rows": out.rows, "columns": out.columns, "symbols_row": out.columns * out.channels}
        self._append("dequantise_first", {"params": params, "out": out, "symbols": symbols}, **sizes)

    def dequantise(self, params: Tensor, mean: Tensor, out: Tensor, *, symbols: str) -> None:
        """All latents."""
        sizes = {"rows": out.rows, "columns": out.columns, "symbols_row": out.columns * out.channels}
        self._append("dequantise", {"params": params, "mean": mean, "out": out, "symbols": symbols}, **sizes)

    def round_z(self, z: Pair) -> None:
        """Round and clamp `z.wide` in place; `z.narrow` becomes the same."""
        count = z.wide.rows * z.wide.columns * z.wide.channels
        self._append("round", {"x": z.wide, "narrow": z.narrow}, count=count)

    def narrow(self, out: Tensor, *, source: str) -> None:
        """A frame's float32 tensor as bfloat16."""
        count = out.rows * out.columns * out.channels
        self._append("narrow", {"x": source, "narrow": out}, count=count)

    def pad(self, x: Tensor, rows: int, columns: int) -> None:
        """Replicate beyond the first `rows` and `columns` of a tensor."""
        sizes = {"rows": rows, "columns": columns, "padded_rows": x.rows, "padded_columns": x.columns}
        self._append("pad", {"x": x}, **sizes)
