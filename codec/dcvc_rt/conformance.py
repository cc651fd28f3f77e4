"""Conformance: every golden vector of a folder against this implementation.

A vector is an .npz with a `meta` array (JSON) that says all there is to know: sizes, QPs, skip threshold, intra
period, reset interval, and the weights by their SHA-256. `docs/dcvc-rt.md`, section 11, lists the arrays. Vectors of
the entropy coder alone are understood too: cumulative tables, and symbols with the bytes they make.

    run_all(folder, ...)   a `VectorReport` for every file, as it is done
"""

import json
import logging
import re
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from codec.dcvc_rt import HYPER_CHANNELS
from codec.dcvc_rt.checkpoint import Model, load_model
from codec.dcvc_rt.golden import Arrays, Meta, check_vector
from codec.dcvc_rt.image import ImageModel
from codec.dcvc_rt.latents import SCALE_TABLES
from codec.dcvc_rt.models import Models, cpu_threads
from codec.dcvc_rt.payload import PayloadDecoder, encode_segments
from codec.dcvc_rt.synthetic import ModelName, fingerprint
from codec.dcvc_rt.tables import EntropyTables, gaussian_tables
from codec.dcvc_rt.video import VideoModel
from codec.rans import SymbolTables
from latentcast.errors import BitstreamError, UserError

log = logging.getLogger(__name__)

GOLDEN_PARTS = ("symbols", "indexes", "bytes", "pictures")

_NEEDED = ("in_y", "in_uv", "rec", "file_ec0")
_Z_TABLE = re.compile(r"z_(image|video)_qp(\d+)_cdf")
_STREAM = re.compile(r"(.+)__bytes([12])")


@dataclass(frozen=True, slots=True)
class VectorReport:
    """What became of one file.

    parts: name -> (figure to show or "", first problem or None). skipped: why it is no vector.
    """

    name: str
    parts: dict[str, tuple[str, str | None]] = field(default_factory=dict)
    skipped: str | None = None

    @property
    def ok(self) -> bool:
        """Every part holds; also of a file that was skipped."""
        return all(problem is None for _, problem in self.parts.values())

    def __str__(self) -> str:
        if self.skipped is not None:
            return f"{self.name}  skipped: {self.skipped}"
        words = []
        for part, (figure, problem) in self.parts.items():
            shown = f"{part} {figure}" if figure else part
            words.append(f"{shown} ok" if problem is None else f"{shown} FAIL ({problem})")
        return "  ".join((self.name, *words))


def run_all(
    folder: Path, *, weights_image: Path | None = None, weights_video: Path | None = None, threads: int = 1
) -> Iterator[VectorReport]:
    """Run every .npz of a folder, by name. The checkpoints are for vectors that were not made with synthetic weights.

    Raises UserError for a folder that is not there or, at the end, one without a vector.
    """
    if not folder.is_dir():
        raise UserError(f"there is no folder {folder}; give one with golden vectors (.npz).")
    weights = _Weights({"image": weights_image, "video": weights_video})
    vectors = 0
    with cpu_threads(threads):
        for path in sorted(folder.glob("*.npz")):
            try:
                report = _run(path, weights)
            except Exception as error:
                # A vector is input: whatever is in it, the others have their turn.
                log.debug("%s", path, exc_info=error)
                report = VectorReport(path.name, {"file": ("", f"makes no sense: {error!r}")})
            vectors += report.skipped is None
            yield report
    if vectors == 0:
        raise UserError(f"{folder} holds no golden vector; expected .npz files with a `meta` array.")


