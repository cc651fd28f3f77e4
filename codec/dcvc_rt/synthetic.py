"""Synthetic weights (section 11): what the golden vectors were made with, and what speed can be measured with.

Every tensor comes from its own generator, seeded by the hash of its name, so the order of keys does not matter. They
code no picture well; they exercise every path.
"""

import hashlib
import math
from collections.abc import Mapping
from typing import Literal

import numpy as np
from numpy.typing import NDArray

ModelName = Literal["image", "video"]
Weights = dict[str, NDArray[np.float32]]

# Gains of convolution weights: the first whose model and part of the key fit.
_GAINS: tuple[tuple[str, str, float], ...] = (
    ("image", "dec.dec_2.dc.3.weight", 0.10),
    ("image", "dec.dec_2.ffn.2.weight", 0.10),
    ("", ".dc.3.weight", 0.35),
    ("", ".ffn.2.weight", 0.35),
    ("image", "enc.enc_2.6.weight", 0.90),
    ("image", "hyper_enc.2.down.weight", 0.60),
    ("image", "dec.dec_2.adaptor.weight", 0.06),
    ("video", "encoder.down.weight", 1.00),
    ("video", "hyper_encoder.conv.2.down.weight", 0.50),
    ("video", "feature_adaptor_p.weight", 0.40),
    ("video", "decoder.conv2.weight", 0.80),
    ("video", "recon_generation_net.head.weight", 0.22),
)
_DEFAULT_GAIN = 0.90
# Heads that put out parameters of y: how many channels are quantiser step, scale and mean, and the gain of each part.
_HEADS: dict[tuple[str, str], tuple[int, int, int]] = {
    ("image", "y_prior_fusion.3"): (2, 256, 256),
    ("image", "y_spatial_prior.3"): (0, 256, 256),
    ("video", "y_prior_fusion.conv.3"): (128, 128, 128),
    ("video", "y_spatial_prior.conv.2"): (0, 128, 128),
}
_HEAD_GAINS = (0.05, 0.05, 0.50)
# d of exp(0.1 n + d ln(5) t): QP tables rise, fall or stay level over the rows.
_SLOPES = {"q_scale_enc": 1, "q_encoder": 1, "q_scale_dec": -1, "q_decoder": -1, "q_feature": 0, "q_recon": 0}
_PICTURE_HEADS = {("image", "dec.dec_2.adaptor.bias"), ("video", "recon_generation_net.head.bias")}


def _tensor(model: ModelName, key: str, shape: tuple[int, ...]) -> NDArray[np.float32]:
    digest = hashlib.sha256(f"{model}/{key}".encode()).digest()
    generator = np.random.Generator(np.random.PCG64(int.from_bytes(digest[:8], "little")))
    n = generator.standard_normal(shape, dtype=np.float32).astype(np.float64)
    head = _HEADS.get((model, key.rsplit(".", 1)[0]))
    if key in _SLOPES:
        t = np.arange(shape[0], dtype=np.float64).reshape(-1, 1, 1, 1) / 63.0 - 0.5
        value = np.exp(0.1 * n + _SLOPES[key] * math.log(5.0) * t)
    elif key.startswith("bit_estimator_z."):
        value = {"h": 0.20, "b": 0.20, "a": 0.30}[key[-1]] * n + (0.10 if key.endswith("h") else 0.0)
    elif key.endswith(".bias"):
        value = 0.05 * n
        if head is not None:
            q, s, _ = head
            value[:q] = (1.0 if model == "video" else 0.0) + 0.15 * n[:q]
            value[q : q + s] = np.minimum(np.exp(-0.3 + 0.9 * n[q : q + s]), 12.0) - 0.05
            value[q + s :] = 0.3 * n[q + s :]
        elif (model, key) in _PICTURE_HEADS:
            value = value + 0.5
    else:
        if head is None:
            value = n * next((g for m, part, g in _GAINS if m in ("", model) and part in key), _DEFAULT_GAIN)
        else:
            value = n * np.repeat(_HEAD_GAINS, head).reshape(-1, 1, 1, 1)
        value = value / math.sqrt(shape[1] * shape[2] * shape[3])
    return np.ascontiguousarray(value, dtype=np.float32)


def synthetic_weights(model: ModelName, shapes: Mapping[str, tuple[int, ...]]) -> Weights:
    """Weights for the state dict of a model, given as key -> shape."""
    return {key: _tensor(model, key, tuple(shape)) for key, shape in shapes.items()}


def fingerprint(weights: Mapping[str, NDArray[np.float32]]) -> str:
    """SHA-256 over keys and values, hexadecimal: the `synthetic_weights_sha256` of the golden vectors."""
    digest = hashlib.sha256()
    for key in sorted(weights):
        digest.update(key.encode() + b"\0" + weights[key].astype("<f4").tobytes())
    return digest.hexdigest()
