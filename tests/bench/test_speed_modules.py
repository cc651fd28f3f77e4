"""Work by module: of the paper's models against their manifests, of `nano` against its layers, whatever runs it."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest

from bench.speed.nano_onnx import frame_feeds, reference_profile
from bench.speed.onnx_profile import CONVOLUTIONS, GraphProfile, boundaries, convolution_macs, modules_of
from bench.speed.roofline import OUTSIDE, FrameKind, SideName
from codec.layout import Layout

WIDTH, HEIGHT = 128, 80
MANIFESTS = Path(__file__).resolve().parent.parent / "vectors" / "dcvc-rt"

SIDES_AND_KINDS: list[tuple[SideName, FrameKind]] = [("encode", "P"), ("decode", "P"), ("encode", "I"), ("decode", "I")]


def lite_block(inputs: int, channels: int) -> int:
    """Multiply-adds a position."""
    adaptor = inputs * channels if inputs != channels else 0
    return adaptor + 6 * channels**2 + 9 * channels


def nano_macs(side: SideName, kind: FrameKind, layout: Layout) -> dict[str, int]:
    """Some modules of `nano`, layer by layer after its specification (docs/nano.md)."""
    eighth = layout.state_size[0] * layout.state_size[1]
    sixteenth = layout.positions
    if kind == "I":
        intra = {"feature_adaptor_i": eighth * lite_block(192, 64)}
        if side == "encode":
            intra["enc"] = eighth * (lite_block(192, 96) + 2 * lite_block(96, 96)) + sixteenth * 9 * 96 * 64
        return intra | {
            "dec": sixteenth * 64 * 4 * 96 + eighth * (5 * lite_block(96, 96) + 96 * 192),
            "y_prior_fusion": sixteenth * (lite_block(64, 96) + 96 * 128),
        }
    inter = {
        "feature_extractor.conv1": eighth * lite_block(64, 64),
        "feature_extractor.conv2": eighth * lite_block(64, 64),
        "temporal_prior_encoder": sixteenth * (4 * 64 * 128 + lite_block(128, 128)),
        "y_prior_fusion": sixteenth * (lite_block(192, 96) + 96 * 128),
        "y_spatial_prior": sixteenth * (lite_block(192, 96) + 96 * 64),
        "decoder": sixteenth * 64 * 256 + eighth * (lite_block(128, 64) + lite_block(64, 64) + 64 * 64),
        "feature_adaptor_p": eighth * 64 * 64,
    }
    if side == "encode":
        blocks = lite_block(128, 64) + lite_block(64, 64)
        inter["encoder"] = eighth * (192 * 64 + blocks) + sixteenth * 9 * 64 * 64
    else:
        inter["recon_generation_net"] = eighth * (2 * lite_block(64, 64) + 64 * 192)
    return inter


@pytest.mark.parametrize(("side", "kind"), SIDES_AND_KINDS)
def test_graph_nodes_are_of_the_modules_of_the_specification(side: SideName, kind: FrameKind) -> None:
    profile = reference_profile(WIDTH, HEIGHT, side, kind)
    work = profile.work()
    expected = nano_macs(side, kind, Layout(WIDTH, HEIGHT))
    assert {name: work[name].macs for name in expected} == expected
    # The hyper networks are what the table above leaves out.
    rest = set(work) - set(expected) - {OUTSIDE}
    assert all(name.startswith(("hyper_", "y_spatial_prior")) for name in rest)


@pytest.mark.parametrize(("side", "kind"), SIDES_AND_KINDS)
def test_nearly_all_multiply_adds_of_a_graph_are_in_a_module(side: SideName, kind: FrameKind) -> None:
    profile = reference_profile(WIDTH, HEIGHT, side, kind)
    modules = modules_of(profile.graph)
    counts = {node: convolution_macs(node, profile.runs[node.name]) for node in convolution_nodes(profile)}
    inside = sum(count for node, count in counts.items() if modules[node.name] != OUTSIDE)
    assert counts
    assert inside >= 0.99 * sum(counts.values())
    # And nodes without weights are not left over either.
    assert sum(module == OUTSIDE for module in modules.values()) < 0.1 * len(modules)


def convolution_nodes(profile: GraphProfile) -> list[Any]:
    nodes = [node for node in profile.graph.nodes if node.op in CONVOLUTIONS]
    # Every one of them ran under the name that the file gives it.
    assert all(node.name in profile.runs for node in nodes)
    return nodes


def test_least_bytes_are_weights_and_what_crosses_the_border_once() -> None:
    profile = reference_profile(WIDTH, HEIGHT, "decode", "P")
    rows, columns = Layout(WIDTH, HEIGHT).state_size
    tensor = rows * columns * 64 * 4
    weights = (64 * 64 + 64) * 4
    # One convolution: the feature in, the state out.
    assert profile.work()["feature_adaptor_p"].least_bytes == weights + 2 * tensor
    assert profile.work(float_bytes=2)["feature_adaptor_p"].least_bytes == (weights + 2 * tensor) // 2
    crossing = boundaries(profile.graph, modules_of(profile.graph))["recon_generation_net"]
    assert "picture" in crossing
    # The feature in, the picture out in bytes whatever the precision.
    work = profile.work(float_bytes=2)["recon_generation_net"]
    weights = 2 * (6 * 64**2 + 9 * 64 + 6 * 64) + 64 * 192 + 192
    assert work.least_bytes == pytest.approx(2 * weights + tensor // 2 + WIDTH * HEIGHT * 3, rel=0.01)


def test_our_kernels_multiply_what_the_graphs_multiply() -> None:
    from codec.nano.simd.selftest import unavailable

    if reason := unavailable():
        pytest.skip(reason)
    from bench.speed.nano_simd import SimdProfile

    blank = np.zeros((3, HEIGHT, WIDTH), np.uint8)
    feeds = frame_feeds([blank], qp=0, frames=1, kinds=["P", "I"])
    for side, kind in SIDES_AND_KINDS:
        profile = SimdProfile(Layout(WIDTH, HEIGHT), side, kind)
        (frame,) = profile.frames(feeds[side, kind])
        expected = {
            name: work.macs for name, work in reference_profile(WIDTH, HEIGHT, side, kind).work().items() if work.macs
        }
        assert profile.macs() == expected
        assert set(frame.modules_ms) == set(expected)
        assert all(count > 0 for count in profile.moved_bytes().values())


@pytest.mark.parametrize("frame", ["I", "P"])
@pytest.mark.parametrize("side", ["encode", "decode"])
def test_the_papers_networks_cost_what_their_manifests_say(frame: str, side: str) -> None:
    torch = pytest.importorskip("torch")
    from bench.speed.torch_modules import measure_work, parts_of
    from codec.dcvc_rt.checkpoint import new_model

    name: Literal["image", "video"] = "image" if frame == "I" else "video"
    manifest = json.loads((MANIFESTS / f"manifest_{name}.json").read_text())["macs_1080p"]
    model = new_model(name, skip_threshold=None)
    with torch.inference_mode(), torch.device("meta"):
        work = measure_work(parts_of(model), coding(model, frame, side, torch))
    total = sum(each.macs for each in work.values())
    assert total == pytest.approx(manifest[f"{side}_total"], rel=1e-3)
    for module, each in work.items():
        listed = manifest["per_module"].get(module.replace(".", "_"))
        if listed is not None:
            assert each.macs == pytest.approx(listed, rel=1e-3), module
    assert work.get(OUTSIDE) is None or work[OUTSIDE].macs == 0
    # An eager engine reads and writes between all its operations.
    assert all(each.moved_bytes >= each.least_bytes for key, each in work.items() if key != OUTSIDE)


def coding(model: Any, frame: str, side: str, torch: Any) -> Callable[[], None]:
    """One 1080p picture on the meta device."""
    qp = torch.zeros(1, dtype=torch.int64)
    picture = torch.zeros(1, 3, 1088, 1920)
    z = torch.zeros(1, 128, 17, 30)
    symbols = torch.zeros(64, 68, 120)
    state = torch.zeros(1, 256, 136, 240)

    def intra_encode() -> None:
        model.reconstruct(model.encode(picture, qp)[-1], qp)

    def intra_decode() -> None:
        _, means, acc, common, params = model.begin(z, 68, 120)
        for step in (1, 2, 3):
            _, means, acc = model.advance(step, symbols, means, acc, common)
        model.reconstruct(model.latents(symbols, means, acc, params), qp)

    def inter_encode() -> None:
        *_, y_hat, context = model.encode(picture, state, qp)
        model.state_of_feature(model.feature(y_hat, context, qp))

    def inter_decode() -> None:
        c1, temporal = model.extract(state, qp)
        context = model.context(c1)
        _, params = model.begin(z, temporal)
        _, means, part = model.advance(symbols, params)
        feature = model.feature(model.latents(symbols, means, part, params), context, qp)
        model.reconstruct(feature, qp)
        model.state_of_feature(feature)

    if frame == "I":
        return intra_encode if side == "encode" else intra_decode
    return inter_encode if side == "encode" else inter_decode


def test_a_watched_engine_is_timed_inside_its_modules_and_left_as_it_was() -> None:
    pytest.importorskip("torch")
    from bench.speed.torch_engines import NanoTorch

    clip = [np.full((3, HEIGHT, WIDTH), shade, np.uint8) for shade in (20, 200)]
    costs = NanoTorch().modules(clip, qp=20, frames=2, kinds=["P", "I"])
    layout = Layout(WIDTH, HEIGHT)
    for cost in costs:
        expected = nano_macs(cost.side, cost.kind, layout)
        macs = {module.name: module.work.macs for module in cost.modules}
        assert {name: macs[name] for name in expected} == expected
        assert all(module.ms > 0 for module in cost.modules if module.name in expected)
        assert 0 < cost.modules[-1].ms < cost.ms
    (adaptor,) = (module for module in costs[-1].modules if module.name == "feature_adaptor_i")
    state = layout.state_size[0] * layout.state_size[1] * 64
    weights = 192 * 64 + 64 + 6 * 64**2 + 9 * 64 + 6 * 64
    # The picture in and the state out, once, although its methods call each other.
    assert adaptor.work.least_bytes == 4 * (3 * WIDTH * HEIGHT + state + weights)


def test_watching_leaves_no_trace_on_the_modules() -> None:
    pytest.importorskip("torch")
    from bench.speed.torch_modules import Watch, parts_of
    from codec.nano.networks import Nano

    nano = Nano()
    before = {name: set(vars(part)) for name, part in parts_of(nano.inter).items()}
    with Watch(parts_of(nano.inter)).installed():
        assert "forward" in vars(nano.inter.encoder)
    assert {name: set(vars(part)) for name, part in parts_of(nano.inter).items()} == before
    assert {"feature_extractor.conv1", "feature_extractor.conv2"} <= set(before)
    assert "feature_extractor" not in before


def test_views_move_nothing_and_writing_in_place_does() -> None:
    torch = pytest.importorskip("torch")
    from bench.speed.torch_modules import measure_work

    def moved(run: Callable[[Any], Any]) -> int:
        x = torch.zeros(1, 4, 8, 8)
        work = measure_work({}, lambda: run(x))
        return work[OUTSIDE].moved_bytes if work else 0

    size = 4 * 8 * 8 * 4
    assert moved(lambda x: x.view(4, 64)[:2].chunk(2)) == 0
    assert moved(lambda x: x + 1) == 2 * size
    # What repeats itself is read once.
    assert moved(lambda x: x * x[:, :, :1, :1].expand(1, 4, 8, 8)) == 2 * size + 4 * 4
    assert moved(lambda x: x.add_(1)) == 2 * size


@pytest.mark.slow
def test_the_papers_codec_runs_the_modules_that_are_watched() -> None:
    pytest.importorskip("torch")
    from bench.speed.torch_engines import DcvcRtTorch
    from codec.complexity import dcvc_rt_macs

    clip = [np.full((3, 64, 64), shade, np.uint8) for shade in (20, 200)]
    costs = DcvcRtTorch(None).modules(clip, qp=20, frames=1, kinds=["P"])
    expected = dcvc_rt_macs(64, 64)
    assert [cost.total.work.macs for cost in costs] == [
        sum(expected.inter_encode.values()),
        sum(expected.inter_decode.values()),
    ]
    assert all(cost.modules[-1].ms < 0.5 * cost.ms for cost in costs)