class _Weights:
    """Models by the hash of their weights: the synthetic ones, made when first asked for, and the user's."""

    def __init__(self, paths: dict[ModelName, Path | None]) -> None:
        self._paths = paths
        self._models: dict[str, Model] = {}
        self._pairs: dict[tuple[str, str], Models] = {}
        self._synthetic: Models | None = None

    def synthetic(self) -> Models:
        if self._synthetic is None:
            self._synthetic = Models.synthetic()
        return self._synthetic

    def pair(self, image: str, video: str) -> Models:
        """Raises UserError when there are no such weights."""
        if (image, video) not in self._pairs:
            if not self._models:
                self._load()
            models = [self._find(name, sha256) for name, sha256 in (("image", image), ("video", video))]
            self._pairs[image, video] = Models.of(*models)
        return self._pairs[image, video]

    def _load(self) -> None:
        synthetic = self.synthetic()
        for model in (synthetic.image, synthetic.video):
            self._models[_sha256(model)] = model
        for name, path in self._paths.items():
            if path is not None:
                model = load_model(name, path, skip_threshold=None)
                self._models[_sha256(model)] = model

    def _find(self, name: str, sha256: str) -> Model:
        if sha256 not in self._models:
            raise UserError(
                f"it was made with the {name} weights {sha256[:12]}, which are neither the synthetic ones nor given; "
                f"name the checkpoint with --weights-{name}"
            )
        model = self._models[sha256]
        if not isinstance(model, ImageModel if name == "image" else VideoModel):
            raise UserError(f"its {name} weights {sha256[:12]} are those of the other model")
        return model


def _sha256(model: Model) -> str:
    return fingerprint({key: value.numpy() for key, value in model.state_dict().items()})


def _run(path: Path, weights: _Weights) -> VectorReport:
    try:
        # Opened here: numpy leaves a file open that it cannot read.
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            arrays: Arrays = {name: archive[name] for name in archive.files}
    except (AttributeError, TypeError):
        return VectorReport(path.name, skipped="no archive of arrays")
    except (OSError, ValueError, KeyError, EOFError, NotImplementedError, zipfile.BadZipFile, zlib.error) as error:
        return VectorReport(path.name, {"file": ("", f"cannot be read: {error}")})
    if "meta" in arrays:
        return _run_golden(path.name, arrays, weights)
    if "gaussian_cdf" in arrays:
        return VectorReport(path.name, {"tables": ("", _check_tables(arrays, weights))})
    if any(_STREAM.fullmatch(name) for name in arrays):
        return VectorReport(path.name, {"bytes": ("", _check_streams(arrays))})
    return VectorReport(path.name, skipped="no vector, it has no array `meta`")


def _run_golden(name: str, arrays: Arrays, weights: _Weights) -> VectorReport:
    try:
        parsed = json.loads(str(arrays["meta"]))
        meta = Meta.parse(parsed)
    except (KeyError, TypeError, ValueError) as error:
        return VectorReport(name, {"meta": ("", f"not understood: {error!r}")})
    except UserError as error:
        return VectorReport(name, {"meta": ("", str(error))})
    problem = _misfit(arrays, meta)
    if problem is not None:
        return VectorReport(name, {"arrays": ("", problem)})
    try:
        models = weights.pair(*meta.weights)
    except UserError as error:
        return VectorReport(name, {"weights": ("", str(error))})
    try:
        findings = check_vector(arrays, meta, models)
    except (KeyError, IndexError, ValueError) as error:
        return VectorReport(name, {"arrays": ("", f"they do not fit each other: {error!r}")})
    figures = {"pictures": f"{findings.picture_error:.1e}"}
    return VectorReport(name, {part: (figures.get(part, ""), findings.problems.get(part)) for part in GOLDEN_PARTS})


def _misfit(arrays: Arrays, meta: Meta) -> str | None:
    """What is missing, or has another shape than `meta` says."""
    missing = [name for name in _NEEDED if name not in arrays]
    if not missing:
        count = len(arrays["in_y"]) if arrays["in_y"].ndim else 0
        if count == 0:
            return "it has no pictures"
        names = [f"{kind}_{t}" for t in range(count) for kind in ("zq", "yq", "idx")]
        missing = [name for name in names if name not in arrays]
    if missing:
        return f"{', '.join(missing[:3])} missing"
    half = (meta.height + 1) // 2, (meta.width + 1) // 2
    shapes = {
        "in_y": (count, meta.height, meta.width),
        "in_uv": (count, 2, *half),
        "rec": (count, 3, meta.height, meta.width),
    }
    for name, shape in shapes.items():
        if arrays[name].shape != shape:
            return f"{name} has shape {arrays[name].shape}, expected {shape}"
    if arrays["rec"].dtype.kind != "f":
        return "rec holds other than real numbers"
    if arrays["in_y"].dtype != np.uint8 or arrays["in_uv"].dtype != np.uint8:
        return "the pictures are no 8-bit code values"
    return None


