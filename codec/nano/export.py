"""Export the networks to the four ONNX graphs that the CPU engine runs: `python -m codec.nano.export [WEIGHTS]`.

One encoder and one decoder graph for intra, the same for inter; width and height are dynamic (multiples of 16).
Pictures go in and come out as 8-bit code values, symbols as int8, so that nothing but bytes crosses the boundary.
Parameters are kept as float16, which is what the weights file holds, and widened when a session loads.
"""

import sys
import warnings
from pathlib import Path

import onnx
import torch
import torch.nn.functional as F
from onnx import TensorProto, helper, numpy_helper
from safetensors.torch import load_file
from torch import Tensor, nn

from codec.layout import MAX_HEIGHT, MAX_WIDTH, MIN_HEIGHT, MIN_WIDTH
from codec.nano.networks import Nano
from codec.nano.onnx_engine import METADATA_WEIGHTS
from codec.nano.weights import GRAPHS_PATH, WEIGHTS_PATH, GraphName, file_sha256


def to_unit(picture: Tensor) -> Tensor:
    return picture.float() / 255


def to_code_values(picture: Tensor) -> Tensor:
    return torch.round(picture * 255).to(torch.uint8)


class IntraEncoderGraph(nn.Module):
    def __init__(self, nano: Nano) -> None:
        super().__init__()
        self.nano = nano

    def forward(self, picture: Tensor, qp: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        z, symbols, decoded = self.nano.intra.encode(to_unit(picture), qp)
        return z.to(torch.int8), symbols.to(torch.int8), self.nano.inter.state_of_picture(decoded)


class IntraDecoderGraph(nn.Module):
    def __init__(self, nano: Nano) -> None:
        super().__init__()
        self.nano = nano

    def forward(self, z: Tensor, symbols: Tensor, qp: Tensor) -> tuple[Tensor, Tensor]:
        decoded = self.nano.intra.decode(z.float(), symbols.float(), qp)
        return to_code_values(decoded), self.nano.inter.state_of_picture(decoded)


class InterEncoderGraph(nn.Module):
    def __init__(self, nano: Nano) -> None:
        super().__init__()
        self.nano = nano

    def forward(self, picture: Tensor, state: Tensor, qp: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        z, symbols, new_state, _ = self.nano.inter.encode(to_unit(picture), state, qp)
        return z.to(torch.int8), symbols.to(torch.int8), new_state


class InterDecoderGraph(nn.Module):
    def __init__(self, nano: Nano) -> None:
        super().__init__()
        self.nano = nano

    def forward(self, z: Tensor, symbols: Tensor, state: Tensor, qp: Tensor) -> tuple[Tensor, Tensor]:
        inter = self.nano.inter
        feature = inter.decode_feature(z.float(), symbols.float(), state, qp)
        # Rounded before the shuffle, which then moves bytes instead of floats.
        patches = to_code_values(inter.recon_generation_net.patches(feature, inter.q_recon[qp]))
        return F.pixel_shuffle(patches, 8), inter.feature_adaptor_p(feature)


def example_inputs() -> dict[str, Tensor]:
    """Tensors of a 640x368 picture; only their types and ranks matter."""
    return {
        "picture": torch.zeros(1, 3, 368, 640, dtype=torch.uint8),
        "z": torch.zeros(1, 32, 6, 10, dtype=torch.int8),
        "symbols": torch.zeros(1, 64, 23, 40, dtype=torch.int8),
        "state": torch.zeros(1, 64, 46, 80),
        "qp": torch.tensor([30]),
    }


def dynamic_axes() -> dict[str, dict[int, object] | None]:
    dim = torch.export.Dim
    rows = dim("rows", min=MIN_HEIGHT // 16, max=MAX_HEIGHT // 16)
    columns = dim("columns", min=MIN_WIDTH // 16, max=MAX_WIDTH // 16)
    z_rows = dim("z_rows", min=1, max=-(-MAX_HEIGHT // 64))
    z_columns = dim("z_columns", min=1, max=-(-MAX_WIDTH // 64))
    return {
        "picture": {2: 16 * rows, 3: 16 * columns},
        "z": {2: z_rows, 3: z_columns},
        "symbols": {2: rows, 3: columns},
        "state": {2: 2 * rows, 3: 2 * columns},
        "qp": None,
    }


def graphs(nano: Nano) -> dict[GraphName, tuple[nn.Module, list[str], list[str]]]:
    """Every graph: module, input names, output names."""
    return {
        "intra_encoder": (IntraEncoderGraph(nano), ["picture", "qp"], ["z", "symbols", "new_state"]),
        "intra_decoder": (IntraDecoderGraph(nano), ["z", "symbols", "qp"], ["picture", "new_state"]),
        "inter_encoder": (InterEncoderGraph(nano), ["picture", "state", "qp"], ["z", "symbols", "new_state"]),
        "inter_decoder": (InterDecoderGraph(nano), ["z", "symbols", "state", "qp"], ["picture", "new_state"]),
    }


def store_as_float16(model: onnx.ModelProto) -> None:
    """Halve the file: keep every parameter that float16 holds exactly as float16 with a cast behind it."""
    graph = model.graph
    casts = []
    for initializer in graph.initializer:
        if initializer.data_type != TensorProto.FLOAT:
            continue
        values = numpy_helper.to_array(initializer)
        half = values.astype("float16")
        if values.size < 64 or (half.astype("float32") != values).any():
            continue
        name = initializer.name
        initializer.CopyFrom(numpy_helper.from_array(half, name + ".f16"))
        casts.append(helper.make_node("Cast", [name + ".f16"], [name], to=TensorProto.FLOAT))
    for cast in reversed(casts):
        graph.node.insert(0, cast)


def export(weights: Path, folder: Path) -> None:
    """Write the four graphs of `weights` into `folder`."""
    nano = Nano().load(load_file(weights))
    sha256 = file_sha256(weights)
    examples, axes = example_inputs(), dynamic_axes()
    for name, (module, inputs, outputs) in graphs(nano).items():
        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            program = torch.onnx.export(
                module.eval(),
                tuple(examples[key] for key in inputs),
                dynamo=True,
                dynamic_shapes={key: axes[key] for key in inputs},
                input_names=inputs,
                output_names=outputs,
                verbose=False,
            )
        assert program is not None
        model = program.model_proto
        store_as_float16(model)
        # The exporter leaves file names and stack traces of the exporting machine in the graph.
        for node in model.graph.node:
            del node.metadata_props[:]
            node.doc_string = ""
        for value in (*model.graph.value_info, *model.graph.input, *model.graph.output, *model.graph.initializer):
            del value.metadata_props[:]
        del model.metadata_props[:]
        helper.set_model_props(model, {METADATA_WEIGHTS: sha256})
        onnx.checker.check_model(model)
        onnx.save(model, folder / f"{name}.onnx")
        print(f"{folder / name}.onnx  {(folder / f'{name}.onnx').stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    export(Path(sys.argv[1]) if len(sys.argv) > 1 else WEIGHTS_PATH, GRAPHS_PATH)
