"""The paper's networks: their tensors, their cost, and what each part of them puts out for a golden vector."""

import io
import json
from collections import deque
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch", reason="torch is not installed: pip install torch")

from torch import Tensor, nn

from codec.complexity import DcvcRtMacs, dcvc_rt_macs, parameters
from codec.dcvc_rt.checkpoint import new_model, shapes_of
from codec.dcvc_rt.planes import repeat_chroma
from codec.dcvc_rt.sequence import Schedule, SequenceDecoder, SequenceEncoder
from codec.dcvc_rt.synthetic import ModelName, fingerprint
from codec.dcvc_rt.units import UnitReader
from codec.layout import FileLayout
from tests.codec.dcvc_rt_samples import VECTORS, golden, models

NAMES: tuple[ModelName, ...] = ("image", "video")


def manifest(name: ModelName) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((VECTORS / f"manifest_{name}.json").read_text())
    return content


@pytest.fixture(scope="module")
def macs() -> DcvcRtMacs:
    return dcvc_rt_macs(1920, 1080)


@pytest.mark.parametrize("name", NAMES)
def test_every_tensor_of_the_checkpoint_in_order(name: ModelName) -> None:
    expected = [(tensor["key"], tuple(tensor["shape"])) for tensor in manifest(name)["tensors"]]
    assert list(shapes_of(name).items()) == expected


@pytest.mark.parametrize("name", NAMES)
def test_parameters(name: ModelName) -> None:
    counts = parameters(new_model(name, skip_threshold=None))
    assert counts == manifest(name)["parameters_by_top_level"]
    assert sum(counts.values()) == manifest(name)["total_parameters"]


@pytest.mark.parametrize("name", NAMES)
def test_synthetic_weights(name: ModelName) -> None:
    model = getattr(models(), name)
    weights = {key: value.numpy() for key, value in model.state_dict().items()}
    assert fingerprint(weights) == manifest(name)["synthetic_weights_sha256"]


def test_multiply_accumulates_of_an_intra_picture(macs: DcvcRtMacs) -> None:
    expected = manifest("image")["macs_1080p"]
    assert sum(macs.intra_encode.values()) == expected["encode_total"]
    assert sum(macs.intra_decode.values()) == expected["decode_total"]
    modules = expected["per_module"]
    adaptors = [count for name, count in macs.intra_encode.items() if name.startswith("y_spatial_prior_adaptor_")]
    assert sum(adaptors) == modules["y_spatial_prior_adaptors_x3"]
    assert macs.intra_encode["y_spatial_prior"] == modules["y_spatial_prior_x3"]
    for name in ("enc", "hyper_enc", "hyper_dec", "y_prior_fusion", "y_spatial_prior_reduction", "dec"):
        assert macs.intra_encode[name] == modules[name]


def test_multiply_accumulates_of_an_inter_picture(macs: DcvcRtMacs) -> None:
    expected = manifest("video")["macs_1080p"]
    assert sum(macs.inter_encode.values()) == expected["encode_total"]
    assert sum(macs.inter_decode.values()) == expected["decode_total"]
    assert macs.reset_extra == expected["extra_when_use_ada_i"]
    modules = expected["per_module"]
    extractor = modules.pop("feature_extractor_conv1") + modules.pop("feature_extractor_conv2")
    assert macs.inter_encode["feature_extractor"] == extractor
    for name, count in modules.items():
        if name not in ("feature_adaptor_i", "recon_generation_net"):
            assert macs.inter_encode[name] == count
    assert macs.inter_decode["recon_generation_net"] == modules["recon_generation_net"]


def test_every_module_puts_out_what_the_taps_say() -> None:
    """Three pictures of a golden vector, encoded and decoded; the taps are in the order in which modules run."""
    taps = json.loads((VECTORS / "taps_160x96_qp42.json").read_text())["rows"]
    arrays = golden("golden_160x96_qp42.npz")
    both = models()
    seen: dict[tuple[str, str], deque[Tensor]] = {}

    def remember(key: tuple[str, str]) -> Callable[[nn.Module, Any, Tensor], None]:
        def hook(module: nn.Module, inputs: Any, output: Tensor) -> None:
            seen.setdefault(key, deque()).append(output.clone())

        return hook

    wanted = {(tap["model"], tap["module"]) for tap in taps}
    hooks = [
        module.register_forward_hook(remember((name, path)))
        for name in NAMES
        for path, module in getattr(both, name).named_modules()
        if (name, path) in wanted
    ]
    try:
        encoder = SequenceEncoder(both.encoder(), both.tables, FileLayout(160, 96), Schedule(42, reset_interval=64))
        encoded = []
        for y, uv in zip(arrays["in_y"][:3], arrays["in_uv"][:3], strict=True):
            encoder.encode(repeat_chroma(y, uv))
            encoded.append(dict(seen))
            seen.clear()
        units = UnitReader(io.BytesIO(arrays["file_ec0"].tobytes()))
        decoded = []
        for _ in SequenceDecoder(both.decoder(), both.tables).pictures(units):
            decoded.append(dict(seen))
            seen.clear()
    finally:
        for hook in hooks:
            hook.remove()
    # The adaptor that a picture needs runs at the end of the picture before it.
    for t in (1, 2):
        for outputs in (encoded, decoded):
            for key in (("video", "feature_adaptor_i"), ("video", "feature_adaptor_p")):
                if key in outputs[t - 1] and (t == 1) == key[1].endswith("_i"):
                    outputs[t][key] = outputs[t - 1].pop(key)
    for tap in taps:
        outputs = encoded if tap["phase"] == "encode" else decoded
        found = outputs[tap["frame"]][tap["model"], tap["module"]].popleft().numpy()
        place = f"picture {tap['frame']}, {tap['phase']}, {tap['model']} {tap['module']}"
        assert list(found.shape) == tap["shape"], place
        assert found.mean(dtype=np.float64) == pytest.approx(tap["mean"], abs=2e-5), place
        assert found.std(dtype=np.float64, ddof=1) == pytest.approx(tap["std"], abs=2e-5), place
        assert np.abs(found).max() == pytest.approx(tap["absmax"], abs=2e-5), place
        assert found.ravel()[: len(tap["first"])] == pytest.approx(tap["first"], abs=2e-5), place