def _check_tables(arrays: Arrays, weights: _Weights) -> str | None:
    """Cumulative tables of y, and those of z that the synthetic weights give; the first problem."""
    tables = weights.synthetic().tables
    y = tables.image.tables
    problem = _same_tables(arrays, "gaussian", y, slice(0, SCALE_TABLES), offset="gaussian_offset")
    for name in arrays:
        match = _Z_TABLE.fullmatch(name)
        if problem is None and match is not None:
            first = SCALE_TABLES + int(match[2]) * HYPER_CHANNELS
            model = tables.of(intra=match[1] == "image").tables
            prefix = name.removesuffix("_cdf")
            rows = slice(first, first + HYPER_CHANNELS)
            problem = _same_tables(arrays, prefix, model, rows, offset=f"{prefix}_offset")
    return problem


def _same_tables(arrays: Arrays, prefix: str, found: SymbolTables, rows: slice, *, offset: str) -> str | None:
    length = arrays[f"{prefix}_cdf_length"]
    if not (np.array_equal(length, found.length[rows]) and np.array_equal(arrays[offset], found.offset[rows])):
        return f"{prefix}: lengths or offsets differ"
    cdf: NDArray[Any] = arrays[f"{prefix}_cdf"]
    valid = np.arange(cdf.shape[1])[None, :] < length[:, None]
    unequal = (cdf != found.cdf[rows, : cdf.shape[1]]) & valid
    if unequal.any():
        row, entry = np.unravel_index(int(unequal.argmax()), unequal.shape)
        return f"{prefix}: entry {entry} of table {row} is {found.cdf[rows][row, entry]}, expected {cdf[row, entry]}"
    return None


def _check_streams(arrays: Arrays) -> str | None:
    """Symbols to bytes and back, with the tables of y; the first problem."""
    raw = gaussian_tables()
    tables = EntropyTables(SymbolTables.build(raw.cdf, raw.length, raw.offset))
    for name in arrays:
        match = _STREAM.fullmatch(name)
        if match is None:
            continue
        segments: list[tuple[NDArray[np.int8], NDArray[np.uint16]]] = []
        with suppress(KeyError):
            while True:
                at = len(segments)
                symbols, rows = arrays[f"{match[1]}__sym{at}"], arrays[f"{match[1]}__idx{at}"]
                if not _codable(symbols, rows):
                    return f"{name}: symbols or table numbers that do not fit"
                segments.append((symbols.astype(np.int8), rows.astype(np.uint16)))
        if not segments:
            return f"{name}: it has no symbols"
        two_streams, expected = match[2] == "2", arrays[name].tobytes()
        if encode_segments(segments, tables, two_streams=two_streams) != expected:
            return f"{name}: other bytes"
        try:
            reader = PayloadDecoder(expected, tables, two_streams=two_streams)
            if any(not np.array_equal(reader.segment(rows), symbols) for symbols, rows in segments):
                return f"{name}: other symbols"
            reader.finish()
        except BitstreamError as error:
            return f"{name}: refused ({error})"
    return None


def _codable(symbols: NDArray[Any], rows: NDArray[Any]) -> bool:
    """Signed 8-bit symbols, each with the number of a table of y."""
    if symbols.ndim != 1 or symbols.shape != rows.shape or {symbols.dtype.kind, rows.dtype.kind} - set("iu"):
        return False
    return not symbols.size or bool(
        -128 <= symbols.min() <= symbols.max() <= 127 and 0 <= rows.min() <= rows.max() < SCALE_TABLES
    )
