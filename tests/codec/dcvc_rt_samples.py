"""What the tests of the paper's codec share: the synthetic models, small coded files, golden vectors, mutations."""

import io
import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from codec.dcvc_rt.models import Models
from codec.dcvc_rt.sequence import Schedule, SequenceDecoder, SequenceEncoder, SequencePicture
from codec.dcvc_rt.units import UnitReader
from codec.layout import FileLayout
from tests.codec.samples import Planes, moving_picture

VECTORS = Path(__file__).parents[1] / "vectors" / "dcvc-rt"
GOLDEN_NAMES = tuple(sorted(path.name for path in VECTORS.glob("golden_*.npz")))

SKIP = 0.12


@cache
def _models() -> Models:
    torch.set_num_threads(1)
    return Models.synthetic()


def models(skip_threshold: float | None = SKIP) -> Models:
    """The synthetic models. There is one pair for all tests: the threshold holds until the next call."""
    both = _models()
    both.skip(skip_threshold)
    return both


@cache
def golden(name: str) -> dict[str, NDArray[Any]]:
    with np.load(VECTORS / name) as archive:
        return {key: archive[key] for key in archive.files}


def golden_meta(name: str) -> dict[str, Any]:
    meta: dict[str, Any] = json.loads(str(golden(name)["meta"]))
    return meta


def encode(
    pictures: list[Planes],
    schedule: Schedule,
    *,
    two_streams: bool | None = None,
    skip_threshold: float | None = SKIP,
) -> bytes:
    """A file of the paper's format."""
    _, height, width = pictures[0].shape
    both = models(skip_threshold)
    encoder = SequenceEncoder(both.encoder(), both.tables, FileLayout(width, height), schedule, two_streams=two_streams)
    return b"".join(encoder.encode(picture) for picture in pictures)


def decode(file: bytes, *, skip_threshold: float | None = SKIP) -> Iterator[SequencePicture]:
    both = models(skip_threshold)
    return SequenceDecoder(both.decoder(), both.tables).pictures(UnitReader(io.BytesIO(file)))


def clip(width: int, height: int, count: int) -> list[Planes]:
    return [moving_picture(width, height, t) for t in range(count)]


@dataclass(frozen=True, slots=True)
class CodedSample:
    """A small file and what it decodes to."""

    name: str
    data: bytes
    pictures: tuple[NDArray[np.float32], ...]


@cache
def samples() -> tuple[CodedSample, ...]:
    """One stream and two, resets and intra pictures in between, sizes that are no multiple of 16."""
    settings = (
        ("one stream", clip(16, 16, 3), Schedule(30), False),
        ("two streams", clip(38, 26, 4), Schedule(40, 20, intra_period=3, reset_interval=2), True),
        ("resets", clip(32, 16, 4), Schedule(10, reset_interval=2), False),
    )
    found = []
    for name, pictures, schedule, two_streams in settings:
        data = encode(pictures, schedule, two_streams=two_streams)
        found.append(CodedSample(name, data, tuple(picture.picture.copy() for picture in decode(data))))
    return tuple(found)


def mutations(data: bytes, others: list[bytes], *, count: int, seed: int) -> Iterator[tuple[str, bytes]]:
    """Damaged copies of a file, and what was done to each. Half of the damage is in headers, which are few bytes."""
    random = np.random.Generator(np.random.PCG64(seed))
    units = list(UnitReader(io.BytesIO(data)))
    headers = [at for unit in units for at in range(max(0, unit.offset - 4), unit.payload_offset)]

    def place() -> int:
        return int(random.choice(headers) if random.random() < 0.5 else random.integers(len(data)))

    kinds = ("flip", "flip", "byte", "truncate", "insert", "delete", "splice", "swap", "hostile")
    number = 0
    while number < count:
        kind = kinds[int(random.integers(len(kinds)))]
        at = place()
        damaged = bytearray(data)
        if kind == "flip":
            damaged[at] ^= 1 << int(random.integers(8))
        elif kind == "byte":
            damaged[at] = int(random.integers(256))
        elif kind == "truncate":
            del damaged[at:]
        elif kind == "insert":
            damaged[at:at] = random.bytes(int(random.integers(1, 9)))
        elif kind == "delete":
            del damaged[at : at + int(random.integers(1, 9))]
        elif kind == "splice":
            other = others[int(random.integers(len(others)))]
            damaged[at:] = other[int(random.integers(len(other))) :]
        elif kind == "swap":
            first, second = (units[int(i)] for i in random.integers(len(units), size=2))
            damaged[first.offset : first.payload_offset] = data[second.offset : second.payload_offset]
        else:
            damaged[at : at + 4] = bytes(random.choice([0x00, 0x3F, 0x7F, 0x80, 0xBF, 0xC0, 0xFF], size=4).tolist())
        if bytes(damaged) != data:
            yield kind, bytes(damaged)
            number += 1
