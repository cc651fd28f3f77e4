"""Both profiles in torch, eagerly: what there is without graphs, kernels of our own or ONNX Runtime."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import count
from pathlib import Path
from typing import TypeVar

import torch
from torch import nn

from bench.speed.nano_onnx import SIDES, Planes, reference_profile
from bench.speed.roofline import FrameKind, NetworkCost, SideName, Work, network_cost
from bench.speed.torch_modules import measure_modules, parts_of
from codec.dcvc_rt import DEFAULT_RESET_INTERVAL, DEFAULT_SKIP_THRESHOLD
from codec.dcvc_rt.checkpoint import load_model, synthetic_model
from codec.dcvc_rt.codec import DcvcRtCodec
from codec.dcvc_rt.image import ImageModel
from codec.dcvc_rt.video import VideoModel
from codec.decoder import Decoder
from codec.encoder import Encoder
from codec.engine import FrameDecoder, FrameEncoder
from codec.nano.networks import Nano
from codec.nano.torch_engine import TorchDecoder, TorchEncoder
from codec.nano.weights import load_weights
from codec.quality_cycle import inter_row
from codec.torch_runtime import EagerRuntime

WARM_UP = 1

Parts = Mapping[str, nn.Module]
Network = TypeVar("Network", bound=nn.Module)


class _Placing(EagerRuntime):
    """Remembers the networks that an engine runs here."""

    def __init__(self) -> None:
        super().__init__()
        self.placed: list[nn.Module] = []

    def place(self, network: Network) -> Network:
        placed = super().place(network)
        self.placed.append(placed)
        return placed


class NanoTorch:
    """`bench.speed.candidates.Opened`."""

    def __init__(self, *, threads: int = 1) -> None:
        torch.set_num_threads(threads)
        self._weights = load_weights()

    def encoder(self, *, width: int, height: int) -> Encoder:
        return self._encoder(_Placing(), width, height)

    def decoder(self, *, width: int, height: int) -> Decoder:
        return self._decoder(_Placing(), width, height)

    def _encoder(self, runtime: _Placing, width: int, height: int) -> Encoder:
        return Encoder(TorchEncoder(runtime), self._weights, width=width, height=height)

    def _decoder(self, runtime: _Placing, width: int, height: int) -> Decoder:
        return Decoder(TorchDecoder(runtime), self._weights, width=width, height=height)

    def modules(self, clip: Sequence[Planes], *, qp: int, frames: int, kinds: Sequence[FrameKind]) -> list[NetworkCost]:
        """As `NanoOnnx.modules`, which also says what is multiplied: some layers here are no modules of their own."""
        width, height = clip[0].shape[2], clip[0].shape[1]
        runtimes = _Placing(), _Placing()
        coding = _Coding(self._encoder(runtimes[0], width, height), self._decoder(runtimes[1], width, height), clip, qp)
        costs = []
        for kind in kinds:
            for side, runtime in zip(SIDES, runtimes, strict=True):
                (nano,) = runtime.placed
                assert isinstance(nano, Nano)
                parts = parts_of(nano.inter)
                if kind == "I":
                    parts = parts_of(nano.intra) | {"feature_adaptor_i": nano.inter.feature_adaptor_i}
                known = reference_profile(width, height, side, kind).work()
                costs.append(coding.cost(side, kind, parts, frames=frames, known=known))
        return costs


class DcvcRtTorch:
    """`bench.speed.candidates.Opened`. checkpoints: image and video; None is synthetic weights."""

    def __init__(self, checkpoints: tuple[Path, Path] | None, *, threads: int = 1) -> None:
        torch.set_num_threads(threads)
        skip = DEFAULT_SKIP_THRESHOLD
        if checkpoints is None:
            image, video = (synthetic_model(name, skip_threshold=skip) for name in ("image", "video"))
        else:
            image = load_model("image", checkpoints[0], skip_threshold=skip)
            video = load_model("video", checkpoints[1], skip_threshold=skip)
        assert isinstance(image, ImageModel)
        assert isinstance(video, VideoModel)
        self._image, self._video = image, video
        self._codec = DcvcRtCodec(image, video, skip_threshold=skip, reset_interval=DEFAULT_RESET_INTERVAL)

    def encoder(self, *, width: int, height: int) -> FrameEncoder:
        return self._codec.encoder(width=width, height=height)

    def decoder(self, *, width: int, height: int) -> FrameDecoder:
        return self._codec.decoder(width=width, height=height, skip_threshold=DEFAULT_SKIP_THRESHOLD)

    def modules(self, clip: Sequence[Planes], *, qp: int, frames: int, kinds: Sequence[FrameKind]) -> list[NetworkCost]:
        """As `NanoOnnx.modules`."""
        size = {"width": clip[0].shape[2], "height": clip[0].shape[1]}
        coding = _Coding(self.encoder(**size), self.decoder(**size), clip, qp)
        parts: dict[FrameKind, Parts] = {
            "P": parts_of(self._video),
            "I": parts_of(self._image) | {"feature_adaptor_i": self._video.feature_adaptor_i},
        }
        return [coding.cost(side, kind, parts[kind], frames=frames) for kind in kinds for side in SIDES]


class _Coding:
    """A clip on its way through an encoder and a decoder, frame by frame, while modules are watched."""

    def __init__(self, encoder: FrameEncoder, decoder: FrameDecoder, clip: Sequence[Planes], qp: int) -> None:
        self._encoder, self._decoder = encoder, decoder
        self._clip, self._qp = clip, qp
        self._coded: dict[FrameKind, list[bytes]] = {"P": [], "I": []}

    def cost(
        self,
        side: SideName,
        kind: FrameKind,
        parts: Parts,
        *,
        frames: int,
        known: Mapping[str, Work] | None = None,
    ) -> NetworkCost:
        """One side after the other: the decoder decodes what was coded for the encoder's. known: its MACs count."""
        code = (self._encode if side == "encode" else self._decode)(kind)
        timed, work = measure_modules(parts, lambda: next(code), frames=frames, warm_up=WARM_UP)
        if known is not None:
            work = {
                name: Work(known[name].macs if name in known else 0, each.least_bytes, each.moved_bytes)
                for name, each in work.items()
            }
        return network_cost(side, kind, timed, work)

    def _encode(self, kind: FrameKind) -> Iterator[float]:
        coded = self._coded[kind] = []
        state, first = self._encoder.encode(None, self._clip[0], qp=self._qp, frame_id=0)
        if kind == "P":
            coded.append(first.data)
        for number in count(1):
            planes = self._clip[number % len(self._clip)]
            reference, row = (state, inter_row(self._qp, number)) if kind == "P" else (None, self._qp)
            state, frame = self._encoder.encode(reference, planes, qp=row, frame_id=number)
            coded.append(frame.data)
            yield 1e3 * self._encoder.timing.network_s

    def _decode(self, kind: FrameKind) -> Iterator[float]:
        state = None
        for number, data in enumerate(self._coded[kind]):
            state, _ = self._decoder.decode(state if kind == "P" else None, data, frame_id=number)
            if number or kind == "I":
                yield 1e3 * self._decoder.timing.network_s
