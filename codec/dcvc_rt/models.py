"""Both models with their tables, loaded once: what files and conformance make their engines of.

Never folded and never compiled: on a CPU this is the arithmetic of the golden vectors, float32, layer by layer.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch

from codec.dcvc_rt.checkpoint import load_model, synthetic_model
from codec.dcvc_rt.coder import ModelTables
from codec.dcvc_rt.engine import DecoderEngine, EncoderEngine
from codec.dcvc_rt.image import ImageModel
from codec.dcvc_rt.tables import EntropyTables
from codec.dcvc_rt.video import VideoModel
from codec.torch_runtime import EagerRuntime, Runtime
from latentcast.errors import UserError

log = logging.getLogger(__name__)

Device = Literal["auto", "cpu", "cuda"]


@dataclass(frozen=True, slots=True)
class Models:
    """image, video: on one device. tables: built before they went there (section 5)."""

    image: ImageModel
    video: VideoModel
    tables: ModelTables
    cuda: bool = False

    @classmethod
    def of(cls, image: object, video: object, *, device: Device = "cpu") -> "Models":
        """Take over two models that are in float32 on the CPU. Raises UserError when the GPU cannot be used."""
        assert isinstance(image, ImageModel)
        assert isinstance(video, VideoModel)
        tables = ModelTables(EntropyTables.build(image.bit_estimator_z), EntropyTables.build(video.bit_estimator_z))
        cuda = wants_cuda(device)
        runtime = new_runtime(cuda)
        return cls(runtime.place(image), runtime.place(video), tables, cuda=cuda)

    @classmethod
    def open(
        cls, image: Path | None, video: Path | None, *, skip_threshold: float | None, device: Device = "cpu"
    ) -> "Models":
        """Load the two checkpoints. Raises UserError for files that are none, or a GPU that is not there."""
        if image is None or video is None:
            raise UserError(
                "the profile dcvc-rt needs the two published checkpoints: give cvpr2025_image.pth.tar with "
                "--weights-image and cvpr2025_video.pth.tar with --weights-video."
            )
        return cls.of(
            load_model("image", image, skip_threshold=skip_threshold),
            load_model("video", video, skip_threshold=skip_threshold),
            device=device,
        )

    @classmethod
    def synthetic(cls, *, skip_threshold: float | None = None) -> "Models":
        """The synthetic weights of section 11, on the CPU."""
        return cls.of(
            synthetic_model("image", skip_threshold=skip_threshold),
            synthetic_model("video", skip_threshold=skip_threshold),
        )

    def skip(self, threshold: float | None) -> None:
        """Set the skip threshold (section 6.5) of every engine made of these models."""
        self.image.skip_threshold = self.video.skip_threshold = threshold

    def encoder(self) -> EncoderEngine:
        return EncoderEngine(self.image, self.video, new_runtime(self.cuda))

    def decoder(self) -> DecoderEngine:
        return DecoderEngine(self.image, self.video, new_runtime(self.cuda))


@contextmanager
def cpu_threads(count: int) -> Iterator[None]:
    """Let torch use `count` threads inside.

    It is part of the arithmetic: a convolution cut for another number of threads sums in another order, and one table
    number in a million then differs (section 10.2). A file must be decoded with the number it was encoded with.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def parse_skip_threshold(text: str) -> float | None:
    """`0.12` as a number, `none` as None (every element is coded). Raises UserError."""
    if text.strip().lower() == "none":
        return None
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 16:
        raise UserError(f"the skip threshold {text!r} was not understood; give a number from 0 to 16, or none.")
    return value


def wants_cuda(device: Device) -> bool:
    """Whether the GPU is to be used; `auto` uses one that can be."""
    if device != "auto":
        return device == "cuda"
    from codec.cuda.availability import open_device

    try:
        open_device()
    except UserError as error:
        log.info("dcvc-rt runs on the CPU: %s", error)
        return False
    return True


def new_runtime(cuda: bool) -> Runtime:
    """One for every engine: what one resets, another must not miss."""
    if not cuda:
        return EagerRuntime()
    from codec.cuda.runtime import CudaRuntime

    return CudaRuntime()
