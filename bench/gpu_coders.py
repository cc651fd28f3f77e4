"""What `latentcast bench gpu` runs: a request, both ends of either profile in one object, a runtime that times."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from codec.cuda.eager import LayerByLayer
from codec.cuda.folding import fold_image, fold_video
from codec.cuda.runtime import CudaRuntime
from codec.dcvc_rt import DEFAULT_SKIP_THRESHOLD
from codec.dcvc_rt.checkpoint import load_model, synthetic_model
from codec.dcvc_rt.coder import ModelTables, PictureDecoder, PictureEncoder
from codec.dcvc_rt.engine import DecoderEngine, EncoderEngine
from codec.dcvc_rt.image import ImageModel
from codec.dcvc_rt.payload import wants_two_streams
from codec.dcvc_rt.synthetic import ModelName
from codec.dcvc_rt.tables import EntropyTables
from codec.dcvc_rt.video import VideoModel
from codec.decoder import Decoder
from codec.encoder import Encoder
from codec.files import pictures
from codec.layout import Layout
from codec.nano.torch_engine import TorchDecoder, TorchEncoder
from codec.nano.weights import load_weights
from codec.quality_cycle import inter_row
from codec.state import State
from codec.torch_runtime import Download, Network, Runtime, Stretch
from codec.video_io import VideoReader
from latentcast.demo import CLIPS_FOLDER
from latentcast.errors import UserError

Planes = NDArray[np.uint8]

ProfileName = Literal["dcvc-rt", "nano"]
CLIP = CLIPS_FOLDER / "water.mp4"
CLIP_FRAMES = 32
QP = 32
# Of the published figures (section 10.5); live streams have another.
RESET_INTERVAL = 64


class Coder(Protocol):
    """One end, whatever the profile. entropy_s: of the newest frame."""

    entropy_s: float

    def encode(self, state: Any, planes: Planes, number: int) -> tuple[Any, bytes]: ...

    def decode(self, state: Any, data: bytes, number: int) -> tuple[Any, Planes]: ...


def _row(qp: int, number: int) -> int:
    return qp if number == 0 else inter_row(qp, number)


class DcvcRt:
    """Both ends of `dcvc-rt`, folded unless told otherwise, each on a runtime of its own."""

    def __init__(
        self, weights: tuple[Path, Path] | None, new_runtime: Callable[[], Runtime], size: tuple[int, int], qp: int
    ) -> None:
        image, video = dcvc_rt_models(weights)
        # Before anything is folded or moved (section 5).
        tables = ModelTables(EntropyTables.build(image.bit_estimator_z), EntropyTables.build(video.bit_estimator_z))
        runtime, other = new_runtime(), new_runtime()
        image, video = runtime.place(fold_image(image)), runtime.place(fold_video(video))
        layout = Layout(*size)
        self._encoder = PictureEncoder(EncoderEngine(image, video, runtime), tables, layout)
        self._decoder = PictureDecoder(DecoderEngine(image, video, other), tables, layout)
        self._two_streams = wants_two_streams(*size)
        self._layout, self._qp = layout, qp
        self.entropy_s = 0.0

    @staticmethod
    def _reset(number: int) -> bool:
        """The picture after this one is one of those that start from a picture."""
        return (number + 1) % RESET_INTERVAL == 1

    def encode(self, state: Any, planes: Planes, number: int) -> tuple[Any, bytes]:
        reset = self._reset(number)
        coded = self._encoder.encode(
            state, planes, qp=_row(self._qp, number), reset=reset, two_streams=self._two_streams
        )
        self.entropy_s = self._encoder.timing.entropy_s
        return coded.state, coded.check.to_bytes(4, "big") + coded.payload

    def decode(self, state: Any, data: bytes, number: int) -> tuple[Any, Planes]:
        reset = self._reset(number)
        decoded, check = self._decoder.decode(
            state, data[4:], qp=_row(self._qp, number), reset=reset, two_streams=self._two_streams
        )
        if check != int.from_bytes(data[:4], "big"):
            raise UserError(f"frame {number} decodes to other symbols than were coded: encoder and decoder differ.")
        self.entropy_s = self._decoder.timing.entropy_s
        return decoded.state, decoded.code_values[:, : self._layout.height, : self._layout.width]


class NanoBoth:
    """Both ends of `nano`."""

    def __init__(self, new_runtime: Callable[[], Runtime], size: tuple[int, int], qp: int) -> None:
        weights = load_weights()
        width, height = size
        self._qp = qp
        self._encoder = Encoder(TorchEncoder(new_runtime()), weights, width=width, height=height)
        self._decoder = Decoder(TorchDecoder(new_runtime()), weights, width=width, height=height)
        self.entropy_s = 0.0

    def encode(self, state: Any, planes: Planes, number: int) -> tuple[Any, bytes]:
        reference = None if state is None else State(number, state)
        new, frame = self._encoder.encode(reference, planes, qp=_row(self._qp, number), frame_id=number)
        self.entropy_s = self._encoder.timing.entropy_s
        return new.tensor, frame.data

    def decode(self, state: Any, data: bytes, number: int) -> tuple[Any, Planes]:
        reference = None if state is None else State(number, state)
        new, frame = self._decoder.decode(reference, data, frame_id=number)
        self.entropy_s = self._decoder.timing.entropy_s
        return new.tensor, frame.planes


def dcvc_rt_models(weights: tuple[Path, Path] | None) -> tuple[ImageModel, VideoModel]:
    """From checkpoints, or with the synthetic weights of section 11: they cost what the published ones cost."""
    models = []
    names: tuple[ModelName, ModelName] = ("image", "video")
    for name, path in zip(names, weights or (None, None), strict=True):
        threshold = DEFAULT_SKIP_THRESHOLD
        models.append(
            synthetic_model(name, skip_threshold=threshold)
            if path is None
            else load_model(name, path, skip_threshold=threshold)
        )
    image, video = models
    assert isinstance(image, ImageModel)
    assert isinstance(video, VideoModel)
    return image, video


def write_synthetic(folder: Path) -> tuple[Path, Path]:
    """Both models with synthetic weights as checkpoint files, for a program that takes no others."""
    paths = folder / "image.pth.tar", folder / "video.pth.tar"
    for model, path in zip(dcvc_rt_models(None), paths, strict=True):
        torch.save({"state_dict": model.state_dict()}, path)
    return paths


@dataclass(frozen=True, slots=True)
class Request:
    """What to measure. weights: checkpoints of `dcvc-rt`, None for synthetic ones. qp: before the quality cycle."""

    device: torch.device
    profile: ProfileName
    weights: tuple[Path, Path] | None
    size: tuple[int, int]
    frames: int
    drift_frames: int
    loopback_seconds: float
    qp: int = QP

    @property
    def dtype(self) -> torch.dtype:
        return torch.float16 if self.device.type == "cuda" else torch.float32

    def runtime(self) -> Runtime:
        if self.device.type == "cuda":
            return CudaRuntime(str(self.device), self.dtype)
        return LayerByLayer(self.device, self.dtype)

    def coder(self, new_runtime: Callable[[], Runtime], size: tuple[int, int] | None = None) -> Coder:
        if self.profile == "nano":
            return NanoBoth(new_runtime, size or self.size, self.qp)
        return DcvcRt(self.weights, new_runtime, size or self.size, self.qp)


def clip(size: tuple[int, int]) -> list[Planes]:
    with VideoReader(CLIP) as reader:
        return [planes for planes, _ in zip(pictures(reader, *size), range(CLIP_FRAMES), strict=False)]


def back_and_forth(frames: Sequence[Planes], count: int) -> Iterator[Planes]:
    """No cut anywhere, however long it goes on."""
    order = [*frames, *frames[-2:0:-1]]
    for number in range(count):
        yield order[number % len(order)]


class Staged:
    """A runtime that finishes every stage before the next begins, and notes how long each took.

    milliseconds: by stage, of the frame so far. Transfers of whole pictures are told apart from those of symbols.
    """

    def __init__(self, inner: Runtime, milliseconds: dict[str, float]) -> None:
        self._inner, self.milliseconds = inner, milliseconds
        self.device, self.dtype = inner.device, inner.dtype

    def _note(self, stage: str, started: float) -> None:
        self._inner.synchronize()
        self.milliseconds[stage] += 1e3 * (time.perf_counter() - started)

    def place(self, network: Network) -> Network:
        return self._inner.place(network)

    def stretch(self, function: Stretch) -> Stretch:
        run = self._inner.stretch(function)

        def timed(*inputs: torch.Tensor) -> tuple[torch.Tensor, ...]:
            started = time.perf_counter()
            outputs = run(*inputs)
            self._note("network", started)
            return outputs

        return timed

    def upload(self, key: str, array: NDArray[Any]) -> torch.Tensor:
        started = time.perf_counter()
        tensor = self._inner.upload(key, array)
        self._note("picture upload" if key == "picture" else "symbol transfers", started)
        return tensor

    def download(self, key: str, tensor: torch.Tensor) -> Download:
        started = time.perf_counter()
        download = self._inner.download(key, tensor)
        self._note("picture download" if key == "code_values" else "symbol transfers", started)
        return download

    def keep(self, tensor: torch.Tensor) -> torch.Tensor:
        started = time.perf_counter()
        kept = self._inner.keep(tensor)
        self._note("network", started)
        return kept

    def constant(self, tensor: torch.Tensor) -> torch.Tensor:
        return self._inner.constant(tensor)

    def synchronize(self) -> None:
        self._inner.synchronize()

    def reset(self) -> None:
        self._inner.reset()
