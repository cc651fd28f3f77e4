"""What the tests of the CUDA engine share: the models with synthetic weights, and pictures that move."""

from functools import cache

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file

from codec.dcvc_rt import DEFAULT_SKIP_THRESHOLD
from codec.dcvc_rt.checkpoint import synthetic_model
from codec.dcvc_rt.coder import ModelTables
from codec.dcvc_rt.image import ImageModel
from codec.dcvc_rt.tables import EntropyTables
from codec.dcvc_rt.video import VideoModel
from codec.layout import Layout
from codec.nano.networks import Nano
from codec.nano.weights import WEIGHTS_PATH
from tests.codec.samples import moving_picture


@cache
def image_model() -> ImageModel:
    torch.set_num_threads(1)
    model = synthetic_model("image", skip_threshold=DEFAULT_SKIP_THRESHOLD)
    assert isinstance(model, ImageModel)
    return model


@cache
def video_model() -> VideoModel:
    torch.set_num_threads(1)
    model = synthetic_model("video", skip_threshold=DEFAULT_SKIP_THRESHOLD)
    assert isinstance(model, VideoModel)
    return model


@cache
def model_tables() -> ModelTables:
    return ModelTables(
        EntropyTables.build(image_model().bit_estimator_z), EntropyTables.build(video_model().bit_estimator_z)
    )


@cache
def nano() -> Nano:
    torch.set_num_threads(1)
    return Nano().load(load_file(WEIGHTS_PATH)).requires_grad_(False)


def padded_picture(layout: Layout, t: int) -> NDArray[np.uint8]:
    """Moving pictures of the padded size."""
    return moving_picture(layout.padded_width, layout.padded_height, t)
