"""Damaged and hostile files of the paper's format: refused in words with an offset, or the same pictures."""

import io
import tracemalloc
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest

pytest.importorskip("torch", reason="torch is not installed: pip install torch")

from codec.dcvc_rt.coder import PictureDecoder, Trace
from codec.dcvc_rt.engine import Decoded
from codec.dcvc_rt.payload import PayloadDecoder, encode_payload
from codec.dcvc_rt.sequence import SequencePicture
from codec.dcvc_rt.units import UnitReader
from latentcast.errors import BitstreamError
from tests.codec.dcvc_rt_samples import CodedSample, decode, models, mutations, samples

MUTATIONS = 10_000
# z of the largest picture, its table numbers, and room for the payload twice.
MEMORY = 8 << 20


def is_canonical(decoded: SequencePicture) -> bool:
    """Whether the payload is the one that an encoder writes for what was read from it.

    Such damage cannot be told from another picture: the raw digits of an escape, or a symbol for another of the same
    frequency, leave the state of the coder as it was.
    """
    unit, trace = decoded.unit, decoded.trace
    tables = models().tables.of(intra=unit.intra)
    streams = unit.parameters.two_streams
    return unit.payload == encode_payload(
        trace.z, trace.symbols, trace.indexes, qp=unit.qp, tables=tables, two_streams=streams
    )


def outcome(sample: CodedSample, damaged: bytes) -> str:
    """What decoding comes to: "wrong" where the integrity check could have told and did not."""
    number = 0
    try:
        for decoded in decode(damaged):
            expected = sample.pictures[number] if number < len(sample.pictures) else None
            number += 1
            if expected is not None and np.array_equal(decoded.picture, expected):
                continue
            if expected is not None and decoded.picture.shape != expected.shape:
                common = tuple(map(min, zip(decoded.picture.shape, expected.shape, strict=True)))
                window = tuple(slice(length) for length in common)
                if np.array_equal(decoded.picture[window], expected[window]):
                    return "same latents, other size"
            return "valid payload of another picture" if is_canonical(decoded) else "wrong picture"
    except BitstreamError as error:
        if error.offset is None or not 0 <= error.offset <= len(damaged):
            return "wrong offset"
        return f"refused {'in' if str(error).startswith('picture ') else 'outside'} a payload"
    return "same pictures" if number == len(sample.pictures) else "ends early between pictures"


def test_no_damage_passes_the_parser_and_z_with_more_than_an_error() -> None:
    """Everything up to the networks, which is all that a file can make large before its payload has to make sense."""
    tables = models().tables
    every = samples()
    others = [sample.data for sample in every]
    counts: Counter[bool] = Counter()
    tracemalloc.start()
    try:
        for sample in every:
            for _, damaged in mutations(sample.data, others, count=-(-MUTATIONS // len(every)), seed=1):
                tracemalloc.reset_peak()
                before = tracemalloc.get_traced_memory()[0]
                try:
                    for unit in UnitReader(io.BytesIO(damaged)):
                        reader = PayloadDecoder(
                            unit.payload, tables.of(intra=unit.intra), two_streams=unit.parameters.two_streams
                        )
                        layout = unit.parameters.layout
                        reader.z(layout.hyper_shape, qp=unit.qp)
                        # Whatever the tables of y may be: the first of them for every element of a step.
                        reader.step(np.zeros((64, *layout.latent_shape), np.uint8))
                    counts[True] += 1
                except BitstreamError as error:
                    counts[False] += error.offset is not None
                assert tracemalloc.get_traced_memory()[1] - before < MEMORY
    finally:
        tracemalloc.stop()
    assert counts[False] > MUTATIONS / 2


@contextmanager
def remembering() -> Iterator[None]:
    """Decode no picture twice: most damaged files begin as the whole one does."""
    known: dict[tuple[Any, ...], tuple[tuple[Decoded, int], Trace | None, Any]] = {}
    plain = PictureDecoder.decode

    def decode_once(self: PictureDecoder, state: Any, payload: bytes, **how: Any) -> tuple[Decoded, int]:
        key = (id(state), self.layout, payload, *sorted(how.items()))
        if key not in known:
            # The state is kept with the result, so that no other gets its id.
            known[key] = plain(self, state, payload, **how), self.trace, state
        result, self.trace, _ = known[key]
        return result

    with patch.object(PictureDecoder, "decode", decode_once):
        yield


def check_outcomes(count: int, seed: int) -> Counter[str]:
    counts: Counter[str] = Counter()
    every = samples()
    others = [sample.data for sample in every]
    with remembering():
        for sample in every:
            for kind, damaged in mutations(sample.data, others, count=-(-count // len(every)), seed=seed):
                result = outcome(sample, damaged)
                counts[result] += 1
                if not result.startswith("refused"):
                    counts[f"{result}, {sample.name}, {kind}"] += 1
    return counts


def test_damage_is_refused_or_does_not_show() -> None:
    counts = check_outcomes(240, seed=2)
    assert not [result for result in counts if "wrong" in result], counts
    assert counts["refused in a payload"] > 50
    assert counts["refused outside a payload"] > 30
    assert counts["valid payload of another picture"] < 5


@pytest.mark.slow
def test_ten_thousand_damaged_files_are_refused_or_do_not_show() -> None:
    counts = check_outcomes(MUTATIONS, seed=3)
    assert not [result for result in counts if "wrong" in result], counts
