"""The CPU engine: the exported graphs in ONNX Runtime.

Two to three times faster than eager torch on a CPU, and without importing it (`docs/decisions/0001-cpu-engine.md`).
"""

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from codec.engine import Picture, Symbols
from codec.layout import Layout
from codec.nano import HYPER_CHANNELS, LATENT_CHANNELS, STATE_CHANNELS
from codec.nano.weights import GRAPHS_PATH, GraphName
from latentcast.errors import UserError

METADATA_WEIGHTS = "latentcast.weights_sha256"

StateTensor = NDArray[np.float32]


def open_graph(name: GraphName, *, weights_sha256: str, threads: int, folder: Path = GRAPHS_PATH) -> Any:
    """An inference session of one graph.

    Raises UserError when the file is missing or unreadable, or was exported from other weights.
    """
    path = folder / f"{name}.onnx"
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    # A spinning worker takes the core that the event loop needs.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3
    try:
        session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise UserError(f"the network graph {path} cannot be loaded ({error}); install latentcast again.") from error
    found = session.get_modelmeta().custom_metadata_map.get(METADATA_WEIGHTS, "none")
    if found != weights_sha256:
        raise UserError(
            f"the graph {path.name} was exported from weights {found[:12]}, but the weights file is "
            f"{weights_sha256[:12]}; export the graphs again with: python -m codec.nano.export"
        )
    return session


def _qp(qp: int) -> NDArray[np.int64]:
    return np.array([qp], np.int64)


class OnnxEncoder:
    """`codec.engine.EncoderEngine` for `nano`. threads: of one network run; 1 leaves the other cores alone."""

    def __init__(self, *, weights_sha256: str, threads: int = 1) -> None:
        self._intra = open_graph("intra_encoder", weights_sha256=weights_sha256, threads=threads)
        self._inter = open_graph("inter_encoder", weights_sha256=weights_sha256, threads=threads)

    def prepare(self, layout: Layout) -> None:
        picture = np.zeros((3, layout.padded_height, layout.padded_width), np.uint8)
        state = self.intra(picture, 0)[2]
        self.inter(picture, state, 0)

    def intra(self, picture: Picture, qp: int) -> tuple[Symbols, Symbols, StateTensor]:
        z, symbols, state = self._intra.run(None, {"picture": picture[None], "qp": _qp(qp)})
        return z[0], symbols[0], state

    def inter(self, picture: Picture, state: StateTensor, qp: int) -> tuple[Symbols, Symbols, StateTensor]:
        z, symbols, new_state = self._inter.run(None, {"picture": picture[None], "state": state, "qp": _qp(qp)})
        return z[0], symbols[0], new_state


class OnnxDecoder:
    """`codec.engine.DecoderEngine` for `nano`."""

    def __init__(self, *, weights_sha256: str, threads: int = 1) -> None:
        self._intra = open_graph("intra_decoder", weights_sha256=weights_sha256, threads=threads)
        self._inter = open_graph("inter_decoder", weights_sha256=weights_sha256, threads=threads)

    def prepare(self, layout: Layout) -> None:
        z = np.zeros((HYPER_CHANNELS, *layout.hyper_shape), np.int8)
        symbols = np.zeros((LATENT_CHANNELS, *layout.latent_shape), np.int8)
        state = np.zeros((1, STATE_CHANNELS, *layout.state_size), np.float32)
        self.intra(z, symbols, 0)
        self.inter(z, symbols, state, 0)

    def intra(self, z: Symbols, symbols: Symbols, qp: int) -> tuple[Picture, StateTensor]:
        picture, state = self._intra.run(None, {"z": z[None], "symbols": symbols[None], "qp": _qp(qp)})
        return picture[0], state

    def inter(self, z: Symbols, symbols: Symbols, state: StateTensor, qp: int) -> tuple[Picture, StateTensor]:
        feed = {"z": z[None], "symbols": symbols[None], "state": state, "qp": _qp(qp)}
        picture, new_state = self._inter.run(None, feed)
        return picture[0], new_state
