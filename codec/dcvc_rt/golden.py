"""One golden vector against this implementation, integer by integer and byte by byte (section 11).

The encoder runs once on the pictures of the vector; its symbols, table numbers, payloads and files are compared, with
one stream and with two. The decoder gets the files *of the vector*, so that a fault of the encoder does not hide one of
the decoder.
"""

import io
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from codec.dcvc_rt import SKIPPED
from codec.dcvc_rt.coder import PictureEncoder, Trace
from codec.dcvc_rt.latents import step_masks
from codec.dcvc_rt.models import Models
from codec.dcvc_rt.payload import encode_payload
from codec.dcvc_rt.planes import repeat_chroma
from codec.dcvc_rt.sequence import Schedule, SequenceDecoder
from codec.dcvc_rt.tables import EntropyTables
from codec.dcvc_rt.units import ParameterSet, PictureUnit, UnitReader, UnitWriter
from codec.layout import FileLayout
from codec.mkl import made_by_intel
from codec.rans import PROBABILITY_BITS
from latentcast.errors import BitstreamError

PICTURE_TOLERANCE = 1e-4
LATENT_TOLERANCE = 1e-5
"""On the make of processor that the vectors were computed on."""
OTHER_LATENT_TOLERANCE = 2e-5
"""On another, which adds in another order: two float32 computations, each off by up to half of it. Symbols, table
numbers and bytes must be equal all the same (docs/decisions/0009-mkl.md)."""
_BITS_TOLERANCE = 1e-3
"""Relative; a sum of float logarithms."""

Arrays = Mapping[str, NDArray[Any]]


@cache
def latent_tolerance() -> float:
    """What latents may differ by on this processor."""
    return OTHER_LATENT_TOLERANCE if made_by_intel() else LATENT_TOLERANCE


@dataclass(frozen=True, slots=True)
class Meta:
    """What a vector says of itself. weights: SHA-256 of the image and of the video model's."""

    width: int
    height: int
    schedule: Schedule
    skip_threshold: float | None
    weights: tuple[str, str]

    @classmethod
    def parse(cls, meta: Mapping[str, Any]) -> "Meta":
        """Raises KeyError, TypeError or ValueError, or UserError for sizes and QPs that do not exist."""
        skip = meta["force_zero_thres"]
        qp, qp_p = int(meta["qp"]), meta.get("qp_p")
        weights = meta["weights_sha256"]
        parsed = cls(
            int(meta["width"]),
            int(meta["height"]),
            Schedule(
                qp,
                None if qp_p is None else int(qp_p),
                intra_period=int(meta.get("intra_period", -1)),
                reset_interval=int(meta.get("reset_interval", 64)),
            ),
            None if skip is None else float(skip),
            (str(weights["image"]), str(weights["video"])),
        )
        FileLayout(parsed.width, parsed.height)
        return parsed


@dataclass(slots=True)
class Findings:
    """The first problem of every part, and the largest differences of pictures."""

    problems: dict[str, str] = field(default_factory=dict)
    picture_error: float = 0.0

    def note(self, part: str, place: str, problem: str | None) -> None:
        if problem is not None:
            self.problems.setdefault(part, f"{place}: {problem}")

    def close(self, place: str, found: NDArray[Any], expected: NDArray[Any], tolerance: float) -> float:
        """Note where two arrays of numbers differ by more than `tolerance`; the largest difference."""
        if found.shape != expected.shape:
            self.note("pictures", place, f"shape {found.shape}, expected {expected.shape}")
            return float("inf")
        difference = np.abs(found.astype(np.float64) - expected)
        # A difference that is no number is one, too.
        beyond = ~(difference <= tolerance)
        largest = float(difference.max(initial=0.0))
        if beyond.any():
            at = np.unravel_index(int(beyond.argmax()), beyond.shape)
            self.note(
                "pictures",
                place,
                f"at {_place(at)} {found[at]:.6g}, expected {expected[at]:.6g} (largest difference {largest:.1e}, "
                f"allowed {tolerance:.0e})",
            )
        return largest


