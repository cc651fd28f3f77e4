"""The shipped graphs against the golden clips, without torch.

The golden pictures are stored as float16, whose steps near white (1/2048) move one value in about thirty across a
rounding edge; so a picture of 8 bits may differ from a golden one by a code value in 4 % of places, and never by more.
"""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file

from codec.layout import Layout
from codec.nano.onnx_engine import OnnxDecoder, open_graph
from codec.nano.weights import GRAPH_NAMES, WEIGHTS_PATH, GraphName, file_sha256, load_weights
from codec.rans import SymbolTables
from latentcast.errors import UserError
from tests.codec.samples import (
    GOLDEN_NAMES,
    GoldenFrame,
    decoder_engine,
    encoder_engine,
    golden,
    pad,
    psnr_db,
    weights,
)


@pytest.mark.parametrize("name", GOLDEN_NAMES)
def test_pictures_from_golden_symbols(name: str) -> None:
    state = None
    for frame in golden(name):
        if state is None:
            picture, state = decoder_engine().intra(frame.z, frame.symbols, frame.qp)
        else:
            picture, state = decoder_engine().inter(frame.z, frame.symbols, state, frame.qp)
        _, height, width = frame.picture.shape
        expected = np.round(frame.picture * 255)
        found = picture[:, :height, :width]
        assert psnr_db(found, expected, peak=255) >= 60
        assert np.abs(found - expected).max() <= 1
        assert (found != expected).mean() < 0.04


@pytest.mark.parametrize("name", GOLDEN_NAMES)
def test_symbols_from_golden_frames(name: str) -> None:
    state = None
    bits = []
    for frame in golden(name):
        intra = state is None
        if state is None:
            z, symbols, state = encoder_engine().intra(pad(frame.source), frame.qp)
        else:
            z, symbols, state = encoder_engine().inter(pad(frame.source), state, frame.qp)
        assert (z == frame.z).mean() >= 0.995
        assert (symbols == frame.symbols).mean() >= 0.995
        bits.append(ideal_bits(frame, intra=intra, z=z, symbols=symbols))
    assert sum(bits) == pytest.approx(sum(frame.bits for frame in golden(name)), rel=0.01)


def ideal_bits(frame: GoldenFrame, *, intra: bool, z: NDArray[np.int8], symbols: NDArray[np.int8]) -> float:
    """Of z and symbols as we code them."""
    model = weights().intra if intra else weights().inter
    _, height, width = frame.source.shape
    indexes = model.scales.indexes(z, *Layout(width, height).latent_shape)
    flat = symbols.reshape(len(symbols), -1).T.ravel()
    z_rows = model.z_rows(frame.qp, z[0].size)
    return code_length(flat, indexes, weights().gaussian) + code_length(z.ravel(), z_rows, model.z_tables)


def code_length(symbols: NDArray[np.int8], rows: NDArray[np.uint16], tables: SymbolTables) -> float:
    """Bits, unrounded where `SymbolTables.costs` (which serves for escapes) rounds up."""
    v = symbols.astype(np.int64) - tables.offset[rows]
    inside = (v >= 0) & (v < tables.length[rows] - 2)
    v, plain = v[inside], rows[inside]
    bits = 16 - np.log2(tables.cdf[plain, v + 1] - tables.cdf[plain, v])
    escapes = tables.costs()[rows[~inside], symbols[~inside].astype(np.int64) + 128]
    return float(bits.sum() + escapes.sum(dtype=np.int64) / 256)


@pytest.mark.parametrize("name", GRAPH_NAMES)
def test_graphs_were_exported_from_the_shipped_weights(name: GraphName) -> None:
    open_graph(name, weights_sha256=file_sha256(WEIGHTS_PATH), threads=1)


def test_graphs_of_other_weights_are_refused() -> None:
    with pytest.raises(
        UserError, match=r"exported from weights .* but the weights file is 000000000000; export"
    ) as caught:
        OnnxDecoder(weights_sha256="0" * 64)
    assert "\n" not in str(caught.value)


def test_a_missing_graph_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="install latentcast again"):
        open_graph("intra_decoder", weights_sha256=weights().sha256, threads=1, folder=tmp_path)


def test_missing_or_foreign_weights_are_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="No such file"):
        load_weights(tmp_path / "absent.safetensors")
    foreign = tmp_path / "foreign.safetensors"
    foreign.write_bytes(b"not safetensors at all")
    with pytest.raises(UserError, match="not a weights file of the nano profile"):
        load_weights(foreign)


@pytest.mark.parametrize("tables", ["tables.gaussian", "intra.tables.z", "inter.tables.z"])
def test_weights_with_too_few_tables_are_refused(tables: str, tmp_path: Path) -> None:
    """The coder would read past the end of them."""
    entries = load_file(WEIGHTS_PATH)
    for part in ("cdf", "length", "offset"):
        entries[f"{tables}.{part}"] = entries[f"{tables}.{part}"][:-1]
    save_file(entries, tmp_path / "short.safetensors")
    with pytest.raises(UserError, match="not a weights file of the nano profile"):
        load_weights(tmp_path / "short.safetensors")
