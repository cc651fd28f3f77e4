"""`dcvc-rt` as a `codec.profiles.Codec`: both models, their tables, and an engine for each half."""

from pathlib import Path
from typing import Literal

import torch

from codec.arithmetic import Arithmetic, Precision
from codec.dcvc_rt.checkpoint import load_model
from codec.dcvc_rt.coder import ModelTables, PictureDecoder, PictureEncoder
from codec.dcvc_rt.engine import DecoderEngine, EncoderEngine
from codec.dcvc_rt.fingerprint import fingerprint
from codec.dcvc_rt.image import ImageModel
from codec.dcvc_rt.live import LiveDecoder, LiveEncoder
from codec.dcvc_rt.models import new_runtime, wants_cuda
from codec.dcvc_rt.tables import EntropyTables
from codec.dcvc_rt.video import VideoModel
from codec.encoder import DEFAULT_SLICE_BYTES
from codec.layout import Layout

_PRECISIONS: dict[torch.dtype, Precision] = {torch.float32: "float32", torch.float16: "float16"}


class DcvcRtCodec:
    """Live frames of both models on one device.

    skip_threshold, reset_interval: of encoders. The tables are built before anything moves to the device (section 5).
    """

    def __init__(
        self,
        image: ImageModel,
        video: VideoModel,
        *,
        cuda: bool = False,
        skip_threshold: float | None,
        reset_interval: int,
    ) -> None:
        self._tables = ModelTables(
            EntropyTables.build(image.bit_estimator_z), EntropyTables.build(video.bit_estimator_z)
        )
        self._cuda = cuda
        self._skip_threshold, self._reset_interval = skip_threshold, reset_interval
        runtime = new_runtime(cuda)
        if cuda:
            from codec.cuda.folding import fold_image, fold_video

            image, video = fold_image(image), fold_video(video)
        self._image, self._video = runtime.place(image), runtime.place(video)
        self.precision = _PRECISIONS[runtime.dtype]

    def arithmetic(self) -> Arithmetic:
        used = self._image.skip_threshold
        self._skip(None)
        # Folding and the number of threads change the order of sums, which the built-in frames may not show.
        kind = "CUDA graphs, folded" if self._cuda else f"layer by layer, {torch.get_num_threads()} threads"
        name = fingerprint(DecoderEngine(self._image, self._video, new_runtime(self._cuda)), kind=kind)
        self._skip(used)
        return Arithmetic(name, self.precision)

    def encoder(self, *, width: int, height: int, max_slice_bytes: int = DEFAULT_SLICE_BYTES) -> LiveEncoder:
        """An encoder and a decoder of one codec share the models, and so the skip threshold."""
        self._skip(self._skip_threshold)
        engine = EncoderEngine(self._image, self._video, new_runtime(self._cuda))
        return LiveEncoder(
            PictureEncoder(engine, self._tables, Layout(width, height)), reset_interval=self._reset_interval
        )

    def decoder(self, *, width: int, height: int, skip_threshold: float | None = None) -> LiveDecoder:
        """skip_threshold: the encoder's."""
        self._skip(skip_threshold)
        engine = DecoderEngine(self._image, self._video, new_runtime(self._cuda))
        return LiveDecoder(PictureDecoder(engine, self._tables, Layout(width, height)))

    def _skip(self, threshold: float | None) -> None:
        self._image.skip_threshold = self._video.skip_threshold = threshold


def open_dcvc_rt(
    *,
    image: Path,
    video: Path,
    device: Literal["auto", "cpu", "cuda"],
    threads: int,
    skip_threshold: float | None,
    reset_interval: int,
) -> DcvcRtCodec:
    """Load both checkpoints. Raises UserError for files that are none, or a GPU that is not there."""
    torch.set_num_threads(threads)
    image_model = load_model("image", image, skip_threshold=skip_threshold)
    video_model = load_model("video", video, skip_threshold=skip_threshold)
    assert isinstance(image_model, ImageModel)
    assert isinstance(video_model, VideoModel)
    return DcvcRtCodec(
        image_model,
        video_model,
        cuda=wants_cuda(device),
        skip_threshold=skip_threshold,
        reset_interval=reset_interval,
    )