def check_vector(arrays: Arrays, meta: Meta, models: Models) -> Findings:
    """Run encoder and decoder. The models are those that `meta` names, on the CPU in float32."""
    findings = Findings()
    models.skip(meta.skip_threshold)
    _check_encoder(arrays, meta, models, findings)
    for streams in (0, 1):
        if f"file_ec{streams}" in arrays:
            _check_decoder(arrays, arrays[f"file_ec{streams}"].tobytes(), streams, models, findings)
    return findings


def unfold(symbols: NDArray[np.int8]) -> NDArray[np.int8]:
    """Folded symbols (steps, 64, h, w) in the full layout of y, (steps * 64, h, w) (section 6.2)."""
    steps, channels, rows, columns = symbols.shape
    whole = np.zeros((steps, channels, rows, columns), np.int8)
    for part, mask in zip(symbols, step_masks(rows, columns, steps=steps, like=torch.zeros(1)), strict=True):
        whole += part[None] * mask[0].numpy().astype(np.int8)
    return whole.reshape(steps * channels, rows, columns)


def ideal_bits(symbols: NDArray[np.int8], rows: NDArray[np.integer], tables: EntropyTables) -> float:
    """Code length that the integer tables give to symbols, escapes included."""
    t = tables.tables
    count = t.length[rows].astype(np.int64) - 2
    v = symbols.astype(np.int64) - t.offset[rows]
    inside = (v >= 0) & (v < count)
    entry = np.where(inside, v, count)
    frequency = t.cdf[rows, entry + 1] - t.cdf[rows, entry]
    raw = np.where(v < 0, -2 * v - 1, 2 * (v - count))
    digits = sum((raw > limit).astype(np.int64) for limit in (0, 3, 15, 63, 255))
    escapes = np.where(inside, 0, 2 * (digits + digits // 3 + 1))
    return float((PROBABILITY_BITS - np.log2(frequency) + escapes).sum())


def _check_encoder(arrays: Arrays, meta: Meta, models: Models, findings: Findings) -> None:
    encoder = PictureEncoder(models.encoder(), models.tables, FileLayout(meta.width, meta.height), warm=False)
    writers, files = (UnitWriter(), UnitWriter()), (bytearray(), bytearray())
    state: Tensor | None = None
    for t, (luma, chroma) in enumerate(zip(arrays["in_y"], arrays["in_uv"], strict=True)):
        kind, following = meta.schedule[t], meta.schedule[t + 1]
        coded = encoder.encode(
            None if kind.intra else state,
            repeat_chroma(luma, chroma),
            qp=kind.qp,
            reset=following.use_ada_i,
            two_streams=False,
        )
        state, trace = coded.state, encoder.trace
        assert trace is not None
        place = f"encoder, picture {t}"
        _check_trace(arrays, t, trace, place, findings)
        tables = models.tables.of(intra=kind.intra)
        second = encode_payload(trace.z, trace.symbols, trace.indexes, qp=kind.qp, tables=tables, two_streams=True)
        for streams, payload in enumerate((coded.payload, second)):
            _check_bytes(arrays, f"payload_ec{streams}_{t}", payload, place, findings)
            parameters = ParameterSet(meta.width, meta.height, kind.use_ada_i, bool(streams))
            files[streams].extend(writers[streams].picture(parameters, intra=kind.intra, qp=kind.qp, payload=payload))
        _check_bits(arrays, t, trace, tables.z_rows(kind.qp, trace.z[0].size), tables, place, findings)
    for streams, file in enumerate(files):
        _check_bytes(arrays, f"file_ec{streams}", bytes(file), "encoder", findings)
    for t, unit in enumerate(UnitReader(io.BytesIO(files[0]))):
        _check_header(arrays, t, unit, f"encoder, picture {t}", findings)


def _check_decoder(arrays: Arrays, file: bytes, streams: int, models: Models, findings: Findings) -> None:
    side = f"decoder of {'one stream' if streams == 0 else 'two streams'}"
    decoder = SequenceDecoder(models.decoder(), models.tables)
    latents: list[Tensor] = []

    def remember(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        latents.append(inputs[0])

    hooks = [part.register_forward_pre_hook(remember) for part in (models.image.dec, models.video.decoder)]
    number = 0
    try:
        for decoded in decoder.pictures(UnitReader(io.BytesIO(file))):
            if number == len(arrays["rec"]):
                findings.note("pictures", side, f"more than {number} pictures")
                return
            place = f"{side}, picture {number}"
            _check_header(arrays, number, decoded.unit, place, findings)
            _check_trace(arrays, number, decoded.trace, place, findings)
            error = findings.close(place, decoded.picture, arrays["rec"][number], PICTURE_TOLERANCE)
            findings.picture_error = max(findings.picture_error, error)
            if f"yhat_{number}" in arrays:
                y_hat = latents[-1][0].numpy()
                findings.close(f"{place}, latents", y_hat, arrays[f"yhat_{number}"], latent_tolerance())
            latents.clear()
            number += 1
        if number < len(arrays["rec"]):
            findings.note("pictures", side, f"{number} pictures, expected {len(arrays['rec'])}")
    except BitstreamError as error:
        at = "" if error.offset is None else f" at byte {error.offset}"
        findings.note("pictures", side, f"the file is refused{at}: {error}")
    finally:
        for hook in hooks:
            hook.remove()


def _check_trace(arrays: Arrays, t: int, trace: Trace, place: str, findings: Findings) -> None:
    findings.note("symbols", f"{place}, z", _difference(trace.z, arrays[f"zq_{t}"], "channel, row, column"))
    whole = unfold(trace.symbols)
    findings.note("symbols", f"{place}, y", _difference(whole, arrays[f"yq_{t}"], "channel, row, column"))
    indexes = _difference(trace.indexes, arrays[f"idx_{t}"], "step, channel, row, column")
    findings.note("indexes", place, indexes)


def _check_bytes(arrays: Arrays, name: str, found: bytes, place: str, findings: Findings) -> None:
    if name not in arrays:
        return
    expected = arrays[name].tobytes()
    if found == expected:
        return
    shorter = min(len(found), len(expected))
    pairs = zip(found, expected, strict=False)
    at = next((i for i, (a, b) in enumerate(pairs) if a != b), shorter)
    findings.note("bytes", f"{place}, {name}", f"byte {at} of {len(found)} differs, expected {len(expected)} bytes")


def _check_header(arrays: Arrays, t: int, unit: PictureUnit, place: str, findings: Findings) -> None:
    values = {
        "frame_qp": unit.qp,
        "is_intra": unit.intra,
        "use_ada_i": unit.parameters.use_ada_i,
        "sps_id": unit.set_id,
    }
    for name, found in values.items():
        if name in arrays and found != int(arrays[name][t]):
            findings.note("bytes", place, f"{name} {int(found)}, expected {int(arrays[name][t])}")


def _check_bits(
    arrays: Arrays,
    t: int,
    trace: Trace,
    z_rows: NDArray[np.uint16],
    tables: EntropyTables,
    place: str,
    findings: Findings,
) -> None:
    coded = trace.indexes != SKIPPED
    lengths = {
        "est_bits_z": ideal_bits(trace.z.ravel(), z_rows, tables),
        "est_bits_y": ideal_bits(trace.symbols[coded], trace.indexes[coded], tables),
    }
    for name, found in lengths.items():
        if name not in arrays:
            continue
        expected = float(arrays[name][t])
        if abs(found - expected) > _BITS_TOLERANCE * max(1.0, expected):
            findings.note("bytes", place, f"{name} {found:.2f}, expected {expected:.2f}")


def _difference(found: NDArray[np.integer], expected: NDArray[Any], axes: str) -> str | None:
    """The first position where two arrays of integers differ."""
    if found.shape != expected.shape:
        return f"shape {found.shape}, expected {expected.shape}"
    unequal = found != expected
    if not unequal.any():
        return None
    at = np.unravel_index(int(unequal.argmax()), unequal.shape)
    return (
        f"{axes} {_place(at)} is {found[at]}, expected {expected[at]} ({np.count_nonzero(unequal)} of "
        f"{unequal.size} differ)"
    )


def _place(at: tuple[Any, ...]) -> str:
    return "(" + ", ".join(str(int(i)) for i in at) + ")"
