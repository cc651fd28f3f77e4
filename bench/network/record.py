"""Makes a recording: runs the codec over the demo clips and writes down how many bytes every frame takes.

What is coded is one show, cut together from the clips so that it holds what a rate controller meets:

    lead (8 frames) | cut: signing | cut: water | cut: a still picture | flower, which sets the still picture in motion

Every frame is coded at each QP of a grid from the frame before, in a chain that keeps its QP; at some QPs from older
states too; and, every few frames, as an intra frame. Chains that change their QP show what a frame costs that is to
be better, or may be worse, than its reference. `bench.network.recording` reads the result.
"""

import json
import math
from collections import deque
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.network.recording import FORMAT
from codec.bitstream import CodedFrame
from codec.colour import ToPlanes
from codec.engine import FrameEncoder
from codec.profiles import open_codec
from codec.state import State
from codec.video_io import VideoReader
from transport.wire import MAX_PAYLOAD_BYTES

SIZES = ((1280, 720), (960, 540), (640, 368), (480, 272), (320, 176), (240, 144))
QPS = (0, 8, 16, 24, 32, 40, 48, 56, 63, 71)
AGES = (2, 4, 8)
# Ages are factors on what age 1 costs, which change slowly with QP.
AGE_QPS = (8, 32, 56)
INTRA_STEP = 6
# What a change of QP costs: from chains at these QPs, to so many rows above or below, at these frames of each part.
STEP_QPS = (20, 32, 44, 56)
STEPS = (-24, -16, -12, -8, -4, -2, 2, 4, 8, 16)
_STEP_FRAMES = (13, 17, 21)
_LEAD = 8
_SEGMENTS = (("signing", 60), ("water", 60), ("static", 30), ("flower", 75))

Planes = NDArray[np.uint8]


def show(folder: Path, *, width: int, height: int) -> tuple[list[Planes], list[tuple[str, int]]]:
    """The pictures of the show and (name, number of frames) of its segments, the lead included."""
    flower = list(_clip(folder / "flower.mp4", _SEGMENTS[3][1] + 1, width, height))
    parts = {
        "signing": list(_clip(folder / "signing.mkv", _SEGMENTS[0][1], width, height)),
        "water": list(_clip(folder / "water.mp4", _SEGMENTS[1][1], width, height)),
        "static": [flower[0]] * _SEGMENTS[2][1],
        "flower": flower[1:],
    }
    pictures = flower[-_LEAD:]
    for name, _ in _SEGMENTS:
        pictures = pictures + parts[name]
    return pictures, [("lead", _LEAD), *((name, len(parts[name])) for name, _ in _SEGMENTS)]


def _clip(path: Path, frames: int, width: int, height: int) -> Iterator[Planes]:
    """The first frames of a clip, scaled to cover the size and cropped in the middle."""
    convert = ToPlanes()
    with VideoReader(path) as reader:
        scale = max(width / reader.width, height / reader.height)
        w, h = max(width, round(reader.width * scale)), max(height, round(reader.height * scale))
        x, y = (w - width) // 2, (h - height) // 2
        for _, frame in islice(reader.frames(), frames):
            planes = np.empty((3, h, w), np.uint8)
            convert(frame, width=w, height=h, out=planes)
            yield np.ascontiguousarray(planes[:, y : y + height, x : x + width])


def record(folder: Path, *, width: int, height: int) -> dict[str, Any]:
    """One recording. folder: that of the clips. Minutes of work for the larger sizes."""
    pictures, segments = show(folder, width=width, height=height)
    encoder = open_codec().encoder(width=width, height=height, max_slice_bytes=MAX_PAYLOAD_BYTES)
    inter: list[list[tuple[int, int]]] = []
    ages: list[list[list[int]]] = []
    for qp in QPS:
        sizes, older = _chain(encoder, pictures, [qp] * len(pictures), ages=AGES if qp in AGE_QPS else ())
        inter.append(sizes)
        if older:
            ages.append(older)
    intra = [
        [_measure(encoder.encode(None, picture, qp=qp, frame_id=0)[1]) for picture in pictures[::INTRA_STEP]]
        for qp in QPS
        if qp < 64
    ]
    return {
        "format": FORMAT,
        "width": width,
        "height": height,
        "segments": segments,
        "qps": QPS,
        "inter_bytes": [[size for size, _ in chain] for chain in inter],
        "inter_head_bytes": [[head for _, head in chain] for chain in inter],
        "ages": AGES,
        "age_qps": AGE_QPS,
        "age_milli_ln": ages,
        "step_qps": STEP_QPS,
        "steps": STEPS,
        "step_milli_ln": step_factors(encoder, pictures, segments, inter),
        "intra_step": INTRA_STEP,
        "intra_bytes": [[size for size, _ in row] for row in intra],
        "intra_head_bytes": [[head for _, head in row] for row in intra],
    }


