"""`nano` on ONNX Runtime, float32: it runs everywhere, and its graphs say what every module has to do."""

from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.speed.onnx_profile import Feed, GraphProfile, profile_graph
from bench.speed.roofline import FrameKind, NetworkCost, SideName, network_cost
from codec.decoder import Decoder
from codec.encoder import Encoder
from codec.layout import Layout
from codec.nano.onnx_engine import OnnxDecoder, OnnxEncoder
from codec.nano.weights import GRAPHS_PATH, Weights, load_weights
from codec.padding import pad
from codec.quality_cycle import inter_row

WARM_UP = 2

Planes = NDArray[np.uint8]


class NanoOnnx:
    """`bench.speed.candidates.Opened`."""

    def __init__(self, *, threads: int = 1) -> None:
        self._threads = threads
        self._weights: Weights = load_weights()

    def encoder(self, *, width: int, height: int) -> Encoder:
        engine = OnnxEncoder(weights_sha256=self._weights.sha256, threads=self._threads)
        return Encoder(engine, self._weights, width=width, height=height)

    def decoder(self, *, width: int, height: int) -> Decoder:
        engine = OnnxDecoder(weights_sha256=self._weights.sha256, threads=self._threads)
        return Decoder(engine, self._weights, width=width, height=height)

    def modules(self, clip: Sequence[Planes], *, qp: int, frames: int, kinds: Sequence[FrameKind]) -> list[NetworkCost]:
        """Of both sides. clip: uint8 (3, height, width) each; it is gone through until `frames` are counted."""
        feeds = frame_feeds(clip, qp=qp, frames=frames + WARM_UP, kinds=kinds)
        costs = []
        for kind in kinds:
            for side in SIDES:
                profile = profile_side(side, kind, feeds[side, kind], threads=self._threads)
                costs.append(network_cost(side, kind, profile.frames(), profile.work()))
        return costs


SIDES: tuple[SideName, ...] = ("encode", "decode")
_GRAPHS = {
    ("encode", "P"): "inter_encoder",
    ("decode", "P"): "inter_decoder",
    ("encode", "I"): "intra_encoder",
    ("decode", "I"): "intra_decoder",
}


def profile_side(side: SideName, kind: FrameKind, feeds: Sequence[Feed], *, threads: int = 1) -> GraphProfile:
    """The profile of one of the four graphs."""
    return profile_graph(GRAPHS_PATH / f"{_GRAPHS[side, kind]}.onnx", feeds, warm_up=WARM_UP, threads=threads)


def frame_feeds(
    clip: Sequence[Planes], *, qp: int, frames: int, kinds: Sequence[FrameKind]
) -> dict[tuple[SideName, FrameKind], list[Feed]]:
    """What the graphs of these kinds of frame see while a clip is coded: as many of each as `frames`."""
    layout = Layout(clip[0].shape[2], clip[0].shape[1])
    engine = OnnxEncoder(weights_sha256=load_weights().sha256)
    feeds: dict[tuple[SideName, FrameKind], list[Feed]] = {(side, kind): [] for side in SIDES for kind in kinds}
    state: Any = None
    for number in range(frames):
        padded = np.zeros((3, layout.padded_height, layout.padded_width), np.uint8)
        pad(clip[number % len(clip)], padded)
        if state is None or "I" in kinds:
            z, symbols, intra_state = engine.intra(padded, qp)
            state = intra_state if state is None else state
        if "I" in kinds:
            intra = {"qp": np.array([qp], np.int64)}
            feeds["encode", "I"].append(intra | {"picture": padded[None]})
            feeds["decode", "I"].append(intra | {"z": z[None], "symbols": symbols[None]})
        if "P" not in kinds:
            continue
        row = inter_row(qp, number)
        inter = {"qp": np.array([row], np.int64), "state": state}
        z, symbols, state = engine.inter(padded, state, row)
        feeds["encode", "P"].append(inter | {"picture": padded[None]})
        feeds["decode", "P"].append(inter | {"z": z[None], "symbols": symbols[None]})
    return feeds


@cache
def reference_profile(width: int, height: int, side: SideName, kind: FrameKind) -> GraphProfile:
    """What every module of `nano` has to do for a picture of this size, whatever runs it. Times are of no account."""
    blank = np.zeros((3, height, width), np.uint8)
    return profile_side(side, kind, frame_feeds([blank], qp=0, frames=WARM_UP + 1, kinds=[kind])[side, kind])
