"""The weights file of `nano`: integer tables and scale path for the entropy coder, and the hash that names it.

The floating-point entries live on in the exported graphs, each of which carries the hash of the file it came from.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from safetensors.numpy import load

from codec.layout import INTER_QP_ROWS, INTRA_QP_ROWS
from codec.nano import HYPER_CHANNELS
from codec.nano.scales import INDEX_MAX, ScalePath
from codec.rans import SymbolTables
from latentcast.errors import BitstreamError, UserError

WEIGHTS_PATH = Path(__file__).parent / "nano.safetensors"
GRAPHS_PATH = Path(__file__).parent / "graphs"

GraphName = Literal["intra_encoder", "intra_decoder", "inter_encoder", "inter_decoder"]
GRAPH_NAMES: tuple[GraphName, ...] = ("intra_encoder", "intra_decoder", "inter_encoder", "inter_decoder")


@dataclass(frozen=True, slots=True)
class EntropyModel:
    """What the entropy coder needs of one network (intra or inter)."""

    scales: ScalePath
    z_tables: SymbolTables
    qp_rows: int

    def z_rows(self, qp: int, positions: int) -> np.ndarray[tuple[int], np.dtype[np.uint16]]:
        """Table numbers of all z symbols of a frame, flattened channel, row, column."""
        first = qp * HYPER_CHANNELS
        return np.repeat(np.arange(first, first + HYPER_CHANNELS, dtype=np.uint16), positions)


@dataclass(frozen=True, slots=True)
class Weights:
    """The entropy side of the weights file. sha256: hex digest of the whole file."""

    sha256: str
    gaussian: SymbolTables
    intra: EntropyModel
    inter: EntropyModel


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UserError(
            f"the weights file {path} cannot be read ({error.strerror}); install latentcast again."
        ) from error


def file_sha256(path: Path) -> str:
    """Hex digest of a whole weights file. Raises UserError when it cannot be read."""
    return hashlib.sha256(_read(path)).hexdigest()


def load_weights(path: Path = WEIGHTS_PATH) -> Weights:
    """Read a weights file. Raises UserError when it is missing or is not one of the `nano` profile."""
    content = _read(path)
    try:
        entries = load(content)
        gaussian = SymbolTables.build(*(entries[f"tables.gaussian.{part}"] for part in ("cdf", "length", "offset")))
        # The coder trusts table numbers: one past the end would read what is not a table.
        if len(gaussian.length) != INDEX_MAX + 1:
            raise BitstreamError(f"{len(gaussian.length)} Gaussian tables, not {INDEX_MAX + 1:.0f}")
        models = []
        for prefix, rows in (("intra", INTRA_QP_ROWS), ("inter", INTER_QP_ROWS)):
            tables = SymbolTables.build(*(entries[f"{prefix}.tables.z.{part}"] for part in ("cdf", "length", "offset")))
            if len(tables.length) != rows * HYPER_CHANNELS:
                raise BitstreamError(f"{len(tables.length)} {prefix} z tables, not {rows * HYPER_CHANNELS}")
            models.append(EntropyModel(ScalePath(entries, prefix), tables, rows))
    except Exception as error:
        raise UserError(
            f"{path} is not a weights file of the nano profile ({error}); expected the one shipped with latentcast."
        ) from error
    return Weights(hashlib.sha256(content).hexdigest(), gaussian, models[0], models[1])