def _measure(coded: CodedFrame) -> tuple[int, int]:
    """(bytes, of which head)."""
    return len(coded.data), coded.slice_offsets[0]


def _chain(
    encoder: FrameEncoder, pictures: Sequence[Planes], rows: Sequence[int], *, ages: Sequence[int] = ()
) -> tuple[list[tuple[int, int]], list[list[int]]]:
    """Sizes of a chain, and for each age 1000 ln(size from that old a state / size from the newest), by frame.

    The first frame has no past: it begins the chain as an intra frame and is put down as what the second one cost.
    """
    state, _ = encoder.encode(None, pictures[0], qp=min(rows[0], 63), frame_id=0)
    states: deque[State] = deque([state], maxlen=max((1, *ages)))
    sizes: list[tuple[int, int]] = []
    older: list[list[int]] = [[] for _ in ages]
    for number in range(1, len(pictures)):
        state, coded = encoder.encode(states[-1], pictures[number], qp=rows[number], frame_id=number)
        sizes.append(_measure(coded))
        for age, factors in zip(ages, older, strict=True):
            reference = states[-min(age, len(states))]
            _, old = encoder.encode(reference, pictures[number], qp=rows[number], frame_id=number)
            factors.append(_milli_ln(len(old.data), len(coded.data)))
        states.append(state)
    return [sizes[0], *sizes], [[factors[0], *factors] for factors in older]


def step_factors(
    encoder: FrameEncoder,
    pictures: Sequence[Planes],
    segments: Sequence[tuple[str, int]],
    inter: Sequence[Sequence[tuple[int, int]]],
) -> dict[str, list[list[int | None]]]:
    """By part, QP of the chain and step: 1000 ln(size of the first frame after the step / in a chain at its new QP).

    Means over a few frames of the part; None where the new QP does not exist.
    """
    factors: dict[str, list[list[int | None]]] = {}
    start = 0
    for name, frames in segments:
        if name != "lead":
            rows = [_steps(encoder, pictures, start, chain_qp, inter) for chain_qp in STEP_QPS]
            factors[name] = rows
        start += frames
    return factors


def _steps(
    encoder: FrameEncoder,
    pictures: Sequence[Planes],
    start: int,
    chain_qp: int,
    inter: Sequence[Sequence[tuple[int, int]]],
) -> list[int | None]:
    state, _ = encoder.encode(None, pictures[start], qp=chain_qp, frame_id=0)
    seen: list[list[float]] = [[] for _ in STEPS]
    for offset in range(1, _STEP_FRAMES[-1] + 1):
        number = start + offset
        for step, values in zip(STEPS, seen, strict=True):
            row = chain_qp + step
            if offset in _STEP_FRAMES and 0 <= row <= QPS[-1]:
                _, coded = encoder.encode(state, pictures[number], qp=row, frame_id=number)
                plain = np.interp(row, QPS, [math.log(chain[number][0]) for chain in inter])
                values.append(math.log(len(coded.data)) - float(plain))
        state, _ = encoder.encode(state, pictures[number], qp=chain_qp, frame_id=number)
    return [round(1000 * sum(values) / len(values)) if values else None for values in seen]


def _milli_ln(a: int, b: int) -> int:
    return round(1000 * math.log(a / b))


def write(recording: dict[str, Any], target: Path) -> None:
    """As JSON, one list a line."""
    lines = []
    for key, value in recording.items():
        lines.append(f"{json.dumps(key)}: {json.dumps(value, separators=(',', ':'))}")
    target.write_text("{\n" + ",\n".join(lines) + "\n}\n")


def record_all(folder: Path, target: Path, *, sizes: Sequence[tuple[int, int]] = SIZES) -> None:
    """Recordings of every size, from the clips in `folder`, as `show-WIDTHxHEIGHT.json` in `target`."""
    for width, height in sizes:
        write(record(folder, width=width, height=height), target / f"show-{width}x{height}.json")
